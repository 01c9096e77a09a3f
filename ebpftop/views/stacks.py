"""The stacks of the last seconds, as a tree that is kept from sample to sample.

A new sample adds its stacks, the oldest takes its own away, so that the cost is that of what
changed. Threads that slept throughout the window are left out unless they are asked for: on an idle
machine they are nearly all there is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ebpftop.views.flame import Tree
from ebpftop.views.flamediff import Comparison
from ebpftop.views.folding import Folding, Labels
from ebpftop.views.window import NS_PER_S, continues, lasted, recent, selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from ebpftop.model import ProbeInfo, Sample, View

    Weight = Literal["both", "blocked", "waiting"]

WINDOW_S = 30.0


class Spell(NamedTuple):
    """A row: whose it is, whether that thread ran meanwhile, and what it adds to the tree.

    `stack` is what `Tree.add` takes: the first name, the others folded, and the weight.
    """

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
class Window:
    """The tree of the stacks of the last seconds, of those samples that were shown to it.

    Attributes:
        info, view: the table must have `pid`, `stack` and the weights.
        weight: which time counts: `blocked` in sleep, `waiting` for a CPU while runnable, `both`.
        folding: what the first level of the tree is, and how the frames follow it.
        asleep: threads that slept throughout are in the tree, too.
        names, cgroups: command by process id, and what a cgroup is called by its id; may be set
            again at any time.
    """

    info: ProbeInfo
    view: View
    seconds: float = WINDOW_S
    weight: Weight = "both"
    folding: Folding = field(default_factory=Folding)
    asleep: bool = False
    names: Mapping[int, str] = field(default_factory=dict)
    cgroups: Mapping[int, str] = field(default_factory=dict)
    tree: Tree = field(default_factory=Tree)
    match: Mapping[str, object] = field(default_factory=dict)
    _made_of: tuple[object, ...] = ()
    _samples: deque[tuple[Sample, list[Spell]]] = field(default_factory=deque)
    _threads: dict[object, Thread] = field(default_factory=dict)
    _labels: Labels | None = None
    _compared: Comparison | None = None
    _compared_of: tuple[object, ...] = ()

    def update(self, samples: Sequence[Sample], match: Mapping[str, object]) -> None:
        """Bring the tree to the newest samples; samples are known by their number and time."""
        self._compared, self._compared_of = None, ()
        chosen = sorted(match.items(), key=str)
        made_of = (self.weight, self.folding, self.asleep, self.seconds, *chosen)
        named = self._labels is not None and self._labels.named(self.names, self.cgroups)
        last = self._samples[-1][0] if self._samples else None
        if made_of != self._made_of or named or not continues(last, samples):
            self.tree = Tree()
            self._samples.clear()
            self._threads.clear()
            self._labels = None
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
    def samples(self) -> list[Sample]:
        """The samples in the tree, oldest first."""
        return [sample for sample, _ in self._samples]

    @property
    def lasted(self) -> str:
        """How much time the samples in the tree cover."""
        return lasted(self.samples)

    def compare(self, a: Sample, b: Sample, match: Mapping[str, object]) -> Comparison:
        """Both sums as trees, by the window's settings; its own tree stays.

        A thread that ran in one of them counts in both, or what it slept would come from nowhere.
        """
        known = len(self.names), len(self.cgroups)
        made_of = (a, b, dict(match), self.weight, self.folding, self.asleep, *known)
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
                    first, rest, weight = spell.stack
                    tree.add(first, rest, weight)
                    both.add(first, rest, weight * scale)
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
        if self._labels is None or self._labels.by != self.folding.by:
            self._labels = Labels(self.folding.by, table)
        label, path = self._labels.of(self.names, self.cgroups), self.folding.path
        spells = []
        for row in selector(table, match)(sample.tables.get(table.name, ())):
            weight = sum(row[position] or 0 for position in weights)
            if weight > 0:
                thread = row[pid] if tid is None else (row[pid], row[tid])
                ran = self.asleep or count is None or row[pid] is None or row[count] > 0
                spells.append(Spell(thread, ran, (*path(label(row), row[stack]), weight)))
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
