"""The course of one figure of each probe within a scope, and when anything in it was last seen.

It outlives the rows it was worked out from, and may be told of samples in any order: a moment may
be left, and its past read, at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.model import View
from ebpftop.views.figures import columns, value
from ebpftop.views.scope import Narrowing, is_covered
from ebpftop.views.table import Shape
from ebpftop.views.window import POINTS

if TYPE_CHECKING:
    from ebpftop.model import ProbeInfo, Sample
    from ebpftop.views.scope import Names, Scope
    from ebpftop.views.table import Shown

# Of an interval: points that are further apart have an interval between them that is not known.
GAP = 1.5


@dataclass(frozen=True)
class Point:
    """The figure of one interval; None where it cannot be known."""

    wall_ns: int
    dt_ns: int
    value: float | None
    is_seen: bool


class Trail:
    """What is known of a scope over time.

    Attributes:
        ticks: the ticks of a tape that were taken in.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.ticks: set[int] = set()
        self._points: dict[str, dict[int, Point]] = {}
        self._mains: dict[str, tuple[ProbeInfo, View, Shown] | None] = {}

    def main(self, info: ProbeInfo) -> tuple[View, Shown] | None:
        """The table of a probe, and the figure in it that it is ordered by; None for no figures.

        Where that is an average or a share, the first figure that adds up.
        """
        known = self._mains.get(info.name)
        if known is None or known[0] is not info:
            found = _main(info)
            known = self._mains[info.name] = (info, *found) if found else None
        return known[1:] if known else None

    def add(self, info: ProbeInfo, sample: Sample, names: Names) -> None:
        """Take in a sample, unless it is of another scope or was emptied of its rows meanwhile."""
        main, points = self.main(info), self._points.setdefault(info.name, {})
        if main is None or sample.mono_ns in points or main[0].table not in sample.tables:
            return
        if not is_covered(self.scope, sample.scope, names):
            return
        view, shown = main
        table = info.table(view.table)
        narrowing = Narrowing.of(table, self.scope, names, sample.scope)
        if narrowing.ignored:
            return
        rows = narrowing.rows(sample.tables[table.name])
        is_left_out = not rows and bool(sample.truncated.get(table.name))
        number = None if is_left_out else value(shown, rows, sample.dt_ns)
        points[sample.mono_ns] = Point(sample.wall_ns, sample.dt_ns, number, bool(rows))
        if len(points) > POINTS:
            del points[next(iter(points))]

    def values(self, probe: str, mono_ns: int, limit: int) -> tuple[float | None, ...]:
        """The figures up to a moment, oldest first, one an interval; None where unknown."""
        points = self._points.get(probe, {})
        values: list[float | None] = []
        after = mono_ns
        for at in sorted((at for at in points if at <= mono_ns), reverse=True):
            point = points[at]
            if point.dt_ns > 0 and after - at > GAP * point.dt_ns:
                values += [None] * min(limit, round((after - at) / point.dt_ns) - bool(values))
            if len(values) >= limit:
                break
            values.append(point.value)
            after = at
        return tuple(values[limit - 1 :: -1] if len(values) >= limit else values[::-1])

    def last_seen(self, mono_ns: int) -> int | None:
        """UTC of the newest sample up to a moment that had a row in scope; None for none."""
        seen = [
            point.wall_ns
            for points in self._points.values()
            for at, point in points.items()
            if point.is_seen and at <= mono_ns
        ]
        return max(seen, default=None)


def _main(info: ProbeInfo) -> tuple[View, Shown] | None:
    view = next((view for view in info.views if view.kind == "table"), None)
    view = view or View("table", info.views[0].table, info.title)
    try:
        measured = columns(info, view)
    except ValueError:
        return None
    sort = Shape.of(info, view).sort
    adding = [shown for shown in measured if shown.position is not None]
    found = next((shown for shown in adding if shown.column.name == sort), None)
    found = found or next((shown for shown in adding if shown.column.fold == "sum"), None)
    return (view, found) if found else None
