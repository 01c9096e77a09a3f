"""Files of other processes: opened without side effects, and read without trust."""

from __future__ import annotations

import ctypes
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/linux/openat2.h; Linux 5.6
OPENAT2 = 437
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10
O_PATH = os.O_PATH | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK

# Device, inode, size and time of the last change: a file, and what it held.
Identity = tuple[int, int, int, int]


class Content(Protocol):
    """Bytes that can be read in pieces."""

    size: int

    def read(self, offset: int, size: int) -> bytes:
        """A piece; shorter where it lies beyond the end."""
        ...


class Memory:
    """Bytes at hand."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """A piece; shorter where it lies beyond the end."""
        return self._data[offset : offset + size]


class File:
    """A regular file of another process; opened for reading when something is read."""

    def __init__(self, place: int) -> None:
        """`place` is a descriptor opened with O_PATH. Raises OSError where it is no regular file.

        A device would already act upon being opened, and a pipe would wait.
        """
        self.status = os.fstat(place)
        if not stat.S_ISREG(self.status.st_mode):
            raise OSError("not a regular file")
        self.size = self.status.st_size
        self._place = place
        self._file = -1

    @property
    def identity(self) -> Identity:
        """What tells it, and what it holds, from others."""
        status = self.status
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def read(self, offset: int, size: int) -> bytes:
        """A piece; shorter where it lies beyond the end. Raises OSError."""
        if not 0 <= offset < self.size:
            return b""
        if self._file < 0:
            self._file = os.open(f"/proc/self/fd/{self._place}", READ)
        return os.pread(self._file, min(size, self.size - offset), offset)

    def close(self) -> None:
        """Let go of it, so that its file system can be unmounted."""
        os.close(self._place)
        if self._file >= 0:
            os.close(self._file)


class _How(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def _open_in(root: str, path: str, flags: int) -> int:
    """Open a path as a process with that root would, wherever symbolic links lead."""
    folder = os.open(root, O_PATH)
    try:
        how = _How(flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
        size = ctypes.c_size_t(ctypes.sizeof(how))
        found = _libc.syscall(
            ctypes.c_long(OPENAT2), folder, os.fsencode(path), ctypes.byref(how), size
        )
        if found < 0:
            raise OSError(ctypes.get_errno(), "openat2", path)
        return int(found)
    finally:
        os.close(folder)


@contextmanager
def opened(place: int) -> Iterator[File]:
    """A file from its O_PATH descriptor, which is closed in the end. Raises OSError."""
    try:
        file = File(place)
    except OSError:
        os.close(place)
        raise
    try:
        yield file
    finally:
        file.close()


def place_in(pid: int, path: str, flags: int = 0) -> int:
    """O_PATH descriptor of a path as a process sees it. Raises OSError."""
    return _open_in(f"/proc/{pid}/root", path, O_PATH | flags)


def place_here(path: str) -> int:
    """O_PATH descriptor of a path as this process sees it. Raises OSError."""
    return _open_in("/", path, O_PATH)
