"""`python3 -m ebpftop.collector.symboliser`: the helper process that names addresses.

BCC's symboliser comes with libLLVM, 70 MB that the collector is to be spared. It serves one socket,
its standard input, and ends when that closes, however the collector came to its end.

A request is a line of JSON, `[[pid, serial, [address, ...]], ...]`, with pid -1 for the kernel; the
answer a line with a list of names for each. Names are never empty: an address that has no name is
`[module+0x1f]` or `[unknown]`. A new serial means that the process is another one than before.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNEL = -1
UNKNOWN = "[unknown]"
NAME_LIMIT = 200
PROCESSES = 16  # symbol tables kept at a time
REFRESH_S = 5.0  # a process is asked for new libraries at most so often
FUNCTION_LIMIT = 1 << 16  # further behind a kernel symbol than this is somewhere else
RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


class Symbol(ctypes.Structure):
    """`struct bcc_symbol` (src/cc/bcc_syms.h)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("demangled", ctypes.c_char_p),
        ("module", ctypes.c_char_p),
        ("offset", ctypes.c_uint64),
    )


class Tables:
    """The symbol tables of one process, or of the kernel."""

    def __init__(self, lib: ctypes.CDLL, pid: int) -> None:
        self._lib = lib
        self._pid = pid
        self._tables = lib.bcc_symcache_new(pid, None)
        self._read_s = time.monotonic()
        self._ranges: list[tuple[int, int, int]] | None = None

    def name(self, address: int) -> str:
        """The function that an address belongs to."""
        symbol = Symbol()
        found = self._resolve(address, symbol)
        if not found and not symbol.module and self._read_again():
            found = self._resolve(address, symbol)
        if not found:
            return self._place(address, symbol)
        text = symbol.demangled or symbol.name
        self._lib.bcc_symbol_free_demangle_name(ctypes.byref(symbol))
        return clean(text) or UNKNOWN

    def _place(self, address: int, symbol: Symbol) -> str:
        """Where an address is that has no name: in which file, and how far from its beginning."""
        module = os.path.basename(clean(symbol.module or b"")).strip("[]")
        if not module:
            return UNKNOWN
        offset = symbol.offset
        if offset == address:  # a file that BCC cannot read: deleted, or in memory only
            offset = self._file_offset(address)
        return f"[{module.removesuffix(' (deleted)')}+{offset:#x}]"

    def _file_offset(self, address: int) -> int:
        if self._ranges is None:
            self._ranges = list(_ranges(self._pid))
        for start, end, offset in self._ranges:
            if start <= address < end:
                return address - start + offset
        return address

    def free(self) -> None:
        """Give the tables back."""
        self._lib.bcc_free_symcache(self._tables, self._pid)

    def _resolve(self, address: int, symbol: Symbol) -> bool:
        if self._lib.bcc_symcache_resolve(self._tables, address, ctypes.byref(symbol)) < 0:
            return False
        # BCC knows where kernel symbols begin, but not where they end.
        return self._pid != KERNEL or symbol.offset < FUNCTION_LIMIT

    def _read_again(self) -> bool:
        """Libraries may have been loaded, code compiled, or modules inserted since."""
        now_s = time.monotonic()
        if now_s - self._read_s < REFRESH_S:
            return False
        self._read_s = now_s
        if self._pid == KERNEL:
            self.free()
            self._tables = self._lib.bcc_symcache_new(KERNEL, None)
            return True
        if not Path(f"/proc/{self._pid}").exists():
            return False  # what is known of it would be forgotten
        self._lib.bcc_symcache_refresh(self._tables)
        self._ranges = None
        return True


def _ranges(pid: int) -> Iterator[tuple[int, int, int]]:
    """First address, end and file offset of what a process has mapped to run (proc(5), maps)."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        addresses, rights, offset, *_ = line.split()
        if "x" in rights:
            start, _, end = addresses.partition("-")
            yield int(start, 16), int(end, 16), int(offset, 16)


class Symboliser:
    """Names addresses; keeps the tables of the kernel and of the processes asked for last."""

    def __init__(self) -> None:
        """Raises OSError where libbcc cannot be loaded."""
        lib = ctypes.CDLL("libbcc.so.0")
        lib.bcc_symcache_new.argtypes = [ctypes.c_int, ctypes.c_void_p]
        lib.bcc_symcache_new.restype = ctypes.c_void_p
        lib.bcc_free_symcache.argtypes = [ctypes.c_void_p, ctypes.c_int]
        lib.bcc_symcache_refresh.argtypes = [ctypes.c_void_p]
        resolve = lib.bcc_symcache_resolve
        resolve.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(Symbol)]
        lib.bcc_symbol_free_demangle_name.argtypes = [ctypes.POINTER(Symbol)]
        self._lib = lib
        self._kernel = Tables(lib, KERNEL)
        self._kernel.name(0)  # reads /proc/kallsyms, a tenth of a second, before anyone waits
        self._processes: OrderedDict[int, tuple[int, Tables]] = OrderedDict()

    def names(self, pid: int, serial: int, addresses: list[int]) -> list[str]:
        """A name for each address."""
        tables = self._kernel if pid == KERNEL else self._tables(pid, serial)
        return [tables.name(address) for address in addresses]

    def _tables(self, pid: int, serial: int) -> Tables:
        known = self._processes.pop(pid, None)
        if known and known[0] != serial:
            known[1].free()
            known = None
        self._processes[pid] = known or (serial, Tables(self._lib, pid))
        if len(self._processes) > PROCESSES:
            self._processes.popitem(last=False)[1][1].free()
        return self._processes[pid][1]


def clean(name: bytes) -> str:
    """A name that may stand in a folded stack: printable, without `;`, not endless."""
    text = RUST_HASH.sub("", name.decode(errors="replace").strip())
    text = "".join(c if c.isprintable() else "?" for c in text).replace(";", ":")
    return text if len(text) <= NAME_LIMIT else text[: NAME_LIMIT - 1] + "…"


def serve(channel: socket.socket, symboliser: Symboliser) -> None:
    """Answer each line of the channel until it closes."""
    for line in _lines(channel):
        answer = [symboliser.names(*request) for request in json.loads(line)]
        channel.sendall(json.dumps(answer).encode() + b"\n")


def _lines(channel: socket.socket) -> Iterator[bytes]:
    rest = b""
    while data := channel.recv(1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def main() -> None:
    """Serve standard input, which is a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is the collector's
    channel = socket.socket(fileno=0)
    # The collector may go away before it has its answer.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(channel, Symboliser())


if __name__ == "__main__":
    main()
