"""What is known of a file's damages: where they are, what they were, and what is no damage."""

import random

import pytest

from ebpftop.recording.reader import Recording
from tests.recordings import written

S = written.SECOND


@pytest.fixture
def whole(monkeypatch, tmp_path):
    """A recording of four chunks of 8 ticks, the last of 5."""
    monkeypatch.setattr("ebpftop.recording.chunker.TICKS", 8)
    return written.Written.of(written.small_stream(29), tmp_path / "whole.ebt")


@pytest.fixture
def look(tmp_path):
    """`look(data)` opens a file of those bytes."""
    tapes = []

    def look(data):
        (tmp_path / "x.ebt").write_bytes(data)
        tapes.append(Recording(str(tmp_path / "x.ebt")))
        return tapes[-1], tapes[-1].segments[0]

    yield look
    for tape in tapes:
        tape.close()


def damages(segment):
    return [(damage.offset, damage.bytes, damage.what) for damage in segment.damages]


def seconds(tape):
    return [stamp // S for stamp in tape.overview.mono_ns]


def changed(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def between(chunk):
    """A place among the later ticks of a chunk, and where it begins and ends."""
    start, end = chunk.offset, chunk.offset + len(chunk.data)
    return start + len(chunk.data) * 4 // 5, start, end


def test_in_a_file_that_was_closed_there_is_nothing_wrong(whole, look):
    tape, segment = look(whole.data)
    assert segment.indexed
    assert not segment.damages
    assert segment.unfinished is None
    assert not [mark for mark in tape.overview.marks if mark.kind == "damaged"]


def test_without_its_index_it_is_read_by_its_trailers_and_is_not_damaged(whole, look):
    _, _, end = between(whole.chunks[-1])
    after = whole.data.index(b"\x51\x2a\x4d\x18", end)
    size = 8 + int.from_bytes(whole.data[after + 4 : after + 8], "little")
    tape, segment = look(whole.data[: after + size])
    assert not segment.indexed
    assert not segment.damages
    assert segment.unfinished is None
    assert seconds(tape) == list(range(1, 30))


def test_a_tick_that_did_not_come_to_its_end_is_unfinished_not_damaged(whole, look):
    middle, start, _ = between(whole.chunks[2])
    tape, segment = look(whole.data[:middle])
    torn = segment.unfinished
    assert not segment.damages
    assert torn is not None
    assert start < torn.offset < middle
    assert torn.offset + torn.bytes == middle
    ticks = len(tape.overview)
    assert 16 < ticks < 24
    assert len(look(whole.data[: torn.offset])[0].overview) == ticks
    assert look(whole.data[: torn.offset])[1].unfinished is None
    assert len(look(whole.data[: torn.offset - 1])[0].overview) == ticks - 1


def test_so_is_a_trailer_or_an_index(whole, look):
    for cut in (between(whole.chunks[1])[2] + 30, len(whole.data) - 1):
        _, segment = look(whole.data[:cut])
        assert not segment.damages
        assert segment.unfinished is not None
        assert segment.unfinished.offset + segment.unfinished.bytes == cut


def test_a_damaged_chunk_that_nothing_describes_is_noted_from_where_it_cannot_be_read(whole, look):
    middle, start, end = between(whole.chunks[1])
    data = changed(changed(whole.data, middle), end + 40)
    tape, segment = look(data[:-1])  # no index either
    (damage,) = (damage for damage in segment.damages if damage.what == "a damaged chunk")
    assert start < damage.offset <= middle < damage.offset + damage.bytes <= end
    kept = seconds(tape)
    assert kept[:8] == list(range(1, 9))
    assert 8 < kept.index(17) < 16
    (mark,) = (mark for mark in tape.overview.marks if mark.kind == "damaged")
    assert mark.tick == kept.index(17)
    assert mark.text


def test_a_chunk_of_which_nothing_is_left(whole, look):
    _, start, _ = between(whole.chunks[1])
    _, after, _ = between(whole.chunks[2])
    tape, segment = look(whole.data[:start] + bytes(after - start) + whole.data[after:])
    assert damages(segment) == [(start, after - start, "unreadable")]
    assert seconds(tape) == [*range(1, 9), *range(17, 30)]
    assert [m.tick for m in tape.overview.marks if m.kind == "damaged"] == [8]


def test_what_is_missing_altogether_is_marked_too(whole, look):
    _, start, _ = between(whole.chunks[1])
    _, after, _ = between(whole.chunks[2])
    tape, segment = look(whole.data[:start] + whole.data[after:])
    assert not segment.damages
    assert [m.tick for m in tape.overview.marks if m.kind == "damaged"] == [8]


def test_a_damaged_trailer_costs_no_tick(whole, look):
    _, _, end = between(whole.chunks[1])
    tape, segment = look(changed(whole.data, end + 40)[:-1])
    assert [what for _, _, what in damages(segment)] == ["a description of what is there"]
    assert seconds(tape) == list(range(1, 30))
    assert not [mark for mark in tape.overview.marks if mark.kind == "damaged"]


def test_a_damaged_header_costs_what_it_says(whole, look):
    tape, segment = look(changed(whole.data, 60))
    assert segment.header is None
    assert seconds(tape) == list(range(1, 30))


def test_repetitions_and_chunks_of_others_are_told_apart(whole, look, tmp_path):
    one = whole.chunks[0]
    other = written.Written.of(written.small_stream(9, seed=5), tmp_path / "other.ebt").chunks[0]
    _, start, _ = between(whole.chunks[2])
    data = whole.data[:start] + one.data + other.data + whole.data[start:]
    tape, segment = look(data)
    assert damages(segment) == [
        (start, len(one.data), "a repetition"),
        (start + len(one.data), len(other.data), "of another recording"),
    ]
    assert seconds(tape) == list(range(1, 30))


def test_of_two_copies_the_better_is_read(whole, look):
    """Where they stand in the file does not matter."""
    middle, start, end = between(whole.chunks[1])
    whole_chunk = whole.chunks[1].data
    damaged = changed(whole.data, middle)
    for data in (
        damaged[:start] + whole_chunk + damaged[start:],
        damaged[:end] + whole_chunk + damaged[end:],
        damaged + whole_chunk,
    ):
        tape, _ = look(data)
        found = [line for each in written.rounds(tape.records(0, 99)) for line in each]
        assert sorted(found) == sorted(
            line for each in written.rounds(written.small_stream(29)) for line in each
        )


def test_a_chunk_whose_trailer_speaks_of_another_is_known_by_its_own_words(whole, look):
    one, two = whole.chunks[1], whole.chunks[2]
    data = bytearray(whole.data)
    data[two.offset : two.offset + len(two.data)] = one.data.ljust(len(two.data), b"\0")[
        : len(two.data)
    ]
    tape, _ = look(bytes(data))
    shown = [line for each in written.rounds(tape.records(0, 99)) for line in each]
    assert not written.repeated(shown)
    assert {line for tick in one.ticks for line in tick} <= {*shown}


def test_whatever_stands_after_a_closed_file_is_noted(whole, look):
    rng = random.Random(1)
    tape, segment = look(whole.data + rng.randbytes(500))
    assert damages(segment) == [(len(whole.data), 500, "unreadable")]
    assert seconds(tape) == list(range(1, 30))
