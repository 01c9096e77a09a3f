"""What changed from one range to another, A and B: each figure of B less that of A.

Ranges may differ in length, so whatever adds up over time is compared per second. An average or a
share is computed on each side, from all of that side, and then subtracted. What a side does not
have counts as 0 where it adds up; an average, a share or a maximum of nothing is unknown instead,
and the value of the other side is shown as what came (`→3.4ms`) or went (`3.4ms→`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ebpftop.views import format as fmt
from ebpftop.views import pins
from ebpftop.views import table as tables
from ebpftop.views.chosen import choose
from ebpftop.views.ranges import is_state
from ebpftop.views.table import NOBODY, Shape, TableView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ebpftop.model import Kind, Process, Row, Sample, Table
    from ebpftop.views.state import ViewState
    from ebpftop.views.table import Reader, Shown

    Sides = tuple[Any, Any]

PLUS, MINUS, ARROW = "+", "\N{MINUS SIGN}", "→"
LEGEND = "red grew, blue shrank"
ONE_SIDED = "→x: none in A · x→: none in B"
# Of all that was measured: from there on a change is coloured, and more so at each further step.
STEPS = (0.001, 0.01, 0.03, 0.1, 0.3)


def comparable(shown: Shown) -> Shown:
    """The column as ranges of different length compare by it: totals become rates."""
    column = shown.column
    if not _adds_up(shown) or column.rate:
        return shown
    return replace(shown, column=replace(column, title=f"{column.title}/s"), per_second=True)


def change(a: float | None, b: float | None) -> float | None:
    """B less A, where a side that is unknown counts as 0; None where both are."""
    if a is None and b is None:
        return None
    return (b or 0) - (a or 0)


def written(kind: Kind, a: float | None, b: float | None) -> str:
    """A change as text, with its sign: `+1.25k`, `0`; of shares in percentage points: `+2.1pp`."""
    write = fmt.FORMATS[kind]
    if a is None or b is None:
        return write(None) if a is b else write(a) + ARROW if b is None else ARROW + write(b)
    grown = b - a
    size = write(abs(grown)) if grown else "0"
    if kind == "ratio" and grown:
        size = size.removesuffix("%") + "pp"
    return sign(grown) + size


def sign(grown: float) -> str:
    """The sign of a change; none of no change."""
    return PLUS if grown > 0 else MINUS if grown < 0 else ""


def step(grown: float, whole: float) -> int:
    """How strongly a change is coloured: 0 is not at all, 5 a large part of the whole."""
    share = abs(grown) / whole if whole else 0.0
    return sum(share >= limit for limit in STEPS)


def unmeasured(a: Sample | None, b: Sample | None) -> str:
    """Why there is nothing to compare, where one of the ranges holds no sample; else empty."""
    missing = [name for name, sample in (("A", a), ("B", b)) if sample is None]
    if len(missing) > 1:
        return "nothing was measured here"
    return f"nothing was measured in {missing[0]}" if missing else ""


def title(a: Sample, b: Sample, table: Table | None = None) -> str:
    """Which time is compared with which, for a heading: `A 5m03s → B 2m00s`."""
    if table is not None and is_state(table):
        return f"at the end of A {ARROW} at that of B"
    return f"A {fmt.ns(a.dt_ns)} {ARROW} B {fmt.ns(b.dt_ns)}"


@dataclass(frozen=True, eq=False)
class Difference(TableView):
    """A table of changes, largest first; reversed, from what shrank most to what grew most.

    A row is that of the table in B, or in A where B has none, and behind it the rows of A and of
    B, or None. `total` and `others` are made alike.
    """

    signed = True
    _sides: tuple[Callable[[Row], Sides], ...] = field(repr=False)

    def sides(self, row: Row, column: int) -> Sides:
        """The values in A and B, as the table shows them; None where unknown."""
        return self._sides[column](row)

    def absent(self, row: Row) -> str:
        """Which of the ranges does not have a row: `A`, `B`, both, or neither, the empty text."""
        return " and ".join(name for name, side in zip("AB", row[-2:]) if side is None)

    def made_of(self, row: Row) -> Sequence[Row]:
        """The row in A and that in B, as far as there are any."""
        return [side for side in row[-2:] if side is not None]

    def as_one(self, rows: Sequence[Row], others: Row | None) -> Row:
        """All rows of A as one and all of B, unless there are none."""
        return _total(self.shape, rows, others)

    def text(self, row: Row, column: int) -> str:
        """A cell, safe to show."""
        shown = self.columns[column]
        if not shown.measured:
            return super().text(row, column)
        return written(shown.kind, *self._sides[column](row))

    def share(self, row: Row) -> float:
        """Size of a row's change against the largest, from 0 to 1."""
        size = abs(self.value(row, self.sort) or 0)
        return min(1.0, size / self.peak) if self.peak else 0.0


def build(
    shape: Shape,
    a: Sample,
    b: Sample,
    state: ViewState,
    processes: Mapping[int, Process] = NOBODY,
    cgroups: Mapping[int, str] = NOBODY,
    match: Mapping[str, Any] = NOBODY,
) -> Difference:
    """The change of each row that A or B has; arguments as of `table.build`."""
    name = shape.view.table
    shown, hidden = (tuple(map(comparable, part)) for part in (shape.columns, shape.hidden))
    shape, every = replace(shape, columns=shown, hidden=hidden), (*shown, *hidden)
    one, other = (tables.readers_of(shape, s.dt_ns, processes, cgroups) for s in (a, b))
    sides = tuple(_sides_of(*readers) for readers in zip(every, one, other))
    readers = tuple(
        _change_of(both) if column.measured else reader
        for column, both, reader in zip(every, sides, other)
    )
    others, rows = _joined(shape, a.tables.get(name, ()), b.tables.get(name, ()))
    chosen = choose(shape, readers, rows, others, state, processes, match)
    sort = tables.sorted_by(shape, state)
    measured = shape.columns[sort].measured
    drawn = pins.added(chosen.rows, rows, shape, () if match else state.pinned, behind=(None, None))
    values = list(map(readers[sort], drawn))
    sizes = [None if value is None else abs(value) for value in values] if measured else values
    by_size = measured and not state.reverse
    descending = by_size or (state.reverse and not measured)
    ordered = tables.ordered(drawn, sizes if by_size else values, shape, descending)
    return Difference(
        shape,
        pins.first(ordered, shape, state.pinned),
        chosen.others,
        max(s.truncated.get(name, 0) for s in (a, b)) if chosen.others else 0,
        _total(shape, chosen.rows, chosen.others),
        chosen.available,
        sort,
        state.reverse,
        max(filter(None, sizes), default=0.0) if measured else 0.0,
        chosen.error,
        processes,
        "range",
        len(chosen.rows),
        readers,
        sides,
    )


def _adds_up(shown: Shown) -> bool:
    column = shown.column
    return column.fold == "sum" and not (column.gauge or column.ratio or column.kind == "ratio")


def _sides_of(shown: Shown, one: Reader, other: Reader) -> Callable[[Row], Sides]:
    nothing = 0 if _adds_up(shown) else None

    def sides(row: Row) -> Sides:
        a, b = row[-2], row[-1]
        return nothing if a is None else one(a), nothing if b is None else other(b)

    return sides


def _change_of(sides: Callable[[Row], Sides]) -> Reader:
    return lambda row: change(*sides(row))


def _joined(shape: Shape, a: Sequence[Row], b: Sequence[Row]) -> tuple[Row | None, list[Row]]:
    """The others, and the rows of both, each once."""
    others_a, rows_a = tables.split(a, shape.keys)
    others_b, rows_b = tables.split(b, shape.keys)
    pairs: dict[Any, list[Row | None]] = {}
    for side, rows in enumerate((rows_a, rows_b)):
        for row in rows:
            key = tuple(row[position] for position in shape.keys)
            pairs.setdefault(key, [None, None])[side] = row
    rows = [_row(shape, one, other) for one, other in pairs.values()]
    return _row(shape, others_a, others_b) if others_a or others_b else None, rows


def _row(shape: Shape, a: Row | None, b: Row | None) -> Row:
    return (*(b or a or (None,) * len(shape.folds)), a, b)


def _total(shape: Shape, rows: Sequence[Row], others: Row | None) -> Row:
    every = [*rows, others] if others else rows
    sides = ([row[side] for row in every if row[side] is not None] for side in (-2, -1))
    a, b = (tables.total(side, None, shape) if side else None for side in sides)
    return _row(shape, a, b)
