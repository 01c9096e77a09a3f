"""Bytes of chunks back to ticks: nothing is believed that was not checked."""

from __future__ import annotations

import zlib
from array import array
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from ebpftop import stream
from ebpftop.recording.container import (
    CHECKSUM,
    CHUNK_MAGIC,
    block_bytes,
    decompressor,
    frame_head_bytes,
    has_checksum,
    zstd,
)
from ebpftop.recording.overview import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK = b'{"t":"tick"'
CLOSING = (TICK, b'{"t":"end"')
NEWLINE = b"\n"
MAX_TICK_BYTES = 1 << 28


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

    def begins(self, line: bytes) -> bool:
        """Whether this is the line that it should begin with."""

    def move(self) -> bool:
        """It is damaged: have the bytes of a copy instead; False where there is none."""


class TickReader:
    """Bytes of a chunk to its ticks; stops at the first that is not as it was written.

    Attributes:
        ended: whether the frame came to its end.
        damaged: whether something is wrong with what was read.
        good: how many bytes, from the first, hold ticks as they were written.
    """

    def __init__(self) -> None:
        self.ended = self.damaged = False
        self.good = 0
        self._decompressor = decompressor()
        self._read = self._crc = self._checksum_bytes = 0
        self._pending = b""
        self._text = bytearray()

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """The lines of each tick that is complete by now; the last line of each is the tick's."""
        data, at = self._pending + data, 0
        self._pending = b""
        while not (self.ended or self.damaged):
            length, is_last = self._part(data[at : at + 5])
            if not length or len(data) - at < length:
                self._pending = data[at:]
                return
            # Block by block: what zstd refuses takes nothing with it that came before.
            plain = self._plain(data[at : at + length])
            at += length
            lines = self._take(plain)
            if lines:
                yield lines
            if is_last and not self.damaged:
                self.ended, self.good = True, self._read

    def _part(self, head: bytes) -> tuple[int, bool]:
        """Length of the next part of the frame, 0 if that is not known yet; whether it is the last.

        The first part is the head of the frame; the checksum counts to the last block.
        """
        try:
            if self._read:
                if len(head) < 3:
                    return 0, False
                length, is_last = block_bytes(head[:3])
                return length + is_last * self._checksum_bytes, is_last
            if len(head) < 5:
                return 0, False
            if head[:4] == CHUNK_MAGIC:
                self._checksum_bytes = 4 * has_checksum(head)
                return frame_head_bytes(head), False
        except ValueError:
            pass
        self.damaged = True
        return 0, False

    def _plain(self, part: bytes) -> bytes:
        try:
            plain = self._decompressor.decompress(part)
        except zstd.ZstdError:
            self.damaged = True
            return b""
        self._read += len(part)
        return plain

    def _take(self, plain: bytes) -> list[bytes]:
        """The lines of a tick that this is the end of."""
        text = self._text
        text += plain
        if len(text) > MAX_TICK_BYTES:
            self.damaged = True
        if not plain.endswith(NEWLINE):
            return []
        closing = text.rfind(NEWLINE, 0, -1) + 1
        if not text.startswith(CLOSING, closing):
            return []
        cut = text.rfind(CHECKSUM, closing)
        crc = zlib.crc32(text[:cut], self._crc)
        if cut < 0 or text[cut + len(CHECKSUM) :] != b"%d}\n" % crc:
            self.damaged = True
            return []
        self._crc = zlib.crc32(text[cut:], crc)
        self._text = bytearray()
        self.good = self._read
        return bytes(text[:-1]).split(NEWLINE)


def ticks_of(chunk: Chunk, reader: TickReader | None = None) -> Iterator[list[bytes]]:
    """The lines of each tick of a chunk that is as it was written; `reader` then knows the rest.

    Where the chunk is damaged they are read from a copy of it, if there is one.
    """
    reader = reader or TickReader()
    known = ticks = 0
    for lines in ticks_in(chunk, reader):
        yield lines
        known += 1
        ticks += is_tick(lines)
    if ticks < chunk.ticks and not reader.ended and chunk.move():
        yield from islice(ticks_in(chunk), known, None)


def ticks_in(chunk: Chunk, reader: TickReader | None = None) -> Iterator[list[bytes]]:
    """The same, of the bytes that the chunk consists of now."""
    reader, begun = reader or TickReader(), False
    for piece in chunk.pieces():
        for lines in reader.feed(piece):
            if not begun and not chunk.begins(lines[0]):
                return
            begun = True
            yield lines
        if reader.ended or reader.damaged:
            return


def is_tick(lines: list[bytes]) -> bool:
    """Whether these lines are of a tick, not what was said after the last one of a chunk."""
    return lines[-1].startswith(TICK)


def opening_of(line: bytes) -> tuple[str, int]:
    """Recording and number of a chunk, from its first line; raises ValueError for another line."""
    try:
        fields = stream.fields_of(line)
        if fields["t"] != "chunk":
            raise ValueError("not the first line of a chunk")
        return str(fields["id"]), int(fields["number"])
    except (stream.StreamError, KeyError, TypeError) as error:
        raise ValueError(f"not the first line of a chunk: {error}") from None


def summary_of(lines: list[bytes]) -> Summary:
    """The overview of a tick, from its last line; empty for what ends a chunk.

    Raises:
        ValueError: it is damaged.
    """
    if not is_tick(lines):
        return Summary()
    try:
        fields = stream.fields_of(lines[-1])
        return Summary(
            array("q", [fields["wall_ns"]]),
            array("q", [fields["mono_ns"]]),
            fields["interval_ns"],
            {name: array("f", [load]) for name, load in fields.get("loads", {}).items()},
            {name: {0: int(number)} for name, number in fields.get("lost", {}).items()},
            [(0, kind, probe, text) for kind, probe, text in fields.get("marks", ())],
        )
    except (stream.StreamError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"a damaged tick: {error}") from None
