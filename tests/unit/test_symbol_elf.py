"""Functions of ELF files: which one an address lies in, and what damaged files do (nothing)."""

from __future__ import annotations

import lzma
import random
import struct
import zlib

import pytest

from ebpftop.collector.symbols import files, image
from ebpftop.collector.symbols.files import Memory
from ebpftop.collector.symbols.image import Image, Name
from tests.unit.elves import (
    FRAME,
    GLOBAL,
    LOCAL,
    OBJECT,
    TEXT_ADDRESS,
    TEXT_AT,
    TEXT_SIZE,
    WEAK,
    Symbol,
    elf,
)

DAMAGED = 2000


def found(data, offset, opens=()):
    """The name at an offset from the beginning of the code."""
    content = Memory(data)
    read = Image(content, "/bin/program", opens)
    return read.name(read.address(TEXT_AT + offset), content)


def name_at(data, offset):
    name = found(data, offset)
    return name.text if name else None


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_function_reaches_from_its_beginning_to_its_end(wide, order):
    data = elf([Symbol("second", 32), Symbol("first", 16)], wide=wide, order=order)
    names = [name_at(data, offset) for offset in (15, 16, 31, 32, 47, 48)]
    assert names == [None, "first", "first", "second", "second", None]


def test_of_functions_within_each_other_the_inner_one_is_meant():
    data = elf([Symbol("outer", 0, 64), Symbol("inner", 16, 16)])
    assert [name_at(data, offset) for offset in (8, 20, 40)] == ["outer", "inner", "outer"]


def test_a_function_of_unknown_length_reaches_to_the_next():
    data = elf([Symbol("assembly", 0, 0), Symbol("next", 32)])
    assert [name_at(data, offset) for offset in (0, 31, 32)] == ["assembly", "assembly", "next"]


def test_among_exports_alone_it_does_not():
    data = elf([], exported=[Symbol("assembly", 0, 0), Symbol("next", 32)])
    assert name_at(data, 31) is None


@pytest.mark.parametrize(
    "symbols",
    [
        [Symbol("__read", 0), Symbol("read", 0, binding=WEAK), Symbol("__GI_read", 0, 16, LOCAL)],
        [Symbol("aread", 0, binding=LOCAL), Symbol("read", 0, binding=GLOBAL)],
        [Symbol("read_extended", 0), Symbol("read", 0)],
    ],
)
def test_of_names_for_one_function_the_public_and_short_one_is_taken(symbols):
    assert name_at(elf(symbols), 4) == name_at(elf(symbols[::-1]), 4) == "read"


def test_a_signals_handler_returns_to_the_beginning_of_a_function():
    data = elf([Symbol("before", 0, 15), Symbol("__restore_rt", 16, 0), Symbol("other", 48, 8)])
    assert [name_at(data, offset) for offset in (14, 15)] == ["before", "__restore_rt"]


def test_data_and_what_is_elsewhere_is_no_function():
    symbols = [Symbol("table", 0, kind=OBJECT), Symbol("imported", 0, section=0)]
    assert name_at(elf(symbols), 4) is None


def test_the_beginning_of_a_stripped_program_is_known():
    data = elf([], exported=[Symbol("exported", 512)], entry=TEXT_ADDRESS + 16)
    assert [name_at(data, offset) for offset in (0, 16, 60, 200)] == [
        None,
        "_start",
        "_start",
        None,
    ]


def test_the_version_of_a_symbol_is_no_part_of_its_name():
    assert name_at(elf([Symbol("read@@GLIBC_2.2.5", 0)]), 4) == "read"


# Frame pointers


@pytest.mark.parametrize(
    ("code", "offset", "frameless"),
    [
        (FRAME + b"\x90" * 8, 8, False),
        (b"\xf3\x0f\x1e\xfa" + FRAME + b"\x90" * 8, 12, False),  # endbr64 first
        (FRAME + b"\x90" * 8, 1, True),  # it has not come so far
        (b"\x48\x83\xec\x18" + b"\x90" * 8, 8, True),  # sub $24,%rsp
    ],
)
def test_a_function_that_has_not_set_the_frame_pointer_loses_its_caller(code, offset, frameless):
    assert found(elf([Symbol("work", 0)], code=code), offset) == Name("work", frameless)


def test_of_the_cold_part_of_a_function_that_cannot_be_told():
    assert found(elf([Symbol("work.cold", 0)], code=b"\x90" * 16), 8) == Name("work.cold", False)


# Symbols apart from the program


def opener(path):
    """Opens one path, and no other."""

    def opens(wanted):
        if wanted != path[0]:
            raise FileNotFoundError(wanted)
        return files.place_here(str(path[1]))

    return opens


BUILD_ID = bytes(range(20))
APART = f"/usr/lib/debug/.build-id/00/{BUILD_ID[1:].hex()}.debug"


def test_symbols_are_found_by_build_id(tmp_path):
    (tmp_path / "symbols").write_bytes(elf([Symbol("inner", 0)], build_id=BUILD_ID))
    program = elf([], exported=[Symbol("outer", 32)], build_id=BUILD_ID)
    opens = (opener((APART, tmp_path / "symbols")),)
    assert found(program, 4, opens).text == "inner"
    assert found(program, 36, opens).text == "outer"


def test_symbols_of_another_build_are_not_believed(tmp_path):
    (tmp_path / "symbols").write_bytes(elf([Symbol("inner", 0)], build_id=BUILD_ID[::-1]))
    program = elf([], exported=[Symbol("outer", 32)], build_id=BUILD_ID)
    assert found(program, 4, (opener((APART, tmp_path / "symbols")),)) is None


@pytest.mark.parametrize("folder", ["/bin", "/bin/.debug", "/usr/lib/debug/bin"])
def test_symbols_are_found_by_the_link_in_the_program(tmp_path, folder):
    symbols = elf([Symbol("inner", 0)])
    (tmp_path / "symbols").write_bytes(symbols)
    opens = (opener((f"{folder}/program.debug", tmp_path / "symbols")),)
    for checksum, text in ((zlib.crc32(symbols), "inner"), (1, None)):
        link = b"program.debug\0\0\0" + struct.pack("<I", checksum)
        program = elf([], exported=[Symbol("outer", 32)], sections={".gnu_debuglink": link})
        name = found(program, 4, opens)
        assert (name.text if name else None) == text


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"..", b"/etc/passwd", b""])
def test_the_link_leads_nowhere_else(name):
    asked = []

    def opens(path):
        asked.append(path)
        raise FileNotFoundError

    found(elf([], sections={".gnu_debuglink": name + b"\0\0\0\0" + bytes(4)}), 4, (opens,))
    assert asked == []


def test_packed_symbols_are_unpacked():
    packed = lzma.compress(elf([Symbol("inner", 0)]))
    data = elf([], exported=[Symbol("outer", 32)], sections={".gnu_debugdata": packed})
    assert [name_at(data, offset) for offset in (4, 36)] == ["inner", "outer"]


def test_packed_symbols_that_would_fill_the_memory_are_cut_off(monkeypatch):
    monkeypatch.setattr(image, "UNPACKED_BYTES", 1 << 16)
    packed = lzma.compress(elf([Symbol("inner", 0)]) + bytes(1 << 20))
    data = elf([], exported=[Symbol("outer", 32)], sections={".gnu_debugdata": packed})
    assert name_at(data, 36) == "outer"


# Damage


WHOLE = elf(
    [Symbol(f"function_{n}", 16 * n) for n in range(20)],
    exported=[Symbol("exported", 512)],
    build_id=BUILD_ID,
    sections={
        ".gnu_debuglink": b"program.debug\0\0\0\0\0\0\0",
        ".gnu_debugdata": lzma.compress(b"x"),
    },
)
STRIPPED = elf(
    [],
    exported=[Symbol("exported", 512)],
    build_id=BUILD_ID,
    sections={
        ".gnu_debuglink": b"program.debug\0\0\0\0\0\0\0",
        ".gnu_debugdata": lzma.compress(elf([Symbol("inner", 0)])),
    },
)
EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)


def damaged(chance):
    """A file with bytes changed where they matter: in headers and tables, not in the code."""
    data = bytearray(chance.choice((WHOLE, STRIPPED)))
    places = [*range(0, 200), *range(TEXT_AT + TEXT_SIZE, len(data) - 8)]
    for _ in range(chance.randrange(1, 8)):
        place = chance.choice(places)
        if chance.random() < 0.5:
            data[place] = chance.randrange(256)
        else:
            size = chance.choice((2, 4, 8))
            value = chance.choice(EXTREMES) & (1 << 8 * size) - 1
            data[place : place + size] = value.to_bytes(size, "little")
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


def test_damaged_files_name_something_or_nothing():
    chance = random.Random(4)
    tried = 0
    for _ in range(DAMAGED):
        data = damaged(chance)
        for offset in (0, 20, 330, 515):
            name = found(data, offset)
            assert name is None or isinstance(name.text, str)
            tried += 1
    assert tried == 4 * DAMAGED


@pytest.mark.parametrize("size", [0, 1, 15, 16, 63, 64, 65, 120, TEXT_AT, len(WHOLE) - 1])
def test_a_file_may_end_anywhere(size):
    assert name_at(WHOLE[:size], 4) is None


def test_what_is_no_program_has_no_names():
    assert name_at(b"#!/bin/sh\n" * 100, 4) is None
    assert Image(Memory(b"text"), "/file", ()).address(77) == 77
