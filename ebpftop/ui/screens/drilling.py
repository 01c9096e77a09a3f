"""What a screen does to drill down: open a row, go back, group rows, and say where one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.model import Command
from ebpftop.ui.drill import Drill
from ebpftop.ui.screens.choose import Choice, Choose
from ebpftop.ui.screens.rewind import Rewindable
from ebpftop.ui.widgets.breadcrumb import Breadcrumb
from ebpftop.views import group, scope, tree
from ebpftop.views.scope import Names

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ebpftop.ui.feed import Feed
    from ebpftop.ui.widgets.table import SampleTable
    from ebpftop.views.scope import Step

WHOLE = Command("scope")


class Drilling(Rewindable):
    """The part of the dashboard that holds the scope."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self.drill = Drill()
        self._asked = WHOLE

    def compose_scope(self) -> ComposeResult:
        """The line that says where one is."""
        yield Breadcrumb()

    @property
    def selected_table(self) -> SampleTable | None:
        """The table whose rows can be opened."""
        return self.pane.table if self.pane else None

    # What the user does

    def action_open(self) -> None:
        """Choose what the selected row is about; without a selection, take the first row."""
        table = self.selected_table
        if table is None or self.pane is None:
            return
        if not table.selection:
            table.action_first()
            return
        step = self._step_of(table)
        if step is None:
            self._say("this row is all that is left; Backspace goes back")
        else:
            self.enter(step)

    def enter(self, step: Step) -> None:
        """Go a step further."""
        self.drill.push(step)
        self.scope_changed()

    def action_back(self) -> None:
        """Take the last step back."""
        self.go_back()

    def action_level(self, number: int) -> None:
        """Go back to a level; 0 is the whole machine."""
        if self.drill.pop(number):
            self.scope_changed()

    def go_back(self) -> bool:
        """Take the last step back; returns whether there was one."""
        if not self.drill.pop():
            return False
        self.scope_changed()
        return True

    def action_group(self) -> None:
        """Ask what to fold the rows by."""
        pane, table = self.pane, self.selected_table
        if pane is None or table is None:
            return
        roles = group.groupings(pane.info.table(pane.view_of(table).table))
        choices = [Choice("", "each row")]
        choices += (Choice(role, group.GROUPINGS[role]) for role in roles)

        def chosen(role: str | None) -> None:
            if role is not None and self.pane is pane:
                pane.group(role)

        self.app.push_screen(Choose("group by", choices, pane.grouping(table)), chosen)

    def action_tree(self) -> None:
        """Show the rows as the tree of their cgroups, or as they were."""
        pane, table = self.pane, self.selected_table
        if pane is None or table is None:
            return
        if pane.grouping(table) == tree.TREE:
            pane.group("")
        elif "cgroup" in group.groupings(pane.info.table(pane.view_of(table).table)):
            pane.group(tree.TREE)
        else:
            self._say("nothing is known of the cgroups of these rows")

    def action_follow(self) -> None:
        """Keep the selected row in sight, or no more."""
        if self.selected_table:
            self.selected_table.toggle_follow()

    def action_pin(self) -> None:
        """Keep the selected row on top, or no more."""
        if self.selected_table:
            self.selected_table.toggle_pin()

    # What follows from it

    def scope_changed(self) -> None:
        """Draw in the new scope, and have the kernel count no more than that."""
        self.narrow_collection()
        self.redraw()
        if self.pane:
            self.pane.focus_view()

    def draw_breadcrumb(self) -> None:
        """Say where one is; the line is there only while anything is left out."""
        steps = self.drill.scope.steps
        line = self.query_one(Breadcrumb)
        line.set_class(bool(steps), "-shown")  # not on the screen: that would style all of it anew
        if steps:
            hello = self.feed.shown.hello
            remark = "counted alone " if self._asked != WHOLE else ""
            labels = [step.label for step in steps]
            line.show(hello.host if hello else "", labels, remark)

    def narrow_collection(self) -> None:
        """Have the kernel count what is in scope alone; all of it while it is recorded or past."""
        feed = self.feed
        if not feed.live or feed.ended:
            return
        wanted = WHOLE
        if feed.following and not feed.writer:
            wanted = self._command()
        if wanted != self._asked:
            self._asked = wanted
            feed.send(wanted)

    def _command(self) -> Command:
        """What the kernel can be asked to count: one process, or a cgroup with all below it."""
        chosen = self.drill.scope
        pid = chosen.value("pid")
        if isinstance(pid, int):
            return Command("scope", pid=pid)
        path = scope.cgroup_of(chosen, Names.of(self.feed.store))
        known = self.feed.store.paths.items()  # of those that have processes of their own
        return Command("scope", cgroup=next((n for n, each in known if path == each != ""), 0))

    def _step_of(self, table: SampleTable) -> Step | None:
        assert self.pane is not None
        names, role = Names.of(self.feed.shown), self.pane.grouping(table)
        if role:
            value = next(iter(table.selection.values()))
            if value == scope.UNKNOWN:
                return None
            return scope.step(tree.role_of(role), value, names)
        described = self.pane.info.table(self.pane.view_of(table).table)
        return scope.next_step(described, table.selection, self.drill.scope, names)
