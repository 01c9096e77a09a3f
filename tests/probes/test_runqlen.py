"""What runqlen makes of its maps: lengths made complete, and waits charged while they last."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ebpftop import registry
from ebpftop.collector.environment import Machine

MS = 1_000_000
SECOND = 1000 * MS
T0 = 100 * SECOND
PID, TID = 4_000_000, 4_000_001
CPU, OTHER = 0, 1
SLOTS = 40


class MadeMachine:
    """The files and the CPUs that the probe looks at."""

    def __init__(self, folder):
        self.folder = folder
        self.cpus = (CPU, OTHER)
        self.idle_s = {CPU: 0.0, OTHER: 0.0}
        self.write()

    def write(self):
        """What /proc/stat says, in hundredths of a second; idle is the fourth number."""
        lines = [f"cpu{cpu} 5 0 5 {round(s * 100)} 0 0 0" for cpu, s in self.idle_s.items()]
        (self.folder / "stat").write_text("\n".join(["cpu  9 0 9 9 0 0 0", *lines, "ctxt 7"]))

    def pass_time(self, **idle_s):
        """Let CPUs be idle: `cpu0=0.5`."""
        for name, seconds in idle_s.items():
            self.idle_s[int(name[3:])] += seconds
        self.write()

    def thread(self, pid, tid, state):
        folder = self.folder / f"{pid}/task/{tid}"
        folder.mkdir(parents=True)
        (folder / "stat").write_text(f"{tid} (a) b) {state} 1 1")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A probe that has just started, on a machine of two CPUs without threads."""
    made = MadeMachine(tmp_path)
    probe = registry.probes()["runqlen"]
    monkeypatch.setitem(type(probe).read.__globals__, "PROC", tmp_path)
    monkeypatch.setattr("ebpftop.collector.scope.PROC", tmp_path)
    monkeypatch.setattr(Machine, "cpus", lambda self: made.cpus)
    probe.begin()
    return made


def delay(pid, *waits_ns):
    """An entry of the map `delays` that holds those waits."""
    slots, slot_ns = Counter[int](), Counter[int]()
    for wait_ns in waits_ns:
        slot = wait_ns.bit_length() - 1
        slots[slot] += 1
        slot_ns[slot] += wait_ns
    tail = [counts[slot] for counts in (slot_ns, slots) for slot in range(SLOTS)]
    return ((pid,), (sum(waits_ns), len(waits_ns), max(waits_ns)), tail)


def thread(start_ns, tid=TID, pid=PID, last=(0, 0)):
    """An entry of the map `threads`; `last` is the last wait that ended."""
    return (tid,), (start_ns, pid, *last)


@pytest.fixture
def waited(read):
    """One reading at a time: what the process waited in the interval, None where it has no row."""

    def take(now_ns, *ended, since=0, last=(0, 0)):
        threads = [thread(since, last=last)] if since or any(last) else []
        delays = [delay(PID, *ended)] if ended else []
        rows = read("runqlen", now_ns=now_ns, threads=threads, delays=delays)["delays"]
        return rows[0]["wait_ns"] if rows else None

    return take


@pytest.fixture
def lengths(read):
    """One reading of a second: samples of each length on a CPU; hits are `{(cpu, length): n}`."""

    def take(hits, cpu=CPU, **options):
        rows = read("runqlen", queues=[(k, (n,)) for k, n in hits.items()], **options)["queues"]
        return {row["length"]: row["hits"] for row in rows if row["cpu"] == cpu}

    return take


def test_a_process_has_its_time_on_the_cpu_beside_its_time_without(read):
    rows = read(
        "runqlen",
        delays=[delay(PID, 3 * MS, 5 * MS)],
        oncpu=[((PID, CPU), (33,)), ((PID, OTHER), (66,))],
    )
    assert rows["delays"] == [
        {
            "pid": PID,
            "cgroup": 0,
            "oncpu_ns": SECOND,
            "wait_ns": 8 * MS,
            "count": 2,
            "ended_ns": 8 * MS,
            "max_ns": 5 * MS,
        }
    ]
    assert sorted((row["cpu"], row["pid"], row["hits"]) for row in rows["oncpu"]) == [
        (CPU, PID, 33),
        (OTHER, PID, 66),
    ]


def test_a_wait_that_goes_on_is_charged_in_each_interval_and_the_rest_when_it_ends(waited):
    assert waited(T0 + 300 * MS, since=T0) == 300 * MS
    assert waited(T0 + 1300 * MS, since=T0) == 1000 * MS
    assert waited(T0 + 2300 * MS, 1500 * MS) == 200 * MS
    assert waited(T0 + 3300 * MS) is None


def test_a_wait_that_goes_on_has_no_count_but_its_age(read):
    threads = [thread(T0)]
    (row,) = read("runqlen", now_ns=T0 + 5 * SECOND, threads=threads)["delays"]
    assert (row["count"], row["ended_ns"], row["max_ns"]) == (0, 0, 5 * SECOND)


def test_threads_that_sleep_or_run_do_not_wait(read):
    threads = [thread(0), thread(1, TID + 1)]
    assert read("runqlen", threads=threads)["delays"] == []


def test_a_wait_that_has_ended_since_the_end_of_the_interval_is_charged_for_it(waited):
    assert waited(T0 + 300 * MS, since=T0) == 300 * MS
    last = T0, T0 + 1301 * MS
    assert waited(T0 + 1300 * MS, since=1, last=last) == 1000 * MS
    assert waited(T0 + 2300 * MS, 1301 * MS, since=1, last=last) == 1 * MS
    assert waited(T0 + 3300 * MS, since=1, last=last) is None


def test_also_where_the_thread_waits_again(waited):
    now_ns = T0 + 300 * MS
    last = T0, now_ns + 2 * MS
    assert waited(now_ns, since=now_ns + 5 * MS, last=last) == 300 * MS


def test_of_two_that_have_ended_since_the_first_is_charged_later_and_once(waited):
    assert waited(T0 + 300 * MS, since=T0) == 300 * MS
    assert waited(T0 + 1300 * MS) is None
    assert waited(T0 + 2300 * MS, 1301 * MS) == 1001 * MS


def test_a_wait_of_which_the_end_is_never_seen_takes_nothing_from_later_ones(waited):
    assert waited(T0 + 300 * MS, since=T0) == 300 * MS
    waited(T0 + 1300 * MS)
    waited(T0 + 2300 * MS)
    assert waited(T0 + 3300 * MS, 7 * MS) == 7 * MS


@pytest.mark.parametrize("seed", range(20))
def test_over_many_intervals_the_charges_add_up_to_the_waits(waited, seed):
    chance = random.Random(seed)
    now, waits, charged = T0, 0, 0
    since, ended = 0, list[int]()
    for _ in range(200):
        now += chance.randrange(1, 50 * MS)
        if not since:
            since = now
        elif chance.random() < 0.5:
            ended.append(now - since)
            waits += now - since
            since = 0
        if chance.random() < 0.3:
            charged += waited(now, *ended, since=since if since != now else 0) or 0
            ended = []
    if since:
        ended.append(now - since)
        waits += now - since
    charged += waited(now + 1, *ended) or 0
    assert charged == waits


def test_waits_are_told_by_their_length(read):
    rows = read("runqlen", delays=[delay(PID, 1, 5, 6, 4096)])["waits"]
    assert [(row["slot"], row["count"], row["wait_ns"]) for row in rows] == [
        (0, 1, 1),
        (2, 2, 11),
        (12, 1, 4096),
    ]


def test_histograms_that_are_left_out_add_up(read):
    entries = [delay(PID + n, n * MS) for n in range(1, 700)]
    rows = read("runqlen", delays=entries)["waits"]
    assert sum(row["count"] for row in rows) == 699
    assert sum(row["wait_ns"] for row in rows) == sum(n * MS for n in range(1, 700))
    assert {row["pid"] for row in rows if row["wait_ns"] == 699 * MS} == {PID + 699}
    assert any(row["pid"] is None for row in rows)


def test_processes_that_are_left_out_add_up(read):
    entries = [delay(PID + n, n) for n in range(1, 3000)]
    rows = read("runqlen", delays=entries)["delays"]
    assert sum(row["wait_ns"] for row in rows) == sum(range(1, 3000))
    assert (rows[-1]["pid"], rows[-1]["count"], rows[-1]["max_ns"]) == (None, 999, 999)
    assert len(rows) == 2001


def test_samples_that_an_idle_cpu_does_not_give_count_as_length_0(lengths, machine):
    lengths({(CPU, 1): 99})
    machine.pass_time(cpu0=0.6, cpu1=1.0)
    assert lengths({(CPU, 1): 40}) == {0: 59, 1: 40}


def test_the_first_interval_is_complete_too(lengths, machine):
    machine.pass_time(cpu0=1.0)
    assert lengths({}) == {0: 99}


def test_samples_of_an_idle_cpu_that_do_come_are_not_added_again(lengths, machine):
    lengths({(CPU, 1): 99})
    machine.pass_time(cpu0=0.6, cpu1=1.0)
    assert lengths({(CPU, 0): 59, (CPU, 1): 40}) == {0: 59, 1: 40}


def test_samples_that_a_busy_cpu_does_not_give_are_lost(lengths, read):
    lengths({(CPU, 2): 99, (OTHER, 1): 99})
    assert lengths({(CPU, 2): 50, (OTHER, 1): 99}) == {2: 50}
    (number,) = read.interval.lost.values()
    assert number == pytest.approx(49, abs=1)


def test_a_busy_cpu_shows_no_idle_where_intervals_are_no_multiple_of_the_period(lengths, machine):
    chance = random.Random(1)
    period_ns = SECOND / 99
    now, ticks, idle = float(T0), T0 / period_ns // 1, 0
    for _ in range(50):
        dt_ns = chance.randrange(100 * MS, 300 * MS)
        now += dt_ns
        seen = now / period_ns // 1 - ticks
        ticks += seen
        machine.pass_time(cpu0=0.01)  # what /proc/stat rounds to
        idle += lengths({(CPU, 1): int(seen)}, dt_ns=dt_ns, now_ns=int(now)).get(0, 0)
    assert idle == 0


def test_what_a_busy_cpu_does_not_give_is_not_made_up_for_by_what_it_gives_idle(lengths, machine):
    lengths({(CPU, 1): 99})
    machine.pass_time(cpu0=0.6)
    assert lengths({(CPU, 0): 59})[0] <= 59 + 2  # /proc/stat is rounded


def test_samples_of_an_idle_cpu_come_to_99_a_second_over_many_intervals(lengths, machine):
    total = 0
    for _ in range(50):
        machine.pass_time(cpu0=0.15)
        total += lengths({}, dt_ns=150 * MS).get(0, 0)
    assert total == pytest.approx(99 * 50 * 0.15, abs=2)


def test_more_samples_than_are_due_take_none_away(lengths, machine):
    lengths({(CPU, 1): 99})
    machine.pass_time(cpu0=0.5)
    assert lengths({(CPU, 0): 51, (CPU, 1): 51}) == {0: 51, 1: 51}


def test_samples_from_before_the_first_interval_do_not_stand_for_later_ones(lengths, machine):
    lengths({(CPU, 1): 150})
    machine.pass_time(cpu0=1.0)
    assert lengths({}) == {0: 99}


def test_a_cpu_that_went_offline_is_left_out_when_it_is_back(lengths, machine):
    lengths({(CPU, 1): 99})
    machine.cpus = (OTHER,)
    assert lengths({}) == {}
    machine.cpus = (CPU, OTHER)
    machine.pass_time(cpu0=1.0)
    assert lengths({}) == {}


def test_a_cpu_that_comes_online_later_is_left_out_and_said_to_be(lengths, machine, read):
    machine.cpus = (CPU,)
    lengths({(CPU, 1): 99})
    machine.cpus = (CPU, OTHER)
    machine.pass_time(cpu1=1.0)
    assert lengths({(CPU, 1): 99}, cpu=OTHER) == {}
    assert read.interval.lost == {"samples of CPUs that came online after the start": 99}


def test_threads_that_wait_since_before_the_start_are_entered(read, machine):
    machine.thread(PID, PID, "S")
    machine.thread(PID, TID, "R")
    machine.thread(PID + 9, PID + 9, "R")
    read("runqlen", now_ns=T0, threads=[thread(1, PID + 9, PID + 9)])
    assert read.maps["threads"].added == [((TID,), b"", (T0 - SECOND, PID, 0, 0))]


def test_only_the_first_reading_looks_for_them(read, machine):
    read("runqlen")
    machine.thread(PID, TID, "R")
    read("runqlen")
    assert read.maps["threads"].added == []


def test_nothing_happened_is_no_rows(read):
    assert read("runqlen") == {"delays": [], "queues": [], "oncpu": [], "waits": []}
