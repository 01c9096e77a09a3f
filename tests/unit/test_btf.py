"""The kernel's types: a file made here, and the running kernel's own beside what libbpf says."""

from __future__ import annotations

import ctypes
import random
import struct

import pytest

from ebpftop.collector.btf import ENUM, FUNC, HEADER, MAGIC, STRUCT, VMLINUX, Btf, BtfError

INT, PTR, ARRAY, UNION, FORWARD, TYPEDEF, CONST = 1, 2, 3, 5, 7, 8, 10
PROTO, VARIABLE, SECTION, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = 13, 14, 15, 16, 17, 18, 19
BITFIELDS = 1 << 31


@pytest.fixture
def made(tmp_path):
    """Makes a kernel's types of (name, second word, third word, more words)."""

    def make(*types):
        strings, words = b"\0", []

        def place(name):
            nonlocal strings
            if not name:
                return 0
            if b"\0%b\0" % name.encode() not in strings:
                strings += name.encode() + b"\0"
            return strings.index(b"\0%b\0" % name.encode()) + 1

        for name, info, third, *more in types:
            words += [place(name), info, third]
            words += [place(word) if isinstance(word, str) else word for word in more]
        body = struct.pack(f"{len(words)}I", *words)
        path = tmp_path / "vmlinux"
        header = HEADER.pack(MAGIC, 1, 0, HEADER.size, 0, len(body), len(body), len(strings))
        path.write_bytes(header + body + strings)
        return Btf(path)

    return make


def kind(number, entries=0):
    return number << 24 | entries


INTEGER = ("int", kind(INT), 4, 32)  # id 1 wherever it comes first


def test_a_member_is_found_in_a_struct(made):
    kernel = made(INTEGER, ("disk", kind(STRUCT, 2), 8, "major", 1, 0, "minor", 1, 32))
    assert (kernel.offset("disk.major"), kernel.offset("disk.minor")) == (0, 4)


def test_what_the_kernel_does_not_have_is_none_not_0(made):
    kernel = made(INTEGER, ("disk", kind(STRUCT, 1), 4, "major", 1, 0))
    assert kernel.offset("disk.minor") is None
    assert kernel.offset("tape.major") is None
    assert kernel.offset("int.major") is None
    assert kernel.enumerator("disk.major") is None
    assert kernel.tracepoint("disk") is None
    assert kernel.function("disk") is None


def test_a_name_is_not_found_at_the_end_or_the_beginning_of_another(made):
    kernel = made(INTEGER, ("disk_part", kind(STRUCT, 1), 4, "major_no", 1, 32))
    assert kernel.offset("part.major_no") is None
    assert kernel.offset("disk.major_no") is None
    assert kernel.offset("disk_part.major") is None


def test_a_path_leads_through_structs_and_what_is_anonymous_in_them(made):
    kernel = made(
        INTEGER,
        ("inner", kind(STRUCT, 2), 8, "", 3, 0, "last", 1, 32),
        ("", kind(UNION, 1), 4, "chosen", 1, 0),
        ("inner_t", kind(TYPEDEF), 2),
        ("outer", kind(STRUCT, 2), 16, "first", 1, 0, "within", 4, 64),
    )
    assert kernel.offset("outer.within.last") == 12
    assert kernel.offset("outer.within.chosen") == 8


def test_a_struct_with_bit_fields_keeps_their_width_in_the_offset(made):
    flagged = kind(STRUCT, 2) | BITFIELDS
    kernel = made(INTEGER, ("flags", flagged, 8, "one", 1, 1 << 24, "rest", 1, 32 << 24 | 32))
    assert kernel.offset("flags.rest") == 4


def test_an_enumerator_may_be_negative(made):
    kernel = made(("state", kind(ENUM, 2), 4, "GONE", 0xFFFFFFFF, "HERE", 7))
    assert (kernel.enumerator("state.GONE"), kernel.enumerator("state.HERE")) == (-1, 7)


def test_arguments_are_spelled_as_c_writes_them(made):
    kernel = made(
        ("task_struct", kind(FORWARD), 0),
        ("", kind(PTR), 1),
        ("", kind(PTR), 4),
        ("", kind(CONST), 5),
        ("char", kind(INT), 1, 8),
        ("user", kind(TYPE_TAG), 3),
        ("", kind(PROTO, 4), 0, "data", 8, "task", 2, "name", 3, "path", 6),
        ("", kind(PTR), 0),
        ("", kind(PTR), 7),
        ("btf_trace_exec", kind(TYPEDEF), 9),
        ("do_exec", kind(FUNC, 1), 7),
    )
    assert kernel.tracepoint("exec") == ["task_struct *", "char *", "char *"]
    assert kernel.function("do_exec") == ["void *", "task_struct *", "char *", "char *"]
    assert (kernel.tracepoint_id("exec"), kernel.function_id("do_exec")) == (10, 11)


def test_types_of_every_kind_are_counted(made):
    kernel = made(
        INTEGER,
        ("", kind(ARRAY), 0, 1, 1, 8),
        ("jiffies", kind(VARIABLE), 1, 1),
        (".data", kind(SECTION, 2), 8, 3, 0, 4, 3, 4, 4),
        ("double", kind(FLOAT), 8),
        ("bpf_kfunc", kind(DECL_TAG), 1, 0xFFFFFFFF),
        ("user", kind(TYPE_TAG), 1),
        ("wide", kind(ENUM64, 1), 8, "WIDEST", 0, 1),
        ("last", kind(FUNC), 0),
    )
    assert kernel.function_id("last") == 9


def test_of_two_types_of_a_name_and_kind_the_first_counts(made):
    kernel = made(
        INTEGER,
        ("twin", kind(FUNC), 1),
        ("twin", kind(STRUCT, 1), 4, "a", 1, 0),
        ("twin", kind(STRUCT, 1), 8, "a", 1, 32),
    )
    assert (kernel.offset("twin.a"), kernel.function_id("twin")) == (0, 2)


def test_a_kind_of_the_future_is_said_not_misread(made):
    kernel = made(INTEGER, ("odd", kind(77), 0), ("disk", kind(STRUCT, 1), 4, "major", 1, 0))
    with pytest.raises(BtfError, match="types of kind 77"):
        kernel.offset("disk.major")


def test_a_kernel_without_types_says_so(tmp_path):
    with pytest.raises(BtfError, match=r"the kernel has no BTF \(.*vmlinux\)"):
        Btf(tmp_path / "vmlinux")


@pytest.mark.parametrize("data", [b"", b"\x7fELF" + bytes(60)])
def test_a_file_of_another_form_is_refused(tmp_path, data):
    (tmp_path / "vmlinux").write_bytes(data)
    with pytest.raises(BtfError, match="is not BTF"):
        Btf(tmp_path / "vmlinux")


@pytest.fixture(scope="module")
def witness():
    """libbpf's answer to which id a name and kind have."""
    try:
        lib = ctypes.CDLL("libbpf.so.1")
    except OSError:
        pytest.skip("no libbpf.so.1 to compare with")
    lib.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint]
    if not VMLINUX.exists() or not (btf := lib.btf__load_vmlinux_btf()):
        pytest.skip("no BTF here")
    return lambda name, kind: lib.btf__find_by_name_kind(btf, name.encode(), kind)


def test_the_running_kernels_ids_are_those_that_libbpf_finds(witness):
    kernel, random_ids = Btf(), random.Random(1)
    compared = 0
    for type_id in random_ids.sample(range(1, 40_000), 2_000):
        name, number, _ = kernel._head(type_id)
        text = kernel._text(name)
        if text and number in (STRUCT, UNION, ENUM, TYPEDEF, FUNC):
            assert kernel._find(text, number) == witness(text, number), text
            compared += 1
    assert compared > 500
