"""The command line: finds the command, and imports that and nothing else."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from ebpftop import __version__

DESCRIPTION = "A top-like terminal dashboard over eBPF."
COMMANDS = {
    "demo": "replay a recording that comes with ebpftop: no root, no BPF",
    "view": "replay a recording, or watch a stream from a pipe",
    "record": "record to a file, without a screen",
    "collect": "write the records of the probes to standard output",
    "top": "one pane as plain text, for scripts and pipes",
    "export": "a recording as CSV, JSON lines, Parquet, folded stacks, speedscope or SVG",
    "cut": "an excerpt of a recording",
    "repair": "what is lost of a damaged recording, and a clean copy of the rest",
    "probes": "what each probe can hang on here, and why",
    "doctor": "what this machine offers, what is wrong, and the command that mends it",
}
EPILOG = (
    "commands (each has its own --help):\n"
    + "\n".join(f"  {name:10}{text}" for name, text in COMMANDS.items())
    + "\n\nExit status: 0 good, 1 failed, 2 bad usage."
)


def main(argv: list[str] | None = None) -> int:
    """Run `ebpftop`; returns the exit status: 0 good, 1 failed, 2 bad usage."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0] in COMMANDS:
        try:
            status: int = import_module(f"ebpftop.commands.{arguments[0]}").main(arguments[1:])
        except BrokenPipeError:  # the reader of our output has seen enough
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for what is flushed at the end
            os.dup2(nowhere, sys.stdout.fileno())
            return 1
        return status
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command:
        parser.error(f"no command named {options.command}; there are {', '.join(COMMANDS)}")
    from ebpftop.commands.dashboard import show

    return show(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebpftop",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ebpftop {__version__}")
    parser.add_argument(
        "-i", "--interval", type=float, default=1.0, metavar="S", help="seconds between samples"
    )
    parser.add_argument("--pane", metavar="NAME", help="probe to show first")
    parser.add_argument("--theme", metavar="NAME", help="colour theme")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="the dashboard without one")
    return parser
