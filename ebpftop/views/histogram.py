"""Histograms: how often a value fell where, over the last seconds.

The table has one column of buckets, a log2 slot of nanoseconds or a plain number, and one of
counts. A log2 slot says no more of a value than its power of two, so percentiles are given as the
upper bound of theirs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.views import format as fmt
from ebpftop.views.difference import ARROW
from ebpftop.views.window import NS_PER_S, selector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ebpftop.model import Column, ProbeInfo, Sample, Table, View

SHARES = (0.5, 0.9, 0.99)
# Length of a run queue, with the one that runs.
LENGTHS = {0: "idle", 1: "1 running"}


@dataclass(frozen=True)
class Axes:
    """Which columns of a table a histogram is made of, by position.

    Attributes:
        bucket, count: where a value fell, and how often.
        by: what tells the series apart, or None.
        log2: buckets are log2 slots of nanoseconds, otherwise the number itself.
        lengths: buckets are lengths of a run queue.
    """

    table: Table
    bucket: int
    count: int
    by: int | None
    log2: bool
    lengths: bool

    @classmethod
    def of(cls, info: ProbeInfo, view: View) -> Axes:
        """The axes of a view; raises ValueError where its table has no such columns."""
        table = info.table(view.table)
        bucket = _first(table, view, _is_slot) or _first(table, view, _is_number)
        count = _first(table, view, lambda column: column.fold == "sum")
        if bucket is None or count is None:
            raise ValueError(f"table {table.name} has no buckets and counts to draw")
        return cls(
            table,
            table.index(bucket.name),
            table.index(count.name),
            table.index(view.by) if view.by else None,
            _is_slot(bucket),
            bucket.name == "length",
        )

    def bound(self, bucket: int) -> str:
        """Below what (log2), or at what, the values of a bucket are."""
        if self.log2:
            return f"<{fmt.ns(2 << bucket)}"
        return self.label(bucket)

    def label(self, bucket: int) -> str:
        """What a bucket holds."""
        if self.log2:
            return fmt.slot(bucket)
        return LENGTHS.get(bucket, str(bucket)) if self.lengths else str(bucket)


@dataclass(frozen=True)
class Series:
    """The counts of one value of `by`; `name` is safe to show, and empty for the sum of all."""

    name: str
    counts: Mapping[int, float]

    @property
    def total(self) -> float:
        """Everything that was counted."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Bar:
    """One row of a histogram: a bucket, or a tail of them, and its count in each series."""

    label: str
    counts: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """A histogram of some samples.

    Attributes:
        sum: all series as one.
        series: one per value of `by`, in the order of their names; the sum alone without.
        unplaced: counts of rows that the collector folded together, of which no bucket is known.
    """

    axes: Axes
    sum: Series
    series: tuple[Series, ...]
    unplaced: int

    def bars(self, series: Sequence[Series], rows: int) -> tuple[Bar, ...]:
        """The rows from the lowest bucket that has a count to the highest, gaps included.

        Where those are more than `rows`, the thinner tail is folded into one row, and again.
        """
        buckets = self.span(series)
        if not buckets or rows < 1:
            return ()
        low, high = folded(self.sum.counts, buckets, rows)
        bars = []
        for bucket in range(low, high + 1):
            span = _tail(bucket, low, high, buckets)
            counts = tuple(sum(one.counts.get(b, 0) for b in span) for one in series)
            bars.append(Bar(self._label(bucket, span), counts))
        return tuple(bars)

    def span(self, series: Sequence[Series]) -> range:
        """The buckets from the first to the last that has a count in one of the series."""
        filled = [bucket for one in series for bucket, count in one.counts.items() if count]
        return range(min(filled), max(filled) + 1) if filled else range(0)

    def summary(self) -> list[str]:
        """Percentiles and the maximum, as far as buckets tell them: `p50 <32.8µs`."""
        marks = [f"{name} {bound}" for name, bound in self.bounds(self.sum)]
        if marks and self.unplaced:
            marks.append(f"{fmt.count(self.unplaced)} in no bucket")
        return marks

    def bounds(self, series: Series) -> list[tuple[str, str]]:
        """Name and bound of the percentiles and the maximum of a series; none of nothing."""
        if not series.total:
            return []
        bound = self.axes.bound
        marks = [(f"p{s * 100:.0f}", bound(percentile(series.counts, s))) for s in SHARES]
        return [*marks, ("max", bound(self.span((series,))[-1]))]

    def _label(self, bucket: int, span: range) -> str:
        if len(span) == 1:
            return self.axes.label(bucket)
        if span[0] < bucket < span[-1]:
            return "any"
        if span[-1] > bucket:
            return f"≥ {fmt.ns(1 << bucket) if self.axes.log2 else bucket}"
        return f"< {fmt.ns(2 << bucket)}" if self.axes.log2 else f"≤ {bucket}"


def build(axes: Axes, samples: Iterable[Sample], match: Mapping[str, object]) -> Histogram:
    """Add up the counts of samples; `match` restricts the rows."""
    select = selector(axes.table, match)
    parts: dict[Any, Counter[int]] = {}
    unplaced = 0
    for sample in samples:
        for row in select(sample.tables.get(axes.table.name, ())):
            bucket, count = row[axes.bucket], row[axes.count] or 0
            if bucket is None:
                unplaced += count
                continue
            name = None if axes.by is None else row[axes.by]
            part = parts.get(name)
            if part is None:
                part = parts[name] = Counter()
            part[bucket] += count
    together: Counter[int] = Counter()
    for part in parts.values():
        together.update(part)
    whole = Series("", together)
    if axes.by is None or not parts:
        return Histogram(axes, whole, (whole,), unplaced)
    names = sorted(parts, key=lambda name: (isinstance(name, str), name is None, name))
    series = tuple(Series(_name(axes, name), parts[name]) for name in names)
    return Histogram(axes, whole, series, unplaced)


@dataclass(frozen=True)
class Comparison(Histogram):
    """Two ranges, A and B, as the two series of a histogram.

    Attributes:
        counted: the series as they were counted; `series` are those per second.
    """

    counted: tuple[Series, Series]

    def summary(self) -> list[str]:
        """Percentiles of A and B: `p50 <32.8µs → <65.5µs`, or one bound for both."""
        a, b = (dict(self.bounds(series)) for series in self.counted)
        marks = [
            f"{name} {a.get(name, fmt.UNKNOWN)} {ARROW} {b.get(name, fmt.UNKNOWN)}"
            if a.get(name) != b.get(name)
            else f"{name} {a[name]}"
            for name in (a or b)
        ]
        return [*marks, f"{fmt.count(self.unplaced)} in no bucket"] if self.unplaced else marks


def compare(axes: Axes, a: Sample, b: Sample, match: Mapping[str, object]) -> Comparison:
    """The counts of two ranges, each over all values of `by`."""
    built = [build(axes, (sample,), match) for sample in (a, b)]
    one, other = (Series(name, part.sum.counts) for name, part in zip("AB", built))
    series = (_per_second(one, a.dt_ns), _per_second(other, b.dt_ns))
    counts = [part.counts for part in series]
    buckets = counts[0].keys() | counts[1].keys()
    whole = {bucket: sum(part.get(bucket, 0) for part in counts) for bucket in buckets}
    unplaced = sum(part.unplaced for part in built)
    return Comparison(axes, Series("", whole), series, unplaced, (one, other))


def percentile(counts: Mapping[int, float], share: float) -> int:
    """The lowest bucket at or below which lies at least that share of all that was counted.

    Raises:
        ValueError: nothing was counted.
    """
    wanted = share * sum(counts.values())
    reached = 0.0
    for bucket in sorted(counts):
        reached += counts[bucket]
        if counts[bucket] and reached >= wanted:
            return bucket
    raise ValueError("no percentile of nothing")


def folded(counts: Mapping[int, float], buckets: range, rows: int) -> tuple[int, int]:
    """The lowest and the highest of `rows` buckets; what lies beyond them is folded into them.

    Of the two ends the one gives way whose fold would hold less, so that detail stays where the
    counts are.
    """
    low, high = buckets[0], buckets[-1]
    below, above = counts.get(low, 0), counts.get(high, 0)
    while high - low + 1 > max(rows, 1):
        lower, upper = below + counts.get(low + 1, 0), above + counts.get(high - 1, 0)
        if lower <= upper:
            low, below = low + 1, lower
        else:
            high, above = high - 1, upper
    return low, high


def _per_second(series: Series, dt_ns: int) -> Series:
    """The counts per second; none of no time."""
    counts = series.counts if dt_ns > 0 else {}
    return Series(series.name, {b: n * NS_PER_S / dt_ns for b, n in counts.items()})


def _tail(bucket: int, low: int, high: int, buckets: range) -> range:
    """The buckets of one row: itself, and at an end all that lies beyond."""
    first = buckets[0] if bucket == low else bucket
    last = buckets[-1] if bucket == high else bucket
    return range(first, last + 1)


def _is_slot(column: Column) -> bool:
    return column.kind == "slot"


def _is_number(column: Column) -> bool:
    return column.fold == "key" and column.kind in ("count", "id") and not column.role


def _first(table: Table, view: View, wanted: Any) -> Column | None:
    """The first column that is wanted, of those the view names if it names such a one."""
    named = [table.columns[table.index(name)] for name in view.columns if name != view.by]
    others = [column for column in table.columns if column.name != view.by]
    return next(filter(wanted, (*named, *others)), None)


def _name(axes: Axes, value: Any) -> str:
    title = axes.table.columns[axes.by or 0].title.lower()
    return fmt.label(value) if isinstance(value, str) else f"{title} {fmt.label(value)}"
