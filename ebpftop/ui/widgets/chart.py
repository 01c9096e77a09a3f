"""Figures over time, drawn by plotext in braille; the legend is ours, since names are not safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.ui.widgets import plot
from ebpftop.ui.widgets.drawing import Drawing
from ebpftop.views import chart as charts
from ebpftop.views import format as fmt
from ebpftop.views.window import POINTS

if TYPE_CHECKING:
    from rich.style import Style
    from textual.strip import Strip

    from ebpftop.model import ProbeInfo, View
    from ebpftop.views.chart import Line

KEY = "━━ "
LINES_PER_TICK = 3
CELLS_PER_TICK = 14
# Fewer lines leave no room between the axes.
MIN_LINES, MIN_CELLS = 4, 16


class Chart(Drawing):
    """Lines over the whole history, newest at the right."""

    DEFAULT_CSS = """
    Chart {
        & > .chart--series-1 { color: $series-1; }
        & > .chart--series-2 { color: $series-2; }
        & > .chart--series-3 { color: $series-3; }
        & > .chart--series-4 { color: $series-4; }
    }
    """
    COMPONENT_CLASSES = {f"chart--series-{number}" for number in range(1, charts.LINES + 1)}

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        self._course = charts.course(info, view)
        self._chart = charts.build(info, view, ())

    def prepare(self) -> None:
        """One point per sample; more than the braille can tell apart are left out."""
        self._course.update(self.samples, self.match)
        points = tuple(self._course.points)[-2 * (self.size.width or POINTS) :]
        self._chart = charts.build(self.info, self.view, points, self.names)
        peak = f"peak {self._chart.text(self._chart.peak)}" if points else ""
        only = self._chart.lines[0] if len(self._chart.lines) == 1 else None
        now = f"{only.name} {self._chart.text(only.now)}" if only and points else ""
        self.head(now, peak)

    def draw(self, width: int, height: int) -> list[Strip]:
        """The legend, then the plot."""
        chart = self._chart
        if not chart.lines or not chart.ages_s:
            return self.empty(width, height)
        legend = [self._legend(width)] if len(chart.lines) > 1 and height > MIN_LINES else []
        room = height - len(legend)
        if room < MIN_LINES or width < MIN_CELLS:
            return self.empty(width, height, "no room for a chart")
        try:
            return [*legend, *self._plot(width, room)]
        except plot.PlotError as error:
            return self.empty(width, height, fmt.clean(str(error)))

    def _plot(self, width: int, height: int) -> list[Strip]:
        chart = self._chart
        figure = plot.figure(width, height)
        for number, line in enumerate(chart.lines):
            for ages, values in _runs(chart.ages_s, chart.gaps, line):
                signal = figure.signal(ages, values, marker=plot.mark(number, "braille"))
                figure.draw(signal.lines(True))
        top = charts.ceiling(chart.peak, chart.kind)
        heights = charts.ticks(top, chart.kind, max(1, (height - 2) // LINES_PER_TICK))
        span = max(-chart.ages_s[0], 1.0)
        times = charts.time_ticks(span, max(1, width // CELLS_PER_TICK))
        figure.ruler("y").lim(0, top)
        figure.ruler("y").ticks(heights, [chart.text(value) for value in heights])
        figure.ruler("x").lim(-span, 0)
        figure.ruler("x").ticks([age for age, _ in times], [label for _, label in times])
        styles = [self._series(number) for number in range(len(chart.lines))]
        return plot.strips(figure.build(), styles, self.style("drawing--dim"))

    def _legend(self, width: int) -> Strip:
        pieces: list[tuple[str, str]] = []
        room = width // len(self._chart.lines)
        for number, line in enumerate(self._chart.lines):
            value = self._chart.text(line.now)
            name = fmt.cut(line.name, max(1, room - len(KEY) - fmt.width(value) - 3))
            pieces += [(KEY, _series_class(number)), (f"{name} ", ""), (value, "drawing--dim")]
            pieces.append(("  ", ""))
        return self.line(pieces).crop(0, width)

    def _series(self, number: int) -> Style:
        return self.style(_series_class(number))


def _series_class(number: int) -> str:
    return f"chart--series-{number + 1}"


def _runs(
    ages: tuple[float, ...], gaps: frozenset[int], line: Line
) -> list[tuple[list[float], list[float]]]:
    """Stretches of a line without a gap or an unknown value, as coordinates."""
    runs: list[tuple[list[float], list[float]]] = []
    joined = False
    for position, (age, value) in enumerate(zip(ages, line.values)):
        if value is None:
            joined = False
            continue
        if not joined or position in gaps:
            runs.append(([], []))
            joined = True
        runs[-1][0].append(age)
        runs[-1][1].append(value)
    return runs
