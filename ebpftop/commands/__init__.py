"""One module per command of the command line, each with `main(arguments) -> exit status`."""

from __future__ import annotations

import sys


class UsageError(Exception):
    """What was asked for is not there; one line for the user."""


def fail(message: str, status: int = 1) -> int:
    """One line for the user: what, why, what to do."""
    print(f"ebpftop: {message}", file=sys.stderr)
    return status


def with_moments(arguments: list[str], *options: str) -> list[str]:
    """The same arguments with `--from -3m` as `--from=-3m`, which argparse does not take for two.

    `options` are those whose values are moments.
    """
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in options and argument[:1] == "-" and argument[1:2].isdigit():
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined
