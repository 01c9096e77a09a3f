"""Perf maps: names of compiled code, as Java, Node, .NET and Python write them for profilers.

`/tmp/perf-PID.map`, with the process id and the /tmp that the process itself knows; each line is
`START SIZE NAME` in hexadecimal (linux/tools/perf/Documentation/jit-interface.txt). It grows while
code is compiled, and later lines replace earlier ones where code has moved.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

from ebpftop.collector.symbols import files

if TYPE_CHECKING:
    from ebpftop.collector.symbols.files import File
    from ebpftop.collector.symbols.process import Process

READ_LIMIT = 64 << 20  # of a larger one, what was written last
LINES_LIMIT = 1_000_000
PIECE = 1 << 20
LINE_BYTES = 1024
OVERLAPS = 64  # pieces of code looked at before the address
SIZE_LIMIT = 1 << 32
CLOCK_SLACK_S = 2.0


class PerfMap:
    """The perf map of one process."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._file = (0, 0)  # device and inode
        self._changed_ns = 0
        self._read_to = 0
        self._starts = array("Q")
        self._sizes = array("L")
        self._lines = array("Q")  # where they are in the file: the later, the truer

    def names(self, process: Process, addresses: list[int]) -> dict[int, str]:
        """Names of those addresses that lie in compiled code."""
        try:
            place = files.place_in(process.pid, process.perf_map, os.O_NOFOLLOW)
            with files.opened(place) as file:
                if not _is_of(file, process):
                    return {}
                self._read(file)
                found = {address: self._name(address, file) for address in addresses}
        except OSError:
            return {}
        return {address: name for address, name in found.items() if name}

    def _read(self, file: File) -> None:
        """What has been written since."""
        status = file.status
        rewritten = status.st_size == self._read_to and status.st_mtime_ns != self._changed_ns
        if self._file != file.identity[:2] or status.st_size < self._read_to or rewritten:
            self._forget()
            self._read_to = max(0, status.st_size - READ_LIMIT)
        self._file, self._changed_ns = file.identity[:2], status.st_mtime_ns
        before = len(self._starts)
        while before < LINES_LIMIT:
            piece = file.read(self._read_to, PIECE)
            whole, newline, _ = piece.rpartition(b"\n")
            if not newline:
                break
            self._add(whole)
            self._read_to += len(whole) + 1
            if len(self._starts) > LINES_LIMIT:
                break
        if len(self._starts) > before:
            self._sort()

    def _add(self, text: bytes) -> None:
        at = self._read_to
        for line in text.split(b"\n"):
            try:
                start, size, _ = line.split(b" ", 2)
                first, length = int(start, 16), int(size, 16)
            except ValueError:
                first = length = 0
            if 0 < length < SIZE_LIMIT and 0 <= first < 1 << 64:
                self._starts.append(first)
                self._sizes.append(length)
                self._lines.append(at)
            at += len(line) + 1

    def _sort(self) -> None:
        order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        for name in ("_starts", "_sizes", "_lines"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, map(column.__getitem__, order)))

    def _name(self, address: int, file: File) -> str:
        last = bisect_right(self._starts, address) - 1
        covering = [
            self._lines[place]
            for place in range(last, max(-1, last - OVERLAPS), -1)
            if address < self._starts[place] + self._sizes[place]
        ]
        if not covering:
            return ""
        line = file.read(max(covering), LINE_BYTES).split(b"\n", 1)[0]
        try:
            start, size, name = line.split(b" ", 2)
            here = int(start, 16) <= address < int(start, 16) + int(size, 16)
        except ValueError:
            here = False
        if not here:  # somebody has written over what was read
            self._forget()
            return ""
        return name.decode(errors="replace")


def _is_of(file: File, process: Process) -> bool:
    """Whether the process itself, or root, has written the file, and in its own lifetime."""
    owner, changed_s = file.status.st_uid, file.status.st_mtime
    return owner in (0, *process.users) and changed_s >= process.start_s - CLOCK_SLACK_S
