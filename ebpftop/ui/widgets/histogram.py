"""A histogram of the last seconds: a line per bucket with its bounds, its count and a bar.

`o` turns it into upright bars drawn by plotext, which take more room and show the shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.ui import actions
from ebpftop.ui.widgets import plot
from ebpftop.ui.widgets.drawing import Drawing
from ebpftop.views import chart as charts
from ebpftop.views import format as fmt
from ebpftop.views import histogram as histograms
from ebpftop.views.difference import LEGEND, title
from ebpftop.views.window import lasted, recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.strip import Strip

    from ebpftop.model import ProbeInfo, View
    from ebpftop.views.histogram import Bar, Series
    from ebpftop.views.histogram import Histogram as Model

SECONDS = 10.0
EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
SERIES = 4
COUNT_CELLS = 6
SHARE_CELLS = 6
# A bar of fewer cells tells nothing; shares are left out first.
MIN_BAR = 10
SERIES_GAP = 2
LINES_PER_TICK = 3
MIN_LINES, MIN_CELLS = 5, 24
# Cells between two labels below upright bars.
LABEL_CELLS = 9


class Histogram(Drawing, can_focus=True):
    """Counts by bucket; series side by side where there is room, else their sum."""

    BINDINGS = actions.bindings(actions.HISTOGRAM)
    DEFAULT_CSS = """
    Histogram {
        & > .histogram--label { color: $dim; }
        & > .histogram--count { color: $name; }
        & > .histogram--series { color: $name; text-style: bold; }
        & > .histogram--bar-1 { color: $series-1; }
        & > .histogram--bar-2 { color: $series-2; }
        & > .histogram--bar-3 { color: $series-3; }
        & > .histogram--bar-4 { color: $series-4; }
        & > .histogram--before { color: $dim; }
        & > .histogram--grew { color: $grew; }
        & > .histogram--shrank { color: $shrank; }
    }
    """
    COMPONENT_CLASSES = {
        "histogram--label",
        "histogram--count",
        "histogram--series",
        "histogram--before",
        "histogram--grew",
        "histogram--shrank",
        *(f"histogram--bar-{number}" for number in range(1, SERIES + 1)),
    }

    def __init__(self, info: ProbeInfo, view: View) -> None:
        super().__init__(info, view)
        self.upright = False
        self._axes = histograms.Axes.of(info, view)
        self._model = histograms.build(self._axes, (), {})

    @property
    def model(self) -> Model:
        """What is on the screen."""
        return self._model

    def action_turn(self) -> None:
        """Change between lines and upright bars."""
        self.upright = not self.upright
        self.redraw()

    def prepare(self) -> None:
        """Add up the last seconds, or the range, or each of two."""
        if self.compared:
            a, b = self.compared
            self._model = histograms.compare(self._axes, a, b, self.match)
            self.head(*self._model.summary(), LEGEND, after=(title(a, b), "per second"))
            return
        samples = recent(self.samples, SECONDS)
        self._model = histograms.build(self._axes, samples, self.match)
        self.head(*self._model.summary(), after=(lasted(samples),) if samples else ())

    def draw(self, width: int, height: int) -> list[Strip]:
        """Lines, or upright bars where the user wants them and they fit."""
        if not self._model.sum.total or (self.ranges and not self.compared):
            return self.empty(width, height)
        if self.upright and height >= MIN_LINES and width >= MIN_CELLS:
            try:
                return self._upright(width, height)
            except plot.PlotError as error:
                return self.empty(width, height, fmt.clean(str(error)))
        return self._across(width, height)

    # Lines

    def _across(self, width: int, height: int) -> list[Strip]:
        model = self._model
        labels = max(fmt.width(model.axes.label(b)) for b in model.span((model.sum,)))
        series = self._beside(width - labels - 1)
        heading = len(series) > 1 and height > 2
        bars = model.bars(series, height - heading)
        labels = max(fmt.width(bar.label) for bar in bars)
        room = max(COUNT_CELLS, (width - labels - 1 + SERIES_GAP) // len(series) - SERIES_GAP)
        strips = [self._heading(series, labels, room)] if heading else []
        tops = [max((bar.counts[i] for bar in bars), default=0) for i in range(len(series))]
        if self.compared:  # on one scale, or bars could not be compared
            tops = [max(tops)] * len(tops)
        return strips + [self._bar(bar, series, tops, labels, room) for bar in bars]

    def _beside(self, width: int) -> Sequence[Series]:
        """The series, if each has room for its bars, or if they are what is compared."""
        series = self._model.series
        if self.compared:
            return series
        room = (width + SERIES_GAP) // max(1, len(series)) - SERIES_GAP
        if 1 < len(series) <= SERIES and room >= COUNT_CELLS + 1 + MIN_BAR:
            return series
        return (self._model.sum,)

    def _heading(self, series: Sequence[Series], labels: int, room: int) -> Strip:
        pieces = [(" " * (labels + 1), "")]
        for one in series:
            total = fmt.count(one.total)
            pieces.append((fmt.fit(total, COUNT_CELLS, right=True) + " ", "histogram--label"))
            pieces.append((fmt.fit(one.name, room - COUNT_CELLS - 1), "histogram--series"))
            pieces.append((" " * SERIES_GAP, ""))
        return self.line(pieces)

    def _bar(
        self, bar: Bar, series: Sequence[Series], tops: Sequence[float], labels: int, room: int
    ) -> Strip:
        pieces = [(fmt.fit(bar.label, labels, right=True) + " ", "histogram--label")]
        styles = self._bar_styles(bar)
        for number, (one, count, top) in enumerate(zip(series, bar.counts, tops)):
            text, cells = fmt.fit(fmt.count(count), COUNT_CELLS, right=True) + " ", room
            cells -= COUNT_CELLS + 1
            pieces.append((text, "histogram--count" if count else "histogram--label"))
            if cells >= MIN_BAR + SHARE_CELLS + 1:
                share = fmt.ratio(count / one.total) if count else ""
                pieces.append((fmt.fit(share, SHARE_CELLS, right=True) + " ", "histogram--label"))
                cells -= SHARE_CELLS + 1
            drawn = fmt.fit(blocks(count, top, cells), cells)
            pieces += [(drawn, styles[number]), (" " * SERIES_GAP, "")]
        return self.line(pieces)

    def _bar_styles(self, bar: Bar) -> Sequence[str]:
        """A colour per series; of two ranges, B has the colour of the change."""
        if not self.compared:
            return [f"histogram--bar-{number + 1}" for number in range(len(bar.counts))]
        a, b = bar.counts
        changed = "grew" if b > a else "shrank" if b < a else "before"
        return ("histogram--before", f"histogram--{changed}")

    # Upright bars

    def _upright(self, width: int, height: int) -> list[Strip]:
        model = self._model
        series = model.series if self.compared else (model.sum,)
        rows = max(1, (width - COUNT_CELLS) // (2 * len(series)))
        bars = model.bars(series, rows)
        figure = plot.figure(width, height)
        places = list(range(len(bars)))
        styles: list[str] = []
        for i in range(len(series)):
            colours = [self._bar_styles(bar)[i] for bar in bars]
            styles += sorted(set(colours) - set(styles))
            marks = [plot.mark(styles.index(colour), "hd") for colour in colours]
            beside = [place + (i + 0.5) / len(series) - 0.5 for place in places]
            counts = [bar.counts[i] for bar in bars]
            figure.draw(figure.bar(beside, counts, marker=marks, width=0.7 / len(series)))
        top = charts.ceiling(max(max(bar.counts) for bar in bars), "count")
        heights = charts.ticks(top, "count", max(1, (height - 2) // LINES_PER_TICK))
        figure.ruler("y").lim(0, top)
        figure.ruler("y").ticks(heights, [fmt.count(value) for value in heights])
        figure.ruler("x").lim(-0.5, len(bars) - 0.5)
        every = max(1, -(-len(bars) * LABEL_CELLS // max(1, width - COUNT_CELLS)))
        labels = [bar.label.partition(fmt.ELLIPSIS)[0] for bar in bars]
        figure.ruler("x").ticks(places[::every], labels[::every])
        drawn = list(map(self.style, styles))
        return plot.strips(figure.build(), drawn, self.style("histogram--label"))


def blocks(count: float, top: float, cells: int) -> str:
    """A bar of so many cells at `top`, to an eighth of a cell; what is not 0 is seen."""
    if count <= 0 or top <= 0:
        return ""
    eighths = max(1, round(count / top * cells * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8]
