"""How wide the columns of a table are, in the room that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.views import format as fmt
from ebpftop.views.table import COMMAND
from ebpftop.views.tree import PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpftop.views.table import Shown, TableView

MARK = 1  # cells for the mark of the sorted column
NAME_MIN, NAME_WHOLE, NAME_MAX = 12, 16, 64  # a whole command name is of 15 bytes at most
LABEL_MAX = 40
TREE_MIN = 24
STACK_MIN = 24
GAP, TIGHT_GAP = 2, 1


@dataclass(frozen=True)
class Columns:
    """Widths of the columns, the gap between two, and how many stay when the rest is scrolled."""

    widths: tuple[int, ...]
    gap: int
    fixed: int

    @property
    def total(self) -> int:
        """Cells of a row: every column, a gap after each."""
        return sum(self.widths) + self.gap * len(self.widths)

    @property
    def fixed_width(self) -> int:
        """Cells of the columns that stay."""
        return sum(self.widths[: self.fixed]) + self.gap * self.fixed

    def at(self, x: int) -> int | None:
        """The column at a cell of an unscrolled row."""
        end = 0
        for position, width in enumerate(self.widths):
            end += width + self.gap
            if x < end:
                return position
        return None


def natural(view: TableView, first: int, last: int, before: Sequence[int] = ()) -> tuple[int, ...]:
    """Width that each column needs for the rows from `first` to `last`.

    Never less than `before`, so that columns do not move to and fro with every sample.
    """
    rows = view.rows[first:last]
    widths = []
    for position, shown in enumerate(view.columns):
        width = fmt.width(shown.column.title) + MARK
        known = fmt.WIDTHS.get(shown.kind)
        if known is not None:
            width = max(width, known + (view.signed and shown.measured))
        elif shown.column is COMMAND:
            cells = (fmt.width(view.text(row, position)) for row in rows)
            width = min(NAME_WHOLE, max(NAME_MIN, *cells, NAME_MIN))
        elif shown.kind == "stack":
            width = STACK_MIN
        else:
            cells = (fmt.width(view.text(row, position)) for row in rows)
            width = max(width, min(LABEL_MAX, max(cells, default=0)))
        widths.append(max(width, before[position] if before else 0))
    return tuple(widths)


def place(columns: Sequence[Shown], widths: Sequence[int], room: int) -> Columns:
    """Columns for a room of so many cells: names and stacks take what is left over."""
    gap = GAP if sum(widths) + GAP * len(widths) - GAP <= room else TIGHT_GAP
    spare = room - sum(widths) - gap * (len(widths) - 1)
    placed = list(widths)
    names = [i for i, shown in enumerate(columns) if shown.column in (COMMAND, PATH)]
    stacks = [i for i, shown in enumerate(columns) if shown.kind == "stack"]
    if spare > 0 and stacks:
        placed[stacks[0]] += spare
    elif names:
        wanted = placed[names[0]] + spare
        least = NAME_MIN if columns[names[0]].column is COMMAND else TREE_MIN
        placed[names[0]] = min(NAME_MAX, max(least, wanted))
    fixed = names[0] + 1 if names else 1
    return Columns(tuple(placed), gap, fixed)
