"""The table of a pane: draws only the lines that are on the screen.

The first line is the heading; the rows scroll between it and the last lines, which are the total
and, while a row is selected, who it is about. The cursor is the key of a row, not its place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip

from ebpftop.ui import actions
from ebpftop.ui.messages import RowSelected
from ebpftop.ui.widgets import cells
from ebpftop.ui.widgets.strips import Strips
from ebpftop.views import columns as layout
from ebpftop.views import difference as differences
from ebpftop.views import follow, tree
from ebpftop.views import format as fmt
from ebpftop.views import table as tables
from ebpftop.views.ranges import over
from ebpftop.views.scope import Names
from ebpftop.views.state import ViewState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.events import Click, Resize

    from ebpftop.model import ProbeInfo, Row, Sample, View
    from ebpftop.views.state import Key

HEADING = 1


class SampleTable(Strips, can_focus=True):
    """Rows of the newest sample of one table view.

    Attributes:
        shape: what is drawn of which table.
        state: what the user has set.
        remark: what the heading says besides; may be set at any time.
    """

    BINDINGS = actions.bindings(actions.TABLE)
    ALLOW_SELECT = False
    COMPONENT_CLASSES = cells.CLASSES

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(classes="view")
        self.shape = tables.Shape.of(info, view)
        self._table = info.table(view.table)
        self.state = ViewState()
        self._sample: Sample | None = None
        self._names = Names()
        self._match: Mapping[str, Any] = {}
        self._ranges: tuple[Sample | None, Sample | None] | None = None
        self._view = tables.build(self.shape, None, self.state)
        self._natural: tuple[int, ...] = ()
        self._at = 0
        self.remark = ""
        self.border_title = Content(view.title)

    def regroup(self, info: ProbeInfo, view: View, state: ViewState) -> None:
        """Be the table of another view, with what is set for it; it is drawn by `show`."""
        self.shape, self._table = tables.Shape.of(info, view), info.table(view.table)
        self.state, self._sample, self._ranges = state, None, None
        self._view = tables.build(self.shape, None, state)
        self._natural = ()
        self._at = 0
        self.scroll_to(0, 0, animate=False)

    def show(self, sample: Sample | None, names: Names, match: Mapping[str, Any]) -> None:
        """Draw a sample, or the sum of a range; with `match`, only the rows of that selection."""
        self._sample, self._names, self._match = sample, names, match
        self._set_ranges(None)
        self._rebuild()

    def compare(
        self, a: Sample | None, b: Sample | None, names: Names, match: Mapping[str, Any]
    ) -> None:
        """Draw what changed from the sum A to the sum B, until `show` is called again."""
        self._sample, self._names, self._match = b, names, match
        self._set_ranges((a, b))
        self._rebuild()

    def _set_ranges(self, ranges: tuple[Sample | None, Sample | None] | None) -> None:
        if (ranges is None) != (self._ranges is None):
            self._natural = ()  # changes are a cell wider, for their sign
        self._ranges = ranges

    @property
    def view(self) -> tables.TableView:
        """What is on the screen."""
        return self._view

    @property
    def selection(self) -> dict[str, Any]:
        """Key columns of the selected row; empty while nothing is selected."""
        if self.state.cursor is None:
            return {}
        names = (self.shape.names[position] for position in self.shape.keys)
        return dict(zip(names, self.state.cursor))

    # What the user sets

    def sort_by(self, column: int) -> None:
        """Order by a column; by the same once more, the other way round."""
        if column == self._view.sort:
            self.reverse()
        else:
            name = self._view.columns[column].column.name
            self.state = replace(self.state, sort=name, reverse=False)
            self._rebuild()

    def move_sort(self, step: int) -> None:
        """Order by the column that many to the right."""
        column = (self._view.sort + step) % len(self._view.columns)
        self.sort_by(column)
        self._scroll_to_column(column)

    def reverse(self) -> None:
        """Turn the order round."""
        self.state = replace(self.state, reverse=not self.state.reverse)
        self._rebuild()

    @property
    def filtered(self) -> str:
        """The filter."""
        return self.state.filter

    def filter(self, text: str) -> None:
        """Show only the rows that match."""
        if text != self.state.filter:
            self.state = replace(self.state, filter=text)
            self._rebuild()

    def select(self, position: int | None) -> None:
        """Put the cursor on the row that is now at a position, or take it away."""
        rows = self._view.rows
        key = None
        if position is not None and rows:
            self._at = min(max(0, position), len(rows) - 1)
            key = self._view.key(rows[self._at])
        if key == self.state.cursor:
            return
        before, self.state = self.state.cursor, self.state.at(key)
        self._describe()
        if before is None or key is None:
            self._place()  # there is one line more below the rows, or one less
            self.refresh()
        else:
            self._refresh_row(before)
            self._refresh_row(key)
            self.refresh(Region(0, self.size.height - 1, self.size.width, 1))
        if key is not None:
            self._scroll_to_row(self._at)
        self.post_message(RowSelected(self))

    def action_move(self, step: int) -> None:
        """Move the cursor; the first move puts it on the first row on the screen."""
        if self.state.cursor is None:
            self.select(round(self.scroll_y) if step > 0 else len(self._view.rows) - 1)
            return
        position = self._view.position(self.state.cursor)
        self.select((self._at if position is None else position) + step)

    def action_page(self, step: int) -> None:
        """Move the cursor by what is visible at once."""
        self.action_move(step * max(1, self._visible_rows - 1))

    def action_first(self) -> None:
        """Put the cursor on the first row."""
        self.select(0)
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        """Put the cursor on the last row."""
        self.select(len(self._view.rows) - 1)

    def action_sideways(self, step: int) -> None:
        """Fold or unfold a line of a tree; else scroll the columns, if there is no room for all."""
        if not self._step_in_tree(step):
            self.scroll_to(x=self.scroll_x + 8 * step, animate=False)

    def toggle_follow(self) -> None:
        """Keep the selected row in sight, whatever becomes of it, or no more."""
        self.state = follow.toggled(self._view, self.state)
        self._rebuild()

    def toggle_pin(self) -> None:
        """Keep the selected row on top, or no more."""
        if self.state.cursor is not None:
            self.state = self.state.with_pin(self.state.cursor)
            self._rebuild()

    def toggle_tree_node(self, path: str) -> None:
        """Hide what is below a cgroup's line, or show it again."""
        line = self._view.tree.lines.get(path) if self._view.tree else None
        if line and line.mark != tree.LEAF:
            self.state = self.state.with_fold(path, collapsed=line.mark == tree.OPEN)
            self._rebuild()

    def action_unfold(self) -> None:
        """Show all lines of a tree."""
        self.state = replace(self.state, collapsed=frozenset())
        self._rebuild()

    def _step_in_tree(self, step: int) -> bool:
        """Fold the selected line or go to the one above; or unfold it, or go to the one below.

        Returns whether there was such a step.
        """
        path = self.state.cursor[0] if self.state.cursor and self._view.tree else None
        line = self._view.tree.lines.get(path) if self._view.tree and path else None
        if path is None or line is None or (step < 0 and self.scroll_x):
            return False
        if line.mark == (tree.CLOSED if step > 0 else tree.OPEN) and not self.state.filter:
            self.toggle_tree_node(path)
        elif step > 0 and line.mark == tree.OPEN:
            self.action_move(1)
        elif step < 0 and line.above:
            self.select(self._view.position((line.above,)))
        else:
            return False
        return True

    def on_click(self, event: Click) -> None:
        """A click on the heading sorts, one on a row selects."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < HEADING:
            fixed = self._columns.fixed_width
            x = offset.x if offset.x < fixed else offset.x + self.scroll_offset.x
            column = self._columns.at(x)
            if column is not None:
                self.sort_by(column)
            return
        position = self.scroll_offset.y + offset.y - HEADING
        if offset.y < self.size.height - self._footer and position < len(self._view.rows):
            path = self._view.rows[position][0]
            if self._view.tree and self._view.tree.lines[path].is_mark(offset.x):
                self.toggle_tree_node(path)
            else:
                self.select(position)

    def on_resize(self, event: Resize) -> None:
        """Give the columns the new room."""
        del event
        self._place()

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width, view, columns = self.size.width, self._view, self._columns
        if y < HEADING:
            return self._heading(width)
        below = y - (self.size.height - self._footer)
        cursor = self.state.cursor
        if below >= 0 and (view.rows or cursor is not None):
            if below and cursor is not None:
                return self._line(cells.selected(view, cursor), "table--selected", width)
            return self._strip(cells.total(view, columns), "table--total", width)
        position = self.scroll_offset.y + y - HEADING
        if position < len(view.rows):
            return self._row_strip(view.rows[position], width)
        if position == len(view.rows) and view.others is not None:
            return self._strip(cells.others(view, columns, view.others), "", width)
        if position == 0:
            return self._line(self._empty(), "table--empty", width)
        return Strip.blank(width, self._style(""))

    def _heading(self, width: int) -> Strip:
        strip = self._strip(cells.heading(self._view, self._columns), "table--heading", width)
        return self._with_arrows(strip, "table--heading-sorted")

    def _row_strip(self, row: Row, width: int) -> Strip:
        key = self._view.key(row)
        drawn = cells.row_cells(self._view, self._columns, row, key in self.state.pinned)
        if key == self.state.cursor:
            drawn = ((text, "table--cursor") for text, _ in drawn)
            return self._strip(drawn, "table--cursor", width)
        return self._strip(drawn, "", width)

    def _empty(self) -> str:
        if self._ranges and None in self._ranges:
            return differences.unmeasured(*self._ranges)
        if self._sample is None:
            return "measuring the first interval"
        if self.state.filter:
            return "no row matches the filter"
        period = "either range" if self._ranges else f"this {self._view.period}"
        return f"nothing {'of the selected row ' if self._match else ''}in {period}"

    # Where things are

    @property
    def _visible_rows(self) -> int:
        return max(1, self.size.height - HEADING - self._footer)

    @property
    def _footer(self) -> int:
        """Lines below the rows."""
        return 1 if self.state.cursor is None else 2

    def _rebuild(self) -> None:
        """Work the rows out anew; the cursor stays in sight if it was."""
        before = self._view.position(self.state.cursor)
        seen = before is not None and self._is_visible(before)
        self._view = self._built()
        cursor, self.state = self.state.cursor, follow.moved_on(self._view, self.state)
        self._place()
        after = self._view.position(self.state.cursor)
        if after is not None:
            self._at = after
            if seen or self.state.follow:
                self._scroll_to_row(after)
        self._describe()
        self.refresh()
        if self.state.cursor != cursor:
            self.post_message(RowSelected(self))

    def _built(self) -> tables.TableView:
        a, b = self._ranges or (None, None)
        names = self._names.processes, self._names.cgroups
        is_tree = tree.is_tree(self.shape)
        state = replace(self.state, filter="") if is_tree else self.state
        built: tables.TableView
        if a and b:
            built = differences.build(self.shape, a, b, state, *names, self._match)
        else:
            sample = None if self._ranges else self._sample
            built = tables.build(self.shape, sample, state, *names, self._match)
        return tree.arranged(built, self.state, self._names) if is_tree else built

    def _place(self) -> None:
        top = self.scroll_offset.y
        last = top + max(self._visible_rows, 50)
        self._natural = layout.natural(self._view, top, last, self._natural)
        self._columns = layout.place(self._view.columns, self._natural, self._room)
        rows = len(self._view.rows) + (self._view.others is not None)
        lines = HEADING + rows + self._footer
        size = Size(max(self._columns.total - self._columns.gap, 1), lines)
        if size != self.virtual_size:
            self.virtual_size = size

    def _refresh_row(self, key: Key) -> None:
        position = self._view.position(key)
        if position is not None:
            self.refresh_line(position + HEADING)

    def _is_visible(self, position: int) -> bool:
        top = self.scroll_offset.y
        return top <= position < top + self._visible_rows

    def _scroll_to_row(self, position: int) -> None:
        top, height = self.scroll_offset.y, self._visible_rows
        if position < top:
            self.scroll_to(y=position, animate=False)
        elif position >= top + height:
            self.scroll_to(y=position - height + 1, animate=False)

    def _describe(self) -> None:
        """Say in the border what time it is about, and what is filtered."""
        parts = [self.shape.view.title]
        a, b = self._ranges or (None, None)
        if a and b:
            parts.append(differences.title(a, b, self._table))
        elif self._sample and not self._ranges:
            parts.append(over(self._sample, self._table))
        parts.append(self.remark)
        if self.state.follow and self.state.cursor is not None:
            parts.append(f"following {follow.name(self._view, self.state.cursor)}")
        if self.state.pinned:
            parts.append(f"{len(self.state.pinned)} pinned")
        if self.state.filter:
            wrong = f" ({self._view.error})" if self._view.error else ""
            parts.append(f"filter: {self.state.filter}{wrong}")
        self.border_title = Content(fmt.clean(cells.SEPARATOR.join(filter(None, parts))))
        legend = (differences.LEGEND, differences.ONE_SIDED) if a and b else ()
        self.border_subtitle = Content(cells.SEPARATOR.join(legend))
