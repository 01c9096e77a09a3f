"""The lines of a table as texts with their component classes; the colours are the theme's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.views import format as fmt
from ebpftop.views.difference import ARROW, Difference
from ebpftop.views.table import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.model import Row
    from ebpftop.views.columns import Columns
    from ebpftop.views.state import Key
    from ebpftop.views.table import TableView
    from ebpftop.views.tree import Line

    Cells = Iterator[tuple[str, str]]

CLASSES = {
    "table--heading",
    "table--heading-sorted",
    "table--name",
    "table--pin",
    "table--dim",
    "table--bar",
    "table--cursor",
    "table--total",
    "table--selected",
    "table--empty",
    "table--grew",
    "table--grew-bar",
    "table--shrank",
    "table--shrank-bar",
}
SEPARATOR = " · "
PIN = "•"
PATH_FROM = 12  # cells behind a cgroup's name from which there is room for the end of its path
COMMAND_LINE_FROM = 24  # cells of the command column from which there is room for the arguments


def heading(view: TableView, columns: Columns) -> Cells:
    """The titles, with a mark at the sorted column."""
    mark = "▲" if view.reverse else "▼"
    for position, (shown, width) in enumerate(zip(view.columns, columns.widths)):
        title, style = fmt.clean(shown.column.title), "table--heading"
        if position == view.sort:
            style = "table--heading-sorted"
            title = mark + title if shown.numeric else title + mark
        yield fmt.fit(title, width, shown.numeric), style
        yield " " * columns.gap, "table--heading"


def row_cells(view: TableView, columns: Columns, row: Row, pinned: bool = False) -> Cells:
    """A row; a pinned one has a mark behind its first cell."""
    for position, width in enumerate(columns.widths):
        yield from _cell(view, row, position, width)
        if pinned and not position:
            yield PIN, "table--pin"
            yield " " * (columns.gap - 1), ""
        else:
            yield " " * columns.gap, ""


def _cell(view: TableView, row: Row, position: int, width: int) -> Cells:
    """One cell; the sorted figure is drawn over a bar of its size."""
    shown = view.columns[position]
    if view.tree and not position:
        yield from _branch(view.tree.lines[row[0]], width)
        return
    if isinstance(view, Difference) and shown.measured:
        yield from _change(view, row, position, width)
        return
    value = view.value(row, position)
    cell = fmt.fit(fmt.FORMATS[shown.kind](value), width, shown.numeric)
    if not value:
        yield cell, "table--dim"
    elif shown.column is COMMAND:
        yield from _command(view, row, value, width)
    elif position == view.sort and shown.measured:
        filled = round(view.share(row) * width)
        yield cell[:filled], "table--bar"
        yield cell[filled:], ""
    else:
        yield cell, ""


def total(view: TableView, columns: Columns) -> Cells:
    """All rows as one."""
    folded = 0 if view.tree else view.folded
    shown, available = view.matched + folded, view.available + folded
    noun = "cgroup" if view.tree else "row"
    rows = f"{available} {noun}" if available == 1 else f"{available} {noun}s"
    if shown != available:
        rows = f"{shown} of {rows}"
    return _titled(view, columns, view.total, f"total, {rows}", "table--total")


def others(view: TableView, columns: Columns, row: Row) -> Cells:
    """The row of those that the collector folded together."""
    title = f"{view.folded} others" if view.folded else "others"
    return _titled(view, columns, row, title, "table--dim")


def selected(view: TableView, cursor: Key) -> str:
    """Who the selected row is about."""
    if view.tree:
        line = view.tree.lines.get(cursor[0])
        who, more = line.name if line and line.more else "", fmt.label(cursor[0])
    elif view.shape.pid is None:
        who, more = SEPARATOR.join(fmt.label(value) for value in cursor), ""
    else:
        pid = cursor[view.shape.keys.index(view.shape.pid)]
        process = view.processes.get(pid)
        if process is None:
            who, more = f"process {pid}", "its name is not known"
        else:
            who = f"{pid} {process.comm}"
            more = SEPARATOR.join(filter(None, (process.user, process.unit, process.cmdline)))
    position = view.position(cursor)
    row = None if position is None else view.rows[position]
    gone = f"not in this {view.period}" if row is None or view.is_blank(row) else ""
    changed = ""
    if isinstance(view, Difference) and row is not None and not gone:
        changed = _sides(view, row)
    return fmt.clean(SEPARATOR.join(filter(None, (who, changed, more, gone))))


def _sides(view: Difference, row: Row) -> str:
    """The sorted figure of a row in A and in B, and whether one of them does not have the row."""
    shown = view.columns[view.sort]
    absent = view.absent(row)
    missing = f"not among the rows of {absent}" if absent else ""
    if not shown.measured:
        return missing
    a, b = map(fmt.FORMATS[shown.kind], view.sides(row, view.sort))
    return SEPARATOR.join(filter(None, (f"{shown.column.title} {a} {ARROW} {b}", missing)))


def _change(view: Difference, row: Row, position: int, width: int) -> Cells:
    """A change in the colour of its direction; the sorted one over a bar of its size."""
    value = view.value(row, position)
    cell = fmt.fit(view.text(row, position), width, right=True)
    if not value:
        yield cell, "table--dim"
        return
    style = "table--grew" if value > 0 else "table--shrank"
    filled = round(view.share(row) * width) if position == view.sort else 0
    yield cell[:filled], f"{style}-bar"
    yield cell[filled:], style


def _command(view: TableView, row: Row, comm: str, width: int) -> Cells:
    """The name, and behind it the command line where there is room for it."""
    process, name = view.process(row), fmt.cut(fmt.clean(comm), width)
    if width < COMMAND_LINE_FROM or process is None or not process.cmdline:
        yield fmt.fit(name, width), "table--name"
        return
    name += "  "
    yield name, "table--name"
    yield fmt.fit(fmt.clean(process.cmdline), width - fmt.width(name)), "table--dim"


def _branch(line: Line, width: int) -> Cells:
    """A cgroup's place in the tree, its name, and where there is room the end of its path."""
    indent = fmt.cut(line.indent, width)
    name = fmt.cut(line.name, width - fmt.width(indent))
    yield indent, "table--dim"
    yield name, "table--name"
    room = width - fmt.width(indent) - fmt.width(name)
    more = f"  {line.more}" if line.more and room > PATH_FROM else ""
    yield fmt.fit(more, room), "table--dim"


def _titled(view: TableView, columns: Columns, row: Row, title: str, style: str) -> Cells:
    """A row that is about no one in particular: figures, and a title over its key columns."""
    room, untitled = 0, True
    for position, (shown, width) in enumerate(zip(view.columns, columns.widths)):
        if not shown.measured and untitled:
            room += width + columns.gap
            continue
        if untitled:
            yield fmt.fit(title, room), style
            untitled = False
        text = fmt.fit(view.text(row, position), width, shown.numeric)
        yield (text if shown.measured else " " * width), style
        yield " " * columns.gap, style
