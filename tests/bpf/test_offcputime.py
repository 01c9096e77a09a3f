"""Off-CPU time against what the threads themselves and the scheduler say of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.bpf

SECOND = 1_000_000_000
TRIES = 5
NUMBER = "[0x"  # how an address without a name begins
# Works for each line that it gets, and says what that took: wall, run and queued time. The last is
# as in /proc/PID/schedstat; between two looks at it that are alike, the thread has not waited.
FRAME = """
import sys, time
def queued():
    return int(open("/proc/thread-self/schedstat").read().split()[1])
def moment():
    while True:
        before = queued()
        now = time.monotonic_ns(), time.thread_time_ns(), queued()
        if now[2] == before:
            return now
def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
print(flush=True)
while sys.stdin.readline():
    before = moment()
    {work}
    print(*[a - b for a, b in zip(moment(), before)], flush=True)
"""
SLEEPS = "for _ in range(20): time.sleep(0.05)"
BURNER = "while True: pass"


@dataclass
class Truth:
    """What a load says of its work, in nanoseconds."""

    wall: int
    run: int
    queued: int

    @property
    def blocked(self) -> int:
        return self.wall - self.run - self.queued


@dataclass
class Round:
    """A load's work, and all of the time between two sleeps of its thread around that.

    Attributes:
        ran, queued: the scheduler's account of that time.
        elapsed: its length, by the samples.
        rows: what the samples say of it.
    """

    truth: Truth
    ran: int
    queued: int
    elapsed: int
    rows: list[dict[str, Any]]


@pytest.fixture
def spawn():
    """Starts a Python program that ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(code: str, cpu: int | None = None) -> subprocess.Popen[str]:
            pin = [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
            process = subprocess.Popen(
                [*pin, sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture(scope="module")
def session(collect_for_all):
    return collect_for_all("offcputime", interval_s=0.3)


@pytest.fixture
def worker(spawn):
    """Starts a program that works for each line that it gets, and waits until it is ready."""

    def start(work: str, cpu: int | None = None) -> subprocess.Popen[str]:
        load: subprocess.Popen[str] = spawn(FRAME.format(work=work), cpu)
        assert load.stdout is not None
        load.stdout.readline()
        return load

    return start


def account(pid: int) -> tuple[int, int]:
    """Time that a thread has run and waited, as soon as it sleeps: the figures then stand still."""
    folder = Path(f"/proc/{pid}/task/{pid}")
    while (folder / "stat").read_text().rpartition(") ")[2][0] != "S":
        time.sleep(0.01)
    ran, queued, _ = map(int, (folder / "schedstat").read_text().split())
    return ran, queued


def run(session: Any, load: subprocess.Popen[str]) -> Round:
    """Let a load that is ready do its work."""
    assert load.stdin is not None
    assert load.stdout is not None
    before = account(load.pid)
    session.settle("offcputime")
    since = len(session.samples("offcputime"))
    load.stdin.write("\n")
    load.stdin.flush()
    truth = Truth(*map(int, load.stdout.readline().split()))
    after = account(load.pid)
    session.settle("offcputime")
    until = len(session.samples("offcputime"))
    elapsed = sum(sample.dt_ns for sample in session.samples("offcputime")[since:until])
    rows = rows_of(session, load.pid, since, until)
    return Round(truth, after[0] - before[0], after[1] - before[1], elapsed, rows)


def run_named(session: Any, load: subprocess.Popen[str]) -> Round:
    """The same, once more until names have been found for all that it does."""
    for _ in range(TRIES):
        work = run(session, load)
        if not any(NUMBER in row["stack"] for row in work.rows):
            return work
    raise AssertionError("the load's stacks have no names")


def rows_of(
    session: Any, tid: int, since: int = 0, until: int | None = None
) -> list[dict[str, Any]]:
    rows = session.rows("offcputime", "stacks", since, until)
    return [row for row in rows if row["tid"] == tid]


def total(rows: list[dict[str, Any]], column: str) -> int:
    return sum(row[column] for row in rows)


def sleeping(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Not those of a thread that was preempted on its way out of such a call."""
    return [row for row in rows if "do_nanosleep_[k];schedule_[k]" in (row["stack"] or "")]


def test_sleeps_are_blocked_time(session, worker):
    work = run_named(session, worker(SLEEPS))
    rows = sleeping(work.rows)
    assert total(rows, "blocked_ns") == pytest.approx(work.truth.blocked, rel=0.01)
    assert total(rows, "count") == 20


def test_a_thread_asleep_throughout_is_charged_the_whole_of_each_interval(session, spawn):
    load = spawn("import time; time.sleep(1000)")
    session.wait_for(lambda: sleeping(rows_of(session, load.pid)))
    since = len(session.samples("offcputime"))
    session.settle("offcputime", samples=5)
    samples = session.samples("offcputime")[since:]
    rows = rows_of(session, load.pid, since)
    assert len(rows) == len(samples)
    for sample, row in zip(samples, rows):
        assert row["blocked_ns"] == pytest.approx(sample.dt_ns, rel=0.01)
        assert (row["waiting_ns"], row["count"]) == (0, 0)


def test_a_sleep_over_many_samples_is_counted_once(session, worker):
    work = run_named(session, worker("time.sleep(3)"))
    rows = sleeping(work.rows)
    assert len(rows) >= 5
    assert total(rows, "blocked_ns") == pytest.approx(work.truth.blocked, rel=0.01)
    assert total(rows, "count") == 1
    assert rows[-1]["max_ns"] == pytest.approx(work.truth.wall, rel=0.01)


def test_under_contention_blocked_and_waiting_are_told_apart(session, worker, spawn):
    load = worker("for _ in range(20): time.sleep(0.05); burn(0.03)", cpu=0)
    for _ in range(2):
        spawn(BURNER, cpu=0)
    work = run(session, load)
    assert work.queued > SECOND // 20, "the load was not contended"
    blocked = work.elapsed - work.ran - work.queued
    assert total(work.rows, "blocked_ns") == pytest.approx(blocked, abs=0.01 * work.truth.blocked)
    assert total(work.rows, "waiting_ns") == pytest.approx(work.queued, rel=0.02)


def test_what_a_thread_ran_waited_and_slept_is_all_the_time_there_was(session, worker):
    # Not many short ones: the scheduler counts the way out of idle as running, some 10 us, and
    # a millisecond under emulation.
    work = run(session, worker("for n in range(12): time.sleep(0.1 if n % 3 else 0.5)"))
    away = total(work.rows, "blocked_ns") + total(work.rows, "waiting_ns")
    assert away + work.ran == pytest.approx(work.elapsed, abs=0.01 * work.truth.wall)


def test_the_idle_task_is_left_out(session):
    rows = session.rows("offcputime", "stacks")
    assert rows
    assert not [row for row in rows if row["pid"] == 0 or row["tid"] == 0]


def test_a_stack_is_named_from_the_program_to_the_scheduler(session, worker):
    work = run_named(session, worker(SLEEPS))
    frames = sleeping(work.rows)[-1]["stack"].split(";")
    kernel = [frame for frame in frames if frame.endswith("_[k]")]
    program = [frame for frame in frames if not frame.endswith("_[k]")]
    assert frames == program + kernel
    if program[-1].startswith("[libc.so.6+"):
        # Since glibc 2.41 a function without a name makes the calls; Debian 13 compiles it without
        # frame pointers, so that who called it cannot be found.
        assert "nanosleep" in program[-2] or program[-2] == "[no frame pointers]"
    else:
        assert "nanosleep" in program[-1]
    assert kernel[-1] == "__schedule_[k]"
    assert any("nanosleep" in frame for frame in kernel)
    assert not [frame for frame in frames if frame.startswith(("bpf_", "[0x"))]


def test_each_thread_of_a_process_has_rows_of_its_own(session, spawn):
    threads = "[threading.Thread(target=time.sleep, args=(999,)).start() for _ in range(3)]"
    load = spawn(f"import threading, time; {threads}")

    def asleep():
        rows = sleeping(session.rows("offcputime", "stacks"))
        return {row["tid"] for row in rows if row["pid"] == load.pid}

    session.wait_for(lambda: len(asleep()) == 3)
    assert load.pid not in asleep()


@pytest.fixture(scope="module")
def early(collect_for_all):
    """A process that slept already when the probe started; the session, and its id."""
    code = "import time; print(flush=True); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        account(process.pid)
        session = collect_for_all("offcputime")
        session.settle("offcputime", samples=3)
        yield session, process.pid
        process.kill()


def test_a_thread_that_slept_before_the_probe_started_is_there_from_the_first_sample(early):
    session, pid = early
    samples = session.samples("offcputime")
    rows = rows_of(session, pid, until=len(samples))
    assert len(rows) == len(samples)
    for sample, row in zip(samples, rows):
        assert row["stack"].startswith("[since before the start of this probe];")
        assert "nanosleep" in row["stack"]
        assert row["blocked_ns"] == pytest.approx(sample.dt_ns, rel=0.01)


def test_a_process_that_was_asleep_all_the_time_is_known_by_name_and_cgroup(early):
    session, pid = early
    row = rows_of(session, pid)[-1]
    process = session.processes(pid)[-1]
    assert process.comm.startswith("python")
    assert process.cgroup == row["cgroup"] != 0
    assert process.cgroup_path
