"""Histories made by hand for the tests of the drawings: tables as probes have them, no stream."""

import asyncio
import functools
import inspect
import math

from textual.app import App

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.ui import themes

SECOND = 1_000_000_000

LATENCY = Table(
    "latency",
    (
        Column("disk", "DISK", "label", "key", "disk"),
        Column("op", "OP", "label"),
        Column("slot", "latency", "slot"),
        Column("count", "IOs", "count", "sum"),
    ),
)
QUEUES = Table(
    "queues",
    (
        Column("cpu", "CPU", "id", "key", "cpu"),
        Column("length", "length", "count"),
        Column("hits", "samples", "count", "sum"),
    ),
)
ACCESS = Table(
    "access",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("hits", "HITS", "count", "sum", rate=True),
        Column("misses", "MISSES", "count", "sum", rate=True),
        Column("read_bytes", "READ", "bytes", "sum", rate=True),
    ),
)
HIT_RATIO = Column("ratio", "HIT RATIO", "ratio", "sum", ratio=(("hits",), ("hits", "misses")))
STACKS = Table(
    "stacks",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("tid", "TID", "id", "key", "tid"),
        Column("cgroup", "CGROUP", "id", "key", "cgroup"),
        Column("stack", "STACK", "stack"),
        Column("blocked_ns", "BLOCKED", "ns", "sum"),
        Column("waiting_ns", "WAITING", "ns", "sum"),
        Column("count", "COUNT", "count", "sum"),
    ),
)


def probe(*views: View) -> ProbeInfo:
    """A probe with all the tables, and these views."""
    tables = (LATENCY, QUEUES, ACCESS, STACKS)
    return ProbeInfo("drawn", "Drawn", "test", "to be drawn", tables, views)


def sample(seq: int, at_s: float | None = None, dt_s: float = 1.0, **tables) -> Sample:
    """A sample that ended `at_s` seconds after boot, `seq` by default."""
    end = round((seq if at_s is None else at_s) * SECOND)
    return Sample("drawn", seq, end, end, round(dt_s * SECOND), tables)


def latencies(number: int = 60) -> list[Sample]:
    """Two disks: one fast with a slow second mode that comes and goes, one slow throughout."""
    samples = []
    for i in range(1, number + 1):
        slow = max(0.0, math.sin(i / 6))
        rows = []
        for slot in range(13, 27):
            fast = round(900 * math.exp(-((slot - 15.5) ** 2) / 2))
            tail = round(60 * slow * math.exp(-((slot - 22) ** 2) / 3))
            rows += [("vda", "read", slot, fast + tail)] if fast + tail else []
            disk = round(25 * math.exp(-((slot - 20 - i % 2) ** 2) / 4))
            rows += [("sdb", "write", slot, disk)] if disk else []
        samples.append(sample(i, latency=rows))
    return samples


def queues(number: int = 12) -> list[Sample]:
    """Four CPUs, sampled 99 times a second, mostly idle."""
    lengths = ((0, 60), (1, 30), (2, 6), (3, 2), (5, 1))
    return [
        sample(i, queues=[(cpu, n, hits + cpu) for cpu in range(4) for n, hits in lengths])
        for i in range(1, number + 1)
    ]


def accesses(number: int = 60) -> list[Sample]:
    """Two processes and the page cache; nothing is missed at times."""
    samples = []
    for i in range(1, number + 1):
        hits = round(9000 + 6000 * math.sin(i / 8))
        misses = max(0, round(1500 * math.sin(i / 5)))
        rows = [(812, hits, misses, hits * 4096), (77, hits // 3, misses // 9, misses * 4096)]
        samples.append(sample(i, access=rows))
    return samples


KERNEL_WAIT = "do_syscall_64_[k];{}_[k];schedule_[k]"
CALLS = (
    (
        812,
        "main;ServerLoop;BackendRun;ExecScan;ReadBuffer;pread64",
        "ext4_read_[k];io_schedule",
        90,
    ),
    (812, "main;ServerLoop;BackendRun;ExecScan;hash_search", "futex_wait", 22),
    (812, "main;ServerLoop;BackendRun;CommitTransaction;XLogFlush;fdatasync", "jbd2_commit", 61),
    (812, "main;ServerLoop;BackendRun;SendTuples;send", "sk_stream_wait_memory", 9),
    (812, "main;ServerLoop;epoll_wait", "ep_poll", 40),
    (813, "main;CheckpointerMain;WaitLatch;epoll_wait", "ep_poll", 24),
    (4711, "_start;main;event_loop;worker_thread;epoll_wait", "ep_poll", 70),
    (4711, "_start;main;event_loop;worker_thread;handle;recvfrom", "sock_recvmsg", 18),
    (4711, "_start;main;event_loop;timer;nanosleep", "hrtimer_nanosleep", 4),
    (92, "", "kswapd_try_to_sleep", 30),
)
NAMES = {812: "postgres", 813: "checkpointer", 4711: "nginx", 92: "kswapd0"}


def stacks(number: int = 30) -> list[Sample]:
    """A database, a web server and a kernel thread, asleep or waiting for a CPU."""
    samples = []
    for i in range(1, number + 1):
        rows = []
        for pid, user, kernel, weight in CALLS:
            folded = ";".join(filter(None, (user, KERNEL_WAIT.format(kernel))))
            blocked = weight * 10_000_000 + i * 1000
            rows.append((pid, pid, 1, folded, blocked, weight * 400_000, weight))
        for n in range(40):
            folded = f"_start;main;event_loop;worker_thread;handle;job_{n};futex;" + (
                KERNEL_WAIT.format("futex_wait")
            )
            rows.append((4711, 4711, 1, folded, 1_500_000, 0, 1))
        samples.append(sample(i, stacks=rows))
    return samples


class Themed(App[None]):
    """An app that holds one widget, in one of our themes."""

    def __init__(self, widget, theme=themes.DEFAULT):
        super().__init__()
        self.widget, self.wanted = widget, theme

    def compose(self):
        yield self.widget

    def get_theme_variable_defaults(self):
        return themes.variables(self.current_theme)

    def on_mount(self):
        for theme in themes.load()[0]:
            self.register_theme(theme)
        self.theme = self.wanted
        self.draw()

    def draw(self):
        """Show the widget what it is to draw."""
        raise NotImplementedError


class OneWidget(Themed):
    """An app that holds one drawing."""

    def __init__(self, widget, samples=(), match=None, theme=themes.DEFAULT):
        super().__init__(widget, theme)
        self.shown, self.match = samples, match or {}

    def draw(self):
        self.widget.show(self.shown, self.match)


def driven(make, samples, size):
    """Runs an async test with the pilot of an app that holds one drawing, focused."""

    def decorate(test):
        async def run(arguments):
            app = OneWidget(make(), samples())
            async with app.run_test(size=size) as pilot:
                app.widget.focus()
                await pilot.pause()
                await test(pilot=pilot, **arguments)

        @functools.wraps(test)
        def wrapper(**arguments):
            asyncio.run(run(arguments))

        given = inspect.signature(test)
        parameters = [p for name, p in given.parameters.items() if name != "pilot"]
        wrapper.__signature__ = given.replace(parameters=parameters)  # type: ignore[attr-defined]
        return wrapper

    return decorate
