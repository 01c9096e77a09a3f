"""What a scope saves: every probe, whole and narrowed to one of 64 busy processes, in one run.

    sudo .venv/bin/python benchmarks/scope.py [--probe NAME …] [--seconds 2] [--repeats 3]

Runs scope.c, whose processes use all CPUs, under the collector with one probe at a time: all of
it, then one process, then the cgroup that this process is in. The kernel's run-time statistics
include the reading of the clock: an empty program on the same hooks tells how much that is, and
ratios are given as read and without it. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import mmap
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ebpftop import registry, stream  # noqa: E402
from ebpftop.collector import bpf, cgroups, hooks  # noqa: E402
from ebpftop.collector.btf import Btf  # noqa: E402
from ebpftop.model import Sample  # noqa: E402
from ebpftop.sources.interpreter import collector_python  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ebpftop.model import Row
    from ebpftop.probe import Probe

SOURCE = Path(__file__).with_suffix(".c")
PROCESSES = 64
PAGES = 64
INTERVAL_S = 0.5
LOOK_S = 0.005
EMPTY = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = 0; exit
WHOLE = "whole"
SCOPES = (WHOLE, "pid", "cgroup")
HEADINGS = (
    *("probe", "scope", "programs ms/s", "runs/s", "ns/run", "ratio", "net ratio"),
    *("collector ms/tick", "ratio above none", "reading ms/tick", "ratio"),
    *("rows", "rounds/s", "its figure a round"),
)
# What a round of scope.c shows of itself in each probe: its own row's column.
FIGURES: Mapping[str, tuple[str, Callable[[Row], float]]] = {
    "biotop": ("io", lambda row: row[4]),
    "cachestat": ("access", lambda row: row[2]),
    "offcputime": ("stacks", lambda row: row[6] if "nanosleep" in row[3] else 0),
    "runqlen": ("delays", lambda row: row[4]),
    "syscount": ("calls", lambda row: row[3] if row[2] == "getpriority" else 0),
    "tcptop": ("connections", lambda row: row[8]),
}


class Load:
    """The busy processes; `chosen` is one of them, alone in `cgroup`."""

    def __init__(self, folder: Path) -> None:
        program, file, counters = folder / "scope", folder / "file", folder / "counters"
        subprocess.run(["cc", "-O1", "-o", program, SOURCE], check=True)
        file.write_bytes(bytes(4096 * PAGES))
        counters.write_bytes(bytes(8 * PROCESSES))
        with counters.open("rb") as opened:
            self._rounds = mmap.mmap(opened.fileno(), 8 * PROCESSES, prot=mmap.PROT_READ)
        command = [str(program), str(PROCESSES), str(file), str(counters)]
        self._process = subprocess.Popen(command)
        while min(self.rounds()) == 0:
            time.sleep(0.05)
        self._looks: list[tuple[int, int]] = []
        threading.Thread(target=self._look, daemon=True).start()
        children = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        self.chosen = int(Path(children).read_text().split()[0])
        tree = cgroups.hierarchy()
        assert tree is not None
        self._home = cgroups.of(self.chosen, tree)
        self._folder = tree.mount / f"ebpftop-bench-{os.getpid()}"
        self._folder.mkdir()
        (self._folder / "cgroup.procs").write_text(str(self.chosen))
        self.cgroup = self._folder.stat().st_ino

    def rounds(self) -> tuple[int, ...]:
        """How many rounds each process has done; the chosen one is the first."""
        return struct.unpack(f"{PROCESSES}Q", self._rounds[:])

    def _look(self) -> None:
        while self._process.poll() is None:
            self._looks.append((time.monotonic_ns(), self.rounds()[0]))
            time.sleep(LOOK_S)

    def chosen_at(self, mono_ns: int) -> float:
        """How many rounds the chosen process had done at a time that is past."""
        while self._looks[-1][0] < mono_ns:
            time.sleep(LOOK_S)
        looks = list(self._looks)
        after = bisect.bisect_left(looks, (mono_ns, 0))
        (before_ns, before), (after_ns, rounds) = looks[after - 1 : after + 1]
        return before + (rounds - before) * (mono_ns - before_ns) / (after_ns - before_ns)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        while (self._folder / "cgroup.procs").read_text():
            time.sleep(0.01)
        self._folder.rmdir()


class Collector:
    """A collector with one probe, or none."""

    def __init__(self, *probes: str) -> None:
        options = ["--interval", str(INTERVAL_S), "--probe", *probes]
        self._process = subprocess.Popen(
            [collector_python(), "-m", "ebpftop.collector", *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.probe = probes[0] if probes else "host"

    def narrow(self, **scope: int) -> None:
        """Change the scope; returns with the first sample that has it behind it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"verb": "scope", **scope}).encode() + b"\n")
        self._process.stdin.flush()
        while self.next().scope != scope:
            pass

    def next(self) -> Sample:
        """The next sample of the probe."""
        assert self._process.stdout is not None
        for record in stream.records(self._process.stdout):
            if isinstance(record, Sample) and record.probe == self.probe:
                return record
        raise RuntimeError("the collector has ended")

    def cpu_ns(self) -> int:
        """CPU time of the collector and of the helpers it has started."""
        return sum(map(_cpu_ns, _family(self._process.pid)))

    def end(self) -> None:
        """Close its input, and wait."""
        self._process.communicate()


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _cpu_ns(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return 0


@dataclass
class Spell:
    """What was measured over a few ticks."""

    seconds: float
    ticks: int
    rounds: int
    events: int = 0
    run_ns: int = 0
    cpu_ns: int = 0
    read_ns: int = 0
    rows: int = 0
    figure: float = 0.0


def measure(load: Load, collector: Collector, ticks: int) -> Spell:
    """Of the next ticks; the figure is that of a round of the chosen process."""
    collector.next()
    cpu_ns, rounds, begin = collector.cpu_ns(), load.rounds(), time.monotonic()
    samples = [collector.next() for _ in range(ticks)]
    cpu_ns, after, seconds = collector.cpu_ns() - cpu_ns, load.rounds(), time.monotonic() - begin
    table, value = FIGURES.get(collector.probe, ("", None))
    begin_ns, end_ns = samples[0].mono_ns - samples[0].dt_ns, samples[-1].mono_ns
    mine = [row for s in samples for row in s.tables.get(table, ()) if row[0] == load.chosen]
    return Spell(
        seconds,
        ticks,
        sum(after) - sum(rounds),
        sum(sample.cost.events or 0 for sample in samples),
        sum(sample.cost.run_ns or 0 for sample in samples),
        cpu_ns,
        sum(sample.cost.read_ns for sample in samples),
        sum(len(rows) for sample in samples for rows in sample.tables.values()),
        sum(map(value, mine)) / (load.chosen_at(end_ns) - load.chosen_at(begin_ns)) if value else 0,
    )


def empty_ns(probe: Probe, kernel: Btf, seconds: float) -> float:
    """What the kernel says that an empty program takes on the hooks of a probe, per run."""
    targets = [h.target for h in hooks.plan(probe, kernel).hooks if h.kind == "raw_tracepoint"]
    programs = [bpf.load_program("empty", 17, EMPTY, "GPL", 0) for _ in targets]
    links = [bpf.open_raw_tracepoint(*pair) for pair in zip(targets, programs)]
    time.sleep(seconds)
    runs = [bpf.program_runs(fd) for fd in programs]
    for fd in (*links, *programs):
        os.close(fd)
    return sum(run.ns for run in runs) / max(1, sum(run.number for run in runs))


@dataclass
class Course:
    """All repeats of one probe; spells by scope."""

    without: list[Spell] = field(default_factory=list)
    empty_ns: list[float] = field(default_factory=list)
    spells: dict[str, list[Spell]] = field(default_factory=lambda: {scope: [] for scope in SCOPES})

    def lines(self, probe: str) -> Iterator[list[str]]:
        """The lines of the table."""
        idle = _median(self.without, lambda s: s.cpu_ns / s.ticks)
        empty = statistics.median(self.empty_ns)
        yield _line(probe, "no programs", collector=idle, rounds=_rounds(self.without))
        yield _line(probe, "empty programs", ns=empty)
        whole: list[float] = []
        for scope, spells in self.spells.items():
            run = _median(spells, lambda s: s.run_ns / s.events)
            cpu = _median(spells, lambda s: s.cpu_ns / s.ticks)
            read = _median(spells, lambda s: s.read_ns / s.ticks)
            costs = [run, run - empty, cpu - idle, read]
            whole = whole or costs
            yield _line(
                probe,
                scope,
                run=_median(spells, lambda s: s.run_ns / s.seconds),
                runs=_median(spells, lambda s: s.events / s.seconds),
                ns=run,
                collector=cpu,
                read=read,
                rows=_median(spells, lambda s: s.rows / s.ticks),
                rounds=_rounds(spells),
                figure=_median(spells, lambda s: s.figure),
                ratios=[cost / of for cost, of in zip(costs, whole)],
            )


def _median(spells: list[Spell], value: Callable[[Spell], float]) -> float:
    return statistics.median(map(value, spells))


def _rounds(spells: list[Spell]) -> float:
    return _median(spells, lambda s: s.rounds / s.seconds)


def _line(
    probe: str, scope: str, ratios: Sequence[float | None] = (None,) * 4, **figures: float
) -> list[str]:
    """One line, in the order of the headings; what is not given is left blank."""
    run, net, collector, read = ("" if r is None else f"{r:.3f}" for r in ratios)

    def text(name: str, scale: float = 1, form: str = ",.0f") -> str:
        return format(figures[name] / scale, form) if name in figures else ""

    return [
        *(probe, scope, text("run", 1e6, ".1f"), text("runs"), text("ns"), run, net),
        *(text("collector", 1e6, ".2f"), collector, text("read", 1e6, ".2f"), read),
        *(text("rows"), text("rounds"), text("figure", form=".2f")),
    ]


def course_of(probe: Probe, load: Load, kernel: Btf, seconds: float, repeats: int) -> Course:
    """Measure one probe: without programs, with empty ones, and then each scope by turns."""
    course, ticks = Course(), max(1, round(seconds / INTERVAL_S))
    collector = Collector()
    for _ in range(repeats):
        course.without.append(measure(load, collector, ticks))
        course.empty_ns.append(empty_ns(probe, kernel, seconds))
    collector.end()
    collector = Collector(probe.name)
    for _ in range(repeats):
        for scope, spells in course.spells.items():
            chosen = {"pid": load.chosen, "cgroup": load.cgroup}.get(scope)
            collector.narrow(**({scope: chosen} if chosen else {}))
            spells.append(measure(load, collector, ticks))
    collector.end()
    return course


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", nargs="*", default=list(FIGURES), choices=list(FIGURES))
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    kernel = Btf()
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + "---|" * len(HEADINGS))
    with tempfile.TemporaryDirectory(prefix="ebpftop-scope-", dir=Path.cwd()) as folder:
        load = Load(Path(folder))
        stats = bpf.enable_stats()
        try:
            for name in options.probe:
                probe = registry.probes()[name]
                course = course_of(probe, load, kernel, options.seconds, options.repeats)
                for row in course.lines(name):
                    print("| " + " | ".join(row) + " |", flush=True)
        finally:
            load.end()
            if stats is not None:
                os.close(stats)


if __name__ == "__main__":
    main()
