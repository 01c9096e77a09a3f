"""Run queues: how long they are, who has the CPU, and how long processes wait to get it."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from heapq import nlargest
from pathlib import Path

from ebpftop.probe import (
    Entries,
    Env,
    Layout,
    Map,
    Probe,
    Row,
    View,
    cgroup,
    count,
    key,
    maximum_ns,
    ns,
    perf_event,
    pid,
    ratio,
    raw_tracepoint,
    table,
)

PROC = Path("/proc")
FREQUENCY = 99
TICK_NS = 10**9 / FREQUENCY
RUNNING = 1  # thread.start_ns in runqlen.c: larger ones are the time since when it waits
SLOTS = 40
ROWS = 2000
HISTOGRAMS = 500
ENDED, COUNT, LONGEST = range(3)  # positions in the values of the map `delays`


class Runqlen(Probe):
    """Samples of the run queues, and the scheduler's switches and wake-ups."""

    title = "Run queues"
    purpose = "how many threads want each CPU, who has it, and how long the others wait"
    tables = (
        table(
            "delays",
            pid(),
            cgroup(),
            ns("oncpu_ns", "ON-CPU", rate=True, help="time on a CPU, sampled 99 times a second"),
            ns("wait_ns", "WAITING", rate=True, help="time ready to run, but without a CPU"),
            count("count", "WAITS/s", help="waits that ended"),
            ns("ended_ns", "ended", help="those waits added up, from their beginning"),
            maximum_ns("max_ns", "MAX", help="longest wait, be it still going on"),
        ),
        table(
            "queues",
            key("cpu", "CPU", "id", "cpu"),
            key("length", "length", "count", help="threads running or waiting there; 0 is idle"),
            count("hits", "samples", rate=False, help="99 a second and CPU"),
        ),
        table(
            "oncpu",
            key("cpu", "CPU", "id", "cpu"),
            pid(),
            cgroup(),
            count("hits", "SAMPLES", rate=False, help="of 99 a second and CPU"),
        ),
        table(
            "waits",
            pid(),
            cgroup(),
            key("slot", "wait", "slot"),
            count("count", "waits", rate=False, help="waits that ended, by their whole length"),
            ns("wait_ns", "time", help="those waits added up"),
        ),
    )
    views = (
        View(
            "table",
            "delays",
            "Processes",
            columns=("pid", "oncpu_ns", "wait_ns", "delayed", "count", "avg_ns", "max_ns"),
            derived=(
                ratio(
                    "delayed",
                    "DELAYED",
                    ("wait_ns",),
                    ("oncpu_ns", "wait_ns"),
                    "ratio",
                    help="of the time that it wanted a CPU: how much of it was without",
                ),
                ratio("avg_ns", "AVG", ("ended_ns",), ("count",), help="per wait that ended"),
            ),
            sort="wait_ns",
        ),
        View("histogram", "queues", "Queue length", by="cpu"),
        View("histogram", "waits", "Time waited", follow=("pid",)),
        View("heat", "waits", "Time waited, over time"),
        View("table", "oncpu", "On the CPU", columns=("cpu", "pid", "hits"), sort="hits"),
    )
    hooks = (
        raw_tracepoint(
            "sched_switch",
            "on_switch",
            "preempt=bool",
            "prev=struct task_struct *",
            "next=struct task_struct *",
            "prev_state=unsigned int?",
            typed=True,
        ),
        raw_tracepoint("sched_wakeup", "on_wakeup", "task=struct task_struct *", typed=True),
        raw_tracepoint("sched_wakeup_new", "on_new", "task=struct task_struct *", typed=True),
        raw_tracepoint("sched_process_exec", "on_exec", "old_pid=pid_t"),
        perf_event("cpu-clock", "on_tick", FREQUENCY),
    )
    offsets = {
        "TASK_PID": "task_struct.pid",
        "TASK_STATE": ("task_struct.__state", "task_struct.state"),
        "TASK_CFS_RQ": "task_struct.se.cfs_rq",
        "CFS_RQ": "cfs_rq.rq",
        "RQ_RUNNING": "rq.nr_running",
    }
    # How many sleepers are still queued: since 6.14 the difference of two members, in 6.12 and 6.13
    # a member; before there were none.
    optional_offsets = {
        "RQ_QUEUED": "rq.cfs.h_nr_queued",
        "RQ_RUNNABLE": "rq.cfs.h_nr_runnable",
        "RQ_DELAYED": "rq.cfs.h_nr_delayed",
    }
    maps = {
        "threads": Layout("I", values=4),
        "queues": Layout("II", values=1, double=True),
        "oncpu": Layout("II", values=1, who=True, double=True),
        "delays": Layout("I", values=3, who=True, tail=f"{SLOTS}Q{SLOTS}I", double=True),
    }
    lost = {
        "THREADS": "waits of threads beyond 65536",
        "DELAYS": "waits of processes beyond 8192",
        "EDGES": "waits of which the beginning or the end was not seen",
        "QUEUES": "samples of queues beyond 8192 lengths",
        "ONCPU": "samples of processes beyond 8192",
    }
    help = (
        "Each CPU is looked at 99 times a second: how many threads run or wait there, real-time"
        " ones too, and which process has it. Length 0 is idle, 1 is one running and nobody"
        " waiting, 3 is one running and two waiting. Waits are measured, not sampled: from being"
        " woken, or from losing the CPU, to having it again. WAITING counts what of them fell into"
        " the interval, waits that go on included, so a process that starves shows 100 % per"
        " waiting thread. AVG and the histogram take waits that ended, by their whole length."
        " DELAYED sets WAITING against ON-CPU. Samples that an idle CPU does not give count as"
        " length 0. A CPU that came online after the start is left out until the probe is"
        " started again. ebpftop itself is counted like everyone."
    )

    def begin(self) -> None:
        """Forget earlier runs."""
        self._ledger = Ledger()
        self._samples = Samples()
        self._is_first = True
        self._owners: dict[int, bytes] = {}

    def read(self, maps: Mapping[str, Map], env: Env) -> dict[str, list[Row]]:
        """Rows of the interval."""
        if self._is_first:
            self._is_first = False
            add_early(maps["threads"], env)
        delays = maps["delays"].drain()
        ages = waiting(maps["threads"], env)
        oncpu = maps["oncpu"].drain()
        return {
            "delays": self._delays(delays, oncpu, ages, env),
            "queues": self._samples.queues(maps["queues"].drain(), env),
            "oncpu": env.rows("oncpu", oncpu, lambda k, cgroup: (k[1], k[0], cgroup), weight=(0,)),
            "waits": list(waits(delays, env)),
        }

    def _delays(
        self, delays: Entries, oncpu: Entries, ages: Mapping[int, list[int]], env: Env
    ) -> list[Row]:
        owners: dict[int, bytes] = {}
        hits: Counter[int] = Counter()
        for index, ((process, _), (number,)) in enumerate(oncpu):
            hits[process] += number
            owners[process] = oncpu.who(index)
        ended: dict[int, tuple[int, ...]] = {}
        columns = zip(*(delays.column(position) for position in range(3)))
        for index, values in enumerate(columns):
            (process,) = delays.key(index)
            ended[process] = values
            owners[process] = delays.who(index)
        waited = self._ledger.settle(
            {process: values[ENDED] for process, values in ended.items()},
            {process: sum(of_threads) for process, of_threads in ages.items()},
        )
        rows: dict[int, tuple[int, ...]] = {}
        for process in hits.keys() | ended.keys() | waited.keys():
            ended_ns, number, longest = ended.get(process, (0, 0, 0))
            longest = max(longest, *ages.get(process, ()), 0)
            oncpu_ns = round(hits[process] * TICK_NS)
            rows[process] = (oncpu_ns, waited.get(process, 0), number, ended_ns, longest)
        # Who starves is in no map: it is who it was when last seen.
        for process in ages.keys() - owners.keys():
            owners[process] = self._owners.get(process) or env.who(process)
        self._owners = {process: owners[process] for process in ages}
        return list(_rows(rows, owners, env))


def _rows(rows: dict[int, tuple[int, ...]], owners: dict[int, bytes], env: Env) -> Iterator[Row]:
    """The rows of processes that ran and waited most, and one of all others."""
    kept = nlargest(ROWS, rows, key=lambda process: rows[process][0] + rows[process][1])
    for process in kept:
        yield process, env.process(process, owners.get(process, b"")), *rows[process]
    left = [rows[process] for process in rows.keys() - set(kept)]
    if left:
        env.leave_out("delays", len(left))
        *sums, longest = zip(*left)
        yield None, None, *map(sum, sums), max(longest)


def waits(delays: Entries, env: Env) -> Iterator[Row]:
    """Histograms of the processes that waited most, and one of all others together."""
    kept = delays.top((ENDED,), HISTOGRAMS)
    for index in kept:
        (process,) = delays.key(index)
        owner = env.process(process, delays.who(index))
        tail = delays.tail(index)
        for slot, (number, wait_ns) in enumerate(zip(tail[SLOTS:], tail[:SLOTS])):
            if number:
                yield process, owner, slot, number, wait_ns
    others = set(range(len(delays))).difference(kept)
    totals = [sum(values) for values in zip(*map(delays.tail, others))]
    for slot, (number, wait_ns) in enumerate(zip(totals[SLOTS:], totals[:SLOTS])):
        if number:
            yield None, None, slot, number, wait_ns


def waiting(threads: Map, env: Env) -> dict[int, list[int]]:
    """For each process, how long each of its threads that waited at `env.now_ns` had done so.

    Some have ended that wait by now; its row then comes with the next interval.
    """
    entries = threads.peek()
    ages: dict[int, list[int]] = {}
    for start_ns, process, last_start_ns, last_end_ns in zip(*map(entries.column, range(4))):
        if RUNNING < start_ns < env.now_ns:
            ages.setdefault(process, []).append(env.now_ns - start_ns)
        elif last_start_ns < env.now_ns < last_end_ns:
            ages.setdefault(process, []).append(env.now_ns - last_start_ns)
    strays = env.strays(ages)
    if strays:
        for (thread,), (_, process, *_) in entries:
            if process in strays:
                threads.delete(thread)
        ages = {
            process: of_threads for process, of_threads in ages.items() if process not in strays
        }
    return ages


class Ledger:
    """What processes have been charged for waits that go on, ahead of their end.

    The map `delays` has the whole of a wait, but only when it ends. Until then each interval is
    charged for its part, and at the end only for what is left: over any number of intervals
    nothing is counted twice, and nothing is missing.
    """

    def __init__(self) -> None:
        self._ahead: dict[int, int] = {}
        self._late: set[int] = set()

    def settle(self, ended: Mapping[int, int], ages: Mapping[int, int]) -> dict[int, int]:
        """Time waited in this interval by process; `ages` is of its end."""
        waited: dict[int, int] = {}
        ahead: dict[int, int] = {}
        late: set[int] = set()
        for process in ended.keys() | ages.keys() | self._ahead.keys():
            time, age = ended.get(process, 0), ages.get(process, 0)
            owed = self._ahead.get(process, 0)
            now_ahead = max(age, owed - time)
            waited[process] = time + now_ahead - owed
            if now_ahead > age:
                # Two ended since, so that the first left no trace: its time comes with the next
                # interval. If it does not come then it never will: the end was not seen.
                if process in self._late:
                    now_ahead = age
                else:
                    late.add(process)
            if now_ahead:
                ahead[process] = now_ahead
        self._ahead, self._late = ahead, late
        return {process: time for process, time in waited.items() if time}


class Samples:
    """Counts of the run queues' lengths, made complete.

    A CPU that is idle may give no samples, and one that the hypervisor took away gives none either.
    What is missing counts as idle as far as the kernel says that the CPU was.
    """

    def __init__(self) -> None:
        self._missing: dict[int, float] = {}
        self._idle_ns = idle_ns()
        self._is_first = True

    def queues(self, entries: Entries, env: Env) -> list[Row]:
        """Rows of the interval."""
        hits: Counter[tuple[int, int]] = Counter()
        for (cpu, length), (number,) in entries:
            hits[cpu, length] += number
        seen: Counter[int] = Counter()
        for (cpu, _), number in hits.items():
            seen[cpu] += number
        online = set(env.cpus)
        due = env.dt_ns / TICK_NS
        before, self._idle_ns = self._idle_ns, idle_ns()
        if self._is_first:
            self._missing = dict.fromkeys(online, 0.0)
        # The event of a CPU that goes offline does not come back.
        self._missing = {cpu: n for cpu, n in self._missing.items() if cpu in online}
        for cpu in self._missing:
            idle = (self._idle_ns.get(cpu, 0) - before.get(cpu, 0)) / TICK_NS
            absent = self._absent(cpu, due - seen[cpu], idle - hits[cpu, 0], env)
            hits[cpu, 0] += absent
        env.lose(
            "samples of CPUs that came online after the start",
            round(due) * len(online - self._missing.keys()),
        )
        self._is_first = False
        return [(cpu, length, number) for (cpu, length), number in sorted(hits.items()) if number]

    def _absent(self, cpu: int, missing: float, idle: float, env: Env) -> int:
        """How many samples to add, of so many that are missing and so many that idle time makes."""
        missing += self._missing[cpu]
        if self._is_first:  # the first interval begins a little before its start
            missing = max(missing, 0.0)
        # The kernel tells idle time in hundredths of a second.
        absent = max(0, int(min(missing, idle + 2 if idle > 0 else 0)))
        stolen = max(0, int(missing - absent - 1))
        env.lose("samples of busy CPUs that did not come", stolen)
        self._missing[cpu] = missing - absent - stolen
        return absent


def idle_ns() -> dict[int, int]:
    """Time that each CPU was idle since boot."""
    hz = os.sysconf("SC_CLK_TCK")
    idle = {}
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            idle[int(name[3:])] = (int(fields[3]) + int(fields[4])) * 10**9 // hz
    return idle


def add_early(threads: Map, env: Env) -> None:
    """Enter threads that wait since before the probe started, and may never have run since.

    A thread that runs, or has run, since then is in the map already; so of the others, those that
    are runnable wait.
    """
    since_ns = env.now_ns - env.dt_ns
    seen = {thread for (thread,), _ in threads.peek()}
    for process, thread in _threads(env.processes()):
        if thread in seen:
            continue
        with suppress(OSError):
            text = (PROC / f"{process}/task/{thread}/stat").read_text(errors="replace")
            if text[text.rindex(")") + 2] == "R":
                threads.add((thread,), b"", (since_ns, process, 0, 0))


def _threads(processes: set[int]) -> Iterator[tuple[int, int]]:
    """Process and thread ids of all threads of some processes."""
    for process in processes:
        with suppress(OSError):
            for thread in os.listdir(PROC / str(process) / "task"):
                yield process, int(thread)
