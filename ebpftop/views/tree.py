"""The tree of cgroups: a table with a line for each cgroup that has rows, in it or below it.

`fold` makes the rows: each has the figures of its cgroup and of all below. They are a table like
any other, so that the sum of a range and the comparison of two are made of them as always;
`arranged` then puts each below its parent, and works the total out from the topmost, so that
nothing is counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ebpftop.model import Column, Table
from ebpftop.views import cgroups, group
from ebpftop.views import format as fmt
from ebpftop.views.chosen import choose
from ebpftop.views.scope import position

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ebpftop.model import ProbeInfo, Row, Sample, View
    from ebpftop.views.scope import Names
    from ebpftop.views.state import ViewState
    from ebpftop.views.table import Shape, TableView

TREE = "tree"
PATH = Column("cgroup", "CGROUP", "label", "key", "cgroup", help="a cgroup, with all below it")
PROCESSES = Column(
    "processes", "PROCS", "count", "sum", gauge=True, help="processes that had rows in it"
)
ROWS = Column(
    "rows", "ROWS", "count", "sum", gauge=True, help="rows of the cgroup itself, not of those below"
)
OWN = 1  # where ROWS is in a row: the only figure that is not rolled up
OPEN, CLOSED, LEAF = "▾", "▸", " "
INDENT = 2  # cells for each step down


def regrouped(info: ProbeInfo, view: View) -> tuple[ProbeInfo, View]:
    """A probe with one table only, that of a view as a tree; and the view of that.

    Raises:
        ValueError: nothing is known of the cgroups of its rows.
    """
    counts_processes = position(info.table(view.table), "pid") is not None
    grouped, shown = group.regrouped(info, view, "cgroup")
    measured = grouped.table(view.table).columns[2:]
    more = (PROCESSES,) if counts_processes else ()
    names = (PATH.name, *(column.name for column in more), *shown.columns[2:])
    table = Table(view.table, (PATH, ROWS, *more, *measured))
    return replace(grouped, tables=(table,)), replace(shown, columns=names)


def role_of(grouping: str) -> str:
    """What opening a line of a grouped table chooses: in the tree, a cgroup."""
    return PATH.role if grouping == TREE else grouping


def is_tree(shape: Shape) -> bool:
    """Whether a table is one that `regrouped` has described."""
    return shape.columns[0].column is PATH


def fold(sample: Sample, table: Table, names: Names) -> Sample:
    """A sample with a row for each cgroup and each one above, as `regrouped` describes them.

    The row of the others stays what it is.
    """
    folds = [column.fold for column in table.columns if column.fold != "key"]
    members = _members(sample, table, names)
    parts: dict[str, list[Row]] = {}
    own: dict[str, int] = {}
    others: list[Row] = []
    for path, number, *figures in group.fold(sample, table, "cgroup", names).tables[table.name]:
        if path is None:
            others.append((None, number, *(() if members is None else (None,)), *figures))
            continue
        own[path] = number
        missing: str | None = path
        while missing is not None and missing not in parts:
            parts[missing] = []
            missing = cgroups.parent_of(missing)
        parts[path].append(tuple(figures))
    rows: list[Row] = []
    # A path is longer than those above it: when its turn comes, all below has been handed up.
    for path in sorted(parts, key=len, reverse=True):
        rolled = tuple(group.folded(parts[path], range(len(folds)), folds))
        processes: set[Any] = members.pop(path, set()) if members else set()
        counted = () if members is None else (len(processes),)
        rows.append((path, own.get(path, 0), *counted, *rolled))
        above = cgroups.parent_of(path)
        if above is not None:
            parts[above].append(rolled)
            if members is not None:
                members.setdefault(above, set()).update(processes)
    return replace(sample, tables={table.name: [*rows, *others]})


@dataclass(frozen=True)
class Line:
    """How a cgroup is drawn.

    Attributes:
        depth: how many lines above it it belongs to.
        mark: whether lines below it are shown, or hidden, or there are none.
        name: what it is called, safe to show, behind those above that have no line of their own.
        more: the last part of its path, where that is not in its name.
        above: path of the line that it belongs to; empty for the topmost.
    """

    depth: int
    mark: str
    name: str
    more: str
    above: str

    @property
    def indent(self) -> str:
        """What stands in front of the name."""
        return f"{' ' * INDENT * self.depth}{self.mark} "

    def is_mark(self, x: int) -> bool:
        """Whether a cell of the line is that of the mark, or the gap behind it."""
        return self.mark != LEAF and x // INDENT == self.depth


@dataclass(frozen=True)
class Tree:
    """The lines of a tree.

    Attributes:
        lines: those that are shown, by their path.
        stands: for every cgroup that the tree has, the path of the line that shows its figures: its
            own, that which hides it, or that which it shares.
    """

    lines: Mapping[str, Line]
    stands: Mapping[str, str]

    def text(self, path: str) -> str:
        """The first cell of a line."""
        line = self.lines[path]
        return f"{line.indent}{line.name}"


def arranged(view: TableView, state: ViewState, names: Names) -> TableView:
    """A table of such rows as a tree. It was built without the filter, which is applied here.

    What matches the filter is shown with all that is above it, whatever is collapsed. A cgroup
    with nothing but one other in it shares the line of that one, unless it is pinned, collapsed, or
    the root.
    """
    titles = cgroups.titles(names)

    def searched(row: Row) -> str:
        path = row[0]
        return f"{path} {titles[path]}" if path in titles else str(path)

    readers = searched, *view.readers[1:]
    there = [row for row in view.rows if row[OWN] is not None]
    chosen = choose(view.shape, readers, there, view.others, state, view.processes, {})
    matched = {row[0] for row in chosen.rows}
    is_filtered = len(matched) < len(there)
    topmost = [row for row in chosen.rows if matched.isdisjoint(_above(row[0]))]
    wanted = replace(state, collapsed=frozenset()) if is_filtered else state
    rows, tree = _drawn(view, wanted, titles, matched if is_filtered else None)
    return replace(
        view,
        rows=rows,
        others=chosen.others,
        folded=view.folded if chosen.others else 0,
        total=view.as_one(topmost, chosen.others),
        available=chosen.available,
        matched=len(matched),
        error=chosen.error,
        tree=tree,
    )


def _drawn(
    view: TableView, state: ViewState, titles: Mapping[str, str], some: set[str] | None
) -> tuple[list[Row], Tree]:
    """The rows that have a line, from top to bottom, and their lines; of all cgroups, or of some.

    Not by recursion: cgroups may be nested deeper than Python's stack.
    """
    pinned = {key[0] for key in state.pinned}
    raised = {path for pin in pinned for path in _with_above(pin)}
    below = _below(sorted(_in_order(view, titles), key=lambda row: row[0] not in raised))
    kept = {row[0] for rows in below.values() for row in rows}
    if some is not None:
        kept &= raised.union(*map(_with_above, some))
    apart = pinned | state.collapsed
    shared = {path for path in _sharing(view, below) if path not in apart} & kept
    drawn: list[Row] = []
    lines: dict[str, Line] = {}
    stands: dict[str, str] = {}
    waiting = [(row, 0, "") for row in reversed(below[""]) if row[0] in kept]
    while waiting:
        row, depth, above = waiting.pop()
        path, name, joined = row[0], _name(row[0], above, titles), [row[0]]
        while path in shared and below[path][0][0] in kept:
            (row,) = below[path]
            name = f"{name}/{_name(row[0], path, titles)}"
            path = row[0]
            joined.append(path)
        inside = [child for child in below.get(path, ()) if child[0] in kept]
        is_closed = bool(inside) and path in state.collapsed
        mark = CLOSED if is_closed else OPEN if inside else LEAF
        more = path.rpartition("/")[2] if path in titles else ""
        lines[path] = Line(depth, mark, name, fmt.clean(more), above)
        stands.update(dict.fromkeys(joined, path))
        drawn.append(row)
        if not is_closed:
            waiting += [(child, depth + 1, path) for child in reversed(inside)]
    for path in kept - stands.keys():
        stands[path] = next(stands[each] for each in _above(path) if each in stands)
    return drawn, Tree(lines, stands)


def _below(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """What each cgroup has in it, in the order of the rows; under the empty text, the topmost."""
    ordered = list(rows)
    known = {row[0] for row in ordered}
    below: dict[str, list[Row]] = {"": []}
    for row in ordered:
        above = next((path for path in _above(row[0]) if path in known), "")
        below.setdefault(above, []).append(row)
    return below


def _sharing(view: TableView, below: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """The cgroups that have one other in them and nothing of their own.

    Not the root: it has rows now and then, and the whole tree would move sideways each time.
    """
    for above, rows in below.items():
        for row in rows if above else ():
            own = any(part[OWN] for part in view.made_of(row))
            if not own and len(below.get(row[0], ())) == 1:
                yield row[0]


def _in_order(view: TableView, titles: Mapping[str, str]) -> Sequence[Row]:
    """The rows in the order of the table; by name as it is shown, where that is the order."""
    if view.sort:
        return view.rows

    def name(row: Row) -> str:
        return titles.get(row[0]) or str(row[0]).rpartition("/")[2]

    return sorted(view.rows, key=lambda row: name(row).casefold(), reverse=view.reverse)


def _name(path: str, above: str, titles: Mapping[str, str]) -> str:
    """What a cgroup is called below another."""
    if path in titles:
        return titles[path]
    return fmt.clean(path[len(above) :].lstrip("/") if above else path)


def _members(sample: Sample, table: Table, names: Names) -> dict[str, set[Any]] | None:
    """The processes that have rows in each cgroup; None where rows have no process id."""
    pid = position(table, "pid")
    if pid is None:
        return None
    path_of = group.value_of(table, "cgroup", names)
    members: dict[str, set[Any]] = {}
    for row in sample.tables.get(table.name, ()):
        if row[pid] is not None:
            members.setdefault(path_of(row), set()).add(row[pid])
    return members


def _above(path: str) -> Iterator[str]:
    """The paths above, from the nearest to the root."""
    above = cgroups.parent_of(path)
    while above is not None:
        yield above
        above = cgroups.parent_of(above)


def _with_above(path: str) -> set[str]:
    return {path, *_above(path)}
