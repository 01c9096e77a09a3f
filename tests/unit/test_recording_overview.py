"""The overview of a recording: what a trailer, an index and a tick's line say of it is the same."""

import math
import random

import pytest

from ebpftop.model import Hello, Sample, Status, Tick
from ebpftop.recording.container import Trailer, decode_trailer, encode_trailer
from ebpftop.recording.overview import Meter, Overview, Summary
from tests.recordings import written

S = written.SECOND


def summary(records):
    """What a meter says of all of them."""
    meter = Meter()
    for record in records:
        meter.add(record)
    return meter.take()


def overviews(parts):
    made = Overview()
    for part in parts:
        made.append(part)
    return made


def comparable(overview):
    return (
        overview.first,
        list(overview.wall_ns),
        list(overview.mono_ns),
        {name: list(map(repr, loads)) for name, loads in overview.loads.items()},
        overview.lost,
        overview.marks,
    )


@pytest.mark.parametrize("seed", range(5))
def test_tick_by_tick_chunk_by_chunk_or_at_once(seed):
    meter = Meter()
    ticks = [meter.take() for record in written.wild_stream(seed, 60) if meter.add(record)]
    chunks = []
    for start in range(0, 60, 7):
        chunk = Summary()
        for tick in ticks[start : start + 7]:
            chunk.join(tick)
        chunks.append(chunk)
    at_once = overviews([summary(written.wild_stream(seed, 60))])
    assert comparable(overviews(ticks)) == comparable(overviews(chunks)) == comparable(at_once)
    assert at_once.loads


@pytest.mark.parametrize("seed", range(5))
def test_a_trailer_says_what_the_ticks_say(seed):
    said = summary(written.wild_stream(seed, 60))
    trailer = decode_trailer(encode_trailer(Trailer("id", 7, 99, 5, said)))
    assert (trailer.id, trailer.number, trailer.bytes, trailer.head) == ("id", 7, 99, 5)
    assert comparable(overviews([trailer.summary])) == comparable(overviews([said]))
    assert trailer.summary.interval_ns == S


def test_a_trailer_in_which_anything_is_changed_is_refused_or_harmless():
    payload = encode_trailer(Trailer("id", 7, 99, 5, summary(written.small_stream(8))))
    for number in range(500):
        rng, changed = random.Random(number), bytearray(payload)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        try:
            found = decode_trailer(bytes(changed)).summary
        except ValueError:
            continue
        assert len(found.wall_ns) == len(found.mono_ns) == found.ticks


def test_a_load_is_that_of_the_panes_first_table_per_second():
    rows = [(1, 5, "vda", "read", 3, 4096, 5, 6, 7), (None,) * 4 + (1, 4096, 1, 1, 1)]
    half = Sample("biotop", 1, S, S, S // 2, {"io": rows})
    said = summary([written.hello(), half, written.tick(1), written.tick(2)])
    (first, second) = said.loads["biotop"]
    assert first == 16380  # 2 * 8192, to four digits
    assert math.isnan(second)


@pytest.mark.parametrize(
    "row", [(), (1,), ("x",) * 9, (10**400,) * 9, ([1],) * 9, (float("nan"),) * 9]
)
def test_rows_that_are_not_as_they_were_described_have_no_load(row):
    odd = Sample("biotop", 1, S, S, S, {"io": [row]})
    said = summary([written.hello(), odd, written.tick(1)])
    assert all(map(math.isnan, said.loads.get("biotop", ())))
    assert said.ticks == 1


def test_what_happened_is_marked_at_its_tick():
    later = Tick(written.WALL_NS + 10 * S, 10 * S, S)
    told = [
        written.hello(),
        written.tick(1),
        Status("biotop", "failed", reason="why"),
        written.tick(2),
        later,
        Tick(later.wall_ns - 60 * S, 11 * S, S),
        Tick(later.wall_ns - 59 * S, 12 * S, 5 * S),
    ]
    assert [(tick, kind, probe) for tick, kind, probe, _ in summary(told).marks] == [
        (0, "start", ""),
        (1, "failed", "biotop"),
        (2, "gap", ""),
        (3, "clock", ""),
        (4, "interval", ""),
    ]


def test_what_is_forgotten_is_gone_and_the_rest_keeps_its_numbers():
    whole = overviews([summary(written.wild_stream(1, 50))])
    part = overviews([summary(written.wild_stream(1, 50))])
    part.forget(20)
    assert (part.first, part.end, len(part)) == (20, 50, 30)
    for tick in range(20, 50):
        assert (part.wall(tick), part.mono(tick)) == (whole.wall(tick), whole.mono(tick))
        assert repr(part.load("biotop", tick)) == repr(whole.load("biotop", tick))
    assert part.marks == [mark for mark in whole.marks if mark.tick >= 20]
    assert part.marks_between(20, 50) == part.marks


def test_a_probe_that_comes_later_has_no_load_before():
    made = Overview()
    made.append(summary([written.hello(), written.tick(1)]))
    sample = Sample("biotop", 1, S, S, S, {"io": [(1, 5, "vda", "read", 3, 9, 5, 6, 7)]})
    made.append(summary([Hello(**written.hello().__dict__), sample, written.tick(2)]))
    assert list(map(repr, made.loads["biotop"])) == ["nan", "9.0"]
