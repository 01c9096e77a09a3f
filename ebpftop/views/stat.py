"""A few large figures, each with its course: totals and shares of a table's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.views import format as fmt
from ebpftop.views.figures import columns, figure, value
from ebpftop.views.window import Course

if TYPE_CHECKING:
    from collections.abc import Sequence

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
