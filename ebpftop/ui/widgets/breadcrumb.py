"""The line that says how far one has drilled down; a click on a step goes back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.ui.widgets.line import Line, Piece, fits, spaced
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Sequence

ARROW = " › "  # noqa: RUF001
ELLIPSIS = "…"


class Breadcrumb(Line):
    """Host, then each step; on the right what holds of it."""

    COMPONENT_CLASSES = {"crumb--host", "crumb--step", "crumb--here", "crumb--dim"}

    def __init__(self) -> None:
        super().__init__()
        self._host = ""
        self._steps: tuple[str, ...] = ()
        self._remark = ""

    def show(self, host: str, steps: Sequence[str], remark: str) -> None:
        """Draw these steps, the widest first."""
        if (host, tuple(steps), remark) != (self._host, self._steps, self._remark):
            self._host, self._steps, self._remark = host, tuple(steps), remark
            self.refresh()

    def pieces(self, width: int) -> list[Piece]:
        """As many steps as fit, the last ones first; the remark goes before any of them."""
        for left_out in range(len(self._steps)):
            trail = self._trail(left_out)
            if fits(width, trail, [Piece(self._remark)]):
                return spaced(width, trail, [Piece(self._remark, "crumb--dim")])
            if fits(width, trail):
                return trail
        return self._trail(max(0, len(self._steps) - 1))

    def _trail(self, left_out: int) -> list[Piece]:
        pieces = [Piece(f" {fmt.clean(self._host)}", "crumb--host", "screen.level(0)")]
        if left_out:
            pieces.append(Piece(ARROW + ELLIPSIS, "crumb--dim"))
        for number, step in enumerate(self._steps, 1):
            if number > left_out:
                style = "crumb--here" if number == len(self._steps) else "crumb--step"
                pieces.append(Piece(ARROW, "crumb--dim"))
                pieces.append(Piece(fmt.clean(step), style, f"screen.level({number})"))
        return pieces
