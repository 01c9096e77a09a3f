"""The last line of the screen: what the most useful keys do; they can be clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.ui.actions import DASHBOARD
from ebpftop.ui.widgets.line import Line, Piece
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXED = (("1…9", "pane"), ("↑↓", "select"), ("< >", "sort"))
OF_TIME = (("T t", "step"), ("+ -", "speed"))
# What is left out first where the line is too short for all.
LEFT_OUT = ("+ -", "< >", "v", "c", "d", "g", "r", "b", "m")


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
        """Key and action, with a gap between two; where it is narrow, some are left out."""
        shown = list(self._shown())
        for key in ("", *LEFT_OUT):
            shown = [each for each in shown if each[0] != key]
            wide = sum(fmt.width(f"{key} {title}") + 2 for key, title, _ in shown) + 1 <= width
            if wide or sum(fmt.width(f"{key} {title}") + 1 for key, title, _ in shown) <= width:
                break
        gap = "  " if wide else " "
        yield Piece(" " if wide else "")
        for key, title, action in shown:
            yield Piece(key, "keys--key", action)
            yield Piece(f" {title}{gap}", "keys--action", action)

    def _shown(self) -> Iterator[tuple[str, str, str]]:
        """Key, title and action of all that the bar could show."""
        for key, title in OF_TIME if self._of_time else FIXED:
            yield key, title, ""
        for action in DASHBOARD:
            title = action.time_bar if self._of_time else action.bar
            if title:
                name = action.name if "." in action.name else f"screen.{action.name}"
                yield action.shown.split()[0], title, name
