"""The timeline: the load of one probe over all the ticks of a recording, as columns of text.

The axis counts ticks, not seconds, so that neither a clock that was set nor a night asleep squeezes
what was measured: a gap is one column of its own. A column shows the highest load of its ticks, so
that no spike is averaged away; bars go by its square root, so that a spike leaves others visible.
`views.captions` writes the lines above and below.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Look = Literal["bar", "zero", "none", "lost", "gap"]
BARS = "▁▂▃▄▅▆▇█"
ZERO, GAP, UNSEEN = "▁", "┊", "!"
SPIKES = 3
# Of the median of all columns: what is higher stands out.
SPIKE = 2.0
# At most one gap to so many columns has a column of its own.
COLUMNS_PER_GAP = 6
# Marks of these kinds tell of a gap too, if the wall clock went on by so much.
JUMPS, JUMP_NS = ("clock", "start", "damaged"), 10_000_000_000
# What is marked below the bars, the most important first; a gap only where it has no column.
MARKED = ("damaged", "failed", "clock", "gap", "start")
NOTHING = float("-inf")


class Mark(Protocol):
    """Something that happened at a tick; `recording.overview.Mark` is one."""

    @property
    def tick(self) -> int:
        """The first tick that knows of it."""

    @property
    def kind(self) -> str:
        """One of gap, clock, failed, interval, start, damaged."""

    @property
    def probe(self) -> str:
        """Whom it befell; empty for all."""

    @property
    def text(self) -> str:
        """What it was in a few words; hostile text."""


class Ticks(Protocol):
    """What is known of each tick; `recording.overview.Overview` is one."""

    @property
    def first(self) -> int:
        """Number of the oldest tick that is there."""

    @property
    def end(self) -> int:
        """Number of the tick that comes next."""

    @property
    def wall_ns(self) -> Sequence[int]:
        """UTC at the end of each tick, the oldest first."""

    @property
    def loads(self) -> Mapping[str, Sequence[float]]:
        """By probe, its load in each tick; NaN where it was not measured."""

    @property
    def lost(self) -> Mapping[str, Mapping[int, int]]:
        """By probe, how much it lost in which tick."""

    @property
    def marks(self) -> Sequence[Mark]:
        """What happened, in the order of the ticks."""


@dataclass(frozen=True)
class Columns:
    """The columns of a timeline, for one probe and one width.

    Attributes:
        spans: the ticks of each. A tick has several columns where there are more of these; the
            column of a gap has no ticks, and starts at the one after it.
        peaks: the highest load; None where nothing was measured.
        peak: the highest of all.
        tops: the tick which the load of a column is of.
        lost: columns in which something was lost.
        spikes: columns that stand out, the highest first.
        marks: by column, the most important thing that happened in it.
    """

    spans: tuple[range, ...] = ()
    peaks: tuple[float | None, ...] = ()
    peak: float = 0.0
    tops: tuple[int, ...] = ()
    lost: frozenset[int] = frozenset()
    spikes: tuple[int, ...] = ()
    marks: Mapping[int, Mark] = field(default_factory=dict)

    def between(self, first: int, last: int) -> range:
        """The columns of the ticks from `first` to `last`, as far as they are there."""
        low = bisect_right(self.spans, first, key=lambda span: span.stop)
        high = bisect_right(self.spans, last, key=lambda span: span.start)
        return range(low, max(low, high))

    def tick_at(self, column: int) -> int:
        """The tick that is meant by a column: the one whose load is seen there.

        Raises:
            IndexError: there are no ticks.
        """
        return self.tops[max(0, min(column, len(self.tops) - 1))]

    def looks(self) -> list[Look]:
        """What is to be seen in each column."""
        return [self._look(column) for column in range(len(self.spans))]

    def bars(self, lines: int) -> list[str]:
        """The bars as so many lines, the topmost first; any load above 0 is seen."""
        levels = [0 if peak is None else self._level(peak, lines * 8) for peak in self.peaks]
        drawn = [
            "".join(" " if level <= low else BARS[min(level - low, 8) - 1] for level in levels)
            for low in range(8 * (lines - 1), -1, -8)
        ]
        drawn[-1] = "".join(map(self._at_the_bottom, range(len(self.spans)), drawn[-1]))
        return drawn

    def _look(self, column: int) -> Look:
        if not self.spans[column]:
            return "gap"
        if column in self.lost:
            return "lost"
        peak = self.peaks[column]
        return "none" if peak is None else "bar" if peak > 0 else "zero"

    def _level(self, peak: float, levels: int) -> int:
        """How high a bar is, in eighths of a line: by the square root, or a spike flattens all."""
        if peak <= 0:
            return 0
        share = peak / self.peak if self.peak else 1.0
        return math.ceil(levels * math.sqrt(min(1.0, share)))

    def _at_the_bottom(self, column: int, cell: str) -> str:
        """The lowest cell tells no load from load 0, and both from a gap."""
        if cell != " ":
            return cell
        if self.peaks[column] is not None:
            return ZERO
        look = self._look(column)
        return GAP if look == "gap" else UNSEEN if look == "lost" else " "


def columns(ticks: Ticks, probe: str, width: int) -> Columns:
    """The load of a probe in `width` columns; none where there are no ticks.

    It looks at every tick: 2 ms for the 86,400 of a day.
    """
    first, number = ticks.first, ticks.end - ticks.first
    if number <= 0 or width <= 0:
        return Columns()
    gaps = _gaps(ticks)
    longest = sorted(gaps, key=gaps.__getitem__, reverse=True)[: width // COLUMNS_PER_GAP]
    spans = _spans([first, *sorted(longest), ticks.end], width)
    loads = ticks.loads.get(probe, ())
    peaks: list[float | None] = []
    tops = []
    for span in spans:
        low, high = span.start - first, span.stop - first
        # NaN is never more than what comes before it, so it must not come first.
        peak = max((NOTHING, *loads[low:high]))
        peaks.append(None if peak == NOTHING else peak)
        tops.append(span.start if peak == NOTHING else first + loads.index(peak, low, high))
    lost = sorted(ticks.lost.get(probe, ()))
    lossy = (x for x, span in enumerate(spans) if _any_between(lost, span.start, span.stop))
    made = Columns(
        tuple(spans),
        tuple(peaks),
        max((peak for peak in peaks if peak is not None and peak < math.inf), default=0.0),
        tuple(tops),
        frozenset(lossy),
        _spikes(peaks, tops),
    )
    return replace(made, marks=_marks(ticks, probe, made, set(longest)))


def marks_in(ticks: Ticks, probe: str, span: range) -> list[Mark]:
    """What happened in some ticks to a probe, or to all."""
    low = bisect_left(ticks.marks, span.start, key=lambda mark: mark.tick)
    high = bisect_left(ticks.marks, span.stop, key=lambda mark: mark.tick)
    return [mark for mark in ticks.marks[low:high] if mark.probe in ("", probe)]


def _gaps(ticks: Ticks) -> dict[int, int]:
    """How long nothing was measured before which tick, by the wall clock."""
    wall, gaps = ticks.wall_ns, {}
    for mark in ticks.marks:
        if ticks.first < mark.tick < ticks.end and (mark.kind == "gap" or mark.kind in JUMPS):
            position = mark.tick - ticks.first
            length = wall[position] - wall[position - 1]
            if mark.kind == "gap" or length > JUMP_NS:
                gaps[mark.tick] = length
    return gaps


def _spans(bounds: list[int], width: int) -> list[range]:
    """The ticks of each column: runs in proportion to their length, a column between two."""
    runs, number = len(bounds) - 1, bounds[-1] - bounds[0]
    room = width - (runs - 1) - runs  # what is left when each run has a column
    spans: list[range] = []
    for low, high in pairwise(bounds):
        if spans:
            spans.append(range(low, low))
        share = (high - bounds[0]) * room // number - (low - bounds[0]) * room // number
        size, parts = high - low, 1 + share
        for part in range(parts):
            start = part * size // parts
            spans.append(range(low + start, low + max(start + 1, (part + 1) * size // parts)))
    return spans


def _marks(ticks: Ticks, probe: str, made: Columns, drawn: set[int]) -> dict[int, Mark]:
    """The most important mark of each column; `drawn` are gaps that have a column."""
    chosen: dict[int, Mark] = {}
    for mark in marks_in(ticks, probe, range(ticks.first, ticks.end)):
        usual = (mark.kind == "start" and mark.tick == ticks.first) or (
            mark.kind == "gap" and mark.tick in drawn
        )
        if mark.kind not in MARKED or usual:
            continue
        column = made.between(mark.tick, mark.tick).start
        other = chosen.get(column)
        if other is None or MARKED.index(mark.kind) < MARKED.index(other.kind):
            chosen[column] = mark
    return chosen


def _any_between(ordered: list[int], low: int, high: int) -> bool:
    position = bisect_left(ordered, low)
    return position < len(ordered) and ordered[position] < high


def _spikes(peaks: list[float | None], tops: list[int]) -> tuple[int, ...]:
    """The highest columns that stand out from most others, and from each other by a valley."""
    heights = [peak or 0.0 for peak in peaks]
    known = [peak for peak in peaks if peak is not None]
    least = SPIKE * median(known) if known else 0.0
    found: list[int] = []
    for column in sorted(range(len(heights)), key=lambda column: (-heights[column], column)):
        height = heights[column]
        if len(found) == SPIKES or height <= max(least, 0.0):
            break
        if all(
            tops[column] != tops[other]
            and min(heights[min(column, other) : max(column, other)]) < height / 2
            for other in found
        ):
            found.append(column)
    return tuple(found)
