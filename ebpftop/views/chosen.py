"""Which rows of a table are to be seen: those of the selection elsewhere that pass the filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ebpftop.views import format as fmt
from ebpftop.views.fields import Fields, reader
from ebpftop.views.filter import compile_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ebpftop.model import Process, Row
    from ebpftop.views.fields import Field, Reader
    from ebpftop.views.state import ViewState
    from ebpftop.views.table import Shape


class Chosen(NamedTuple):
    """The rows that are to be seen: as in `TableView`, in no order."""

    rows: Sequence[Row]
    others: Row | None
    available: int
    error: str


def choose(
    shape: Shape,
    readers: Sequence[Reader],
    rows: Sequence[Row],
    others: Row | None,
    state: ViewState,
    processes: Mapping[int, Process],
    match: Mapping[str, Any],
) -> Chosen:
    """The rows that the selection elsewhere and the filter leave.

    `readers` are those of the shown columns and then of the hidden ones. The row of the others is
    left out with the first of either: it may hold anything.
    """
    if match:
        wanted = [(shape.names.index(n), value) for n, value in match.items() if n in shape.names]
        rows = [row for row in rows if all(row[i] == value for i, value in wanted)]
        others = None
    available = len(rows)
    if not state.filter:
        return Chosen(rows, others, available, "")
    chosen = compile_filter(
        state.filter,
        Fields(shape),
        lambda field: _reader(field, shape, readers, processes),
        _searched(shape, readers, processes),
    )
    if chosen and not chosen.error:
        rows = [row for row in rows if chosen.matches(row)]
        others = None
    return Chosen(rows, others, available, chosen.error if chosen else "")


def _reader(
    field: Field, shape: Shape, readers: Sequence[Reader], processes: Mapping[int, Process]
) -> Reader:
    """How a filter takes a value from a row: as it is shown, but of a cgroup always the path."""
    read = reader(field, readers, shape.pid, processes)
    if field.role != "cgroup" or not isinstance(field.source, int):
        return read
    position = (*shape.columns, *shape.hidden)[field.source].position or 0
    paths = {each.cgroup: each.cgroup_path for each in processes.values()}
    return lambda row: paths.get(row[position]) or read(row)


def _searched(
    shape: Shape, readers: Sequence[Reader], processes: Mapping[int, Process]
) -> Callable[[Row], str]:
    """The text of a row that a filter looks at: its names and keys, not its figures."""
    cells = [
        (fmt.FORMATS[column.kind], reader)
        for column, reader in zip(shape.columns, readers)
        if not column.measured
    ]
    pid = shape.pid

    def text(row: Row) -> str:
        words = [write(reader(row)) for write, reader in cells]
        process = processes.get(row[pid]) if pid is not None else None
        if process:
            words.append(fmt.clean(process.cmdline))
        return " ".join(words)

    return text
