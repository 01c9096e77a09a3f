"""System calls by tracepoints with records, as since 7.0, beside those by raw tracepoints."""

from __future__ import annotations

import ctypes
import os
from collections import Counter

import pytest

from ebpftop.collector import perf
from ebpftop.collector.btf import WITHOUT
from ebpftop.collector.running import MISSED
from tests.bpf.test_syscount import CALLER, CALLS, FAILING, errors, run, total
from tests.bpf.test_syscount import (
    test_execve_of_a_second_thread_ends_under_the_id_of_the_first as execve_of_a_second_thread,
)

pytestmark = pytest.mark.bpf

RAW, RECORD = "raw_tp:sys_enter", "tp:raw_syscalls:sys_enter"


def by(way, collect, monkeypatch):
    """A session that uses one of the two."""
    monkeypatch.setenv(WITHOUT, RAW if way == RECORD else RECORD)
    session = collect("syscount")
    assert way in session.statuses("syscount")[-1].hooks
    return session


@pytest.fixture(scope="module")
def records(collect_for_all):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return by(RECORD, collect_for_all, monkeypatch)


def test_by_records_calls_and_errors_are_exact(records):
    session = records
    pid = run(session, CALLER)
    slots = [row for row in session.rows("syscount", "latency") if row["pid"] == pid]
    assert total(session, pid, "getpriority") == CALLS
    assert errors(session, pid, "getpriority") == {"EINVAL": FAILING}
    assert sum(row["count"] for row in slots if row["syscall"] == "getpriority") == CALLS
    assert not session.lost("syscount")


def test_by_raw_tracepoints_what_is_missing_was_left_out_by_the_kernel(collect, monkeypatch):
    session = by(RAW, collect, monkeypatch)
    pid = run(session, CALLER)
    missing = CALLS - total(session, pid, "getpriority")
    assert 0 <= missing <= session.lost("syscount").get(MISSED, 0)


def test_where_raw_tracepoints_are_preempted_that_is_said(collect, monkeypatch):
    session = by(RAW, collect, monkeypatch)
    status = session.statuses("syscount")[-1]
    if status.state == "running":
        assert not session.lost("syscount")
        pytest.skip("this kernel does not preempt them")
    assert "preempted" in status.reason


def test_by_records_execve_of_a_second_thread(records):
    execve_of_a_second_thread(records)


def test_both_see_the_same_calls_but_for_those_left_out(records, collect, monkeypatch):
    sessions = by(RAW, collect, monkeypatch), records
    code = "import os\nfor _ in range(5000): os.getpriority(os.PRIO_PROCESS, 0)"
    pid = run(sessions[0], code)
    sessions[1].settle("syscount")
    missed = sum(session.lost("syscount").get(MISSED, 0) for session in sessions)
    seen = [calls_of(session, pid) for session in sessions]
    apart = sum(abs(seen[0][name] - seen[1][name]) for name in {*seen[0], *seen[1]})
    assert seen[0]["getpriority"] > 0
    assert apart <= missed


def calls_of(session, pid):
    """How many of each call a process made."""
    calls = Counter[str]()
    for row in session.rows("syscount", "calls"):
        if row["pid"] == pid:
            calls[row["syscall"]] += row["count"]
    return calls


def test_users_of_perf_still_see_the_tracepoint(records):
    assert RECORD in records.statuses("syscount")[-1].hooks
    cpu = min(os.sched_getaffinity(0))
    attr = perf.PerfEventAttr(
        type=perf.TRACEPOINT, config=perf.tracepoint_number("raw_syscalls:sys_enter")
    )
    before = os.sched_getaffinity(0)
    counter = perf.open_perf_event(attr, cpu, -1)
    try:
        os.sched_setaffinity(0, {cpu})
        libc = ctypes.CDLL(None)
        for _ in range(1000):
            libc.getpriority(0, 0)
        assert int.from_bytes(os.read(counter, 8), "little") >= 1000
    finally:
        os.sched_setaffinity(0, before)
        os.close(counter)
