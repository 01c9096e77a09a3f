"""A table in brief: its top rows within a scope, without what the scope says already.

Columns that say where, not what, are left out, and rows that then are alike are one: the threads
that wait in the same stack, the connections to the same peer.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from heapq import nlargest
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ebpftop.model import Column, Table
from ebpftop.views import format as fmt
from ebpftop.views.figures import value
from ebpftop.views.ranges import Folded
from ebpftop.views.scope import position
from ebpftop.views.state import ViewState
from ebpftop.views.table import COMMAND, Shape, Shown, build, readers_of, total
from ebpftop.views.window import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ebpftop.model import ProbeInfo, Process, Row, Sample, View
    from ebpftop.views.scope import Names, Scope

TOP = 3
GAP = 2
LABEL_MAX, STACK_MIN = 28, 36  # cells
# Where something happened, not what: on which thread, CPU or address of this machine.
PLACES = ("tid", "cpu", "cgroup", "laddr", "lport", "rport")
PEER = Column("raddr", "PEER", "label", "key", "raddr", help="who is at the other end")
PROCESS = replace(COMMAND, title="PROCESS")
# Frames by which every thread leaves its CPU: they do not say why.
LEAVING = re.compile(r"(__|preempt_)?schedule")


@dataclass(frozen=True)
class Digest:
    """The top rows of a table.

    Attributes:
        title: what the table is of, safe to show.
        columns: what is shown; without keys there is one row, which `figures` has.
        sort: position of the column that the rows are ordered by.
        rows: texts, safe to show, the largest first.
        number: how many rows there are.
        figures: title and text of each figure of all rows together.
    """

    title: str
    columns: tuple[Shown, ...]
    sort: int
    rows: tuple[tuple[str, ...], ...] = ()
    number: int = 0
    figures: tuple[tuple[str, str], ...] = ()

    @property
    def keyed(self) -> bool:
        """Whether there is more than one row to be expected."""
        return any(not shown.measured for shown in self.columns)


@dataclass(frozen=True)
class Plan:
    """How a table of a probe is made brief in a scope.

    Attributes:
        table: as the probe has it.
        whole: all its rows as the pane shows them, for totals.
        reduced: without what is left out; `shape` of that.
        kept: positions of the columns that are left, in a row of the table.
        peer: whether the first of them is made of the addresses.
        folds: whether rows may be alike now.
    """

    table: Table
    whole: Shape
    reduced: Table
    shape: Shape
    kept: tuple[int, ...]
    peer: bool
    folds: bool

    @classmethod
    def of(cls, info: ProbeInfo, view: View, scope: Scope) -> Plan:
        """The plan for a table view of a probe."""
        table = info.table(view.table)
        is_one = scope.value("pid") is not None
        whole = Shape.of(info, view)
        shown = {column.column.name for column in whole.columns}
        peer = position(table, "raddr") is not None
        kept, left_out = [], []
        for place, column in enumerate(table.columns):
            is_key = column.fold == "key"
            if is_key and (column.name not in shown or _is_told(column, is_one, peer)):
                left_out.append(column)
            else:
                kept.append(place)
        columns = [replace(table.columns[place], gauge=False) for place in kept]
        if peer:
            columns.insert(0, PEER)
        reduced = Table(table.name, tuple(columns))
        names = [column.name for column in columns if column.fold == "key"]
        figures = [c.column.name for c in whole.columns if c.measured]
        order = [n for n in view.columns if n in names or n in figures] or [*names, *figures]
        if peer:
            order = [n for n in order if n != PEER.name]
            order.insert(order.index("pid") + 1 if "pid" in order else 0, PEER.name)
        sort = view.sort if view.sort in figures else ""
        brief = replace(view, columns=tuple(order), sort=sort, follow=(), by="")
        shape = Shape.of(replace(info, tables=(reduced,)), brief)
        # A process is in one cgroup, so its rows are told apart without that.
        has_pid = any(column.role == "pid" for column in columns)
        folds = any(column.role != "cgroup" or not has_pid for column in left_out)
        return cls(table, whole, reduced, shape, tuple(kept), peer, folds)

    @property
    def columns(self) -> tuple[Shown, ...]:
        """What is shown; who a process is takes one column."""
        columns = (c for c in self.shape.columns if c.column.role != "pid")
        return tuple(replace(c, column=PROCESS) if c.column is COMMAND else c for c in columns)

    @property
    def tells_more(self) -> bool:
        """Whether there is a key besides who it was."""
        keys = (c for c in self.shape.columns if not c.measured and c.column is not COMMAND)
        return any(shown.column.role != "pid" for shown in keys)

    def empty(self) -> Digest:
        """The digest of nothing."""
        columns = self.columns
        names = [shown.column.name for shown in columns]
        sort = names.index(self.shape.sort) if self.shape.sort in names else 0
        return Digest(fmt.clean(self.shape.view.title), columns, sort)

    def digest(self, sample: Sample, names: Names) -> Digest:
        """The top rows of a sample that holds nothing but what is in scope."""
        rows = sample.tables.get(self.table.name, ())
        figures = self._figures(rows, sample.dt_ns)
        known = names.processes, names.cgroups
        brief = self._brief(rows) if self.folds else rows
        if self.folds:
            top = self._top(self.shape, brief, sample.dt_ns, *known)
        else:  # what is not shown need not be worked on
            top = self._brief(self._top(self.whole, rows, sample.dt_ns, *known))
        kept = replace(sample, tables={self.table.name: top})
        view = build(self.shape, kept, ViewState(), *known)
        texts = tuple(self._texts(row, view.text, names.processes) for row in view.rows)
        return replace(self.empty(), rows=texts, number=len(brief), figures=figures)

    def _brief(self, rows: Sequence[Row]) -> list[Row]:
        """The rows without what is left out; those that are alike then are one."""
        if self.peer:
            peers = endpoints(self.table, rows)
            brief = [(peer, *[row[i] for i in self.kept]) for peer, row in zip(peers, rows)]
        else:
            brief = [tuple([row[i] for i in self.kept]) for row in rows]
        if not self.folds:
            return brief
        folded = Folded(self.reduced)
        folded.add(brief)
        return folded.rows()

    def _top(
        self,
        shape: Shape,
        rows: Sequence[Row],
        dt_ns: int,
        processes: Mapping[int, Process],
        cgroups: Mapping[int, str],
    ) -> list[Row]:
        """The rows that come first; a rate is in the order of what it is the rate of."""
        order = [shown.column.name for shown in shape.columns].index(self.shape.sort)
        place = shape.columns[order].position
        if place is not None:
            try:
                return nlargest(TOP, rows, key=itemgetter(place))
            except TypeError:  # unknown in some rows
                pass
        reader = readers_of(shape, dt_ns, processes, cgroups)[order]
        return nlargest(TOP, rows, key=lambda row: _rank(reader(row)))

    def _figures(self, rows: Sequence[Row], dt_ns: int) -> tuple[tuple[str, str], ...]:
        """The totals, as the pane has them."""
        whole = [total(rows, None, self.whole)] if rows else []
        return tuple(
            (fmt.clean(c.column.title), fmt.FORMATS[c.kind](value(c, whole, dt_ns)))
            for c in self.whole.columns
            if c.measured
        )

    def _texts(self, row: Row, text: Any, processes: Mapping[int, Process]) -> tuple[str, ...]:
        texts = []
        for place, shown in enumerate(self.shape.columns):
            if shown.column.role == "pid":
                continue
            if shown.column is COMMAND:
                who = row[self.shape.pid or 0]
                comms = {who: processes[who].comm} if who in processes else {}
                texts.append(process(who, comms))
            elif shown.kind == "stack":
                texts.append(reason(row[shown.position or 0]))
            else:
                texts.append(text(row, place))
        return tuple(texts)


def widths(digest: Digest, room: int, before: Sequence[int] = ()) -> tuple[int, ...]:
    """Cells of each column, in a room of so many; 0 for those that are left out.

    The figure that orders the rows comes first, then the keys, then other figures from left to
    right; stacks take what is left. Never less than `before`, as far as there is room.
    """
    natural = []
    for place, shown in enumerate(digest.columns):
        title = fmt.width(fmt.clean(shown.column.title))
        if shown.kind == "stack":
            natural.append(STACK_MIN)
        elif shown.measured:
            natural.append(max(title, fmt.WIDTHS.get(shown.kind, 0)))
        else:
            longest = max((fmt.width(row[place]) for row in digest.rows), default=0)
            wanted = max(title, min(LABEL_MAX, longest), before[place] if before else 0)
            natural.append(wanted)
    columns = range(len(natural))
    keys = [i for i in columns if not digest.columns[i].measured]
    figures = [i for i in columns if digest.columns[i].measured and i != digest.sort]
    taken = [0] * len(natural)
    left = room + GAP
    for i in (digest.sort, *keys, *figures):
        if not taken[i] and natural[i] + GAP <= left:
            taken[i] = natural[i]
            left -= natural[i] + GAP
        elif i in keys and left > GAP + 1:
            taken[i] = left - GAP
            left = 0
    stack = next((i for i in keys if digest.columns[i].kind == "stack" and taken[i]), None)
    if stack is not None:
        taken[stack] += left
    return tuple(taken)


def endpoints(table: Table, rows: Sequence[Row]) -> list[str]:
    """The other end of each connection: `10.0.0.7:5432`; of one to a port here `10.0.0.9 → :80`.

    A service's port is the one that more of the connections share.
    """
    raddr, lport, rport = (position(table, role) for role in ("raddr", "lport", "rport"))
    assert raddr is not None
    if lport is None or rport is None:
        return [fmt.label(row[raddr]) for row in rows]
    own = Counter(row[lport] for row in rows)
    theirs = Counter(row[rport] for row in rows)
    return [
        f"{row[raddr]} → :{row[lport]}"
        if own[row[lport]] > theirs[row[rport]]
        else f"[{row[raddr]}]:{row[rport]}"
        if ":" in str(row[raddr])
        else f"{row[raddr]}:{row[rport]}"
        for row in rows
    ]


def reason(folded: str | None) -> str:
    """Why a stack is where it is: its frames from the innermost on that says anything."""
    if not folded:
        return fmt.UNKNOWN
    frames = [frame.removesuffix("_[k]") for frame in reversed(folded.split(";"))]
    telling = next((i for i, name in enumerate(frames) if not LEAVING.fullmatch(name)), 0)
    return fmt.clean(" ← ".join(frames[telling:]))


def _is_told(column: Column, is_one: bool, peer: bool) -> bool:
    """Whether a key says nothing that matters here."""
    if column.role == "pid":
        return is_one
    return column.role in PLACES or (peer and column.role in ("raddr", ""))


def _rank(number: Any) -> float:
    return float("-inf") if number is None else float(number)
