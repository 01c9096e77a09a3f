"""Samples with random rows for any probe that is described, for tests of what holds for all."""

import random

import pytest

from ebpftop import registry
from ebpftop.model import Cost, ProbeInfo, Row, Sample, Table, ViewKind
from ebpftop.views.ranges import Sum

SECOND = 1_000_000_000
INFOS = {name: probe.info for name, probe in registry.probes().items()}
# Few of each, so that samples have most keys in common and each has some of its own.
KEYS = {"slot": range(8, 20), "count": range(6), "id": range(1, 9)}


def rows(rng: random.Random, table: Table, number: int) -> list[Row]:
    """Rows with different keys; sometimes the last is that of the others."""
    made: dict[Row, Row] = {}
    for i in range(number):
        others = i == number - 1 and rng.random() < 0.5
        key, row = [], []
        for column in table.columns:
            if column.fold == "key":
                value = None if others else _key(rng, column)
                key.append(value)
            else:
                value = rng.choice((0, 1, rng.randrange(1000), rng.randrange(10**12)))
            row.append(value)
        made[tuple(key)] = tuple(row)
    return list(made.values())


def samples(info: ProbeInfo, number: int, seed: int = 1, first: int = 1) -> list[Sample]:
    """Samples of intervals that are not quite equal, with losses and costs."""
    rng = random.Random(f"{info.name} {seed}")
    return [
        Sample(
            info.name,
            seq,
            10**18 + seq * SECOND,
            seq * SECOND,
            SECOND + rng.randrange(-(10**7), 10**7),
            {table.name: rows(rng, table, rng.randrange(12)) for table in info.tables},
            {"full": rng.randrange(3), f"other {rng.randrange(2)}": 1},
            Cost(rng.randrange(9000), rng.randrange(10**6), rng.randrange(10**5)),
            {info.tables[0].name: rng.randrange(50)},
        )
        for seq in range(first, first + number)
    ]


def total(info: ProbeInfo, added):
    """The sum of some samples."""
    made = Sum(info)
    for sample in added:
        made.add(sample)
    return made.sample()


def two(info: ProbeInfo):
    """Two ranges of different length, with rows in common and rows of their own."""
    return total(info, samples(info, 9, seed=1)), total(info, samples(info, 17, seed=2, first=50))


def views(kind: ViewKind):
    """A test for every view of a kind, of every probe."""
    found = [
        pytest.param(info, view, id=f"{name}-{view.table}")
        for name, info in INFOS.items()
        for view in info.views
        if view.kind == kind
    ]
    return pytest.mark.parametrize(("info", "view"), found)


def _key(rng, column):
    if column.kind in KEYS:
        return rng.choice(KEYS[column.kind])
    if column.kind == "stack":
        return ";".join(rng.choice("abc") + rng.choice(("", "_[k]")) for _ in range(4))
    return rng.choice(("read", "write", "vda"))
