"""`ebpftop cut`: an excerpt of a recording, as a recording of its own."""

from __future__ import annotations

import argparse
import os
import textwrap
from typing import TYPE_CHECKING

from ebpftop.commands import UsageError, fail, with_moments
from ebpftop.commands.reading import with_recording
from ebpftop.recording import when
from ebpftop.recording.anonymise import WHAT_IT_DOES, Anonymiser
from ebpftop.recording.cut import Excerpt, write
from ebpftop.recording.tape import RecordingError
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from ebpftop.recording.reader import Recording

DESCRIPTION = "Writes an excerpt of a recording, as a recording of its own."
EPILOG = f"""\
The excerpt tells of nobody but the processes that are in its rows. Its owner alone can read it
(mode 0600), and it appears when it is whole.

times (as in `ebpftop export`):
{textwrap.fill(when.FORMS, 98)};
-3m is before the end, +30s after the start, or for --to after --from.

--anonymise:
{textwrap.fill(WHAT_IT_DOES, 98)}

examples:
  ebpftop cut box.ebt --from 10:02 --to +5m -o incident.ebt
  ebpftop cut box.ebt --from -10m --probe biotop offcputime --anonymise -o to-share.ebt"""


def main(arguments: list[str]) -> int:
    """Write the excerpt and say what is in it; returns the exit status."""
    options = _parser().parse_args(with_moments(arguments, "--from", "--to"))
    return with_recording(options.file, lambda recording: _cut(recording, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebpftop cut",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="a recording")
    add("--from", dest="first", default="", metavar="T", help="first moment (the start)")
    add("--to", dest="last", default="", metavar="T", help="last moment (the end)")
    add("-o", "--output", required=True, metavar="OUT", help="where to write the excerpt")
    probes = "only these, and the host's figures"
    add("--probe", action="extend", nargs="+", default=[], metavar="NAME", help=probes)
    add("--anonymise", action="store_true", help="replace names, addresses and paths; see below")
    add("--force", action="store_true", help="replace OUT where it is there already")
    return parser


def _cut(recording: Recording, options: argparse.Namespace) -> None:
    runs = _runs(recording, options)
    try:
        records = Excerpt(recording, options.probe).records(runs)
    except ValueError as error:
        raise UsageError(str(error)) from None
    files = [segment.path for segment in recording.segments]
    changed = map(Anonymiser(), records) if options.anonymise else records
    ticks = write(options.output, changed, files, options.force)
    wanted = sum(last - first + 1 for first, last in runs)
    if ticks < wanted:
        fail(f"{wanted - ticks} of {wanted} intervals could not be read: see `ebpftop repair`")
    first_ns, last_ns = recording.overview.wall(runs[0][0]), recording.overview.wall(runs[-1][1])
    print(
        f"{options.output}: {when.local(first_ns)} to {when.local(last_ns)}, {ticks} intervals,"
        f" {fmt.bytes_(os.stat(options.output).st_size)}"
    )


def _runs(recording: Recording, options: argparse.Namespace) -> list[tuple[int, int]]:
    """The ticks that are asked for, as runs from a first to a last; never none."""
    overview = recording.overview
    if not len(overview):
        raise RecordingError(f"there is nothing in {options.file}")
    start_ns, end_ns = overview.wall_ns[0], overview.wall_ns[-1]
    try:
        first_ns, last_ns = when.span(
            options.first, options.last, wall_ns_first=start_ns, wall_ns_last=end_ns
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    runs = when.ticks(overview, first_ns, last_ns)
    if not runs:
        raise RecordingError(
            f"nothing was recorded from {when.local(first_ns)} to {when.local(last_ns)}; it goes"
            f" from {when.local(start_ns)} to {when.local(end_ns)}"
        )
    return runs
