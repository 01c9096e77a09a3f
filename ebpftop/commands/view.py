"""`ebpftop view`: replays a recording, or shows a stream from a pipe."""

from __future__ import annotations

import argparse
import sys

from ebpftop.commands import fail


def main(arguments: list[str]) -> int:
    """Show it until the user quits; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="ebpftop view",
        description="Replay a recording, also while it is being written; or watch a stream.",
        epilog="ssh box sudo ebpftop collect | ebpftop view -",
    )
    parser.add_argument("file", metavar="FILE", help="a recording, or - for a stream from a pipe")
    parser.add_argument("--pane", metavar="NAME", help="probe to show first")
    parser.add_argument("--theme", metavar="NAME", help="colour theme")
    options = parser.parse_args(arguments)
    if not sys.stdout.isatty():
        return fail("view needs a terminal; `ebpftop export` and `ebpftop top` write text")
    if options.file == "-":
        return _view_stream(options)
    return replay(options.file, options.pane, options.theme)


def replay(path: str, pane: str | None = None, theme: str | None = None, loop: bool = False) -> int:
    """Show a recording; returns the exit status."""
    from ebpftop.recording.reader import Recording
    from ebpftop.recording.tape import RecordingError

    try:
        tape = Recording(path)
    except RecordingError as error:
        return fail(str(error))
    if not len(tape.overview) and not tape.growing:
        tape.close()
        return fail(f"{path} holds no sample that can be read; `ebpftop repair {path}` says why")
    shown = [probe.name for probe in tape.hello.probes if probe.views] if tape.hello else []
    if pane and shown and pane not in shown:
        tape.close()
        return fail(f"{path} has no probe named {pane}; there are {', '.join(shown)}", status=2)
    from ebpftop.ui.app import run

    return run(None, theme=theme, first_pane=pane, tape=tape, loop=loop)


def _view_stream(options: argparse.Namespace) -> int:
    from ebpftop.sources.base import SourceError
    from ebpftop.sources.pipe import PipeSource

    if sys.stdin.isatty():
        return fail(
            "`view -` reads a stream from a pipe: ebpftop collect | ebpftop view -", status=2
        )
    try:
        source = PipeSource.from_stdin()
    except SourceError as error:
        return fail(str(error))
    from ebpftop.ui.app import run

    return run(source, theme=options.theme, first_pane=options.pane)
