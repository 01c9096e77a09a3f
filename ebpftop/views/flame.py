"""Folded stacks as an icicle: fold them into a tree, lay the tree out in cells, row by row.

The layout looks only at what is at least a cell wide. Zoom and selection are paths of names, so
that they outlive the nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Direction = Literal["up", "down", "left", "right"]

KERNEL = "_[k]"
EXACTLY = "="  # before a name that is searched for as a whole
# A box of one cell can neither hold a letter nor be told from its neighbour.
MIN_CELLS = 2
Path = tuple[str, ...]


class Node:
    """A frame in its place: everything that was called the same way.

    A node that only one stack leads through keeps what that stack calls as text, and grows into
    nodes when another stack leaves its way or somebody looks: few ever do.

    Attributes:
        name: as it came, `_[k]` included; a process for the first level, empty for the root.
        parent: its caller; None for the root.
        total: its weight with that of everything below.
        tail: the frames below that are not nodes yet, folded; then there are no others.
        grown: those that are, by name.
    """

    __slots__ = ("grown", "name", "parent", "tail", "total")

    def __init__(self, name: str, parent: Node | None, total: int = 0, tail: str = "") -> None:
        self.name = name
        self.parent = parent
        self.total = total
        self.tail = tail
        self.grown: dict[str, Node] = {}

    @property
    def children(self) -> dict[str, Node]:
        """What it called, by name."""
        if self.tail:
            self.grow()
        return self.grown

    @property
    def own(self) -> int:
        """Its weight without that of what it called."""
        return self.total - sum(child.total for child in self.children.values())

    @property
    def path(self) -> Path:
        """Names from below the root to here."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return tuple(reversed(names))

    @property
    def kernel(self) -> bool:
        """Whether this is a function of the kernel."""
        return self.name.endswith(KERNEL)

    def grow(self) -> None:
        """Turn the first frame of the tail into a node."""
        name, _, rest = self.tail.partition(";")
        self.grown[name] = Node(name, self, self.total, rest)
        self.tail = ""


class Tree:
    """Stacks with their weights, folded into one tree.

    Attributes:
        root: everything; its total is the sum of all weights.
        version: changes with the content.
    """

    def __init__(self) -> None:
        self.root = Node("", None)
        self.version = 0

    def add(self, process: str, stack: str, weight: int) -> None:
        """Add the weight of a folded stack below its process."""
        self.version += 1
        node = self.root
        node.total += weight
        name, rest = process, stack
        while True:
            child = node.grown.get(name)
            if child is None:
                node.grown[name] = Node(name, node, weight, rest)
                return
            if child.tail and child.tail != rest:
                child.grow()
            child.total += weight
            if child.tail or not rest:
                return
            node = child
            name, _, rest = rest.partition(";")

    def remove(self, process: str, stack: str, weight: int) -> None:
        """Take away what an `add` of the same had added; empty branches go."""
        self.version += 1
        node = self.root
        node.total -= weight
        name, rest = process, stack
        while True:
            child = node.grown[name]
            child.total -= weight
            if not child.total:
                del node.grown[name]
                return
            if child.tail or not rest:
                return
            node = child
            name, _, rest = rest.partition(";")

    def stacks(self) -> Iterator[tuple[str, str, int]]:
        """What was added: first names, folded stacks and weights, one of each."""
        pending = [(node, name, "") for name, node in self.root.grown.items()]
        while pending:
            node, first, stack = pending.pop()
            if node.tail:
                yield first, f"{stack};{node.tail}" if stack else node.tail, node.total
                continue
            own = node.total - sum(child.total for child in node.grown.values())
            if own:
                yield first, stack, own
            for name, child in node.grown.items():
                pending.append((child, first, f"{stack};{name}" if stack else name))

    def find(self, path: Iterable[str]) -> Node:
        """The node of a path, or the deepest one on the way there that exists."""
        node = self.root
        for name in path:
            child = node.children.get(name)
            if child is None:
                break
            node = child
        return node


@dataclass(frozen=True)
class Box:
    """A run of cells in one row: a frame, or several too narrow to draw as one filler.

    Attributes:
        x, width: in cells.
        node: the frame; for a filler the one whose children it holds.
        merged: number of frames in a filler, 0 for a frame.
    """

    x: int
    width: int
    node: Node
    merged: int = 0


@dataclass(frozen=True)
class Layout:
    """Boxes by depth, the root's row first; `zoom` and those above it fill their rows."""

    width: int
    zoom: Node
    rows: tuple[tuple[Box, ...], ...]


def layout(zoom: Node, width: int, min_cells: int = MIN_CELLS) -> Layout:
    """Lay out what is below `zoom` in so many cells, largest first.

    The children of a frame and its own time share its width by largest remainder, so that they
    add up to it. Children of less than `min_cells` become one filler at the end.
    """
    above: list[Node] = []
    node: Node | None = zoom
    while node is not None:
        above.append(node)
        node = node.parent
    rows: list[tuple[Box, ...]] = []
    if width > 0:
        rows = [(Box(0, width, one),) for one in reversed(above)]
    level = list(rows[-1]) if rows and zoom.total > 0 else []
    while level:
        below: list[Box] = []
        for box in level:
            if not box.merged and box.node.children:
                below += _divide(box, min_cells)
        if below:
            rows.append(tuple(below))
        level = below
    return Layout(width, zoom, tuple(rows))


def _divide(box: Box, min_cells: int) -> list[Box]:
    """The boxes below a box, from left to right."""
    node, width = box.node, box.width
    least = node.total * min_cells
    wide = [child for child in node.children.values() if child.total * width >= least]
    wide.sort(key=attrgetter("name"))
    wide.sort(key=attrgetter("total"), reverse=True)
    children = sum(child.total for child in wide)
    merged = len(node.children) - len(wide)
    narrow = sum(child.total for child in node.children.values()) - children if merged else 0
    own = node.total - children - narrow
    cells = apportion([*(child.total for child in wide), narrow, own], width)
    boxes = []
    x = box.x
    for child, share in zip(wide, cells):
        boxes.append(Box(x, share, child))
        x += share
    if merged and cells[-2]:
        boxes.append(Box(x, cells[-2], node, merged))
    return boxes


def apportion(weights: Sequence[int], cells: int) -> list[int]:
    """Whole cells for weights, by largest remainder: they add up to `cells`, or to 0 for no weight.

    Equal remainders go to the first.
    """
    whole = sum(weights)
    if whole <= 0:
        return [0] * len(weights)
    shares = [weight * cells // whole for weight in weights]
    left = cells - sum(shares)
    if left:
        remainders = [weight * cells % whole for weight in weights]
        order = sorted(range(len(weights)), key=lambda i: -remainders[i])
        for i in islice(order, left):
            shares[i] += 1
    return shares


def narrow(box: Box, row: Sequence[Box]) -> list[Node]:
    """The frames in a filler, largest first; `row` is the one that it is in."""
    wide = {id(other.node) for other in row if not other.merged}
    children = [child for child in box.node.children.values() if id(child) not in wide]
    children.sort(key=attrgetter("name"))
    children.sort(key=attrgetter("total"), reverse=True)
    return children


def move(drawn: Layout, selected: Path, direction: Direction) -> Path:
    """Where an arrow leads from a selected frame: to the next one in that direction, or nowhere.

    Up is the caller, down the largest callee, left and right the next frame of the same row; those
    in a filler come one after the other.
    """
    depth = len(selected)
    if direction == "up":
        return selected[:-1]
    if depth >= len(drawn.rows):
        return drawn.zoom.path
    row = drawn.rows[depth]
    nodes = [node for box in row for node in (narrow(box, row) if box.merged else (box.node,))]
    here = next((i for i, node in enumerate(nodes) if node.path == selected), None)
    if here is None:
        return drawn.zoom.path
    if direction == "down":
        below = drawn.rows[depth + 1] if depth + 1 < len(drawn.rows) else ()
        for box in below:
            if box.merged and box.node is nodes[here]:
                return narrow(box, below)[0].path
            if not box.merged and box.node.parent is nodes[here]:
                return box.node.path
        return selected
    there = here + (1 if direction == "right" else -1)
    return nodes[there].path if 0 <= there < len(nodes) else selected


def figures(node: Node, whole: Node) -> str:
    """What is known of a frame: total time, own time, share of everything."""
    share = fmt.ratio(node.total / whole.total) if whole.total else fmt.UNKNOWN
    return f"{fmt.ns(node.total)} total · {fmt.ns(node.own)} own · {share} of all"


@dataclass(frozen=True)
class Search:
    """A search in names for a text, without regard to case, or with `=name` for one whole name.

    Attributes:
        weight: of all stacks that hold such a frame, each counted once.
        frames: how many frames match.
    """

    text: str
    weight: int = 0
    frames: int = 0
    _names: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def matches(self, name: str) -> bool:
        """Whether a name is what is searched for; nothing matches the empty text."""
        found = self._names.get(name)
        if found is None:
            wanted = self.text.casefold()
            exact = self.text[1:] if self.text.startswith(EXACTLY) else ""
            found = (
                name == exact
                if exact
                else wanted not in ("", EXACTLY) and (wanted in name.casefold())
            )
            self._names[name] = found
        return found


def search(tree: Tree, text: str) -> Search:
    """Look for a text in every frame of a tree; an empty text is found nowhere."""
    made = Search(text)
    if text in ("", EXACTLY):
        return made
    count, known = _counter(text), made._names
    weight = frames = 0
    pending = [(node, False) for node in tree.root.grown.values()]
    while pending:
        node, counted = pending.pop()
        match = known.get(node.name)
        matches = int(made.matches(node.name) if match is None else match)
        if node.tail:
            matches += count(node.tail)
        if matches and not counted:
            weight += node.total
            counted = True
        frames += matches
        pending += [(child, counted) for child in node.grown.values()]
    return replace(made, weight=weight, frames=frames)


def _counter(text: str) -> Callable[[str], int]:
    """Counts the frames of a folded stack that match a text; each stack is looked at as a whole."""
    if text.startswith(EXACTLY):
        exact = text[len(EXACTLY) :]
        return lambda stack: stack.split(";").count(exact) if exact in stack else 0
    wanted = text.casefold()
    if ";" in wanted:  # of what is looked at, only the first level may hold one
        return lambda _: 0
    find = re.compile(re.escape(wanted) + "[^;]*()").findall  # a list of nothings costs least

    def count(stack: str) -> int:
        folded = stack.casefold()
        return len(find(folded)) if wanted in folded else 0

    return count
