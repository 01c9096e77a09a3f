"""The stacks of the last seconds, as a tree that is kept from sample to sample.

A new sample adds its stacks, the oldest takes its own away, so that the cost is that of what
changed. Threads that slept throughout the window are left out unless they are asked for: on an idle
machine they are nearly all there is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ebpftop.views import format as fmt
from ebpftop.views.difference import ARROW, sign, step
from ebpftop.views.flame import Tree
from ebpftop.views.window import NS_PER_S, continues, lasted, process, recent, selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from ebpftop.model import ProbeInfo, Sample, View
    from ebpftop.views.flame import Node

    Weight = Literal["both", "blocked", "waiting"]

WINDOW_S = 30.0


class Spell(NamedTuple):
    """A row: whose it is, whether that thread ran meanwhile, and what it adds to the tree."""

    thread: object
    ran: bool
    stack: tuple[str, str, int]


@dataclass
class Thread:
    """The spells of one thread in the window, oldest first, and in how many of them it ran."""

    stacks: deque[tuple[str, str, int]] = field(default_factory=deque)
    runs: int = 0
    shown: bool = False


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
        a, b = self._sides(node)
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

    def _sides(self, node: Node) -> tuple[Node | None, Node | None]:
        """The same frame in the trees of A and B; None where it is not."""
        found = self._found.get(node)
        if found is None:
            if node.parent is None:
                found = self.a.root, self.b.root
            else:
                a, b = self._sides(node.parent)
                found = (a and a.children.get(node.name)), (b and b.children.get(node.name))
            self._found[node] = found
        return found


@dataclass
class Window:
    """The tree of the stacks of the last seconds, of those samples that were shown to it.

    Attributes:
        info, view: the table must have `pid`, `stack` and the weights.
        weight: which time counts: `blocked` in sleep, `waiting` for a CPU while runnable, `both`.
        merge: processes of the same name are one.
        asleep: threads that slept throughout are in the tree, too.
        names: command by process id; may be set again at any time.
    """

    info: ProbeInfo
    view: View
    seconds: float = WINDOW_S
    weight: Weight = "both"
    merge: bool = False
    asleep: bool = False
    names: Mapping[int, str] = field(default_factory=dict)
    tree: Tree = field(default_factory=Tree)
    match: Mapping[str, object] = field(default_factory=dict)
    _made_of: tuple[object, ...] = ()
    _samples: deque[tuple[Sample, list[Spell]]] = field(default_factory=deque)
    _threads: dict[object, Thread] = field(default_factory=dict)
    _unnamed: set[int] = field(default_factory=set)
    _compared: Comparison | None = None
    _compared_of: tuple[object, ...] = ()

    def update(self, samples: Sequence[Sample], match: Mapping[str, object]) -> None:
        """Bring the tree to the newest samples; samples are known by their number and time."""
        self._compared, self._compared_of = None, ()
        chosen = sorted(match.items(), key=str)
        made_of = (self.weight, self.merge, self.asleep, self.seconds, *chosen)
        named = any(pid in self.names for pid in self._unnamed)
        last = self._samples[-1][0] if self._samples else None
        if made_of != self._made_of or named or not continues(last, samples):
            self.tree = Tree()
            self._samples.clear()
            self._threads.clear()
            self._unnamed.clear()
            self._made_of = made_of
        self.match = dict(match)
        since = self._samples[-1][0].mono_ns if self._samples else -1
        for sample in recent(samples, self.seconds):
            if sample.mono_ns > since:
                self._add(sample)
        newest = self._samples[-1][0].mono_ns if self._samples else 0
        while self._samples and self._samples[0][0].mono_ns <= newest - self.seconds * NS_PER_S:
            for spell in self._samples.popleft()[1]:
                self._end(spell)

    @property
    def sleepers(self) -> int:
        """Threads that are not in the tree, because they slept throughout."""
        return sum(1 for thread in self._threads.values() if not thread.shown)

    @property
    def lasted(self) -> str:
        """How much time the samples in the tree cover."""
        return lasted(sample for sample, _ in self._samples)

    def compare(self, a: Sample, b: Sample, match: Mapping[str, object]) -> Comparison:
        """Both sums as trees, by the window's settings; its own tree stays.

        A thread that ran in one of them counts in both, or what it slept would come from nowhere.
        """
        made_of = (a, b, dict(match), self.weight, self.merge, self.asleep, len(self.names))
        if self._compared is None or made_of != self._compared_of:
            self._compared, self._compared_of = self._compare(a, b, match), made_of
        return self._compared

    def _compare(self, a: Sample, b: Sample, match: Mapping[str, object]) -> Comparison:
        sides = [self._spells(sample, match) for sample in (a, b)]
        threads = {spell.thread for spells in sides for spell in spells}
        ran = {spell.thread for spells in sides for spell in spells if spell.ran}
        trees = [Tree(), Tree()]
        both = Tree()
        for tree, spells, scale in zip(trees, sides, (b.dt_ns, a.dt_ns)):
            for spell in spells:
                if spell.thread in ran:
                    process, stack, weight = spell.stack
                    tree.add(process, stack, weight)
                    both.add(process, stack, weight * scale)
        return Comparison(both, trees[0], trees[1], a.dt_ns, b.dt_ns, len(threads - ran))

    def _add(self, sample: Sample) -> None:
        """Take a sample in, as the newest."""
        spells = self._spells(sample, self.match)
        for spell in spells:
            self._begin(spell)
        self._samples.append((sample, spells))

    def _spells(self, sample: Sample, match: Mapping[str, object]) -> list[Spell]:
        """The rows of a sample as spells."""
        table = self.info.table(self.view.table)
        pid, stack = table.index("pid"), table.index("stack")
        columns = ("blocked", "waiting") if self.weight == "both" else (self.weight,)
        weights = [table.index(f"{name}_ns") for name in columns]
        names = [column.name for column in table.columns]
        tid, count = (names.index(name) if name in names else None for name in ("tid", "count"))
        labels: dict[int | None, str] = {}
        spells = []
        for row in selector(table, match)(sample.tables.get(table.name, ())):
            label = labels.get(row[pid])
            if label is None:
                label = labels[row[pid]] = self._label(row[pid])
            weight = sum(row[position] or 0 for position in weights)
            if weight > 0:
                thread = row[pid] if tid is None else (row[pid], row[tid])
                ran = self.asleep or count is None or row[pid] is None or row[count] > 0
                spells.append(Spell(thread, ran, (label, row[stack] or "", weight)))
        return spells

    def _begin(self, spell: Spell) -> None:
        """Take up a spell; what its thread slept before comes into the tree once it has run."""
        thread = self._threads.setdefault(spell.thread, Thread())
        thread.stacks.append(spell.stack)
        thread.runs += spell.ran
        for stack in thread.stacks if thread.runs and not thread.shown else (spell.stack,):
            if thread.runs:
                self.tree.add(*stack)
        thread.shown = thread.runs > 0

    def _end(self, spell: Spell) -> None:
        """Give up the oldest spell of a thread, and all of them where it has not run since."""
        thread = self._threads[spell.thread]
        thread.stacks.popleft()
        thread.runs -= spell.ran
        if thread.shown:
            self.tree.remove(*spell.stack)
            if not thread.runs:
                for stack in thread.stacks:
                    self.tree.remove(*stack)
        thread.shown = thread.runs > 0
        if not thread.stacks:
            del self._threads[spell.thread]

    def _label(self, pid: int | None) -> str:
        """The first level of a stack: its process."""
        if pid is None:
            return "others"
        comm = self.names.get(pid)
        if comm is None:
            self._unnamed.add(pid)
        elif self.merge:
            return fmt.clean(comm)
        return process(pid, self.names)


def _rate(node: Node | None, dt_ns: int) -> float:
    return node.total * NS_PER_S / dt_ns if node and dt_ns > 0 else 0.0
