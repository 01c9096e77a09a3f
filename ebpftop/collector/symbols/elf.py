"""Functions of ELF files (elf(5)): where they begin, their names, whether they keep frames.

A symbol table is read once into two sorted arrays, 12 bytes a function; names and sizes are read
from the file when they are asked for.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ebpftop.collector.symbols.files import Content

PT_LOAD, PT_NOTE, PF_X = 1, 4, 1
SHT_SYMTAB, SHT_NOBITS, SHT_DYNSYM = 2, 8, 11
FUNCTIONS = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
NT_GNU_BUILD_ID = 3
SYMBOLS_LIMIT = 2_000_000
NAME_BYTES = 4096
NOTE_BYTES = 4096
CODE_BYTES = 4096
START_BYTES = 64  # _start is not longer
NESTED = 16  # symbols looked at before the address until one reaches over it
ALIASES = 8
SIGNAL_RETURN = (b"__restore_rt", b"__restore", b"__kernel_rt_sigreturn")
X86_64, AARCH64 = 62, 183


class DamagedError(ValueError):
    """A file that is not what its header says."""


class Section(NamedTuple):
    """A part of the file."""

    name: str
    kind: int
    offset: int
    size: int
    link: int


class Segment(NamedTuple):
    """A part of the file that is mapped to run."""

    offset: int
    address: int
    size: int


class Function(NamedTuple):
    """The function that an address lies in; `size` is 0 where the file does not say."""

    name: bytes
    start: int
    size: int


class Layout(NamedTuple):
    """How the structures of 32-bit and 64-bit files are laid out."""

    header: str
    segment: str
    section: str
    symbol: str
    functions: str  # of a symbol: value, type and section, in the order of `symbol`


LAYOUTS = {
    1: Layout("16xHHIIIIIHHHHHH", "IIIIIIII", "IIIIIIIIII", "IIIBBH", "4xI4xBxH"),
    2: Layout("16xHHIQQQIHHHHHH", "IIQQQQQQ", "IIQQQQIIQQ", "IBBHQQ", "4xBxHQ8x"),
}


class Elf:
    """Headers of a file."""

    def __init__(self, content: Content) -> None:
        """Raises DamagedError, and OSError where it cannot be read."""
        ident = content.read(0, 16)
        if len(ident) < 16 or ident[:4] != b"\x7fELF" or ident[4] not in LAYOUTS:
            raise DamagedError("not ELF")
        self.content = content
        self.wide = ident[4] == 2
        self.order = ">" if ident[5] == 2 else "<"
        self.layout = LAYOUTS[ident[4]]
        (header,) = self._all(self.layout.header, 0, 1)
        (_, self.machine, _, self.entry, segments, sections, _, _) = header[:8]
        segment_size, segment_number, section_size, section_number, names = header[8:]
        if segment_size == self._size(self.layout.segment):
            self._read_segments(segments, segment_number)
        else:
            raise DamagedError("no segments")
        self.sections: list[Section] = []
        if section_number and section_size == self._size(self.layout.section):
            self._read_sections(sections, section_number, names)

    def _size(self, layout: str) -> int:
        return struct.calcsize(self.order + layout)

    def _all(self, layout: str, offset: int, number: int) -> list[tuple[int, ...]]:
        size = self._size(layout) * number
        data = self.content.read(offset, size)
        if len(data) < size:
            raise DamagedError("headers beyond the end")
        return list(struct.iter_unpack(self.order + layout, data))

    def _read_segments(self, offset: int, number: int) -> None:
        self.segments: list[Segment] = []
        self._notes: list[tuple[int, int]] = []
        for segment in self._all(self.layout.segment, offset, number):
            if self.wide:
                kind, flags, place, address, _, size, *_ = segment
            else:
                kind, place, address, _, size, _, flags, _ = segment
            if kind == PT_LOAD and flags & PF_X:
                self.segments.append(Segment(place, address, size))
            elif kind == PT_NOTE:
                self._notes.append((place, size))

    def _read_sections(self, offset: int, number: int, names: int) -> None:
        headers = self._all(self.layout.section, offset, number)
        strings = b""
        if names < number:
            strings = self.content.read(headers[names][4], min(headers[names][5], 1 << 20))
        for name, kind, _, _, place, size, link, *_ in headers:
            text = strings[name : name + 64].split(b"\0", 1)[0].decode(errors="replace")
            self.sections.append(Section(text, kind, place, size, link))

    def section(self, name: str) -> Section | None:
        """The section of a name that holds anything."""
        for section in self.sections:
            if section.name == name and section.kind != SHT_NOBITS and section.size:
                return section
        return None

    def address(self, offset: int) -> int | None:
        """The address, as symbols count, of an offset in the file."""
        for segment in self.segments:
            if segment.offset <= offset < segment.offset + segment.size:
                return offset - segment.offset + segment.address
        return None

    def build_id(self) -> bytes:
        """The build id; empty without one."""
        for offset, size in self._notes:
            data = self.content.read(offset, min(size, NOTE_BYTES))
            while len(data) >= 12:
                name, length, kind = struct.unpack_from(self.order + "III", data)
                value = 12 + (name + 3 & ~3)
                if kind == NT_GNU_BUILD_ID and data[12 : 12 + name] == b"GNU\0":
                    return data[value : value + length][:64]
                data = data[value + (length + 3 & ~3) :]
        return b""


class Functions:
    """The functions of one symbol table."""

    def __init__(self, elf: Elf, table: Section, complete: bool) -> None:
        """`complete`: that the table lacks no function, as `.dynsym` does."""
        self._elf = elf.order, elf.wide, elf.layout
        self._entry = struct.calcsize(elf.order + elf.layout.symbol)
        self._table = table
        self._complete = complete
        self._strings = Section("", 0, 0, 0, 0)
        if table.link < len(elf.sections):
            self._strings = elf.sections[table.link]
        self.starts = array("Q")
        self._entries = array("I")
        self._read(elf)

    def _read(self, elf: Elf) -> None:
        number = min(self._table.size // self._entry, SYMBOLS_LIMIT)
        data = elf.content.read(self._table.offset, number * self._entry)
        data = data[: len(data) - len(data) % self._entry]
        symbols = struct.iter_unpack(elf.order + elf.layout.functions, data)
        if elf.wide:
            found = [
                value << 24 | index
                for index, (info, section, value) in enumerate(symbols)
                if info & 15 in FUNCTIONS and section
            ]
        else:
            found = [
                value << 24 | index
                for index, (value, info, section) in enumerate(symbols)
                if info & 15 in FUNCTIONS and section
            ]
        found.sort()
        self.starts = array("Q", [both >> 24 for both in found])
        self._entries = array("I", [both & 0xFFFFFF for both in found])

    def find(self, address: int, content: Content) -> Function | None:
        """The function that an address lies in, and no other near it."""
        last = bisect_right(self.starts, address) - 1
        for place in range(last, max(-1, last - NESTED), -1):
            start = self.starts[place]
            _, _, size = self._symbol(place, content)
            if address < start + size:
                return Function(self._name(start, size, content), start, size)
        # A signal's handler returns to the beginning of a function that never called it.
        if last + 1 < len(self.starts) and self.starts[last + 1] == address + 1:
            name = self._name(address + 1, self._symbol(last + 1, content)[2], content)
            if name in SIGNAL_RETURN:
                return Function(name, address + 1, 0)
        # Hand-written code may not say how long it is.
        if last >= 0 and self._complete and self._symbol(last, content)[2] == 0:
            start = self.starts[last]
            return Function(self._name(start, 0, content), start, 0)
        return None

    def _symbol(self, place: int, content: Content) -> tuple[int, int, int]:
        """Offset of the name, binding and size."""
        order, wide, layout = self._elf
        data = content.read(self._table.offset + self._entries[place] * self._entry, self._entry)
        if len(data) < self._entry:
            raise DamagedError("symbols beyond the end")
        fields = struct.unpack(order + layout.symbol, data)
        if wide:
            name, info, _, _, _, size = fields
        else:
            name, _, size, info, _, _ = fields
        return name, info >> 4, size

    def _name(self, start: int, size: int, content: Content) -> bytes:
        """The name that programmers use, of all that stand for the same place."""
        first = bisect_left(self.starts, start)
        names = []
        for place in range(first, min(first + ALIASES, len(self.starts))):
            if self.starts[place] != start:
                break
            name, binding, length = self._symbol(place, content)
            if length != size or name >= self._strings.size:
                continue
            room = min(NAME_BYTES, self._strings.size - name)
            text = content.read(self._strings.offset + name, room).split(b"\0", 1)[0]
            underscores = len(text) - len(text.lstrip(b"_"))
            names.append((not text, binding == 0, underscores, len(text), text))
        return min(names)[-1] if names else b""


def keeps_frame(elf: Elf, content: Content, function: Function, address: int) -> bool:
    """Whether a function has set the frame pointer when it has come to an address.

    True where that cannot be told. Where it has not, the frame pointer is that of who called it,
    and a walk along frame pointers passes over that one.
    """
    place = next((s for s in elf.segments if 0 <= function.start - s.address < s.size), None)
    if place is None or b".cold" in function.name:  # the beginning is elsewhere
        return True
    offset = function.start - place.address + place.offset
    code = content.read(offset, min(address - function.start + 1, CODE_BYTES))
    if elf.machine == X86_64:
        # mov %rsp,%rbp in both encodings; lea N(%rsp),%rbp.
        return any(sets in code for sets in (b"\x48\x89\xe5", b"\x48\x8b\xec", b"\x48\x8d\x6c\x24"))
    if elf.machine == AARCH64:
        words = struct.iter_unpack("<I", code[: len(code) & ~3])
        return any(word & 0xFFC003FF == 0x910003FD for (word,) in words)  # add x29, sp, #N
    return True
