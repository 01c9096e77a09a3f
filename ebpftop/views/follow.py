"""Following a row: the selection stays on it, and goes on to the process that takes its place.

The stream does not say that a process has ended, and one that is idle has no rows either. So a row
is succeeded only by a process of the same command that was started after following began: a
sibling that was there all along is not taken for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from ebpftop.views.state import Key, ViewState
    from ebpftop.views.table import TableView

# What differs between a process and the one that takes its place, though they do the same.
OF_ONE_PROCESS = ("pid", "tid", "cgroup", "lport")


def toggled(view: TableView, state: ViewState) -> ViewState:
    """With the selected row followed, or no more where it was."""
    if state.follow or state.cursor is None:
        return replace(state, follow=False)
    since_ns = 0
    if view.has(state.cursor):
        since_ns = max((process.start_ns for process in view.processes.values()), default=0)
    return replace(state, follow=True, since_ns=since_ns)


def moved_on(view: TableView, state: ViewState) -> ViewState:
    """With the cursor on what stands for its row in a tree, or has succeeded it."""
    if state.cursor is None or not (view.tree or state.follow) or view.has(state.cursor):
        return state
    if view.tree:
        (path,) = state.cursor
        return replace(state, cursor=(view.tree.stands.get(path, path),))
    successor = _successor(view, state.cursor, state.since_ns) if state.follow else None
    return replace(state, cursor=successor) if successor else state


def name(view: TableView, key: Key) -> str:
    """What a followed row is called, safe to show."""
    if view.tree and key[0] in view.tree.lines:
        return view.tree.lines[key[0]].name
    if view.shape.pid is not None:
        process = view.processes.get(key[view.shape.keys.index(view.shape.pid)])
        if process:
            return fmt.clean(process.comm)
    return fmt.label(key[0])


def _successor(view: TableView, key: Key, since_ns: int) -> Key | None:
    """The row of the newest process of the same command, whose other keys are the same."""
    shape, processes = view.shape, view.processes
    if shape.pid is None:
        return None
    before = processes.get(key[shape.keys.index(shape.pid)])
    if before is None:
        return None
    roles = {shown.position: shown.column.role for shown in (*shape.columns, *shape.hidden)}
    same = [
        (position, value)
        for position, value in zip(shape.keys, key)
        if roles.get(position) not in OF_ONE_PROCESS
    ]
    found: dict[int, Any] = {}
    for row in view.rows:
        process = processes.get(row[shape.pid])
        if (
            process
            and process.comm == before.comm
            and process.start_ns > max(since_ns, before.start_ns)
            and all(row[position] == value for position, value in same)
        ):
            found.setdefault(process.start_ns, row)
    return view.key(found[max(found)]) if found else None
