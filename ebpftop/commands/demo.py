"""`ebpftop demo`: the dashboard over a recording that comes with it, in a loop."""

from __future__ import annotations

import argparse
import sys

from ebpftop.commands import fail
from ebpftop.commands.view import replay
from ebpftop.paths import PACKAGE

RECORDING = PACKAGE / "demo.ebt"


def main(arguments: list[str]) -> int:
    """Play it until the user quits; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="ebpftop demo",
        description="Four minutes of a busy machine, replayed: no root, no BPF, any system.",
    )
    parser.add_argument("--pane", metavar="NAME", help="probe to show first")
    parser.add_argument("--theme", metavar="NAME", help="colour theme")
    options = parser.parse_args(arguments)
    if not sys.stdout.isatty():
        return fail("the demo needs a terminal")
    return replay(str(RECORDING), options.pane, options.theme, loop=True)
