"""A recording that goes on for ever takes no more than it may, and loses nothing but the oldest."""

import contextlib
import glob
import os
import random
import threading

import pytest

from ebpftop.model import Process, Sample
from ebpftop.recording import writer
from ebpftop.recording.reader import Recording
from ebpftop.recording.retain import Limits, Rotation
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer
from tests.ui import scenes

S = scenes.SECOND
HOUR = 3600 * S
KIB = 1 << 10


def rounds(number, rows=20, first=1, **clock):
    """Rounds of a sample and its tick; their figures are random, so that they take space."""
    rng = random.Random(first)
    for seq in range(first, first + number):
        io = [(812, 1, "sda", "read", *(rng.randrange(2**40) for _ in range(5)))] * bool(rows)
        io += [
            (pid, 1, "sda", "read", *(rng.randrange(2**40) for _ in range(5)))
            for pid in range(rows)
        ]
        changes = {name: change(seq) for name, change in clock.items()}
        yield scenes.at("biotop", seq, {"io": io, "latency": []}, **changes)
        yield scenes.tick(seq, **changes)


def story(number, **how):
    """A stream of so many rounds."""
    yield from (scenes.hello(), scenes.running(scenes.BIOTOP), *scenes.PEOPLE)
    yield from rounds(number, **how)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "always.ebt")


def record(path, records, max_bytes=0, keep_s=0, close=True):
    """Record a whole stream; returns what the user was told."""
    told: list[str] = []
    rotation = Rotation(path, Limits(max_bytes, keep_s * S), told.append)
    for each in records:
        rotation.add(each)
    if close:
        rotation.close()
    return told


def files(path):
    return {*glob.glob(path + ".*"), path} & set(glob.glob(os.path.dirname(path) + "/*"))


def size(path):
    return sum(os.path.getsize(name) for name in files(path))


def remove(path):
    for name in files(path):
        os.unlink(name)


def seqs(path):
    """Numbers of the samples that can be read, in their order."""
    with contextlib.closing(Recording(path)) as tape:
        overview = tape.overview
        records = tape.records(overview.first, overview.end - 1)
        return [record.seq for record in records if isinstance(record, Sample)]


# Size


@pytest.mark.parametrize(
    ("max_bytes", "number", "rows"),
    [(64 * KIB, 60, 40), (200 * KIB, 200, 40), (1024 * KIB, 400, 90)],
)
def test_the_files_never_take_more_than_they_may(path, monkeypatch, max_bytes, number, rows):
    sizes = []

    def write_all(fd, data, really=writer.write_all):
        really(fd, data)
        sizes.append(size(path))

    monkeypatch.setattr(writer, "write_all", write_all)
    record(path, story(number, rows=rows), max_bytes)
    assert sum(sizes) > 0
    assert max(sizes) <= max_bytes
    assert f"{path}.1" not in files(path), "this test must have made it delete"


def test_what_is_kept_is_the_newest_without_a_hole(path):
    record(path, story(400, rows=40), max_bytes=300 * KIB)
    kept = seqs(path)
    assert kept == list(range(kept[0], 401))


def test_most_of_what_may_be_kept_is_used(path):
    record(path, story(900, rows=40), max_bytes=600 * KIB)
    assert size(path) > 600 * KIB * 6 // 8


def test_each_file_can_be_read_alone(path):
    record(path, story(120, rows=40), max_bytes=300 * KIB)
    for name in files(path):
        os.rename(name, path + "-alone")
        with contextlib.closing(Recording(path + "-alone")) as tape:
            records = list(tape.records(0, tape.overview.end - 1))
            assert tape.hello
            assert tape.hello.host == "web-7"
            assert "postgres" in [r.comm for r in records if isinstance(r, Process)]
            assert not tape.segments[0].damages


def test_a_tick_that_there_can_be_no_room_for_is_an_error_and_the_rest_stays(path):
    rotation = Rotation(path, Limits(100 * KIB), print)
    for each in story(20, rows=20):
        rotation.add(each)
    sample, tick = rounds(1, rows=9000, first=21)
    rotation.add(sample)
    with pytest.raises(RecordingError, match="more than all that may be kept"):
        rotation.add(tick)
    rotation.close()
    assert seqs(path) == list(range(1, 21))


# Age


def test_what_is_older_goes_as_soon_as_all_of_its_file_is_older(path):
    for number in (100, 161, 200, 301):
        record(path, story(number), keep_s=80)
        assert 80 <= len(seqs(path)) <= 80 + 80 / 8 + 1  # a tick a second
        remove(path)


@pytest.mark.parametrize("jump", [HOUR * 24 * 400, -HOUR * 24 * 400])
def test_a_clock_that_jumps_deletes_nothing(path, jump):
    record(
        path,
        story(150, wall_ns=lambda seq: scenes.START_NS + seq * S + jump * (seq > 75)),
        keep_s=120,
    )
    assert seqs(path)[0] <= 30


def test_hours_in_which_nothing_was_recorded_do_not_count(path):
    """A recorder that was stopped, or a machine that was frozen, still has what came before."""
    record(path, story(150, mono_ns=lambda seq: seq * S + HOUR * 50 * (seq > 100)), keep_s=120)
    assert seqs(path)[0] <= 33  # the gap counts as a gap's least, 2.5 ticks


def test_another_boot_goes_on_where_the_last_ended(path):
    record(path, story(100, mono_ns=lambda seq: HOUR + seq * S), keep_s=120)
    record(path, story(60, first=101), keep_s=120)
    assert seqs(path)[0] <= 40
    assert seqs(path)[-1] == 160


# Starting again


def test_started_again_it_goes_on(path):
    record(path, story(30), max_bytes=10_000 * KIB)
    record(path, story(30, first=31), max_bytes=10_000 * KIB)
    assert seqs(path) == list(range(1, 61))
    assert files(path) == {path, path + ".1"}


def test_a_file_that_a_crash_left_stays_as_it_is(path):
    crashed = Writer(path)
    for each in story(30):
        crashed.add(each)
    crashed.abandon()
    with open(path, "rb") as file:
        left = file.read()
    record(path, story(30, first=31), keep_s=3600)
    with open(path + ".1", "rb") as file:
        assert file.read() == left
    assert seqs(path) == list(range(1, 61))


def test_numbers_go_on_from_the_highest(path):
    record(path, story(30), keep_s=3600)
    os.rename(path, path + ".41")
    for first in (31, 61):
        record(path, story(30, first=first), keep_s=3600)
    assert files(path) == {path + ".41", path + ".42", path}
    assert seqs(path) == list(range(1, 91))


def test_files_without_a_tick_are_not_kept(path):
    open(path, "wb").close()
    record(path, [scenes.hello()], keep_s=3600)
    record(path, story(5), keep_s=3600)
    assert files(path) == {path}


def test_a_recorder_killed_between_two_files_leaves_a_recording(path):
    record(path, story(30), keep_s=3600)
    os.rename(path, path + ".1")
    assert seqs(path) == list(range(1, 31))
    record(path, story(30, first=31), keep_s=3600)
    assert seqs(path) == list(range(1, 61))


def test_a_file_that_somebody_removed_does_not_end_it(path):
    rotation = Rotation(path, Limits(400 * KIB), print)
    for each in story(100, rows=40):
        rotation.add(each)
    os.unlink(path)
    for each in rounds(100, rows=40, first=101):
        rotation.add(each)
    rotation.close()
    assert seqs(path)[-1] == 200


@pytest.mark.parametrize("name", ["always.ebt", "always.ebt.7"])
def test_what_is_no_recording_is_not_touched(path, tmp_path, name):
    (tmp_path / name).write_text("notes\n")
    with pytest.raises(RecordingError, match="is not a recording of ebpftop; choose another name"):
        record(path, story(5), keep_s=3600)
    assert (tmp_path / name).read_text() == "notes\n"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "make",
    [os.mkdir, os.mkfifo, lambda path: os.symlink("elsewhere", path)],
    ids=["folder", "fifo", "link"],
)
def test_what_is_no_file_is_not_touched(path, make):
    make(path)
    with pytest.raises(RecordingError, match="is no file"):
        record(path, story(5), keep_s=3600)
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


# A full disk


def test_on_a_full_disk_the_oldest_file_is_given_up_and_the_user_told_once(path, monkeypatch):
    """The disk here takes 200K, whatever it is asked to."""

    def write_all(fd, data, really=writer.write_all):
        if size(path) + len(data) > 200 * KIB:
            raise OSError(28, "No space left on device")
        really(fd, data)

    monkeypatch.setattr(writer, "write_all", write_all)
    told = record(path, story(300, rows=40), keep_s=240)
    assert told == [f"the disk is full: {path}.1 is deleted to go on"]
    kept = seqs(path)
    assert kept == list(range(kept[0], 301))


def test_a_disk_that_stays_full_is_an_error_and_costs_one_file(path, monkeypatch):
    record(path, story(200, rows=40), max_bytes=1000 * KIB)
    before = files(path)

    def write_all(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write_all", write_all)
    with pytest.raises(RecordingError, match="the disk is full"):
        record(path, story(5, first=201, rows=40), max_bytes=1000 * KIB)
    assert len(before - files(path)) <= 2  # the oldest; and the newest has its number by now
    assert seqs(path)[-1] == 200


# Others


def test_two_recorders_on_one_set_are_refused(path):
    first = Rotation(path, Limits(ns=HOUR), print)
    with pytest.raises(RecordingError, match="is being written by another recorder"):
        Rotation(path, Limits(ns=HOUR), print)
    with pytest.raises(RecordingError, match="is being written by another recorder"):
        Writer(path)
    first.close()


def at_once(*calls):
    """Run all of them at the same moment; returns what they gave, or the errors they raised."""
    barrier, results = threading.Barrier(len(calls)), []

    def run(call):
        barrier.wait()
        try:
            results.append(call())
        except RecordingError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("there", [False, True])
def test_of_recorders_that_start_at_once_one_wins(path, there):
    for _ in range(6):
        remove(path)
        if there:
            record(path, story(2), keep_s=3600)
        started = at_once(*[lambda: Rotation(path, Limits(ns=HOUR), print)] * 4)
        (winner,) = (each for each in started if isinstance(each, Rotation))
        for each in story(2, first=3):
            winner.add(each)
        winner.close()
        assert seqs(path) == ([1, 2, 3, 4] if there else [3, 4])


def test_nobody_gets_in_while_a_recorder_changes_files(path):
    """Every few ticks are a file here, so that somebody who tries hits the moment between two."""
    rotation = Rotation(path, Limits(64 * KIB), print)
    ended = threading.Event()

    def rotate():
        for each in story(150, rows=60):
            rotation.add(each)
        ended.set()

    def intrude():
        tries = 0
        while not ended.is_set():
            with pytest.raises(RecordingError, match="another recorder"):
                Rotation(path, Limits(64 * KIB), print)
            tries += 1
        return tries

    tries = [each for each in at_once(rotate, intrude) if each]
    rotation.close()
    assert tries
    assert seqs(path)[-1] == 150


def test_a_reader_keeps_up_from_file_to_file(path):
    rotation = Rotation(path, Limits(200 * KIB), print)
    records = story(200, rows=40)
    while not rotation.add(next(records)):
        pass
    with contextlib.closing(Recording(path)) as tape:
        for each in records:
            rotation.add(each)
            tape.refresh()
        kept = range(tape.overview.first + 1, 201)  # not what the recorder has deleted
        assert list(tape.overview.mono_ns) == [seq * S for seq in kept]
        assert len(kept) < 200
        rotation.close()
        tape.refresh()
        assert not tape.growing


def test_the_lock_of_a_curious_reader_does_not_stop_a_recorder(path):
    """`view` looks whether a file is being written by holding it for a moment."""
    stop = threading.Event()

    def look():
        while not stop.is_set():
            writer.is_being_written(path)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        record(path, story(60, rows=40), max_bytes=64 * KIB)
    finally:
        stop.set()
        reader.join()
    assert seqs(path)[-1] == 60


def while_it_changes_files(path, call):
    """Call again and again while a recorder goes from file to file; returns how often."""
    rotation = Rotation(path, Limits(100 * KIB), print)
    records = story(250, rows=60)
    while not rotation.add(next(records)):
        pass
    ended = threading.Event()

    def rotate():
        for each in records:
            rotation.add(each)
        ended.set()
        return 0

    def repeat():
        calls = 0
        while not ended.is_set():
            call()
            calls += 1
        return calls

    calls = at_once(rotate, repeat)
    rotation.close()
    assert len(calls) == 2
    return max(calls)


def test_a_reader_may_come_at_any_moment(path):
    """Also between two files, and while the oldest are deleted."""

    def look():
        with contextlib.closing(Recording(path)) as tape:
            times = list(tape.overview.mono_ns)
        assert times == list(range(times[0], times[-1] + 1, S))

    assert while_it_changes_files(path, look)


def test_a_reader_that_follows_never_takes_a_change_of_files_for_the_end(path):
    tapes: list[Recording] = []

    def follow():
        if not tapes:
            tapes.append(Recording(path))
        assert tapes[0].growing
        tapes[0].refresh()

    assert while_it_changes_files(path, follow)
    with contextlib.closing(tapes[0]) as tape:
        tape.refresh()
        assert tape.overview.mono_ns[-1] == 250 * S
        assert not tape.growing
