"""The sum over a range of time: the samples of one probe as one long sample.

Whatever draws a sample can draw the sum: its rates divide by the time that was measured, which is
less than that from the first moment to the last where the probe did not run throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ebpftop.model import Cost, Sample
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ebpftop.model import ProbeInfo, Row, Table


@dataclass(frozen=True, eq=False)
class Span(Sample):
    """A sample that stands for all of a range; its time is that of the last one in it.

    Rows with the same keys are one, folded as their columns say. Where the collector left rows
    out, a row can be less than all there was of it, because the rest is in the row of the others;
    totals hold. A process id that two processes had one after the other is one row.
    """


class Sum:
    """Adds samples of one probe up, in the order of their time; holds one row per key."""

    def __init__(self, info: ProbeInfo) -> None:
        self._tables = {table.name: Folded(table) for table in info.tables}
        self._filled: dict[str, Folded] = {}
        self._dt_ns = 0
        self._lost: dict[str, int] = {}
        self._truncated: dict[str, int] = {}
        self._cost: Cost | None = None
        self._last: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Add one sample, or the sum of some; tables that the probe does not have are left out."""
        self._last = sample
        self._dt_ns += sample.dt_ns
        for name, rows in sample.tables.items():
            table = self._tables.get(name)
            if table is not None:
                self._filled[name] = table
                table.add(rows)
        for reason, number in sample.lost.items():
            self._lost[reason] = self._lost.get(reason, 0) + number
        for name, number in sample.truncated.items():
            self._truncated[name] = max(self._truncated.get(name, 0), number)
        self._cost = sample.cost if self._cost is None else _cost(self._cost, sample.cost)

    def sample(self) -> Span | None:
        """The sum so far, which later additions do not change; None of nothing."""
        last, cost = self._last, self._cost
        if last is None or cost is None:
            return None
        return Span(
            last.probe,
            last.seq,
            last.wall_ns,
            last.mono_ns,
            self._dt_ns,
            {name: table.rows() for name, table in self._filled.items()},
            dict(self._lost),
            cost,
            dict(self._truncated),
        )


class Folded:
    """The rows of one table, one per key; a figure that is unknown once is unknown in all."""

    def __init__(self, table: Table) -> None:
        columns = list(enumerate(table.columns))
        added = [(i, column) for i, column in columns if not column.gauge]
        self._key = _picker([i for i, column in columns if column.fold == "key"])
        self._sums = [i for i, column in added if column.fold == "sum"]
        self._maxima = [i for i, column in added if column.fold == "max"]
        self._gauges = [i for i, column in columns if column.gauge]
        self._is_state = is_state(table)
        self._rows: dict[Any, list[Any]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Fold the rows of a later sample in; of a state, they replace those before."""
        if self._is_state:
            self._rows.clear()
        folded, key = self._rows, self._key
        sums, maxima, gauges = self._sums, self._maxima, self._gauges
        for row in rows:
            at = key(row)
            into = folded.get(at)
            if into is None:
                folded[at] = list(row)
                continue
            # A `try` that nothing goes wrong in costs nothing, and None is rare.
            for i in sums:
                try:
                    into[i] += row[i]
                except TypeError:  # noqa: PERF203
                    into[i] = None
            for i in maxima:
                try:
                    if row[i] > into[i]:
                        into[i] = row[i]
                except TypeError:  # noqa: PERF203
                    into[i] = None
            for i in gauges:
                into[i] = row[i]

    def rows(self) -> list[Row]:
        """The rows, in the order in which their keys came first."""
        return list(map(tuple, self._rows.values()))


def is_state(table: Table) -> bool:
    """Whether a table says how things stand, so that only its last rows hold over a range."""
    measured = [column for column in table.columns if column.fold != "key"]
    return bool(measured) and all(column.gauge for column in measured)


def over(sample: Sample, table: Table) -> str:
    """What time a table of a sum is of, for a heading: `over 5m03s`; empty for one interval."""
    if not isinstance(sample, Span):
        return ""
    return "at the end of the range" if is_state(table) else f"over {fmt.ns(sample.dt_ns)}"


def _picker(positions: list[int]) -> Callable[[Row], Any]:
    return itemgetter(*positions) if positions else _nothing


def _nothing(row: Row) -> tuple[()]:
    del row
    return ()


def _cost(one: Cost, other: Cost) -> Cost:
    def both(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a + b

    return Cost(
        both(one.events, other.events),
        both(one.run_ns, other.run_ns),
        one.read_ns + other.read_ns,
    )
