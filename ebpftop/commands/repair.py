"""`ebpftop repair`: what is lost of a damaged recording, and a clean copy of the rest."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ebpftop.commands.reading import with_recording
from ebpftop.recording import when
from ebpftop.recording.cut import Excerpt, write
from ebpftop.recording.repair import losses
from ebpftop.recording.tape import RecordingError
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.recording.reader import Recording
    from ebpftop.recording.repair import Loss
    from ebpftop.recording.segment import Segment

SUFFIX = ".repaired"
DESCRIPTION = (
    "Says what is lost of a damaged recording, and writes a clean copy of the rest. Reading it"
    " needs no repair: view, export, cut and top take what there is. A copy has its index again,"
    " so it opens at once, and is one file where the recording was several."
)
EPILOG = """\
The recording itself is never touched. The copy can be read by its owner alone (mode 0600), and
appears when it is whole. Exit status: 0 if nothing is damaged or something was saved, 1 if nothing
can be read, 2 bad usage.

example:
  ebpftop repair box.ebt && ebpftop view box.ebt.repaired"""


def main(arguments: list[str]) -> int:
    """Say what is lost and write the copy; returns the exit status."""
    options = _parser().parse_args(arguments)
    return with_recording(options.file, lambda recording: _repair(recording, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebpftop repair",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="a recording")
    add("-o", "--output", default="", metavar="OUT", help=f"the copy (FILE{SUFFIX})")
    add("--force", action="store_true", help="replace OUT where it is there already")
    return parser


def _repair(recording: Recording, options: argparse.Namespace) -> None:
    if recording.growing:
        raise RecordingError(
            f"{options.file} is still being recorded; to copy what is there: `ebpftop cut`"
        )
    found = losses(recording)
    headless = [segment.path for segment in recording.segments if segment.header is None]
    unfinished = [segment for segment in recording.segments if not segment.indexed]
    overview = recording.overview
    readable = len(overview) - sum(loss.ticks or 0 for loss in found if loss.exact)
    if not readable:
        raise RecordingError(f"nothing in {options.file} can be read")
    print(f"{options.file}: {_extent(recording)}, {readable} intervals can be read")
    for line in _report(found, headless, unfinished):
        print(f"  {line}")
    if not (found or headless or unfinished):
        print("  nothing is damaged")
        if not options.output:
            return
    output = options.output or options.file + SUFFIX
    files = [segment.path for segment in recording.segments]
    whole = [(overview.first, overview.end - 1)]
    ticks = write(output, Excerpt(recording).records(whole), files, options.force)
    print(f"{output}: {ticks} intervals, {fmt.bytes_(os.stat(output).st_size)}")


def _extent(recording: Recording) -> str:
    times = recording.overview.wall_ns
    return f"{when.local(times[0])} to {when.local(times[-1])}"


def _report(found: list[Loss], headless: list[str], unfinished: list[Segment]) -> Iterator[str]:
    for path in headless:
        yield f"{path}: its header is damaged; what it says is also in every chunk"
    for loss in found:
        size = f"{fmt.bytes_(loss.bytes)} from byte {loss.offset}"
        yield f"{loss.path}: {loss.what}, {size}: {_meaning(loss)}"
    for segment in unfinished:
        torn = segment.unfinished
        size = f", {fmt.bytes_(torn.bytes)}," if torn else ""
        yield (
            f"{segment.path}: no index at its end: the recorder was killed, and the interval that"
            f" it was writing{size} is lost; or the file was cut short, and nothing tells how much"
            " is missing"
        )


def _meaning(loss: Loss) -> str:
    """What a loss means for who looks at the recording."""
    first, last = (
        None if wall_ns is None else when.local(wall_ns)
        for wall_ns in (loss.first_ns, loss.last_ns)
    )
    if loss.exact:
        return f"{loss.ticks} intervals lost, {first} to {last}"
    if loss.ticks == 0:
        return "no interval is missing"
    if loss.ticks is not None:
        return f"about {loss.ticks} intervals lost, after {first} and before {last}"
    where = " and ".join(
        part for part, there in ((f"after {first}", first), (f"before {last}", last)) if there
    )
    return f"what was there, {where}, is lost; how many intervals is not known"
