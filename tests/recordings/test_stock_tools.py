"""Whoever has no ebpftop reads a recording with zstd and jq."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter

import pytest

from ebpftop.model import Process, Record, Status
from ebpftop.recording.pack import Unpacker
from tests.recordings import written

needs_zstd = pytest.mark.skipif(not shutil.which("zstd"), reason="needs zstd: apt install zstd")
needs_jq = pytest.mark.skipif(not shutil.which("jq"), reason="needs jq: apt install jq")
pytestmark = needs_zstd
TICKS = 50


@pytest.fixture
def recording(short_chunks, tmp_path):
    """A file of seven chunks, and what is in it."""
    return tmp_path / "x.ebt", written.Written.of(written.small_stream(TICKS), tmp_path / "x.ebt")


def zstd(*arguments):
    return subprocess.run(["zstd", *map(str, arguments)], capture_output=True)


def test_zstd_finds_nothing_wrong_with_it(recording):
    assert zstd("-q", "-t", recording[0]).returncode == 0


@needs_jq
def test_jq_reads_every_line(recording):
    plain = zstd("-dc", recording[0]).stdout
    types = subprocess.run(["jq", "-r", ".t"], input=plain, capture_output=True, check=True)
    said = Counter(types.stdout.decode().split())
    assert said["tick"] == TICKS
    assert said["sample"] == 2 * TICKS
    assert said["chunk"] == said["hello"] == 7
    assert {*said} == {"chunk", "hello", "status", "process", "sample", "stacks", "tick"}


@needs_jq
def test_jq_finds_a_column_by_its_name(recording):
    plain = zstd("-dc", recording[0]).stdout
    query = 'select(.t == "sample" and .probe == "offcputime").tables.stacks.pid | length'
    found = subprocess.run(["jq", query], input=plain, capture_output=True, check=True)
    assert found.stdout.split() == [b"2"] * TICKS


@needs_jq
@pytest.mark.parametrize("text", written.HOSTILE, ids=ascii)
def test_jq_reads_on_whatever_a_name_is(short_chunks, tmp_path, text):
    """Half a pair of surrogates is what Python has for a name that is not UTF-8."""
    told: list[Record] = [
        written.hello(host=text),
        Process(1, 2, text, exe=text, cmdline=text),
        Status("biotop", "failed", (text,), text, text, text),
        written.sample(text, 1, {text: [(text, 2**70)]}, lost={text: 2**70}),
        written.tick(1),
    ]
    written.Written.of(told, tmp_path / "x.ebt")
    plain = zstd("-dc", tmp_path / "x.ebt").stdout
    types = subprocess.run(["jq", "-r", ".t"], input=plain, capture_output=True, check=True)
    assert types.stdout.split() == [b"chunk", b"hello", b"process", b"status", b"sample", b"tick"]


def test_of_a_file_that_was_cut_zstd_prints_what_comes_before(recording):
    path, whole = recording
    before = 0
    for chunk in whole.chunks:
        path.write_bytes(whole.data[: chunk.offset + len(chunk.data) // 2])
        cut = zstd("-dc", path)
        assert cut.returncode != 0
        *lines, _ = cut.stdout.split(b"\n")
        ticks = sum(json.loads(line)["t"] == "tick" for line in lines)
        assert before <= ticks < before + len(chunk.ticks)
        before += len(chunk.ticks)


def test_what_zstd_prints_are_the_records(recording):
    path, _ = recording
    unpacker = Unpacker()
    lines = zstd("-dc", path).stdout.splitlines(keepends=True)
    records = [record for line in lines if (record := unpacker.record(line))]
    assert written.lines(records) == written.read(path)
    assert written.lines(records) == written.lines(written.small_stream(TICKS))


def test_its_head_says_what_it_is(recording):
    """`head -c 300 FILE` shows it: the header is not compressed."""
    head = recording[1].data[:300]
    assert b'"format": "ebpftop recording", "version": 1' in head
    assert b'"host": "box", "kernel": "6.18.0"' in head
