"""Recordings that were cut, flipped, mixed up: what is left is read, and nothing else.

2,000 files, each damaged once or a few times, in ways that a disk, a crash or a careless hand can
damage them; `EBPFTOP_DAMAGES=20000` tries more.
"""

from __future__ import annotations

import os
import random

import pytest

from ebpftop.model import Tick
from ebpftop.recording.frames import Frames
from ebpftop.recording.reader import Recording
from ebpftop.recording.tape import RecordingError
from tests.recordings import written

BATCHES = 20
EACH = int(os.environ.get("EBPFTOP_DAMAGES", "2000")) // BATCHES
# No matter how damaged, so many times the length of the file is read at most, and so much more.
MOST_TIMES, MOST_BYTES = 60, 8 << 20


@pytest.fixture
def bytes_read(monkeypatch):
    """How many bytes are read from files: the measure of work."""
    counted = [0]
    read = Frames.read

    def counting(self, offset, length):
        data = read(self, offset, length)
        counted[0] += len(data)
        return data

    monkeypatch.setattr(Frames, "read", counting)
    return counted


# Ways to damage a file; `ours` and `other` are the two recordings as they were written.


def cut_end(rng, data, ours, other):
    del data[rng.randrange(len(data)) :]


def cut_beginning(rng, data, ours, other):
    del data[: rng.randrange(len(data))]


def cut_middle(rng, data, ours, other):
    start, end = stretch(rng, data)
    del data[start:end]


def flip(rng, data, ours, other):
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def zeros(rng, data, ours, other):
    start, end = stretch(rng, data)
    data[start:end] = bytes(end - start)


def zeros_after(rng, data, ours, other):
    data += bytes(rng.randrange(20_000))


def noise(rng, data, ours, other):
    start, end = stretch(rng, data)
    data[start:end] = rng.randbytes(end - start)


def inserted_noise(rng, data, ours, other):
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 3, 8, 500)))


def doubled(rng, data, ours, other):
    start, end = stretch(rng, data)
    data[end:end] = data[start:end]


def moved(rng, data, ours, other):
    start, end = stretch(rng, data)
    part = data[start:end]
    del data[start:end]
    at = rng.randrange(len(data) + 1)
    data[at:at] = part


def copied_over(rng, data, ours, other):
    start, end = stretch(rng, data)
    at = rng.randrange(len(data) - (end - start) + 1)
    data[at : at + end - start] = data[start:end]


def of_another_over(rng, data, ours, other):
    start, end = stretch(rng, other.data)
    at = rng.randrange(len(data) + 1)
    data[at : at + end - start] = other.data[start:end]


def of_another_between(rng, data, ours, other):
    start, end = stretch(rng, other.data)
    at = rng.randrange(len(data) + 1)
    data[at:at] = other.data[start:end]


def beginning_of_another(rng, data, ours, other):
    at = rng.randrange(len(other.data) // 3)
    data[:at] = other.data[:at]


def end_of_another(rng, data, ours, other):
    at = rng.randrange(len(data) // 2, len(data) + 1)
    data[at:] = other.data[rng.randrange(len(other.data) // 2, len(other.data)) :]


def one_after_the_other(rng, data, ours, other):
    data += rng.choice((ours, other)).data


def chunk_doubled(rng, data, ours, other):
    place = rng.choice((0, len(data), *(chunk.offset for chunk in ours.chunks)))
    data[place:place] = rng.choice((*ours.chunks, *other.chunks)).data


def chunk_lost(rng, data, ours, other):
    chunk = rng.choice(ours.chunks)
    start = data.find(chunk.data)
    if start >= 0:
        del data[start : start + len(chunk.data)]


def chunk_over_another(rng, data, ours, other):
    """Where the lengths are equal only the bytes tell."""
    one, two = rng.sample(ours.chunks, 2)
    data[one.offset : one.offset + len(two.data)] = two.data


def stretch(rng, data):
    """A part of a file: often short, sometimes most of it."""
    length = min(len(data), rng.choice((1, 4, 30, 300, 3000, rng.randrange(len(data) + 1))))
    start = rng.randrange(len(data) - length + 1)
    return start, start + length


WAYS = (
    cut_end,
    cut_beginning,
    cut_middle,
    flip,
    zeros,
    zeros_after,
    noise,
    inserted_noise,
    doubled,
    moved,
    copied_over,
    of_another_over,
    of_another_between,
    beginning_of_another,
    end_of_another,
    one_after_the_other,
    chunk_doubled,
    chunk_lost,
    chunk_over_another,
)


def damaged(rng, ours, other):
    """The bytes of a damaged file, and how it was damaged."""
    data, ways = bytearray(ours.data), rng.choices(WAYS, k=rng.choice((1, 1, 2, 3)))
    for way in ways:
        if data:
            way(rng, data, ours, other)
    return bytes(data), " ".join(way.__name__ for way in ways)


# What has to hold of each


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_damaged_recording_shows_what_was_written_and_every_intact_chunk(
    two, tmp_path, bytes_read, batch
):
    for number in range(batch * EACH, (batch + 1) * EACH):
        rng = random.Random(number)
        data, ways = damaged(rng, *two)
        (tmp_path / "x.ebt").write_bytes(data)
        bytes_read[0] = 0
        try:
            look(tmp_path / "x.ebt", data, two, rng)
        except AssertionError as error:
            raise AssertionError(f"damage {number}: {ways}: {error}") from error
        assert bytes_read[0] < MOST_TIMES * len(data) + MOST_BYTES, (number, ways)


def look(path, data, two, rng):
    try:
        tape = Recording(str(path))
    except RecordingError:
        assert not any(chunk.data in data for each in two for chunk in each.chunks)
    else:
        check(tape, data, two, rng)
        tape.close()


def check(tape, data, two, rng):
    end = tape.overview.end
    records = list(tape.records(0, end))
    rounds = list(written.rounds(records))
    shown = [line for each in rounds for line in each]
    assert not written.repeated(shown), "shown twice"
    of = [each for each in two if each.lines.issuperset(written.lines(records))]
    assert of, "something is shown that was not written, or two recordings are mixed"
    ours = of[0]
    check_chunks(rounds, data, ours, next(each for each in two if each is not ours))
    check_overview(tape, records)
    first = rng.randrange(-3, end + 3)
    last = first + rng.choice((0, 1, 20))
    for probes in (None, {"biotop"}, ()):
        part = list(written.rounds(tape.records(first, last, probes)))
        assert {line for each in part for line in each} <= {*shown}
        assert len(part) <= last - first + 1


def check_chunks(rounds, data, ours, other):
    """Of each chunk the first ticks are shown, in order; of an intact one all of them."""
    place = {each[-1]: (n, m) for n, c in enumerate(ours.chunks) for m, each in enumerate(c.ticks)}
    shown = [place[each[-1]] for each in rounds]
    for number, chunk in enumerate(ours.chunks):
        ticks = [tick for of, tick in shown if of == number]
        assert ticks == list(range(len(ticks))), f"chunk {number}: {ticks}"
        if chunk.data in data:
            assert len(ticks) == len(chunk.ticks), f"chunk {number} is intact: {ticks}"
        at = [position for position, (of, _) in enumerate(shown) if of == number]
        assert not at or at[-1] - at[0] == len(at) - 1, f"chunk {number} is torn"
    assert all(each == ours.chunks[n].ticks[m] for each, (n, m) in zip(rounds, shown))
    theirs = sum(len(chunk.ticks) for chunk in other.chunks if chunk.data in data)
    assert len(rounds) >= theirs or not theirs, "more is intact of another recording"


def check_overview(tape, records):
    """Its ticks are those that are shown, and those of chunks that only claim to hold them."""
    known = iter(tape.overview.mono_ns)
    assert all(record.mono_ns in known for record in records if isinstance(record, Tick))
    assert len(tape.overview.mono_ns) == len(tape.overview.wall_ns)
    assert all(len(of) == len(tape.overview) for of in tape.overview.loads.values())
    assert [mark.tick for mark in tape.overview.marks] == sorted(
        mark.tick for mark in tape.overview.marks
    )
