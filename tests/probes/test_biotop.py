"""biotop's rows from its map entries."""

from __future__ import annotations

import pytest

DEVICE = 4095 << 20  # no such device: named by its number


def test_a_row_is_process_disk_and_operation(read):
    io = read("biotop", io=[((4000000, DEVICE, 1), (2, 8192, 900, 300, 500))])["io"]
    assert io == [
        {
            "pid": 4000000,
            "cgroup": 0,
            "disk": "4095:0",
            "op": "write",
            "ios": 2,
            "bytes": 8192,
            "lat_ns": 900,
            "queue_ns": 300,
            "max_ns": 500,
        }
    ]


@pytest.mark.parametrize(
    ("op", "name"),
    [(0, "read"), (1, "write"), (2, "flush"), (3, "discard"), (21, "write same"), (77, "op 77")],
)
def test_operations_are_named_and_unknown_ones_numbered(read, op, name):
    rows = read("biotop", latency=[((7, 1 << 20, op, 12), (5,))])["latency"]
    assert [(row["pid"], row["op"], row["slot"], row["count"]) for row in rows] == [
        (7, name, 12, 5)
    ]


def test_nothing_happened_is_no_rows(read):
    assert read("biotop") == {"io": [], "latency": []}


def test_what_is_left_out_adds_up(read):
    entries = [((pid, DEVICE, 0), (1, pid, 10, 1, pid)) for pid in range(1, 11)]
    io = read("biotop", limit=2, io=entries)["io"]
    assert sum(row["bytes"] for row in io) == sum(range(1, 11))
    assert io[-1]["pid"] is None
    assert io[-1]["max_ns"] == 8
