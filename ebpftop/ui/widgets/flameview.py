"""What a flame shows: boxes or functions, the headings, and a line about one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from ebpftop.ui.widgets.drawing import SEPARATOR, Drawing
from ebpftop.ui.widgets.flameboxes import NAME_CELLS, Boxes, plain, title
from ebpftop.ui.widgets.flametable import FunctionTable
from ebpftop.views import difference, flame, owntotal, stacks
from ebpftop.views import format as fmt
from ebpftop.views.window import described

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from textual.strip import Strip

    from ebpftop.model import ProbeInfo, View
    from ebpftop.views.flame import Node, Path, Search, Tree
    from ebpftop.views.flamediff import Comparison
    from ebpftop.views.owntotal import Function, Functions


ABOUT_LINES = 1
WEIGHT_TITLES = {
    "both": "blocked and waiting",
    "blocked": "blocked",
    "waiting": "waiting for a CPU",
}
LEGEND = (
    ("■", "flame--of-user"),
    (" user ", "drawing--dim"),
    ("■", "flame--of-kernel"),
    (" kernel", "drawing--dim"),
)
LEGEND_CELLS = sum(fmt.width(text) for text, _ in LEGEND)
BORDER_CELLS = 2  # of a heading, around its text
KEYS = "g by · o turn · x kernel, user · f functions · s save"


class FlameView(Drawing):
    """The stacks of the last seconds.

    Attributes:
        window: the stacks; its `weight`, `folding`, `asleep` and `seconds` may be set, then
            `refresh_stacks`.
        zoom, selected: paths of names below the root, kept whatever the next samples hold.
        lists: whether it is a table of functions now.
    """

    DEFAULT_CSS = """
    FlameView {
        & > .flame--all { background: $panel; color: $foreground; }
        & > .flame--process { background: $series-1; color: $flame-text; }
        & > .flame--user { background: $flame-user; color: $flame-text; }
        & > .flame--kernel { background: $flame-kernel; color: $flame-text; }
        & > .flame--of-user { color: $flame-user; }
        & > .flame--of-kernel { color: $flame-kernel; }
        & > .flame--narrow { background: $panel; color: $dim; }
        & > .flame--faded { color: $foreground; }
        & > .flame--match { background: $series-4; color: $flame-text; text-style: bold; }
        & > .flame--selected { background: $name; color: $background; text-style: bold; }
        & > .flame--name { color: $name; text-style: bold; }
        & > .flame--share { color: $series-4; }
        & > .flame--grew { background: $grew; color: $flame-text; }
        & > .flame--shrank { background: $shrank; color: $flame-text; }
        & > .flame--heading { color: $dim; text-style: bold; }
        & > .flame--heading-sorted { color: $accent; text-style: bold; }
        & > .flame--function { color: $name; }
        & > .flame--bar { color: $name; background: $bar; }
        & > .flame--more { color: $grew; }
        & > .flame--more-bar { color: $name; background: $grew-bar; }
        & > .flame--less { color: $shrank; }
        & > .flame--less-bar { color: $name; background: $shrank-bar; }
        & > .flame--cursor { color: $background; background: $primary; }
        & > .flame--total { color: $foreground; background: $panel; }
    }
    """
    COMPONENT_CLASSES = {
        "flame--all",
        "flame--process",
        "flame--user",
        "flame--kernel",
        "flame--of-user",
        "flame--of-kernel",
        "flame--narrow",
        "flame--faded",
        "flame--match",
        "flame--selected",
        "flame--name",
        "flame--share",
        "flame--grew",
        "flame--shrank",
        "flame--heading",
        "flame--heading-sorted",
        "flame--function",
        "flame--bar",
        "flame--more",
        "flame--more-bar",
        "flame--less",
        "flame--less-bar",
        "flame--cursor",
        "flame--total",
    }

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        self.window = stacks.Window(info, view)
        self.zoom: Path = ()
        self.selected: Path = ()
        self.lists = False
        self._comparison: Comparison | None = None
        self._search = flame.search(self.window.tree, "")
        self._searched: tuple[object, ...] = ()
        self._pointed: Node | None = None
        self._boxes = Boxes(self)
        self._table = FunctionTable(self)
        self._functions: Sequence[Function] = ()
        self._functions_of: tuple[object, ...] = ()

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
        """Highlight the frames whose names hold a text, or list those functions; `=name` is one.

        The empty text ends the search.
        """
        self._search = flame.search(self.drawn, text)
        self._searched = (self.drawn, self.drawn.version)
        self.redraw()

    def refresh_stacks(self) -> None:
        """Take up other settings of the window."""
        self._update()

    def prepare(self) -> None:
        """Add what is new to the tree, or compare; zoom, selection and search stay."""
        window = self.window
        window.names, window.cgroups = self.names, self.cgroups
        self._comparison = None
        if self.compared:
            a, b = self.compared
            self._comparison = window.compare(a, b, self.match)
        else:
            window.update(self.samples, self.match)
        searched = (self.drawn, self.drawn.version)
        if self._search.text and searched != self._searched:
            self._search, self._searched = flame.search(self.drawn, self._search.text), searched
        self._pointed = None
        self._head()

    def _functions_shown(self) -> Functions:
        """The table of functions; times are added up again only when others are shown."""
        comparison, folding = self._comparison, self.window.folding
        made_of = (self.drawn, self.drawn.version, self.zoom, folding)
        if made_of != self._functions_of:
            zoom = self._node(self.zoom).path
            self._functions_of = made_of
            self._functions = (
                owntotal.compared(comparison, zoom, folding)
                if comparison
                else owntotal.functions(self.drawn, zoom, folding)
            )
        whole = comparison.whole if comparison else self.drawn.root.total
        return owntotal.listed(
            self._functions, self._search, self._table.order, whole, comparison is not None
        )

    # The headings

    def _head(self) -> None:
        """Say what time it is about, and how it is shown; what there is no room for goes."""
        window, comparison = self.window, self._comparison
        kind, sleepers = WEIGHT_TITLES[window.weight], window.sleepers
        if comparison and self.compared:
            a, b = map(fmt.ns, comparison.rates(comparison.tree.root))
            total = f"{a}/s {difference.ARROW} {b}/s {kind}"
            time, legend = difference.title(*self.compared), difference.LEGEND
            sleepers = comparison.sleepers
        elif self.samples and not self.ranges:
            total, time, legend = f"{fmt.ns(window.tree.root.total)} {kind}", window.lasted, ""
        else:
            self.head()
            return
        self.border_subtitle = Content(self._subtitle(total, legend, sleepers))
        selection = described(self.info.table(self.view.table), self.match, self.names)
        parts = [self.view.title, selection, time, *self._told(), self.remark]
        self.border_title = Content(self._fitted(parts, least=len(parts) - 1, drop=0))

    def _subtitle(self, total: str, legend: str, sleepers: int) -> str:
        """How much there is, and what is left out."""
        if not sleepers:
            return self._fitted([total, legend, KEYS], least=2, drop=-1)
        number = f"{fmt.count(sleepers)} thread{'s' * (sleepers != 1)}"
        said = self._fitted(
            [total, legend, f"{number} asleep throughout (i shows)", KEYS], least=3, drop=-1
        )
        if fmt.width(said) > self.size.width - BORDER_CELLS:
            return _joined((total, legend, f"{number} asleep (i)"))
        return said

    def _told(self) -> Iterator[str]:
        """How the tree is made, and what of it is listed."""
        yield from self.window.folding.told
        if self.lists:
            yield f"below {fmt.cut(plain(self.zoom[-1]), 24)}" if self.zoom else "functions"

    def _fitted(self, parts: list[str], least: int, drop: int) -> str:
        """The parts as one text, without the first or last ones where they have no room."""
        while len(parts) > least and fmt.width(_joined(parts)) > self.size.width - BORDER_CELLS:
            del parts[drop]
        return _joined(parts)

    def notify_style_update(self) -> None:
        """Boxes follow the theme."""
        self._boxes.forget_styles()
        super().notify_style_update()

    # Drawing

    def draw(self, width: int, height: int) -> list[Strip]:
        """Boxes or functions, and a line about one of them."""
        unmeasured = self.ranges and not self.compared
        if unmeasured or not self.drawn.root.total or height <= ABOUT_LINES:
            return self.empty(width, height)
        lines = height - ABOUT_LINES
        if self.lists:
            functions = self._functions_shown()
            strips = self._table.draw(functions, width, lines)
            row = self._table.row
            name, told = (row.name, functions.about(row)) if row else ("", "")
            return [*strips, self._about(plain(name), name, told, self._table.below, width)]
        selected = self._node(self.selected)
        strips = self._boxes.draw(
            self._node(self.zoom),
            selected,
            self._search,
            self.window.folding.grouped,
            self._comparison,
            width,
            lines,
        )
        node, compared = self._pointed or selected, self._comparison
        told = compared.figures(node) if compared else flame.figures(node, self.drawn.root)
        return [*strips, self._about(title(node), node.name, told, self._boxes.below, width)]

    def _about(self, title: str, name: str, told: str, hidden: int, width: int) -> Strip:
        """Name and times of a frame; what the search found; how many rows are below."""
        figures = SEPARATOR.join(
            ("", "kernel", told) if name.endswith(flame.KERNEL) else ("", told)
        )
        right = "".join(self._found()) + (f" ↓{hidden}" if hidden else "")
        legend = () if self.lists or self._comparison else LEGEND
        used = fmt.width(title) + fmt.width(figures) + fmt.width(right) + LEGEND_CELLS
        legend = legend if used < width else ()
        room = max(0, width - fmt.width(right) - LEGEND_CELLS * bool(legend))
        title = fmt.cut(title, max(NAME_CELLS, room - fmt.width(figures)))
        figures = fmt.fit(figures if title else "", max(0, room - fmt.width(title)))
        pieces = ((title, "flame--name"), (figures, "drawing--dim"), *legend)
        return self.line((*pieces, (right, "flame--share"))).crop(0, width)

    def _found(self) -> Iterator[str]:
        search = self._search
        if search.text:
            share = fmt.ratio(search.weight / self.drawn.root.total)
            frames = f"{fmt.count(search.frames)} frame{'s' * (search.frames != 1)}"
            yield f" “{fmt.cut(fmt.clean(search.text), 20)}” {share} in {frames}"

    # Where things are

    def _node(self, path: Path) -> Node:
        return self.drawn.find(path)


def _joined(parts: Iterable[str]) -> str:
    return SEPARATOR.join(filter(None, parts))
