"""The bytes of a recording: zstd frames that hold chunks, and skippable ones that describe them.

    header   (chunk trailer)*   index

Each chunk is a plain zstd frame of JSON lines; where a tick ends, a block ends. A trailer tells the
length, the ticks and the overview of the chunk before it; the index at the end repeats all
trailers, so that a reader opens a day in one read. Header, trailers and index lie in skippable
frames: `zstd -dc` passes over them. These end with their own length, so that a file without an
index is read backwards from trailer to trailer. Whatever is missing is found again from what is
there.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.recording.overview import Summary
from ebpftop.recording.tape import RecordingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ebpftop.model import Hello

__all__ = ["zstd"]

FORMAT = "ebpftop recording"
VERSION = 1
TICKS = 60  # of a chunk
LEVEL = 3
WINDOW_LOG = 21  # of what is written: 2 MiB
MAX_WINDOW_LOG = 23  # a reader gives no more memory to a frame, whatever its header asks for

CHECKSUM = b',"crc":'  # in the line that ends a tick: of all of the chunk up to here
CHUNK_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1: any zstd frame
HEADER_MAGIC, TRAILER_MAGIC, INDEX_MAGIC = (
    struct.pack("<I", 0x184D2A50 + number) for number in (0, 1, 2)
)
SKIPPABLE = (HEADER_MAGIC, TRAILER_MAGIC, INDEX_MAGIC)
SIGNATURE = b"ebpftop\0"
# Of a skippable frame: magic, length of the rest; then ours: signature and checksum of the payload.
HEAD = struct.Struct("<4sI8sI")
HEAD_BYTES = HEAD.size
# And its last bytes: its length, and a mark.
TAIL = struct.Struct("<Q8s")
TAIL_MARK = b"ebpftop\n"
ENTRY = struct.Struct("<QQI")  # in the index: offset and length of a chunk, length of its trailer
TOLD_BYTES = 64  # of a chunk, that its trailer tells of
MOST_PAYLOAD = 64 << 20
MAX_BLOCK_BYTES = 128 << 10  # RFC 8878, 3.1.1.2.4
HOP_BYTES = 1 << 15
DECOMPRESSION: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}


@dataclass(frozen=True)
class Header:
    """Who recorded what; `id` is random and names the recording in every chunk."""

    id: str
    host: str = ""
    kernel: str = ""
    boot_id: str = ""
    machine: str = ""
    wall_ns: int = 0
    mono_ns: int = 0
    format: str = FORMAT
    version: int = VERSION


@dataclass(frozen=True)
class Trailer:
    """What is known of a chunk without reading it.

    `bytes` is the length of its zstd frame, `head` the checksum of how that begins: what lies where
    the chunk should be is asked for it, before it is taken for the chunk.
    """

    id: str
    number: int
    bytes: int
    head: int
    summary: Summary


def decompressor() -> zstd.ZstdDecompressor:
    """For a frame that may be damaged."""
    return zstd.ZstdDecompressor(options=DECOMPRESSION)


def skippable(magic: bytes, payload: bytes) -> bytes:
    """A skippable frame."""
    length = skippable_bytes(payload)
    head = HEAD.pack(magic, length - 8, SIGNATURE, zlib.crc32(payload))
    return head + payload + TAIL.pack(length, TAIL_MARK)


def skippable_bytes(payload: bytes) -> int:
    """Length of the skippable frame of a payload."""
    return HEAD_BYTES + len(payload) + TAIL.size


def payload_of(frame: bytes) -> bytes:
    """The payload of a skippable frame; raises ValueError where it is not as it was written."""
    if len(frame) < HEAD_BYTES + TAIL.size:
        raise ValueError("a frame cut short")
    _, size, signature, checksum = HEAD.unpack_from(frame)
    payload = frame[HEAD_BYTES : 8 + size - TAIL.size]
    tail = frame[8 + size - TAIL.size : 8 + size]
    if signature != SIGNATURE or zlib.crc32(payload) != checksum:
        raise ValueError("a damaged frame")
    if tail != TAIL.pack(8 + size, TAIL_MARK):
        raise ValueError("a frame cut short")
    return payload


def header_of(hello: Hello | None, recording: str) -> Header:
    """The header of a recording of that id."""
    if hello is None:
        return Header(recording)
    return Header(
        recording,
        hello.host,
        hello.kernel,
        hello.boot_id,
        hello.machine,
        hello.wall_ns,
        hello.mono_ns,
    )


def encode_header(header: Header) -> bytes:
    """The first frame of a file; its JSON is not compressed, so that `head -c 300` shows it."""
    return skippable(HEADER_MAGIC, json.dumps(header.__dict__).encode() + b"\n")


def decode_header(frame: bytes) -> Header:
    """The header of a file.

    Raises:
        ValueError: it is damaged.
        RecordingError: it is of a newer version.
    """
    fields = json.loads(payload_of(frame))
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ValueError("not a header")
    if int(fields["version"]) > VERSION:
        raise RecordingError(
            f"written by a newer ebpftop (recording version {fields['version']},"
            f" this one reads {VERSION}); upgrade ebpftop to read it"
        )
    return Header(**{k: v for k, v in fields.items() if k in Header.__dataclass_fields__})


def head_of(data: bytes) -> int:
    """The checksum of how a chunk begins."""
    return zlib.crc32(data[:TOLD_BYTES])


def encode_trailer(trailer: Trailer) -> bytes:
    """The payload of a trailer's frame: a line of JSON and the columns of its overview."""
    fields = {name: getattr(trailer, name) for name in ("id", "number", "bytes", "head")}
    fields.update(trailer.summary.fields())
    line = json.dumps(fields, separators=(",", ":")).encode()
    return zstd.compress(line + b"\n" + trailer.summary.columns())


def decode_trailer(payload: bytes) -> Trailer:
    """The trailer of a payload; raises ValueError for one that is none."""
    try:
        plain = decompressor().decompress(payload, MOST_PAYLOAD)
        line, _, columns = plain.partition(b"\n")
        fields: dict[str, Any] = json.loads(line)
        number, size, head = (int(fields[name]) for name in ("number", "bytes", "head"))
        return Trailer(str(fields["id"]), number, size, head, Summary.of(fields, columns))
    except (zstd.ZstdError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"a damaged trailer: {error}") from None


def encode_index(chunks: list[tuple[int, int, bytes]]) -> bytes:
    """The last frame of a file, from offset, length and trailer's payload of each chunk."""
    entries = b"".join(ENTRY.pack(offset, size, len(of)) for offset, size, of in chunks)
    head = struct.pack("<I", len(chunks))
    return skippable(INDEX_MAGIC, head + entries + b"".join(of for _, _, of in chunks))


def decode_index(frame: bytes) -> Iterator[tuple[int, int, Trailer]]:
    """Offset of each chunk and of what follows its trailer, and the trailer.

    Raises:
        ValueError: it is damaged.
    """
    payload = payload_of(frame)
    try:
        (number,) = struct.unpack_from("<I", payload)
        at = 4 + number * ENTRY.size
        for offset, size, length in ENTRY.iter_unpack(payload[4:at]):
            of = payload[at : at + length]
            yield offset, offset + size + skippable_bytes(of), decode_trailer(of)
            at += length
    except struct.error as error:
        raise ValueError(f"a damaged index: {error}") from None


def frame_head_bytes(head: bytes) -> int:
    """Length of the header of a zstd frame, from its first five bytes."""
    descriptor = head[4]  # RFC 8878, 3.1.1.1.1
    single = descriptor >> 5 & 1
    content = (single, 2, 4, 8)[descriptor >> 6]
    return 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content


def has_checksum(head: bytes) -> bool:
    """Whether four bytes come after the last block of a frame; from its first five bytes."""
    return bool(head[4] >> 2 & 1)


def block_bytes(head: bytes) -> tuple[int, bool]:
    """Length of a block with its head of three bytes, and whether it is the last of its frame.

    Raises:
        ValueError: there is no such block.
    """
    value = int.from_bytes(head, "little")
    kind, length = value >> 1 & 3, value >> 3
    # An empty one that is not the last would be legal; zeros where a disk lost its data look alike.
    if kind == 3 or length > MAX_BLOCK_BYTES or (not length and not value & 1):
        raise ValueError("not a block")
    return 3 + (1 if kind == 1 else length), bool(value & 1)


def frame_end(read: Callable[[int, int], bytes], start: int, size: int) -> int | None:
    """Where the zstd frame at `start` ends, by the heads of its blocks, without decompressing it.

    Returns None where the file ends before the frame does, or where this is no frame.
    """
    window, window_at = read(start, HOP_BYTES), start
    if len(window) < 5 or window[:4] != CHUNK_MAGIC:
        return None
    at, checksum_bytes = start + frame_head_bytes(window), 4 * has_checksum(window)
    while at + 3 <= size:
        if at + 3 > window_at + len(window):
            window, window_at = read(at, HOP_BYTES), at
        try:
            length, is_last = block_bytes(window[at - window_at : at - window_at + 3])
        except ValueError:
            return None
        at += length
        if is_last:
            at += checksum_bytes
            return at if at <= size else None
    return None
