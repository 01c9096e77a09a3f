"""`ebpftop repair`: says what is lost in clear lines, saves the rest, and touches nothing else."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest

from ebpftop import stream
from ebpftop.commands import repair as command
from ebpftop.model import Sample
from ebpftop.recording.reader import Recording
from ebpftop.recording.segment import FileChunk
from ebpftop.recording.writer import Writer
from ebpftop.views import format as fmt
from tests.ui import scenes

pytestmark = pytest.mark.usefixtures("utc")

S = scenes.SECOND
TICKS = 200  # three chunks of 60, and one of 20


def story():
    yield from (scenes.hello(), scenes.running(scenes.BIOTOP), *scenes.PEOPLE)
    for seq in range(1, TICKS + 1):
        yield scenes.biotop(seq)
        yield scenes.tick(seq)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of an undamaged recording of 200 seconds from 14:13:21 on, and its chunks."""
    path = str(tmp_path_factory.mktemp("whole") / "whole.ebt")
    writer = Writer(path)
    for each in story():
        writer.add(each)
    writer.close()
    return Path(path).read_bytes(), chunks(path)


@pytest.fixture
def box(tmp_path):
    return tmp_path / "box.ebt"


@pytest.fixture
def run(box, capsys):
    """`run(data)` repairs a file of those bytes: exit status, output, errors."""

    def run(data, *options) -> tuple[int, str, str]:
        box.write_bytes(data)
        return command.main([str(box), *options]), *capsys.readouterr()

    return run


def chunks(path):
    """Where the chunks of a recording begin and end."""
    return [(c.offset, c.end) for c in Recording(path).chunks if isinstance(c, FileChunk)]


def samples(path):
    """The samples of a recording by their numbers, as lines that can be compared."""
    tape = Recording(str(path))
    records = tape.records(tape.overview.first, tape.overview.end - 1)
    return {each.seq: stream.encode(each) for each in records if isinstance(each, Sample)}


def flipped(data, at):
    changed = bytearray(data)
    changed[at] ^= 0x10
    return bytes(changed)


def copy_of(box):
    return box.with_name("box.ebt.repaired")


def test_of_an_undamaged_recording_it_says_so_and_writes_nothing(run, whole, box):
    status, said, errors = run(whole[0])
    assert (status, errors) == (0, "")
    assert said == (
        f"{box}: 2026-09-21 14:13:21 to 2026-09-21 14:16:40, 200 intervals can be read\n"
        "  nothing is damaged\n"
    )
    assert os.listdir(box.parent) == ["box.ebt"]


def test_a_copy_that_is_asked_for_by_name_is_written_all_the_same(run, whole, box):
    out = box.with_name("copy.ebt")
    assert run(whole[0], "-o", str(out))[0] == 0
    assert samples(out) == samples(box)


def test_a_recording_whose_recorder_was_killed_gets_its_index(run, whole, box, capsys):
    data, places = whole
    end_of_third = places[2][1]
    status, said, _ = run(data[:end_of_third])
    assert status == 0
    assert said.splitlines()[1].startswith(f"  {box}: no index at its end: the recorder was killed")
    assert said.splitlines()[2].startswith(f"{copy_of(box)}: 180 intervals, ")
    assert samples(copy_of(box)) == samples(box)
    command.main([str(copy_of(box))])
    assert "nothing is damaged" in capsys.readouterr().out


def test_a_damaged_chunk_costs_the_intervals_after_the_damage_and_they_are_named(run, whole, box):
    data, places = whole
    start, end = places[1]
    status, said, _ = run(flipped(data, end - (end - start) // 4))
    kept = samples(copy_of(box))
    lost = sorted({*range(1, 201)} - kept.keys())
    assert status == 0
    assert lost == list(range(lost[0], 121))
    assert len(lost) < 60
    after = 13 * 60 + 20 + lost[0]
    assert said.splitlines()[1] == (
        f"  {box}: a damaged chunk, {fmt.bytes_(end - start)} from byte {start}:"
        f" {len(lost)} intervals lost,"
        f" 2026-09-21 14:{after // 60}:{after % 60:02} to 2026-09-21 14:15:20"
    )
    original = {each.seq: stream.encode(each) for each in story() if isinstance(each, Sample)}
    assert all(original[seq] == line for seq, line in kept.items())


def test_where_nothing_tells_how_many_were_lost_they_are_reckoned_from_the_time(run, whole, box):
    data, places = whole
    hole = bytes(places[2][0] - places[1][0])  # a chunk, and all that tells of it
    status, said, _ = run(data[: places[1][0]] + hole + data[places[2][0] : places[3][1]])
    assert status == 0
    assert samples(copy_of(box)).keys() == {*range(1, 61), *range(121, 201)}
    assert (
        "about 60 intervals lost, after 2026-09-21 14:14:20 and before 2026-09-21 14:15:21" in said
    )


def test_what_is_damaged_but_holds_no_interval_is_told_apart(run, whole, box):
    data, places = whole
    status, said, _ = run(flipped(data, places[0][1] + 30)[: places[3][1]])  # a trailer
    assert status == 0
    assert samples(copy_of(box)).keys() == {*range(1, 201)}
    assert "intervals lost" not in said


def test_bytes_after_the_end_are_told(run, whole, box):
    status, said, _ = run(whole[0] + b"not ours" * 100)
    assert status == 0
    assert "unreadable" in said
    assert samples(copy_of(box)).keys() == {*range(1, 201)}


def test_a_header_that_is_damaged_is_made_anew(run, whole, box):
    status, said, _ = run(flipped(whole[0], 40))
    assert status == 0
    assert "its header is damaged" in said
    assert Recording(str(copy_of(box))).segments[0].header is not None
    assert samples(copy_of(box)).keys() == {*range(1, 201)}


def test_a_set_of_files_becomes_one(tmp_path, capsys, whole, box):
    data, places = whole
    box.with_name("box.ebt.1").write_bytes(data[: places[1][1]])
    box.write_bytes(data[: places[0][0]] + data[places[2][0] :])
    assert command.main([str(box)]) == 0
    assert f"{box}.1: no index at its end" in capsys.readouterr().out
    assert samples(copy_of(box)) == samples(box)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty: nothing was recorded"),
        (b"hello\n" * 100, "is not a recording of ebpftop"),
    ],
)
def test_what_holds_nothing_is_a_failure_in_one_line(run, box, data, says):
    status, said, errors = run(data)
    assert (status, said, errors.count("\n")) == (1, "", 1)
    assert says in errors
    assert os.listdir(box.parent) == ["box.ebt"]


def test_a_recording_of_which_no_interval_is_left_is_a_failure(run, whole, box):
    data, places = whole
    status, _, errors = run(data[: places[0][0] + 30])
    assert (status, errors) == (1, f"ebpftop: nothing in {box} can be read\n")
    assert os.listdir(box.parent) == ["box.ebt"]


def test_what_is_still_being_recorded_is_left_alone(box, capsys):
    writer = Writer(str(box))
    for each in story():
        writer.add(each)
    assert command.main([str(box)]) == 1
    assert "is still being recorded" in capsys.readouterr().err
    assert os.listdir(box.parent) == ["box.ebt"]
    writer.close()


def test_the_recording_itself_is_never_touched(run, whole, box):
    data = whole[0][:-100]
    assert run(data)[0] == 0
    assert run(data, "-o", str(box), "--force")[0] == 1
    assert box.read_bytes() == data


def test_a_copy_that_is_there_is_replaced_only_by_force(run, whole, box):
    data = whole[0][:-100]
    copy_of(box).write_text("precious")
    assert run(data)[0] == 1
    assert copy_of(box).read_text() == "precious"
    assert run(data, "--force")[0] == 0
    assert samples(copy_of(box)).keys() == {*range(1, 201)}


def test_only_its_owner_can_read_the_copy(run, whole, box):
    run(whole[0][:-100])
    assert stat.S_IMODE(copy_of(box).stat().st_mode) == 0o600


@pytest.mark.parametrize("seed", range(25))
def test_however_it_is_damaged_the_copy_is_clean_and_holds_what_was_written(run, whole, box, seed):
    rng = random.Random(seed)
    data = bytearray(whole[0])
    for _ in range(rng.randrange(4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.5:
        del data[rng.randrange(len(data) // 4, len(data)) :]
    if rng.random() < 0.3:
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(rng.randrange(5000))
    status, said, _ = run(bytes(data), "-o", str(copy_of(box)))
    if status:
        assert not said
        return
    kept = samples(copy_of(box))
    original = {each.seq: stream.encode(each) for each in story() if isinstance(each, Sample)}
    assert kept
    assert all(original[seq] == line for seq, line in kept.items())
    assert kept == samples(box)
    assert Recording(str(copy_of(box))).segments[0].indexed
