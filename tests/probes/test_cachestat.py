"""cachestat's rows from its map entries."""

from __future__ import annotations

from ebpftop import registry

PID = 4000000


def test_a_row_is_a_process(read):
    access = read("cachestat", access=[((PID,), (900, 100, 30, 4, 50, 6, 130, 8))])["access"]
    assert access == [
        {
            "pid": PID,
            "cgroup": 0,
            "hits": 900,
            "misses": 100,
            "dirtied": 30,
            "metadata": 4,
            "faults": 50,
            "major_faults": 6,
            "added": 130,
            "metadata_dirtied": 8,
        }
    ]


def test_nothing_happened_is_no_rows(read):
    assert read("cachestat") == {"access": []}


def test_what_is_left_out_adds_up(read):
    entries = [((PID + n,), (n, 1, 0, 0, 0, 0, 0, 0)) for n in range(1, 11)]
    access = read("cachestat", limit=2, access=entries)["access"]
    assert sorted(row["pid"] for row in access[:-1]) == [PID + 9, PID + 10]
    assert access[-1]["pid"] is None
    assert sum(row["hits"] for row in access) == sum(range(1, 11))
    assert sum(row["misses"] for row in access) == 10


def test_the_hit_ratio_is_of_pages_read():
    views = registry.probes()["cachestat"].views
    ratios = [column.ratio for view in views for column in view.derived]
    assert ratios
    assert all(ratio == (("hits",), ("hits", "misses")) for ratio in ratios)
