"""The boxes of a flame: which one is where, what it says, and its colours."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from ebpftop.ui.widgets.drawing import mixed
from ebpftop.views import flame
from ebpftop.views import format as fmt
from ebpftop.views.folding import NO_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.color import Color

    from ebpftop.ui.widgets.drawing import Drawing
    from ebpftop.views.flame import Box, Direction, Node, Path, Search
    from ebpftop.views.flamediff import Comparison

EDGE = "▏"
# A name cut to fewer cells says nothing.
NAME_CELLS = 4
# Neighbours of one kind differ in shade, by their names.
SHADES, SHADE_STEP = 5, 0.08
FADED = 0.62
LEGIBLE = 0.35  # difference in brightness
# What did not change stands out from the ground a little. Of a change: how much of its colour is
# left out, by its step.
UNCHANGED = 0.08
FAINT = (1.0, 0.75, 0.58, 0.4, 0.2, 0.0)
ABOVE_ZOOM = 2


class Boxes:
    """The rows in sight.

    Attributes:
        top: depth of the first one.
        below: how many there are below the last one.
    """

    def __init__(self, widget: Drawing) -> None:
        self._widget = widget
        self._styles: dict[tuple[str, int, bool], Style] = {}
        self._layout = flame.layout(flame.Tree().root, 0)
        self._lines = 0
        self.top = 0

    @property
    def below(self) -> int:
        """How many rows there are below those in sight."""
        return max(0, len(self._layout.rows) - self.top - self._lines)

    def forget_styles(self) -> None:
        """Take up the colours of another theme."""
        self._styles.clear()

    def draw(
        self,
        zoom: Node,
        selected: Node,
        search: Search,
        grouped: bool,
        comparison: Comparison | None,
        width: int,
        lines: int,
    ) -> list[Strip]:
        """The boxes below a frame, in so many lines; with `grouped`, the first level is none."""
        self._layout = flame.layout(zoom, width)
        self._lines = lines
        self.top = min(self.top, max(0, len(self._layout.rows) - lines))
        rows = self._layout.rows[self.top : self.top + lines]
        above = len(zoom.path)
        faded = bool(search.text)

        def style(node: Node, depth: int) -> Style:
            if node is selected and depth:
                return self._widget.style("flame--selected")
            if depth and search.matches(node.name):
                return self._boxed("match", 0, False)
            if comparison:
                return self._changed(comparison.step(node))
            kind = "process" if depth == grouped and depth else kind_of(node.name)
            return self._boxed(kind, _shade(node.name), faded or depth < above)

        strips = [
            self._row(row, self.top + y, style, selected, width) for y, row in enumerate(rows)
        ]
        return [*strips, *([Strip([])] * (lines - len(strips)))]

    # Where things are

    def at(self, x: int, y: int, hidden: bool = False) -> Node | None:
        """The frame at a place; None beside them.

        Of those too narrow to draw it is the largest with `hidden`, else none.
        """
        if not 0 <= y < self._lines:
            return None
        depth = self.top + y
        row = self._layout.rows[depth] if depth < len(self._layout.rows) else ()
        for box in row:
            if box.x <= x < box.x + box.width:
                if not box.merged:
                    return box.node
                return flame.narrow(box, row)[0] if hidden else None
        return None

    def move(self, selected: Path, direction: Direction) -> Path:
        """The frame in a direction from the selected one."""
        return flame.move(self._layout, selected, direction)

    def scroll(self, step: int) -> bool:
        """Show other rows; returns whether there are any."""
        top = max(0, min(self.top + step, len(self._layout.rows) - self._lines))
        moved, self.top = top != self.top, top
        return moved

    def show(self, depth: int, lines: int) -> None:
        """Have a row in sight."""
        self.top = max(0, min(self.top, depth), depth - lines + 1)

    # Drawing

    def _row(
        self,
        row: tuple[Box, ...],
        depth: int,
        style: Callable[[Node, int], Style],
        selected: Node,
        width: int,
    ) -> Strip:
        widget = self._widget
        segments: list[Segment] = []
        hidden = all(box.node is not selected for box in row if not box.merged)
        end = 0
        for box in row:
            if box.x > end:
                segments.append(Segment(" " * (box.x - end), widget.style()))
            end = box.x + box.width
            if box.merged and hidden and selected.parent is box.node:
                text = _labelled(title(selected), box.width)
                segments.append(Segment(text, widget.style("flame--selected")))
            elif box.merged:
                text = _labelled(f"{fmt.count(box.merged)} narrow", box.width)
                segments.append(Segment(text, widget.style("flame--narrow")))
            else:
                segments.append(
                    Segment(_labelled(title(box.node), box.width), style(box.node, depth))
                )
        segments.append(Segment(" " * (width - end), widget.style()))
        return Strip(segments, width)

    def _boxed(self, kind: str, shade: int, faded: bool) -> Style:
        style = self._styles.get((kind, shade, faded))
        if style is None:
            widget = self._widget
            styles = widget.get_component_styles(f"flame--{kind}")
            ground = widget.background_colors[1]
            text = self._legible(styles.color, styles.background)
            # Away from the text, so that it stays legible on every shade.
            plain = widget.styles.color
            away = max(ground, plain, key=lambda c: abs(c.brightness - text.brightness))
            color = mixed(styles.background, away, shade * SHADE_STEP)
            if faded:
                color = mixed(color, ground, FADED)
                text = widget.get_component_styles("flame--faded").color
            bold = styles.text_style.bold
            style = Style(color=text.rich_color, bgcolor=color.rich_color, bold=bold)
            self._styles[kind, shade, faded] = style
        return style

    def _legible(self, text: Color, ground: Color) -> Color:
        """A colour for text, or a clearer one where it hardly stands out from its ground."""
        clear = abs(text.brightness - ground.brightness) >= LEGIBLE
        return text if clear else self._clearest(text, ground)

    def _clearest(self, text: Color, ground: Color) -> Color:
        """Of a colour for text and those of the screen, the one that stands out most."""
        if ground.ansi is not None:
            return text
        widget = self._widget
        texts = (text, widget.styles.color, widget.background_colors[1])
        return max(texts, key=lambda t: abs(t.brightness - ground.brightness))

    def _changed(self, step: int) -> Style:
        """A box of a comparison: red or blue, the stronger the larger the change."""
        kind = "shrank" if step < 0 else "grew" if step else "all"
        style = self._styles.get((kind, abs(step), False))
        if style is None:
            widget = self._widget
            plain, styles = (widget.get_component_styles(f"flame--{k}") for k in ("all", kind))
            same = mixed(plain.background, plain.color, UNCHANGED)
            color = mixed(styles.background, same, FAINT[abs(step)])
            text = self._clearest(styles.color, color)
            style = Style(color=text.rich_color, bgcolor=color.rich_color)
            self._styles[kind, abs(step), False] = style
        return style


def title(node: Node) -> str:
    """What a frame is called on the screen."""
    return "all" if node.parent is None else plain(node.name)


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A function's name, safe to show and without the mark of the kernel."""
    return fmt.clean(name.removesuffix(flame.KERNEL))


def kind_of(name: str) -> str:
    """Whose function that is: `kernel` or `user`; `all` of what is none."""
    if not name or name in NO_FUNCTIONS:
        return "all"
    return "kernel" if name.endswith(flame.KERNEL) else "user"


def _labelled(text: str, width: int) -> str:
    """What a box says in so many cells."""
    room = width - len(EDGE)
    return EDGE + (fmt.fit(text, room) if room >= NAME_CELLS - 1 else " " * room)


@lru_cache(maxsize=4096)
def _shade(name: str) -> int:
    """The shade of a frame: the same for a name in every run."""
    return crc32(name.encode("utf-8", "surrogatepass")) % SHADES
