"""What the screen knows of where its records come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ebpftop.model import Command, Record


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
