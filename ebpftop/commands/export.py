"""`ebpftop export`: a recording, or a stream, as files that other programs read."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any

from ebpftop.commands import fail, with_moments
from ebpftop.recording.export import SUFFIXES, TABULAR, Choice, ChoiceError, ExportError
from ebpftop.recording.segment import segments_of
from ebpftop.recording.tape import RecordingError
from ebpftop.stream import MAX_LINE_BYTES, StreamError
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ebpftop.model import Hello, Record
    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.tables import Sheet
    from ebpftop.recording.tape import Tape

EPILOG = """\
formats:
  csv         one file per table, with -o FOLDER; one table alone to standard output or FILE.csv
  jsonl       one object per row of every table
  parquet     one file per table, with -o FOLDER, or one table with -o FILE.parquet
  folded      `process;frame;frame weight` for flamegraph.pl, inferno and flamelens; nanoseconds
  speedscope  for https://www.speedscope.app
  svg         a flame graph; in a browser it can be zoomed and searched

Rows are those of the tables, one per key and interval, as measured: counters are of that interval,
not per second. In front of each stand wall_ns and time (UTC, end of the interval), dt_ns (its
length), host, and for processes comm, cmdline, user, unit, cgroup_path and start_ns. Rows without
keys hold, added up, what the collector left out. Each probe has one table more, `samples`: a row
per interval, with what was lost.

times: 10:02, 10:02:07, 2026-11-19 10:02:07 (also with Z or +01:00; else local time), 2026-11-19
(its beginning), -3m (before the end), +30s (after the start; for --to, after --from), 50%. Of a
time of day that comes more than once, the last counts for --from, and the next one for --to.

-o replaces the files that it names, as cp does; they appear when they are whole, and a failure
leaves the old ones. A data set of --partition has the folders probe=, table=, host= and date=
(UTC). Exporting a recording into it again, from the same start on, replaces its own files and no
others; spans that overlap are there twice.

Exit status: 0 good, 1 failed or nothing there, 2 bad usage.
"""


def main(arguments: list[str]) -> int:
    """Export; returns the exit status."""
    options = _parser().parse_args(with_moments(arguments, "--from", "--to"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _complete(options)
        return _export(options)
    except ChoiceError as error:
        return fail(fmt.clean(str(error)), status=2)
    except (ExportError, RecordingError, StreamError) as error:
        return fail(fmt.clean(str(error)))
    except BrokenPipeError:
        raise
    except OSError as error:
        where = options.output or "standard output"
        return fail(f"cannot write {fmt.clean(where)}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebpftop export",
        description="Writes a recording, or a stream, for other programs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="a recording; - is a stream on standard input")
    add("--format", choices=SUFFIXES, help="needed unless -o ends like one")
    add("--probe", action="extend", nargs="+", default=[], metavar="NAME", help="only these")
    add("--table", default="", metavar="NAME", help="only this table of each")
    add("--from", dest="first", default="", metavar="T", help="first moment; default: the start")
    add("--to", dest="last", default="", metavar="T", help="last moment; default: the end")
    add("-o", "--output", metavar="PATH", help="a file, or a folder; default: standard output")
    add("--partition", action="store_true", help="Parquet as a data set in folders, for a fleet")
    weight = "of stacks: the time asleep, the time waiting for a CPU, or both (default)"
    add("--weight", choices=("blocked", "waiting", "both"), default="", help=weight)
    add("--merge", action="store_true", help="of stacks: processes of the same name are one")
    awake = "of stacks: without threads that slept throughout, as in the flame view"
    add("--awake", action="store_true", help=awake)
    return parser


def _complete(options: argparse.Namespace) -> None:
    """Fill in the format, and refuse what does not go together."""
    if options.output == "-":
        options.output = None
    output, kind = options.output, options.format
    if kind is None:
        kind = next((f for f, suffix in SUFFIXES.items() if (output or "").endswith(suffix)), None)
        if kind is None:
            raise ChoiceError(f"which --format? There are {', '.join(SUFFIXES)}")
        options.format = kind
    if kind == "parquet" and output is None:
        raise ChoiceError("Parquet is files: name a folder, or FILE.parquet, with -o")
    if options.partition and (kind != "parquet" or output.endswith(SUFFIXES[kind])):
        raise ChoiceError("--partition is for --format parquet with -o FOLDER")
    if kind in TABULAR and (options.weight or options.merge or options.awake):
        raise ChoiceError("--weight, --merge and --awake are for folded, speedscope and svg")
    if options.file == "-" and (options.first or options.last):
        raise ChoiceError("--from and --to need a recording; a stream has no end to count from")
    for path in segments_of(options.file) if output else ():
        if os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):
            raise ChoiceError(f"{output} is the recording itself; name another file with -o")


def _export(options: argparse.Namespace) -> int:
    from ebpftop.recording.export.output import Output

    if options.format == "parquet":
        from ebpftop.recording.export import parquet

        parquet.arrow()
    choice = Choice(tuple(options.probe), options.table)
    source = _Source(options)
    try:
        choice.check(source.hello)
        with Output(live=options.file == "-") as output:
            export = _tables if options.format in TABULAR else _stacks
            problem = export(options, choice, source, output)
    finally:
        source.close()
    for note in source.notes:
        print(f"ebpftop: {fmt.clean(note)}", file=sys.stderr)
    problem = source.problem or problem
    return fail(fmt.clean(problem)) if problem else 0


class _Source:
    """Where the records come from.

    Attributes:
        hello: what the stream says of its probes.
        recorded: the probes with a pane that have samples, as far as that can be known.
        problem: what ended the stream before its time, in one line.
        notes: what is to be said of the export, where it succeeds.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        from ebpftop.model import Hello

        self.path = options.file
        self.span = options.first, options.last
        self.problem = ""
        self.notes: list[str] = []
        self._tape: Tape | None = None
        # Samples of other probes need not even be read.
        self._probes = frozenset(options.probe) or None
        records = _stream() if self.path == "-" else self._recorded()
        self._records = self._guarded(records)
        before: list[Record] = []
        for record in self._records:
            before.append(record)
            if isinstance(record, Hello):
                break
        else:
            where = "on standard input" if self.path == "-" else f"in {self.path}"
            raise ExportError(self.problem or f"there is nothing {where}")
        self.hello: Hello = record
        self.records: Iterator[Record] = chain(before, self._records)
        drawn = [info.name for info in self.hello.probes if info.views]
        loads = self._tape.overview.loads if self._tape else drawn
        self.recorded = [name for name in drawn if name in loads]

    def close(self) -> None:
        """Close the recording."""
        if self._tape is not None:
            self._tape.close()

    def _guarded(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records up to the first that cannot be read: what came before is worth having."""
        try:
            yield from records
        except (StreamError, RecordingError) as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"cannot read {self.path}: {error.strerror or error}"

    def _recorded(self) -> Iterator[Record]:
        from ebpftop.model import Tick
        from ebpftop.recording import when
        from ebpftop.recording.reader import Recording

        tape: Tape = Recording(self.path)
        self._tape = tape
        overview = tape.overview
        if not len(overview):
            raise RecordingError(f"there is nothing in {self.path}")
        ends = overview.wall_ns[0], overview.wall_ns[-1]
        try:
            first, last = when.span(*self.span, wall_ns_first=ends[0], wall_ns_last=ends[1])
        except ValueError as error:
            raise ChoiceError(str(error)) from None
        runs = when.ticks(overview, first, last)
        if not runs:
            raise ExportError(
                f"nothing was recorded from {when.local(first)} to {when.local(last)}; it goes from"
                f" {when.local(ends[0])} to {when.local(ends[1])}"
            )
        unread = sum(last - first + 1 for first, last in runs)
        for run in runs:
            for record in tape.records(*run, self._probes):
                unread -= isinstance(record, Tick)
                yield record
        if unread:
            self.notes.append(f"{unread} intervals could not be read: see `ebpftop repair`")


def _stream() -> Iterator[Record]:
    """The records on standard input: of a stream, or of `zstd -dc RECORDING`.

    An interrupt or a request to terminate ends it, so that what came until then is written.
    """
    from ebpftop.recording.pack import Unpacker

    def end(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, sys.stdin.fileno())
        os.close(null)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    unpacker = Unpacker()
    for line in iter(lambda: sys.stdin.buffer.readline(MAX_LINE_BYTES), b""):
        record = unpacker.record(line) if line.strip() else None
        if record is not None:
            yield record


def _tables(options: argparse.Namespace, choice: Choice, source: _Source, output: Output) -> str:
    """Write rows; returns what went wrong all the same."""
    from ebpftop.recording import when
    from ebpftop.recording.export import csvfile, jsonlines, parquet
    from ebpftop.recording.export.tables import Tables

    path, kind = options.output, options.format
    one = path is None or path.endswith(SUFFIXES[kind])
    one = one or (os.path.exists(path) and not os.path.isdir(path))
    if kind != "jsonl" and one:
        choice = choice.one(source.hello, source.recorded)
    tables = Tables(choice, parquet.microseconds if kind == "parquet" else when.utc)
    batches = tables.batches(source.records)
    first = next(batches, None)
    if first is None:
        raise ExportError(_nothing(choice.probes, source))
    batches = chain((first,), batches)

    def path_of(sheet: Sheet) -> str:
        return path if one else os.path.join(path, sheet.file_name + SUFFIXES[kind])

    if kind == "csv":
        csvfile.export(batches, output, path_of)
    elif kind == "jsonl":
        jsonlines.export(batches, output, path)
    else:
        parts = parquet.Partition(path).path
        misfits = parquet.export(
            batches,
            output,
            parts if options.partition else lambda batch: path_of(batch.sheet),
            options.partition,
        )
        if misfits:
            source.notes.append(
                f"{misfits} values are of another type than their column, and were left out"
            )
    source.notes += _losses(tables.lost)
    missing = [probe for probe in choice.probes if probe not in tables.samples]
    return _nothing(missing, source) if missing else ""


def _stacks(options: argparse.Namespace, choice: Choice, source: _Source, output: Output) -> str:
    """Write stacks, added up; returns what went wrong all the same."""
    from ebpftop.recording.export import folded, speedscope, svg
    from ebpftop.recording.export.stacks import Stacks, weight_of

    probe, table = choice.stacks(source.hello, source.recorded)
    weight = weight_of(table, options.weight)
    stacks = Stacks(probe, table, weight, merge=options.merge, awake=options.awake)
    stacks.add(source.records)
    if not stacks.samples:
        raise ExportError(_nothing((probe,), source))
    if not stacks.sums:
        who = f", except {stacks.sleepers} threads that slept" if stacks.sleepers else ""
        raise ExportError(f"the samples of {probe} hold no stacks in that time{who}")
    {"folded": folded, "speedscope": speedscope, "svg": svg}[options.format].export(
        stacks, output, options.output
    )
    source.notes += _losses({probe: stacks.lost} if stacks.lost else {})
    return ""


def _nothing(probes: Sequence[str], source: _Source) -> str:
    of = f" of {', '.join(probes)}" if probes else ""
    there = f"; there are those of {', '.join(source.recorded)}" if source.recorded else ""
    return source.problem or f"no samples{of} in that time{there}"


def _losses(lost: dict[str, int]) -> list[str]:
    counts = ", ".join(f"{probe} {number}" for probe, number in lost.items())
    said = f"lost while recording, and in no row: {counts}; the table `samples` says why"
    return [said] if lost else []
