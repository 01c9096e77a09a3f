"""A recording of a day: how long it takes to open it and to go anywhere in it, and its memory.

    sudo .venv/bin/python benchmarks/seek.py [--hours 24] [--processes 100]
    .venv/bin/python benchmarks/seek.py --stream FILE.jsonl

Records `busy.py` for a minute, or takes a stream that was kept, and writes its ticks again and
again with clocks that go on, until the recording is as long as asked. What is measured runs in a
process of its own. A day of 100 processes is a file of 1 to 2 GB. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recording import capture  # noqa: E402
from benchmarks.tools import resident_mb  # noqa: E402
from ebpftop import stream  # noqa: E402
from ebpftop.model import Bye, Hello, Sample, Tick  # noqa: E402
from ebpftop.recording import container  # noqa: E402
from ebpftop.recording.reader import Recording  # noqa: E402
from ebpftop.recording.writer import Writer  # noqa: E402
from ebpftop.sources.player import FLAME_TICKS, Player  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ebpftop.model import Record

CAPTURE_S = 65
NS_PER_S = 1_000_000_000
SEEKS = 50
PLAYED = 600
PANES = ("biotop", "syscount", "offcputime")


def main() -> None:
    """Make the recording, measure, and delete it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--processes", type=int, default=100)
    parser.add_argument("--stream", type=Path, help="a kept stream of `ebpftop collect`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ebpftop-seek-", dir="/var/tmp") as folder:
        kept = options.stream or capture(Path(folder), CAPTURE_S, options.processes)
        path = Path(folder) / "day.ebt"
        began = time.monotonic()
        ticks = write(path, kept, int(options.hours * 3600))
        print(
            f"{ticks:,} ticks, {path.stat().st_size / 1e6:,.0f} MB,"
            f" written in {time.monotonic() - began:.0f} s"
        )
        print("| | |\n|---|--:|", flush=True)
        for measure in (opening, seeking, playing):
            alone(measure, path)
        cut_index(path)
        alone(opening, path, " without its index")


def write(path: Path, kept: Path, ticks: int) -> int:
    """Write a recording of so many ticks; returns their number."""
    with kept.open("rb") as lines:
        records = list(stream.records(lines))
    writer = Writer(str(path))
    for record in again_and_again(records):
        if writer.add(record) and writer.ticks >= ticks:
            break
    writer.close()
    return writer.ticks


def again_and_again(records: list[Record]) -> Iterator[Record]:
    """The records, and then their samples and ticks without end; clocks go on."""
    times = [record.mono_ns for record in records if isinstance(record, Tick)]
    round_ns = times[-1] - times[0] + NS_PER_S
    yield from (record for record in records if not isinstance(record, Bye))
    later_ns = 0
    while True:
        later_ns += round_ns
        for record in records:
            if isinstance(record, (Sample, Tick)):
                wall_ns, mono_ns = record.wall_ns + later_ns, record.mono_ns + later_ns
                yield replace(record, wall_ns=wall_ns, mono_ns=mono_ns)
            elif not isinstance(record, (Hello, Bye)):
                yield record


def alone(measure: Callable[[Path, str], None], path: Path, how: str = "") -> None:
    """Measure in a new process, so that nothing is in its memory yet."""
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(path, how))
    process.start()
    process.join()


def opening(path: Path, how: str) -> None:
    """From nothing to the first tick on the screen's side, and to the overview."""
    before_mb = resident_mb(multiprocessing.current_process().pid or 0)
    began = time.perf_counter()
    tape = Recording(str(path))
    opened = time.perf_counter()
    player = Player(tape)
    player.watch("biotop")
    player.seek(tape.overview.first)
    row(f"open{how}: overview of {len(tape.overview):,} ticks", ms(opened - began))
    row("first tick after that", ms(time.perf_counter() - opened))
    row("memory before that, and since", f"{before_mb:.0f}, {most_mb():.0f} MB")


def seeking(path: Path, how: str) -> None:
    """To random moments, and what the panes show of the time before, which comes after that."""
    tape = Recording(str(path))
    chance = random.Random(1)
    overview = tape.overview
    for pane in PANES:
        player = Player(tape)
        player.watch(pane)
        seeks, pasts = [], []
        for _ in range(SEEKS):
            tick = chance.randrange(overview.first, overview.end)
            began = time.perf_counter()
            player.seek(tick)
            found = time.perf_counter()
            exhaust(player.deepen(FLAME_TICKS))
            seeks.append(found - began)
            pasts.append(time.perf_counter() - found)
        row(f"seek, {pane}{how}: median", ms(statistics.median(seeks)))
        row("… longest of 50", ms(max(seeks)))
        row("… then the 32 s before: median", ms(statistics.median(pasts)))
    row("most memory", f"{most_mb():.0f} MB")


def playing(path: Path, how: str) -> None:
    """Ten minutes of it, from a place in its middle, with the history of a pane."""
    tape = Recording(str(path))
    player = Player(tape)
    player.watch("offcputime")
    player.seek((tape.overview.first + tape.overview.end) // 2)
    began = time.perf_counter()
    exhaust(player.deepen())
    row(f"ten minutes of history for charts{how}", ms(time.perf_counter() - began))
    costs = []
    for _ in range(PLAYED):
        began = time.perf_counter()
        player.step(1)
        costs.append(time.perf_counter() - began)
    row("a step on: median", ms(statistics.median(costs)))
    row("… longest of 600", ms(max(costs)))
    row("most memory", f"{most_mb():.0f} MB")


def exhaust(steps: Iterator[None]) -> None:
    """Take all steps."""
    for _ in steps:
        pass


def cut_index(path: Path) -> None:
    """Take the index away, as if the recorder had been killed."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size - container.TAIL.size)
        length, _ = container.TAIL.unpack(file.read())
        file.truncate(size - length)


def row(what: str, figure: str) -> None:
    """A line of the table."""
    print(f"| {what} | {figure} |", flush=True)


def ms(seconds: float) -> str:
    """Milliseconds."""
    return f"{seconds * 1e3:.1f} ms"


def most_mb() -> float:
    """The most memory that this process had; getrusage(2) would tell that of its parent, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system keeps no record of memory")


if __name__ == "__main__":
    main()
