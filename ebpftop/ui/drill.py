"""How far the user has drilled down: a stack of levels, each a step further than the one below.

Every level keeps what was set on it, for each table of each pane: order, filter, cursor, and what
its rows are grouped by. Whoever comes back finds it as it was left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ebpftop.views.scope import Scope
from ebpftop.views.state import ViewState

if TYPE_CHECKING:
    from ebpftop.views.scope import Step

# A probe, and the number of a view among its views.
Place = tuple[str, int]


@dataclass
class Level:
    """One step, and what was set while it was the last.

    Attributes:
        step: what was chosen; None on the ground.
        below: the level before; None of the ground.
        groups: what tables are grouped by: a role, or `tree` for the tree of cgroups.
    """

    step: Step | None = None
    below: Level | None = None
    groups: dict[Place, str] = field(default_factory=dict)
    _states: dict[tuple[Place, str], ViewState] = field(default_factory=dict)

    def state(self, place: Place) -> ViewState:
        """What was set for a table as it is grouped now, else the order that it had below."""
        known = self._states.get((place, self.groups.get(place, "")))
        if known or self.below is None or self.groups.get(place):
            return known or ViewState()
        before = self.below._states.get((place, ""), ViewState())
        return ViewState(sort=before.sort, reverse=before.reverse)

    def keep(self, place: Place, state: ViewState) -> None:
        """Keep what is set for a table as it is grouped now."""
        self._states[place, self.groups.get(place, "")] = state


class Drill:
    """The levels; the first is the ground, the last is where the user is."""

    def __init__(self) -> None:
        self.levels = [Level()]

    @property
    def level(self) -> Level:
        """Where the user is."""
        return self.levels[-1]

    @property
    def scope(self) -> Scope:
        """All steps that were taken."""
        return Scope(tuple(level.step for level in self.levels if level.step))

    def push(self, step: Step) -> None:
        """Go a step further; tables keep their order, and begin without filter and grouping."""
        self.levels.append(Level(step, self.level))

    def pop(self, to: int | None = None) -> bool:
        """Go back one level, or to the level of that number; returns whether there was one."""
        wanted = len(self.levels) - 1 if to is None else to + 1
        if not 1 <= wanted < len(self.levels):
            return False
        del self.levels[wanted:]
        return True
