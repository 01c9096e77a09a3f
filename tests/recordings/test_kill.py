"""A recorder that is killed at any moment loses no tick of which it has said that it is written."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time

import pytest

from ebpftop.commands import export
from ebpftop.recording.reader import Recording
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer
from tests.recordings import written

KILLS = 50
SEED = 7
MOST_TICKS = 300  # before the kill


@pytest.fixture(scope="module")
def story():
    """The samples of the stream that every recorder is given, and its tick, by tick."""
    return list(written.rounds(written.small_stream(4 * MOST_TICKS, SEED)))


@pytest.fixture(autouse=True)
def _handlers():
    """Commands are told by signals to end."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def recorder(path):
    """A process that records as fast as it can; returns its id, and where it tells each tick."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, open(reading)
    try:
        writer = Writer(str(path))
        for record in written.small_stream(4 * MOST_TICKS, SEED):
            if writer.add(record):
                os.write(writing, b"\n")
        time.sleep(60)
    finally:
        os._exit(1)


def killed(path, rng):
    """Record until the recorder is killed at some moment; returns how many ticks it told."""
    pid, telling = recorder(path)
    with telling:
        told = sum(1 for _ in itertools.islice(telling, rng.randrange(MOST_TICKS)))
        time.sleep(rng.random() / 500)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return told + sum(1 for _ in telling)


@pytest.mark.parametrize("kill", range(KILLS))
def test_after_kill_9_every_tick_that_was_told_can_be_read(short_chunks, tmp_path, story, kill):
    rng = random.Random(kill)
    path, out = tmp_path / "x.ebt", tmp_path / "out.jsonl"
    told = killed(path, rng)
    try:
        tape = Recording(str(path))
    except RecordingError:
        assert not told
        return
    assert not tape.growing
    # Of a tick that was in the file when the recorder was killed, it may not have told.
    assert told <= len(tape.overview) <= told + 1
    if told:
        check(tape, story[: len(tape.overview)], rng)
        assert export.main([str(path), "-o", str(out)]) == 0
        rows = map(json.loads, out.read_bytes().splitlines())
        assert len({row["wall_ns"] for row in rows}) == len(tape.overview)
    tape.close()


def check(tape, story, rng):
    """It opens, and seeks to any tick."""
    end = len(story)
    assert list(written.rounds(tape.records(0, end - 1))) == story
    for tick in (0, end - 1, rng.randrange(end)):
        assert list(written.rounds(tape.records(tick, tick))) == [story[tick]]
    assert list(tape.overview.mono_ns) == [(tick + 1) * written.SECOND for tick in range(end)]
    (segment,) = tape.segments
    assert not segment.damages
