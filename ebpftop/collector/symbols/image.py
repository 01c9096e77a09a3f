"""What is known of one ELF file: its own symbols, and those kept apart from it."""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ebpftop.collector.symbols import files
from ebpftop.collector.symbols.demangle import demangled
from ebpftop.collector.symbols.elf import (
    SHT_DYNSYM,
    SHT_SYMTAB,
    START_BYTES,
    DamagedError,
    Elf,
    Function,
    Functions,
    keeps_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpftop.collector.symbols.elf import Section
    from ebpftop.collector.symbols.files import Content, File

KNOWN_LIMIT = 20_000
BYTES_EACH = 12
PACKED_BYTES = 8 << 20
UNPACKED_BYTES = 32 << 20
UNPACK_MEMORY = 64 << 20
APART_BYTES = 1 << 28  # of a file with symbols, of which the whole is read for its checksum
KEPT_BYTES = 48 << 20  # of such a file's symbols
PIECE = 1 << 20


class Name(NamedTuple):
    """A function's name, and whether a walk passes over who called it."""

    text: str
    frameless: bool = False


class Layer(NamedTuple):
    """A symbol table, and where it lies: None for in the file itself."""

    functions: Functions
    content: Content | None


class Image:
    """The functions of one file."""

    def __init__(
        self, content: Content, path: str, opens: tuple[Callable[[str], int], ...]
    ) -> None:
        """`path` is where it was found, `opens` are ways to open files that belong to it."""
        self._layers: list[Layer] = []
        self._known: dict[int, Name | None] = {}
        self._elf: Elf | None = None
        try:
            self._elf = Elf(content)
            self._read(self._elf, path, opens)
        except (DamagedError, OSError, MemoryError):
            pass  # what has been read until then is good
        if self._elf:
            self._elf.content = files.Memory(b"")  # the file is closed, and given anew to `name`

    @property
    def held_bytes(self) -> int:
        """Memory that it takes, but for names that were asked for."""
        kept = sum(layer.content.size for layer in self._layers if layer.content)
        return kept + sum(BYTES_EACH * len(layer.functions.starts) for layer in self._layers)

    def address(self, offset: int) -> int:
        """The address, as symbols count, of an offset in the file; without any, the offset."""
        found = self._elf.address(offset) if self._elf else None
        return offset if found is None else found

    def name(self, address: int, content: Content) -> Name | None:
        """The function that an address lies in, if that can be told.

        `content` is the file again: it is not kept open.
        """
        if address not in self._known:
            if len(self._known) >= KNOWN_LIMIT:
                self._known.clear()
            self._known[address] = self._find(address, content)
        return self._known[address]

    def _find(self, address: int, content: Content) -> Name | None:
        elf = self._elf
        if elf is None:
            return None
        for layer in self._layers:
            try:
                found = layer.functions.find(address, layer.content or content)
            except (DamagedError, OSError):
                continue
            if found and found.name:
                return Name(demangled(found.name), not _keeps_frame(elf, content, found, address))
        if elf.entry and 0 <= address - elf.entry < START_BYTES:
            return Name("_start")
        return None

    def _read(self, elf: Elf, path: str, opens: tuple[Callable[[str], int], ...]) -> None:
        if self._add(elf, SHT_SYMTAB, None):
            return
        if not self._add_apart(elf, path, opens):
            self._add_packed(elf)
        self._add(elf, SHT_DYNSYM, None)

    def _add(self, elf: Elf, kind: int, content: Content | None) -> bool:
        table = _table(elf, kind)
        if table is None:
            return False
        functions = Functions(elf, table, complete=kind == SHT_SYMTAB)
        if functions.starts:
            self._layers.append(Layer(functions, content))
        return bool(functions.starts)

    def _add_apart(self, elf: Elf, path: str, opens: tuple[Callable[[str], int], ...]) -> bool:
        """Symbols in a file of their own, as distributions ship them (gdb, Debug Files)."""
        build_id = elf.build_id()
        link, checksum = _debug_link(elf)
        paths = []
        if len(build_id) > 1:
            digits = build_id.hex()
            paths.append(f"/usr/lib/debug/.build-id/{digits[:2]}/{digits[2:]}.debug")
        if link:
            folder = os.path.dirname(path)
            paths += [
                f"{folder}/{link}",
                f"{folder}/.debug/{link}",
                f"/usr/lib/debug{folder}/{link}",
            ]
        return any(
            self._add_if_same(opens_it, each, build_id, checksum)
            for each in paths
            for opens_it in opens
        )

    def _add_if_same(
        self, opens: Callable[[str], int], path: str, build_id: bytes, checksum: int
    ) -> bool:
        with suppress(DamagedError, OSError, MemoryError), files.opened(opens(path)) as file:
            elf = Elf(file)
            theirs = elf.build_id()
            same = build_id == theirs if build_id or theirs else _checksum(file) == checksum
            table = _table(elf, SHT_SYMTAB)
            if not same or table is None or table.link >= len(elf.sections):
                return False
            strings = elf.sections[table.link]
            if table.size + strings.size <= KEPT_BYTES:
                return self._add(elf, SHT_SYMTAB, _Kept(file, (table, strings)))
        return False

    def _add_packed(self, elf: Elf) -> None:
        """Symbols in the section `.gnu_debugdata`, as Fedora has them (gdb, MiniDebugInfo)."""
        section = elf.section(".gnu_debugdata")
        if section is None or section.size > PACKED_BYTES:
            return
        try:
            import lzma  # not part of every Python, and seldom needed
        except ImportError:
            return
        unpack = lzma.LZMADecompressor(memlimit=UNPACK_MEMORY)
        try:
            data = unpack.decompress(elf.content.read(section.offset, section.size), UNPACKED_BYTES)
        except (lzma.LZMAError, EOFError):
            return
        packed = Elf(files.Memory(data))
        self._add(packed, SHT_SYMTAB, packed.content)


class _Kept:
    """Sections of a file, kept when that is closed."""

    def __init__(self, file: File, sections: tuple[Section, ...]) -> None:
        self._pieces = [(s.offset, file.read(s.offset, s.size)) for s in sections]
        self.size = sum(len(data) for _, data in self._pieces)

    def read(self, offset: int, size: int) -> bytes:
        """A piece of a section; empty elsewhere."""
        for start, data in self._pieces:
            if start <= offset < start + len(data):
                return data[offset - start : offset - start + size]
        return b""


def _table(elf: Elf, kind: int) -> Section | None:
    return next((section for section in elf.sections if section.kind == kind), None)


def _keeps_frame(elf: Elf, content: Content, function: Function, address: int) -> bool:
    try:
        return keeps_frame(elf, content, function, address)
    except OSError:
        return True


def _debug_link(elf: Elf) -> tuple[str, int]:
    """Name and checksum of the file with the symbols."""
    section = elf.section(".gnu_debuglink")
    data = elf.content.read(section.offset, min(section.size, 4096)) if section else b""
    name = data.split(b"\0", 1)[0]
    if len(data) < 8 or not name or b"/" in name or name in (b".", b".."):
        return "", 0
    (checksum,) = struct.unpack(elf.order + "I", data[-4:])
    return os.fsdecode(name), checksum


def _checksum(file: File) -> int:
    if file.size > APART_BYTES:
        return -1
    checksum = 0
    for offset in range(0, file.size, PIECE):
        checksum = zlib.crc32(file.read(offset, PIECE), checksum)
    return checksum
