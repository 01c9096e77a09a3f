"""Names of system calls and errors."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from ebpftop.syscalls import call_name, error_name


@pytest.mark.parametrize(
    ("machine", "table", "number", "name"),
    [
        ("x86_64", "native", 0, "read"),
        ("x86_64", "native", 231, "exit_group"),
        ("x86_64", "native", 334, "rseq"),
        ("x86_64", "native", 424, "pidfd_send_signal"),
        ("x86_64", "native", 469, "file_setattr"),
        ("x86_64", "32", 20, "getpid/i386"),
        ("x86_64", "32", 403, "clock_gettime64/i386"),
        ("x86_64", "32", 467, "open_tree_attr/i386"),
        ("x86_64", "x32", 0, "read/x32"),
        ("x86_64", "x32", 514, "ioctl/x32"),
        ("aarch64", "native", 63, "read"),
        ("aarch64", "native", 94, "exit_group"),
        ("aarch64", "native", 469, "file_setattr"),
        ("aarch64", "32", 3, "read/arm"),
        ("aarch64", "32", 248, "exit_group/arm"),
    ],
)
def test_a_call_is_named_by_its_machine_and_table(machine, table, number, name):
    assert call_name(machine, table, number) == name


@pytest.mark.parametrize("number", [335 + 64, 999])
def test_a_number_without_a_name_is_shown_as_such(number):
    assert call_name("x86_64", "native", number) == f"syscall_{number}"


def test_other_machines_have_numbers_only():
    assert call_name("riscv64", "native", 63) == "syscall_63"
    assert call_name("riscv64", "32", 63) == "syscall_63/32"


HEADERS = {
    ("x86_64", "native"): "unistd_64.h",
    ("x86_64", "32"): "unistd_32.h",
    ("x86_64", "x32"): "unistd_x32.h",
    ("aarch64", "native"): "unistd_64.h",
}


@pytest.mark.parametrize(("machine", "table"), HEADERS)
def test_names_are_those_of_the_kernel_headers_installed_here(machine, table):
    header = Path(f"/usr/include/{machine}-linux-gnu/asm", HEADERS[machine, table])
    if machine != platform.machine() or not header.exists():
        pytest.skip("no such header here (linux-libc-dev)")
    define = re.compile(r"#define __NR_(\w+) \(?(?:__X32_SYSCALL_BIT \+ )?(\d+)\)?$", re.MULTILINE)
    wanted = {int(number): name for name, number in define.findall(header.read_text())}
    assert len(wanted) > 300
    named = {number: call_name(machine, table, number).partition("/")[0] for number in wanted}
    assert named == wanted


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (2, "ENOENT"),
        (11, "EAGAIN"),
        (95, "EOPNOTSUPP"),
        (512, "ERESTARTSYS"),
        (524, "ENOTSUPP"),
        (4000, "errno_4000"),
    ],
)
def test_errors_have_the_names_that_the_kernel_uses(number, name):
    assert error_name(number) == name
