"""The frames of a file that may be damaged, or no recording at all."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ebpftop.recording import container
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.ticks import opening_of
from ebpftop.recording.writer import is_held

if TYPE_CHECKING:
    from collections.abc import Iterator

SEARCH_BYTES = 1 << 20
# Where a file does not begin as ours do, or its end is missing, so much is searched.
REACH_BYTES = 256 << 20
MAX_FRAME_BYTES = 256 << 20  # of a skippable one
# The first line of a chunk lies in its first block, and is no longer than this.
OPENING_BYTES = 4096
MAGICS = (container.CHUNK_MAGIC, *container.SKIPPABLE)
# What people try, by how it begins.
KINDS = (
    (b'{"t":', "; it is a stream: `ebpftop view - <` it"),
    (b"\x1f\x8b", ": it is compressed by gzip; if a recording is in there, `gunzip` it first"),
    (b"\xfd7zXZ", ": it is compressed by xz; if a recording is in there, `unxz` it first"),
    (b"PK\x03\x04", ": it is a zip archive; if a recording is in there, unpack it first"),
    (container.CHUNK_MAGIC, ": it is compressed by zstd, but not by `ebpftop record`"),
    (b"\x7fELF", ": it is a program"),
    (b"\x89PNG", ": it is a picture"),
)


class Frames:
    """A file, open, and what finds frames in it.

    Attributes:
        path: its name when it was opened.
        header: who recorded it; None where that is damaged.
        inode: which file it is, whatever its name.
    """

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            RecordingError: it cannot be opened, or is no recording.
        """
        self.path = path
        self._fd = _open(path)
        self.inode = os.fstat(self._fd).st_ino
        try:
            self.header = self._read_header()
        except RecordingError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def is_held(self) -> bool:
        """Whether a recorder has it, under whatever name."""
        return is_held(self._fd)

    def deleted(self) -> bool:
        """Whether the file has no name any more: it takes space only because it is open."""
        return self._fd < 0 or os.fstat(self._fd).st_nlink == 0

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file; fewer, or none, where it ends or cannot be read."""
        try:
            return os.pread(self._fd, length, offset)
        except OSError:
            return b""

    def frame(self, at: int) -> bytes:
        """The skippable frame that begins there; cut short where the file is."""
        length = 8 + int.from_bytes(self.read(at + 4, 4), "little")
        return self.read(at, min(length, MAX_FRAME_BYTES))

    def frame_before(self, end: int) -> tuple[int, bytes]:
        """Where the skippable frame begins that ends there, and the frame; empty for none."""
        tail = self.read(max(0, end - container.TAIL.size), container.TAIL.size)
        if len(tail) == container.TAIL.size:
            length, mark = container.TAIL.unpack(tail)
            if mark == container.TAIL_MARK and length <= min(end, MAX_FRAME_BYTES):
                return end - length, self.read(end - length, length)
        return end, b""

    def trailer(self, at: int) -> container.Trailer | None:
        """The trailer that begins there."""
        if self.read(at, 4) != container.TRAILER_MAGIC:
            return None
        try:
            return container.decode_trailer(container.payload_of(self.frame(at)))
        except ValueError:
            return None

    def is_of(self, trailer: container.Trailer, at: int) -> bool:
        """Whether the chunk that begins there is that of a trailer, as far as its head tells."""
        head = self.read(at, min(container.TOLD_BYTES, trailer.bytes))
        return head.startswith(container.CHUNK_MAGIC) and container.head_of(head) == trailer.head

    def last_trailer(self, size: int) -> int:
        """Where the last trailer ends in a file of that size; 0 where none is in reach."""
        at = size
        while at > 0 and size - at < REACH_BYTES:
            at = max(0, at - SEARCH_BYTES)
            data = self.read(at, SEARCH_BYTES + container.HEAD_BYTES)
            place = data.rfind(container.TRAILER_MAGIC)
            while place >= 0:
                end = at + place + 8 + int.from_bytes(data[place + 4 : place + 8], "little")
                if data[place + 8 : place + 16] == container.SIGNATURE and end <= size:
                    return end
                place = data.rfind(container.TRAILER_MAGIC, 0, place)
        return 0

    def search(self, start: int, reach: int | None = None) -> int | None:
        """Where the next frame of ours begins."""
        end = None if reach is None else start + reach
        ours = filter(self._is_ours, self.places(start, end))
        return next(ours, None)

    def places(
        self, start: int, end: int | None = None, magics: tuple[bytes, ...] = MAGICS
    ) -> Iterator[int]:
        """Where there are bytes such as frames begin with."""
        at = start
        while end is None or at < end:
            data = self.read(at, SEARCH_BYTES + len(container.CHUNK_MAGIC) - 1)
            found = sorted(place for magic in magics for place in _finds(data, magic))
            yield from (at + place for place in found)
            if len(data) < SEARCH_BYTES:
                return
            at += SEARCH_BYTES

    def opening(self, at: int) -> tuple[str, int]:
        """Recording and number of the chunk that begins there; empty and -1 where none does."""
        try:
            data = self.read(at, 2 * container.MAX_BLOCK_BYTES)
            plain = container.decompressor().decompress(data, OPENING_BYTES)
            return opening_of(plain.partition(b"\n")[0])
        except (container.zstd.ZstdError, ValueError):
            return "", -1

    def _is_ours(self, at: int) -> bool:
        head = self.read(at, container.HEAD_BYTES)
        if head[:4] == container.CHUNK_MAGIC:
            return bool(self.opening(at)[0])
        return head[8:16] == container.SIGNATURE

    def _read_header(self) -> container.Header | None:
        try:
            head = os.pread(self._fd, container.HEAD_BYTES, 0)
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be read: {error.strerror}") from None
        if not head:
            raise RecordingError(f"{self.path} is empty: nothing was recorded, or not yet")
        if not (head.startswith(container.HEADER_MAGIC) and head[8:16] == container.SIGNATURE):
            if self.search(0, REACH_BYTES) is None:
                why = next((why for magic, why in KINDS if head.startswith(magic)), "")
                raise RecordingError(f"{self.path} is not a recording of ebpftop{why}")
            return None
        try:
            return container.decode_header(self.frame(0))
        except RecordingError as error:
            raise RecordingError(f"{self.path} was {error}") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None


def _finds(data: bytes, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise RecordingError(f"there is no file {path}; check its name") from None
    except PermissionError:
        raise RecordingError(
            f"{path} cannot be read by user {os.geteuid()}; only who recorded it may, or root"
        ) from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be opened: {error.strerror}") from None
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise RecordingError(f"{path} is a directory; name the file of a recording in it")
    raise RecordingError(f"{path} is not a file; a stream is shown by `ebpftop view - <` it")
