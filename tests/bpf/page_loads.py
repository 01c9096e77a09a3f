"""Loads of known pages, on the file system of the temporary directory."""

from __future__ import annotations

import mmap
import os
import resource
from pathlib import Path

import pytest

from ebpftop.collector.running import MISSED

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
PAGES = 64 * MIB // PAGE
TRIES = 5
FIGURES = ("hits", "misses", "dirtied", "faults", "major_faults", "added")
# A miss that comes to light an interval late is said, and is right in the sum of the two.
LATE = "misses that the interval before had counted as hits"


def opened(path, flags=os.O_RDONLY):
    return os.fdopen(os.open(path, flags, 0o600), "rb" if flags == os.O_RDONLY else "wb", 0)


def forget(*paths):
    """Write back and drop from the cache."""
    for path in paths:
        with opened(path) as handle:
            os.fsync(handle.fileno())
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(path, size):
    """Read a file, but not on at its end, where 5.10 brings in one more page."""
    left = path.stat().st_size
    with opened(path) as handle:
        while left > 0:
            left -= len(os.read(handle.fileno(), size))


def pread(path, places, hint=os.POSIX_FADV_NORMAL):
    """Read `(offset, size)` each."""
    with opened(path) as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, hint)
        for offset, size in places:
            os.pread(handle.fileno(), size, offset)


def write(path, size, times):
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as handle:
        for _ in range(times):
            os.write(handle.fileno(), bytes(size))


def pages_from_disk():
    """What this process has had read from disk, by the kernel's account."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes")) / PAGE


def of_cached(count, prepare, load, misses=0):
    """Figures of a load that had just so many pages read from disk.

    Some kernels take idle pages from the cache by themselves (DAMON, on the machine that this was
    written on): where /proc/self/io tells that a load met that, it is prepared and done again. So
    it is where the kernel left out runs of programs, and the figures are None.
    """
    for _ in range(TRIES):
        prepare()
        before = pages_from_disk()
        figures = count(load)
        if figures is not None and pages_from_disk() - before == misses:
            return figures
    pytest.fail("the kernel took cached pages away each time, or left out runs of programs")


class Mapped:
    """Touches pages of a mapped file; `faults` and `major` are what the kernel counted of it."""

    def __init__(self, path, step, advice=mmap.MADV_NORMAL):
        self._path, self._step, self._advice = path, step, advice

    def __call__(self):
        with (
            opened(self._path) as handle,
            mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ) as pages,
        ):
            pages.madvise(self._advice)
            before = resource.getrusage(resource.RUSAGE_SELF)
            for offset in range(0, len(pages), self._step):
                pages[offset]
            after = resource.getrusage(resource.RUSAGE_SELF)
        self.major = after.ru_majflt - before.ru_majflt
        self.faults = self.major + after.ru_minflt - before.ru_minflt


class Watch:
    """What a session says of this process."""

    def __init__(self, session):
        self.session = session
        self._lost = session.lost("cachestat")
        self.begin()

    def spoilt(self):
        """Whether anything was lost since it was last asked, where the kernel leaves out programs.

        `lost` does not tell of that again.
        """
        if MISSED not in self.session.lost("cachestat"):
            return False
        lost, self._lost = self.lost(), self.session.lost("cachestat")
        return bool(lost)

    def begin(self):
        """Count from now on."""
        self.session.settle("cachestat")
        self._since = len(self.session.samples("cachestat"))

    def figures(self):
        """The figures until now."""
        self.session.settle("cachestat")
        rows = self.session.rows("cachestat", "access", self._since)
        assert all(row[name] >= 0 for row in rows for name in FIGURES)
        mine = [row for row in rows if row["pid"] == os.getpid()]
        return {name: sum(row[name] for row in mine) for name in FIGURES}

    def lost(self):
        """What has been lost since it was made."""
        lost = self.session.lost("cachestat")
        return {reason for reason in lost if lost[reason] > self._lost.get(reason, 0)} - {LATE}
