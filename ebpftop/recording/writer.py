"""Writes a recording: every tick is in the file before the next begins, every chunk on the disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

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


class Writer:
    """A file that is being recorded; nobody else may write it meanwhile.

    Attributes:
        path: where it is.
        bytes: its length so far.
        ticks: how many are in it.
        chunker: what it is written by; the next file of the same recording goes on with it.
    """

    def __init__(self, path: str, level: int = LEVEL, chunker: Chunker | None = None) -> None:
        """Create the file.

        Raises:
            RecordingError: it is there already, or cannot be created.
        """
        self.path = path
        self.bytes = self.ticks = 0
        self._fd = create(path)
        self._id = secrets.token_hex(8)
        self.chunker = chunker or Chunker(level=level)
        self.chunker.recording = self._id
        self._chunks: list[tuple[int, int, bytes]] = []
        self._chunk_at = 0
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
        """Finish the chunk and write the index.

        Raises:
            RecordingError: the disk is full or gone; what was written before stays readable.
        """
        if self._fd < 0:
            return
        try:
            self.end_chunk()
            self._write(encode_index(self._chunks))
            self._sync.submit(os.fdatasync, self._fd)
            self._sync.shutdown(wait=True)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._sync.shutdown(wait=False)

    def _write(self, data: bytes) -> None:
        """Append all of it or nothing."""
        view, done = memoryview(data), 0
        try:
            while done < len(view):
                done += os.write(self._fd, view[done:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.bytes)
            self.abandon()
            raise RecordingError(refused(self.path, error)) from None
        self.bytes += len(data)

    def _check_sync(self) -> None:
        """Hear of what the last fsync said; a disk that takes longer than a chunk is waited for."""
        if self._synced is not None:
            try:
                self._synced.result()
            except OSError as error:
                self.abandon()
                raise RecordingError(refused(self.path, error)) from None


def create(path: str) -> int:
    """Make a new file that only its owner can read, and hold it; raises RecordingError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, MODE)
    except FileExistsError:
        raise RecordingError(_taken(path)) from None
    except OSError as error:
        raise RecordingError(refused(path, error)) from None
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def is_being_written(path: str) -> bool:
    """Whether a recorder holds this file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _taken(path: str) -> str:
    if is_being_written(path):
        return f"{path} is being written by another recorder; choose another name"
    return f"{path} is there already; choose another name, or move it away"


def refused(path: str, error: OSError) -> str:
    """What the system's refusal means, in one line."""
    if error.errno == errno.ENOSPC:
        return f"{path}: the disk is full; what was recorded before can be read"
    if error.errno == errno.EROFS:
        return f"{path}: this file system is read-only; record elsewhere"
    return f"{path}: {error.strerror or error}"
