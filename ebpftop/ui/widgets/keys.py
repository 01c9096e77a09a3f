"""The last line of the screen: what the most useful keys do; they can be clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.ui.actions import DASHBOARD
from ebpftop.ui.widgets.line import Line, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE = 92
FIXED = (("1…9", "pane"), ("↑↓", "select"), ("< >", "sort"))
OF_TIME = (("T t", "step"), ("+ -", "speed"))


class KeyBar(Line):
    """Keys and their actions, from `actions`."""

    COMPONENT_CLASSES = {"keys--key", "keys--action"}

    def __init__(self) -> None:
        super().__init__()
        self._of_time = False

    def show(self, of_time: bool) -> None:
        """Draw the keys that move through time, or those of a live screen."""
        if of_time != self._of_time:
            self._of_time = of_time
            self.refresh()

    def pieces(self, width: int) -> Iterator[Piece]:
        """Key and action, with a gap between two."""
        gap = "  " if width >= WIDE else " "
        yield Piece(" " if width >= WIDE else "")
        for key, title in OF_TIME if self._of_time else FIXED:
            yield Piece(key, "keys--key")
            yield Piece(f" {title}{gap}", "keys--action")
        for action in DASHBOARD:
            title = action.time_bar if self._of_time else action.bar
            if title:
                name = action.name if "." in action.name else f"screen.{action.name}"
                yield Piece(action.shown.split()[0], "keys--key", name)
                yield Piece(f" {title}{gap}", "keys--action", name)
