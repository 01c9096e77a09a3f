"""What can be rewound: a recording in a file, or the flight recorder's in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from ebpftop.model import Hello, Record
    from ebpftop.recording.overview import Overview


class RecordingError(Exception):
    """A recording that cannot be read or written; one line for the user."""


class Tape(Protocol):
    """Ticks that can be read from any of them.

    Attributes:
        hello: who speaks; None before anything is known.
        overview: the ticks, and what a timeline shows of them.
        growing: whether ticks may still be added at its end.
    """

    hello: Hello | None
    overview: Overview

    @property
    def growing(self) -> bool:
        """See above."""
        ...

    def records(
        self, first: int, last: int, probes: Container[str] | None = None
    ) -> Iterator[Record]:
        """The records of the ticks from `first` to `last`, both included, in order.

        Before them come, without their ticks, what a screen must know by then: `hello`, the
        newest status of each probe, and the identities of processes that the ticks speak of.
        Ticks that are not there, or damaged, are passed over. With `probes`, of the samples before
        the last tick only theirs are read.
        """
        ...

    def refresh(self) -> int:
        """Look for ticks that were added since; returns how many."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...
