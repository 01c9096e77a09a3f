"""The table of a pane: draws only the lines that are on the screen.

The first line is the heading, the last one the total; between them the rows scroll. The cursor is
the key of a row, not its place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ebpftop.ui import actions
from ebpftop.ui.messages import RowSelected
from ebpftop.ui.themes import HEAT_LEVELS
from ebpftop.views import columns as layout
from ebpftop.views import format as fmt
from ebpftop.views import table as tables
from ebpftop.views.state import ViewState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.style import Style
    from textual.events import Click, Resize

    from ebpftop.model import ProbeInfo, Process, Row, Sample, View

HEADING, TOTAL = 1, 1
COMMAND_LINE_FROM = 24  # cells of the command column from which there is room for the arguments


class SampleTable(ScrollView, can_focus=True):
    """Rows of the newest sample of one table view."""

    BINDINGS = actions.bindings(actions.TABLE)
    ALLOW_SELECT = False
    COMPONENT_CLASSES = {
        "table--heading",
        "table--heading-sorted",
        "table--name",
        "table--sorted",
        "table--dim",
        "table--bar",
        "table--cursor",
        "table--total",
        "table--empty",
        *(f"table--heat-{level}" for level in range(HEAT_LEVELS)),
    }

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(classes="view")
        self.shape = tables.Shape.of(info, view)
        self.state = ViewState()
        self._sample: Sample | None = None
        self._names: tuple[Mapping[int, Process], Mapping[int, str]] = ({}, {})
        self._match: Mapping[str, Any] = {}
        self._view = tables.build(self.shape, None, self.state)
        self._natural: tuple[int, ...] = ()
        self._columns = layout.Columns((), layout.GAP, 0)
        self._at = 0
        self._styles: dict[str, Style] = {}
        self.border_title = Content(view.title)

    def show(
        self,
        sample: Sample | None,
        processes: Mapping[int, Process],
        cgroups: Mapping[int, str],
        match: Mapping[str, Any],
    ) -> None:
        """Draw a sample; with `match`, only the rows of that selection."""
        self._sample, self._names, self._match = sample, (processes, cgroups), match
        self._rebuild()

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
        self.state = replace(self.state, cursor=key)
        if key is not None:
            self._scroll_to_row(self._at)
        self._describe()
        self.refresh()
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

    def action_scroll_columns(self, step: int) -> None:
        """Scroll sideways, where the columns need more room than there is."""
        self.scroll_to(x=self.scroll_x + 8 * step, animate=False)

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
        position = self._row_at(offset.y)
        if position is not None and position < len(self._view.rows):
            self.select(position)

    def on_resize(self, event: Resize) -> None:
        """Give the columns the new room."""
        del event
        self._place()

    def notify_style_update(self) -> None:
        """Forget the colours of the theme before."""
        super().notify_style_update()
        self._styles.clear()

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        if y < HEADING:
            return self._strip(self._heading(), "table--heading", width)
        if y == self.size.height - 1 and self._view.rows:
            return self._strip(self._total_cells(), "table--total", width)
        position = self._row_at(y)
        rows = self._view.rows
        if position is None or position > len(rows):
            return Strip.blank(width, self._style(""))
        if position < len(rows):
            return self._row_strip(rows[position], width)
        if self._view.others is not None:
            cells = self._plain_cells(self._view.others, self._others_title(), "table--dim")
            return self._strip(cells, "", width)
        if not rows:
            return Strip([Segment(f" {self._empty()}", self._style("table--empty"))])
        return Strip.blank(width, self._style(""))

    def _row_strip(self, row: Row, width: int) -> Strip:
        view = self._view
        if self.state.cursor is not None and view.key(row) == self.state.cursor:
            cells = ((text, "table--cursor") for text, _ in self._cells(row))
            return self._strip(cells, "table--cursor", width)
        return self._strip(self._cells(row), "", width)

    def _cells(self, row: Row) -> Iterator[tuple[str, str]]:
        """Texts of a row, with their component class; the sorted figure is drawn over a bar."""
        view = self._view
        for position, (shown, width) in enumerate(zip(view.columns, self._columns.widths)):
            value = view.value(row, position)
            cell = fmt.fit(fmt.FORMATS[shown.kind](value), width, shown.numeric)
            if not value:
                yield cell, "table--dim"
            elif shown.column is tables.COMMAND:
                yield from self._command(row, value, width)
            elif position == view.sort and shown.measured:
                share = view.share(row)
                level = min(HEAT_LEVELS - 1, int(share * HEAT_LEVELS))
                filled = round(share * width)
                yield cell[:filled], "table--bar"
                yield cell[filled:], f"table--heat-{level}"
            else:
                yield cell, ""
            yield " " * self._columns.gap, ""

    def _command(self, row: Row, comm: str, width: int) -> Iterator[tuple[str, str]]:
        """The name, and behind it the command line where there is room for it."""
        process, name = self._view.process(row), fmt.cut(fmt.clean(comm), width)
        if width < COMMAND_LINE_FROM or process is None or not process.cmdline:
            yield fmt.fit(name, width), "table--name"
            return
        name += "  "
        yield name, "table--name"
        yield fmt.fit(fmt.clean(process.cmdline), width - fmt.width(name)), "table--dim"

    def _heading(self) -> Iterator[tuple[str, str]]:
        view = self._view
        mark = "▲" if view.reverse else "▼"
        for position, (shown, width) in enumerate(zip(view.columns, self._columns.widths)):
            title, style = shown.column.title, "table--heading"
            if position == view.sort:
                style = "table--heading-sorted"
                title = mark + title if shown.numeric else title + mark
            yield fmt.fit(title, width, shown.numeric), style
            yield " " * self._columns.gap, "table--heading"

    def _total_cells(self) -> Iterator[tuple[str, str]]:
        view = self._view
        count = len(view.rows) + view.folded
        available = view.available + view.folded
        title = f"{count} rows" if count == available else f"{count} of {available} rows"
        title = f"total, {title}"
        return self._plain_cells(view.total, title, "table--total")

    def _others_title(self) -> str:
        return f"{self._view.folded} others" if self._view.folded else "others"

    def _plain_cells(self, row: Row, title: str, style: str) -> Iterator[tuple[str, str]]:
        """A row that is about no one in particular: figures, and a title over its key columns."""
        room, untitled = 0, True
        for position, (shown, width) in enumerate(zip(self._view.columns, self._columns.widths)):
            if not shown.measured and untitled:
                room += width + self._columns.gap
                continue
            if untitled:
                yield fmt.fit(title, room), style
                untitled = False
            text = fmt.fit(self._view.text(row, position), width, shown.numeric)
            yield (text if shown.measured else " " * width), style
            yield " " * self._columns.gap, style

    def _empty(self) -> str:
        if self._sample is None:
            return "measuring the first interval"
        if self.state.filter:
            return "no row matches the filter"
        if self._match:
            return "nothing of the selected row in this interval"
        return "nothing in this interval"

    def _strip(self, cells: Iterator[tuple[str, str]], base: str, width: int) -> Strip:
        """Cells side by side, scrolled sideways behind those that stay."""
        segments: list[Segment] = []
        text, before = "", base
        for cell, name in cells:
            if name != before:
                if text:
                    segments.append(Segment(text, self._style(before)))
                text, before = "", name
            text += cell
        segments.append(Segment(text, self._style(before)))
        strip, style = Strip(segments), self._style(base)
        scrolled, fixed = self.scroll_offset.x, self._columns.fixed_width
        if not scrolled:
            return strip.adjust_cell_length(width, style)
        rest = strip.crop(fixed + scrolled, scrolled + width).extend_cell_length(
            width - fixed, style
        )
        return Strip.join((strip.crop(0, fixed), rest))

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(name) if name else self.rich_style
            self._styles[name] = style
        return style

    # Where things are

    @property
    def _visible_rows(self) -> int:
        return max(1, self.size.height - HEADING - TOTAL)

    def _row_at(self, y: int) -> int | None:
        if y < HEADING or y >= self.size.height:
            return None
        return self.scroll_offset.y + y - HEADING

    def _rebuild(self) -> None:
        """Work the rows out anew; the cursor stays in sight if it was."""
        before = self._view.position(self.state.cursor)
        seen = before is not None and self._is_visible(before)
        self._view = tables.build(self.shape, self._sample, self.state, *self._names, self._match)
        self._place()
        after = self._view.position(self.state.cursor)
        if after is not None:
            self._at = after
            if seen:
                self._scroll_to_row(after)
        self._describe()
        self.refresh()

    def _place(self) -> None:
        top = self.scroll_offset.y
        last = top + max(self._visible_rows, 50)
        self._natural = layout.natural(self._view, top, last, self._natural)
        self._columns = layout.place(self._view.columns, self._natural, self.size.width)
        lines = HEADING + TOTAL + len(self._view.rows) + (self._view.others is not None)
        size = Size(max(self._columns.total - self._columns.gap, 1), lines)
        if size != self.virtual_size:
            self.virtual_size = size

    def _is_visible(self, position: int) -> bool:
        top = self.scroll_offset.y
        return top <= position < top + self._visible_rows

    def _scroll_to_row(self, position: int) -> None:
        top, height = self.scroll_offset.y, self._visible_rows
        if position < top:
            self.scroll_to(y=position, animate=False)
        elif position >= top + height:
            self.scroll_to(y=position - height + 1, animate=False)

    def _scroll_to_column(self, column: int) -> None:
        places = self._columns
        if column < places.fixed:
            return
        start = sum(places.widths[:column]) + places.gap * column
        end, shift = start + places.widths[column], self.scroll_offset.x
        if end - shift > self.size.width:
            self.scroll_to(x=end - self.size.width, animate=False)
        elif start - shift < places.fixed_width:
            self.scroll_to(x=start - places.fixed_width, animate=False)

    def _describe(self) -> None:
        """Say in the border what is filtered, and who is selected."""
        title = Content(self.shape.view.title)
        if self.state.filter:
            wrong = f" ({self._view.error})" if self._view.error else ""
            title = Content(
                f"{self.shape.view.title} · filter: {fmt.clean(self.state.filter)}{wrong}"
            )
        self.border_title = title
        self.border_subtitle = Content(self._selected()) if self.state.cursor else None

    def _selected(self) -> str:
        view, cursor = self._view, self.state.cursor
        assert cursor is not None
        if self.shape.pid is None:
            return " ".join(fmt.label(value) for value in cursor)
        pid = cursor[self.shape.keys.index(self.shape.pid)]
        process = view.processes.get(pid)
        gone = "" if view.position(cursor) is not None else "not in this interval"
        if process is None:
            return " · ".join(filter(None, (f"{pid}", gone)))
        parts = (f"{pid} {process.comm}", process.user, process.unit, process.cmdline, gone)
        return fmt.clean(" · ".join(filter(None, parts)))
