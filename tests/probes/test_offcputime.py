"""What offcputime charges to whom, from made-up entries of its maps."""

from __future__ import annotations

import os
import random

import pytest

from ebpftop import registry

MS = 1_000_000
T0 = 100_000 * MS
PID, TID = 4_000_000, 4_000_001
NEW = 0  # the stack of a thread that has not run yet needs no symbols
SEEN = 1 << 62


@pytest.fixture(autouse=True)
def proc(monkeypatch, tmp_path):
    """A probe that has just started, on a machine without threads."""
    probe = registry.probes()["offcputime"]
    monkeypatch.setitem(type(probe).read.__globals__, "PROC", tmp_path)
    monkeypatch.setattr("ebpftop.collector.scope.PROC", tmp_path)
    probe.begin()
    return tmp_path


@pytest.fixture
def times(read):
    """One reading: blocked and waiting of the thread's row, None where it has none."""

    def take(now_ns, away=None, ended=None):
        threads = [((TID,), (*away, NEW, PID, SEEN))] if away else []
        rows = [((PID, TID, NEW), ended)] if ended else []
        found = read("offcputime", now_ns=now_ns, threads=threads, rows=rows)["stacks"]
        return (found[0]["blocked_ns"], found[0]["waiting_ns"]) if found else None

    return take


def test_a_row_is_a_thread_and_its_stack(read):
    rows = read("offcputime", rows=[((PID, TID, NEW), (900, 300, 2, 700))])["stacks"]
    assert rows == [
        {
            "pid": PID,
            "tid": TID,
            "cgroup": 0,
            "stack": "[new thread]",
            "blocked_ns": 900,
            "waiting_ns": 300,
            "count": 2,
            "max_ns": 700,
        }
    ]


def test_a_thread_that_is_away_is_charged_in_each_interval_and_the_rest_when_it_is_back(times):
    assert times(T0 + 300 * MS, away=(T0, 0)) == (300 * MS, 0)
    assert times(T0 + 1300 * MS, away=(T0, 0)) == (1000 * MS, 0)
    assert times(T0 + 2300 * MS, ended=(1500 * MS, 10 * MS, 1, 1510 * MS)) == (200 * MS, 10 * MS)
    assert times(T0 + 3300 * MS) is None


def test_what_follows_the_wake_up_is_waiting(times):
    assert times(T0 + 300 * MS, away=(T0, T0 + 200 * MS)) == (200 * MS, 100 * MS)
    assert times(T0 + 400 * MS, away=(T0, T0 + 200 * MS)) == (0, 100 * MS)


def test_a_preempted_thread_only_waits(times):
    assert times(T0 + 300 * MS, away=(T0, T0)) == (0, 300 * MS)


def test_a_row_that_comes_one_reading_late_is_neither_lost_nor_doubled(times):
    assert times(T0 + 100 * MS, away=(T0, 0)) == (100 * MS, 0)
    assert times(T0 + 200 * MS) is None
    assert times(T0 + 300 * MS, ended=(199 * MS, 0, 1, 199 * MS)) == (99 * MS, 0)


def test_a_return_that_was_not_seen_is_not_held_against_later_absences(times):
    assert times(T0 + 100 * MS, away=(T0, 0)) == (100 * MS, 0)
    assert times(T0 + 200 * MS) is None
    assert times(T0 + 300 * MS) is None
    assert times(T0 + 400 * MS, ended=(50 * MS, 0, 1, 50 * MS)) == (50 * MS, 0)


def test_the_longest_counts_from_when_the_thread_left(read):
    away = [((TID,), (T0, 0, NEW, PID, SEEN))]
    rows = read("offcputime", now_ns=T0 + 7000 * MS, threads=away)["stacks"]
    assert [(row["max_ns"], row["count"]) for row in rows] == [(7000 * MS, 0)]


def test_an_absence_that_begins_after_the_interval_is_not_in_it(times):
    assert times(T0, away=(T0 + 1, 0)) is None


@pytest.mark.parametrize("seed", range(50))
def test_over_any_readings_each_nanosecond_away_is_charged_once(times, seed):
    """Absences and readings at random; the row of an absence is there once it has ended."""
    chance = random.Random(seed)
    absences, clock = [], T0
    for _ in range(40):
        clock += chance.randrange(1, 20)
        start = clock
        woken = start + chance.choice([0, chance.randrange(1, 100)])
        clock = woken + chance.randrange(1, 20)
        absences.append((start, woken, clock))
    charged, peek, drained = [0, 0], T0, 0
    while peek < clock:
        now = peek + chance.randrange(5, 60)
        drain = now + chance.randrange(0, 8)
        peek = drain + chance.randrange(0, 8)
        ended = [a for a in absences if drained < a[2] <= drain]
        away = next(((s, w if w <= peek else 0) for s, w, e in absences if s <= peek < e), None)
        row = (
            sum(w - s for s, w, _ in ended),
            sum(e - w for _, w, e in ended),
            len(ended),
            max((e - s for s, _, e in ended), default=0),
        )
        found = times(now, away, row if ended else None) or (0, 0)
        assert min(found) >= 0
        charged = [sum(pair) for pair in zip(charged, found)]
        drained = drain
    late = [a for a in absences if a[2] > drained]
    if late:
        row = (sum(w - s for s, w, _ in late), sum(e - w for _, w, e in late), len(late), 1)
        found = times(peek + 1, None, row) or (0, 0)
        charged = [sum(pair) for pair in zip(charged, found)]
    assert charged == [sum(w - s for s, w, _ in absences), sum(e - w for _, w, e in absences)]


def test_beyond_a_thousand_rows_the_lightest_become_one(read):
    entries = [((PID, tid, NEW), (tid, 1, 1, tid)) for tid in range(1, 1011)]
    rows = read("offcputime", rows=entries)["stacks"]
    assert len(rows) == 1001
    assert sum(row["blocked_ns"] for row in rows) == sum(range(1, 1011))
    assert sum(row["count"] for row in rows) == 1010
    assert rows[-1] == {
        "pid": None,
        "tid": None,
        "cgroup": None,
        "stack": None,
        "blocked_ns": sum(range(1, 11)),
        "waiting_ns": 10,
        "count": 10,
        "max_ns": 10,
    }
    assert read.interval.truncated == {"stacks": 10}


def make_thread(
    proc, pid, tid, state, stack="[<0>] do_wait+0x6d/0x140\n[<0>] start+0x1/0x2 [mod]\n"
):
    folder = proc / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{tid} (a) b) {state} 1 1")
    (folder / "stack").write_text(stack)


@pytest.fixture
def own_pid():
    """A process that the machine knows: `who` asks the real /proc."""
    return os.getpid()


def test_a_thread_that_slept_before_the_start_is_away_since_then(read, proc, own_pid):
    make_thread(proc, own_pid, TID, "S")
    (row,) = read("offcputime", now_ns=T0, dt_ns=250 * MS)["stacks"]
    assert row["stack"] == "[since before the start of this probe];start_[k];do_wait_[k]"
    assert (row["pid"], row["tid"], row["blocked_ns"]) == (own_pid, TID, 250 * MS)
    ((key, _, values),) = read.maps["threads"].added
    assert key == (TID,)
    assert values[:2] == (T0 - 250 * MS, 0)


@pytest.mark.parametrize("state", ["R", "Z", "X"])
def test_a_thread_that_does_not_sleep_is_not_taken_for_asleep(read, proc, own_pid, state):
    make_thread(proc, own_pid, TID, state)
    assert read("offcputime", now_ns=T0)["stacks"] == []
    assert read.maps["threads"].added == []


def test_a_thread_that_has_been_seen_is_not_looked_up(read, proc, own_pid):
    make_thread(proc, own_pid, TID, "S")
    (proc / str(TID)).mkdir()
    seen = [((TID,), (0, 0, NEW, own_pid, SEEN))]
    assert read("offcputime", now_ns=T0, threads=seen)["stacks"] == []
    assert read.maps["threads"].added == []


def test_threads_asleep_before_the_start_beyond_the_limit_are_counted(
    read, proc, own_pid, monkeypatch
):
    probe = registry.probes()["offcputime"]
    monkeypatch.setitem(type(probe).read.__globals__, "EARLY_LIMIT", 2)
    for tid in range(TID, TID + 5):
        make_thread(proc, own_pid, tid, "S")
    assert len(read("offcputime", now_ns=T0)["stacks"]) == 2
    assert sum(read.interval.lost.values()) == 3


def test_the_entry_of_a_thread_that_is_no_more_is_removed(read):
    read("offcputime", now_ns=T0, threads=[((TID,), (0, 0, NEW, PID, SEEN))])
    assert read.maps["threads"].deleted == [(TID,)]


def test_stacks_long_unused_make_room(read, monkeypatch):
    probe = registry.probes()["offcputime"]
    monkeypatch.setitem(type(probe).read.__globals__, "STACKS_HELD", 2)
    for stack in (11, 13, 15, 17):
        read("offcputime", now_ns=T0, rows=[((PID, TID, stack), (1, 1, 1, 1))])
    assert read.maps["stacks"].deleted == [(13,)]


def test_a_stack_that_is_not_in_memory_is_said_to_be_missing(read):
    (row,) = read("offcputime", rows=[((PID, TID, 11), (1, 1, 1, 1))])["stacks"]
    assert row["stack"] == "[stack not kept]"
    assert read.interval.lost == {"stacks that went out of memory": 1}


@pytest.mark.parametrize(
    ("kernel", "user", "wanted"),
    [
        (1, 1, "[no frame pointers];[0x2];[0x1]_[k]"),
        (2, 2, "[0x4];[0x3];[0x2]_[k];[0x1]_[k]"),
        (2, 0, "[0x2]_[k];[0x1]_[k]"),
    ],
)
def test_frames_are_the_kernels_first_in_the_map_and_last_in_the_text(read, kernel, user, wanted):
    entry = ((11,), (kernel | user << 32, *range(1, 81)))
    rows = [((PID, TID, 11), (1, 1, 1, 1))]
    (row,) = read("offcputime", rows=rows, stacks=[entry])["stacks"]
    assert row["stack"] == wanted


@pytest.mark.parametrize(("kernel", "user"), [(20, 64), (20, 61), (48, 5)])
def test_a_stack_too_deep_to_keep_says_so(read, kernel, user):
    entry = ((11,), (kernel | user << 32, *range(1, 81)))
    rows = [((PID, TID, 11), (1, 1, 1, 1))]
    (row,) = read("offcputime", rows=rows, stacks=[entry])["stacks"]
    assert ("[cut off]" if user > 5 else "[cut off]_[k]") in row["stack"].split(";")
