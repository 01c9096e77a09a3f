"""Figures over time: one line per column, or per value of `by`, with axes in readable steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.views import format as fmt
from ebpftop.views.figures import columns, figure, value
from ebpftop.views.window import NS_PER_S, Course, Point, gaps, process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ebpftop.model import Fold, Kind, ProbeInfo, Row, Sample, View
    from ebpftop.views.table import Shown

    Values = dict[Any, float | None]

LINES = 4
OTHERS = "others"
# Steps of a time axis, in seconds.
TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


@dataclass(frozen=True)
class Line:
    """One line: a name that is safe to show, and its value at each time; None where unknown."""

    name: str
    values: tuple[float | None, ...]

    @property
    def now(self) -> float | None:
        """The newest value."""
        return self.values[-1] if self.values else None

    @property
    def peak(self) -> float:
        """The highest value that is known."""
        return max((value for value in self.values if value is not None), default=0.0)


@dataclass(frozen=True)
class Chart:
    """Lines over time.

    Attributes:
        ages_s: when each value was measured, in seconds before the newest: negative, then 0.
        gaps: positions before which the probe did not run, so that nothing joins them.
        kind: how values are written; per second if `rate`.
    """

    ages_s: tuple[float, ...]
    gaps: frozenset[int]
    lines: tuple[Line, ...]
    kind: Kind
    rate: bool

    @property
    def peak(self) -> float:
        """The highest value of all lines."""
        return max((line.peak for line in self.lines), default=0.0)

    def text(self, value: float | None) -> str:
        """A value with its unit."""
        return figure(value, self.kind, self.rate)


def course(info: ProbeInfo, view: View) -> Course[Values]:
    """What a chart of a view is made from: its figures by line, sample for sample.

    All lines share one axis, so only columns of the kind of the first are drawn. With `by`, the
    lines are the first column's, one for each value.
    """
    table = info.table(view.table)
    shown = _drawn(info, view)

    def by_column(sample: Sample, rows: list[Row]) -> Values:
        return {one.column.name: value(one, rows, sample.dt_ns) for one in shown}

    def by_value(sample: Sample, rows: list[Row]) -> Values:
        parts: dict[Any, list[Row]] = {}
        for row in rows:
            parts.setdefault(row[by], []).append(row)
        return {key: value(shown[0], part, sample.dt_ns) for key, part in parts.items()}

    by = table.index(view.by) if view.by else 0
    return Course(table, by_value if view.by else by_column)


def build(
    info: ProbeInfo,
    view: View,
    points: Sequence[Point[Values]],
    names: Mapping[int, str] | None = None,
) -> Chart:
    """A chart of the points of a course; `names` are commands by process id."""
    shown = _drawn(info, view)
    first = shown[0]
    if view.by:
        lines = _lines_by(first, points, (names or {}) if view.by == "pid" else None)
    else:
        lines = [
            Line(
                fmt.label(one.column.title),
                tuple(point.value[one.column.name] for point in points),
            )
            for one in shown
        ]
    newest = points[-1].mono_ns if points else 0
    ages = tuple((point.mono_ns - newest) / NS_PER_S for point in points)
    rate = first.column.rate and first.kind != "ratio"
    return Chart(ages, frozenset(gaps(points)), tuple(lines), first.kind, rate)


def ceiling(peak: float, kind: Kind) -> float:
    """The end of an axis that holds `peak`: a round number of its kind."""
    if kind == "ratio" and 0.5 < peak <= 1:
        return 1.0
    step = step_for(peak, kind, 4)
    return math.ceil(round(peak / step, 6)) * step if step else 1.0


def step_for(peak: float, kind: Kind, steps: int) -> float:
    """A round distance between ticks, so that at most so many reach `peak`; 0 for a peak of 0."""
    if peak <= 0:
        return 0.0
    rough = peak / max(steps, 1)
    if kind == "bytes":
        return 2.0 ** math.ceil(math.log2(rough) - 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * (1 - 1e-9))


def ticks(top: float, kind: Kind, steps: int) -> list[float]:
    """Positions on an axis that ends at `top`: 0, then at most so many more."""
    step = step_for(top, kind, steps)
    if not step:
        return [0.0]
    return [step * i for i in range(int(top / step + 1e-9) + 1)]


def time_ticks(span_s: float, steps: int) -> list[tuple[float, str]]:
    """Positions and labels on an axis of so many seconds that ends now, the newest first."""
    step = next((s for s in TIME_STEPS if span_s / s <= max(steps, 1)), TIME_STEPS[-1])
    marks = [(0.0, "now")]
    marks += [(-float(age), time_label(age)) for age in range(step, int(span_s) + 1, step)]
    return marks


def time_label(seconds: int) -> str:
    """How long ago, for an axis: `-45s`, `-2m`, `-1m30s`, `-2h`."""
    if seconds < 60:
        return f"-{seconds}s"
    if seconds < 3600 or seconds % 3600:
        return f"-{seconds // 60}m" + (f"{seconds % 60:02}s" if seconds % 60 else "")
    return f"-{seconds // 3600}h"


def _drawn(info: ProbeInfo, view: View) -> tuple[Shown, ...]:
    """The columns that share the axis of the first."""
    shown = columns(info, view)
    return tuple(one for one in shown if one.kind == shown[0].kind)[:LINES]


def _lines_by(
    shown: Shown, points: Sequence[Point[Values]], pids: Mapping[int, str] | None
) -> list[Line]:
    """A line for each of the keys that add up to most, and one for all others."""
    totals: dict[Any, float] = {}
    for point in points:
        for key, number in point.value.items():
            totals[key] = totals.get(key, 0) + (number or 0)
    known = [key for key in totals if key is not None]
    largest = sorted(known, key=lambda key: (-totals[key], str(key)))
    named = largest if len(totals) <= LINES else largest[: LINES - 1]
    lines = [
        Line(
            fmt.label(key) if pids is None else process(key, pids),
            tuple(point.value.get(key, 0.0) for point in points),
        )
        for key in named
    ]
    if len(named) < len(totals):
        rest = (
            [number for key, number in point.value.items() if key not in named] for point in points
        )
        lines.append(Line(OTHERS, tuple(_folded(some, shown.column.fold) for some in rest)))
    return lines


def _folded(values: Sequence[float | None], fold: Fold) -> float | None:
    """Several values as one; unknown where one of them is."""
    known = [number for number in values if number is not None]
    if len(known) < len(values):
        return None
    return max(known, default=0.0) if fold == "max" else float(sum(known))
