"""A table folded by one of its roles, or by what is known of its processes.

The result is a table, a view and a sample again, so that all that can be done with those can be
done with it: sums add, maxima compare, shares and averages are worked out from the sums.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ebpftop.model import Column, Table
from ebpftop.views.scope import NONE, OF_PROCESS, STACK, UNKNOWN, Names, position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ebpftop.model import ProbeInfo, Process, Row, Sample, View

# How many there are, also of a range; it does not grow with time, so no comparison is per second.
ROWS = Column(
    "rows", "ROWS", "count", "sum", gauge=True, help="rows that were folded into this one"
)
# What a table can be folded by, in the order in which it is offered, and what that is called.
GROUPINGS = {
    "pid": "process",
    "command": "command",
    "container": "container",
    "cgroup": "cgroup",
    "user": "user",
    "tid": "thread",
    "disk": "disk",
    "op": "operation",
    "raddr": "peer",
    "rport": "peer's port",
    "lport": "own port",
    "cpu": "CPU",
    "syscall": "system call",
    STACK: "stack",
}
TITLES = {"command": "COMMAND", "container": "CONTAINER", "cgroup": "CGROUP", "user": "USER"}


def groupings(table: Table) -> list[str]:
    """The roles that a table can be folded by."""
    has_pid = position(table, "pid") is not None
    return [
        role
        for role in GROUPINGS
        if position(table, role) is not None or (has_pid and role in OF_PROCESS)
    ]


def regrouped(info: ProbeInfo, view: View, role: str) -> tuple[ProbeInfo, View]:
    """A probe with one table only, that of a view, folded by a role; and the view of that.

    Raises:
        ValueError: the table cannot be folded by it.
    """
    table = info.table(view.table)
    if role not in groupings(table):
        raise ValueError(f"table {table.name} has no {role}")
    own = position(table, role)
    if own is None or role == "cgroup":
        key = Column(role, TITLES[role], "label", "key", role)
    else:
        key = table.columns[own]
    measured = tuple(column for column in table.columns if column.fold != "key")
    keys = {column.name for column in table.columns if column.fold == "key"}
    described = Table(table.name, (key, ROWS, *measured))
    names = view.columns or tuple(c.name for c in (*table.columns, *view.derived))
    figures = tuple(name for name in names if name not in keys)
    sort = "" if view.sort in keys else view.sort
    columns = (key.name, ROWS.name, *figures)
    return (
        replace(info, tables=(described,)),
        replace(view, columns=columns, sort=sort, follow=(), by=""),
    )


def fold(sample: Sample, table: Table, role: str, names: Names) -> Sample:
    """A sample whose rows of a table are folded by a role, as `regrouped` describes them.

    The row of the others stays what it is: nobody knows whose they are.
    """
    places = [i for i, column in enumerate(table.columns) if column.fold != "key"]
    folds = [table.columns[i].fold for i in places]
    others: list[Row] = []
    parts: dict[Any, list[Row]] = {}
    keys = [i for i, column in enumerate(table.columns) if column.fold == "key"]
    value = value_of(table, role, names)
    for row in sample.tables.get(table.name, ()):
        if row[keys[0]] is None and all(row[i] is None for i in keys):
            others.append(row)
        else:
            parts.setdefault(value(row), []).append(row)
    rows = [(key, len(part), *folded(part, places, folds)) for key, part in parts.items()]
    if others:
        number = sample.truncated.get(table.name, 0)
        rows.append((None, number, *folded(others, places, folds)))
    return replace(sample, tables={table.name: rows})


def folded(rows: Sequence[Row], places: Iterable[int], folds: Sequence[str]) -> list[Any]:
    """The figures of rows as those of one; what is unknown in one of them is unknown."""
    figures: list[Any] = []
    for place, kind in zip(places, folds):
        values = [row[place] for row in rows]
        if None in values:
            figures.append(None)
        else:
            figures.append(sum(values) if kind == "sum" else max(values))
    return figures


def value_of(table: Table, role: str, names: Names) -> Callable[[Row], Any]:
    """What a row is folded by; never None, which is the key of the others."""
    own, pid = position(table, role), position(table, "pid")
    paths, processes = names.paths, names.processes
    if role == "cgroup" and own is not None:
        return lambda row: paths.get(row[own]) or UNKNOWN
    if own is not None:
        return lambda row: UNKNOWN if row[own] is None else row[own]
    told, absent = OF_PROCESS[role], NONE if role == "container" else UNKNOWN
    known: dict[Any, Any] = {}

    def value(row: Row) -> Any:
        number = row[pid or 0]
        found = known.get(number)
        if found is None:
            process: Process | None = processes.get(number)
            found = known[number] = (told(process) or absent) if process else UNKNOWN
        return found

    return value
