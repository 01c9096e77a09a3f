"""Latency over time: one column per sample, newest last, one row per bucket, counts as heat.

Counts of a column are rates, so that a late sample looks no hotter; heat goes by their logarithm,
since the few slow ones are what one looks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.views.histogram import folded
from ebpftop.views.window import NS_PER_S, Course, gaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ebpftop.model import Row, Sample
    from ebpftop.views.histogram import Axes
    from ebpftop.views.window import Point

    Rates = dict[int, float]

ROWS_PER_LINE = 2


@dataclass(frozen=True)
class Heat:
    """A heat strip of some samples.

    Attributes:
        columns: one per sample, oldest first; None where the probe did not run.
        peak: the highest rate of any cell.
        total: all rates of a bucket added up.
    """

    axes: Axes
    columns: tuple[Point[Rates] | None, ...]
    peak: float
    total: Mapping[int, float]

    def buckets(self, lines: int) -> range:
        """The buckets that so many lines of text can show, the ends holding all beyond them."""
        filled = [bucket for bucket, rate in self.total.items() if rate]
        if not filled or lines < 1:
            return range(0)
        span = range(min(filled), max(filled) + 1)
        low, high = folded(self.total, span, lines * ROWS_PER_LINE)
        return range(low, high + 1)

    def grid(self, buckets: range, width: int, levels: int) -> list[list[int]]:
        """Heat of each bucket, lowest first, in each of the newest `width` columns.

        A level goes from 1, the least that is not nothing, to `levels`; 0 is nothing, and -1 a
        time that was not measured.
        """
        columns = self.columns[-width:]
        grid = [[-1] * len(columns) for _ in buckets]
        for x, column in enumerate(columns):
            if column is None:
                continue
            for row in grid:
                row[x] = 0
            for y, rate in enumerate(_into(column.value, buckets)):
                grid[y][x] = level(rate, self.peak, levels)
        return grid

    def age_s(self, column: int) -> float:
        """How many seconds before the newest a column was; `column` counts from the newest, 0."""
        newest, wanted = self.columns[-1], self.columns[-1 - column]
        return (newest.mono_ns - wanted.mono_ns) / NS_PER_S if newest and wanted else 0.0


def course(axes: Axes) -> Course[Rates]:
    """What a heat strip is made from: the rate of each bucket, sample for sample."""

    def work(sample: Sample, rows: list[Row]) -> Rates:
        seconds = max(sample.dt_ns, 1) / NS_PER_S
        counts: dict[int, int] = {}
        for row in rows:
            bucket = row[axes.bucket]
            if bucket is not None:
                counts[bucket] = counts.get(bucket, 0) + (row[axes.count] or 0)
        return {bucket: number / seconds for bucket, number in counts.items() if number}

    return Course(axes.table, work)


def build(axes: Axes, points: Sequence[Point[Rates]]) -> Heat:
    """The heat of the points of a course."""
    columns: list[Point[Rates] | None] = list(points)
    for position in reversed(gaps(points)):
        columns.insert(position, None)
    total: dict[int, float] = {}
    for point in points:
        for bucket, rate in point.value.items():
            total[bucket] = total.get(bucket, 0.0) + rate
    peak = max((rate for point in points for rate in point.value.values()), default=0.0)
    return Heat(axes, tuple(columns), peak, total)


def level(rate: float, peak: float, levels: int) -> int:
    """Heat of a rate: 0 for none, 1 to `levels` by its logarithm against that of the peak."""
    if rate <= 0 or peak <= 0:
        return 0
    share = min(1.0, math.log1p(rate) / math.log1p(peak))
    return max(1, math.ceil(levels * share))


def _into(rates: Mapping[int, float], buckets: range) -> list[float]:
    """Rates by row, with those beyond the ends in the rows at the ends."""
    rows = [0.0] * len(buckets)
    for bucket, rate in rates.items():
        rows[min(max(bucket, buckets[0]), buckets[-1]) - buckets[0]] += rate
    return rows
