"""The flight recorder: the last minutes of a stream in memory, in the very form of a file."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING

from ebpftop.recording.chunker import Chunker
from ebpftop.recording.container import (
    TRAILER_MAGIC,
    encode_header,
    encode_index,
    encode_trailer,
    header_of,
    skippable,
)
from ebpftop.recording.reader import ChunkTape
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import create

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.model import Record

MINUTES = 10
MAX_BYTES = 64 << 20
NS_PER_MINUTE = 60 * 1_000_000_000


class MemoryChunk:
    """A chunk that is held in memory; see `reader.Chunk`."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.ticks = self.bytes = 0
        self.trailer = b""
        self._blocks: list[bytes] = []

    def pieces(self) -> Iterator[bytes]:
        """Its bytes so far."""
        return iter(self._blocks)

    def begins(self, line: bytes) -> bool:  # noqa: ARG002
        """Whatever it begins with was written here."""
        return True

    def move(self) -> bool:
        """There is only this one."""
        return False

    def append(self, block: bytes, ticks: int) -> None:
        """Add a block."""
        self._blocks.append(block)
        self.bytes += len(block)
        self.ticks += ticks


class FlightRecorder(ChunkTape):
    """Holds the newest ticks; the oldest chunks go when it holds more than it may.

    Attributes:
        bytes: what it holds.
    """

    growing = True

    def __init__(self, minutes: float = MINUTES, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self.bytes = 0
        self._span_ns = int(minutes * NS_PER_MINUTE)
        self._max_bytes = max_bytes
        self._chunker = Chunker()
        self._memory: deque[MemoryChunk] = deque([MemoryChunk(0)])
        self._seen = 0

    @property
    def chunks(self) -> deque[MemoryChunk]:
        """What it holds, oldest first; the last is being written."""
        return self._memory

    def add(self, record: Record) -> bool:
        """Take in a record; returns whether a tick ended with it."""
        block = self._chunker.add(record)
        self.hello = self._chunker.known.hello
        if not block:
            return False
        self.bytes += len(block)
        self._memory[-1].append(block, 1)
        self.overview.append(self._chunker.newest)
        if self._chunker.full:
            self._end_chunk()
        return True

    def refresh(self) -> int:
        """How many ticks were added since it was last asked."""
        fresh, self._seen = self.overview.end - self._seen, self.overview.end
        return fresh

    def save(self, path: str) -> int:
        """Write what it holds to a new file; returns the number of ticks.

        Raises:
            RecordingError: the file is there already, or cannot be written.
        """
        if self._memory[-1].ticks:
            self._end_chunk()
        fd = create(path)
        try:
            with open(fd, "wb") as file:
                file.write(encode_header(header_of(self.hello, self._chunker.recording)))
                index = []
                for chunk in self._memory:
                    if chunk.trailer:
                        index.append((file.tell(), chunk.bytes, chunk.trailer))
                        file.writelines(chunk.pieces())
                        file.write(skippable(TRAILER_MAGIC, chunk.trailer))
                file.write(encode_index(index))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise RecordingError(f"{path}: {error.strerror or error}; nothing was saved") from None
        return len(self.overview)

    def continued(self) -> Chunker:
        """A chunker for a recording that begins now: it knows what was said so far."""
        return Chunker(known=self._chunker.known.copy())

    def close(self) -> None:
        """Forget everything."""
        self._memory.clear()

    def _end_chunk(self) -> None:
        last, trailer = self._chunker.finish()
        chunk = self._memory[-1]
        chunk.append(last, 0)
        if trailer:
            chunk.trailer = encode_trailer(trailer)
        self.bytes += len(last) + len(chunk.trailer)
        self._memory.append(MemoryChunk(self.overview.end))
        self._forget()

    def _forget(self) -> None:
        """Drop chunks that lie before the span altogether, and those that there is no room for."""
        newest = self.overview.mono_ns[-1]
        while len(self._memory) > 2:
            oldest, then = self._memory[0], self._memory[1]
            needed = newest - self.overview.mono(max(then.first - 1, 0)) < self._span_ns
            if needed and self.bytes <= self._max_bytes:
                return
            self._memory.popleft()
            self.bytes -= oldest.bytes + len(oldest.trailer)
            self.overview.forget(oldest.ticks)
