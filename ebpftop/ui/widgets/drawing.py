"""What the drawings have in common: heading, empty state, and lines that are drawn once.

A drawing works its view out when it is shown samples, and its lines when the screen asks for them;
names from the system become segments, never markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from ebpftop.views import format as fmt
from ebpftop.views.difference import unmeasured
from ebpftop.views.window import described

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.style import Style
    from textual.color import Color
    from textual.events import Resize

    from ebpftop.model import ProbeInfo, Sample, View

SEPARATOR = " · "


class Drawing(Widget):
    """A widget that draws the history of a probe.

    Attributes:
        names: command by process id, for headings; may be set at any time.
        cgroups: what a cgroup is called, by its id; host: where all this is from. As `names`.
        remark: what the heading says besides; may be set at any time, as `names`.
        samples: what is shown, or the sum of a range alone.
        ranges: the sums that are compared, either of which may be missing; None otherwise.
    """

    DEFAULT_CSS = """
    Drawing {
        width: 1fr;
        height: 1fr;
        border: round $border;
        border-title-color: $foreground;
        border-subtitle-color: $dim;
        border-subtitle-align: left;
        padding: 0 1;
        color: $foreground;
        background: $background;

        & > .drawing--dim { color: $dim; }
        & > .drawing--empty { color: $dim; text-style: italic; }
    }
    """
    COMPONENT_CLASSES = {"drawing--dim", "drawing--empty"}
    ALLOW_SELECT = False

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__()
        self.info = info
        self.view = view
        self.names: Mapping[int, str] = {}
        self.cgroups: Mapping[int, str] = {}
        self.host = ""
        self.remark = ""
        self.samples: Sequence[Sample] = ()
        self.match: Mapping[str, object] = {}
        self.ranges: tuple[Sample | None, Sample | None] | None = None
        self._lines: list[Strip] | None = None
        self._styles: dict[str, Style] = {}
        self.border_title = Content(view.title)

    def show(self, samples: Sequence[Sample], match: Mapping[str, object]) -> None:
        """Draw these samples, oldest first; with `match`, only the rows of that selection."""
        self.samples = tuple(samples)
        self.match = dict(match)
        self.ranges = None
        self._update()

    def compare(self, a: Sample | None, b: Sample | None, match: Mapping[str, object]) -> None:
        """Draw what changed from the sum A to the sum B, until `show` is called again.

        Drawings of a course over time have no such picture, and go on showing their samples.
        """
        self.ranges = a, b
        self.match = dict(match)
        self._update()

    @property
    def compared(self) -> tuple[Sample, Sample] | None:
        """Both sums, while there are two to compare."""
        a, b = self.ranges or (None, None)
        return (a, b) if a and b else None

    def prepare(self) -> None:
        """Work out what is to be seen of `samples`, and set the headings."""
        raise NotImplementedError

    def draw(self, width: int, height: int) -> list[Strip]:
        """The lines of what `prepare` worked out; fewer than `height` leave the rest empty."""
        raise NotImplementedError

    def head(self, *subtitle: str, after: Iterable[str] = ()) -> None:
        """Set title and subtitle: the selection and `after` follow the view's title."""
        selection = described(self.info.table(self.view.table), self.match, self.names)
        parts = (self.view.title, selection, *after, self.remark)
        self.border_title = Content(SEPARATOR.join(filter(None, parts)))
        self.border_subtitle = Content(SEPARATOR.join(filter(None, subtitle)))

    def style(self, name: str = "") -> Style:
        """The style of a component class, or the widget's own."""
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(name) if name else self.rich_style
            self._styles[name] = style
        return style

    def line(self, pieces: Iterable[tuple[str, str]]) -> Strip:
        """A line of texts with their component classes."""
        return Strip([Segment(text, self.style(name)) for text, name in pieces if text])

    def empty(self, width: int, height: int, text: str = "") -> list[Strip]:
        """Says in the middle why there is nothing to see."""
        if self.ranges:
            text = text or unmeasured(*self.ranges) or "nothing in either range"
        text = text or ("nothing in this time" if self.samples else "measuring the first interval")
        text = fmt.cut(text, width)
        line = self.line(((" " * ((width - fmt.width(text)) // 2), ""), (text, "drawing--empty")))
        return [*([Strip([])] * max(0, (height - 1) // 2)), line][:height]

    def render_line(self, y: int) -> Strip:
        """One line of the picture."""
        width, height = self.size
        if self._lines is None:
            self._lines = self.draw(width, height) if width > 0 and height > 0 else []
        if y >= len(self._lines):
            return Strip.blank(width, self.style())
        return self._lines[y].adjust_cell_length(width, self.style())

    def redraw(self) -> None:
        """Draw the lines anew."""
        self._lines = None
        self.refresh()

    def notify_style_update(self) -> None:
        """Take up the colours of another theme."""
        self._styles.clear()
        self._lines = None
        super().notify_style_update()

    def on_resize(self, event: Resize) -> None:
        """Fit what is seen into the new room."""
        del event
        self._update()

    def _update(self) -> None:
        self.prepare()
        self.redraw()


def mixed(color: Color, other: Color, share: float) -> Color:
    """A colour between two; the first itself where the terminal decides what they look like."""
    if color.ansi is not None or other.ansi is not None:
        return color
    return color.blend(other, share)
