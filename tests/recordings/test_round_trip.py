"""What is written is read: every record of every probe, as it was, once and in order."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ebpftop.model import Process, Record, Sample, Status, Tick
from ebpftop.recording.chunker import Chunker
from ebpftop.recording.pack import Unpacker
from ebpftop.recording.reader import Recording
from ebpftop.recording.ticks import TickReader
from ebpftop.recording.writer import Writer
from tests.recordings import written


@pytest.fixture(autouse=True)
def _short(short_chunks):
    """Many chunks, so that what is said in one and needed in another is said again."""


@pytest.mark.parametrize("seed", range(30))
def test_whatever_a_stream_holds_is_read_as_it_was_written(tmp_path, seed):
    told = written.lines(written.wild_stream(seed, ticks=30))
    written.Written.of(written.wild_stream(seed, ticks=30), tmp_path / "x.ebt")
    assert written.read(tmp_path / "x.ebt") == told


def test_the_wild_streams_hold_what_a_recording_may_stumble_over():
    """Else the test above would show nothing."""
    told = [record for seed in range(30) for record in written.wild_stream(seed, 30)]
    samples = [record for record in told if isinstance(record, Sample)]
    assert {sample.probe for sample in samples} >= {info.name for info in written.INFOS}
    rows = [row for sample in samples for of in sample.tables.values() for row in of]
    values = {repr(value) for row in rows for value in row}
    assert values >= {"None", "True", "1.5", "[1, 'x']", *map(repr, written.NUMBERS)}
    assert any("\ud800" in str(value) for row in rows for value in row)
    widths = Counter(len(row) for row in rows)
    assert 0 in widths
    assert len(widths) > 5


@pytest.mark.parametrize("text", written.HOSTILE, ids=ascii)
def test_text_that_looks_like_the_format_is_only_text(tmp_path, text):
    (table, *_) = written.OFFCPUTIME.tables
    row = tuple(text if column.kind in ("label", "stack") else 1 for column in table.columns)
    told: list[Record] = [
        written.hello(host=text),
        Status("offcputime", "failed", (text,), text, text, text),
        Process(1, 2, text, 3, 4, text, text, text, 5, text, text),
        written.sample(text, 1, {text: [(text, 1)]}, lost={text: 1}),
        written.sample("offcputime", 1, {table.name: [row, row]}),
        written.tick(1),
        Status(text, "failed", reason=text),
        written.tick(2),
    ]
    written.Written.of(told, tmp_path / "x.ebt")
    assert written.read(tmp_path / "x.ebt") == written.lines(told)


@pytest.mark.parametrize("seed", range(10))
def test_any_part_of_it_is_what_was_written_in_those_ticks(tmp_path, seed):
    rng = random.Random(seed)
    told = list(written.rounds(written.wild_stream(seed, 50)))
    written.Written.of(written.wild_stream(seed, 50), tmp_path / "x.ebt")
    tape = Recording(str(tmp_path / "x.ebt"))
    for _ in range(20):
        first = rng.randrange(50)
        last = rng.randrange(first, 50)
        assert list(written.rounds(tape.records(first, last))) == told[first : last + 1]
    tape.close()


def identities(records):
    """The newest of each process, as lines."""
    return {each.pid: written.line(each) for each in records if isinstance(each, Process)}


@pytest.mark.parametrize("tick", [0, 7, 8, 20, 29])
def test_before_a_tick_comes_what_must_be_known_by_then(tmp_path, tick):
    records = list(written.small_stream(30))
    written.Written.of(records, tmp_path / "x.ebt")
    ends = [at for at, record in enumerate(records) if isinstance(record, Tick)]
    newest = identities(records[: ends[tick]])
    tape = Recording(str(tmp_path / "x.ebt"))
    found = list(tape.records(tick, tick))
    tape.close()
    assert written.line(found[0]) == written.line(records[0])
    assert records[1] in found
    named = identities(found)
    assert named.items() <= newest.items()
    blocked = next(e for e in found if isinstance(e, Sample) and e.probe == "offcputime")
    (table, *_) = written.OFFCPUTIME.tables
    place = [column.role for column in table.columns].index("pid")
    spoken_of = {row[place] for row in blocked.tables[table.name]}
    assert spoken_of & newest.keys() <= named.keys()


def test_of_the_samples_before_the_last_tick_only_those_of_some_probes(tmp_path):
    written.Written.of(written.small_stream(30), tmp_path / "x.ebt")
    tape = Recording(str(tmp_path / "x.ebt"))
    found = tape.records(10, 15, {"biotop"})
    said = Counter((each.seq, each.probe) for each in found if isinstance(each, Sample))
    tape.close()
    assert said == Counter([*((seq, "biotop") for seq in range(11, 17)), (16, "offcputime")])


def test_a_round_that_was_not_ended_is_not_written(tmp_path):
    told = list(written.small_stream(5))
    path = tmp_path / "x.ebt"
    written.Written.of([*told, *list(written.small_round(6, random.Random(1)))[:-1]], path)
    samples = [line for each in written.rounds(told) for line in each]
    assert [line for line in written.read(path) if line in samples or '"seq":6' in line] == samples


def test_a_chunk_that_ends_amid_a_round_keeps_its_samples_for_the_next(tmp_path):
    told = list(written.small_stream(20))
    writer = Writer(str(tmp_path / "x.ebt"))
    for number, record in enumerate(told):
        writer.add(record)
        if number % 7 == 0:
            writer.end_chunk()
    writer.close()
    tape = Recording(str(tmp_path / "x.ebt"))
    assert list(written.rounds(tape.records(0, 19))) == list(written.rounds(told))
    tape.close()


def test_a_stream_without_ticks_is_given_them(tmp_path):
    told = [record for record in written.small_stream(40) if not isinstance(record, Tick)]
    written.Written.of(told, tmp_path / "x.ebt")
    tape = Recording(str(tmp_path / "x.ebt"))
    found = [each for each in tape.records(0, 99) if isinstance(each, (Sample, Tick))]
    tape.close()
    assert [isinstance(each, Tick) for each in found] == [False, False, True] * 39
    samples = [written.line(each) for each in found if isinstance(each, Sample)]
    assert samples == [written.line(each) for each in told if isinstance(each, Sample)][:-2]


def test_the_same_stream_makes_the_same_chunks():
    one, other = (b"".join(map(Chunker("id").add, written.wild_stream(3, 8))) for _ in range(2))
    assert one == other


def test_the_lines_of_a_recording_give_its_records(tmp_path):
    """As `zstd -dc FILE | ebpftop view -` has them."""
    told = list(written.wild_stream(4, 30))
    written.Written.of(told, tmp_path / "x.ebt")
    tape, unpacker = Recording(str(tmp_path / "x.ebt")), Unpacker()
    chunks = [b"".join(chunk.pieces()) for chunk in tape.chunks]
    lines = [line for data in chunks for tick in TickReader().feed(data) for line in tick]
    records = [record for line in lines if (record := unpacker.record(line))]
    assert written.lines(records) == written.lines(told)
    tape.close()


def test_fields_and_lines_of_the_future_are_passed_over():
    chunker, unpacker = Chunker("id"), Unpacker()
    data = b"".join(map(chunker.add, written.small_stream(2)))
    lines = [line for tick in TickReader().feed(data) for line in tick]
    newer = [line.rstrip()[:-1] + b',"colour":"blue"}' for line in lines]
    newer.insert(3, b'{"t":"weather","is":[1,2]}')
    records = [record for line in newer if (record := unpacker.record(line))]
    assert written.lines(records) == written.lines(written.small_stream(2))
