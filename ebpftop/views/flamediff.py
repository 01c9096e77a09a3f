"""The stacks of two ranges as one tree, and what changed in each frame from one to the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ebpftop.views import format as fmt
from ebpftop.views.difference import ARROW, sign, step
from ebpftop.views.window import NS_PER_S

if TYPE_CHECKING:
    from ebpftop.views.flame import Node, Tree


@dataclass
class Comparison:
    """The stacks of two ranges, A and B, as one tree.

    A frame is as wide as its time per second in A and in B together: so boxes fill their rows,
    and what is gone in B is seen as well as what is new.

    Attributes:
        tree: both; weights are in no unit, but in proportion to that sum.
        a, b: each alone, in nanoseconds.
        a_ns, b_ns: how long the ranges are.
        sleepers: threads that are in none, because they slept throughout both.
    """

    tree: Tree
    a: Tree
    b: Tree
    a_ns: int
    b_ns: int
    sleepers: int
    _found: dict[Node, tuple[Node | None, Node | None]] = field(default_factory=dict)

    def rates(self, node: Node) -> tuple[float, float]:
        """Time per second of a frame of `tree`, in A and in B, in nanoseconds."""
        a, b = self.sides(node)
        return _rate(a, self.a_ns), _rate(b, self.b_ns)

    def change(self, node: Node) -> float:
        """Time per second in B less that in A, in nanoseconds."""
        a, b = self.rates(node)
        return b - a

    @property
    def whole(self) -> float:
        """Time per second of everything, on the side that has more."""
        return max(self.rates(self.tree.root))

    def step(self, node: Node) -> int:
        """How strongly its change is coloured, by its share of the whole; below 0 it shrank."""
        grown = self.change(node)
        return step(grown, self.whole) * (1 if grown > 0 else -1)

    def figures(self, node: Node) -> str:
        """What is known of a frame: both rates, the change, and its share of the whole."""
        a, b = self.rates(node)
        grown = self.change(node)
        share = sign(grown) + fmt.ratio(abs(grown) / self.whole if self.whole else 0.0)
        return (
            f"A {fmt.ns(a)}/s {ARROW} B {fmt.ns(b)}/s"
            f" · {sign(grown)}{fmt.ns(abs(grown))}/s · {share} of all"
        )

    def sides(self, node: Node) -> tuple[Node | None, Node | None]:
        """The same frame in the trees of A and B; None where it is not."""
        unknown: list[Node] = []
        above: Node | None = node
        while above is not None and above not in self._found:
            unknown.append(above)
            above = above.parent
        sides: tuple[Node | None, Node | None] = self._found[above] if above else (None, None)
        for each in reversed(unknown):
            a, b = sides
            if each.parent is None:
                sides = self.a.root, self.b.root
            else:
                sides = (a and a.children.get(each.name)), (b and b.children.get(each.name))
            self._found[each] = sides
        return sides


def _rate(node: Node | None, dt_ns: int) -> float:
    return node.total * NS_PER_S / dt_ns if node and dt_ns > 0 else 0.0
