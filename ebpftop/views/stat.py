"""A few large figures, each with its course: totals and shares of a table's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.views import format as fmt
from ebpftop.views.chart import columns, figure, value
from ebpftop.views.window import selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ebpftop.model import Kind, ProbeInfo, Sample, View

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


def build(
    info: ProbeInfo, view: View, samples: Sequence[Sample], match: Mapping[str, Any]
) -> tuple[Stat, ...]:
    """The figures of a view over samples; `match` restricts the rows."""
    table = info.table(view.table)
    select = selector(table, match)
    rows = [select(sample.tables.get(table.name, ())) for sample in samples]
    return tuple(
        Stat(
            fmt.label(shown.column.title),
            shown.kind,
            shown.column.rate and shown.kind != "ratio",
            tuple(value(shown, some, sample.dt_ns) for some, sample in zip(rows, samples)),
        )
        for shown in columns(info, view)
    )


def _block(number: float | None, top: float) -> str:
    if number is None:
        return " "
    share = number / top if top else 0.0
    return BLOCKS[min(len(BLOCKS) - 1, max(0, int(share * len(BLOCKS))))]
