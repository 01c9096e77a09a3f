"""What the running kernel's BTF says: member offsets, tracepoint arguments, enumerators.

libbpf parses /sys/kernel/btf/vmlinux (7 ms); it is there because BCC links it. Nothing is guessed
from the kernel's version.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PTR, STRUCT, UNION, ENUM, TYPEDEF, VOLATILE, CONST, RESTRICT = 2, 4, 5, 6, 8, 9, 10, 11
FUNC, TYPE_TAG = 12, 18
_TRANSPARENT = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG)
_PREFIX = {STRUCT: "struct ", UNION: "union ", ENUM: "enum "}


class BtfError(Exception):
    """There is no BTF, or nothing that can read it; one sentence."""


class Btf:
    """The type information of the running kernel."""

    def __init__(self) -> None:
        """Raises BtfError where the kernel has none or libbpf cannot be found."""
        try:
            lib = ctypes.CDLL("libbpf.so.1")
        except OSError:
            try:
                lib = ctypes.CDLL("libbpf.so.0")
            except OSError:
                raise BtfError("libbpf is not installed") from None
        lib.btf__load_vmlinux_btf.restype = ctypes.c_void_p
        lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint]
        lib.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        lib.btf__type_by_id.restype = ctypes.c_void_p
        lib.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        lib.btf__name_by_offset.restype = ctypes.c_char_p
        self._lib = lib
        self._found: dict[tuple[str, int], int] = {}
        self._btf = lib.btf__load_vmlinux_btf()
        if not self._btf or self._btf > (1 << 64) - 4096:
            raise BtfError("the kernel has no BTF (/sys/kernel/btf/vmlinux)")

    def offset(self, path: str) -> int | None:
        """Byte offset of `struct.member.member`, or None where the kernel has no such member."""
        name, *members = path.split(".")
        type_id = self._find(name, STRUCT) or self._find(name, UNION)
        bits = 0
        for member in members:
            found = self._member(self._resolve(type_id), member) if type_id else None
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
        for name_offset, value in self._entries(type_id, "Ii"):
            if self._text(name_offset) == enumerator:
                return int(value)
        return None

    def tracepoint_id(self, name: str) -> int:
        """Id of the type of a raw tracepoint; 0 where there is no such one."""
        return self._find("btf_trace_" + name, TYPEDEF)

    def tracepoint(self, name: str) -> list[str] | None:
        """Types of the arguments of a raw tracepoint, or None where there is no such one."""
        typedef = self.tracepoint_id(name)
        if not typedef:
            return None
        pointer = self._head(typedef)[3]
        proto = self._head(pointer)[3]
        types = [type_id for _, type_id in self._entries(proto, "II")]
        return [self.spell(type_id) for type_id in types[1:]]

    def function_id(self, name: str) -> int:
        """Id of the type of a function; 0 where the kernel has none of that name."""
        return self._find(name, FUNC)

    def function(self, name: str) -> list[str] | None:
        """Types of the arguments of a function, or None where there is none of that name."""
        function = self.function_id(name)
        if not function:
            return None
        proto = self._head(function)[3]
        return [self.spell(type_id) for _, type_id in self._entries(proto, "II")]

    def spell(self, type_id: int) -> str:
        """A type as C writes it, qualifiers left out."""
        if type_id == 0:
            return "void"
        _, name, kind, next_id = self._head(type_id)
        if kind == PTR:
            inner = self.spell(next_id)
            return inner + ("*" if inner.endswith("*") else " *")
        if kind in (CONST, VOLATILE, RESTRICT, TYPE_TAG):
            return self.spell(next_id)
        return _PREFIX.get(kind, "") + self._text(name)

    def _find(self, name: str, kind: int) -> int:
        found = self._found.get((name, kind))
        if found is None:  # libbpf looks through all 100,000 types
            found = int(self._lib.btf__find_by_name_kind(self._btf, name.encode(), kind))
            self._found[name, kind] = found = max(0, found)
        return found

    def _head(self, type_id: int) -> tuple[int, int, int, int]:
        """Address, name offset, kind, and size or next type."""
        address = self._lib.btf__type_by_id(self._btf, type_id)
        name, info, size_or_type = struct.unpack("III", ctypes.string_at(address, 12))
        return address, name, info >> 24 & 31, size_or_type

    def _text(self, offset: int) -> str:
        return str(self._lib.btf__name_by_offset(self._btf, offset).decode())

    def _entries(self, type_id: int, layout: str) -> Iterator[tuple[int, ...]]:
        address = self._lib.btf__type_by_id(self._btf, type_id)
        (info,) = struct.unpack("I", ctypes.string_at(address + 4, 4))
        size = struct.calcsize(layout) * (info & 0xFFFF)
        return struct.iter_unpack(layout, ctypes.string_at(address + 12, size))

    def _resolve(self, type_id: int) -> int:
        while True:
            _, _, kind, next_id = self._head(type_id)
            if kind not in _TRANSPARENT:
                return type_id
            type_id = next_id

    def _member(self, type_id: int, name: str) -> tuple[int, int] | None:
        """Type and bit offset of a member, looking into anonymous structs and unions."""
        address, _, kind, _ = self._head(type_id)
        if kind not in (STRUCT, UNION):
            return None
        (info,) = struct.unpack("I", ctypes.string_at(address + 4, 4))
        bitfields = info >> 31
        for name_offset, member_type, raw in self._entries(type_id, "III"):
            offset = raw & 0xFFFFFF if bitfields else raw
            text = self._text(name_offset)
            if text == name:
                return member_type, offset
            if not text:
                inner = self._member(self._resolve(member_type), name)
                if inner:
                    return inner[0], offset + inner[1]
        return None
