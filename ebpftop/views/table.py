"""A table as it is to be shown: which rows in which order, and the text of a cell when asked.

Rows stay the raw tuples of the sample. Order and filter are worked out once per sample, text only
for the rows that are on the screen: five thousand rows cost little more than fifty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

from ebpftop.model import Column
from ebpftop.views import format as fmt
from ebpftop.views import pins
from ebpftop.views.chosen import choose
from ebpftop.views.ranges import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ebpftop.model import Kind, ProbeInfo, Process, Row, Sample, View
    from ebpftop.views.state import Key, ViewState
    from ebpftop.views.tree import Tree

    Reader = Callable[[Row], Any]

COMMAND = Column("command", "COMMAND", "label", help="name of the process, then its command line")
NOBODY: Mapping[Any, Any] = {}


@dataclass(frozen=True)
class Shown:
    """A column on the screen.

    Attributes:
        column: its description.
        position: where its value is in a row; None where it is computed.
        above, below: for shares and averages, positions to add up above and below the bar.
        per_second: a total that is shown per second all the same, so that ranges compare.
    """

    column: Column
    position: int | None = None
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()
    per_second: bool = False

    @property
    def kind(self) -> Kind:
        """How values are written; time per time is a share."""
        column = self.column
        return "ratio" if column.kind == "ns" and column.rate else column.kind

    @property
    def numeric(self) -> bool:
        """Whether values line up on the right."""
        return self.kind in fmt.NUMERIC

    @property
    def measured(self) -> bool:
        """Whether values are figures, which sort with the largest on top."""
        return self.column.fold != "key"


@dataclass(frozen=True)
class Shape:
    """What of a table view does not change from sample to sample.

    Attributes:
        columns: the columns on the screen; `hidden` those that only a filter may ask for.
        names, folds: of the table's columns, in the order of its rows.
        keys, pid: positions in a row: of the key columns, and of the process id.
        sort: the column that orders the rows at first.
    """

    view: View
    columns: tuple[Shown, ...]
    names: tuple[str, ...]
    keys: tuple[int, ...]
    folds: tuple[str, ...]
    pid: int | None
    sort: str
    hidden: tuple[Shown, ...] = ()

    @classmethod
    def of(cls, info: ProbeInfo, view: View) -> Shape:
        """The shape of a view; raises ValueError for a column that neither it nor its table has."""
        table = info.table(view.table)
        derived = {column.name: column for column in view.derived}
        names = view.columns or tuple(c.name for c in (*table.columns, *view.derived))

        def named(name: str) -> Shown:
            if name not in derived:
                position = table.index(name)
                return Shown(table.columns[position], position)
            above, below = derived[name].ratio or ((), ())
            over, under = (tuple(map(table.index, part)) for part in (above, below))
            return Shown(derived[name], None, over, under)

        columns: list[Shown] = []
        for shown in map(named, names):
            columns.append(shown)
            if shown.column.role == "pid":
                columns.append(Shown(COMMAND))
        every = dict.fromkeys((*(column.name for column in table.columns), *derived))
        keys = tuple(i for i, column in enumerate(table.columns) if column.fold == "key")
        pids = (i for i, column in enumerate(table.columns) if column.role == "pid")
        titled = [column.column.name for column in columns]
        measured = (column.column.name for column in columns if column.measured)
        sort = view.sort if view.sort in titled else next(measured, titled[0])
        return cls(
            view,
            tuple(columns),
            tuple(column.name for column in table.columns),
            keys,
            tuple(column.fold for column in table.columns),
            next(pids, None),
            sort,
            tuple(named(name) for name in every if name not in names),
        )


@dataclass(frozen=True, eq=False)
class TableView:
    """Rows of one sample in the order of the screen.

    Attributes:
        rows: rows that passed the filter, in order, and pinned ones, which come first; the row of
            the others is not among them.
        others: what the collector folded together, or None; `folded` says how many rows it was.
        total: all rows that passed the filter and the others as one; its keys are None.
        available: number of rows before the filter; `matched` of those that passed it.
        sort: position of the column that orders the rows.
        peak: largest value of that column, for bars.
        error: why the filter is none.
        period: what the rows are of, in a word: an interval, or a range.
        readers: how the values of shown columns, and then of hidden ones, are taken from a row.
        tree: how the rows are drawn, where they are cgroups that are in one another.
        signed: whether figures are changes.
    """

    shape: Shape
    rows: Sequence[Row]
    others: Row | None
    folded: int
    total: Row
    available: int
    sort: int
    reverse: bool
    peak: float
    error: str
    processes: Mapping[int, Process]
    period: str
    matched: int
    readers: tuple[Reader, ...] = field(repr=False)
    tree: Tree | None = field(default=None, kw_only=True)

    signed: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[Shown, ...]:
        """The columns, from left to right."""
        return self.shape.columns

    def key(self, row: Row) -> Key:
        """What tells a row from the others, from sample to sample."""
        return tuple(row[position] for position in self.shape.keys)

    def position(self, key: Key | None) -> int | None:
        """Where the row with that key is now; None where it is not shown."""
        if key is None:
            return None
        return next((i for i, row in enumerate(self.rows) if self.key(row) == key), None)

    def has(self, key: Key) -> bool:
        """Whether there is a row with that key; one that is only pinned is none."""
        position = self.position(key)
        return position is not None and not self.is_blank(self.rows[position])

    def is_blank(self, row: Row) -> bool:
        """Whether a row has nothing but its keys: it is there because it is pinned."""
        return all(value is None for value, fold in zip(row, self.shape.folds) if fold != "key")

    def value(self, row: Row, column: int) -> Any:
        """A value as the screen means it: rates divided, shares computed; None where unknown."""
        return self.readers[column](row)

    def text(self, row: Row, column: int) -> str:
        """A cell, safe to show."""
        if self.tree and not column:
            return self.tree.text(row[0])
        return fmt.FORMATS[self.columns[column].kind](self.readers[column](row))

    def made_of(self, row: Row) -> Sequence[Row]:
        """The rows of samples behind a row: itself; of a comparison one or two, or none."""
        return (row,)

    def as_one(self, rows: Sequence[Row], others: Row | None) -> Row:
        """Some rows and the others as one; its keys are None."""
        return total(rows, others, self.shape)

    def process(self, row: Row) -> Process | None:
        """Who a row is about."""
        if self.shape.pid is None:
            return None
        return self.processes.get(row[self.shape.pid])

    def share(self, row: Row) -> float:
        """Size of a row's sorted figure against the largest, from 0 to 1."""
        if not self.peak:
            return 0.0
        return min(1.0, (self.readers[self.sort](row) or 0) / self.peak)


def build(
    shape: Shape,
    sample: Sample | None,
    state: ViewState,
    processes: Mapping[int, Process] = NOBODY,
    cgroups: Mapping[int, str] = NOBODY,
    match: Mapping[str, Any] = NOBODY,
) -> TableView:
    """The rows of a sample as `state` wants them; with `match`, only those of that selection."""
    name = shape.view.table
    rows: Sequence[Row] = sample.tables.get(name, ()) if sample else ()
    readers = readers_of(shape, sample.dt_ns if sample else 0, processes, cgroups)
    others, rows = split(rows, shape.keys)
    chosen = choose(shape, readers, rows, others, state, processes, match)
    sort = sorted_by(shape, state)
    shown = shape.columns[sort]
    drawn = pins.added(chosen.rows, rows, shape, () if match else state.pinned)
    values = list(map(readers[sort], drawn))
    # A share is measured against the whole, everything else against the largest.
    whole = 1.0 if shown.kind == "ratio" else 0.0
    peak = max(filter(None, values), default=0.0) if shown.measured else 0.0
    in_order = ordered(drawn, values, shape, shown.measured != state.reverse)
    return TableView(
        shape,
        pins.first(in_order, shape, state.pinned),
        chosen.others,
        (sample.truncated.get(name, 0) if sample else 0) if chosen.others else 0,
        total(chosen.rows, chosen.others, shape),
        chosen.available,
        sort,
        state.reverse,
        max(whole, peak),
        chosen.error,
        processes,
        "range" if isinstance(sample, Span) else "interval",
        len(chosen.rows),
        readers,
    )


def sorted_by(shape: Shape, state: ViewState) -> int:
    """Position of the column that orders the rows."""
    names = [column.column.name for column in shape.columns]
    return names.index(state.sort if state.sort in names else shape.sort)


def readers_of(
    shape: Shape, dt_ns: int, processes: Mapping[int, Process], cgroups: Mapping[int, str]
) -> tuple[Reader, ...]:
    """How the value of each column is taken from a row of so much time: shown ones, then hidden."""
    every = (*shape.columns, *shape.hidden)
    return tuple(_reader(column, shape, dt_ns, processes, cgroups) for column in every)


def _reader(
    shown: Shown,
    shape: Shape,
    dt_ns: int,
    processes: Mapping[int, Process],
    cgroups: Mapping[int, str],
) -> Reader:
    """How the value of a column is taken from a row."""
    column = shown.column
    if column is COMMAND:
        return _name_reader(shape.pid or 0, processes)
    if shown.position is None:
        return _ratio_reader(shown.above, shown.below)
    if column.role == "cgroup":
        return _cgroup_reader(shown.position, cgroups)
    if shown.per_second:
        return _rate_reader(shown.position, dt_ns / 1e9)
    if column.rate:
        return _rate_reader(shown.position, dt_ns / (1 if column.kind == "ns" else 1e9))
    return itemgetter(shown.position)


def _name_reader(pid: int, processes: Mapping[int, Process]) -> Reader:
    def name(row: Row) -> str | None:
        process = processes.get(row[pid])
        return process.comm if process else None

    return name


def _cgroup_reader(position: int, cgroups: Mapping[int, str]) -> Reader:
    def cgroup(row: Row) -> str | int | None:
        number = row[position]
        return cgroups.get(number) or number or None

    return cgroup


def _rate_reader(position: int, interval: float) -> Reader:
    def rate(row: Row) -> float | None:
        value = row[position]
        return None if value is None or interval <= 0 else value / interval

    return rate


def _ratio_reader(above: tuple[int, ...], below: tuple[int, ...]) -> Reader:
    def ratio(row: Row) -> float | None:
        try:
            divisor = sum(row[position] for position in below)
            return sum(row[position] for position in above) / divisor if divisor else None
        except TypeError:  # a part is unknown, and so is the whole
            return None

    return ratio


def split(rows: Sequence[Row], keys: tuple[int, ...]) -> tuple[Row | None, Sequence[Row]]:
    """The row of the others, whose keys are all None, and the rest."""
    if not keys:
        return None, rows
    # The first key decides nearly always; the rest is looked at only where it is None.
    first = keys[0]
    folded = [row for row in rows if row[first] is None and all(row[i] is None for i in keys)]
    if not folded:
        return None, rows
    return folded[0], [row for row in rows if row is not folded[0]]


def ordered(
    rows: Sequence[Row], values: Sequence[Any], shape: Shape, descending: bool
) -> Sequence[Row]:
    """Rows by value, unknown ones last; equal ones by their keys, so that they stand still."""
    known = [i for i, value in enumerate(values) if value is not None]
    order = _sorted(known, values, descending)
    if len(known) < len(values):
        order += [i for i, value in enumerate(values) if value is None]
    if shape.keys:
        keys = list(map(itemgetter(*shape.keys), rows))
        start = 0
        for end in range(1, len(order) + 1):
            if end == len(order) or values[order[end]] != values[order[start]]:
                if end - start > 1:
                    order[start:end] = _sorted(order[start:end], keys)
                start = end
    return [rows[i] for i in order]


def _sorted(indexes: list[int], values: Sequence[Any], descending: bool = False) -> list[int]:
    try:
        return sorted(indexes, key=values.__getitem__, reverse=descending)
    except TypeError:  # unknown, or of another type, in some rows only
        return sorted(indexes, key=lambda i: str(values[i]), reverse=descending)


def total(rows: Sequence[Row], others: Row | None, shape: Shape) -> Row:
    """All rows folded into one; a figure that is unknown in one row is unknown in total."""
    columns = list(zip(*rows, *((others,) if others else ()))) if rows or others else []
    folded: list[Any] = []
    for position, fold in enumerate(shape.folds):
        values = columns[position] if columns else ()
        try:
            if fold == "key":
                folded.append(None)
            else:
                folded.append(sum(values) if fold == "sum" else max(values, default=0))
        except TypeError:
            folded.append(None)
    return tuple(folded)
