"""The boxes of a page: who it is about, and the summary of each probe.

Names from the system become segments, never markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ebpftop.views import format as fmt
from ebpftop.views.digest import GAP, TOP, widths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.style import Style
    from textual.events import Click
    from textual.geometry import Size

    from ebpftop.views.digest import Digest
    from ebpftop.views.page import Page, Section

    Pieces = Iterable[tuple[str, str]]

TITLE_CELLS = 11
NAME_CELLS, VALUE_CELLS = 8, 7
PAIR_CELLS = 20  # of a title and its value, where they stand in columns
KEY_CELLS, FIGURE_CELLS = 12, 8  # of a table that stands beside another one, at the least
SPARK_MIN, SPARK_MAX = 12, 60
SERIES = 4


class Box(Widget):
    """Lines in a border, worked out when they are asked for."""

    DEFAULT_CSS = """
    Box {
        width: 1fr;
        height: auto;
        border: round $border;
        border-title-color: $foreground;
        border-subtitle-color: $dim;
        border-subtitle-align: right;
        padding: 0 1;
        color: $foreground;
        background: $background;

        & > .box--dim { color: $dim; }
        & > .box--name { color: $name; }
        & > .box--value { color: $name; text-style: bold; }
        & > .box--rule { color: $border; }
        & > .box--empty { color: $dim; text-style: italic; }
        & > .box--heading { color: $dim; text-style: bold; }
        & > .box--sorted { color: $accent; text-style: bold; }
        & > .box--series-1 { color: $series-1; }
        & > .box--series-2 { color: $series-2; }
        & > .box--series-3 { color: $series-3; }
        & > .box--series-4 { color: $series-4; }
    }
    """
    COMPONENT_CLASSES = {
        "box--dim",
        "box--name",
        "box--value",
        "box--rule",
        "box--empty",
        "box--heading",
        "box--sorted",
        *(f"box--series-{number}" for number in range(1, SERIES + 1)),
    }
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Strip] | None = None
        self._styles: dict[str, Style] = {}
        self._height = 0

    def draw(self, width: int) -> Iterator[Pieces]:
        """The lines as texts with the names of their styles."""
        raise NotImplementedError

    def needed(self, width: int) -> int:
        """How many lines there will be in a width."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw anew, and ask for another height where that is needed."""
        self._lines = None
        height = self.needed(self.size.width)
        self.refresh(layout=height != self._height)
        self._height = height

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As high as its lines."""
        del container, viewport
        self._height = self.needed(width)
        return self._height

    def render_line(self, y: int) -> Strip:
        """One line."""
        width = self.size.width
        if self._lines is None:
            self._lines = [self._strip(pieces) for pieces in self.draw(width)]
        base = self._style("")
        if y >= len(self._lines):
            return Strip.blank(width, base)
        return self._lines[y].adjust_cell_length(width, base)

    def on_resize(self) -> None:
        """Fit into the new room."""
        self._lines = None

    def notify_style_update(self) -> None:
        """Take up the colours of another theme."""
        self._styles.clear()
        self._lines = None
        super().notify_style_update()

    def _strip(self, pieces: Pieces) -> Strip:
        return Strip([Segment(text, self._style(name)) for text, name in pieces if text])

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(f"box--{name}") if name else self.rich_style
            self._styles[name] = style
        return style


class IdentityBox(Box):
    """Who a page is about."""

    DEFAULT_CSS = """
    IdentityBox {
        border-title-color: $primary;
        border-title-style: bold;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._page: Page | None = None

    def show(self, page: Page) -> None:
        """Draw who it is; the border says whether it was seen."""
        self._page = page
        parts = [Content(page.title)]
        if page.presence:
            parts.append(Content.styled(page.presence, "$warning"))
        if page.period:
            parts.append(Content(page.period))
        self.border_title = Content(" · ").join(parts)
        self.border_subtitle = Content("↑↓←→ select · Enter opens the pane · Esc back")
        self.redraw()

    def needed(self, width: int) -> int:
        """A line for each fact."""
        del width
        return len(self._page.facts) if self._page else 0

    def draw(self, width: int) -> Iterator[Pieces]:
        """What is known, most important first."""
        for fact in self._page.facts if self._page else ():
            text = fmt.cut(fact.text, max(0, width - TITLE_CELLS))
            yield (fmt.fit(fact.title, TITLE_CELLS), "dim"), (text, "name")


class SectionBox(Box, can_focus=True):
    """The summary of one probe; Enter opens its pane. Its height is that of its row."""

    DEFAULT_CSS = """
    SectionBox {
        height: 1fr;

        &:focus {
            border: round $primary 70%;
            border-title-color: $primary;
            border-title-style: bold;
        }
        &.-warning { border-subtitle-color: $lost; }
    }
    """
    BINDINGS = [Binding("enter", "open", "Open its pane", show=False)]

    class Opened(Message):
        """The pane of this section is asked for."""

        def __init__(self, probe: str) -> None:
            self.probe = probe
            super().__init__()

    class Selected(Message):
        """Another section was selected."""

    def __init__(self, probe: str, number: int) -> None:
        """`number` is that of its pane, from 1."""
        super().__init__()
        self.probe = probe
        self.section: Section | None = None
        self._number = number
        self._widths: dict[str, tuple[int, ...]] = {}

    def show(self, section: Section) -> None:
        """Draw a summary."""
        self.section = section
        digit = Content.styled(f"{self._number % 10} ", "$accent")
        self.border_title = digit + Content(section.title)
        note = "" if section.is_blank else section.note
        self.border_subtitle = Content(note)
        self.set_class(section.is_warning, "-warning")
        self.redraw()

    def action_open(self) -> None:
        """Ask for the pane."""
        self.post_message(self.Opened(self.probe))

    def on_focus(self) -> None:
        """Tell that this is the one."""
        self.post_message(self.Selected())

    def on_click(self, event: Click) -> None:
        """The first click selects, the second opens."""
        if event.chain > 1:
            self.action_open()

    def needed(self, width: int) -> int:
        """What its tables need when they are full, so that nothing moves."""
        section = self.section
        if section is None or not section.tables:
            return 1
        main, *others = section.tables
        height = 1 + TOP if main.keyed else len(list(self._pairs(main, width)))
        return 1 + height + (2 + TOP if others else 0)

    def draw(self, width: int) -> Iterator[Pieces]:
        """The course of the main figure, then the tables; or why there are none."""
        section = self.section
        if section is None:
            return
        yield self._course(section, width)
        if section.is_blank or not section.tables:
            yield (("", ""),)
            yield ((fmt.cut(section.note, width), "empty"),)
            return
        main, *others = section.tables
        if main.keyed:
            yield from self._table(main, width)
        else:
            yield from self._pairs(main, width)
        beside = others[: max(1, _fitting(others, width))]
        if beside:
            room = (width - GAP * (len(beside) - 1)) // len(beside)
            for line in zip(*(self._titled(digest, room) for digest in beside)):
                yield [piece for part in line for piece in (*part, (" " * GAP, ""))]

    def _course(self, section: Section, width: int) -> Pieces:
        """The main figure with its course, then others of the whole table as far as they fit."""
        main = section.main
        if main is None:
            return ()
        text = fmt.UNKNOWN if section.is_blank else section.text
        pairs = [("peak", section.peak)]
        if section.tables and section.tables[0].keyed and not section.is_blank:
            pairs += [pair for pair in section.tables[0].figures if pair[0] != main.title]
        title = fmt.fit(main.title, NAME_CELLS)
        room = max(0, width - NAME_CELLS - VALUE_CELLS - 2)
        spark = min(SPARK_MAX, max(SPARK_MIN, room // 2))
        pieces = [
            (f"{title} ", "sorted"),
            (fmt.fit(text, VALUE_CELLS), "value"),
            (" ", ""),
            (main.sparkline(max(0, spark)), f"series-{self._number % SERIES + 1}"),
        ]
        left = room - spark
        for title, value in pairs:
            cells = GAP + fmt.width(title) + 1 + max(VALUE_CELLS - 1, fmt.width(value))
            if cells > left:
                break
            pieces += [(f"{' ' * GAP}{title} ", "dim"), (fmt.fit(value, VALUE_CELLS - 1), "name")]
            left -= cells
        return pieces

    def _pairs(self, digest: Digest, width: int) -> Iterator[Pieces]:
        """The figures of the only row, in columns."""
        number = max(1, (width + GAP) // (PAIR_CELLS + GAP))
        room = (width + GAP) // number - GAP
        main = self.section.main.title if self.section and self.section.main else ""
        pairs = [(title, value) for title, value in digest.figures if title != main]
        titles = [s.column.title for s in digest.columns if s.measured]
        pairs = pairs or [(t, fmt.UNKNOWN) for t in titles if t != main]
        for start in range(0, len(pairs), number):
            line = []
            for title, value in pairs[start : start + number]:
                cells = room - VALUE_CELLS
                line += [(fmt.fit(title, cells), "dim"), (fmt.fit(value, VALUE_CELLS), "name")]
                line.append((" " * GAP, ""))
            yield line

    def _titled(self, digest: Digest, width: int) -> Iterator[Pieces]:
        """A table below its title."""
        title = fmt.cut(digest.title, width)
        rule = "─" * max(0, width - fmt.width(title) - 1)
        yield (title, "dim"), (f" {rule}" if rule else "", "rule")
        yield from self._table(digest, width)

    def _table(self, digest: Digest, width: int) -> Iterator[Pieces]:
        """The titles, then the top rows, then blank lines where there are fewer."""
        before = self._widths.get(digest.title, ())
        cells = widths(digest, width, before)
        self._widths[digest.title] = cells
        shown = [i for i, size in enumerate(cells) if size]
        heading = []
        for i in shown:
            column = digest.columns[i]
            title = fmt.fit(fmt.clean(column.column.title), cells[i], column.measured)
            heading += [(title, "sorted" if i == digest.sort else "heading"), (" " * GAP, "")]
        yield _fitted(heading, width)
        for position in range(TOP):
            if position < len(digest.rows):
                yield _fitted(self._row(digest, position, cells, shown), width)
            elif position == 0:
                yield _fitted([("nothing in this time", "empty")], width)
            else:
                yield [(" " * width, "")]

    def _row(
        self, digest: Digest, position: int, cells: tuple[int, ...], shown: list[int]
    ) -> list[tuple[str, str]]:
        pieces = []
        for i in shown:
            text, is_figure = digest.rows[position][i], digest.columns[i].measured
            style = "dim" if text in ("0", "0%", fmt.UNKNOWN) else "" if is_figure else "name"
            pieces += [(fmt.fit(text, cells[i], is_figure), style), (" " * GAP, "")]
        return pieces


def _fitting(digests: list[Digest], width: int) -> int:
    """How many tables can stand beside each other."""
    keys = max((sum(not c.measured for c in each.columns) for each in digests), default=0)
    return (width + GAP) // (keys * KEY_CELLS + FIGURE_CELLS + GAP)


def _fitted(pieces: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """Pieces cut and padded to exactly so many cells."""
    fitted, room = [], width
    for text, style in pieces[:-1] if pieces[-1][0].isspace() else pieces:
        part = fmt.cut(text, room)
        room -= fmt.width(part)
        fitted.append((part, style))
    return [*fitted, (" " * room, "")]
