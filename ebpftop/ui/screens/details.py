"""What a screen does to show the page of a process, or of a group of them, in place of a pane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on

from ebpftop.ui.page import PageView
from ebpftop.ui.screens.drilling import Drilling
from ebpftop.ui.widgets.page import SectionBox
from ebpftop.views.scope import UNKNOWN, Names
from ebpftop.views.subject import about

if TYPE_CHECKING:
    from ebpftop.model import ProbeInfo
    from ebpftop.ui.feed import Feed
    from ebpftop.ui.pane import Pane


class Detailing(Drilling):
    """The part of the dashboard that opens pages.

    Attributes:
        page: the open page; while there is one, no pane is open.
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self.page: PageView | None = None
        self._pane: Pane | None = None

    @property
    def pane(self) -> Pane | None:
        """The open pane."""
        return None if self.page else self._pane

    @property
    def timed(self) -> ProbeInfo | None:
        """The probe of the selected section, or of the pane."""
        selected = self.page.info if self.page else None
        return selected or (self._pane.info if self._pane else None)

    def hold_probes(self) -> None:
        """Have all probes run for as long as something wants them."""
        raise NotImplementedError

    # What the user does

    def action_details(self) -> None:
        """Open the page of who is selected, else of who the scope is about; or close it."""
        table = self.selected_table
        if self.close_page() or table is None:
            return
        step = about(self._selected(), self.drill.scope, Names.of(self.feed.shown))
        if step is not None:
            self.page = PageView(self.feed, step, self.timed.name if self.timed else "")
            if self._pane:
                self._pane.display = False
            self.query_one("#panes").mount(self.page)
            self.hold_probes()
        elif table.selection:
            self._say("this row is about no process; Enter opens it")
        else:
            table.action_first()

    def close_page(self) -> bool:
        """Go back to the pane; returns whether there was a page."""
        page, self.page = self.page, None
        if page is None:
            return False
        page.remove()
        self.hold_probes()
        if self._pane:
            self._pane.display = True
            self.redraw()
            self._pane.focus_view()
        self.draw_timeline()
        return True

    def go_back(self) -> bool:
        """Close the page, or take the last step back; returns whether there was either."""
        return self.close_page() or super().go_back()

    def scope_changed(self) -> None:
        """Another scope is looked at on the panes."""
        self.close_page()
        super().scope_changed()

    @on(SectionBox.Opened)
    async def _section_opened(self, message: SectionBox.Opened) -> None:
        """Look at one probe, in the scope of the page."""
        message.stop()
        if self.page is None:
            return
        step = self.page.step
        if all(step.terms != each.terms for each in self.drill.scope.steps):
            self.enter(step)
        self.close_page()
        await self.open_pane(message.probe)

    @on(SectionBox.Selected)
    def _section_selected(self, message: SectionBox.Selected) -> None:
        message.stop()
        self.draw_timeline()

    async def open_pane(self, probe: str) -> None:
        """Open the pane of a probe."""
        raise NotImplementedError

    def _selected(self) -> dict[str, Any]:
        """The keys of the selected row, by their roles, as far as they are known."""
        table = self.selected_table
        if table is None:
            return {}
        roles = {shown.column.name: shown.column.role for shown in table.shape.columns}
        values = table.selection.items()
        return {roles[n]: value for n, value in values if roles.get(n) and value != UNKNOWN}
