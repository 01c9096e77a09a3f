"""Compiled programs without their compiler: taken from what BCC loaded, and loaded again.

An instruction that names a map carries its descriptor, which means nothing in the next process.
What is kept has the position in a list of maps there instead, so that it can be linked to maps
that are created anew. Everything else in a program is the same for each start of a kernel.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.collector import bpf
from ebpftop.collector.bpf import MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAGIC = b"ebpftop bytecode 3\n"  # a new number for each change of what is written
# Of enum bpf_prog_type, by kind of hook.
PROGRAM_TYPES = {
    "raw_tracepoint": 17,
    "tracepoint": 5,
    "perf_event": 7,
    "kprobe": 2,
    "kretprobe": 2,
    "fentry": 26,
    "fexit": 26,
}
TRACING = 26  # of raw tracepoints whose arguments have types, too
# BPF_MAP_TYPE_: hash, array, per-CPU hash and array, LRU hash, per-CPU LRU hash. The others begin
# with something in them, or need more than sizes to be created.
MAP_TYPES = (1, 2, 5, 6, 9, 10)
PLAIN_FLAGS = 3  # BPF_F_NO_PREALLOC, BPF_F_NO_COMMON_LRU
LD_IMM64, CALL = 0x18, 0x85
MAP_FD = 1  # BPF_PSEUDO_MAP_FD


class BytecodeError(Exception):
    """Programs that cannot be kept, or bytes that are no kept programs; one sentence."""


@dataclass(frozen=True)
class Program:
    """One program; in `code` maps are positions in `Bytecode.maps`.

    Attributes:
        name: the kernel's name of it, cut to 15 characters.
        type: as in `enum bpf_prog_type`.
        hook_type: BTF id of the type of its hook, for a program of type TRACING.
        attach_type: how it hangs there, as in `enum bpf_attach_type`.
    """

    name: str
    type: int
    licence: str
    kernel_version: int
    code: bytes
    hook_type: int = 0
    attach_type: int = bpf.TRACE_RAW_TP


@dataclass(frozen=True)
class Bytecode:
    """All programs of a probe.

    Attributes:
        maps: what the programs and the collector use.
        names: position in `maps` of those that the collector uses, by their names in C.
        programs: by their names in C.
    """

    maps: tuple[MapSpec, ...]
    names: dict[str, int]
    programs: dict[str, Program]


def linked_maps(code: bytes) -> list[int]:
    """The descriptor or position of the map in each instruction that names one.

    Raises:
        BytecodeError: the code points to something that is not a map.
    """
    return [struct.unpack_from("<i", code, at + 4)[0] for at in _map_loads(code)]


def link(code: bytes, numbers: Mapping[int, int]) -> bytes:
    """The code with the number of each map replaced.

    Raises:
        BytecodeError: a map has no new number, or the code points to something else.
    """
    linked = bytearray(code)
    for at in _map_loads(code):
        (before,) = struct.unpack_from("<i", code, at + 4)
        if before not in numbers:
            raise BytecodeError(f"no map {before}")
        struct.pack_into("<i", linked, at + 4, numbers[before])
    return bytes(linked)


def _map_loads(code: bytes) -> Iterable[int]:
    """Byte offsets of the instructions that load the address of a map."""
    if len(code) % 8:
        raise BytecodeError("no whole number of instructions")
    at = 0
    while at < len(code):
        operation, kind = code[at], code[at + 1] >> 4
        if operation == LD_IMM64:
            if kind == MAP_FD:
                yield at
            elif kind:
                raise BytecodeError(f"a constant of kind {kind}")
            at += 8  # its upper half
        elif operation == CALL and kind:
            raise BytecodeError("a call of something other than a helper")
        at += 8


def take(
    codes: Mapping[str, tuple[int, int, bytes, int, int]],
    named: Mapping[str, int],
    licence: str,
    kernel_version: int,
) -> Bytecode:
    """What can be kept of loaded programs.

    Args:
        codes: descriptor, type, code, type of the hook and of the attachment of each program.
        named: descriptors of the maps that the collector uses.
        licence: as the kernel was told.
        kernel_version: as the kernel was told; it asks for it before 5.0.

    Raises:
        BytecodeError: the code uses what is not kept.
    """
    in_use = dict.fromkeys(named.values())
    for _, _, code, *_ in codes.values():
        in_use.update(dict.fromkeys(linked_maps(code)))
    positions = {fd: position for position, fd in enumerate(in_use)}
    maps = tuple(map(bpf.map_spec, in_use))
    for spec in maps:
        if spec.type not in MAP_TYPES or spec.flags & ~PLAIN_FLAGS:
            raise BytecodeError(f"{spec.name}: a map of type {spec.type}, flags {spec.flags:#x}")
    programs = {
        name: Program(
            bpf.program_name(fd), kind, licence, kernel_version, link(code, positions), *hook
        )
        for name, (fd, kind, code, *hook) in codes.items()
    }
    return Bytecode(maps, {name: positions[fd] for name, fd in named.items()}, programs)


def load(bytecode: Bytecode) -> tuple[dict[str, int], dict[str, int]]:
    """Descriptors of the maps that the collector uses, and of the programs, by name.

    Raises:
        OSError: the kernel refuses; nothing stays open then.
        BytecodeError: a program names a map that is not in the list.
    """
    bpf.lift_memory_limit()
    fds: list[int] = []
    try:
        for spec in bytecode.maps:
            fds.append(bpf.create_map(spec))  # noqa: PERF401, what is open must be in the list
        positions = dict(enumerate(fds))
        programs: dict[str, int] = {}
        for name, program in bytecode.programs.items():
            code, terms = link(program.code, positions), (program.licence, program.kernel_version)
            hook = program.hook_type, program.attach_type
            programs[name] = bpf.load_program(program.name, program.type, code, *terms, *hook)
            fds.append(programs[name])
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return {name: positions[at] for name, at in bytecode.names.items()}, programs


def encode(bytecode: Bytecode, label: Mapping[str, Any]) -> bytes:
    """As a file: magic, SHA-256 of the rest, length of a JSON header, header, code.

    `label` goes into the header as it is.
    """
    programs = [
        {**asdict(program), "code": len(program.code), "function": function}
        for function, program in bytecode.programs.items()
    ]
    header = {"label": label, "maps": bytecode.maps, "names": bytecode.names, "programs": programs}
    text = json.dumps(header).encode()
    code = b"".join(program.code for program in bytecode.programs.values())
    rest = struct.pack("<I", len(text)) + text + code
    return MAGIC + hashlib.sha256(rest).digest() + rest


def decode(data: bytes) -> tuple[Bytecode, dict[str, Any]]:
    """What was encoded, and its label.

    Raises:
        BytecodeError: the bytes are not, or no longer, what `encode` wrote.
    """
    start = len(MAGIC) + hashlib.sha256().digest_size
    rest = data[start:]
    if not data.startswith(MAGIC) or hashlib.sha256(rest).digest() != data[len(MAGIC) : start]:
        raise BytecodeError("damaged, or of another version")
    (length,) = struct.unpack_from("<I", rest)
    header = json.loads(rest[4 : 4 + length])
    programs, at = {}, 4 + length
    for fields in header["programs"]:
        function, size = fields.pop("function"), fields["code"]
        programs[function] = Program(**{**fields, "code": rest[at : at + size]})
        at += size
    maps = tuple(MapSpec(*fields) for fields in header["maps"])
    return Bytecode(maps, header["names"], programs), header["label"]
