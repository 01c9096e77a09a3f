"""What a recording takes: bytes and CPU time a tick, of each table, and beside other recorders.

    sudo .venv/bin/python benchmarks/recording.py [--seconds 130] [--processes 300]
    .venv/bin/python benchmarks/recording.py --stream FILE.jsonl

Runs `busy.py` under the collector with all probes, and atop after it where that is installed; or
takes a stream that was kept. Sizes are of whole chunks. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import synthetic  # noqa: E402
from benchmarks.busy import busy  # noqa: E402
from ebpftop import stream  # noqa: E402
from ebpftop.model import Hello, Sample, Tick  # noqa: E402
from ebpftop.recording.container import LEVEL, TICKS  # noqa: E402
from ebpftop.recording.writer import Writer  # noqa: E402
from ebpftop.sources.base import expect_many_rows  # noqa: E402
from ebpftop.sources.interpreter import collector_python  # noqa: E402

if TYPE_CHECKING:
    from ebpftop.model import Record

LEVELS = (1, 3, 6, 9)
SETTLE_S, ATOP_S = 3, 30
TICKS_AN_HOUR = 3600
HEADINGS = ("rows a tick", "kB a tick", "MB an hour", "CPU ms a tick: median", "mean", "p99")
# What they say of themselves; no figure in bytes is published of either.
PUBLISHED = """\
below (facebookincubator, src/main.rs): about a tenth with --compress, 1/20 to 1/30 in chunks of 16
atop (rawlog.h): no figure; a sample is 1.4 MB + 992 B a task + 432 B a cgroup, before zlib"""


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=130)
    parser.add_argument("--processes", type=int, default=300)
    parser.add_argument("--stream", type=Path, help="a kept stream of `ebpftop collect`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ebpftop-recording-", dir="/var/tmp") as name:
        folder = Path(name)
        kept = options.stream or capture(folder, options.seconds, options.processes, ATOP_S)
        with kept.open("rb") as lines:
            real = list(stream.records(lines))
        print_row("", *HEADINGS)
        print_row("---", *["--:"] * len(HEADINGS))
        expect_many_rows()  # as `ebpftop record` does
        for level in LEVELS:
            print_row(f"zstd {level}", *figures(real, folder, level))
        made = list(synthetic.records(5 * TICKS))
        print_row(f"made up, zstd {LEVEL}", *figures(made, folder, LEVEL))
        atop = folder / "atop.raw"
        if atop.exists():
            size = atop.stat().st_size / ATOP_S
            print_row("atop -w, same load", "", *sizes(size), "", "", "")
        print(f"\n{PUBLISHED}\n")
        print_tables(real, folder)


def capture(folder: Path, seconds: int, processes: int, atop_s: int = 0) -> Path:
    """A stream of the real collector under the load; atop comes after it, so as not to be in it."""
    kept, atop = folder / "stream.jsonl", shutil.which("atop")
    with busy(2 * SETTLE_S + seconds + atop_s, processes):
        time.sleep(SETTLE_S)
        command = [collector_python(), "-m", "ebpftop.collector", "--count", str(seconds)]
        with kept.open("wb") as out:
            subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, check=True)
        if atop and atop_s:
            subprocess.run([atop, "-w", folder / "atop.raw", "1", str(atop_s)], check=True)
    return kept


def figures(records: list[Record], folder: Path, level: int) -> list[str]:
    """What it takes to write them."""
    size, costs = written(records, folder, level)
    rows = sum(len(rows) for r in records if isinstance(r, Sample) for rows in r.tables.values())
    ticks = sum(isinstance(record, Tick) for record in records)
    p99 = sorted(costs)[len(costs) * 99 // 100]
    cpu = (statistics.median(costs), statistics.mean(costs), p99)
    return [f"{rows / ticks:,.0f}", *sizes(size), *(f"{cost:.2f}" for cost in cpu)]


def written(records: list[Record], folder: Path, level: int) -> tuple[float, list[float]]:
    """Bytes a tick, over whole chunks if there are any, and CPU time of each tick in ms."""
    path = folder / "measured.ebt"
    path.unlink(missing_ok=True)
    writer = Writer(str(path), level=level)
    costs: list[float] = []
    spent, whole = 0.0, (0, 0)
    for record in records:
        before = time.process_time()
        ended = writer.add(record)
        spent += time.process_time() - before
        if ended:
            costs.append(spent * 1e3)
            spent = 0.0
            if writer.ticks % TICKS == 0:
                whole = writer.bytes, writer.ticks
    size, ticks = whole if whole[1] else (writer.bytes, writer.ticks)
    writer.close()
    return size / ticks, costs


def print_tables(records: list[Record], folder: Path) -> None:
    """How many bytes a recording is smaller without this table or that."""
    hello = next(record for record in records if isinstance(record, Hello))
    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        if isinstance(record, Sample):
            counts.update({(record.probe, name): len(rows) for name, rows in record.tables.items()})
    ticks = sum(isinstance(record, Tick) for record in records)
    whole, _ = written(records, folder, LEVEL)
    print_row("table", "rows a tick", "bytes a tick", "bytes a row")
    print_row("---", "--:", "--:", "--:")
    for probe in hello.probes:
        for table in probe.tables:
            rows = counts[probe.name, table.name] / ticks
            if rows:
                less = [without(record, probe.name, table.name) for record in records]
                size = whole - written(less, folder, LEVEL)[0]
                cells = (f"{rows:,.0f}", f"{size:,.0f}", f"{size / rows:.1f}")
                print_row(f"{probe.name}.{table.name}", *cells)


def without(record: Record, probe: str, table: str) -> Record:
    """The record with that table empty."""
    if not isinstance(record, Sample) or record.probe != probe:
        return record
    return replace(record, tables={**record.tables, table: []})


def sizes(tick_bytes: float) -> tuple[str, str]:
    """As kB a tick and MB an hour."""
    return f"{tick_bytes / 1e3:.1f}", f"{tick_bytes * TICKS_AN_HOUR / 1e6:.1f}"


def print_row(*cells: str) -> None:
    """A row of a table."""
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
