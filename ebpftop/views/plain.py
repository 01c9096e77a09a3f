"""A pane as plain text: what `ebpftop top` writes, with the figures of the screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ebpftop.model import View
from ebpftop.views import format as fmt
from ebpftop.views import group, histogram
from ebpftop.views.scope import Names
from ebpftop.views.table import Shape, build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ebpftop.model import ProbeInfo, Row, Sample, Table
    from ebpftop.views.histogram import Axes, Histogram, Series
    from ebpftop.views.state import ViewState
    from ebpftop.views.store import Store
    from ebpftop.views.table import TableView

GAP = "  "
STARS = 40


@dataclass(frozen=True)
class Plan:
    """One table of a pane, and how its rows are ordered and chosen.

    Attributes:
        axes: set for tables that the pane draws as a histogram only.
        by: the role that rows are folded by; empty where they are not.
    """

    info: ProbeInfo
    shape: Shape
    state: ViewState
    axes: Axes | None = None
    by: str = ""

    @classmethod
    def of(cls, info: ProbeInfo, table: str, state: ViewState, by: str = "") -> Plan:
        """The plan for a table, the pane's first without a name.

        Raises:
            ValueError: there is no such table, column or role; the message lists those there are.
        """
        tables = [view for view in info.views if view.kind == "table"]
        wanted = table or (tables[0].table if tables else info.tables[0].name)
        known = [known.name for known in info.tables]
        if wanted not in known:
            raise ValueError(f"{info.name} has no table {wanted}; there are {', '.join(known)}")
        view = next((view for view in tables if view.table == wanted), None)
        drawn = next((v for v in info.views if v.kind == "histogram" and v.table == wanted), None)
        if view is None:
            view = View("table", wanted, drawn.title if drawn else wanted)
        if by:
            role = _role(info.table(wanted), by)
            folded, view = group.regrouped(info, view, role)
            view = _with_column(folded, view, state.sort)
            return cls(info, Shape.of(folded, view), state, None, role)
        view = _with_column(info, view, state.sort)
        axes = histogram.Axes.of(info, drawn) if drawn and view not in tables else None
        return cls(info, Shape.of(info, view), state, axes)

    @property
    def table(self) -> str:
        """Name of the table."""
        return self.shape.view.table

    def view(self, store: Store) -> TableView:
        """The rows of the newest sample."""
        sample = store.latest(self.info.name)
        if sample and self.by:
            sample = group.fold(sample, self.info.table(self.table), self.by, Names.of(store))
        return build(self.shape, sample, self.state, store.processes, store.cgroups)


def _role(table: Table, by: str) -> str:
    """A role that a table can be folded by, from its own name or what the screen calls it."""
    roles = group.groupings(table)
    for role in roles:
        if by in (role, group.GROUPINGS[role]):
            return role
    raise ValueError(f"table {table.name} has no {by} to group by; it has {', '.join(roles)}")


def _with_column(info: ProbeInfo, view: View, sort: str) -> View:
    """The view with the column that it is to be sorted by; raises ValueError for one not there."""
    shown = [shown.column.name for shown in Shape.of(info, view).columns]
    others = [c.name for c in info.table(view.table).columns if c.name not in shown]
    if not sort or sort in shown:
        return view
    if sort not in others:
        names = ", ".join((*shown, *others))
        raise ValueError(f"table {view.table} has no column {sort}; there are {names}")
    return replace(view, columns=(*view.columns, sort))


class Lines:
    """The lines of a table; from sample to sample its columns get wider, never narrower."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def of(self, view: TableView, limit: int = 0) -> Iterator[str]:
        """Titles, then the first rows, all of them without a limit; then that of the others."""
        rows = view.rows[:limit] if limit else view.rows
        titles = [fmt.clean(shown.column.title) for shown in view.columns]
        cells = [[view.text(row, i) for i in range(len(titles))] for row in rows]
        self._widen(view, [titles, *cells])
        yield self._line(view, titles)
        for texts in cells:
            yield self._line(view, texts)
        if view.others is not None:
            yield self._others(view, view.others)

    def _widen(self, view: TableView, lines: list[list[str]]) -> None:
        before = self._widths or [fmt.WIDTHS.get(shown.kind, 0) for shown in view.columns]
        self._widths = [
            max(width, *map(fmt.width, texts)) for width, texts in zip(before, zip(*lines))
        ]

    def _line(self, view: TableView, texts: Sequence[str]) -> str:
        cells = zip(texts, self._widths, view.columns)
        padded = [fmt.fit(text, width, shown.numeric) for text, width, shown in cells]
        return GAP.join(padded).rstrip()

    def _others(self, view: TableView, row: Row) -> str:
        """What the collector folded together: its figures, and a title where there is room."""
        shown = enumerate(view.columns)
        texts = [view.text(row, i) if column.measured else "" for i, column in shown]
        line = self._line(view, texts)
        title = f"{view.folded} others" if view.folded else "others"
        return title + line[len(title) :] if line.startswith(" " * len(title)) else line


def bars(plan: Plan, sample: Sample, view: TableView) -> Iterator[str]:
    """A histogram of the rows of a view as lines of stars, a picture for each of its series."""
    assert plan.axes is not None
    rows = [*view.rows, *([view.others] if view.others else ())]
    made = histogram.build(plan.axes, [replace(sample, tables={plan.table: rows})], {})
    for series in made.series:
        if series.name:
            yield series.name
        yield from _bars(made, series)
    summary = made.summary()
    if summary:
        yield GAP.join(summary)


def _bars(made: Histogram, series: Series) -> Iterator[str]:
    buckets = made.span((series,))
    labels = [made.axes.label(bucket) for bucket in buckets]
    width = max(map(fmt.width, labels), default=0)
    largest = max(series.counts.values(), default=0)
    for bucket, label in zip(buckets, labels):
        count = series.counts.get(bucket, 0)
        stars = "*" * (max(1, round(STARS * count / largest)) if count else 0)
        yield f"{fmt.fit(label, width, right=True)} : {count:<8} |{stars:{STARS}}|"


def raw(view: TableView, row: Row, cgroups: Mapping[int, str]) -> dict[str, Any]:
    """A row by the names of its columns: values as they were recorded, and what follows from them.

    Counts and times are those of the interval; computed columns are averages and shares.
    """
    fields = dict(zip(view.shape.names, row))
    process = view.process(row)
    if process:
        fields.update(command=process.comm, cmdline=process.cmdline)
    if fields.get("cgroup") in cgroups:
        fields["cgroup_name"] = cgroups[fields["cgroup"]]
    for position, shown in enumerate(view.columns):
        if shown.column.ratio:
            fields[shown.column.name] = view.value(row, position)
    return fields
