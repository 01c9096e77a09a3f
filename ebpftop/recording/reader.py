"""Reads recordings: from any tick, while they grow, and whatever became of the file.

Nothing is believed that was not checked: a tick is shown only if its checksum, which covers its
chunk up to there, is right.
"""

from __future__ import annotations

import bisect
import contextlib
import os
from typing import TYPE_CHECKING, Protocol

from ebpftop.model import Hello
from ebpftop.recording.chunker import TickReader
from ebpftop.recording.overview import Overview
from ebpftop.recording.pack import SAMPLE, Unpacker
from ebpftop.recording.segment import Segment, segments_of
from ebpftop.recording.tape import RecordingError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from ebpftop.model import Record

TRIES = 100  # to find a set of files as it is, while a recorder goes from one to the next
PROBE_AT = len(SAMPLE) + len(b',"probe":"')


class Chunk(Protocol):
    """A run of ticks that can be read alone.

    Attributes:
        first: number of its first tick.
        ticks: how many it should hold.
    """

    first: int
    ticks: int

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, in order."""


class ChunkTape:
    """What reads ticks from chunks, wherever those lie; see `Tape`."""

    growing = False

    def __init__(self) -> None:
        self.hello: Hello | None = None
        self.overview = Overview()

    @property
    def chunks(self) -> Sequence[Chunk]:
        """The chunks, in the order of their ticks."""
        raise NotImplementedError

    def records(
        self, first: int, last: int, probes: Container[str] | None = None
    ) -> Iterator[Record]:
        """See `Tape.records`; of the samples before the last tick only those of `probes`."""
        unpacker = Unpacker()
        chunks = list(self.chunks)  # a flight recorder forgets the oldest meanwhile
        at = bisect.bisect_right([chunk.first for chunk in chunks], first) - 1
        expected = -1
        for position in range(max(0, at), len(chunks)):
            chunk = chunks[position]
            if chunk.first > last:
                return
            if chunk.first != expected:
                unpacker.forget()
            expected = chunk.first
            for lines in ticks_of(chunk):
                if expected > last and _is_tick(lines):
                    return
                wanted = None if expected == last else probes
                yield from _decoded(lines, unpacker, expected >= first, wanted)
                expected += _is_tick(lines)


def ticks_of(chunk: Chunk) -> Iterator[list[bytes]]:
    """The lines of each tick of a chunk that is as it was written."""
    reader = TickReader()
    for piece in chunk.pieces():
        yield from reader.feed(piece)
        if reader.ended or reader.damaged:
            return


def _is_tick(lines: list[bytes]) -> bool:
    return lines[-1].startswith(b'{"t":"tick"')


def _decoded(
    lines: list[bytes], unpacker: Unpacker, wanted: bool, probes: Container[str] | None
) -> Iterator[Record]:
    for line in lines:
        if line.startswith(SAMPLE):
            if not wanted or (probes is not None and _probe(line) not in probes):
                continue
        elif line.startswith(b'{"t":"tick"') and not wanted:
            continue
        record = unpacker.record(line)
        if record is not None:
            yield record


def _probe(line: bytes) -> str:
    return line[PROBE_AT : line.index(b'"', PROBE_AT)].decode()


class Recording(ChunkTape):
    """A recording in one file, or in a set of files that its recorder has rotated.

    Attributes:
        path: the newest file.
        segments: its files, oldest first.
    """

    def __init__(self, path: str) -> None:
        """Open it and find its ticks.

        Raises:
            RecordingError: it is no recording, or there is nothing in it.
        """
        super().__init__()
        self.path = path
        self.segments: list[Segment] = []
        self._chunks: list[Chunk] = []
        try:
            self._open_all()
        except BaseException:
            self.close()
            raise
        self._learn_hello()

    @property
    def growing(self) -> bool:  # type: ignore[override]
        """Whether a recorder is still at it."""
        return self.segments[-1].growing or self._has_newer()

    @property
    def chunks(self) -> Sequence[Chunk]:
        """The chunks of all files."""
        return self._chunks

    def refresh(self) -> int:
        """Look for ticks that were added since, also in a file that took the place of this one."""
        before = self.overview.end
        self._take(self.segments[-1])
        if self._has_newer():
            self._take(self.segments[-1])
            self._open_fresh()
        if self.hello is None:
            self._learn_hello()
        return self.overview.end - before

    def close(self) -> None:
        """Close its files."""
        for segment in self.segments:
            segment.close()

    def _open_all(self) -> None:
        """Open the files that were there at one moment: a recorder may be going on to the next."""
        for tries_left in reversed(range(TRIES)):
            inodes = _inodes(self.path)
            error = self._open(inodes)
            if not tries_left or _inodes(self.path) == inodes:
                break
            self.close()
            self.segments.clear()
        if error:
            raise error
        for segment in self.segments:
            self._take(segment)

    def _open(self, names: Iterable[str]) -> RecordingError | None:
        try:
            for name in names:
                self.segments.append(Segment(name))
        except RecordingError as error:
            return error
        return None

    def _has_newer(self) -> bool:
        """Whether the recorder has begun another file."""
        try:
            return os.stat(self.path).st_ino != self.segments[-1].inode
        except OSError:
            return False

    def _open_fresh(self) -> None:
        """Open the files that the recorder has begun since."""
        known = {segment.inode for segment in self.segments}
        names = [name for name, inode in _inodes(self.path).items() if inode not in known]
        at = len(self.segments)
        self._open(names)  # what is there no more is passed over
        for segment in self.segments[at:]:
            self._take(segment)

    def _take(self, segment: Segment) -> None:
        for chunk, summary in segment.look():
            if not summary.ticks:
                continue
            if chunk.ticks == 0:
                chunk.first = self.overview.end
                self._chunks.append(chunk)
            chunk.ticks += summary.ticks
            self.overview.append(summary)

    def _learn_hello(self) -> None:
        for chunk in reversed(self._chunks):
            unpacker = Unpacker()
            for lines in ticks_of(chunk):
                for record in _decoded(lines, unpacker, False, ()):
                    if isinstance(record, Hello):
                        self.hello = record
                        return
                break


def _inodes(path: str) -> dict[str, int]:
    """The files of a set that hold something; PATH where none does."""
    found: dict[str, int] = {}
    for name in segments_of(path):
        with contextlib.suppress(OSError):  # deleted meanwhile
            status = os.stat(name)
            if status.st_size:
                found[name] = status.st_ino
    return found or {path: 0}
