"""What is known of arm64 without one: of the kernels and headers that `arm64.py` has fetched."""

from __future__ import annotations

import os
import re
import struct

import pytest

from ebpftop.collector import functions
from ebpftop.collector.btf import Btf
from ebpftop.syscalls import call_name
from tests.kernels import arm64, packages
from tests.kernels.machine import AMD64, ARM64, machine
from tests.kernels.packages import UnavailableError
from tests.kernels.userland import HEADERS, headers

CACHE = packages.cache()
KERNELS = sorted((path.name for path in CACHE.glob("kernel/*arm64*")), key=packages.natural)
BTF_HEADER = struct.Struct("<HBBIIIII")  # linux/btf.h: the last four are offsets and lengths
TABLES = {
    ("x86_64", "native"): "x86/asm/unistd_64.h",
    ("x86_64", "32"): "x86/asm/unistd_32.h",
    ("x86_64", "x32"): "x86/asm/unistd_x32.h",
    ("aarch64", "native"): "arm64/asm/unistd_64.h",
    ("aarch64", "32"): "arm/asm/unistd-eabi.h",
}
DEFINE = re.compile(r"(?m)^#define __NR_(\w+) \(?(?:__(?:X32_|NR_)SYSCALL_B\w+ \+ )?(\d+)\)?$")


@pytest.mark.parametrize(
    ("flavour", "expected"),
    [("cloud-arm64", ARM64), ("arm64-16k", ARM64), ("cloud-amd64", AMD64), ("amd64", AMD64)],
)
def test_a_flavour_tells_its_machine(flavour, expected):
    assert machine(flavour) is expected


@pytest.mark.parametrize(("of", "table"), TABLES)
def test_calls_have_the_names_that_the_kernel_s_headers_give_them(of, table):
    if not (CACHE / HEADERS).is_dir():
        pytest.skip("no headers were fetched; `python -m tests.kernels.arm64` does")
    defined = DEFINE.findall((headers(CACHE) / TABLES[of, table]).read_text())
    wanted = {int(number): name for name, number in defined}
    assert len(wanted) > 300
    named = {number: call_name(of, table, number).partition("/")[0] for number in wanted}
    newest = max(number for number in named if named[number] != f"syscall_{number}")
    assert newest >= 471  # of Linux 7.2; what newer headers add is shown by number
    assert named == {n: name if n <= newest else f"syscall_{n}" for n, name in wanted.items()}


@pytest.fixture(params=KERNELS or ["none"])
def types(request, tmp_path):
    """The types of an arm64 kernel, whose image is not compressed."""
    if not KERNELS:
        pytest.skip("no kernel of arm64 was fetched; `python -m tests.kernels.arm64` does")
    image = packages.unpacked(CACHE, request.param).image.read_bytes()
    at = image.index(struct.pack("<HBBI", 0xEB9F, 1, 0, BTF_HEADER.size))
    *_, text_at, text_bytes = BTF_HEADER.unpack_from(image, at)
    (tmp_path / "btf").write_bytes(image[at : at + BTF_HEADER.size + text_at + text_bytes])
    return Btf(tmp_path / "btf")


def test_arguments_and_results_of_functions_are_in_the_first_registers(types, monkeypatch):
    monkeypatch.setattr(os, "uname", lambda: type("U", (), {"machine": "aarch64"}))
    flags = functions.register_flags(types)
    assert flags == [*(f"-DOFF_KARG{n}={8 * n}" for n in range(8)), "-DOFF_KRETURN=0"]


def test_a_frame_of_registers_is_laid_out_as_our_header_says(types):
    order = ("regs", "sp", "pc", "pstate", "orig_x0", "syscallno")
    assert [types.offset(f"pt_regs.{name}") for name in order] == [0, 248, 256, 264, 272, 280]


def test_where_it_cannot_be_had_a_line_says_so_and_nothing_fails(monkeypatch, capsys):
    def unreachable(*_):
        raise UnavailableError("the mirror does not answer")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(arm64, "prepared", unreachable)
    assert arm64.main([]) == 0
    assert capsys.readouterr().out == "SKIPPED tests on arm64: the mirror does not answer\n"
