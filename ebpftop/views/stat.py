"""A few large figures, each with its course: totals and shares of a table's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.views import format as fmt
from ebpftop.views.difference import comparable, written
from ebpftop.views.figures import columns, figure, value
from ebpftop.views.window import Course, selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ebpftop.model import Kind, ProbeInfo, Row, Sample, View
    from ebpftop.views.window import Point

    Values = tuple[float | None, ...]

BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Stat:
    """One figure.

    Attributes:
        title: what it is, safe to show.
        kind: how it is written; per second if `rate`.
        values: its course, oldest first; None where unknown.
    """

    title: str
    kind: Kind
    rate: bool
    values: tuple[float | None, ...]

    @property
    def text(self) -> str:
        """The newest value with its unit."""
        return figure(self.values[-1] if self.values else None, self.kind, self.rate)

    def sparkline(self, width: int) -> str:
        """Its newest values as bars of one line: from 0, to 1 for a share, else to the highest.

        What is unknown is blank; what is 0 is the lowest bar.
        """
        values = self.values[-width:] if width > 0 else ()
        top = 1.0 if self.kind == "ratio" else max((v for v in values if v is not None), default=0)
        return "".join(_block(number, top) for number in values).rjust(max(width, 0))


@dataclass(frozen=True)
class Changed:
    """One figure in two ranges, A and B; attributes as of `Stat`."""

    title: str
    kind: Kind
    rate: bool
    a: float | None
    b: float | None

    @property
    def text(self) -> str:
        """The value in B with its unit."""
        return figure(self.b, self.kind, self.rate)

    @property
    def change(self) -> str:
        """The change from A, with its sign, in the unit of the value."""
        return written(self.kind, self.a, self.b)

    @property
    def before(self) -> str:
        """The value in A with its unit."""
        return figure(self.a, self.kind, self.rate)

    @property
    def grown(self) -> float:
        """The change as a number, 0 where one side is unknown."""
        return 0.0 if self.a is None or self.b is None else self.b - self.a


def compare(
    info: ProbeInfo, view: View, a: Sample, b: Sample, match: Mapping[str, object]
) -> tuple[Changed, ...]:
    """The figures of a view in two ranges; totals that are not rates are per second, too."""
    table = info.table(view.table)
    select = selector(table, match)
    rows_a, rows_b = (select(sample.tables.get(table.name, ())) for sample in (a, b))
    return tuple(
        Changed(
            fmt.label(shown.column.title),
            shown.kind,
            shown.column.rate and shown.kind != "ratio",
            value(shown, rows_a, a.dt_ns),
            value(shown, rows_b, b.dt_ns),
        )
        for shown in map(comparable, columns(info, view))
    )


def course(info: ProbeInfo, view: View) -> Course[Values]:
    """What the figures of a view are made from: each of them, sample for sample."""
    shown = columns(info, view)

    def work(sample: Sample, rows: list[Row]) -> Values:
        return tuple(value(one, rows, sample.dt_ns) for one in shown)

    return Course(info.table(view.table), work)


def build(info: ProbeInfo, view: View, points: Sequence[Point[Values]]) -> tuple[Stat, ...]:
    """The figures of a view over the points of a course."""
    return tuple(
        Stat(
            fmt.label(shown.column.title),
            shown.kind,
            shown.column.rate and shown.kind != "ratio",
            tuple(point.value[position] for point in points),
        )
        for position, shown in enumerate(columns(info, view))
    )


def _block(number: float | None, top: float) -> str:
    if number is None:
        return " "
    share = number / top if top else 0.0
    return BLOCKS[min(len(BLOCKS) - 1, max(0, int(share * len(BLOCKS))))]
