"""One file of a recording: where its chunks are.

A file that was closed in good order has an index at its end. Of one whose recorder was killed, or
is still at it, the trailers are followed from the last to the first. Of any other, the frames are
followed from the first; where that leads nowhere, the next frame that is ours is searched for.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ebpftop.recording import container
from ebpftop.recording.frames import MAGICS, MAX_FRAME_BYTES, Frames
from ebpftop.recording.ticks import TickReader, is_tick, opening_of, summary_of, ticks_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpftop.recording.overview import Summary

    Found = tuple["FileChunk", Summary]

PIECE_BYTES = 1 << 17
BROKEN_CHUNK = "a damaged chunk"


@dataclass(eq=False)
class FileChunk:
    """A chunk in a file; see `ticks.Chunk`.

    Attributes:
        offset: where it begins.
        end: where it ends, as far as it can be read.
        recording: the id of the recording that it is of.
        number: as its recorder counted.
    """

    segment: Segment
    offset: int
    end: int
    recording: str = ""
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

    def begins(self, line: bytes) -> bool:
        """Whether this is the line that it should begin with."""
        try:
            return opening_of(line) == (self.recording, self.number)
        except ValueError:
            return False

    def move(self) -> bool:
        """It is damaged: go where the file has more of it, if it has."""
        return self.segment.move(self)


@dataclass
class Damage:
    """A stretch of a file that holds nothing readable."""

    offset: int
    bytes: int
    what: str


@dataclass
class Tail:
    """A chunk of which the end has not been found: what has been read of it."""

    chunk: FileChunk
    at: int
    searched: int
    reader: TickReader = field(default_factory=TickReader)


class Segment(Frames):
    """A file of a recording; see `Frames`.

    Attributes:
        size: its length when it was last looked at.
        indexed: whether it was closed in good order.
        damages: what could not be read, as far as it was noticed.
    """

    def __init__(self, path: str) -> None:
        """Open it; raises RecordingError as `Frames` does."""
        super().__init__(path)
        self.size = 0
        self.indexed = False
        self.damages: list[Damage] = []
        self._at = 0
        self._tail: Tail | None = None
        self._id = ""
        self._chunks: dict[int, FileChunk] = {}
        self._copies: dict[tuple[str, int], list[int]] | None = None

    @property
    def growing(self) -> bool:
        """Whether a recorder holds it, or has left something that was not looked at yet."""
        return self.is_held() or os.fstat(self._fd).st_size != self.size

    @property
    def unfinished(self) -> Damage | None:
        """What stands at the end of a file whose recorder was killed, or writes it just now.

        It is no damage: a tick, or a description of ticks, that has not come to its end.
        """
        offset = self._tail.chunk.offset + self._tail.reader.good if self._tail else self._at
        return Damage(offset, self.size - offset, "not finished") if offset < self.size else None

    def look(self) -> Iterator[Found]:
        """Chunks, or more ticks of the last one, that were not there before."""
        before, self.size = self.size, os.fstat(self._fd).st_size
        if self.size == before:
            return
        if not before:
            found = self._read_index()
            if found is None:
                found = [*self._read_trailers(), *self._scan()]
            yield from self._chosen(found)
            return
        if self._tail and self.size < self._tail.at:
            self._follow_anew(self._tail)
        for chunk, summary in self._scan():
            self._id = self._id or chunk.recording
            is_ours = chunk.recording == self._id
            if is_ours and self._chunks.setdefault(chunk.number, chunk) is chunk:
                yield chunk, summary

    # The file in good order, or cut off

    def _read_index(self) -> list[Found] | None:
        """All chunks, if an index describes this file from the first byte to the last."""
        start, frame = self.frame_before(self.size)
        if not frame.startswith(container.INDEX_MAGIC):
            return None
        found: list[Found] = []
        at = self._header_end()
        try:
            for offset, end, trailer in container.decode_index(frame):
                if offset != at or not self.is_of(trailer, at):
                    return None
                found.append(self._described(offset, trailer))
                at = end
        except ValueError:
            return None
        if at != start:
            return None
        self.indexed = True
        self._at = self.size
        return found

    def _read_trailers(self) -> list[Found]:
        """The chunks up to the last trailer, if they follow each other without a gap."""
        found: list[Found] = []
        at = end = self.last_trailer(self.size)
        while at > self._header_end():
            start, frame = self.frame_before(at)
            try:
                trailer = container.decode_trailer(container.payload_of(frame))
            except ValueError:
                return []
            at = start - trailer.bytes
            if not 0 <= at < start or not self.is_of(trailer, at):
                return []
            found.append(self._described(at, trailer))
        if at != self._header_end():
            return []
        self._at = end
        return found[::-1]

    def _described(self, offset: int, trailer: container.Trailer) -> Found:
        end = offset + trailer.bytes
        return FileChunk(self, offset, end, trailer.id, trailer.number), trailer.summary

    def _header_end(self) -> int:
        """Where the header ends; -1 where there is none that can be believed."""
        return 8 + int.from_bytes(self.read(4, 4), "little") if self.header else -1

    # What lies between

    def _chosen(self, found: list[Found]) -> Iterator[Found]:
        """Of all that was found what is of this recording, and of repetitions the best."""
        copies: dict[tuple[str, int], list[FileChunk]] = {}
        for chunk in dict.fromkeys(chunk for chunk, _ in found):
            copies.setdefault((chunk.recording, chunk.number), []).append(chunk)
        best = {key: max(of, key=_readable) if len(of) > 1 else of[0] for key, of in copies.items()}
        self._id = self._most({recording for recording, _ in best}, best.values())
        if self.header and self.header.id != self._id:
            self.header = None
        for key, candidates in copies.items():
            for chunk in candidates:
                if key[0] != self._id:
                    self._note(chunk.offset, chunk.end, "of another recording")
                elif chunk is not best[key]:
                    self._note(chunk.offset, chunk.end, "a repetition")
        self._chunks = {number: chunk for (of, number), chunk in best.items() if of == self._id}
        for chunk, summary in found:
            if self._chunks.get(chunk.number) is chunk:
                yield chunk, summary

    def _most(self, ids: set[str], chunks: Iterable[FileChunk]) -> str:
        """The recording of which there is most; that of the header where nothing speaks against."""
        own = self.header.id if self.header else ""
        if len(ids) <= 1:
            return min(ids, default=own)
        ticks: Counter[str] = Counter()
        for chunk in chunks:
            ticks[chunk.recording] += _readable(chunk)
        return max(sorted(ids), key=lambda of: (ticks[of], of == own))

    def _scan(self) -> Iterator[Found]:
        """Chunks from the current place on, and the ticks of the last one as they come."""
        if self._tail:
            yield from self._follow(self._tail)
        while self._tail is None and self._at < self.size:
            before = self._at
            yield from self._next()
            if self._at == before:
                return  # the file has to grow first

    def _next(self) -> Iterator[Found]:
        """Deal with the frame at the current place."""
        at, head = self._at, self.read(self._at, 8)
        if len(head) < 8:
            return
        if head[:4] == container.CHUNK_MAGIC:
            yield from self._chunk(at)
        elif head[:4] not in container.SKIPPABLE or not self._pass(at, head):
            after = self.search(at + 1)
            self._at = self.size if after is None else after
            self._note(at, self._at, "unreadable")

    def _pass(self, at: int, head: bytes) -> bool:
        """Go on behind a skippable frame; False where it is none that can be passed over."""
        end = at + 8 + int.from_bytes(head[4:], "little")
        if end > self.size:  # it has to grow first, unless something comes after it
            return end - at <= MAX_FRAME_BYTES and self.search(at + 1) is None
        try:
            container.payload_of(self.frame(at))
        except ValueError:
            if not self._is_frame(end):
                return False
            self._note(at, end, "a description of what is there")
        self._at = end
        self.indexed |= head[:4] == container.INDEX_MAGIC and end == self.size
        return True

    def _chunk(self, at: int) -> Iterator[Found]:
        """The chunk at the current place: as its trailer describes it, or as it can be read."""
        end = container.frame_end(self.read, at, self.size)
        trailer = None if end is None else self.trailer(end)
        if end is not None and trailer and trailer.bytes == end - at and self.is_of(trailer, at):
            self._at = end
            yield self._described(at, trailer)
            return
        self._tail = Tail(FileChunk(self, at, at), at, at + 1)
        yield from self._follow(self._tail)

    def _is_frame(self, at: int) -> bool:
        """Whether a frame begins there, or the file ends."""
        return at == self.size or self.read(at, 4) in MAGICS

    def _follow(self, tail: Tail) -> Iterator[Found]:
        """More ticks of a chunk that cannot be believed to have come to its end."""
        chunk, reader = tail.chunk, tail.reader
        while tail.at < self.size and not (reader.ended or reader.damaged):
            piece = self.read(tail.at, min(PIECE_BYTES, self.size - tail.at))
            if not piece:
                return
            tail.at += len(piece)
            for lines in reader.feed(piece):
                try:
                    if chunk.number < 0:
                        chunk.recording, chunk.number = opening_of(lines[0])
                    summary = summary_of(lines)
                except ValueError:
                    reader.damaged = True
                    break
                chunk.end = chunk.offset + reader.good
                yield chunk, summary
        if reader.ended:
            self._at = chunk.end = chunk.offset + reader.good
            self._tail = None
            return
        after = self.search(tail.searched)
        tail.searched = max(tail.searched, self.size - container.HEAD_BYTES)
        if reader.damaged or after is not None:
            self._tail = None
            self._at = self.size if after is None else after
            what = BROKEN_CHUNK if chunk.number >= 0 else "a lost chunk"
            self._note(chunk.offset + reader.good, self._at, what)

    def _follow_anew(self, tail: Tail) -> None:
        """The recorder took back what it could not write: what was read of that is forgotten."""
        fresh = Tail(tail.chunk, tail.chunk.offset, tail.chunk.offset + 1)
        while fresh.at < min(tail.chunk.end, self.size):
            piece = self.read(fresh.at, min(PIECE_BYTES, tail.chunk.end - fresh.at))
            if not piece:
                break
            fresh.at += len(piece)
            for _ in fresh.reader.feed(piece):
                pass
        self._tail = fresh

    # A chunk that is not as an index or a trailer says

    def move(self, chunk: FileChunk) -> bool:
        """Let a chunk be read where the file has more of it; False where it has not."""
        if self._copies is None:
            known = {each.offset for each in self._chunks.values()}
            self._copies = {}
            for at in self.places(0, magics=(container.CHUNK_MAGIC,)):
                if at not in known:
                    self._copies.setdefault(self.opening(at), []).append(at)
        places = self._copies.get((chunk.recording, chunk.number), ())
        copies = [FileChunk(self, at, self.size, chunk.recording, chunk.number) for at in places]
        best = max([chunk, *copies], key=_readable) if copies else chunk
        chunk.offset, chunk.end = best.offset, best.end
        return best is not chunk

    def _note(self, start: int, end: int, what: str) -> None:
        self.damages.append(Damage(start, end - start, what))
        self.damages.sort(key=lambda damage: damage.offset)


def _readable(chunk: FileChunk) -> int:
    """How many ticks of a chunk are as they were written."""
    return sum(map(is_tick, ticks_in(chunk)))


def segments_of(path: str) -> list[str]:
    """The files of a recording, oldest first: `PATH.1`, `PATH.2` and so on, and `PATH` last.

    A recorder that was killed between two files leaves no `PATH`.
    """
    numbered = [
        (int(number), name)
        for name in glob.glob(glob.escape(path) + ".*")
        if (number := name[len(path) + 1 :]).isdecimal() and number.isascii()
    ]
    names = [name for _, name in sorted(numbered)]
    return names if names and not os.path.lexists(path) else [*names, path]
