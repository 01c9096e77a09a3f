"""Streams at random, recordings of them, and what is known of both, byte by byte."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebpftop import registry, stream
from ebpftop.model import (
    Bye,
    Column,
    Cost,
    Hello,
    Process,
    Record,
    Row,
    Sample,
    Status,
    Table,
    Tick,
)
from ebpftop.recording.reader import Recording
from ebpftop.recording.writer import Writer

SECOND = 1_000_000_000
WALL_NS = 1_790_000_000 * SECOND
INFOS = tuple(probe.info for probe in registry.probes().values())
(OFFCPUTIME,) = (info for info in INFOS if info.name == "offcputime")
HOSTILE = (
    "",
    "a\nb",
    '"}\n{"t":"tick"',
    ',"crc":1}',
    '{"t":"tick","wall_ns":1}',
    '{"t":"end","crc":0}\n',
    '{"t":"chunk","id":"x","number":0}',
    "\\",
    "\\n",
    "\0\x1b[31m\x7f",
    "ünï\u202e\U0001f600",
    "\u2028\u2029",
    "\ud800 half a pair",
    ";;",
    "swapper/0",
    "null",
)
NUMBERS = (0, 1, -1, 7, 4096, 10**9, 2**53 + 1, 2**63, 2**64, 10**30)


def hello(boot_id="boot", host="box", machine="x86_64", probes=INFOS) -> Hello:
    return Hello(host, "6.18.0", boot_id, 2, SECOND, WALL_NS, 0, probes, machine)


def tick(number: int) -> Tick:
    return Tick(WALL_NS + number * SECOND, number * SECOND, SECOND)


def process(rng: random.Random, pid: int) -> Process:
    name = rng.choice(HOSTILE)
    return Process(pid, rng.randrange(2**40), name, 1, 0, "root", "/" + name, name * 3, 5, "/a")


def small_stream(ticks: int, seed: int = 1) -> Iterator[Record]:
    """Of two probes, a few bytes a tick."""
    rng = random.Random(seed)
    yield hello(f"boot {seed}", probes=(OFFCPUTIME,))
    yield Status("biotop", "running", ("raw_tp:x",))
    for pid in range(1, 9):
        yield process(rng, pid)
    for number in range(1, ticks + 1):
        yield from small_round(number, rng)


def small_round(number: int, rng: random.Random) -> Iterator[Record]:
    """What is said in one tick."""
    stacks = [";".join(rng.choices(("main", "read", "x_[k]"), k=3)) for _ in range(2)]
    others = (None, None, None, None, 3, 9, 1, 1, 1)
    rows = [(rng.randrange(1, 9), 5, "vda", "read", number, 4096, 5, 6, 7), others]
    (table, *_) = OFFCPUTIME.tables
    blocked = [
        tuple(stack if column.kind == "stack" else rng.randrange(9) for column in table.columns)
        for stack in stacks
    ]
    if rng.random() < 0.2:
        yield process(rng, rng.randrange(1, 9))
    yield sample("biotop", number, {"io": rows, "latency": []})
    yield sample("offcputime", number, {table.name: blocked})
    yield tick(number)


def sample(probe: str, number: int, tables: dict[str, list[Row]], **more: Any) -> Sample:
    wall_ns, mono_ns = WALL_NS + number * SECOND, number * SECOND
    return Sample(probe, number, wall_ns, mono_ns, SECOND, tables, **more)


def wild_stream(seed: int, ticks: int) -> Iterator[Record]:
    """Whatever the records of a stream can hold, of every probe, and what no probe says."""
    rng = random.Random(seed)
    yield hello(host=rng.choice(HOSTILE))
    for number in range(1, ticks + 1):
        if rng.random() < 0.1:
            yield Status(rng.choice(INFOS).name, "failed", ("a", "b"), *rng.choices(HOSTILE, k=3))
        if rng.random() < 0.03:
            yield hello(boot_id=rng.choice(("boot", "another")))
        for pid in rng.sample(range(40), rng.randrange(4)):
            yield process(rng, pid)
        for info in rng.sample(INFOS, rng.randrange(len(INFOS) + 1)):
            tables = {table.name: rows(rng, table) for table in info.tables if rng.random() < 0.9}
            if rng.random() < 0.1:
                tables["undescribed"] = [(1, "x", [2, None]), ()]
            lost = {rng.choice(HOSTILE): rng.choice(NUMBERS)} if rng.random() < 0.3 else {}
            cost = Cost(None, rng.choice(NUMBERS), 3)
            yield sample(info.name, number, tables, lost=lost, cost=cost, truncated={"io": 3})
        if rng.random() < 0.1:
            yield sample(f"unheard of {number}", number, {"t": [(1,), (2,)], "empty": []})
        yield tick(number)
    yield Bye("the end")


def rows(rng: random.Random, table: Table) -> list[Row]:
    """Rows of a table; sometimes none is as it was described, or only some are."""
    made = [tuple(_value(rng, column) for column in table.columns) for _ in range(rng.randrange(6))]
    if made and rng.random() < 0.2:
        made.append((None,) * len(table.columns))
    if made and rng.random() < 0.1:
        made.insert(rng.randrange(len(made)), made[0][: rng.randrange(len(made[0]))])
    if made and rng.random() < 0.1:
        made[0] = (*made[0], "one too many")
    return made


def _value(rng: random.Random, column: Column) -> Any:
    if rng.random() < 0.05:
        return rng.choice((None, True, "text", 1.5, 2**70, [1, "x"]))
    if column.kind in ("label", "stack"):
        return ";".join(rng.choices(HOSTILE, k=rng.randrange(1, 4)))
    if column.kind == "ratio":
        return rng.random()
    if column.role == "pid":
        return rng.randrange(40)
    return rng.choice(NUMBERS)


def line(record: Record) -> str:
    """A record, so that it can be compared."""
    return stream.encode(record)


def lines(records: Iterable[Record]) -> list[str]:
    return list(map(line, records))


def read(path: str | Path) -> list[str]:
    """All records of a recording."""
    tape = Recording(str(path))
    try:
        return lines(tape.records(0, tape.overview.end))
    finally:
        tape.close()


@dataclass
class Chunk:
    """A chunk as it was written: its bytes, and the lines of the samples of each of its ticks."""

    offset: int
    data: bytes
    ticks: list[list[str]]


@dataclass
class Written:
    """A recording, and all that is in it."""

    data: bytes
    lines: set[str]
    chunks: list[Chunk] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[Record], path: Path) -> Written:
        """Record a stream at a path that is free."""
        told, writer = list(records), Writer(str(path))
        for record in told:
            writer.add(record)
        writer.close()
        written = cls(path.read_bytes(), set(lines(told)))
        tape = Recording(str(path))
        for chunk in tape.chunks:
            said = tape.records(chunk.first, chunk.first + chunk.ticks - 1)
            data = written.data[chunk.offset : chunk.end]
            written.chunks.append(Chunk(chunk.offset, data, list(rounds(said))))
        tape.close()
        return written


def rounds(records: Iterable[Record]) -> Iterator[list[str]]:
    """The samples of each tick, and the tick, as lines."""
    said: list[str] = []
    for record in records:
        if isinstance(record, (Sample, Tick)):
            said.append(line(record))
        if isinstance(record, Tick):
            yield said
            said = []


def repeated(found: Iterable[str]) -> list[str]:
    """What is there more than once."""
    return [each for each, number in Counter(found).items() if number > 1]
