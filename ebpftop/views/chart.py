"""Figures over time: one line per column, or per value of `by`, with axes in readable steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.views import format as fmt
from ebpftop.views.table import Shape, Shown
from ebpftop.views.window import NS_PER_S, process, selector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ebpftop.model import Kind, ProbeInfo, Row, Sample, View

LINES = 4
OTHERS = "others"
GAP = 1.5
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


def columns(info: ProbeInfo, view: View) -> tuple[Shown, ...]:
    """The figures that a view names, or all of its table: sums, maxima and shares.

    Raises:
        ValueError: there is none, or a name is unknown.
    """
    shown = tuple(column for column in Shape.of(info, view).columns if column.measured)
    if not shown:
        raise ValueError(f"view {view.title} of table {view.table} names no figures")
    return shown


def build(
    info: ProbeInfo,
    view: View,
    samples: Sequence[Sample],
    match: Mapping[str, Any],
    names: Mapping[int, str] | None = None,
) -> Chart:
    """A chart of samples; `match` restricts the rows, `names` are commands by process id.

    All lines share one axis, so only columns of the kind of the first are drawn. With `by`, the
    lines are the first column's, of the values that add up to most; the rest is one line.
    """
    table = info.table(view.table)
    figures = columns(info, view)
    first = figures[0]
    select = selector(table, match)
    rows = [select(sample.tables.get(table.name, ())) for sample in samples]
    if view.by:
        parts = _parts(rows, table.index(view.by))
        pids = names or {} if view.by == "pid" else None
        lines = _lines_by(first, parts, samples, pids)
    else:
        alike = [column for column in figures if column.kind == first.kind][:LINES]
        lines = [_line(column, fmt.label(column.column.title), rows, samples) for column in alike]
    newest = samples[-1].mono_ns if samples else 0
    ages = tuple((sample.mono_ns - newest) / NS_PER_S for sample in samples)
    rate = first.column.rate and first.kind != "ratio"
    return Chart(ages, frozenset(_gaps(samples)), tuple(lines), first.kind, rate)


def value(shown: Shown, rows: Sequence[Row], dt_ns: int) -> float | None:
    """A column of some rows as one figure of an interval: rates are per second.

    None where a row does not know its value, and for a share of nothing.
    """
    if shown.position is None:
        above, below = _sum(rows, shown.above), _sum(rows, shown.below)
        return above / below if above is not None and below else None
    position = shown.position
    if shown.column.fold == "max":
        values = [row[position] for row in rows]
        return None if None in values else max(values, default=0)
    total = _sum(rows, (position,))
    if total is None or not shown.column.rate:
        return total
    if dt_ns <= 0:
        return None
    return total / dt_ns if shown.column.kind == "ns" else total * NS_PER_S / dt_ns


def figure(number: float | None, kind: Kind, rate: bool) -> str:
    """A figure as text: `1.25k/s`, `3.40ms`, `97.1%`."""
    text = fmt.FORMATS[kind](number)
    if number is None:
        return text
    unit = "B" if kind == "bytes" else ""
    return text + unit + ("/s" if rate else "")


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


def _parts(rows: Sequence[Sequence[Row]], by: int) -> list[dict[Any, list[Row]]]:
    """The rows of each sample by the value of a column."""
    parts: list[dict[Any, list[Row]]] = []
    for some in rows:
        parts.append({})
        for row in some:
            parts[-1].setdefault(row[by], []).append(row)
    return parts


def _lines_by(
    shown: Shown,
    parts: Sequence[Mapping[Any, list[Row]]],
    samples: Sequence[Sample],
    pids: Mapping[int, str] | None,
) -> list[Line]:
    totals: dict[Any, float] = {}
    for part in parts:
        for key, rows in part.items():
            totals[key] = totals.get(key, 0) + (value(shown, rows, NS_PER_S) or 0)
    known = [key for key in totals if key is not None]
    largest = sorted(known, key=lambda key: (-totals[key], str(key)))
    named = largest if len(totals) <= LINES else largest[: LINES - 1]
    lines = [
        _line(
            shown,
            fmt.label(key) if pids is None else process(key, pids),
            [part.get(key, ()) for part in parts],
            samples,
        )
        for key in named
    ]
    if len(named) < len(totals):
        rest = [
            [row for key, rows in part.items() if key not in named for row in rows]
            for part in parts
        ]
        lines.append(_line(shown, OTHERS, rest, samples))
    return lines


def _line(
    shown: Shown, name: str, rows: Sequence[Sequence[Row]], samples: Sequence[Sample]
) -> Line:
    values = (value(shown, some, sample.dt_ns) for some, sample in zip(rows, samples))
    return Line(name, tuple(values))


def _sum(rows: Iterable[Row], positions: tuple[int, ...]) -> float | None:
    total = 0
    for row in rows:
        for position in positions:
            if row[position] is None:
                return None
            total += row[position]
    return total


def _gaps(samples: Sequence[Sample]) -> Iterable[int]:
    before = 0
    for position, sample in enumerate(samples):
        if before and sample.mono_ns - before > GAP * sample.dt_ns:
            yield position
        before = sample.mono_ns
