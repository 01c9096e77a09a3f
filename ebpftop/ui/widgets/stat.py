"""A row of large figures, each with its course below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip

from ebpftop.ui.widgets.drawing import Drawing
from ebpftop.views import format as fmt
from ebpftop.views import stat as stats
from ebpftop.views.difference import title
from ebpftop.views.ranges import Span, over

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.geometry import Size

    from ebpftop.model import ProbeInfo, View
    from ebpftop.views.stat import Changed, Stat

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
        & > .stat--grew { color: $grew; }
        & > .stat--shrank { color: $shrank; }
    }
    """
    COMPONENT_CLASSES = {
        "stat--title",
        "stat--value",
        "stat--course",
        "stat--grew",
        "stat--shrank",
    }

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        self._course = stats.course(info, view)
        self._stats: tuple[Stat, ...] = ()
        self._changes: tuple[Changed, ...] = ()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As high as it likes to be."""
        del container, viewport, width
        return TALL

    def prepare(self) -> None:
        """As many samples as the courses have cells; of a range, or of two, the figures alone."""
        if self.compared:
            a, b = self.compared
            self._changes = stats.compare(self.info, self.view, a, b, self.match)
            self.head(after=(title(a, b),))
            return
        whole = over(self.samples[-1], self.info.table(self.view.table)) if self.samples else ""
        course = stats.course(self.info, self.view) if whole else self._course
        course.update(self.samples, self.match)
        points = tuple(course.points)[-SPARK_MAX:]
        self._stats = stats.build(self.info, self.view, points)
        self.head(after=(whole,))

    def draw(self, width: int, height: int) -> list[Strip]:
        """The figures side by side; what does not fit is left out from the right."""
        if self.compared:
            return self._compared(width, height)
        if self.ranges or not self.samples:
            return self.empty(width, height)
        room = self._room(width, len(self._stats))
        shown = self._stats[: (width + GAP) // (room + GAP)]
        if height < TALL:
            return [self._row(self._short(stat, room) for stat in shown)]
        titles = ([(fmt.fit(stat.title, room), "stat--title")] for stat in shown)
        values = ([(fmt.fit(stat.text, room), "stat--value")] for stat in shown)
        courses = (
            [(fmt.fit(self._course_of(stat, min(room, SPARK_MAX)), room), "stat--course")]
            for stat in shown
        )
        return [self._row(titles), self._row(values), self._row(courses)]

    def _compared(self, width: int, height: int) -> list[Strip]:
        """The figures of B, and how they differ from those of A."""
        room = self._room(width, len(self._changes))
        shown = self._changes[: (width + GAP) // (room + GAP)]
        if height < TALL:
            return [self._row(self._short_change(one, room) for one in shown)]
        titles = ([(fmt.fit(one.title, room), "stat--title")] for one in shown)
        values = ([(fmt.fit(one.text, room), "stat--value")] for one in shown)
        return [
            self._row(titles),
            self._row(values),
            self._row(self._change(o, room) for o in shown),
        ]

    def _change(self, changed: Changed, room: int) -> list[tuple[str, str]]:
        """The change, and the value before it where there is room for all of that."""
        text, before = fmt.cut(changed.change, room), f" from {changed.before}"
        left = room - fmt.width(text)
        before = fmt.fit(before if fmt.width(before) <= left else "", left)
        return [(text, _direction(changed)), (before, "stat--title")]

    def _short_change(self, changed: Changed, room: int) -> list[tuple[str, str]]:
        """Title, value and change in one line."""
        title = fmt.cut(changed.title, max(1, room - 2 * VALUE_CELLS - 1))
        left = max(0, room - fmt.width(title) - 1)
        value = fmt.cut(f"{changed.text} ", left)
        return [
            (f"{title} ", "stat--title"),
            (value, "stat--value"),
            (fmt.fit(changed.change, left - fmt.width(value)), _direction(changed)),
        ]

    def _room(self, width: int, figures: int) -> int:
        """Cells for each of so many figures, of which those that do not fit are left out."""
        return (width + GAP) // max(1, min(figures, (width + GAP) // (MIN_CELLS + GAP))) - GAP

    def _short(self, stat: Stat, room: int) -> list[tuple[str, str]]:
        """Title, value and course in one line; the course takes what is left."""
        title = fmt.cut(stat.title, max(1, room - VALUE_CELLS - 1))
        left = max(0, room - fmt.width(title) - 1 - VALUE_CELLS - 1)
        return [
            (f"{title} ", "stat--title"),
            (fmt.fit(stat.text, min(VALUE_CELLS, room)), "stat--value"),
            (" ", ""),
            (self._course_of(stat, min(left, SPARK_MAX)).ljust(left), "stat--course"),
        ]

    def _course_of(self, stat: Stat, width: int) -> str:
        """The course of a figure; the sum of a range has none."""
        return "" if isinstance(self.samples[-1], Span) else stat.sparkline(width)

    def _row(self, cells: Iterable[list[tuple[str, str]]]) -> Strip:
        segments: list[Segment] = []
        for cell in cells:
            segments += [Segment(text, self.style(name)) for text, name in cell if text]
            segments.append(Segment(" " * GAP, self.style()))
        return Strip(segments)


def _direction(changed: Changed) -> str:
    """The component class of a change."""
    if not changed.grown:
        return "stat--title"
    return "stat--grew" if changed.grown > 0 else "stat--shrank"
