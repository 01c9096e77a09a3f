"""A row of large figures, each with its course below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip

from ebpftop.ui.widgets.drawing import Drawing
from ebpftop.views import format as fmt
from ebpftop.views import stat as stats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.geometry import Size

    from ebpftop.model import ProbeInfo, View
    from ebpftop.views.stat import Stat

TALL = 3
GAP = 2
VALUE_CELLS = 9
MIN_CELLS = 14
SPARK_MAX = 48


class StatRow(Drawing):
    """Totals and shares of the newest sample, three lines high, or one where there is no more."""

    DEFAULT_CSS = """
    StatRow {
        height: auto;

        & > .stat--title { color: $dim; }
        & > .stat--value { color: $name; text-style: bold; }
        & > .stat--course { color: $series-1; }
    }
    """
    COMPONENT_CLASSES = {"stat--title", "stat--value", "stat--course"}

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        self._course = stats.course(info, view)
        self._stats: tuple[Stat, ...] = ()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As high as it likes to be."""
        del container, viewport, width
        return TALL

    def prepare(self) -> None:
        """As many samples as the courses have cells."""
        self._course.update(self.samples, self.match)
        points = tuple(self._course.points)[-SPARK_MAX:]
        self._stats = stats.build(self.info, self.view, points)
        self.head()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The figures side by side; what does not fit is left out from the right."""
        if not self.samples:
            return self.empty(width, height)
        number = max(1, min(len(self._stats), (width + GAP) // (MIN_CELLS + GAP)))
        room = (width + GAP) // number - GAP
        shown = self._stats[:number]
        if height < TALL:
            return [self._row(self._short(stat, room) for stat in shown)]
        titles = ([(fmt.fit(stat.title, room), "stat--title")] for stat in shown)
        values = ([(fmt.fit(stat.text, room), "stat--value")] for stat in shown)
        courses = (
            [(fmt.fit(stat.sparkline(min(room, SPARK_MAX)), room), "stat--course")]
            for stat in shown
        )
        return [self._row(titles), self._row(values), self._row(courses)]

    def _short(self, stat: Stat, room: int) -> list[tuple[str, str]]:
        """Title, value and course in one line; the course takes what is left."""
        title = fmt.cut(stat.title, max(1, room - VALUE_CELLS - 1))
        left = max(0, room - fmt.width(title) - 1 - VALUE_CELLS - 1)
        return [
            (f"{title} ", "stat--title"),
            (fmt.fit(stat.text, min(VALUE_CELLS, room)), "stat--value"),
            (" ", ""),
            (stat.sparkline(min(left, SPARK_MAX)).ljust(left), "stat--course"),
        ]

    def _row(self, cells: Iterable[list[tuple[str, str]]]) -> Strip:
        segments: list[Segment] = []
        for cell in cells:
            segments += [Segment(text, self.style(name)) for text, name in cell if text]
            segments.append(Segment(" " * GAP, self.style()))
        return Strip(segments)
