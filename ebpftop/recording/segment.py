"""One file of a recording: where its chunks are.

A file that was closed in good order has an index at its end. Of any other, the frames are followed
from the first; where that leads nowhere, the next frame that can be read is searched for.
"""

from __future__ import annotations

import glob
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ebpftop import stream
from ebpftop.recording import container
from ebpftop.recording.chunker import TickReader, summary_of
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import is_held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.recording.overview import Summary

PIECE_BYTES = 1 << 18
SEARCH_BYTES = 1 << 20


@dataclass(eq=False)
class FileChunk:
    """A chunk in a file; see `reader.Chunk`.

    Attributes:
        offset: where it begins.
        end: where it ends at the latest.
        number: as its recorder counted.
    """

    segment: Segment
    offset: int
    end: int
    number: int = -1
    first: int = 0
    ticks: int = 0

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, in order."""
        at = self.offset
        while at < self.end:
            piece = self.segment.read(at, min(PIECE_BYTES, self.end - at))
            if not piece:
                return
            yield piece
            at += len(piece)


@dataclass
class Damage:
    """A stretch of a file that holds nothing readable."""

    offset: int
    bytes: int
    what: str


@dataclass
class Tail:
    """A chunk that has not come to its end: what has been read of it."""

    chunk: FileChunk
    at: int
    reader: TickReader = field(default_factory=TickReader)


class Segment:
    """A file of a recording.

    Attributes:
        path: its name when it was opened.
        size: its length when it was last looked at.
        header: who recorded it; None where that is damaged.
        inode: which file it is, whatever its name.
        indexed: whether it was closed in good order.
        damages: what could not be read, as far as it was noticed.
    """

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            RecordingError: it cannot be opened, or is no recording.
        """
        self.path = path
        self.size = 0
        self.indexed = False
        self.damages: list[Damage] = []
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise RecordingError(f"{path}: {error.strerror}") from None
        self.inode = os.fstat(self._fd).st_ino
        self._at = 0
        self._tail: Tail | None = None
        self._numbers: set[int] = set()
        self._id = ""
        try:
            self.header = self._read_header()
        except RecordingError:
            self.close()
            raise
        if self.header:
            self._id = self.header.id

    @property
    def growing(self) -> bool:
        """Whether a recorder still writes it, or has not begun another yet."""
        return is_held(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file; fewer, or none, where it ends or cannot be read."""
        try:
            return os.pread(self._fd, length, offset)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def look(self) -> Iterator[tuple[FileChunk, Summary]]:
        """Chunks, or more ticks of the last one, that were not there before."""
        before, self.size = self.size, os.fstat(self._fd).st_size
        if self.size == before:
            return
        if not self._at and not before:
            indexed = self._read_index()
            if indexed is not None:
                self.indexed = True
                yield from indexed
                return
        if self._tail:
            yield from self._follow(self._tail)
        while self._tail is None and self._at < self.size:
            found = self._next()
            if found is None:
                return
            yield from found

    # The file in good order

    def _read_header(self) -> container.Header | None:
        head = self.read(0, container.HEAD_BYTES)
        if not head:
            raise RecordingError(f"{self.path} is empty: nothing was recorded, or not yet")
        if not head.startswith(container.HEADER_MAGIC):
            if not self._looks_like_one():
                raise RecordingError(
                    f"{self.path} is not a recording of ebpftop{_guess(head, self.path)}"
                )
            return None
        length = int.from_bytes(head[4:8], "little")
        frame = self.read(0, min(length + 8, SEARCH_BYTES))
        try:
            return container.decode_header(frame)
        except RecordingError as error:
            raise RecordingError(f"{self.path} was {error}") from None
        except (ValueError, KeyError, TypeError):
            if not self._looks_like_one():
                raise RecordingError(f"{self.path} is not a recording of ebpftop") from None
            return None

    def _looks_like_one(self) -> bool:
        """Whether there is anything of ours in a file without a header."""
        at, size = 0, os.fstat(self._fd).st_size
        while at < size:
            data = self.read(at, SEARCH_BYTES)
            if not data:
                return False
            if container.SIGNATURE in data or self._chunk_id(data):
                return True
            at += max(1, len(data) - len(container.SIGNATURE)) if at + len(data) < size else size
        return False

    def _chunk_id(self, data: bytes) -> str:
        at = data.find(container.CHUNK_MAGIC)
        return str(self._first_line(data[at:]).get("id", "")) if at >= 0 else ""

    def _read_index(self) -> list[tuple[FileChunk, Summary]] | None:
        tail = self.read(self.size - container.TAIL.size, container.TAIL.size)
        if len(tail) < container.TAIL.size:
            return None
        length, mark = container.TAIL.unpack(tail)
        if mark != container.TAIL_MARK or not 0 < length <= self.size:
            return None
        start = self.size - length
        try:
            entries = container.decode_index(self.read(start, length))
        except ValueError:
            return None
        found: list[tuple[FileChunk, Summary]] = []
        for offset, size, trailer in entries:
            if (self._id and trailer.id != self._id) or offset + size > start:
                return None
            if self.read(offset, 4) != container.CHUNK_MAGIC:
                return None
            chunk = FileChunk(self, offset, offset + size, trailer.number)
            found.append((chunk, trailer.summary))
        self._at = self.size
        return found

    # Any other file

    def _next(self) -> Iterator[tuple[FileChunk, Summary]] | None:
        """Deal with the frame at the current place; None where the file has to grow first."""
        at = self._at
        head = self.read(at, 8)
        magic = head[:4]
        if len(head) < 8:
            return None
        if magic in container.SKIPPABLE:
            end = at + 8 + int.from_bytes(head[4:], "little")
            if end <= self.size and self._is_boundary(end):
                self._at = end
                self.indexed = self.indexed or (magic == container.INDEX_MAGIC and end == self.size)
                return iter(())
            if end > self.size and self._search(at + 4) is None:
                return None
        elif magic == container.CHUNK_MAGIC:
            end_of_frame = container.frame_end(self.read, at, self.size)
            if end_of_frame is not None and self._is_boundary(end_of_frame):
                return self._whole(at, end_of_frame)
            after = self._search(at + 4)
            if after is None:
                self._tail = Tail(FileChunk(self, at, self.size), at)
                return self._follow(self._tail)
            return self._part(at, after)
        after = self._search(at + 1)
        end = self.size if after is None else after
        self._note(at, end, "unreadable")
        self._at = end
        return iter(())

    def _is_boundary(self, at: int) -> bool:
        return at == self.size or self.read(at, 4) in (*container.SKIPPABLE, container.CHUNK_MAGIC)

    def _whole(self, start: int, end: int) -> Iterator[tuple[FileChunk, Summary]]:
        """A chunk that is there from its beginning to its end."""
        self._at = end
        trailer = self._trailer(end, end - start)
        if trailer is None:
            yield from self._part(start, end)
        elif self._is_new(trailer.id, trailer.number):
            yield FileChunk(self, start, end, trailer.number), trailer.summary

    def _trailer(self, at: int, chunk_bytes: int) -> container.Trailer | None:
        head = self.read(at, 8)
        if head[:4] != container.TRAILER_MAGIC:
            return None
        length = int.from_bytes(head[4:], "little") + 8
        if length > self.size - at:
            return None
        try:
            trailer = container.decode_trailer(container.payload_of(self.read(at, length)))
        except ValueError:
            return None
        return trailer if trailer.bytes == chunk_bytes else None

    def _part(self, start: int, end: int) -> Iterator[tuple[FileChunk, Summary]]:
        """What can be read of a chunk that lies somewhere before `end`."""
        self._at = end
        chunk, reader, at = FileChunk(self, start, end), TickReader(), start
        first = True
        for piece in chunk.pieces():
            for lines in reader.feed(piece):
                if first and not self._take_first(chunk, lines[0]):
                    self._note(start, end, "of another recording, or a repetition")
                    return
                first = False
                yield chunk, summary_of(lines[-1])
            at += len(piece)
            if reader.ended or reader.damaged:
                break
        if not reader.ended:
            self._note(start, end, "a damaged chunk" if chunk.ticks else "a lost chunk")

    def _follow(self, tail: Tail) -> Iterator[tuple[FileChunk, Summary]]:
        """More ticks of the chunk that is being written."""
        chunk, reader = tail.chunk, tail.reader
        chunk.end = self.size
        while tail.at < self.size and not reader.damaged:
            piece = self.read(tail.at, min(PIECE_BYTES, self.size - tail.at))
            if not piece:
                return
            tail.at += len(piece)
            for lines in reader.feed(piece):
                if chunk.number < 0 and not self._take_first(chunk, lines[0]):
                    reader.damaged = True
                    break
                yield chunk, summary_of(lines[-1])
            if reader.ended:
                self._at = chunk.end = tail.at - reader.unused
                self._tail = None
                return
        if reader.damaged:
            self._tail = None
            after = self._search(chunk.offset + 4)
            self._at = chunk.end = self.size if after is None else after
            self._note(chunk.offset, chunk.end, "a damaged chunk")

    def _search(self, start: int) -> int | None:
        """Where the next frame of ours begins."""
        at = start
        while at < self.size:
            data = self.read(at, SEARCH_BYTES)
            if not data:
                return None
            position = min((p for p in map(data.find, _MAGICS) if p >= 0), default=-1)
            if position < 0:
                at += max(1, len(data) - 3)
            elif self._is_ours(at + position):
                return at + position
            else:
                at += position + 1
        return None

    def _is_ours(self, at: int) -> bool:
        head = self.read(at, PIECE_BYTES)
        if head[:4] == container.CHUNK_MAGIC:
            return bool(self._first_line(head))
        return head[8:16] == container.SIGNATURE

    def _first_line(self, data: bytes) -> dict[str, object]:
        """The fields of the line that a chunk begins with; none for what is no chunk."""
        try:
            plain = container.zstd.ZstdDecompressor().decompress(data, 4096)
            fields = json.loads(plain.partition(b"\n")[0])
        except (container.zstd.ZstdError, ValueError):
            return {}
        return fields if isinstance(fields, dict) and fields.get("t") == "chunk" else {}

    def _take_first(self, chunk: FileChunk, line: bytes) -> bool:
        """Learn from a chunk's first line what it is; False for one that does not belong here."""
        try:
            fields = stream.fields_of(line)
            number, of = int(fields["number"]), str(fields["id"])
        except (stream.StreamError, KeyError, TypeError, ValueError):
            return False
        chunk.number = number
        return self._is_new(of, number)

    def _is_new(self, recording: str, number: int) -> bool:
        self._id = self._id or recording
        if recording != self._id or number in self._numbers:
            return False
        self._numbers.add(number)
        return True

    def _note(self, start: int, end: int, what: str) -> None:
        self.damages.append(Damage(start, end - start, what))


_MAGICS = (*container.SKIPPABLE, container.CHUNK_MAGIC)


def segments_of(path: str) -> list[str]:
    """The files of a recording, oldest first: `PATH.1`, `PATH.2` and so on, and `PATH` last.

    A recorder that was killed between two files leaves no `PATH`.
    """
    numbered = [
        (int(number), name)
        for name in glob.glob(glob.escape(path) + ".*")
        if (number := name[len(path) + 1 :]).isdigit()
    ]
    names = [name for _, name in sorted(numbered)]
    return names if names and not os.path.lexists(path) else [*names, path]


def _guess(head: bytes, path: str) -> str:
    if head.startswith(b'{"t":'):
        return f"; it is a stream: `ebpftop view - < {path}` shows it"
    return ""
