"""What the screen knows of where its records come from."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ebpftop.model import Command, Record


# Collections by generation; the interpreter's own are (700, 10, 10).
GC_THRESHOLD = (50_000, 20, 50)


def expect_many_rows() -> None:
    """Set the garbage collector to what takes in a stream.

    A sample is thousands of tuples that live for an interval; looking for cycles among them at the
    usual rate takes a fifth of the screen's CPU time, and a tenth of the recorder's.
    """
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


class SourceError(Exception):
    """The source cannot go on; one line for the user: what, why, what to do."""


class Source(Protocol):
    """Yields the records of a stream.

    Attributes:
        live: whether commands reach a collector; a recording takes none.
    """

    live: bool

    def records(self) -> AsyncIterator[Record]:
        """The records, in order, until the stream ends.

        Raises:
            SourceError: the stream broke off.
        """

    def send(self, command: Command) -> None:
        """Ask the collector for something; ignored where there is none to ask."""

    def close(self) -> None:
        """End the source and everything that it started."""
