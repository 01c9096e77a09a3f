"""The functions of a flame as lines: own and total time, whose they are, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.strip import Strip

from ebpftop.ui.widgets.flameboxes import kind_of, plain
from ebpftop.views import format as fmt
from ebpftop.views.owntotal import Order, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.ui.widgets.drawing import Drawing
    from ebpftop.views.owntotal import By, Function, Functions

    Pieces = Iterator[tuple[str, str]]

HEADING = TOTAL = 1  # lines
TIME_CELLS, SHARE_CELLS, KIND_CELLS, GAP = 9, 7, 6, 2
SHARES_FROM = 56  # cells, from which there is room for shares, and for whose a function is


class FunctionTable:
    """The rows in sight.

    Attributes:
        order: what they are sorted by.
        selected: name of a function, kept whatever the next samples hold; empty for none.
    """

    def __init__(self, widget: Drawing) -> None:
        self._widget = widget
        self._shown: Functions | None = None
        self._top = 0
        self._lines = 0
        self._wide = False
        self.order = Order()
        self.selected = ""

    @property
    def row(self) -> Function | None:
        """The selected function, where it is among those that are listed."""
        shown = self._shown
        at = shown.position(self.selected) if shown and self.selected else None
        return None if shown is None or at is None else shown.rows[at]

    @property
    def below(self) -> int:
        """How many rows there are below those in sight."""
        return max(0, len(self._shown.rows) - self._top - self._lines) if self._shown else 0

    def draw(self, functions: Functions, width: int, lines: int) -> list[Strip]:
        """Heading, rows and a line of all of them, in so many lines."""
        self._shown, self._wide = functions, width >= SHARES_FROM
        self._lines = max(0, lines - HEADING - TOTAL)
        self._top = max(0, min(self._top, len(functions.rows) - self._lines))
        peak = functions.peak(self.order.by)
        strips = [self._line(self._heading(functions), width)]
        seen = functions.rows[self._top : self._top + self._lines]
        strips += [self._line(self._row(functions, row, peak), width, row) for row in seen]
        strips += [Strip([])] * (HEADING + self._lines - len(strips))
        return [*strips, self._line(self._total(functions), width, "flame--total")][:lines]

    # What the user does

    def move(self, step: int) -> None:
        """Select the row that many further down; the first time, the first in sight."""
        rows = self._shown.rows if self._shown else ()
        if not rows or not self._shown:
            return
        at = self._shown.position(self.selected)
        at = self._top if at is None else min(max(0, at + step), len(rows) - 1)
        self.selected = rows[at].name
        self._top = max(0, min(self._top, at), at - self._lines + 1)

    def page(self, step: int) -> None:
        """Select what is a page away."""
        self.move(step * max(1, self._lines - 1))

    def scroll(self, step: int) -> bool:
        """Show other rows; returns whether there are any."""
        rows = len(self._shown.rows) if self._shown else 0
        top = max(0, min(self._top + step, rows - self._lines))
        moved, self._top = top != self._top, top
        return moved

    def sort(self, by: By) -> None:
        """Sort by a column; by the same once more, the other way round."""
        self.order = self.order.turned if by == self.order.by else Order(by)

    def column_at(self, x: int) -> By:
        """What is in the column at a cell."""
        figures = self._figure_cells + GAP
        return "own" if x < figures else "total" if x < 2 * figures else "name"

    def at(self, y: int) -> Function | None:
        """The row at a line."""
        at = self._top + y - HEADING
        rows = self._shown.rows if self._shown else ()
        return rows[at] if 0 <= y - HEADING < self._lines and at < len(rows) else None

    # Lines

    @property
    def _figure_cells(self) -> int:
        return TIME_CELLS + SHARE_CELLS * self._wide

    def _line(self, pieces: Pieces, width: int, of: Function | str = "") -> Strip:
        """Pieces as a strip; all in one style for the selected row, and where one is given."""
        style = of if isinstance(of, str) else ""
        if not isinstance(of, str) and of.name == self.selected:
            style = "flame--cursor"
        drawn = ((text, style or name) for text, name in pieces)
        strip = self._widget.line(drawn)
        return strip.adjust_cell_length(width, self._widget.style(style))

    def _heading(self, functions: Functions) -> Pieces:
        mark = "▲" if self.order.reverse else "▼"
        for by, title in (("own", "OWN"), ("total", "TOTAL")):
            title += "/s" if functions.signed else ""
            here = by == self.order.by
            style = "flame--heading-sorted" if here else "flame--heading"
            yield fmt.fit(mark + title if here else title, TIME_CELLS, right=True), style
            if self._wide:
                yield fmt.fit("OF ALL", SHARE_CELLS, right=True), "flame--heading"
            yield " " * GAP, ""
        if self._wide:
            yield " " * (KIND_CELLS + GAP), ""
        here = self.order.by == "name"
        style = "flame--heading-sorted" if here else "flame--heading"
        yield "FUNCTION" + mark * here, style

    def _row(self, functions: Functions, row: Function, peak: float) -> Pieces:
        for by, time in (("own", row.own), ("total", row.total)):
            cell = fmt.fit(functions.text(time), TIME_CELLS, right=True)
            if self._wide:
                cell += fmt.fit(functions.share(time), SHARE_CELLS, right=True)
            style, bar = "", "flame--bar"
            if functions.signed:
                style = "flame--more" if time > 0 else "flame--less"
                bar = f"{style}-bar"
            filled = 0
            if by == self.order.by and peak:
                filled = round(abs(value(row, self.order.by)) / peak * len(cell))
            yield cell[:filled], bar
            yield cell[filled:], style if time else "drawing--dim"
            yield " " * GAP, ""
        if self._wide:
            kind = kind_of(row.name)
            said = "" if kind == "all" else kind
            yield fmt.fit(said, KIND_CELLS + GAP), f"flame--of-{kind}" if said else ""
        yield plain(row.name), "flame--function"

    def _total(self, functions: Functions) -> Pieces:
        own = sum(row.own for row in functions.rows)
        yield fmt.fit(functions.text(own), TIME_CELLS, right=True), ""
        if self._wide:
            yield fmt.fit(functions.share(own), SHARE_CELLS, right=True), ""
        yield " " * (GAP + self._figure_cells + GAP), ""
        if self._wide:
            yield " " * (KIND_CELLS + GAP), ""
        number, shown = functions.number, len(functions.rows)
        text = f"{number} function{'s' * (number != 1)}"
        yield text if shown == number else f"{shown} of {text}", ""
