"""Records to the bytes of chunks: what a file and the flight recorder hold alike."""

from __future__ import annotations

import json
import secrets
import zlib
from typing import TYPE_CHECKING, Any

from ebpftop import stream
from ebpftop.model import Sample, Tick
from ebpftop.recording.container import LEVEL, TICKS, Trailer, zstd
from ebpftop.recording.overview import Meter, Summary
from ebpftop.recording.pack import Known, Packer, encoded

if TYPE_CHECKING:
    from ebpftop.model import Record

# A chunk also ends when it has become so long, or so old: it is what a damage may cost.
CHUNK_BYTES = 32 << 20
CHUNK_NS = 300 * 1_000_000_000
CHECKSUM = b',"crc":'
STEP_BYTES = 1 << 20
SLICE_BYTES = 512  # decompressed at once: where that fails, the ticks in it are lost


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
        self._round: set[str] = set()
        self._last_sample: Sample | None = None
        self._summary = Summary()
        self._bytes = self._plain_bytes = self._crc = 0
        self._options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: level,
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
            self._round.add(record.probe)
            self._last_sample = record
        self._begin()
        self._meter.add(record)
        if isinstance(record, Tick):
            return block + self._end_tick(record)
        assert self._packer is not None
        info = None
        if isinstance(record, Sample):
            for process in self.known.missing(record):
                self._lines.append((encoded(process), False))
            info = self.known.hello.probe(record.probe) if self.known.hello else None
        else:
            self.known.add(record)
        is_sample = isinstance(record, Sample)
        self._lines += [(line, is_sample) for line in self._packer.lines(record, info)]
        return block

    @property
    def full(self) -> bool:
        """Whether the chunk should be finished now."""
        times = self._summary.mono_ns
        old = len(times) > 1 and times[-1] - times[0] >= CHUNK_NS
        return self.ticks >= TICKS or self._plain_bytes >= CHUNK_BYTES or old

    def finish(self) -> tuple[bytes, Trailer | None]:
        """End the chunk: its last bytes and its trailer, or none where nothing was begun.

        Samples of a round that has not ended are not kept; what else was said is.
        """
        if self._packer is None:
            return b"", None
        self._lines = [(line, False) for line, is_sample in self._lines if not is_sample]
        self._round.clear()
        block = self._block({"t": "end"}) if self._lines else b""
        last = block + self._compressor.flush(self._compressor.FLUSH_FRAME)
        self._bytes += len(last) - len(block)
        trailer = Trailer(self.recording, self.number, self._bytes, self._summary)
        self.number += 1
        self._packer = None
        return last, trailer

    def _begin(self) -> None:
        if self._packer is not None:
            return
        self._packer = Packer()
        self._compressor = zstd.ZstdCompressor(options=self._options)
        self._summary = Summary()
        self.ticks = self._bytes = self._plain_bytes = self._crc = 0
        again = [line for record in self.known.begin() for line in self._packer.lines(record)]
        first = {"t": "chunk", "id": self.recording, "number": self.number, "repeated": len(again)}
        self._lines = [(line, False) for line in (json.dumps(first).encode(), *again)]

    def _close_round(self) -> bytes:
        assert self._last_sample is not None
        interval_ns = self.known.hello.interval_ns if self.known.hello else self._last_sample.dt_ns
        return self.add(Tick(self._last_sample.wall_ns, self._last_sample.mono_ns, interval_ns))

    def _end_tick(self, tick: Tick) -> bytes:
        """The block of a tick; its line carries the overview of the tick and a checksum."""
        self._round.clear()
        self.ticks += 1
        summary = self.newest = self._meter.take()
        self._summary.join(summary)
        fields = {"t": "tick", **tick.__dict__}
        for name in ("loads", "lost", "marks"):
            if getattr(summary, name):
                fields[name] = getattr(summary, name)
        return self._block(fields)

    def _block(self, last: dict[str, Any]) -> bytes:
        """Lines and the one that ends them, with the checksum of the chunk so far."""
        ending = json.dumps(last, separators=(",", ":"))[:-1]
        text = b"".join([line + b"\n" for line, _ in self._lines]) + ending.encode()
        self._crc = zlib.crc32(text, self._crc)
        closing = b"%s%d}\n" % (CHECKSUM, self._crc)
        self._crc = zlib.crc32(closing, self._crc)
        self._lines.clear()
        self._plain_bytes += len(text) + len(closing)
        block = self._compressor.compress(text + closing, self._compressor.FLUSH_BLOCK)
        self._bytes += len(block)
        return block


class TickReader:
    """Bytes of a chunk to its ticks; stops at the first that is not as it was written.

    Attributes:
        ended: whether the frame came to its end.
        damaged: whether something is wrong with what was read.
        unused: bytes after the end of the frame.
    """

    def __init__(self) -> None:
        self.ended = self.damaged = False
        self.unused = 0
        self._decompressor = zstd.ZstdDecompressor()
        self._crc = 0
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The lines of each tick that is complete by now; the last line of each is the tick's."""
        ticks: list[list[bytes]] = []
        for start in range(0, len(data), SLICE_BYTES):
            if self.ended or self.damaged:
                break
            self._feed(data[start : start + SLICE_BYTES], ticks)
            if self.ended:
                self.unused += max(0, len(data) - start - SLICE_BYTES)
        return ticks

    def _feed(self, data: bytes, ticks: list[list[bytes]]) -> None:
        while not self.ended and not self.damaged:
            try:
                plain = self._decompressor.decompress(data, STEP_BYTES)
            except zstd.ZstdError:
                self.damaged = True
                break
            data = b""
            self._take(plain, ticks)
            if self._decompressor.eof:
                self.ended = True
                self.unused = len(self._decompressor.unused_data)
            elif self._decompressor.needs_input:
                break

    def _take(self, plain: bytes, ticks: list[list[bytes]]) -> None:
        *lines, self._rest = (self._rest + plain).split(b"\n")
        for line in lines:
            self._lines.append(line)
            if line.startswith((b'{"t":"tick"', b'{"t":"end"')):
                if not self._is_whole():
                    self.damaged = True
                    return
                ticks.append(self._lines)
                self._lines = []
        if len(self._rest) > stream.MAX_LINE_BYTES:
            self.damaged = True

    def _is_whole(self) -> bool:
        last = self._lines[-1]
        cut = last.rfind(CHECKSUM)
        if cut < 0:
            return False
        crc = self._crc
        for line in self._lines[:-1]:
            crc = zlib.crc32(b"\n", zlib.crc32(line, crc))
        crc = zlib.crc32(last[:cut], crc)
        if last[cut + len(CHECKSUM) : -1] != b"%d" % crc:
            return False
        self._crc = zlib.crc32(b"\n", zlib.crc32(last[cut:], crc))
        return True


def summary_of(tick_line: bytes) -> Summary:
    """The overview of one tick, from its line; empty for the line that ends a chunk."""
    fields = json.loads(tick_line)
    if fields["t"] != "tick":
        return Summary()
    return Summary(
        [fields["wall_ns"]],
        [fields["mono_ns"]],
        fields["interval_ns"],
        fields.get("loads", {}),
        {p: {int(t): n for t, n in of.items()} for p, of in fields.get("lost", {}).items()},
        [tuple(mark) for mark in fields.get("marks", ())],
    )
