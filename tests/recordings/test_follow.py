"""Whoever reads a recording while it is written sees each tick once, as soon as it is there."""

from __future__ import annotations

import os
import random

import pytest

from ebpftop.model import Tick
from ebpftop.recording.reader import Recording
from ebpftop.recording.retain import Limits, Rotation
from ebpftop.recording.writer import Writer
from tests.recordings import written


@pytest.fixture(autouse=True)
def _short(short_chunks):
    """Many chunks: their ends, trailers and beginnings are what may go wrong."""


class Follower:
    """Reads what is new, again and again."""

    def __init__(self, path):
        self.tape = Recording(str(path))
        self.seen = self.tape.overview.end
        self.rounds = self.read(0, self.seen)

    def read(self, first, end):
        return list(written.rounds(self.tape.records(first, end - 1)))

    def look(self):
        """Take in what was added; returns how much that is."""
        fresh = self.tape.refresh()
        assert self.tape.overview.end == self.seen + fresh
        found = self.read(self.seen, self.seen + fresh)
        assert len(found) == fresh
        self.rounds += found
        self.seen += fresh
        return fresh


def test_each_tick_is_seen_once_it_is_written_over_the_ends_of_chunks(tmp_path):
    records = list(written.small_stream(50))
    writer = Writer(str(tmp_path / "x.ebt"))
    writer.add(records[0])
    follower = Follower(tmp_path / "x.ebt")
    for record in records[1:]:
        assert follower.look() == 0
        fresh = writer.add(record)
        assert follower.look() == fresh
    assert follower.tape.growing
    writer.close()
    assert follower.look() == 0
    assert not follower.tape.growing
    assert follower.rounds == list(written.rounds(records))
    assert follower.read(0, 50) == follower.rounds


@pytest.mark.parametrize("seed", range(20))
def test_in_whatever_pieces_its_bytes_arrive(tmp_path, seed):
    rng = random.Random(seed)
    whole = written.Written.of(written.small_stream(30), tmp_path / "whole.ebt").data
    path, at = tmp_path / "x.ebt", 300
    path.write_bytes(whole[:at])
    follower = Follower(path)
    with open(path, "ab", buffering=0) as file:
        while at < len(whole):
            size = rng.choice((1, 2, 3, 7, 20, rng.randrange(1, 5000)))
            file.write(whole[at : at + size])
            at += size
            follower.look()
    assert follower.rounds == list(written.rounds(written.small_stream(30)))
    assert follower.tape.segments[0].indexed
    assert not follower.tape.segments[0].damages
    assert same(follower.tape.overview, Recording(str(tmp_path / "whole.ebt")).overview)


def test_byte_by_byte_around_the_end_of_a_chunk(tmp_path):
    found = written.Written.of(written.small_stream(20), tmp_path / "whole.ebt")
    path, whole = tmp_path / "x.ebt", found.data
    start, end = (
        found.chunks[0].offset + len(found.chunks[0].data) - 50,
        found.chunks[1].offset + 99,
    )
    path.write_bytes(whole[:start])
    follower = Follower(path)
    with open(path, "ab", buffering=0) as file:
        for at in range(start, end):
            file.write(whole[at : at + 1])
            follower.look()
            assert follower.seen in (7, 8)
        file.write(whole[end:])
    follower.look()
    assert follower.rounds == list(written.rounds(written.small_stream(20)))


def test_wherever_it_is_opened_it_is_read_on_from_there(tmp_path):
    whole = written.Written.of(written.small_stream(20), tmp_path / "whole.ebt").data
    rng, path = random.Random(1), tmp_path / "x.ebt"
    for _ in range(100):
        cut = rng.randrange(300, len(whole))
        path.write_bytes(whole[:cut])
        follower = Follower(path)
        with open(path, "ab", buffering=0) as file:
            file.write(whole[cut:])
        follower.look()
        assert follower.rounds == list(written.rounds(written.small_stream(20))), cut
        follower.tape.close()


def test_what_a_recorder_takes_back_for_want_of_room_is_forgotten(tmp_path):
    records = list(written.small_stream(20))
    writer = Writer(str(tmp_path / "x.ebt"))
    ticks = [writer.add(record) for record in records]
    follower = Follower(tmp_path / "x.ebt")
    assert follower.seen == sum(ticks) == 20
    with open(tmp_path / "x.ebt", "ab") as file:
        file.write(bytes(range(200)))  # half of a block
    assert follower.look() == 0
    os.truncate(tmp_path / "x.ebt", writer.bytes)
    assert follower.look() == 0
    for record in written.small_round(21, random.Random(1)):
        writer.add(record)
    assert follower.look() == 1
    writer.close()
    assert follower.look() == 0
    assert [ticks[-1] for ticks in follower.rounds] == [
        written.line(written.tick(number)) for number in range(1, 22)
    ]


@pytest.mark.parametrize("every", [1, 2, 13, 40])
def test_from_file_to_file_while_the_oldest_are_deleted(tmp_path, every):
    """Also if several files have come and gone since it last looked."""
    path = tmp_path / "x.ebt"
    rotation = Rotation(str(path), Limits(36_000), print)
    records = written.small_stream(400)
    ticks = 0
    while not rotation.add(next(records)):
        pass
    follower = Follower(path)
    for record in records:
        ticks += rotation.add(record)
        if isinstance(record, Tick) and ticks % every == 0:
            follower.look()
            check_newest(follower, ticks + 1, every)
    assert follower.tape.growing
    rotation.close()
    follower.look()
    assert not follower.tape.growing
    assert len(os.listdir(tmp_path)) < 10
    assert follower.tape.overview.first > 0
    assert len(follower.tape.segments) <= 9


def check_newest(follower, ticks, every):
    """What was added is there, each tick once; of what was deleted before it was seen, nothing."""
    numbers = [stamp // written.SECOND for stamp in follower.tape.overview.mono_ns]
    assert numbers[-1] == ticks
    assert numbers == sorted({*numbers})
    if every < 40:
        assert numbers == list(range(numbers[0], ticks + 1))


def test_files_that_their_recorder_deletes_take_no_space_for_a_reader(tmp_path):
    path = tmp_path / "x.ebt"
    rotation = Rotation(str(path), Limits(30_000), print)
    records = written.small_stream(400)
    while not rotation.add(next(records)):
        pass
    tape = Recording(str(path))
    for record in records:
        if rotation.add(record):
            tape.refresh()
    assert not any(segment.deleted() for segment in tape.segments[:-1])
    first, end = tape.overview.first, tape.overview.end
    assert len(tape.overview) == end - first == len(list(written.rounds(tape.records(0, end))))
    rotation.close()
    tape.close()


def test_a_recording_that_has_only_been_begun(tmp_path):
    writer = Writer(str(tmp_path / "x.ebt"))
    records = written.small_stream(3)
    writer.add(next(records))
    tape = Recording(str(tmp_path / "x.ebt"))
    assert tape.growing
    assert tape.hello is None
    while not writer.add(next(records)):
        assert tape.refresh() == 0
    assert tape.refresh() == 1
    assert tape.hello is not None
    writer.close()


def same(one, other):
    return all(
        list(getattr(one, name)) == list(getattr(other, name))
        for name in ("wall_ns", "mono_ns", "loads", "marks")
    )
