"""The ranges that are marked on the timeline, and the sums over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.model import Hello, Sample, Tick
from ebpftop.views.ranges import Sum
from ebpftop.views.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator

    from ebpftop.model import ProbeInfo
    from ebpftop.recording.tape import Tape
    from ebpftop.views.ranges import Span

MOST = 2


@dataclass(frozen=True)
class Summed:
    """One probe over one range: the sum, and the samples as far as charts need them."""

    sum: Span | None
    store: Store


class Spans:
    """Up to two ranges of ticks; the second is compared with the first.

    Attributes:
        ranges: first and last tick of each, both included.
        pending: one end of a range whose other end is not marked yet.
        progress: how much of the work for a pane is done; 1 while there is none.
    """

    def __init__(self, tape: Tape) -> None:
        self.ranges: tuple[tuple[int, int], ...] = ()
        self.pending: int | None = None
        self.progress = 1.0
        self._tape = tape
        self._summed: dict[tuple[str, int, int], Summed] = {}

    @property
    def hint(self) -> str:
        """What there is to know or to do about the marks, in a few words."""
        if self.progress < 1:
            return f"adding up {self.progress:.0%}"
        if self.pending is not None:
            return "m marks the other end"
        return ("", "m marks a range to compare · Esc", "Esc clears the ranges")[len(self.ranges)]

    def mark(self, tick: int) -> None:
        """Mark a point: one end of a range, then the other."""
        if self.pending is None:
            if len(self.ranges) == MOST:
                self.clear()
            self.pending = tick
        else:
            self.add(self.pending, tick)

    def add(self, first: int, last: int) -> None:
        """Mark a range; a third one begins anew."""
        kept = self.ranges if len(self.ranges) < MOST else ()
        self.ranges = (*kept, (min(first, last), max(first, last)))
        self.pending = None

    def clear(self) -> bool:
        """Take all marks away; returns whether there were any."""
        there = bool(self.ranges) or self.pending is not None
        self.ranges, self.pending, self.progress = (), None, 1.0
        self._summed.clear()
        return there

    def of(self, probe: str) -> list[Summed] | None:
        """The sums of a probe over the ranges; None where there are none, or not yet."""
        found = [self._summed.get((probe, *span)) for span in self.ranges]
        known = [summed for summed in found if summed]
        return known if found and len(known) == len(found) else None

    def missing(self, probe: str) -> list[tuple[int, int]]:
        """The ranges whose sums are not worked out."""
        return [span for span in self.ranges if (probe, *span) not in self._summed]

    def work(self, info: ProbeInfo) -> Generator[None]:
        """Work out what is missing for a probe; gives way after every tick."""
        missing = self.missing(info.name)
        ticks = sum(last - first + 1 for first, last in missing)
        done = 0
        for first, last in missing:
            total, store, is_same = Sum(info), Store(), True
            for record in self._tape.records(first, last, {info.name}):
                if isinstance(record, Hello):  # another collector may know other columns
                    is_same = record.probe(info.name) == info
                elif isinstance(record, Sample):
                    if record.probe != info.name or not is_same:
                        continue
                    total.add(record)
                store.add(record)
                if isinstance(record, Tick):
                    done += 1
                    self.progress = done / ticks
                    yield
                    if (first, last) not in self.ranges:
                        return
            self._summed[info.name, first, last] = Summed(total.sample(), store)
        self.progress = 1.0
