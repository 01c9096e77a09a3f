"""What a process has mapped to run, and how the files behind it are opened."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ebpftop.collector.symbols import files

MAPPINGS_LIMIT = 20_000
VDSO = "[vdso]"
VDSO_BYTES = 1 << 16
DELETED = " (deleted)"
SAME_START_NS = 20_000_000  # /proc counts in ticks of 10 ms
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Mapping(NamedTuple):
    """Memory that may be run: a line of /proc/PID/maps (proc(5))."""

    start: int
    end: int
    offset: int
    device: int
    inode: int
    path: str

    @property
    def file_name(self) -> str:
        """Name of the file; empty for memory without one."""
        return os.path.basename(self.path.removesuffix(DELETED)).strip("[]")


class Process:
    """A process as it was when it was last looked at; what it had mapped stays when it has gone."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.users: tuple[int, ...] = ()
        self.start_s = 0.0
        self.perf_map = ""
        self._mappings: list[Mapping] = []
        self._starts: list[int] = []

    def look(self, start_ns: int) -> None:
        """Look again, if it is still the process that began then (0: not known)."""
        with suppress(OSError, ValueError, IndexError, StopIteration):
            began_ns = self._began_ns()
            if start_ns and abs(began_ns - start_ns) > SAME_START_NS:
                return  # another has got its id
            mappings = self._read_mappings()
            self._read_status()
            # Was it the same all along?
            if mappings and self._began_ns() == began_ns:
                self._mappings = mappings
                self._starts = [mapping.start for mapping in mappings]
                since_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began_ns
                self.start_s = time.time() - since_ns / 1e9

    def mapping(self, address: int) -> Mapping | None:
        """The mapping that an address lies in."""
        place = bisect_right(self._starts, address) - 1
        if place >= 0 and address < self._mappings[place].end:
            return self._mappings[place]
        return None

    def open(self, mapping: Mapping) -> int:
        """O_PATH descriptor of the very file that is mapped, be it deleted. Raises OSError."""
        link = f"/proc/{self.pid}/map_files/{mapping.start:x}-{mapping.end:x}"
        with suppress(OSError):
            return os.open(link, files.O_PATH)
        # It has gone, or this is not allowed: the same file by its path, if that is there yet.
        for open_path in (self.open_path, files.place_here):
            with suppress(OSError):
                place = open_path(mapping.path)
                status = os.fstat(place)
                if (status.st_dev, status.st_ino) == (mapping.device, mapping.inode):
                    return place
                os.close(place)
        raise OSError("the file cannot be reached")

    def open_path(self, path: str) -> int:
        """O_PATH descriptor of a path as the process sees it. Raises OSError."""
        return files.place_in(self.pid, path)

    def read_vdso(self, mapping: Mapping) -> bytes:
        """The kernel's own library, which is in memory only. Raises OSError."""
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, min(mapping.end - mapping.start, VDSO_BYTES), mapping.start)
        finally:
            os.close(memory)

    def _began_ns(self) -> int:
        text = Path(f"/proc/{self.pid}/stat").read_bytes()
        return int(text[text.rindex(b")") + 2 :].split()[19]) * _TICK_NS

    def _read_status(self) -> None:
        fields = {}
        for line in Path(f"/proc/{self.pid}/status").read_bytes().splitlines():
            name, _, value = line.partition(b":")
            fields[name] = value.split()
        real, effective, *_ = map(int, fields.get(b"Uid", [b"0", b"0"]))
        self.users = (real, effective)
        inside = int(fields.get(b"NSpid", [b"0"])[-1]) or self.pid
        self.perf_map = f"/tmp/perf-{inside}.map"

    def _read_mappings(self) -> list[Mapping]:
        found = []
        with open(f"/proc/{self.pid}/maps", "rb") as lines:
            for line in lines:
                fields = line.split(None, 5)
                if b"x" not in fields[1]:
                    continue
                start, _, end = fields[0].partition(b"-")
                major, _, minor = fields[3].partition(b":")
                path = os.fsdecode(fields[5].rstrip(b"\n")) if len(fields) > 5 else ""
                found.append(
                    Mapping(
                        int(start, 16),
                        int(end, 16),
                        int(fields[2], 16),
                        os.makedev(int(major, 16), int(minor, 16)),
                        int(fields[4]),
                        path.replace("\\012", "\n"),
                    )
                )
                if len(found) == MAPPINGS_LIMIT:
                    break
        return found
