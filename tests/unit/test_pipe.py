"""A stream from a pipe, or from a file on standard input."""

import asyncio
import os

import pytest

from ebpftop import stream
from ebpftop.recording.chunker import Chunker
from ebpftop.recording.ticks import TickReader
from ebpftop.sources.base import SourceError
from ebpftop.sources.pipe import PipeSource
from tests.ui import scenes

RECORDS = scenes.minute(ticks=5)
LINES = "".join(stream.encode(record) + "\n" for record in RECORDS).encode()


def read(fd):
    async def collect():
        source = PipeSource(fd)
        try:
            return [record async for record in source.records()]
        finally:
            source.close()

    return asyncio.run(collect())


def piped(data):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        with open(writing, "wb") as pipe:
            pipe.write(data)
        os._exit(0)
    os.close(writing)
    return reading


def encoded(records):
    return [stream.encode(record) for record in records]


def test_a_pipe_yields_its_records():
    assert encoded(read(piped(LINES))) == encoded(RECORDS)


def test_so_does_a_file(tmp_path):
    (tmp_path / "stream.jsonl").write_bytes(LINES)
    fd = os.open(tmp_path / "stream.jsonl", os.O_RDONLY)
    assert encoded(read(fd)) == encoded(RECORDS)


def test_the_lines_of_a_recording_are_a_stream():
    chunker, reader = Chunker(), TickReader()
    data = b"".join(map(chunker.add, RECORDS)) + chunker.finish()[0]
    lines = [line for tick in reader.feed(data) for line in tick]
    assert encoded(read(piped(b"\n".join(lines) + b"\n"))) == encoded(RECORDS)


def test_what_is_no_stream_is_said_in_one_line():
    with pytest.raises(SourceError, match="the stream cannot be read: not a line of JSON"):
        read(piped(b"hello\n"))


def test_a_pipe_without_a_word_ends():
    assert read(piped(b"")) == []
