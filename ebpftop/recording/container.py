"""The bytes of a recording: zstd frames that hold chunks, and skippable ones that describe them.

    header   (chunk trailer)*   index

Each chunk is a plain zstd frame of JSON lines, written block by block, one block a tick. A trailer
tells the length, the ticks and the overview of the chunk before it; the index at the end repeats
all trailers, so that a reader opens a day in one read. Header, trailers and index lie in skippable
frames: `zstd -dc` passes over them. Whatever is missing is found again from what is there.
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
    from collections.abc import Callable

    from ebpftop.model import Hello

__all__ = ["zstd"]

FORMAT = "ebpftop recording"
VERSION = 1
TICKS = 60  # of a chunk
LEVEL = 3

CHUNK_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1: any zstd frame
HEADER_MAGIC, TRAILER_MAGIC, INDEX_MAGIC = (
    struct.pack("<I", 0x184D2A50 + number) for number in (0, 1, 2)
)
SKIPPABLE = (HEADER_MAGIC, TRAILER_MAGIC, INDEX_MAGIC)
SIGNATURE = b"ebpftop\0"
# Of a skippable frame: magic, length of the rest; then ours: signature and checksum of the payload.
HEAD = struct.Struct("<4sI8sI")
HEAD_BYTES = HEAD.size
# The last bytes of a file whose recorder came to its end: length of the index frame, and a mark.
TAIL = struct.Struct("<Q8s")
TAIL_MARK = b"ebpfidx\n"
ENTRY = struct.Struct("<QQI")  # in the index: offset and length of a chunk, length of its trailer
MOST_PAYLOAD = 64 << 20


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
    """What is known of a chunk without reading it; `bytes` is the length of its zstd frame."""

    id: str
    number: int
    bytes: int
    summary: Summary


def skippable(magic: bytes, payload: bytes) -> bytes:
    """A skippable frame."""
    size = len(payload) + HEAD_BYTES - 8
    return HEAD.pack(magic, size, SIGNATURE, zlib.crc32(payload)) + payload


def payload_of(frame: bytes) -> bytes:
    """The payload of a skippable frame; raises ValueError where it is not as it was written."""
    if len(frame) < HEAD_BYTES:
        raise ValueError("a frame cut short")
    _, size, signature, checksum = HEAD.unpack_from(frame)
    payload = frame[HEAD_BYTES : 8 + size]
    if signature != SIGNATURE or zlib.crc32(payload) != checksum:
        raise ValueError("a damaged frame")
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
    if fields.get("format") != FORMAT:
        raise ValueError("not a header")
    if int(fields["version"]) > VERSION:
        raise RecordingError(
            f"written by a newer ebpftop (recording version {fields['version']},"
            f" this one reads {VERSION}); upgrade ebpftop to read it"
        )
    return Header(**{k: v for k, v in fields.items() if k in Header.__dataclass_fields__})


def encode_trailer(trailer: Trailer) -> bytes:
    """The payload of a trailer's frame."""
    fields = {"id": trailer.id, "number": trailer.number, "bytes": trailer.bytes}
    fields.update(trailer.summary.as_json())
    return zstd.compress(json.dumps(fields, separators=(",", ":")).encode())


def decode_trailer(payload: bytes) -> Trailer:
    """The trailer of a payload; raises ValueError for one that is none."""
    try:
        fields: dict[str, Any] = json.loads(
            zstd.ZstdDecompressor().decompress(payload, MOST_PAYLOAD)
        )
        summary = Summary.from_json(fields)
        return Trailer(str(fields["id"]), int(fields["number"]), int(fields["bytes"]), summary)
    except (zstd.ZstdError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"a damaged trailer: {error}") from None


def encode_index(chunks: list[tuple[int, int, bytes]]) -> bytes:
    """The last frame of a file, from offset, length and trailer's payload of each chunk."""
    entries = b"".join(ENTRY.pack(offset, size, len(of)) for offset, size, of in chunks)
    payload = struct.pack("<I", len(chunks)) + entries + b"".join(of for _, _, of in chunks)
    length = HEAD_BYTES + len(payload) + TAIL.size
    return skippable(INDEX_MAGIC, payload + TAIL.pack(length, TAIL_MARK))


def decode_index(frame: bytes) -> list[tuple[int, int, Trailer]]:
    """Offset, length and trailer of each chunk; raises ValueError for a damaged index."""
    payload = payload_of(frame)
    try:
        (number,) = struct.unpack_from("<I", payload)
        at, chunks = 4 + number * ENTRY.size, []
        for position in range(number):
            offset, size, length = ENTRY.unpack_from(payload, 4 + position * ENTRY.size)
            chunks.append((offset, size, decode_trailer(payload[at : at + length])))
            at += length
    except struct.error as error:
        raise ValueError(f"a damaged index: {error}") from None
    return chunks


def frame_end(read: Callable[[int, int], bytes], start: int, size: int) -> int | None:
    """Where the zstd frame at `start` ends, by its block headers, without decompressing it.

    Returns None where the file ends before the frame does, or where this is no frame.
    """
    head = read(start, 18)
    if len(head) < 6 or head[:4] != CHUNK_MAGIC:
        return None
    descriptor = head[4]
    single = descriptor >> 5 & 1
    at = start + 5 + (1 - single)
    at += (0, 1, 2, 4)[descriptor & 3]
    content = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    at += content
    while at + 3 <= size:
        block = int.from_bytes(read(at, 3), "little")
        kind, length = block >> 1 & 3, block >> 3
        if kind == 3:
            return None
        at += 3 + (1 if kind == 1 else length)
        if block & 1:
            at += 4 * (descriptor >> 2 & 1)
            return at if at <= size else None
    return None
