"""The last line of the screen: what the most useful keys do; they can be clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.ui.actions import DASHBOARD
from ebpftop.ui.widgets.line import Line, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE = 92
FIXED = (("1…9", "pane"), ("↑↓", "select"), ("< >", "sort"))


class KeyBar(Line):
    """Keys and their actions, from `actions`."""

    COMPONENT_CLASSES = {"keys--key", "keys--action"}

    def pieces(self, width: int) -> Iterator[Piece]:
        """Key and action, with a gap between two."""
        gap = "  " if width >= WIDE else " "
        yield Piece(" " if width >= WIDE else "")
        for key, title in FIXED:
            yield Piece(key, "keys--key")
            yield Piece(f" {title}{gap}", "keys--action")
        for action in DASHBOARD:
            if action.bar:
                name = action.name if "." in action.name else f"screen.{action.name}"
                yield Piece(action.shown, "keys--key", name)
                yield Piece(f" {action.bar}{gap}", "keys--action", name)
