"""The command line. Each branch imports what it needs and nothing else."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run `ebpftop`; returns the exit status: 0 good, 1 failed, 2 bad usage."""
    del argv
    sys.exit("not written yet")
