"""The flight recorder: the last minutes, in bounded memory, saved at any moment without a loss."""

import itertools

import pytest

from ebpftop.model import Process, Sample, Tick
from ebpftop.recording.flight import FlightRecorder
from ebpftop.recording.reader import Recording
from ebpftop.recording.writer import Writer
from tests.recordings import written

MINUTE = 60


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr("ebpftop.recording.chunker.TICKS", 8)


def flown(records, minutes=10.0, max_bytes=1 << 20):
    flight = FlightRecorder(minutes, max_bytes)
    for record in records:
        flight.add(record)
    return flight


def rounds(tape):
    overview = tape.overview
    return list(written.rounds(tape.records(overview.first, overview.end - 1)))


def test_it_holds_what_was_put_in():
    flight = flown(written.small_stream(30))
    assert rounds(flight) == list(written.rounds(written.small_stream(30)))
    assert flight.hello is not None
    assert flight.growing


def test_it_holds_at_least_the_minutes_asked_for_and_hardly_more():
    flight = flown(written.small_stream(300), minutes=1)
    assert MINUTE <= len(flight.overview) <= MINUTE + 2 * 8
    assert (
        rounds(flight) == list(written.rounds(written.small_stream(300)))[-len(flight.overview) :]
    )


def test_it_never_holds_more_bytes_than_it_may_but_for_the_chunk_at_hand():
    most, chunk = 20_000, 5_000
    flight = FlightRecorder(10, most)
    for record in written.small_stream(300):
        flight.add(record)
        assert flight.bytes <= most + chunk
        held = sum(len(piece) for chunk in flight.chunks for piece in chunk.pieces())
        assert held <= flight.bytes
    assert flight.bytes > most / 2


def test_ticks_keep_their_numbers_when_older_ones_are_forgotten():
    flight = flown(written.small_stream(200), minutes=1)
    overview = flight.overview
    assert overview.end == 200
    assert overview.first == 200 - len(overview) > 0
    for tick in (overview.first, overview.first + 1, 180, 199):
        *_, last = flight.records(tick, tick)
        assert last == written.tick(tick + 1)
        assert overview.mono(tick) == last.mono_ns
    with pytest.raises(IndexError):
        overview.mono(overview.first - 1)
    assert all(overview.first <= mark.tick < overview.end for mark in overview.marks)


def test_a_tick_that_is_forgotten_while_it_is_read_is_still_read():
    records = written.small_stream(400)
    flight = flown(itertools.islice(records, 400), minutes=0.5)
    first, end = flight.overview.first, flight.overview.end
    reading = written.rounds(flight.records(first, end - 1))
    seen = [next(reading)]
    for record in records:
        flight.add(record)
    assert flight.overview.first > end
    assert len(seen) + len(list(reading)) == end - first


def test_refresh_tells_how_many_ticks_came():
    flight, ticks = FlightRecorder(), 0
    for record in written.small_stream(20):
        ticks += flight.add(record)
        if isinstance(record, Tick) and ticks % 3 == 0:
            assert flight.refresh() == 3
            assert flight.refresh() == 0


def test_what_is_saved_is_what_it_holds(tmp_path):
    flight = flown(written.small_stream(150), minutes=1)
    assert flight.save(str(tmp_path / "x.ebt")) == len(flight.overview)
    tape = Recording(str(tmp_path / "x.ebt"))
    assert tape.segments[0].indexed
    assert rounds(tape) == rounds(flight)
    assert tape.overview.wall_ns == flight.overview.wall_ns
    assert tape.overview.loads == flight.overview.loads
    tape.close()


def test_it_can_be_saved_at_any_moment_and_goes_on_without_a_loss(tmp_path):
    """Also amid a round: its samples come with the next tick."""
    told = list(written.small_stream(20))
    flight = FlightRecorder()
    for number, record in enumerate(told):
        flight.add(record)
        if number % 5 == 4:
            path = tmp_path / f"{number}.ebt"
            flight.save(str(path))
            tape = Recording(str(path))
            ticks = sum(isinstance(each, Tick) for each in told[: number + 1])
            assert rounds(tape) == list(written.rounds(told))[:ticks]
            tape.close()
    assert rounds(flight) == list(written.rounds(told))


def test_before_the_first_tick_there_is_nothing_to_save_but_it_is_no_failure(tmp_path):
    flight = flown(itertools.islice(written.small_stream(3), 4))
    assert flight.save(str(tmp_path / "x.ebt")) == 0
    tape = Recording(str(tmp_path / "x.ebt"))
    assert len(tape.overview) == 0
    tape.close()


def test_a_recording_that_begins_while_it_flies_knows_who_is_who(tmp_path):
    """The identities that its samples speak of were said before it began."""
    records = written.small_stream(40)
    flight = flown(itertools.islice(records, 60))
    writer = Writer(str(tmp_path / "x.ebt"), chunker=flight.continued())
    rest = list(records)
    for record in rest:
        flight.add(record)
        writer.add(record)
    writer.close()
    tape = Recording(str(tmp_path / "x.ebt"))
    found = list(tape.records(0, tape.overview.end))
    assert tape.hello is not None
    assert written.line(tape.hello) == written.line(next(written.small_stream(1)))
    (table, *_) = written.OFFCPUTIME.tables
    place = [column.role for column in table.columns].index("pid")
    blocked = [r for r in found if isinstance(r, Sample) and r.probe == "offcputime"]
    spoken_of = {row[place] for each in blocked for row in each.tables[table.name]}
    known = {record.pid for record in written.small_stream(40) if isinstance(record, Process)}
    assert {record.pid for record in found if isinstance(record, Process)} >= spoken_of & known
    assert list(written.rounds(found)) == list(written.rounds(rest))
    tape.close()
