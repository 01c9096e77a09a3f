"""One line of the screen, made of styled pieces, some of which can be clicked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.style import Style
    from textual.events import Click


@dataclass(frozen=True)
class Piece:
    """Some cells of a line.

    Attributes:
        text: what they say; cleaned, never markup.
        style: name of a component class of the line, or empty for the line's own style.
        action: what a click on them does, as a Textual action.
    """

    text: str
    style: str = ""
    action: str = ""


class Line(Widget):
    """Draws the pieces that a subclass gives, cut where the line ends."""

    DEFAULT_CSS = "Line { height: 1; }"
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._styles: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        """Forget the colours of the theme before."""
        super().notify_style_update()
        self._styles.clear()

    def pieces(self, width: int) -> Iterable[Piece]:
        """The pieces from left to right, for a line of so many cells."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """The strip of the only line."""
        width = self.size.width
        if y > 0:
            return Strip.blank(width, self._style(""))
        segments, room = [], width
        for piece in self.pieces(width):
            text = fmt.cut(piece.text, room)
            room -= fmt.width(text)
            segments.append(Segment(text, self._style(piece.style)))
        return Strip(segments).adjust_cell_length(width, self._style(""))

    async def on_click(self, event: Click) -> None:
        """Run the action of the piece under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        end = 0
        for piece in self.pieces(self.size.width):
            end += fmt.width(piece.text)
            if offset.x < end:
                if piece.action:
                    await self.run_action(piece.action)
                return

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(name) if name else self.rich_style
            self._styles[name] = style
        return style


def spaced(width: int, left: list[Piece], right: list[Piece]) -> list[Piece]:
    """Pieces at both ends of a line, with the room that is left between them."""
    used = sum(fmt.width(piece.text) for piece in (*left, *right))
    return [*left, Piece(" " * max(1, width - used)), *right]


def fits(width: int, *groups: list[Piece]) -> bool:
    """Whether pieces fit into a line, with two cells between groups."""
    used = sum(fmt.width(piece.text) for group in groups for piece in group)
    return used + 2 * (len(groups) - 1) <= width
