"""System calls by process and call: how many, how long, how they failed, and which go on now."""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from heapq import nsmallest

from ebpftop.probe import (
    Entries,
    Env,
    Layout,
    Map,
    Probe,
    Row,
    View,
    all_of,
    cgroup,
    count,
    first_of,
    gauge,
    key,
    maximum_ns,
    ns,
    pid,
    ratio,
    raw_tracepoint,
    table,
    tracepoint,
)
from ebpftop.syscalls import Table, call_name, error_name

COUNT = 0  # position in the values of `calls`
SLOTS = 48
NR_BEYOND = 1024
TABLES: tuple[Table, ...] = ("native", "32", "x32")

LATENCY_CALLS = 500
ERROR_ROWS = 1000
INFLIGHT_ROWS = 500
INFLIGHT_NS = 10_000_000
INIT_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h


DEATH = raw_tracepoint("sched_process_exit", "on_death")
EXEC = raw_tracepoint("sched_process_exec", "on_exec", "old_pid=pid_t")
# What ends calls is attached before what begins them: else a call that ends in between would be in
# flight for ever.
RAW = (
    raw_tracepoint("sys_exit", "on_exit", "regs=struct pt_regs *", "result=long int"),
    *(DEATH, EXEC),
    raw_tracepoint("sys_enter", "on_enter", "regs=struct pt_regs *", "nr=long int"),
)
RECORDS = (
    tracepoint("raw_syscalls:sys_exit", "on_exit_record", "result=trace_event_raw_sys_exit.ret"),
    *(DEATH, EXEC),
    tracepoint("raw_syscalls:sys_enter", "on_enter_record", "nr=trace_event_raw_sys_enter.id"),
)
# The guard within which tracepoints run their programs since 7.0; before, preemption was off.
PREEMPTIBLE = {"GUARD": "class_srcu_fast_notrace_t.lock"}
PREEMPTED = "calls of a thread that runs while another is preempted at a call's begin or end"


class Syscount(Probe):
    """System calls, from entry to exit."""

    title = "System calls"
    purpose = "which process makes which system calls, how long they take and how they fail"
    tables = (
        table(
            "calls",
            pid(),
            cgroup(),
            key(
                "syscall",
                "SYSCALL",
                role="syscall",
                help="32-bit calls end in /i386 or /arm, x32 calls in /x32",
                closed=True,
            ),
            count("count", "CALLS/s", help="calls that ended"),
            ns("total_ns", "TIME", rate=True, help="from entry to exit, all threads added up"),
            maximum_ns("max_ns", "MAX", help="longest of the interval"),
            count("errors", "ERR/s", help="calls that ended with an error"),
        ),
        table(
            "errors",
            pid(),
            key("syscall", "SYSCALL", role="syscall", closed=True),
            key(
                "errno", "ERROR", help="ERESTART…: interrupted by a signal, not in ERR", closed=True
            ),
            count("count", "CALLS/s"),
        ),
        table(
            "latency",
            pid(),
            key("syscall", "SYSCALL", role="syscall", closed=True),
            key("slot", "time", "slot"),
            count("count", "calls", rate=False),
        ),
        table(
            "inflight",
            pid(),
            key("tid", "TID", "id", "tid"),
            key("syscall", "SYSCALL", role="syscall", closed=True),
            gauge(maximum_ns("age_ns", "AGE", help="since the thread entered the call")),
        ),
    )
    views = (
        View(
            "table",
            "calls",
            "Calls by process",
            columns=("pid", "syscall", "count", "avg_ns", "max_ns", "total_ns", "errors", "failed"),
            derived=(
                ratio("avg_ns", "AVG", ("total_ns",), ("count",)),
                ratio("failed", "FAILED", ("errors",), ("count",), "ratio"),
            ),
            sort="count",
        ),
        View("histogram", "latency", "Time per call", follow=("pid", "syscall")),
        View("table", "errors", "Errors", sort="count", follow=("pid", "syscall")),
        View("table", "inflight", "In flight", sort="age_ns"),
    )
    hooks = (
        first_of(
            all_of(*RECORDS, offsets=PREEMPTIBLE),
            all_of(*RAW, offsets=PREEMPTIBLE, missing=PREEMPTED),
            all_of(*RAW),
            all_of(*RECORDS),
        ),
    )
    offsets = {
        "TASK_PID": "task_struct.pid",
        "TASK_FLAGS": "task_struct.thread_info.flags",
    }
    optional_offsets = {"TASK_STATUS": "task_struct.thread_info.status"}
    maps = {
        "calls": Layout("II", values=4, who=True, tail=f"{SLOTS}I", maxima=(2,), double=True),
        "errors": Layout("III", values=1, double=True),
        "threads": Layout("I", values=1, tail="II"),
    }
    state = ("marks",)
    lost = {
        "THREADS": "calls of threads beyond 65536",
        "CALLS": "calls of rows beyond 32768",
        "ERRORS": "errors of rows beyond 16384",
    }
    help = (
        "A call counts in the interval in which it ends; until then it is in flight, and listed"
        " there from 10 ms on. Calls that were under way when the probe started are left out."
        " exit and exit_group never return: their time ends where the thread does."
        " ERR leaves out calls that a signal interrupted: the kernel starts them again or makes"
        " EINTR of them, and which of the two is not known. They are listed as ERESTART…."
        " Not seen: calls that seccomp refuses, and what the vDSO answers without the kernel."
        " ebpftop's own calls are counted like everyone's."
    )

    def read(self, maps: Mapping[str, Map], env: Env) -> dict[str, list[Row]]:
        """Rows of the interval."""
        calls = maps["calls"].drain()
        rows = env.rows(
            "calls", calls, lambda k, cgroup: (k[0], cgroup, name_of(k[1])), weight=(COUNT,)
        )
        errors = env.rows(
            "errors",
            maps["errors"].drain(),
            lambda k, _: (k[0], name_of(k[1]), error_name(k[2])),
            weight=(0,),
            limit=ERROR_ROWS,
        )
        return {
            "calls": [(*row[:-1], 0) if returns_to_signal(row[2]) else row for row in rows],
            "errors": [row for row in errors if not returns_to_signal(row[1])],
            "latency": list(slots_of(calls, env)),
            "inflight": list(in_flight(maps["threads"], env)),
        }


@cache
def name_of(call: int) -> str:
    """Name of a call as the C file numbers it: the table in the upper half, the number below."""
    number = call & 0xFFFF
    if number == NR_BEYOND:
        return "unknown"
    return call_name(os.uname().machine, TABLES[call >> 16], number)


def returns_to_signal(name: str | None) -> bool:
    """Whether a call "returns" what the interrupted code had in its register, not a result."""
    return name is not None and name.partition("/")[0] in ("rt_sigreturn", "sigreturn")


def slots_of(calls: Entries, env: Env) -> Iterator[Row]:
    """Histograms of the most frequent calls, and one of all others together."""
    kept = calls.top((COUNT,), LATENCY_CALLS)
    for index in kept:
        process, call = calls.key(index)
        for slot, number in enumerate(calls.tail(index)):
            if number:
                yield process, name_of(call), slot, number
    others = set(range(len(calls))).difference(kept)
    env.leave_out("latency", len(others))
    for slot, numbers in enumerate(zip(*map(calls.tail, others))):
        if any(numbers):
            yield None, None, slot, sum(numbers)


def in_flight(threads: Map, env: Env) -> Iterator[Row]:
    """Calls that go on, longest first."""
    entries = threads.peek()
    begun_before = env.now_ns - INFLIGHT_NS
    begun = ((start, index) for index, start in enumerate(entries.column(0)) if start)
    long = (call for call in begun if call[0] < begun_before)
    for start, index in nsmallest(INFLIGHT_ROWS, long):
        (tid,) = entries.key(index)
        process, call = entries.tail(index)
        if is_gone(tid):
            threads.delete(tid)
            continue
        env.process(process)
        yield process, tid, name_of(call), env.now_ns - start


def is_gone(tid: int) -> bool:
    """Whether a thread ended unseen; never where /proc numbers processes by another namespace."""
    return not os.path.exists(f"/proc/{tid}") and sees_all_processes()


@cache
def sees_all_processes() -> bool:
    """Whether /proc is that of the first process id namespace, whose numbers the kernel gives."""
    return os.stat("/proc/self/ns/pid").st_ino == INIT_PID_NAMESPACE
