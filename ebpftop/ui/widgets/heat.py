"""Latency over time as heat: a column per sample, newest at the right, two buckets per line."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from ebpftop.ui.themes import HEAT_LEVELS
from ebpftop.ui.widgets.drawing import Drawing, mixed
from ebpftop.views import format as fmt
from ebpftop.views import heat as heats
from ebpftop.views.chart import time_label
from ebpftop.views.heat import ROWS_PER_LINE
from ebpftop.views.histogram import Axes

if TYPE_CHECKING:
    from textual.color import Color

    from ebpftop.model import ProbeInfo, View

UPPER, LOWER, GAP = "▀", "▄", "┊"
STEPS = 3  # shades from one heat of the theme to the next
SHADES = (HEAT_LEVELS - 1) * STEPS + 1
AXIS, TICK, TICK_CELLS = "│", "┤", 15
AXIS_LINES = 1


class HeatStrip(Drawing):
    """Counts by bucket and time."""

    DEFAULT_CSS = """
    HeatStrip {
        & > .heat--0 { color: $heat-0; }
        & > .heat--1 { color: $heat-1; }
        & > .heat--2 { color: $heat-2; }
        & > .heat--3 { color: $heat-3; }
        & > .heat--4 { color: $heat-4; }
    }
    """
    COMPONENT_CLASSES = {f"heat--{number}" for number in range(HEAT_LEVELS)}

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        self._axes = Axes.of(info, view)
        self._course = heats.course(self._axes)
        self._heat = heats.build(self._axes, ())
        self._shades: list[Color] = []
        self._pairs: dict[tuple[int, int], tuple[str, Style]] = {}

    def prepare(self) -> None:
        """As many samples as there are columns."""
        self._course.update(self.samples, self.match)
        points = tuple(self._course.points)
        self._heat = heats.build(self._axes, points[-(self.size.width or len(points) or 1) :])
        column = self._axes.table.columns[self._axes.count]
        name = fmt.label(column.title)
        self.head(f"hottest {fmt.count(self._heat.peak)} {name}/s" if self._heat.peak else "")

    def draw(self, width: int, height: int) -> list[Strip]:
        """Buckets from the highest on top, their bounds at the left, the time below."""
        lines = height - AXIS_LINES
        buckets = self._heat.buckets(lines)
        if not buckets:
            return self.empty(width, height)
        labels = max(fmt.width(self._bound(bucket)) for bucket in buckets)
        room = width - labels - len(AXIS)
        if room < 1:
            return self.empty(width, height, "no room for heat")
        tall = max(1, lines * ROWS_PER_LINE // len(buckets))
        grid = self._heat.grid(buckets, room, SHADES)
        rows = [row for row in grid for _ in range(tall)]
        if len(rows) % ROWS_PER_LINE:
            rows.append([0] * len(rows[0]))
        strips = []
        for low in range(len(rows) - ROWS_PER_LINE, -1, -ROWS_PER_LINE):
            label = self._label(buckets, low, tall)
            strips.append(self._strip(label, labels, rows[low + 1], rows[low], room))
        strips.append(self._times(labels, room))
        return [Strip([])] * (height - len(strips)) + strips

    def notify_style_update(self) -> None:
        """Shades follow the theme."""
        self._shades.clear()
        self._pairs.clear()
        super().notify_style_update()

    def _label(self, buckets: range, row: int, tall: int) -> str:
        """The lower bound of a bucket where it begins; of every other line where all begin one."""
        for half in range(ROWS_PER_LINE):
            number, inside = divmod(row + half, tall)
            if not inside and number < len(buckets):
                crowded = tall == 1 and row // ROWS_PER_LINE % 2
                return "" if crowded else self._bound(buckets[number])
        return ""

    def _bound(self, bucket: int) -> str:
        return fmt.ns(1 << bucket) if self._axes.log2 else self._axes.label(bucket)

    def _strip(
        self, label: str, labels: int, upper: list[int], lower: list[int], room: int
    ) -> Strip:
        """One line; neighbours that look the same are one segment."""
        axis = TICK if label else AXIS
        segments = [
            Segment(fmt.fit(label, labels, right=True) + axis, self.style("drawing--dim")),
            Segment(" " * (room - len(upper)), self.style()),
        ]
        start = 0
        pairs = list(zip(upper, lower))
        for x in range(1, len(pairs) + 1):
            if x == len(pairs) or pairs[x] != pairs[start]:
                character, style = self._pair(*pairs[start])
                segments.append(Segment(character * (x - start), style))
                start = x
        return Strip(segments)

    def _pair(self, upper: int, lower: int) -> tuple[str, Style]:
        """How two buckets above each other are drawn."""
        pair = self._pairs.get((upper, lower))
        if pair is None:
            pair = self._pairs[upper, lower] = self._drawn(upper, lower)
        return pair

    def _drawn(self, upper: int, lower: int) -> tuple[str, Style]:
        base = self.style()
        if upper < 0 or lower < 0:
            return GAP, self.style("drawing--dim")
        if not upper and not lower:
            return " ", base
        if upper == lower:
            return " ", base + Style(bgcolor=self._shade(upper).rich_color)
        if not lower:
            return UPPER, base + Style(color=self._shade(upper).rich_color)
        style = base + Style(color=self._shade(lower).rich_color)
        if upper:
            style += Style(bgcolor=self._shade(upper).rich_color)
        return LOWER, style

    def _shade(self, level: int) -> Color:
        """The colour of a heat from 1 to SHADES, between those that the theme names."""
        if not self._shades:
            named = [self.get_component_styles(f"heat--{n}").color for n in range(HEAT_LEVELS)]
            for cold, hot in pairwise(named):
                self._shades += [mixed(cold, hot, step / STEPS) for step in range(STEPS)]
            self._shades.append(named[-1])
        return self._shades[level - 1]

    def _times(self, labels: int, room: int) -> Strip:
        """How long ago the columns were, every few cells from the right."""
        text = " " * room
        number = min(room, len(self._heat.columns))
        for back in range(0, number, TICK_CELLS):
            age = self._heat.age_s(back)
            label = time_label(round(age)) if back else "now"
            end = room - back
            if age or not back:
                text = text[: max(0, end - len(label))] + label + text[end:]
        line = fmt.fit(" " * (labels + len(AXIS)) + text, labels + len(AXIS) + room)
        return self.line(((line, "drawing--dim"),))
