"""Where time goes, as an icicle: callers on top, what they called below, as wide as its time.

Arrows move, Enter or a second click zooms, Esc goes back. It can be turned round, so that callers
are below, and be a table of functions instead. The line at the bottom tells all about the frame
that is selected or pointed at.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.actions import SkipAction

from ebpftop.ui import actions, stackfile
from ebpftop.ui.screens.choose import Choice, Choose
from ebpftop.ui.widgets.flameboxes import ABOVE_ZOOM
from ebpftop.ui.widgets.flametable import HEADING
from ebpftop.ui.widgets.flameview import ABOUT_LINES, FlameView
from ebpftop.views import flame
from ebpftop.views import format as fmt
from ebpftop.views.folding import FRAMES, choices
from ebpftop.views.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from textual.events import Click, Leave, MouseMove, MouseScrollDown, MouseScrollUp

    from ebpftop.model import ProbeInfo, View
    from ebpftop.recording.export.stacks import Stacks
    from ebpftop.views.flame import Direction, Path
    from ebpftop.views.owntotal import Function
    from ebpftop.views.stacks import Weight

WEIGHTS: dict[Weight, Weight] = {"both": "blocked", "blocked": "waiting", "waiting": "both"}


class Flame(FlameView, can_focus=True):
    """The stacks of the last seconds."""

    BINDINGS = actions.bindings(actions.FLAME)

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        # A search that the table made, and what was searched for before.
        self._found_by_table = self._searched_before = ""

    # What the user does

    def action_move(self, direction: Direction) -> None:
        """Select the next frame in a direction, or the next function."""
        if not self.lists:
            self._select(self._boxes.move(self._node(self.selected).path, direction))
        elif direction in ("up", "down"):
            self._table.move(1 if direction == "down" else -1)
            self.redraw()

    def action_page(self, step: int) -> None:
        """Show what is a page away."""
        if self.lists:
            self._table.page(step)
            self.redraw()
        else:
            self._scroll(step * max(1, self.size.height - ABOUT_LINES - 1))

    def action_zoom(self) -> None:
        """Give the selected frame the whole width; of a function, find its frames."""
        if self.lists:
            self._find(self._table.row)
            return
        self.zoom = self._node(self.selected).path
        self._boxes.top = max(0, len(self.zoom) - ABOVE_ZOOM)
        self.redraw()

    def action_unzoom(self) -> None:
        """End the search, else leave the table, else go back to the whole."""
        if self._search.text:
            self.filter("")
        elif self.lists:
            self.action_functions()
        elif self.zoom:
            self.zoom = ()
            self._boxes.top = 0
            self._show_selected()
            self.redraw()
        else:
            raise SkipAction

    def action_functions(self) -> None:
        """Show the table of functions, or the boxes."""
        self.lists = not self.lists
        if self.lists and self._search.text == self._found_by_table:
            self.filter(self._searched_before)
        self._found_by_table = ""
        self._head()
        self.redraw()

    def action_sort(self, step: int) -> None:
        """Sort the functions by the column that many to the right; 0 turns the order round."""
        if not self.lists:
            raise SkipAction
        order = self._table.order
        self._table.order = order.moved(step) if step else order.turned
        self.redraw()

    def action_group(self) -> None:
        """Have something else on the first level."""
        known = choices(self.info.table(self.view.table))
        by = self.window.folding.by
        at = known.index(by) if by in known else -1
        self._fold(by=known[(at + 1) % len(known)])

    def action_merge(self) -> None:
        """Show processes of one name as one, or each."""
        self._fold(by="process" if self.window.folding.by == "name" else "name")

    def action_turn(self) -> None:
        """Have callers above what they call, or below it."""
        self._fold(leaf_first=not self.window.folding.leaf_first)

    def action_frames(self) -> None:
        """Show all frames, those of the kernel, or those of programs."""
        known = tuple(FRAMES)
        at = known.index(self.window.folding.frames)
        self._fold(frames=known[(at + 1) % len(known)])

    def action_weight(self) -> None:
        """Count time blocked, waiting for a CPU, or both."""
        self.window.weight = WEIGHTS[self.window.weight]
        self.refresh_stacks()

    def action_asleep(self) -> None:
        """Show threads that slept throughout, or leave them out."""
        self.window.asleep = not self.window.asleep
        self.refresh_stacks()

    def action_save_as(self) -> None:
        """Ask how to write what is shown, and write it."""
        if self._comparison:
            self._say("two ranges are compared: save one of them, without the other mark", True)
        elif not self.drawn.root.total:
            self._say("there are no stacks to save", True)
        else:
            kinds = [Choice(kind, name) for kind, name in stackfile.FORMATS.items()]
            self.app.push_screen(Choose("save as", kinds), self._save)

    def _save(self, kind: str | None) -> None:
        if kind is not None:
            remarks = [*_steps(self.match), self.remark]
            stacks = stackfile.shown(self.window, self.host, remarks)
            self.run_worker(self._write(kind, stacks))

    async def _write(self, kind: str, stacks: Stacks) -> None:
        """Write a file, while the screen goes on, and say where it is."""
        try:
            path = await asyncio.to_thread(stackfile.save, kind, stacks)
        except OSError as error:
            self._say(f"cannot save the stacks: {error.strerror or error}", True)
        else:
            self._say(f"the stacks are in {path}")

    def _say(self, text: str, wrong: bool = False) -> None:
        self.notify(fmt.clean(text), severity="warning" if wrong else "information", markup=False)

    def _fold(self, **changed: Any) -> None:
        """Make another tree; of zoom and selection what stands on the first level stays."""
        window = self.window
        keeps = window.folding.grouped and "by" not in changed
        window.folding = replace(window.folding, **changed)
        self.zoom, self.selected = (path[:keeps] for path in (self.zoom, self.selected))
        self._boxes.top = 0
        self.refresh_stacks()

    def _find(self, function: Function | None) -> None:
        """Show where a function of the table is in the flame."""
        if function is not None:
            before = self._search.text
            self.action_functions()
            self.filter(flame.EXACTLY + function.name)
            self._searched_before, self._found_by_table = before, self._search.text

    # The mouse

    def on_click(self, event: Click) -> None:
        """Select what is clicked; open it when it was selected already; sort by a heading."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if self.lists:
            self._click_table(*offset)
            return
        node = self._boxes.at(*offset, hidden=True)
        if node is None:
            return
        path = node.path
        again = path == self._node(self.selected).path
        self._select(path)
        if again:
            self.action_zoom()

    def _click_table(self, x: int, y: int) -> None:
        table, row = self._table, self._table.at(y)
        if y < HEADING:
            table.sort(table.column_at(x))
        elif row is not None and row.name == table.selected:
            self._find(row)
        elif row is not None:
            table.selected = row.name
        self.redraw()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Tell about what is pointed at."""
        offset = event.get_content_offset(self)
        pointed = self._boxes.at(*offset) if offset and not self.lists else None
        if pointed is not self._pointed:
            self._pointed = pointed
            self.redraw()

    def on_leave(self, event: Leave) -> None:
        """Tell about the selected frame again."""
        del event
        if self._pointed is not None:
            self._pointed = None
            self.redraw()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Show deeper frames."""
        event.stop()
        self._scroll(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Show frames further up."""
        event.stop()
        self._scroll(-1)

    def _select(self, path: Path) -> None:
        self.selected = path
        self._show_selected()
        self.redraw()

    def _show_selected(self) -> None:
        depth = len(self._node(self.selected).path)
        self._boxes.show(depth, self.size.height - ABOUT_LINES)

    def _scroll(self, step: int) -> None:
        if (self._table if self.lists else self._boxes).scroll(step):
            self.redraw()


def _steps(match: Mapping[str, object]) -> Iterator[str]:
    """The steps of the scope that is among what is matched."""
    for value in match.values():
        if isinstance(value, Scope):
            yield from (step.label for step in value.steps)
