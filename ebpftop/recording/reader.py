"""Reads recordings: from any tick, while they grow, and whatever became of the file.

Nothing is believed that was not checked: a tick is shown only if its checksum, which covers its
chunk up to there, is right.
"""

from __future__ import annotations

import bisect
import contextlib
import os
from typing import TYPE_CHECKING

from ebpftop.model import Hello
from ebpftop.recording.overview import Mark, Overview
from ebpftop.recording.pack import SAMPLE, Unpacker
from ebpftop.recording.segment import BROKEN_CHUNK, FileChunk, Segment, segments_of
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.ticks import TICK, TickReader, is_tick, ticks_of
from ebpftop.recording.writer import is_being_written
from ebpftop.stream import StreamError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from ebpftop.model import Record
    from ebpftop.recording.ticks import Chunk

__all__ = ["ticks_of"]

PROBE_AT = len(SAMPLE) + len(b',"probe":"')
LOOKS = 100
LOSS = "what was recorded before this cannot be read"


class ChunkTape:
    """What reads ticks from chunks, wherever those lie; see `Tape`."""

    growing = False

    def __init__(self) -> None:
        self.hello: Hello | None = None
        self.overview = Overview()

    @property
    def chunks(self) -> Iterable[Chunk]:
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
        for chunk in chunks[max(0, at) :]:
            if chunk.first > last:
                return
            if chunk.first != expected:
                unpacker.forget()
            expected, end = chunk.first, chunk.first + chunk.ticks
            reader = TickReader()
            for lines in ticks_of(chunk, reader):
                if is_tick(lines) and expected >= min(end, last + 1):
                    break
                wanted = None if expected == last else probes
                try:
                    yield from _decoded(lines, unpacker, expected >= first, wanted)
                except StreamError:
                    break  # whoever wrote this did so in a way that is not ours
                expected += is_tick(lines)
            if not reader.ended:
                unpacker.forget()


def _decoded(
    lines: list[bytes], unpacker: Unpacker, wanted: bool, probes: Container[str] | None
) -> Iterator[Record]:
    for line in lines:
        if line.startswith(SAMPLE):
            if not wanted or (probes is not None and _probe(line) not in probes):
                continue
        elif line.startswith(TICK) and not wanted:
            continue
        record = unpacker.record(line)
        if record is not None:
            yield record


def _probe(line: bytes) -> str:
    return line[PROBE_AT:].partition(b'"')[0].decode()


class Recording(ChunkTape):
    """A recording in one file, or in a set of files that its recorder has rotated.

    Attributes:
        path: the newest file.
        segments: its files, oldest first.
    """

    def __init__(self, path: str) -> None:
        """Open it and find its ticks; there may be none.

        Raises:
            RecordingError: it is no recording.
        """
        super().__init__()
        self.path = path
        self.segments: list[Segment] = []
        self._chunks: list[FileChunk] = []
        try:
            self._open_fresh()
        except BaseException:
            self.close()
            raise
        self._learn_hello()

    @property
    def growing(self) -> bool:  # type: ignore[override]
        """Whether a recorder is still at it, or has left something that was not looked at yet."""
        if self.segments[-1].growing:
            return True
        # While a recorder moves on to its next file, PATH is missing, and the one before is held.
        held = (name for _ in range(3) for name in (self.path, *segments_of(self.path)[-2:]))
        return any(map(is_being_written, held))

    @property
    def chunks(self) -> list[FileChunk]:
        """The chunks of all files."""
        return self._chunks

    def refresh(self) -> int:
        """Look for ticks that were added since, also in files that took the place of this one."""
        before = self.overview.end
        self._take(self.segments[-1])
        if _inode(self.path) not in (0, self.segments[-1].inode):
            self._take(self.segments[-1])  # what was added until then
            with contextlib.suppress(RecordingError):  # the next file is there, but empty
                self._open_fresh()
            self._forget_deleted()
        if self.hello is None:
            self._learn_hello()
        return self.overview.end - before

    def close(self) -> None:
        """Close its files."""
        for segment in self.segments:
            segment.close()

    def _open_fresh(self) -> None:
        """Open the files that came after the last one that is open.

        Raises:
            RecordingError: no file is open even then.
        """
        opened: dict[int, Segment] = {}
        refused = RecordingError(f"{self.path} is being moved about; try again")
        # Names move while they are read: they have to be the same before and after.
        for _ in range(LOOKS):
            names = self._newer_names()
            for name in (name for inode, name in names.items() if inode not in opened):
                try:
                    segment = Segment(name)
                except RecordingError as error:  # noqa: PERF203
                    refused = error
                else:
                    opened.setdefault(segment.inode, segment)
            if list(self._newer_names()) == list(names):
                break
        for inode in filter(opened.__contains__, names):
            self.segments.append(opened[inode])
            self._take(opened[inode])
        for segment in opened.values():
            if segment not in self.segments:  # its name is gone already
                segment.close()
        if not self.segments:
            raise refused

    def _newer_names(self) -> dict[int, str]:
        """The names of files that came after those that are open, oldest first; by inode."""
        names = {_inode(name): name for name in segments_of(self.path)}
        known = [segment.inode for segment in self.segments]
        inodes = list(names)
        after = inodes.index(known[-1]) + 1 if known and known[-1] in names else 0
        return {inode: names[inode] for inode in inodes[after:] if inode not in known}

    def _forget_deleted(self) -> None:
        """Let go of old files that their recorder has deleted, and so of the space they take."""
        while len(self.segments) > 1 and self.segments[0].deleted():
            gone = self.segments.pop(0)
            gone.close()
            kept = [chunk for chunk in self._chunks if chunk.segment is not gone]
            self.overview.forget(sum(c.ticks for c in self._chunks) - sum(c.ticks for c in kept))
            self._chunks = kept

    def _take(self, segment: Segment) -> None:
        for chunk, summary in segment.look():
            if not summary.ticks:
                continue
            if chunk.ticks == 0:
                if self._chunks and _is_loss(self._chunks[-1], chunk):
                    self.overview.marks.append(Mark(self.overview.end, "damaged", "", LOSS))
                chunk.first = self.overview.end
                self._chunks.append(chunk)
            chunk.ticks += summary.ticks
            self.overview.append(summary)

    def _learn_hello(self) -> None:
        for chunk in reversed(self._chunks):
            for lines in ticks_of(chunk):
                for record in _decoded(lines, Unpacker(), False, ()):
                    if isinstance(record, Hello):
                        self.hello = record
                        return
                break


def _inode(path: str) -> int:
    """Which file has that name; 0 for none, or for one that cannot be asked."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _is_loss(before: FileChunk, chunk: FileChunk) -> bool:
    """Whether there were ticks between two chunks."""
    broken = (d.offset == before.end for d in before.segment.damages if d.what == BROKEN_CHUNK)
    return chunk.number > before.number + 1 or any(broken)
