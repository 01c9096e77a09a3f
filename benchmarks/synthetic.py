"""A recording that no machine made, of a known size: what file formats were chosen by.

Four tables of 350, 100, 300 and 200 rows of which 30 in 100 change from tick to tick, two
histograms of 64 slots, and 512 of 3,000 stacks of about 20 frames. Real samples change altogether.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ebpftop.model import Column, Hello, ProbeInfo, Row, Sample, Table, Tick, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.model import Record

SIZES = {"processes": 350, "connections": 100, "files": 300, "calls": 200}
CHANGED = 0.3
BORN = 0.01
SLOTS = 64
STACKS, FRAMES, DEPTH, SEEN = 3000, 2000, 20, 512
NS_PER_S = 1_000_000_000
KEYS = (Column("pid", "PID", "id", role="pid"), Column("name", "NAME", "label"))
FIGURES = tuple(Column(f"figure{n}", f"FIGURE {n}", "count", "sum") for n in range(4))
SLOT = (Column("slot", "SLOT", "slot"), Column("count", "COUNT", "count", "sum"))
STACK = (
    Column("stack", "STACK", "stack"),
    Column("count", "COUNT", "count", "sum"),
)
TABLES = (
    *(Table(name, (*KEYS, *FIGURES)) for name in SIZES),
    Table("reads", SLOT),
    Table("writes", SLOT),
    Table("stacks", STACK),
)
PROBE = ProbeInfo("synthetic", "Synthetic", "none", "", TABLES, (View("table", "processes", ""),))


def records(ticks: int) -> Iterator[Record]:
    """A stream of so many ticks; the same each time."""
    chance = random.Random(1)
    yield Hello("synthetic", "", "", 1, NS_PER_S, 0, 0, (PROBE,))
    rows = {name: [_row(chance) for _ in range(size)] for name, size in SIZES.items()}
    frames = [f"{chance.choice('abcdefgh')}_{chance.getrandbits(64):x}_fn" for _ in range(FRAMES)]
    stacks = [_stack(chance, frames) for _ in range(STACKS)]
    weights = [1 / (rank + 1) ** 0.8 for rank in range(STACKS)]
    for seq in range(1, ticks + 1):
        for table in rows.values():
            _change(table, chance)
        tables: dict[str, list[Row]] = {name: list(table) for name, table in rows.items()}
        for name in ("reads", "writes"):
            tables[name] = [(slot, int(chance.expovariate(1e-3))) for slot in range(SLOTS)]
        seen: dict[str, int] = {}
        while len(seen) < SEEN:
            for stack in chance.choices(stacks, weights, k=SEEN - len(seen)):
                seen[stack] = seen.get(stack, 0) + 1
        tables["stacks"] = list(seen.items())
        now_ns = seq * NS_PER_S
        yield Sample("synthetic", seq, now_ns, now_ns, NS_PER_S, tables)
        yield Tick(now_ns, now_ns, NS_PER_S)


def _row(chance: random.Random) -> Row:
    pid = chance.randrange(1, 1 << 16)
    return (pid, f"process-{pid % 97}", *_figures(chance))


def _figures(chance: random.Random) -> list[int]:
    return [int(chance.expovariate(10**-exponent)) for exponent in (1, 2, 4, 6)]


def _stack(chance: random.Random, frames: list[str]) -> str:
    """A root that many share, and a part of its own."""
    root = chance.randrange(20) * DEPTH
    depth = chance.randrange(DEPTH // 2, DEPTH * 3 // 2)
    own = depth // 2
    return ";".join(frames[root : root + depth - own] + chance.choices(frames, k=own))


def _change(table: list[Row], chance: random.Random) -> None:
    for at, row in enumerate(table):
        if chance.random() < BORN:
            table[at] = _row(chance)
        elif chance.random() < CHANGED:
            table[at] = (*row[:2], *_figures(chance))
