"""Figures of an interval: what the columns of a view come to over all its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.views import format as fmt
from ebpftop.views.table import Shape, Shown
from ebpftop.views.window import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpftop.model import Kind, ProbeInfo, Row, View


def columns(info: ProbeInfo, view: View) -> tuple[Shown, ...]:
    """The figures that a view names, or all of its table: sums, maxima and shares.

    Raises:
        ValueError: there is none, or a name is unknown.
    """
    shown = tuple(column for column in Shape.of(info, view).columns if column.measured)
    if not shown:
        raise ValueError(f"view {view.title} of table {view.table} names no figures")
    return shown


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
    if total is None or not (shown.column.rate or shown.per_second):
        return total
    if dt_ns <= 0:
        return None
    is_share = shown.column.rate and shown.column.kind == "ns"
    return total / dt_ns if is_share else total * NS_PER_S / dt_ns


def figure(number: float | None, kind: Kind, rate: bool) -> str:
    """A figure as text: `1.25k/s`, `3.40ms`, `97.1%`."""
    text = fmt.FORMATS[kind](number)
    if number is None:
        return text
    unit = "B" if kind == "bytes" else ""
    return text + unit + ("/s" if rate else "")


def _sum(rows: Iterable[Row], positions: tuple[int, ...]) -> float | None:
    total = 0
    for row in rows:
        for position in positions:
            if row[position] is None:
                return None
            total += row[position]
    return total
