"""Functions of the kernel from /proc/kallsyms, of which this is a piece."""

from __future__ import annotations

import pytest

from ebpftop.collector.symbols.kernel import Kernel

TEXT = """\
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t do_one
ffffffff81000200 W weak
ffffffff81000280 D data
ffffffffc0203000 t later\t[module_b]
ffffffffc0201000 t sooner\t[module_a]
ffffffffc0600000 t bpf_prog_6deef7357e7b4530_on_switch\t[bpf]
"""


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "kallsyms"
    path.write_text(TEXT)
    return Kernel(path)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFFFFFFF81000005, "_stext"),  # the first of several, as in the kernel's own backtraces
        (0xFFFFFFFF810001FF, "do_one"),
        (0xFFFFFFFF81000200, "weak"),
        (0xFFFFFFFF81000290, "weak"),  # data is no function
        (0xFFFFFFFFC0201010, "sooner"),
        (0xFFFFFFFFC0203010, "later"),
        (0xFFFFFFFFC0600040, "bpf_prog_6deef7357e7b4530_on_switch"),
        (0xFFFFFFFF80FFFFFF, ""),
        (0xFFFFFFFF8F000000, ""),  # nowhere near a function
        (0, ""),
    ],
)
def test_a_function_reaches_to_the_next(kernel, address, name):
    assert kernel.name(address) == name


def test_modules_that_come_later_are_found(kernel, tmp_path):
    (tmp_path / "kallsyms").write_text(TEXT + "ffffffffc0900000 t new\t[module_c]\n")
    assert kernel.name(0xFFFFFFFFC0900004) == ""
    kernel.read()
    assert kernel.name(0xFFFFFFFFC0900004) == "new"


@pytest.mark.parametrize("text", ["", "0000000000000000 T _stext\n0000000000000000 T main\n"])
def test_a_kernel_that_hides_its_addresses_names_nothing(tmp_path, text):
    path = tmp_path / "kallsyms"
    path.write_text(text)
    assert Kernel(path).name(0xFFFFFFFF81000005) == ""


def test_there_may_be_no_list(tmp_path):
    assert Kernel(tmp_path / "missing").name(0xFFFFFFFF81000005) == ""
