"""Scopes in the kernel: of several processes with known figures, those asked for and no others."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ebpftop import registry
from ebpftop.collector import cgroups
from ebpftop.model import Sample
from tests.bpf import test_collector
from tests.bpf.conftest import sessions
from tests.bpf.tcp_loads import connect, pipe, process, splice

pytestmark = pytest.mark.bpf

PAGE = 4096
ROUNDS = 200
TRIES = 5
UNNAMED = "addresses shown as numbers: not named in time"
SECOND = 10**9

# Each does the same work for every line that it gets, and says then how long that took.
FRAME = """
import ctypes, mmap, os, socket, sys, threading, time
libc = ctypes.CDLL(None)
{prepare}
print("ready", flush=True)
for line in sys.stdin:
    begin = time.monotonic_ns()
{work}
    print(time.monotonic_ns() - begin, flush=True)
"""
FILE = "fd = os.open({path!r}, os.O_RDWR{flags}); page = mmap.mmap(-1, 4096)"
CALLS = f"    for _ in range({ROUNDS}): libc.getpriority(0, 0)"
READS = f"    for at in range({ROUNDS}): os.preadv(fd, [page], at * 4096)"
TALK = f"""
    for _ in range({ROUNDS}):
        client.send(bytes(10))
        server.recv(10)
"""
LISTEN = """
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
"""
SLEEPS = "    for _ in range(20): time.sleep(0.02)"
TURNS = """
    for _ in range(40):
        time.sleep(0.005)
        until = time.monotonic() + 0.005
        while time.monotonic() < until: pass
"""
PINNED = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"  # all to the same CPU
CROWD = """
def doze():
    while True: time.sleep(0.005)
for _ in range(50): threading.Thread(target=doze, daemon=True).start()
"""


class Worker:
    """A process that works a round for each line; in a cgroup, if one is given."""

    def __init__(self, work, prepare="", cgroup=None):
        self._process = subprocess.Popen(
            [sys.executable, "-c", FRAME.format(work=work, prepare=prepare)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self.says() == "ready"
        if cgroup:
            self.move(cgroup)

    def move(self, cgroup):
        (cgroup / "cgroup.procs").write_text(str(self.pid))

    def says(self):
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def finish(self):
        """Wait for the end of the round."""
        self.wall_ns = int(self.says())

    def queued_ns(self):
        """How long it has waited for a CPU so far (scheduler/sched-stats.rst)."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1])

    def start(self):
        assert self._process.stdin is not None
        self.queued_before_ns = self.queued_ns()
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def worker(tmp_path):
    """`worker("biotop")` starts a process with work that the probe sees."""
    with contextlib.ExitStack() as stack:

        def start(kind, cgroup=None):
            # A file each: requests of two processes for neighbouring pages may become one.
            path = tmp_path / str(len(os.listdir(tmp_path)))
            path.write_bytes(bytes(ROUNDS * PAGE))
            os.sync()
            work, prepare = works(str(path))[kind]
            started = Worker(work, prepare, cgroup)
            stack.callback(started.end)
            return started

        yield start


def works(path):
    """By name, what to do in a round, and before the first."""
    return {
        "syscount": (CALLS, ""),
        "biotop": (READS, FILE.format(path=path, flags=" | os.O_DIRECT")),
        "cachestat": (READS, FILE.format(path=path, flags="") + "\nos.pread(fd, 1 << 30, 0)"),
        "tcptop": (TALK, LISTEN),
        "offcputime": (SLEEPS, ""),
        "runqlen": (TURNS, PINNED),
        "crowd": (SLEEPS, CROWD),
    }


@pytest.fixture
def cgroup():
    """The folder of a new cgroup, with another below it, in the tree that the probes look at."""
    tree = cgroups.hierarchy()
    if tree is None:
        pytest.skip("no cgroups here")
    outer = tree.mount / f"ebpftop-test-{os.getpid()}"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    yield outer
    for folder in (*outer.glob("*/"), outer):
        for pid in (folder / "cgroup.procs").read_text().split():
            (tree.mount / "cgroup.procs").write_text(pid)
        folder.rmdir()


def id_of(cgroup: Path) -> int:
    return cgroup.stat().st_ino


def work(session, probe, *workers):
    """Let them work one round at the same time; the number of samples before it."""
    session.settle(probe)
    since = len(session.samples(probe))
    for one in workers:
        one.start()
    for one in workers:
        one.finish()
    session.settle(probe)
    return since


def tables_of(session, probe):
    info = next(info for info in session.records[0].probes if info.name == probe)
    return [table.name for table in info.tables]


def pids(session, probe, since):
    """All processes that any table has a row of."""
    return {
        row["pid"]
        for table in tables_of(session, probe)
        for row in session.rows(probe, table, since)
        if "pid" in row
    }


def measure(session, probe, workers, counted):
    """A round of all of them, with the right figures for those that count; see `work`."""
    for _ in range(TRIES):
        since = work(session, probe, *workers)
        figures = [Figures(session, probe, since, one) for one in counted]
        if all(each.seen(probe) for each in figures):
            break
    for each in figures:
        each.check(probe)
    return since


class Figures:
    """What the samples since a number say of one worker."""

    def __init__(self, session, probe, since, worker):
        self._worker = worker
        self._rows = {
            table: [r for r in session.rows(probe, table, since) if r.get("pid") == worker.pid]
            for table in tables_of(session, probe)
        }
        self._lost = Counter[str]()
        for sample in session.samples(probe)[since:]:
            self._lost.update(sample.lost)

    def total(self, table, column, **wanted):
        rows = self._rows[table]
        return sum(r[column] for r in rows if all(r[k] == v for k, v in wanted.items()))

    def seen(self, probe):
        """Whether no more is missing than BPF fails to see here, and stacks have their names.

        Programs do not run on threads of PID 1 here (PROBES.md): that hides completions of requests
        now and then, which come in on any thread, and waits for a CPU that such a thread has.
        """
        if probe == "offcputime":
            return not self._lost[UNNAMED]
        if probe == "runqlen":
            queued_ns = self._worker.queued_ns() - self._worker.queued_before_ns
            return self.total("delays", "wait_ns") == pytest.approx(queued_ns, rel=0.02)
        if probe == "biotop":
            # More, if it had to read in something of its own that the kernel had taken from it.
            return ROUNDS * 0.995 - 1 <= self.total("io", "ios", op="read") <= ROUNDS
        # Some kernels take idle pages from the cache by themselves: see test_cachestat.
        return probe != "cachestat" or self.total("access", "misses") == 0

    def check(self, probe):
        assert self.seen(probe)
        getattr(self, f"_check_{probe}")()

    def _check_syscount(self):
        assert self.total("calls", "count", syscall="getpriority") == ROUNDS
        assert self.total("latency", "count", syscall="getpriority") == ROUNDS

    def _check_biotop(self):
        ios, size = (self.total("io", column, op="read") for column in ("ios", "bytes"))
        assert size == ios * PAGE
        assert self.total("latency", "count", op="read") == ios

    def _check_cachestat(self):
        assert self.total("access", "hits") == ROUNDS

    def _check_tcptop(self):
        for column in ("tx_bytes", "rx_bytes"):
            assert self.total("connections", column) == 10 * ROUNDS
        for column in ("tx_calls", "rx_calls"):
            assert self.total("connections", column) == ROUNDS

    def _check_offcputime(self):
        rows = [row for row in self._rows["stacks"] if "pipe_read" not in row["stack"]]
        blocked_ns = sum(row["blocked_ns"] for row in rows)
        assert 0.99 * 20 * 20_000_000 <= blocked_ns <= self._worker.wall_ns
        # More, if it had to wait for its CPU once more on the way back.
        assert sum(row["count"] for row in rows if "nanosleep" in row["stack"]) >= 20

    def _check_runqlen(self):
        waited_ns = self.total("delays", "wait_ns")
        assert self.total("waits", "wait_ns") == waited_ns


PROBES = ("syscount", "biotop", "cachestat", "tcptop", "offcputime", "runqlen")


@pytest.fixture(scope="module", params=PROBES)
def shared(request):
    """A session for all tests of a probe, one after the other; and the probe."""
    for collect in sessions():
        yield collect(request.param), request.param


@pytest.fixture
def probed(shared):
    """The same, for everything again."""
    session, probe = shared
    session.narrow(probe)
    return session, probe


def test_narrowed_to_a_process_its_figures_are_the_same_and_no_other_has_any(probed, worker):
    session, probe = probed
    asked, other = worker(probe), worker(probe)
    measure(session, probe, [asked, other], [asked, other])

    session.narrow(probe, pid=asked.pid)
    since = measure(session, probe, [asked, other], [asked])
    assert {tuple(s.scope.items()) for s in session.samples(probe)[since:]} == {
        (("pid", asked.pid),)
    }
    assert pids(session, probe, since) == {asked.pid}


def test_narrowed_to_a_cgroup_what_is_below_it_counts_and_nothing_else(probed, worker, cgroup):
    session, probe = probed
    inside, below = worker(probe, cgroup), worker(probe, cgroup / "inner")
    outside = worker(probe)
    session.narrow(probe, cgroup=id_of(cgroup))
    since = measure(session, probe, [inside, below, outside], [inside, below])
    assert pids(session, probe, since) == {inside.pid, below.pid}

    session.narrow(probe, cgroup=id_of(cgroup / "inner"))
    since = measure(session, probe, [inside, below, outside], [below])
    assert pids(session, probe, since) == {below.pid}


def test_widened_again_everything_counts_and_nothing_from_before(probed, worker):
    session, probe = probed
    one, other, crowd = worker(probe), worker(probe), worker("crowd")
    session.narrow(probe, pid=crowd.pid)
    work(session, probe, one, other)
    session.narrow(probe, pid=one.pid)
    work(session, probe, one, other)
    lost_before = session.lost(probe)

    widened = session.narrow(probe)
    measure(session, probe, [one, other], [one, other])
    first, *_, last = session.samples(probe)[widened:]
    elapsed_ns = last.mono_ns - (first.mono_ns - first.dt_ns)
    for table in tables_of(session, probe):
        for row in session.rows(probe, table, widened):
            assert row.get("max_ns", 0) <= elapsed_ns
            assert row.get("age_ns", 0) <= elapsed_ns
    # Programs do not run on threads of PID 1 here; the crowd switches 10,000 times a second.
    reasons = registry.probes()[probe].lost.values()
    lost = sum(
        session.lost(probe).get(reason, 0) - lost_before.get(reason, 0) for reason in reasons
    )
    assert lost <= 0.01 * 10_000 * elapsed_ns / SECOND


def test_a_run_queue_is_as_long_as_it_is_whatever_the_scope(collect, worker):
    session = collect("runqlen")
    session.narrow("runqlen", pid=worker("runqlen").pid)
    session.settle("runqlen", 4)
    samples = session.samples("runqlen")[-3:]
    hits = sum(row[2] for sample in samples for row in sample.tables["queues"])
    lost = sum(sum(sample.lost.values()) for sample in samples)
    wanted = 99 * sum(sample.dt_ns for sample in samples) / SECOND * (os.cpu_count() or 1)
    assert hits == pytest.approx(wanted, abs=6 + lost)


def test_a_cgroup_made_after_the_scope_was_set_is_in_it(collect, worker, cgroup):
    session = collect("syscount")
    session.narrow("syscount", cgroup=id_of(cgroup))
    later = cgroup / "later"
    later.mkdir()
    late = worker("syscount", later)
    measure(session, "syscount", [late], [late])


def test_a_probe_that_is_started_later_has_the_scope_from_its_first_sample(collect, worker):
    session = collect("syscount")
    asked, other = worker("cachestat"), worker("cachestat")
    session.narrow("syscount", pid=asked.pid)
    session.send('{"verb":"start","probe":"cachestat"}')
    session.wait_running("cachestat")
    work(session, "cachestat", asked, other)
    samples: list[Sample] = session.samples("cachestat")
    assert all(sample.scope == {"pid": asked.pid} for sample in samples)
    assert pids(session, "cachestat", 0) == {asked.pid}


def test_threads_asleep_since_before_are_those_of_the_scope(collect, worker):
    session = collect("offcputime")
    crowd, _ = worker("crowd"), worker("offcputime")
    since = session.narrow("offcputime", pid=crowd.pid)
    session.settle("offcputime", 2)
    assert pids(session, "offcputime", since) == {crowd.pid}
    tids = {row["tid"] for row in session.rows("offcputime", "stacks", since)}
    assert len(tids) == 51  # the first waits for a line, and has not run since


def test_a_sleeper_that_is_moved_out_of_the_cgroup_is_not_charged_for_ever(collect, worker, cgroup):
    session = collect("offcputime")
    sleeper = worker("offcputime", cgroup)
    session.narrow("offcputime", cgroup=id_of(cgroup))
    session.settle("offcputime")
    assert session.rows("offcputime", "stacks")[-1]["pid"] == sleeper.pid
    sleeper.move(cgroup.parent)
    session.settle("offcputime")
    since = len(session.samples("offcputime"))
    session.settle("offcputime", 3)
    assert pids(session, "offcputime", since) == set()


def test_what_others_read_from_a_shared_socket_is_not_charged_to_a_splice(collect):
    session = collect("tcptop")
    pair = connect("v4")
    orders, answers = socket.socketpair(), socket.socketpair()

    def reads_between():
        for _ in range(2):
            orders[1].recv(1)
            pair.server.recv(1000, socket.MSG_WAITALL)
            answers[1].send(b"x")
        orders[1].recv(1)
        with pipe() as (_, writer):
            got = splice(pair.server.fileno(), writer, 4000)
        assert got == 4000

    with process(reads_between) as pid:
        session.narrow("tcptop", pid=pid)
        since = len(session.samples("tcptop"))
        pair.client.sendall(bytes(8000))
        orders[0].send(b"x")
        answers[0].recv(1)
        pair.server.recv(2000, socket.MSG_WAITALL)
        orders[0].send(b"x")
        answers[0].recv(1)
        orders[0].send(b"x")
    session.settle("tcptop")
    pair.close()
    rows = session.rows("tcptop", "connections", since)
    assert {row["pid"] for row in rows} == {pid}
    assert sum(row["rx_bytes"] for row in rows) == 6000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"verb":"scope","pid":-1}', "a scope is a process id or a cgroup id"),
        ('{"verb":"scope","pid":"1"}', "a scope is a process id or a cgroup id"),
        ('{"verb":"scope","pid":1,"cgroup":1}', "a scope is one process or one cgroup"),
        ('{"verb":"scope","pid":4194304}', "no process has the id 4194304"),
        ('{"verb":"scope","cgroup":123456789012}', "no cgroup has the id 123456789012"),
    ],
)
def test_a_scope_that_cannot_be_is_refused_and_the_one_before_stays(collect, line, reason):
    session = collect("syscount")
    session.narrow("syscount", pid=os.getpid())
    session.send(line)
    session.wait_for(lambda: session.statuses(""))
    assert session.statuses("")[-1].reason == f"command refused: {reason}"
    session.settle("syscount")
    assert session.samples("syscount")[-1].scope == {"pid": os.getpid()}


def test_a_collector_can_be_started_with_a_scope(collect, cgroup):
    del collect  # only to skip without root
    options = ("--probe", "syscount", "--interval", "0.1", "--count", "2")
    tree = cgroups.hierarchy()
    assert tree is not None
    path = f"/{cgroup.relative_to(tree.mount)}"
    for text in (path, str(id_of(cgroup))):
        said = test_collector.collector(*options, "--scope-cgroup", text).stdout
        assert f'"scope":{{"cgroup":{id_of(cgroup)}}}' in said
    said = test_collector.collector(*options, "--scope-pid", str(os.getpid())).stdout
    assert f'"scope":{{"pid":{os.getpid()}}}' in said


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--scope-pid", "-3"), "no process has the id -3"),
        (("--scope-cgroup", "/no/such"), "no cgroup has the path /no/such"),
        (("--scope-cgroup", "0"), "no cgroup has the path 0"),
        (("--scope-cgroup", "123456789012"), "no cgroup has the id 123456789012"),
    ],
)
def test_a_scope_that_cannot_be_is_bad_usage(collect, options, reason):
    del collect
    result = test_collector.collector("--probe", "syscount", *options)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(reason)
