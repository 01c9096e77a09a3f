"""Writes a recording: every tick is in the file before the next begins, every chunk on the disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from ebpftop.model import Hello
from ebpftop.recording.chunker import Chunker
from ebpftop.recording.container import (
    LEVEL,
    TRAILER_MAGIC,
    encode_header,
    encode_index,
    encode_trailer,
    header_of,
    skippable,
)
from ebpftop.recording.tape import RecordingError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ebpftop.model import Record

MODE = 0o600
# Whoever looks whether a file is being written holds it for a moment.
LOCK_PAUSE_S, LOCK_S, LOCK_OWN_S = 0.005, 0.1, 5.0


class Quota(Protocol):
    """Who watches over the space that a recording takes."""

    def reserve(self, size: int) -> None:
        """The file is about to become so long; raises RecordingError where it must not."""

    def relieve(self, size: int) -> bool:
        """The disk is full, and so many bytes are to be written; returns whether to try again."""


class Writer:
    """A file that is being recorded; nobody else may write it meanwhile.

    Attributes:
        path: where it is.
        bytes: its length so far.
        ticks: how many are in it.
        chunker: what it is written by; the next file of the same recording goes on with it.
    """

    def __init__(
        self,
        path: str,
        level: int = LEVEL,
        chunker: Chunker | None = None,
        quota: Quota | None = None,
    ) -> None:
        """Create the file.

        Raises:
            RecordingError: it is there already, or cannot be created.
        """
        self.path = path
        self.bytes = self.ticks = 0
        self._quota = quota
        self._fd = create(path)
        self._id = secrets.token_hex(8)
        self.chunker = chunker or Chunker(level=level)
        self.chunker.recording = self._id
        self._chunks: list[tuple[int, int, bytes]] = []
        self._sync = ThreadPoolExecutor(1, "fsync")
        self._synced: Future[None] | None = None
        hello = self.chunker.known.hello
        if hello:
            self._write(encode_header(header_of(hello, self._id)))

    def add(self, record: Record) -> bool:
        """Take in a record; returns whether a tick was written with it.

        Raises:
            RecordingError: the disk is full or gone; what was written before stays readable.
        """
        if not self.bytes:
            hello = record if isinstance(record, Hello) else None
            self._write(encode_header(header_of(hello, self._id)))
        block = self.chunker.add(record)
        if not block:
            return False
        self._write(block)
        self.ticks += 1
        if self.chunker.full:
            self.end_chunk()
        return True

    def end_chunk(self) -> None:
        """Finish the chunk, and have it brought to the disk meanwhile."""
        last, trailer = self.chunker.finish()
        if trailer is None:
            return
        payload = encode_trailer(trailer)
        offset = self.bytes + len(last) - trailer.bytes
        self._write(last + skippable(TRAILER_MAGIC, payload))
        self._chunks.append((offset, trailer.bytes, payload))
        self._check_sync()
        self._synced = self._sync.submit(os.fdatasync, self._fd)

    def close(self) -> None:
        """Finish the file and let go of it.

        Raises:
            RecordingError: the disk is full or gone; what was written before stays readable.
        """
        if self._fd < 0:
            return
        try:
            self.finish()
        finally:
            self.abandon()

    def finish(self) -> None:
        """Finish the chunk and write the index; the file is still held. Raises RecordingError."""
        self.end_chunk()
        self._write(encode_index(self._chunks))
        self._check_sync()
        self._synced = self._sync.submit(os.fdatasync, self._fd)
        self._check_sync()

    def is_in_place(self) -> bool:
        """Whether the file still has its name: nobody has moved or removed it."""
        return is_at(self._fd, self.path)

    def abandon(self) -> None:
        """Let go of the file as it is."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._sync.shutdown(wait=False)

    def _write(self, data: bytes) -> None:
        """Append all of it or nothing."""
        try:
            if self._quota:
                self._quota.reserve(self.bytes + len(data))
            self._append(data)
        except OSError as error:
            self._give_up()
            raise RecordingError(refused(self.path, error)) from None
        except RecordingError:
            self._give_up()
            raise
        self.bytes += len(data)

    def _append(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            os.ftruncate(self._fd, self.bytes)
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if not (is_full and self._quota and self._quota.relieve(len(data))):
                raise
            write_all(self._fd, data)

    def _give_up(self) -> None:
        """Leave what was written before, and no file where that is nothing."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self.bytes)
        if not self.bytes:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.abandon()

    def _check_sync(self) -> None:
        """Hear of what the last fsync said; a disk that takes longer than a chunk is waited for."""
        if self._synced is not None:
            try:
                self._synced.result()
            except OSError as error:
                self.abandon()
                raise RecordingError(refused(self.path, error)) from None


def write_all(fd: int, data: bytes) -> None:
    """Write all of it; raises OSError."""
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.write(fd, view[done:])


def create(path: str) -> int:
    """Make a new file that only its owner can read, and hold it; raises RecordingError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, MODE)
    except FileExistsError:
        raise RecordingError(_taken(path)) from None
    except OSError as error:
        raise RecordingError(refused(path, error)) from None
    if not hold(fd, path, LOCK_OWN_S):
        os.close(fd)
        raise RecordingError(in_use(path))
    return fd


def hold(fd: int, path: str, patience_s: float = LOCK_S) -> bool:
    """Keep every other recorder out; False where one was faster, or moved the file away."""
    until_s = time.monotonic() + patience_s
    while not _lock(fd):
        if time.monotonic() > until_s or not is_at(fd, path):
            return False
        time.sleep(LOCK_PAUSE_S)
    return is_at(fd, path)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def is_at(fd: int, path: str) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def is_being_written(path: str) -> bool:
    """Whether a recorder holds the file of that name."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_held(fd)
    finally:
        os.close(fd)


def is_held(fd: int) -> bool:
    """Whether a recorder holds an open file, whatever its name is by now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        pass
    return False


def in_use(path: str) -> str:
    """What to say of a file that another recorder holds."""
    return f"{path} is being written by another recorder; choose another name"


def _taken(path: str) -> str:
    if is_being_written(path):
        return in_use(path)
    return f"{path} is there already; choose another name, or move it away"


def refused(path: str, error: OSError) -> str:
    """What the system's refusal means, in one line."""
    if error.errno == errno.ENOSPC:
        return f"{path}: the disk is full; what was recorded before can be read"
    if error.errno == errno.EROFS:
        return f"{path}: this file system is read-only; record elsewhere"
    if error.errno == errno.ENOENT:
        return f"{path}: there is no folder {os.path.dirname(path)}; make it first"
    if error.errno == errno.EACCES:
        return f"{path}: no permission to write there as user {os.geteuid()}; record elsewhere"
    return f"{path}: {error.strerror or error}"
