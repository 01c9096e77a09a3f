"""`ebpftop collect`: becomes the collector, under the Python that has bcc."""

from __future__ import annotations

import os

from ebpftop.commands import fail
from ebpftop.paths import PACKAGE
from ebpftop.sources.base import SourceError
from ebpftop.sources.interpreter import collector_python


def main(arguments: list[str]) -> int:
    """Replace this process; returns only where there is nothing to replace it with."""
    try:
        python = collector_python()
    except SourceError as error:
        return fail(str(error))
    os.chdir(PACKAGE.parent)  # `-m` imports from the current folder first
    os.execv(python, [python, "-m", "ebpftop.collector", *arguments])
