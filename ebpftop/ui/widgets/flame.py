"""Where time goes, as an icicle: callers on top, what they called below, as wide as its time.

Arrows move, Enter or a second click zooms, Esc goes back. The line at the bottom tells all about
the frame that is selected or pointed at.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

from rich.segment import Segment
from rich.style import Style
from textual.actions import SkipAction
from textual.strip import Strip

from ebpftop.ui import actions
from ebpftop.ui.widgets.drawing import SEPARATOR, Drawing, mixed
from ebpftop.views import flame, stacks
from ebpftop.views import format as fmt
from ebpftop.views.difference import ARROW, LEGEND, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.events import Click, Leave, MouseMove, MouseScrollDown, MouseScrollUp

    from ebpftop.model import ProbeInfo, View
    from ebpftop.views.flame import Box, Direction, Node, Path, Search, Tree
    from ebpftop.views.stacks import Comparison, Weight

EDGE = "▏"
# A name cut to fewer cells says nothing.
NAME_CELLS = 4
# Neighbours of one kind differ in shade, by their names.
SHADES, SHADE_STEP = 5, 0.08
FADED = 0.62
# What did not change stands out from the ground a little. Of a change: how much of its colour is
# left out, by its step.
UNCHANGED = 0.08
FAINT = (1.0, 0.75, 0.58, 0.4, 0.2, 0.0)
ABOVE_ZOOM = 2
ABOUT_LINES = 1
WEIGHTS: dict[Weight, Weight] = {"both": "blocked", "blocked": "waiting", "waiting": "both"}
WEIGHT_TITLES = {
    "both": "blocked and waiting",
    "blocked": "blocked",
    "waiting": "waiting for a CPU",
}


class Flame(Drawing, can_focus=True):
    """The stacks of the last seconds.

    Attributes:
        window: the stacks; its `weight`, `merge`, `asleep` and `seconds` may be set, then
            `refresh_stacks`.
        zoom, selected: paths of names below the root, kept whatever the next samples hold.
    """

    BINDINGS = actions.bindings(actions.FLAME)
    DEFAULT_CSS = """
    Flame {
        & > .flame--all { background: $panel; color: $foreground; }
        & > .flame--process { background: $series-1; color: $flame-text; }
        & > .flame--user { background: $flame-user; color: $flame-text; }
        & > .flame--kernel { background: $flame-kernel; color: $flame-text; }
        & > .flame--narrow { background: $panel; color: $dim; }
        & > .flame--faded { color: $foreground; }
        & > .flame--match { background: $series-4; color: $flame-text; text-style: bold; }
        & > .flame--selected { background: $name; color: $background; text-style: bold; }
        & > .flame--name { color: $name; text-style: bold; }
        & > .flame--share { color: $series-4; }
        & > .flame--grew { background: $grew; color: $flame-text; }
        & > .flame--shrank { background: $shrank; color: $flame-text; }
    }
    """
    COMPONENT_CLASSES = {
        "flame--all",
        "flame--process",
        "flame--user",
        "flame--kernel",
        "flame--narrow",
        "flame--faded",
        "flame--match",
        "flame--selected",
        "flame--name",
        "flame--share",
        "flame--grew",
        "flame--shrank",
    }

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        self.window = stacks.Window(info, view)
        self.zoom: Path = ()
        self.selected: Path = ()
        self._comparison: Comparison | None = None
        self._search = flame.search(self.window.tree, "")
        self._searched: tuple[object, ...] = ()
        self._pointed: Node | None = None
        self._top = 0
        self._layout = flame.layout(self.window.tree.root, 0)
        self._boxes: dict[tuple[str, int, bool], Style] = {}

    # What it shows

    @property
    def drawn(self) -> Tree:
        """What is drawn: the stacks of the window, or of two ranges together."""
        return self._comparison.tree if self._comparison else self.window.tree

    @property
    def search(self) -> Search:
        """What is searched for, and how much of all time it is."""
        return self._search

    @property
    def filtered(self) -> str:
        """The text that is searched for."""
        return self._search.text

    def filter(self, text: str) -> None:
        """Highlight the frames whose names hold a text; the empty text ends the search."""
        self._search = flame.search(self.drawn, text)
        self._searched = (self.drawn, self.drawn.version)
        self.redraw()

    def refresh_stacks(self) -> None:
        """Take up other settings of the window."""
        self._update()

    def prepare(self) -> None:
        """Add what is new to the tree, or compare; zoom, selection and search stay."""
        window = self.window
        window.names = self.names
        self._comparison = None
        if self.compared:
            a, b = self.compared
            self._comparison = window.compare(a, b, self.match)
            self._head_compared(title(a, b))
        else:
            window.update(self.samples, self.match)
            total = f"{fmt.ns(window.tree.root.total)} {WEIGHT_TITLES[window.weight]}"
            if self.samples and not self.ranges:
                self.head(total, *self._asleep(window.sleepers), after=(window.lasted,))
            else:
                self.head()
        searched = (self.drawn, self.drawn.version)
        if self._search.text and searched != self._searched:
            self._search, self._searched = flame.search(self.drawn, self._search.text), searched
        self._pointed = None

    def _head_compared(self, ranges: str) -> None:
        assert self._comparison is not None
        a, b = map(fmt.ns, self._comparison.rates(self.drawn.root))
        rates = f"{a}/s {ARROW} {b}/s {WEIGHT_TITLES[self.window.weight]}"
        self.head(rates, LEGEND, *self._asleep(self._comparison.sleepers), after=(ranges,))

    def _asleep(self, number: int) -> Iterator[str]:
        if number:
            yield f"{fmt.count(number)} thread{'s' * (number != 1)} asleep throughout (i shows)"

    def notify_style_update(self) -> None:
        """Boxes follow the theme."""
        self._boxes.clear()
        super().notify_style_update()

    # What the user does

    def action_move(self, direction: Direction) -> None:
        """Select the next frame in a direction."""
        self._select(flame.move(self._layout, self._node(self.selected).path, direction))

    def action_zoom(self) -> None:
        """Give the selected frame the whole width."""
        self.zoom = self._node(self.selected).path
        self._top = max(0, len(self.zoom) - ABOVE_ZOOM)
        self.redraw()

    def action_unzoom(self) -> None:
        """End the search, else go back to the whole."""
        if self._search.text:
            self.filter("")
        elif self.zoom:
            self.zoom = ()
            self._top = 0
            self._show_selected()
            self.redraw()
        else:
            raise SkipAction

    def action_weight(self) -> None:
        """Count time blocked, waiting for a CPU, or both."""
        self.window.weight = WEIGHTS[self.window.weight]
        self.refresh_stacks()

    def action_merge(self) -> None:
        """Show processes of one name as one, or each."""
        self.window.merge = not self.window.merge
        self.refresh_stacks()

    def action_asleep(self) -> None:
        """Show threads that slept throughout, or leave them out."""
        self.window.asleep = not self.window.asleep
        self.refresh_stacks()

    def on_click(self, event: Click) -> None:
        """Select what is clicked; zoom into it when it was selected already."""
        box = self._box_at(event)
        if box is None:
            return
        path = box.node.path
        again = path == self._node(self.selected).path
        self._select(path)
        if again:
            self.action_zoom()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Tell about what is pointed at."""
        box = self._box_at(event)
        pointed = box.node if box else None
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

    # Drawing

    def draw(self, width: int, height: int) -> list[Strip]:
        """The boxes of the rows in sight, and a line about one frame."""
        unmeasured = self.ranges and not self.compared
        if unmeasured or not self.drawn.root.total or height <= ABOUT_LINES:
            return self.empty(width, height)
        self._layout = flame.layout(self._node(self.zoom), width)
        lines = height - ABOUT_LINES
        self._top = min(self._top, max(0, len(self._layout.rows) - lines))
        rows = self._layout.rows[self._top : self._top + lines]
        selected = self._node(self.selected)
        strips = [self._row(row, self._top + y, selected, width) for y, row in enumerate(rows)]
        strips += [Strip([])] * (lines - len(strips))
        hidden = len(self._layout.rows) - self._top - len(rows)
        return [*strips, self._about(self._pointed or selected, hidden, width)]

    def _row(self, row: tuple[Box, ...], depth: int, selected: Node, width: int) -> Strip:
        segments: list[Segment] = []
        end = 0
        above = depth < len(self._layout.zoom.path)
        for box in row:
            if box.x > end:
                segments.append(Segment(" " * (box.x - end), self.style()))
            end = box.x + box.width
            segments.append(Segment(*self._box(box, depth, selected, above)))
        segments.append(Segment(" " * (width - end), self.style()))
        return Strip(segments, width)

    def _box(self, box: Box, depth: int, selected: Node, above: bool) -> tuple[str, Style]:
        """Text and style of a box."""
        node = box.node
        if box.merged:
            text = f"{fmt.count(box.merged)} narrow"
            return _labelled(text, box.width), self.style("flame--narrow")
        text = _labelled(self._title(node), box.width)
        if node is selected and depth:
            return text, self.style("flame--selected")
        if node.name in self._search.names:
            return text, self.style("flame--match")
        if self._comparison:
            return text, self._changed(self._comparison.step(node))
        kind = ("all", "process")[depth] if depth < 2 else "kernel" if node.kernel else "user"
        return text, self._boxed(kind, _shade(node.name), above or bool(self._search.text))

    def _boxed(self, kind: str, shade: int, faded: bool) -> Style:
        style = self._boxes.get((kind, shade, faded))
        if style is None:
            styles = self.get_component_styles(f"flame--{kind}")
            ground = self.background_colors[1]
            text = styles.color
            # Away from the text, so that it stays legible on every shade.
            away = max(ground, self.styles.color, key=lambda c: abs(c.brightness - text.brightness))
            color = mixed(styles.background, away, shade * SHADE_STEP)
            if faded:
                color = mixed(color, ground, FADED)
                text = self.get_component_styles("flame--faded").color
            style = Style(color=text.rich_color, bgcolor=color.rich_color)
            self._boxes[kind, shade, faded] = style
        return style

    def _changed(self, step: int) -> Style:
        """A box of a comparison: red or blue, the stronger the larger the change."""
        kind = "shrank" if step < 0 else "grew" if step else "all"
        style = self._boxes.get((kind, abs(step), False))
        if style is None:
            plain, styles = (self.get_component_styles(f"flame--{k}") for k in ("all", kind))
            same = mixed(plain.background, plain.color, UNCHANGED)
            color = mixed(styles.background, same, FAINT[abs(step)])
            text = styles.color
            if color.ansi is None:
                texts = (text, plain.color, self.background_colors[1])
                text = max(texts, key=lambda t: abs(t.brightness - color.brightness))
            style = Style(color=text.rich_color, bgcolor=color.rich_color)
            self._boxes[kind, abs(step), False] = style
        return style

    def _title(self, node: Node) -> str:
        return "all" if node.parent is None else _plain(node.name)

    def _about(self, node: Node, hidden: int, width: int) -> Strip:
        """Name, times and share of a frame; what the search found; how many rows are below."""
        root = self.drawn.root
        told = self._comparison.figures(node) if self._comparison else flame.figures(node, root)
        figures = SEPARATOR + told
        if node.kernel:
            figures = f"{SEPARATOR}kernel{figures}"
        right = "".join(self._found(root)) + (f" ↓{hidden}" if hidden else "")
        room = max(0, width - fmt.width(right))
        name = fmt.cut(self._title(node), max(NAME_CELLS, room - fmt.width(figures)))
        figures = fmt.fit(figures, max(0, room - fmt.width(name)))
        return self.line(
            ((name, "flame--name"), (figures, "drawing--dim"), (right, "flame--share"))
        ).crop(0, width)

    def _found(self, root: Node) -> Iterator[str]:
        search = self._search
        if search.text:
            share = fmt.ratio(search.weight / root.total)
            frames = f"{fmt.count(search.frames)} frame{'s' * (search.frames != 1)}"
            yield f" “{fmt.cut(fmt.clean(search.text), 20)}” {share} in {frames}"

    # Where things are

    def _node(self, path: Path) -> Node:
        return self.drawn.find(path)

    def _select(self, path: Path) -> None:
        self.selected = path
        self._show_selected()
        self.redraw()

    def _show_selected(self) -> None:
        depth, lines = len(self._node(self.selected).path), self.size.height - ABOUT_LINES
        self._top = max(0, min(self._top, depth), depth - lines + 1)

    def _scroll(self, step: int) -> None:
        lines = self.size.height - ABOUT_LINES
        top = max(0, min(self._top + step, len(self._layout.rows) - lines))
        if top != self._top:
            self._top = top
            self.redraw()

    def _box_at(self, event: Click | MouseMove) -> Box | None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y >= self.size.height - ABOUT_LINES:
            return None
        depth = self._top + offset.y
        row = self._layout.rows[depth] if depth < len(self._layout.rows) else ()
        under = (box for box in row if box.x <= offset.x < box.x + box.width)
        return next((box for box in under if not box.merged), None)


def _labelled(text: str, width: int) -> str:
    """What a box says in so many cells."""
    room = width - len(EDGE)
    return EDGE + (fmt.fit(text, room) if room >= NAME_CELLS - 1 else " " * room)


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return fmt.clean(name.removesuffix(flame.KERNEL))


@lru_cache(maxsize=4096)
def _shade(name: str) -> int:
    """The shade of a frame: the same for a name in every run."""
    return crc32(name.encode("utf-8", "surrogatepass")) % SHADES
