"""Records to the bytes of chunks, as a file and the flight recorder hold them alike."""

from __future__ import annotations

import secrets
import zlib
from typing import TYPE_CHECKING, Any

from ebpftop import stream
from ebpftop.model import Sample, Tick
from ebpftop.recording.container import (
    CHECKSUM,
    LEVEL,
    TICKS,
    TOLD_BYTES,
    WINDOW_LOG,
    Trailer,
    head_of,
    zstd,
)
from ebpftop.recording.overview import Meter, Summary
from ebpftop.recording.pack import Known, Packer, again

if TYPE_CHECKING:
    from ebpftop.model import Record

# A chunk also ends when it has become so long, or so old: it is what a damage may cost.
CHUNK_BYTES = 32 << 20
CHUNK_NS = 300 * 1_000_000_000


class Chunker:
    """Takes records, gives bytes: a block per tick, and the end of the frame when a chunk is full.

    Attributes:
        recording: the id that every chunk carries; may be set between chunks.
        number: of the chunk that is being written, or comes next.
        ticks: of the chunk that is being written.
        known: what has to be said again in the next chunk.
        newest: overview of the newest tick.
    """

    def __init__(self, recording: str = "", level: int = LEVEL, known: Known | None = None) -> None:
        """`known` is what was said before, for a recording that begins amid a stream."""
        self.recording = recording or secrets.token_hex(8)
        self.number = self.ticks = 0
        self.known = known or Known()
        self.newest = Summary()
        self._meter = Meter(self.known.hello)
        self._packer: Packer | None = None
        self._lines: list[tuple[bytes, bool]] = []
        self._round: dict[str, Sample] = {}
        self._carried: list[Sample] = []
        self._summary = Summary()
        self._bytes = self._plain_bytes = self._crc = 0
        self._options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: level,
            zstd.CompressionParameter.window_log: WINDOW_LOG,
            # Columns are full of digits: shorter matches cost more than the digits they save.
            zstd.CompressionParameter.min_match: 7,
            zstd.CompressionParameter.checksum_flag: 1,
        }

    def add(self, record: Record) -> bytes:
        """Take in a record; with a tick, the bytes of its block, else none.

        A stream without ticks is given them: a probe that comes again begins another round.
        """
        block = b""
        if isinstance(record, Sample):
            if record.probe in self._round:
                block = self._close_round()
            self._round[record.probe] = record
        self._begin()
        self._meter.add(record)
        if isinstance(record, Tick):
            return self._end_tick(record)
        self._say(record)
        return block

    @property
    def full(self) -> bool:
        """Whether the chunk should be finished now."""
        times = self._summary.mono_ns
        old = len(times) > 1 and times[-1] - times[0] >= CHUNK_NS
        return self.ticks >= TICKS or self._plain_bytes >= CHUNK_BYTES or old

    def finish(self) -> tuple[bytes, Trailer | None]:
        """End the chunk: its last bytes and its trailer, or none where nothing was begun.

        Samples of a round that has not ended go into the next chunk.
        """
        if self._packer is None:
            return b"", None
        self._lines = [(line, False) for line, is_sample in self._lines if not is_sample]
        self._carried, self._round = list(self._round.values()), {}
        block = self._block({"t": "end"}) if self._lines else b""
        last = block + self._compressor.flush(self._compressor.FLUSH_FRAME)
        self._bytes += len(last) - len(block)
        head = head_of(self._head + last[len(block) :])
        trailer = Trailer(self.recording, self.number, self._bytes, head, self._summary)
        self.number += 1
        self._packer = None
        return last, trailer

    def _begin(self) -> None:
        if self._packer is not None:
            return
        packer = self._packer = Packer()
        self._compressor = zstd.ZstdCompressor(options=self._options)
        self._summary = Summary()
        self.ticks = self._bytes = self._plain_bytes = self._crc = 0
        self._head = b""
        said = [line for record in self.known.begin() for line in packer.lines(record)]
        first = {"t": "chunk", "id": self.recording, "number": self.number, "repeated": len(said)}
        opening = stream.to_json(first).encode()
        self._lines = [(line, False) for line in (opening, *said)]
        for sample in self._carried:
            self._round[sample.probe] = sample
            self._say(sample)
        self._carried = []

    def _say(self, record: Record) -> None:
        """Add the lines of a record."""
        assert self._packer is not None
        info = None
        if isinstance(record, Sample):
            for process in self.known.missing(record):
                self._lines.append((again(process), False))
            info = self.known.hello.probe(record.probe) if self.known.hello else None
        else:
            self.known.add(record)
        is_sample = isinstance(record, Sample)
        self._lines += [(line, is_sample) for line in self._packer.lines(record, info)]

    def _close_round(self) -> bytes:
        *_, newest = self._round.values()
        interval_ns = self.known.hello.interval_ns if self.known.hello else newest.dt_ns
        return self.add(Tick(newest.wall_ns, newest.mono_ns, interval_ns))

    def _end_tick(self, tick: Tick) -> bytes:
        """The block of a tick; its line carries the overview of the tick and a checksum."""
        self._round.clear()
        self.ticks += 1
        summary = self.newest = self._meter.take()
        self._summary.join(summary)
        fields = {"t": "tick", **tick.__dict__}
        if summary.loads:
            fields["loads"] = {name: values[0] for name, values in summary.loads.items()}
        if summary.lost:
            fields["lost"] = {name: lost[0] for name, lost in summary.lost.items()}
        if summary.marks:
            fields["marks"] = [mark[1:] for mark in summary.marks]
        return self._block(fields)

    def _block(self, last: dict[str, Any]) -> bytes:
        """The block of the lines, and of one that ends them with the checksum of it all."""
        ending = stream.to_json(last)[:-1]
        text = b"".join([line + b"\n" for line, _ in self._lines]) + ending.encode()
        self._crc = zlib.crc32(text, self._crc)
        closing = b"%s%d}\n" % (CHECKSUM, self._crc)
        self._crc = zlib.crc32(closing, self._crc)
        self._lines.clear()
        self._plain_bytes += len(text) + len(closing)
        block = self._compressor.compress(text + closing, self._compressor.FLUSH_BLOCK)
        if len(self._head) < TOLD_BYTES:
            self._head += block
        self._bytes += len(block)
        return block
