"""The command palette: every pane by its title and purpose, and every action."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from ebpftop.ui import actions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ebpftop.ui.screens.dashboard import Dashboard

# Of no use in a list that is already open.
HIDDEN = ("next_pane", "previous_pane")


class DashboardCommands(Provider):
    """Panes and actions of the dashboard."""

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for title, help_text, run in self._commands():
            yield DiscoveryHit(title, run, help=help_text)

    async def search(self, query: str) -> Hits:
        """What matches."""
        matcher = self.matcher(query)
        for title, help_text, run in self._commands():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, text=title, help=help_text)

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        dashboard = cast("Dashboard", self.screen)
        for position, probe in enumerate(dashboard.probes):
            run = partial(dashboard.run_action, f"show_pane({position})")
            yield f"{probe.title}: {probe.name}", probe.purpose, run
        for action in actions.DASHBOARD:
            if action.name not in HIDDEN and dashboard.check_action(action.name, ()):
                help_text = f"key {action.shown}. {action.help}".strip()
                yield action.title, help_text, partial(dashboard.run_action, action.name)
