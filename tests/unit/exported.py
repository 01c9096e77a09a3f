"""Recordings for the tests of exports: every probe, rows at random, and names that bite."""

from __future__ import annotations

import csv
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet

from ebpftop.model import Hello, Process, Record, Sample, Status, Tick
from ebpftop.recording.export.tables import type_of
from ebpftop.recording.writer import Writer
from tests.unit.made import INFOS, SECOND, samples

START_NS = 10**18  # 2001-09-09 01:46:40 UTC; the first tick is a second later
# Of the processes 1 to 8, which are those in the rows.
NAMES = (
    "postgres",
    "comma, quote\" and 'tick'",
    "two\nlines",
    "carriage\rreturn",
    '=HYPERLINK("http://x")',
    "\0\x1b[31m]]>\u202e",
    "]]></script><b>&",
    "semi;colon ünï",
)
# As file names that are no UTF-8 reach Python.
CMDLINE = "/srv/caf\udce9 --name \udcff\udcfe"


def hello(host="box", boot_id="boot", start_ns=START_NS) -> Hello:
    return Hello(host, "6.18", boot_id, 2, SECOND, start_ns, 0, tuple(INFOS.values()))


def people() -> list[Record]:
    return [
        Process(
            pid,
            pid * 10,
            name,
            1,
            1000,
            "alice",
            "/bin/x",
            CMDLINE if pid == 2 else f"/bin/x --number={pid}",
            pid,
            f"/system.slice/{pid}.service",
            f"{pid}.service",
        )
        for pid, name in enumerate(NAMES, 1)
    ]


def story(
    host="box", ticks=6, start_ns=START_NS, seed=1, probes=tuple(INFOS), boot_id="boot"
) -> list[Record]:
    """So many seconds of every probe."""
    made = {name: samples(INFOS[name], ticks, seed) for name in probes}
    told: list[Record] = [hello(host, boot_id, start_ns)]
    told += [Status(name, "running") for name in probes]
    told += people()
    for i in range(ticks):
        wall_ns, mono_ns = start_ns + (i + 1) * SECOND, (i + 1) * SECOND
        for name in probes:
            s = made[name][i]
            told.append(
                Sample(
                    name, s.seq, wall_ns, mono_ns, s.dt_ns, s.tables, s.lost, s.cost, s.truncated
                )
            )
        told.append(Tick(wall_ns, mono_ns, SECOND))
    return told


def record(path: Path | str, records) -> str:
    """A recording of some records."""
    writer = Writer(str(path))
    for each in records:
        writer.add(each)
    writer.close()
    return str(path)


def rows_of(records, probe, table) -> list[tuple[Any, ...]]:
    """The rows of a table as they were recorded."""
    return [
        row
        for each in records
        if isinstance(each, Sample) and each.probe == probe
        for row in each.tables.get(table, ())
    ]


def tables() -> list[tuple[str, str]]:
    """Every table of every probe."""
    return [(info.name, table.name) for info in INFOS.values() for table in info.tables]


def own(probe, table, rows) -> list[tuple[Any, ...]]:
    """The table's own columns of exported rows."""
    names = [column.name for column in INFOS[probe].table(table).columns]
    return [tuple(row[name] for name in names) for row in rows]


def read_csv(folder, probe, table) -> list[dict[str, Any]]:
    """Rows of a CSV file as any other program reads them, with values of the described types."""
    types = {c.name: type_of(c) for c in INFOS[probe].table(table).columns}
    types |= dict.fromkeys(("wall_ns", "dt_ns", "start_ns"), "int")
    read = {"int": int, "float": float, "text": str}
    path = Path(folder) / f"{probe}.{table}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {
                name: read[types.get(name, "text")](value) if value else None
                for name, value in row.items()
            }
            for row in csv.DictReader(file, strict=True)
        ]


def read_jsonl(path, probe, table) -> list[dict[str, Any]]:
    """Rows of one table out of JSON lines."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    rows = list(map(json.loads, lines))
    return [row for row in rows if (row["probe"], row["table"]) == (probe, table)]


def read_parquet(folder, probe, table) -> list[dict[str, Any]]:
    """Rows of a Parquet file."""
    read = pyarrow.parquet.read_table(Path(folder) / f"{probe}.{table}.parquet")
    rows: list[dict[str, Any]] = read.to_pylist()
    return rows


READERS = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet}


def by_wall(rows) -> dict[int, list[dict[str, Any]]]:
    """Rows by the time of their sample."""
    return {wall: list(of) for wall, of in groupby(rows, key=lambda row: row["wall_ns"])}
