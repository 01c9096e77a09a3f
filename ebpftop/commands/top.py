"""`ebpftop top`: one pane as plain text, for scripts and pipes."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from typing import TYPE_CHECKING

from ebpftop.commands import UsageError, fail, with_moments
from ebpftop.model import Hello, Sample, Status, Tick
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.when import local
from ebpftop.sources.base import SourceError
from ebpftop.stream import MAX_LINE_BYTES, StreamError
from ebpftop.views import format as fmt
from ebpftop.views.fields import Fields
from ebpftop.views.filter import compile_filter
from ebpftop.views.plain import Lines, Plan, bars, raw
from ebpftop.views.quality import quality
from ebpftop.views.state import ViewState
from ebpftop.views.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.model import ProbeInfo, Record
    from ebpftop.recording.overview import Overview
    from ebpftop.views.table import TableView

ROWS = 20
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 3600.0
DESCRIPTION = (
    "One pane as plain text, for scripts and pipes: live, or from a recording or a stream."
)
EPILOG = """\
Each sample begins with a line that says when it ended, how long it took, how many rows there are
and what was lost. Figures are those of the screen: counts per second, times as they are.

With --json each sample is one object on a line, with the values as they were recorded: counts and
bytes of the interval (dt_ns is its length), times in nanoseconds, shares from 0 to 1. `rows` holds
the rows, `others` what the collector added up of the rest (of `folded` rows), `lost` what is
missing, and `available` how many rows there were before --filter and --rows.

--filter takes words and /patterns/ that are looked for in the names of a row, and comparisons of
its columns, joined by and, or, not and parentheses. The operators are = != < <= > >=, ~ and !~
(patterns), and in (a list, a range, a network, a cgroup and all below it). A column goes by its
name, with or without its unit, or by its title. Figures are meant as they are printed: counts and
bytes per second, averages, shares; 1MB is 1024 kB, times have units (10ms), shares a % (5%).
Where there are processes, rows also have comm, cmdline, user, uid, ppid, exe, unit, cgroup,
container, runtime and pod.

examples:
  sudo ebpftop top biotop -n 3 --sort avg_ns
  ebpftop top tcptop FILE --at 10:02 --filter 'nginx raddr in 10.0.0.0/8'
  sudo ebpftop top biotop --by container
  sudo ebpftop top biotop --filter 'lat > 10ms and not op = flush'
  ssh box sudo ebpftop collect --probe biotop | ebpftop top biotop - --table latency
  sudo ebpftop top syscount -n 1 --json | jq -c '.rows[] | select(.errors > 0)'"""


class _ProbeError(Exception):
    """The probe gives no samples; one line for the user."""


def main(arguments: list[str]) -> int:
    """Print samples until there are enough; returns the exit status."""
    parser = _parser()
    options = parser.parse_intermixed_args(with_moments(arguments, "--at"))
    wrong = _wrong(options)
    if wrong:
        parser.error(wrong)
    # Names may hold any character, where the output may know ASCII only.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        if options.file is None:
            _print_live(options)
        elif options.file == "-":
            _print_stream(options)
        else:
            _print_recording(options)
    except UsageError as error:
        return fail(str(error), status=2)
    except (_ProbeError, SourceError, RecordingError, StreamError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebpftop top",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="the probe; `ebpftop probes` lists them")
    add("file", metavar="FILE", nargs="?", help="a recording, or - for a stream; live without one")
    add("-i", "--interval", type=float, metavar="S", help="live: seconds between samples (1)")
    add("-n", "--count", type=int, metavar="N", help="end after so many samples (with --at: 1)")
    add(
        "--at", metavar="T", help="recordings: where to begin, as 10:02, -3m, 50%% or date and time"
    )
    add("--table", default="", metavar="NAME", help="another table of the pane than the first")
    add("--sort", default="", metavar="COL", help="order by a column: largest, or A, first")
    add("--by", default="", metavar="WHAT", help="group: process, command, container, user, disk …")
    add("--reverse", action="store_true", help="smallest, or Z, first")
    add(
        "--filter",
        default="",
        metavar="EXPR",
        help="words, a /pattern/, or comparisons, as `/` on the screen: 'bytes > 1MB and comm ~ x'",
    )
    add("--rows", type=int, metavar="N", help=f"at most so many; 0: all ({ROWS}; with --json all)")
    add("--json", action="store_true", help="for programs: values as they were recorded")
    return parser


def _wrong(options: argparse.Namespace) -> str:
    """What is wrong with the options; empty where nothing is."""
    if options.interval is not None and options.file is not None:
        return "--interval is for live samples: those of a recording or a stream are made"
    interval_s = 1.0 if options.interval is None else options.interval
    if not MIN_INTERVAL_S <= interval_s <= MAX_INTERVAL_S:
        return "an interval is from 0.1 to 3600 seconds"
    if options.at is not None and options.file in (None, "-"):
        return "--at is for recordings"
    if options.count is not None and options.count < 1:
        return "--count is 1 or more"
    if options.rows is not None and options.rows < 0:
        return "--rows is 0 or more"
    return ""


def _print_live(options: argparse.Namespace) -> None:
    """Print the samples of a collector of our own."""
    import asyncio

    from ebpftop.registry import probes
    from ebpftop.sources.live import LiveSource

    printer = Printer(options)
    printer.learn([probe.info for probe in probes().values()])
    source = LiveSource(options.interval or 1.0, (options.name,))

    async def follow() -> None:
        async for record in source.records():
            _must_run(record, options.name)
            if printer.add(record):
                return

    try:
        asyncio.run(follow())
    finally:
        source.close()


def _print_stream(options: argparse.Namespace) -> None:
    """Print the samples of a stream on standard input; `zstd -dc RECORDING` is one, too."""
    from ebpftop.recording.pack import Unpacker

    printer = Printer(options)
    unpacker = Unpacker()
    for line in iter(lambda: sys.stdin.buffer.readline(MAX_LINE_BYTES), b""):
        record = unpacker.record(line) if line.strip() else None
        _must_run(record, options.name)
        if record is not None and printer.add(record):
            return
    printer.must_have_printed("the stream")


def _print_recording(options: argparse.Namespace) -> None:
    """Print the samples of a recording, from a moment on or all."""
    from ebpftop.recording.reader import Recording

    if options.at is not None:
        options.count = options.count or 1
    printer = Printer(options)
    with contextlib.closing(Recording(options.file)) as recording:
        overview = recording.overview
        from_start = options.at is None or not len(overview)
        first = overview.first if from_start else _tick_at(overview, options.at)
        for record in recording.records(first, overview.end - 1, {options.name}):
            if printer.add(record):
                return
    printer.must_have_printed(options.file)


def _tick_at(overview: Overview, text: str) -> int:
    """The tick of a moment; raises UsageError for what is none."""
    from ebpftop.recording import when

    first_ns, last_ns = overview.wall(overview.first), overview.wall(overview.end - 1)
    try:
        wall_ns = when.parse(
            text, wall_ns_first=first_ns, wall_ns_last=last_ns, relative_to_ns=last_ns
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    return overview.at(wall_ns)


def _must_run(status: Record | None, name: str) -> None:
    """Raises _ProbeError for the news that the probe does not run."""
    if not isinstance(status, Status) or status.probe != name:
        return
    if status.state in ("failed", "unavailable"):
        said = "; ".join(filter(None, (status.reason, status.hint)))
        raise _ProbeError(f"{name} {status.state}: {fmt.clean(said)}")


class Printer:
    """Prints the samples of one probe as they come.

    Attributes:
        samples: how many were printed.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.samples = 0
        self._options = options
        self._state = ViewState(options.sort, options.reverse, options.filter)
        self._limit = options.rows if options.rows is not None else 0 if options.json else ROWS
        self._store = Store()
        self._plan: Plan | None = None
        self._lines = Lines()
        self._interval_ns = 0

    def add(self, record: Record) -> bool:
        """Take in a record; returns whether there were samples enough."""
        if isinstance(record, Tick):
            self._interval_ns = record.interval_ns
            return False
        self._store.add(record)
        if isinstance(record, Hello):
            self._interval_ns = record.interval_ns
            self.learn(record.probes)
        elif isinstance(record, Sample) and record.probe == self._options.name and self._plan:
            self._print(record, self._plan)
            self.samples += 1
        enough: bool = self.samples == self._options.count
        return enough

    def learn(self, probes: Iterable[ProbeInfo]) -> None:
        """Learn of the probes; raises UsageError where they have not what is asked for."""
        options = self._options
        known = {probe.name: probe for probe in probes if probe.views}
        if options.name not in known:
            raise UsageError(f"no probe named {options.name}; there are {', '.join(known)}")
        try:
            self._plan = Plan.of(known[options.name], options.table, self._state, options.by)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if self._plan.axes and options.sort and not options.json:
            raise UsageError(f"{self._plan.table} is a histogram: only --json can sort its rows")
        asked = compile_filter(options.filter, Fields(self._plan.shape))
        if asked and asked.error:
            where = f"at character {asked.position + 1}"
            raise UsageError(f"--filter {options.filter!r}: {where}: {asked.error}")

    def must_have_printed(self, source: str) -> None:
        """Raises _ProbeError where there was no sample, with what the stream says of it."""
        if not self.samples:
            _must_run(self._store.statuses.get(self._options.name), self._options.name)
            raise _ProbeError(f"{source} has no samples of {self._options.name} there")

    def _print(self, sample: Sample, plan: Plan) -> None:
        view = plan.view(self._store)
        if self._options.json:
            print(self._object(sample, plan, view), flush=True)
            return
        lines = [self._heading(sample, plan, view)]
        lines += bars(plan, sample, view) if plan.axes else self._lines.of(view, self._limit)
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            lines = [fmt.cut(line, width) for line in lines]
        print(*lines, "", sep="\n", flush=True)

    def _heading(self, sample: Sample, plan: Plan, view: TableView) -> str:
        status = self._store.statuses.get(sample.probe)
        warnings = [
            part.text
            for part in quality(status, sample, self._interval_ns)
            if part.level == "warning"
        ]
        parts = [plan.shape.view.title, fmt.ns(sample.dt_ns)]
        if not plan.axes:
            parts.append(_rows(min(len(view.rows), self._limit or len(view.rows)), view.available))
        return f"{local(sample.wall_ns)}  {sample.probe}  {', '.join([*parts, *warnings])}"

    def _object(self, sample: Sample, plan: Plan, view: TableView) -> str:
        cgroups = self._store.cgroups
        rows = view.rows[: self._limit] if self._limit else view.rows
        fields = {
            "wall_ns": sample.wall_ns,
            "dt_ns": sample.dt_ns,
            "probe": sample.probe,
            "table": plan.table,
            "rows": [raw(view, row, cgroups) for row in rows],
            "available": view.available,
            "others": None if view.others is None else raw(view, view.others, cgroups),
            "folded": view.folded,
            "lost": sample.lost,
        }
        return json.dumps(fields, separators=(",", ":"))


def _rows(shown: int, available: int) -> str:
    rows = f"{available} row" if available == 1 else f"{available} rows"
    return rows if shown == available else f"{shown} of {rows}"
