"""What the running kernel's BTF says: member offsets, tracepoint arguments, enumerators.

Nothing is guessed from the kernel's version. /sys/kernel/btf/vmlinux is read without libbpf: that
of a distribution may not know the kinds of types of a newer kernel (0.5 in Ubuntu 22.04 does not).
Types are of unequal length and numbered by where they stand (Documentation/bpf/btf.rst), so they
are walked, but no farther than to what was asked for: 5 to 25 ms.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What tests hide of the running kernel, separated by commas; this hides its BTF.
WITHOUT, HIDDEN = "EBPFTOP_WITHOUT", "btf"
VMLINUX = Path("/sys/kernel/btf/vmlinux")
HEADER = struct.Struct("HBBIIIII")  # struct btf_header, include/uapi/linux/btf.h
MAGIC = 0xEB9F
PTR, STRUCT, UNION, ENUM, TYPEDEF, VOLATILE, CONST, RESTRICT = 2, 4, 5, 6, 8, 9, 10, 11
FUNC, TYPE_TAG = 12, 18
_TRANSPARENT = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG)
_PREFIX = {STRUCT: "struct ", UNION: "union ", ENUM: "enum "}
# What kernels that clang compiled call the types that have these names of gcc's elsewhere.
GCC_NAMES = {
    "unsigned long": "long unsigned int",
    "long": "long int",
    "unsigned long long": "long long unsigned int",
    "long long": "long long int",
    "unsigned short": "short unsigned int",
    "short": "short int",
}
# 32-bit words that follow the three of each type: once, and for each of its entries.
_MORE = {
    **dict.fromkeys((PTR, *_TRANSPARENT, 7, FUNC, 16), (0, 0)),  # 7: forward, 16: float
    **{1: (1, 0), 3: (3, 0), 14: (1, 0), 17: (1, 0)},  # integer, array, variable, declaration tag
    **{STRUCT: (0, 3), UNION: (0, 3), ENUM: (0, 2), 19: (0, 3)},  # 19: enum of 64 bits
    **{13: (0, 2), 15: (0, 3)},  # prototype, data section
}
_ENTRIES, _KIND = 0xFFFFFF, 0x7F000000  # of the second word; some of these bits are spare yet
_STRETCH = 1 << 15  # words walked at a time


class BtfError(Exception):
    """There is no BTF, or it is of a form that is not known here; one sentence."""


class _Lengths(dict[int, int]):
    """Words of a type, by its second word."""

    def __missing__(self, info: int) -> int:
        kind = (info & _KIND) >> 24
        if kind not in _MORE:
            raise BtfError(f"the kernel's BTF has types of kind {kind}, which are not known here")
        once, each = _MORE[kind]
        self[info] = length = 3 + once + each * (info & _ENTRIES)
        return length


class Btf:
    """The type information of the running kernel."""

    complete = True

    def __init__(self, path: Path = VMLINUX) -> None:
        """Raises BtfError where the kernel has none."""
        if path == VMLINUX and HIDDEN in os.environ.get(WITHOUT, "").split(","):
            raise BtfError(f"the kernel's BTF is hidden ({WITHOUT})")
        try:
            data = path.read_bytes()
        except OSError:
            raise BtfError(f"the kernel has no BTF ({path})") from None
        if len(data) < HEADER.size:
            raise BtfError(f"{path} is not BTF")
        magic, _, _, length, types, types_size, strings, strings_size = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise BtfError(f"{path} is not BTF")
        self._words = memoryview(data)[length + types :][:types_size].cast("I")
        self._strings = data[length + strings :][:strings_size]
        self._starts = [0]  # by id, which is 0 for void
        self._walked = 0
        self._lengths = _Lengths()
        self._ids: dict[int, int] = {}  # by offset of the name, and kind
        self._found: dict[tuple[str, int], int] = {}

    def offset(self, path: str) -> int | None:
        """Byte offset of `struct.member.member`; None where the kernel has no such member.

        The struct may also be a union, or one that has only a typedef's name.
        """
        name, *members = path.split(".")
        found_ids = (self._find(name, kind) for kind in (STRUCT, UNION, TYPEDEF))
        type_id = next(filter(None, found_ids), 0)
        bits = 0
        for member in members:
            text = member.encode() + b"\0"
            found = self._member(self._resolve(type_id), text) if type_id else None
            if found is None:
                return None
            type_id, offset = found
            bits += offset
        return bits // 8

    def enumerator(self, path: str) -> int | None:
        """Value of `enum.enumerator`, or None."""
        name, enumerator = path.split(".")
        type_id = self._find(name, ENUM)
        if not type_id:
            return None
        text = enumerator.encode() + b"\0"
        for name_offset, value in self._entries(type_id, 2):
            if self._strings.startswith(text, name_offset):
                return value - (value >> 31 << 32)
        return None

    def tracepoint_id(self, name: str) -> int:
        """Id of the type of a raw tracepoint; 0 where there is no such one."""
        return self._find("btf_trace_" + name, TYPEDEF)

    def tracepoint(self, name: str) -> list[str] | None:
        """Types of the arguments of a raw tracepoint, or None where there is no such one."""
        typedef = self.tracepoint_id(name)
        if not typedef:
            return None
        pointer = self._head(typedef)[2]
        proto = self._head(pointer)[2]
        types = [type_id for _, type_id in self._entries(proto, 2)]
        return [self.spell(type_id) for type_id in types[1:]]

    def function_id(self, name: str) -> int:
        """Id of the type of a function; 0 where the kernel has none of that name."""
        return self._find(name, FUNC)

    def function(self, name: str) -> list[str] | None:
        """Types of the arguments of a function, or None where there is none of that name."""
        function = self.function_id(name)
        if not function:
            return None
        proto = self._head(function)[2]
        return [self.spell(type_id) for _, type_id in self._entries(proto, 2)]

    def spell(self, type_id: int) -> str:
        """A type as C writes it, qualifiers left out."""
        if type_id == 0:
            return "void"
        name, kind, next_id = self._head(type_id)
        if kind == PTR:
            inner = self.spell(next_id)
            return inner + ("*" if inner.endswith("*") else " *")
        if kind in (CONST, VOLATILE, RESTRICT, TYPE_TAG):
            return self.spell(next_id)
        text = self._text(name)
        return _PREFIX.get(kind, "") + GCC_NAMES.get(text, text)

    def _find(self, name: str, kind: int) -> int:
        found = self._found.get((name, kind))
        if found is None:
            offset = self._strings.find(b"\0%b\0" % name.encode()) + 1
            key = kind << 24 | offset
            while offset and key not in self._ids and self._walk():
                pass
            self._found[name, kind] = found = self._ids.get(key, 0)
        return found

    def _walk(self) -> bool:
        """Number some more types; False where all are."""
        words, starts, ids, lengths = self._words, self._starts, self._ids, self._lengths
        at = self._walked
        end = min(at + _STRETCH, len(words))
        while at < end:
            name, info = words[at], words[at + 1]
            if name:  # names are below 1 << 24; of two of a name the first counts
                ids.setdefault(info & _KIND | name, len(starts))
            starts.append(at)
            at += lengths[info]
        more, self._walked = at > self._walked, at
        return more

    def _start(self, type_id: int) -> int:
        """Where a type begins."""
        while type_id >= len(self._starts) and self._walk():
            pass
        return self._starts[type_id]

    def _head(self, type_id: int) -> tuple[int, int, int]:
        """Name's offset, kind, and size or next type."""
        at = self._start(type_id)
        return self._words[at], (self._words[at + 1] & _KIND) >> 24, self._words[at + 2]

    def _text(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(0, offset)].decode()

    def _entries(self, type_id: int, width: int) -> Iterator[tuple[int, ...]]:
        """What follows the head of a type: members, enumerators or arguments."""
        at = self._start(type_id)
        count = self._words[at + 1] & _ENTRIES
        words = iter(self._words[at + 3 :][: width * count])
        return zip(*[words] * width)

    def _resolve(self, type_id: int) -> int:
        while True:
            _, kind, next_id = self._head(type_id)
            if kind not in _TRANSPARENT:
                return type_id
            type_id = next_id

    def _member(self, type_id: int, name: bytes) -> tuple[int, int] | None:
        """Type and bit offset of a member, looking into anonymous structs and unions."""
        _, kind, _ = self._head(type_id)
        if kind not in (STRUCT, UNION):
            return None
        has_bitfields = self._words[self._start(type_id) + 1] >> 31
        for name_offset, member_type, raw in self._entries(type_id, 3):
            offset = raw & 0xFFFFFF if has_bitfields else raw
            if self._strings.startswith(name, name_offset):
                return member_type, offset
            if not name_offset:
                inner = self._member(self._resolve(member_type), name)
                if inner:
                    return inner[0], offset + inner[1]
        return None
