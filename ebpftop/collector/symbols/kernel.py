"""Functions of the kernel, from /proc/kallsyms."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from contextlib import suppress
from pathlib import Path

KALLSYMS = Path("/proc/kallsyms")
TEXT = b"TtWw"
# `ffffffff81000000 T name` or `ffffffffc0201000 t name\t[module]`.
KIND, NAME = 17, 19
FUNCTION_LIMIT = 1 << 16  # further behind a symbol than this is somewhere else


class Kernel:
    """Where the kernel's functions begin, 12 bytes each, and their names."""

    def __init__(self, path: Path = KALLSYMS) -> None:
        """Reads all; without any where the kernel hides its addresses."""
        self._path = path
        self.read()

    def read(self) -> None:
        """Read anew: modules may have been loaded."""
        self._starts, self._offsets, self._names = array("Q"), array("I"), bytearray()
        with suppress(OSError), self._path.open("rb") as lines:
            for line in lines:
                if line[KIND : KIND + 1] in TEXT:
                    self._starts.append(int(line[: KIND - 1], 16))
                    self._offsets.append(len(self._names))
                    self._names += line[NAME:]
        # Sorted but for modules and what is loaded later. Of names for one place, the kernel's own
        # backtraces take the first.
        order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        self._starts = array("Q", map(self._starts.__getitem__, order))
        self._offsets = array("I", map(self._offsets.__getitem__, order))

    def name(self, address: int) -> str:
        """The function that an address lies in; empty where there is none."""
        last = bisect_right(self._starts, address) - 1
        if last < 0:
            return ""
        start = self._starts[last]
        if not start or address - start >= FUNCTION_LIMIT:
            return ""
        at = self._offsets[bisect_left(self._starts, start)]
        name = self._names[at : self._names.index(b"\n", at)]
        return name.split(b"\t", 1)[0].decode(errors="replace")
