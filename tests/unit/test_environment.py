"""Rows of an interval: heaviest kept, the rest added up, totals unchanged."""

from __future__ import annotations

import struct

import pytest

from ebpftop.collector.cgroups import Hierarchy, hierarchy
from ebpftop.collector.environment import Interval, Machine, cpu_list
from ebpftop.collector.identity import Identities, unit_of
from ebpftop.collector.maps import MapEntries
from ebpftop.probe import Layout

PLAIN = Layout("II", values=3, maxima=(2,))
OWNED = Layout("II", values=2, who=True, tail="2I")


def machine():
    return Machine(Identities(lambda cgroup: f"/made/{cgroup}.service"))


def interval(limit=5000, of=None):
    return Interval(of or machine(), now_ns=0, dt_ns=10**9, limit=limit)


def plain(*entries):
    """Entries of `(key, values)` as the kernel lays them out."""
    keys = b"".join(struct.pack("=II", *key) for key, _ in entries)
    values = b"".join(struct.pack("=3Q", *values) for _, values in entries)
    return MapEntries(memoryview(keys), memoryview(values), len(entries), PLAIN)


def who(start_ns, cgroup, name):
    return struct.pack("=QQ16s", start_ns, cgroup, name)


def owned(*entries):
    """Entries of `(key, who, values, tail)`."""
    keys = b"".join(struct.pack("=II", *key) for key, *_ in entries)
    values = b"".join(
        owner + struct.pack("=2Q2I", *counters, *tail) for _, owner, counters, tail in entries
    )
    return MapEntries(memoryview(keys), memoryview(values), len(entries), OWNED)


def rows(entries, limit=5000, weight=(0,)):
    made = interval(limit)
    return made.rows("t", entries, lambda key, _: key, weight), made.truncated


def test_no_entries_are_no_rows():
    assert rows(plain()) == ([], {})


def test_rows_are_keys_and_values():
    assert rows(plain(((1, 2), (3, 4, 5)))) == ([(1, 2, 3, 4, 5)], {})


def test_beyond_the_limit_the_heaviest_are_kept_and_the_rest_is_one_row():
    entries = plain(*(((n, 0), (n, 10 * n, n)) for n in range(10)))
    kept, truncated = rows(entries, limit=3)
    *top, others = kept
    assert sorted(top) == [(7, 0, 7, 70, 7), (8, 0, 8, 80, 8), (9, 0, 9, 90, 9)]
    assert others == (None, None, sum(range(7)), 10 * sum(range(7)), 6)
    assert truncated == {"t": 7}


def test_ties_at_the_limit_do_not_let_more_rows_in():
    kept, truncated = rows(plain(*(((n, 0), (1, 1, 1)) for n in range(10))), limit=4)
    assert len(kept) == 5
    assert truncated == {"t": 6}
    assert sum(row[2] for row in kept) == 10


@pytest.mark.parametrize("limit", [1, 2, 5, 9, 10, 11])
def test_sums_hold_whatever_the_limit(limit):
    entries = plain(*(((n, n), (n * n % 7, n, n)) for n in range(10)))
    kept, _ = rows(entries, limit, weight=(0, 1))
    assert sum(row[2] for row in kept) == sum(n * n % 7 for n in range(10))
    assert sum(row[3] for row in kept) == sum(range(10))
    assert max(row[4] for row in kept) == 9


def test_the_process_of_a_row_is_made_known_with_its_cgroup():
    of = machine()
    entries = owned(((4000000, 1), who(7, 99, b"nginx\0"), (1, 2), (3, 4)))
    made = interval(of=of)
    result = made.rows("t", entries, lambda key, cgroup: (key[0], cgroup), (0,))
    assert result == [(4000000, 99, 1, 2)]
    (process,) = of.identities.take_fresh()
    assert (process.pid, process.start_ns, process.comm) == (4000000, 7, "nginx")
    assert (process.cgroup_path, process.unit) == ("/made/99.service", "99.service")


def test_a_process_is_made_known_once_and_again_when_its_id_is_used_again():
    of = machine()
    first = who(7, 99, b"nginx\0")
    for owner in (first, first, who(8, 99, b"bash\0")):
        of.identities.meet(4000000, owner)
    assert [process.comm for process in of.identities.take_fresh()] == ["nginx", "bash"]


def test_what_follows_the_counters_can_be_read():
    entries = owned(((1, 1), who(7, 0, b"x"), (1, 2), (3, 4)))
    assert entries.tail(0) == (3, 4)
    assert list(entries) == [((1, 1), (1, 2, 3, 4))]


def test_losses_of_one_reason_add_up_and_none_is_no_loss():
    made = interval()
    for number in (2, 0, 3):
        made.lose("full", number)
    made.lose("other", 0)
    assert made.lost == {"full": 5}


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3\n", (0, 1, 2, 3)), ("0,2-3", (0, 2, 3)), ("5", (5,)), ("\n", ())]
)
def test_cpu_lists_are_read(text, cpus):
    assert cpu_list(text) == cpus


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/user.slice/user-0.slice/session-3.scope/x", "session-3.scope"),
        ("/docker/0123", ""),
    ],
)
def test_the_unit_is_the_innermost_of_the_path(path, unit):
    assert unit_of(path) == unit


V1 = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct 0 0\n"
V1 += "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
V2 = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "mount", "controller"),
    [(V2, "/sys/fs/cgroup/unified", ""), (V1 + V2, "/sys/fs/cgroup/memory", "memory")],
)
def test_v1_controllers_outrank_an_empty_v2_tree(tmp_path, mounts, mount, controller):
    file = tmp_path / "mounts"
    file.write_text("none / ext4 rw 0 0\n" + mounts)
    found = hierarchy(file)
    assert isinstance(found, Hierarchy)
    assert (str(found.mount), found.controller) == (mount, controller)


def test_no_cgroups_are_no_hierarchy(tmp_path):
    file = tmp_path / "mounts"
    file.write_text("none / ext4 rw 0 0\n")
    assert hierarchy(file) is None
