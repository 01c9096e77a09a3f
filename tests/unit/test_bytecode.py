"""Compiled programs as data: linking them to maps, and writing them down."""

from __future__ import annotations

import struct

import pytest

from ebpftop.collector import bytecode
from ebpftop.collector.bpf import MapSpec
from ebpftop.collector.bytecode import Bytecode, BytecodeError, Program


def instruction(code: int, source: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | 1, 0, immediate)


def map_load(number: int) -> bytes:
    return instruction(0x18, 1, number) + instruction(0)


EXIT = instruction(0x95)
HELPER = instruction(0x85, 0, 1)
# A 64-bit constant whose upper half has the very bytes of an instruction that loads a map.
CONSTANT = instruction(0x18, 0, 5) + instruction(0x18, 1, 5)
KEPT = Bytecode(
    (MapSpec("starts", 1, 8, 32, 16384, 0), MapSpec("lost", 2, 4, 8, 16, 0)),
    {"lost": 1},
    {
        "issue": Program("issue", 17, "GPL", 394752, map_load(0) + EXIT),
        "done": Program("done", 17, "GPL", 394752, map_load(1) + HELPER + EXIT),
    },
)


def test_maps_are_found_in_the_order_in_which_the_code_names_them():
    assert bytecode.linked_maps(map_load(9) + HELPER + map_load(4) + EXIT) == [9, 4]


def test_linking_changes_the_numbers_of_maps_and_nothing_else():
    before = map_load(9) + CONSTANT + HELPER + map_load(4) + EXIT
    after = map_load(0) + CONSTANT + HELPER + map_load(1) + EXIT
    assert bytecode.link(before, {9: 0, 4: 1}) == after


def test_linking_back_gives_the_code_that_was_compiled():
    code = map_load(9) + HELPER + map_load(4) + map_load(9) + EXIT
    assert bytecode.link(bytecode.link(code, {9: 0, 4: 1}), {0: 9, 1: 4}) == code


def test_a_map_without_a_new_number_is_an_error():
    with pytest.raises(BytecodeError, match="no map 4"):
        bytecode.link(map_load(4), {9: 0})


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 6])
def test_constants_that_point_to_something_else_than_a_map_are_refused(kind):
    with pytest.raises(BytecodeError, match=f"a constant of kind {kind}"):
        bytecode.linked_maps(instruction(0x18, kind, 1) + instruction(0) + EXIT)


@pytest.mark.parametrize("kind", [1, 2])
def test_calls_of_other_functions_than_helpers_are_refused(kind):
    with pytest.raises(BytecodeError, match="a call of something other than a helper"):
        bytecode.linked_maps(instruction(0x85, kind, 1) + EXIT)


def test_half_an_instruction_is_refused():
    with pytest.raises(BytecodeError, match="no whole number"):
        bytecode.linked_maps(EXIT[:4])


def test_what_is_written_is_what_is_read():
    assert bytecode.decode(bytecode.encode(KEPT, {"by": "me"})) == (KEPT, {"by": "me"})


def test_a_changed_byte_anywhere_is_noticed():
    data = bytecode.encode(KEPT, {})
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(BytecodeError):
            bytecode.decode(damaged)


def test_a_file_cut_off_anywhere_is_noticed():
    data = bytecode.encode(KEPT, {})
    for length in range(len(data)):
        with pytest.raises(BytecodeError):
            bytecode.decode(data[:length])
