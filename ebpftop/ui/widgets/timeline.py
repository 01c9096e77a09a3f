"""The timeline across the bottom: a click goes to a tick, a drag marks a range of them."""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING, get_args

from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ebpftop.views import captions
from ebpftop.views import timeline as timelines
from ebpftop.views.captions import NAMES, Moment
from ebpftop.views.timeline import Columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.events import Leave, MouseDown, MouseEvent, MouseMove, MouseUp, Resize

    from ebpftop.model import Kind
    from ebpftop.views.timeline import Ticks

LOW = 2  # a timeline that is no higher has no status
GROUNDS = (*NAMES, "cursor")


class Timeline(Widget):
    """The load of a probe over a recording, where the replay is, and what was marked.

    Three lines: what is shown, the bars, times and marks; a taller one has taller bars, and one
    that is lower has no status.
    """

    DEFAULT_CSS = "Timeline { height: 3; }"
    COMPONENT_CLASSES = {
        *(f"timeline--{look}" for look in get_args(timelines.Look)),
        *(f"timeline--{look}" for look in get_args(captions.Look)),
        *(f"timeline--on-{ground}" for ground in GROUNDS),
    }
    ALLOW_SELECT = False

    class Sought(Message):
        """The user wants to see a tick."""

        def __init__(self, tick: int) -> None:
            super().__init__()
            self.tick = tick

    class Ranged(Message):
        """The user marked the ticks from `first` to `last`, both included."""

        def __init__(self, first: int, last: int) -> None:
            super().__init__()
            self.first = first
            self.last = last

    def __init__(self) -> None:
        super().__init__()
        self._ticks: Ticks | None = None
        self._probe = ""
        self._moment = Moment()
        self._shown: tuple[object, ...] = ()
        self._columns = Columns()
        self._columns_of: tuple[object, ...] = ()
        self._labels: list[captions.Label] = []
        self._lines: list[Strip] | None = None
        self._styles: dict[tuple[str, str], Style] = {}
        self._pointed: int | None = None
        self._dragged: range | None = None

    def show(
        self,
        overview: Ticks,
        probe: str,
        position: int | None,
        *,
        title: str = "",
        kind: Kind = "count",
        rate: bool = True,
        playing: bool = False,
        following: bool = False,
        speed: float = 1.0,
        ranges: tuple[tuple[int, int], ...] = (),
        pending: int | None = None,
        hint: str = "",
    ) -> None:
        """Draw the load of a probe, at a tick or at the newest; see `views.captions.Moment`."""
        self._ticks, self._probe = overview, probe
        self._moment = Moment(
            position, playing, following, speed, ranges, pending, title, kind, rate, hint
        )
        shown = (*self._content(overview), self._moment)
        if shown != self._shown:
            self._shown = shown
            self._redraw()

    def render_line(self, y: int) -> Strip:
        """One line of it."""
        width, height = self.size
        if self._lines is None:
            self._lines = self._draw(width, height) if width > 0 and height > 0 else []
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        return self._lines[y].adjust_cell_length(width, self.rich_style)

    def notify_style_update(self) -> None:
        """Take up the colours of another theme."""
        self._styles.clear()
        self._lines = None
        super().notify_style_update()

    def on_resize(self, event: Resize) -> None:
        """Fit it into the new room."""
        del event
        self._pointed = self._dragged = None
        self._redraw()

    def on_mouse_down(self, event: MouseDown) -> None:
        """A click, or the begin of a drag."""
        column = self._column_under(event)
        if column is not None and event.button == 1:
            self._dragged = self._columns.spans[column]
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Tell what is under the pointer."""
        column = self._column_under(event)
        if column != self._pointed:
            self._pointed = column
            self._redraw()

    def on_leave(self, event: Leave) -> None:
        """Nothing is pointed at."""
        del event
        if self._pointed is not None:
            self._pointed = None
            self._redraw()

    def on_mouse_up(self, event: MouseUp) -> None:
        """The end of a click, or of a drag."""
        begun, column = self._dragged, self._column_under(event)
        self._dragged = None
        self.capture_mouse(False)
        if begun is None or column is None:
            return
        ended = self._columns.spans[column]
        if (begun.start, begun.stop) == (ended.start, ended.stop):
            self.post_message(self.Sought(self._tick_under(event, column)))
        elif ticks := _both(begun, ended):
            self.post_message(self.Ranged(ticks.start, ticks.stop - 1))
        self._redraw()

    def _column_under(self, event: MouseEvent) -> int | None:
        """The column under the pointer; None in the status, but for the end of a drag."""
        last = len(self._columns.spans) - 1
        in_status = event.y < self._top and self._dragged is None
        return None if last < 0 or in_status else max(0, min(event.x, last))

    def _tick_under(self, event: MouseEvent, column: int) -> int:
        """The tick that a label is about, or that a column shows."""
        if event.y == self.size.height - 1 > 0:
            for label in self._labels:
                if label.at <= event.x < label.at + len(label.text):
                    return label.tick
        return self._columns.tick_at(column)

    def _content(self, ticks: Ticks) -> tuple[object, ...]:
        """What columns are made of; the same is drawn the same."""
        return ticks, self._probe, ticks.first, ticks.end, len(ticks.marks)

    def _redraw(self) -> None:
        self._lines = None
        self.refresh()

    def _draw(self, width: int, height: int) -> list[Strip]:
        ticks = self._ticks
        if ticks is None:
            return []
        content = (*self._content(ticks), width)
        if content != self._columns_of:
            self._columns = timelines.columns(ticks, self._probe, width)
            self._columns_of = content
        lines = [self._status(ticks, width)] if self._top else []
        if self._columns.spans:
            self._labels = captions.below(ticks, self._columns, self._moment)
            bars = self._columns.bars(max(1, height - self._top - 1))
            lines += self._bars(bars, self._grounds(ticks))
            lines.append(self._below())
        return lines[:height]

    @property
    def _top(self) -> int:
        """The first line of the bars."""
        return 1 if self.size.height > LOW else 0

    def _status(self, ticks: Ticks, width: int) -> Strip:
        drawn, moment, now_ns = self._columns, self._moment, time.time_ns()
        left, right = captions.status(ticks, self._probe, drawn, moment, now_ns)
        if self._pointed is not None and self._pointed < len(drawn.spans):
            if self._dragged is not None:
                marked = _both(self._dragged, drawn.spans[self._pointed])
                right = [captions.begun(ticks, moment, marked.start, marked.stop - 1)]
            else:
                right = captions.pointed(ticks, self._probe, drawn, moment, self._pointed)
        return self._strip(
            (part.text, part.look, "") for part in captions.fitted(left, right, width)
        )

    def _bars(self, bars: list[str], grounds: list[str]) -> list[Strip]:
        """Neighbours that look the same are one segment."""
        ways = list(zip(self._columns.looks(), grounds))
        strips = []
        for line in bars:
            start = 0
            pieces: list[tuple[str, str, str]] = []
            for way, same in groupby(ways):
                end = start + len(list(same))
                pieces.append((line[start:end], *way))
                start = end
            strips.append(self._strip(pieces))
        return strips

    def _grounds(self, ticks: Ticks) -> list[str]:
        """What each column lies in, the position above all."""
        moment, drawn = self._moment, self._columns
        grounds = [""] * len(drawn.spans)
        tick = moment.tick(ticks)
        spans: list[tuple[int, int, str]] = [
            (first, last, name) for (first, last), name in zip(moment.ranges, NAMES)
        ]
        if moment.pending is not None:
            ends = (moment.pending, tick)
            spans.append((min(ends), max(ends), moment.next_name))
        if self._dragged is not None and self._pointed is not None:
            marked = _both(self._dragged, drawn.spans[self._pointed])
            spans.append((marked.start, marked.stop - 1, moment.next_name))
        for first, last, name in (*spans, (tick, tick, "cursor")):
            for column in drawn.between(first, last):
                grounds[column] = name
        return grounds

    def _below(self) -> Strip:
        end = 0
        pieces: list[tuple[str, str, str]] = []
        for label in self._labels:
            pieces += [(" " * (label.at - end), "plain", ""), (label.text, label.look, "")]
            end = label.at + len(label.text)
        return self._strip(pieces)

    def _strip(self, pieces: Iterable[tuple[str, str, str]]) -> Strip:
        """A line of texts, each with its look and what it lies in."""
        return Strip([Segment(text, self._style(look, on)) for text, look, on in pieces if text])

    def _style(self, look: str, ground: str) -> Style:
        style = self._styles.get((look, ground))
        if style is None:
            style = self.get_component_rich_style(f"timeline--{look}")
            if ground:
                under = self.get_component_rich_style(f"timeline--on-{ground}")
                color = under.color if ground == "cursor" else style.color
                style += Style(color=color, bgcolor=under.bgcolor)
            self._styles[look, ground] = style
        return style


def _both(begun: range, ended: range) -> range:
    """The ticks of two columns and of all between them."""
    first, stop = min(begun.start, ended.start), max(begun.stop, ended.stop)
    return range(first, stop)
