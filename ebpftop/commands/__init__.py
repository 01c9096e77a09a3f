"""One module per command of the command line, each with `main(arguments) -> exit status`."""

from __future__ import annotations

import sys


def fail(message: str, status: int = 1) -> int:
    """One line for the user: what, why, what to do."""
    print(f"ebpftop: {message}", file=sys.stderr)
    return status
