"""The functions of a flame as a table: how much time each takes itself, and with what it calls.

A function's own time is that of the stacks that end in it, its total that of all stacks that hold
it: each counts once, however often the function is on it. Both are of what is shown: the stacks of
the frame that is zoomed into and below it, kernel or user frames alone where those are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from ebpftop.views import format as fmt
from ebpftop.views.difference import ARROW, sign
from ebpftop.views.folding import NO_STACK
from ebpftop.views.window import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ebpftop.views.flame import Node, Path, Search, Tree
    from ebpftop.views.flamediff import Comparison
    from ebpftop.views.folding import Folding

    Times = Mapping[str, tuple[int, int]]

By = Literal["own", "total", "name"]
BY: tuple[By, ...] = ("own", "total", "name")


class Function(NamedTuple):
    """A row: nanoseconds; where ranges are compared, the change of nanoseconds per second.

    `a` and `b` are own and total in each of the ranges then.
    """

    name: str
    own: float
    total: float
    a: tuple[float, float] = (0.0, 0.0)
    b: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Order:
    """What the functions are sorted by: largest first, names from a to z, or the other way."""

    by: By = "own"
    reverse: bool = False

    def moved(self, step: int) -> Order:
        """Sorted by the column that many to the right."""
        return Order(BY[(BY.index(self.by) + step) % len(BY)])

    @property
    def turned(self) -> Order:
        """The same, the other way round."""
        return replace(self, reverse=not self.reverse)


@dataclass(frozen=True)
class Functions:
    """The table.

    Attributes:
        rows: those that match the search, in order.
        number: how many there are without it.
        whole: the time that shares are of: of all stacks, not only those zoomed into.
        signed: whether figures are changes.
    """

    rows: Sequence[Function]
    number: int
    whole: float
    signed: bool

    def peak(self, by: By) -> float:
        """The largest figure of a column."""
        return max((abs(value(row, by)) for row in self.rows), default=0.0) if by != "name" else 0.0

    def position(self, name: str) -> int | None:
        """Where a function is; None where it is not shown."""
        return next((i for i, row in enumerate(self.rows) if row.name == name), None)

    def text(self, time: float) -> str:
        """A time as it is shown."""
        return (sign(time) if self.signed else "") + fmt.ns(abs(time))

    def share(self, time: float) -> str:
        """Its share of all."""
        if not self.whole:
            return fmt.UNKNOWN
        return (sign(time) if self.signed else "") + fmt.ratio(abs(time) / self.whole)

    def about(self, row: Function) -> str:
        """What is known of a function, in one line."""
        if not self.signed:
            return (
                f"{fmt.ns(row.own)} own ({self.share(row.own)})"
                f" · {fmt.ns(row.total)} total ({self.share(row.total)})"
            )
        (own_a, total_a), (own_b, total_b) = row.a, row.b
        return (
            f"own {fmt.ns(own_a)}/s {ARROW} {fmt.ns(own_b)}/s"
            f" · total {fmt.ns(total_a)}/s {ARROW} {fmt.ns(total_b)}/s"
        )


def value(row: Function, by: By) -> float:
    """The figure of a column; 0 for the names."""
    return row.own if by == "own" else row.total if by == "total" else 0.0


def functions(tree: Tree, zoom: Path, folding: Folding) -> list[Function]:
    """The functions of a tree, in the stacks of the zoomed frame and below it."""
    return [Function(name, *found) for name, found in times(tree, zoom, folding).items()]


def compared(comparison: Comparison, zoom: Path, folding: Folding) -> list[Function]:
    """What changed from A to B, per second, in each function that either has."""
    sides = []
    for tree, dt_ns in ((comparison.a, comparison.a_ns), (comparison.b, comparison.b_ns)):
        rate = NS_PER_S / dt_ns if dt_ns > 0 else 0.0
        found = times(tree, zoom, folding)
        sides.append({name: (own * rate, total * rate) for name, (own, total) in found.items()})
    a, b = sides
    rows = []
    for name in {**a, **b}:
        one, other = a.get(name, (0.0, 0.0)), b.get(name, (0.0, 0.0))
        rows.append(Function(name, other[0] - one[0], other[1] - one[1], one, other))
    return rows


def listed(
    rows: Sequence[Function], search: Search, order: Order, whole: float, signed: bool
) -> Functions:
    """The rows in order; changes by their size, and reversed from what shrank to what grew."""
    chosen = [row for row in rows if search.matches(row.name)] if search.text else list(rows)
    chosen.sort(key=lambda row: row.name.casefold(), reverse=order.by == "name" and order.reverse)
    if order.by != "name":
        chosen.sort(key=_key(order, signed))
    return Functions(chosen, len(rows), whole, signed)


def _key(order: Order, signed: bool) -> Callable[[Function], tuple[float, float]]:
    """Largest first by one figure, and where these are equal by the other."""
    by: By = order.by
    other: By = "total" if by == "own" else "own"
    if order.reverse:
        return lambda row: (value(row, by), value(row, other))
    size = abs if signed else float
    return lambda row: (-size(value(row, by)), -size(value(row, other)))


def times(tree: Tree, zoom: Path, folding: Folding) -> Times:
    """Own and total time of each function below a path, by its name; empty where there is none.

    What has no stack is the own time of `[no stack]`.
    """
    node, sums = tree.find(zoom), _Sums(folding.leaf_first)
    if node.path != tuple(zoom):
        return {}
    depth, first = len(zoom), 1 + folding.grouped
    starts = [node]
    if depth < first:
        groups = node.grown.values() if depth < folding.grouped else (node,)
        starts = [frame for group in groups for frame in sums.group(group)]
    for start in starts:
        if folding.leaf_first and depth <= first:
            sums.own[start.name] += start.total
        sums.add(start)
    return {name: (sums.own[name], total) for name, total in sums.total.items()}


class _Sums:
    """Own and total times by function, as the tree is gone through."""

    def __init__(self, leaf_first: bool) -> None:
        self.own: defaultdict[str, int] = defaultdict(int)
        self.total: defaultdict[str, int] = defaultdict(int)
        self._leaf_first = leaf_first
        self._above: set[str] = set()  # functions on the way from the root to here

    def group(self, node: Node) -> Iterable[Node]:
        """Add what on a first level is no node yet; returns the frames that are."""
        if node.tail:
            self._add_tail(node, ends=0 if self._leaf_first else -1)
        elif left := _left(node):
            self.own[NO_STACK] += left
            self.total[NO_STACK] += left
        return node.grown.values()

    def add(self, node: Node) -> None:
        """Add a frame and all below it."""
        pending: list[Node | str] = [node]
        above, own, total = self._above, self.own, self.total
        while pending:
            node_or_left = pending.pop()
            if isinstance(node_or_left, str):
                above.remove(node_or_left)
                continue
            node = node_or_left
            if node.name not in above:
                above.add(node.name)
                total[node.name] += node.total
                pending.append(node.name)  # comes back when all below it is done
            if node.tail:
                self._add_tail(node, ends=None if self._leaf_first else -1)
                continue
            if not self._leaf_first:
                own[node.name] += _left(node)
            pending += node.grown.values()

    def _add_tail(self, node: Node, ends: int | None) -> None:
        """Add the frames that only one stack leads to; `ends` is the place of its function."""
        names, weight, total = node.tail.split(";"), node.total, self.total
        for name in set(names) - self._above:
            total[name] += weight
        if ends is not None:
            self.own[names[ends]] += weight


def _left(node: Node) -> int:
    """Weight of a node less that of those below it."""
    return node.total - sum(child.total for child in node.grown.values())
