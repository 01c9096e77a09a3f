"""How a row becomes a path of the tree: what comes first, which way round, and which frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from ebpftop.views import format as fmt
from ebpftop.views.flame import KERNEL
from ebpftop.views.window import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from ebpftop.model import Row, Table

    Label = Callable[[Row], str]

By = Literal["process", "name", "thread", "cgroup", "none"]
Frames = Literal["all", "kernel", "user"]
# What a key leads through, and what the heading says then.
BY: dict[By, str] = {
    "process": "by process",
    "name": "by process name",
    "thread": "by thread",
    "cgroup": "by cgroup",
    "none": "all together",
}
FRAMES: dict[Frames, str] = {"all": "", "kernel": "kernel frames", "user": "user frames"}
LEAF_FIRST = "callers below"
NEEDS: dict[By, str] = {"thread": "tid", "cgroup": "cgroup"}
OTHERS, NO_STACK = "others", "[no stack]"
NO_FRAMES = {which: f"[no {which} frames]" for which in FRAMES if which != "all"}
NO_FUNCTIONS = frozenset((OTHERS, NO_STACK, *NO_FRAMES.values()))  # what stands in for them
NO_CGROUP = "unknown cgroup"
STACKS = 16_384  # that are remembered in another form


@dataclass(frozen=True)
class Folding:
    """What stands on the first level of the tree, and below it.

    Attributes:
        by: what the first level is; with `none` it holds frames already.
        leaf_first: the function that was called last comes first, its callers below it.
        frames: all, those of the kernel, or those of programs.
    """

    by: By = "process"
    leaf_first: bool = False
    frames: Frames = "all"

    @property
    def grouped(self) -> bool:
        """Whether the first level is no frame."""
        return self.by != "none"

    @property
    def told(self) -> tuple[str, ...]:
        """What a heading says of it."""
        order = LEAF_FIRST if self.leaf_first else ""
        return tuple(filter(None, (BY[self.by], order, FRAMES[self.frames])))

    def path(self, first: str, stack: str | None) -> tuple[str, str]:
        """First name, and the others folded, of a row with that label; of the others no stack."""
        text = "" if stack is None else shaped(stack, self.leaf_first, self.frames)
        if self.grouped:
            return first, text
        name, _, rest = text.partition(";")
        return name or (OTHERS if stack is None else NO_STACK), rest


@lru_cache(maxsize=STACKS)
def _reshaped(stack: str, leaf_first: bool, which: Frames) -> str:
    frames = stack.split(";") if stack else []
    if which != "all":
        wanted = which == "kernel"
        frames = [frame for frame in frames if frame.endswith(KERNEL) == wanted]
        frames = frames or [NO_FRAMES[which]]
    return ";".join(reversed(frames) if leaf_first else frames)


def shaped(stack: str, leaf_first: bool, frames: Frames) -> str:
    """A folded stack turned round, or without frames; one that has none left says so."""
    if not leaf_first and frames == "all":
        return stack
    return _reshaped(stack, leaf_first, frames)


def choices(table: Table) -> tuple[By, ...]:
    """What the first level can be with the columns of a table."""
    names = {column.name for column in table.columns}
    return tuple(by for by in BY if NEEDS.get(by, "pid") in names)


class Labels:
    """The names on the first level.

    Attributes:
        by: what that is.
        unnamed: ids that had no name, processes or cgroups.
    """

    def __init__(self, by: By, table: Table) -> None:
        names = [column.name for column in table.columns]
        self.by = by
        self._pid = table.index("pid")
        self._tid = names.index("tid") if "tid" in names else None
        self._cgroup = names.index("cgroup") if "cgroup" in names else None
        self.unnamed: set[int] = set()

    def of(self, names: Mapping[int, str], cgroups: Mapping[int, str]) -> Label:
        """Gives the label of a row; each is worked out once."""
        positions = {"thread": (self._pid, self._tid), "cgroup": (self._pid, self._cgroup)}
        one, other = positions.get(self.by, (self._pid, None))
        known: dict[tuple[int | None, int | None], str] = {}

        def label(row: Row) -> str:
            key = row[one], None if other is None else row[other]
            found = known.get(key)
            if found is None:
                found = known[key] = self._made(*key, names, cgroups)
            return found

        return label

    def named(self, names: Mapping[int, str], cgroups: Mapping[int, str]) -> bool:
        """Whether one that had no name has one now."""
        known: AbstractSet[int] = (cgroups if self.by == "cgroup" else names).keys()
        return not self.unnamed.isdisjoint(known)

    def _made(
        self,
        pid: int | None,
        of_pid: int | None,
        names: Mapping[int, str],
        cgroups: Mapping[int, str],
    ) -> str:
        if pid is None:
            return OTHERS
        if self.by == "cgroup":
            return self._cgroup_label(of_pid, cgroups)
        comm = names.get(pid)
        if comm is None:
            self.unnamed.add(pid)
        elif self.by == "name":
            return fmt.clean(comm)
        label = process(pid, names)
        return label if of_pid is None else f"{label} tid {of_pid}"

    def _cgroup_label(self, cgroup: int | None, cgroups: Mapping[int, str]) -> str:
        if not cgroup:
            return NO_CGROUP
        if cgroup not in cgroups:
            self.unnamed.add(cgroup)
        return fmt.clean(cgroups.get(cgroup, "")) or f"cgroup {cgroup}"
