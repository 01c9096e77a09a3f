"""ELF files made by hand: as much of them as naming functions needs."""

from __future__ import annotations

import struct
from typing import NamedTuple

TEXT_AT, TEXT_ADDRESS, TEXT_SIZE = 0x1000, 0x401000, 0x1000
LOCAL, GLOBAL, WEAK = 0, 1, 2
FUNCTION, OBJECT = 2, 1
FRAME = b"\x55\x48\x89\xe5"  # push %rbp; mov %rsp,%rbp


class Symbol(NamedTuple):
    name: str
    start: int  # from the beginning of the code
    size: int = 16
    binding: int = GLOBAL
    kind: int = FUNCTION
    section: int = 1


def elf(
    symbols: list[Symbol],
    *,
    exported: list[Symbol] = (),  # type: ignore[assignment]
    wide: bool = True,
    order: str = "<",
    code: bytes = b"",
    entry: int = 0,
    build_id: bytes = b"",
    sections: dict[str, bytes] | None = None,
) -> bytes:
    """A program whose code is mapped at TEXT_ADDRESS, from TEXT_AT in the file on."""
    header = 64 if wide else 52
    note = struct.pack(order + "III", 4, len(build_id), 3) + b"GNU\0" + build_id
    body = bytearray(TEXT_AT + TEXT_SIZE)
    body[TEXT_AT : TEXT_AT + len(code)] = code
    parts: list[tuple[str, int, bytes, int]] = [("", 0, b"", 0)]  # name, kind, data, link
    for table, strings, kind, wanted in (
        (".symtab", ".strtab", 2, symbols),
        (".dynsym", ".dynstr", 11, list(exported)),
    ):
        if wanted:
            names = b"\0" + b"\0".join(s.name.encode() for s in wanted) + b"\0"
            parts.append((table, kind, _table(wanted, names, wide, order), len(parts) + 1))
            parts.append((strings, 3, names, 0))
    parts += [(name, 1, data, 0) for name, data in (sections or {}).items()]
    shstrtab = b"\0".join(name.encode() for name, *_ in parts) + b"\0.shstrtab\0"
    parts.append((".shstrtab", 3, shstrtab, 0))
    headers = b""
    for name, kind, data, link in parts:
        at = shstrtab.index(name.encode() + b"\0")
        if wide:
            fields = (at, kind, 0, 0, len(body), len(data), link, 0, 1, 0)
            headers += struct.pack(order + "IIQQQQIIQQ", *fields)
        else:
            headers += struct.pack(
                order + "10I", at, kind, 0, 0, len(body), len(data), link, 0, 1, 0
            )
        body += data
    note_at = len(body)
    body += note
    segments = _segments(wide, order, note_at, len(note))
    layout = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    where = (header, len(body))
    sizes = (header, 56 if wide else 32, 2, 64 if wide else 40, len(parts), len(parts) - 1)
    body[:header] = ident + struct.pack(layout, 2, 62, 1, entry, *where, 0, *sizes)
    body[header : header + len(segments)] = segments
    return bytes(body + headers)


def _table(symbols: list[Symbol], names: bytes, wide: bool, order: str) -> bytes:
    table = bytes(24 if wide else 16)
    for name, start, size, binding, kind, section in symbols:
        at, info = names.index(b"\0" + name.encode() + b"\0") + 1, binding << 4 | kind
        value = TEXT_ADDRESS + start
        if wide:
            table += struct.pack(order + "IBBHQQ", at, info, 0, section, value, size)
        else:
            table += struct.pack(order + "IIIBBH", at, value, size, info, 0, section)
    return table


def _segments(wide: bool, order: str, note_at: int, note_size: int) -> bytes:
    segments = b""
    for kind, flags, at, address, size in (
        (1, 5, TEXT_AT, TEXT_ADDRESS, TEXT_SIZE),
        (4, 4, note_at, 0, note_size),
    ):
        if wide:
            fields = (kind, flags, at, address, address, size, size, 1)
            segments += struct.pack(order + "IIQQQQQQ", *fields)
        else:
            segments += struct.pack(order + "8I", kind, at, address, address, size, size, flags, 1)
    return segments
