"""syscount's rows from its map entries."""

from __future__ import annotations

import inspect
import os

import pytest

from ebpftop import registry

MS = 1_000_000
NOW_NS = 10**10
NR = {"x86_64": {"read": 0, "rt_sigreturn": 15}, "aarch64": {"read": 63, "rt_sigreturn": 139}}


@pytest.fixture
def nr():
    try:
        return NR[os.uname().machine]
    except KeyError:
        pytest.skip("no table of names for this machine")


def slots(**counts):
    """A histogram by slot, `slots(s10=3)`."""
    numbers = [0] * 48
    for name, number in counts.items():
        numbers[int(name[1:])] = number
    return tuple(numbers)


def test_a_row_is_process_and_call(read, nr):
    rows = read("syscount", calls=[((7, nr["read"]), (3, 900, 500, 1), slots(s8=3))])["calls"]
    assert rows == [
        {
            "pid": 7,
            "cgroup": 0,
            "syscall": "read",
            "count": 3,
            "total_ns": 900,
            "max_ns": 500,
            "errors": 1,
        }
    ]


def test_numbers_of_no_table_are_one_row(read):
    rows = read("syscount", calls=[((7, 1024), (3, 900, 500, 3), slots(s8=3))])["calls"]
    assert [row["syscall"] for row in rows] == ["unknown"]


def test_errors_are_named(read, nr):
    rows = read("syscount", errors=[((7, nr["read"], 9), (4,)), ((7, nr["read"], 512), (2,))])
    assert rows["errors"] == [
        {"pid": 7, "syscall": "read", "errno": "EBADF", "count": 4},
        {"pid": 7, "syscall": "read", "errno": "ERESTARTSYS", "count": 2},
    ]


def test_a_return_from_a_signal_handler_cannot_fail(read, nr):
    sigreturn = nr["rt_sigreturn"]
    tables = read(
        "syscount",
        calls=[((7, sigreturn), (5, 50, 10, 5), slots(s4=5))],
        errors=[((7, sigreturn, 4), (5,))],
    )
    assert [(row["count"], row["errors"]) for row in tables["calls"]] == [(5, 0)]
    assert tables["errors"] == []


def test_a_histogram_has_the_slots_that_hold_something(read, nr):
    entry = ((7, nr["read"]), (5, 9000, 2000, 0), slots(s3=1, s10=4))
    rows = read("syscount", calls=[entry])["latency"]
    assert [(row["pid"], row["syscall"], row["slot"], row["count"]) for row in rows] == [
        (7, "read", 3, 1),
        (7, "read", 10, 4),
    ]


def test_histograms_of_rare_calls_are_added_up(read, nr):
    busy = [((pid, nr["read"]), (9, 90, 10, 0), slots(s4=9)) for pid in range(1, 501)]
    rare = [((pid, nr["read"]), (2, 20, 10, 0), slots(s4=1, s5=1)) for pid in range(501, 511)]
    rows = read("syscount", calls=busy + rare)["latency"]
    assert len([row for row in rows if row["pid"]]) == 500
    others = [(row["slot"], row["count"]) for row in rows if row["pid"] is None]
    assert others == [(4, 10), (5, 10)]
    assert sum(row["count"] for row in rows) == 500 * 9 + 10 * 2
    assert read.interval.truncated["latency"] == 10


def threads(nr, *ages_ns):
    """This very thread, again and again, in calls of these ages; None is between calls."""
    tid, pid = os.getpid(), os.getpid()
    return [((tid,), (NOW_NS - age if age else 0,), (pid, nr["read"])) for age in ages_ns]


def test_calls_in_flight_are_the_long_ones_oldest_first(read, nr):
    entries = threads(nr, 20 * MS, None, 9 * MS, 50 * MS)
    rows = read("syscount", now_ns=NOW_NS, threads=entries)["inflight"]
    assert [row["age_ns"] for row in rows] == [50 * MS, 20 * MS]
    assert {(row["pid"], row["tid"], row["syscall"]) for row in rows} == {
        (os.getpid(), os.getpid(), "read")
    }


def test_no_more_than_the_oldest_500_are_listed(read, nr):
    entries = threads(nr, *[(20 + number) * MS for number in range(600)])
    rows = read("syscount", now_ns=NOW_NS, threads=entries)["inflight"]
    assert (len(rows), rows[-1]["age_ns"]) == (500, 120 * MS)


def test_a_thread_that_is_gone_is_forgotten(read, nr, monkeypatch):
    probe = registry.probes()["syscount"]
    module = inspect.unwrap(type(probe).read).__globals__
    monkeypatch.setitem(module, "sees_all_processes", lambda: True)
    gone = 1 << 22  # one more than the largest id there can be
    entries = [((gone,), (NOW_NS - 20 * MS,), (gone, nr["read"]))]
    assert read("syscount", now_ns=NOW_NS, threads=entries)["inflight"] == []
    assert read.maps["threads"].deleted == [(gone,)]


def test_nothing_happened_is_no_rows(read):
    assert read("syscount") == {"calls": [], "errors": [], "latency": [], "inflight": []}
