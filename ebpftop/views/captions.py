"""What is written around a timeline: the line above the bars, and times and marks below them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from ebpftop.views import format as fmt
from ebpftop.views.figures import figure
from ebpftop.views.timeline import GAP, NOTHING, UNSEEN, marks_in

if TYPE_CHECKING:
    from ebpftop.model import Kind
    from ebpftop.views.timeline import Columns, Ticks

Look = Literal[
    "plain", "strong", "dim", "playing", "paused", "following", "a", "b", "pointed", "cursor",
    "spike", "lost", "failed", "clock", "gap",
]  # fmt: skip
NS_PER_S = 1_000_000_000
NAMES: tuple[Look, ...] = ("a", "b")
SPIKE, NOTCH = "▲", "╵"
MARKS: dict[str, tuple[str, Look]] = {
    "damaged": ("▒", "failed"),
    "failed": ("✗", "failed"),
    "clock": ("◷", "clock"),
    "gap": (GAP, "gap"),
    "start": ("»", "dim"),
}
# Steps of the axis, and the cells that a time on it should have.
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
DAY_S, STEP_CELLS = 86_400, 14
TEXTS = 2  # marks that are told of one tick
LONG = 20  # cells of a text that is cut first where room is short


@dataclass(frozen=True)
class Moment:
    """Where a replay is, and what the user has marked.

    Attributes:
        position: the tick that is shown; None for the newest.
        following: whether it moves on with the newest.
        ranges: first and last tick of up to two ranges, A and B.
        pending: the tick that another one was begun at.
        title, kind, rate: what the load is, and how its figures are written.
        hint: what keys do now; the first to go where room is short.
    """

    position: int | None = None
    playing: bool = False
    following: bool = False
    speed: float = 1.0
    ranges: tuple[tuple[int, int], ...] = ()
    pending: int | None = None
    title: str = ""
    kind: Kind = "count"
    rate: bool = True
    hint: str = ""

    @property
    def next_name(self) -> Look:
        """Name of the range that is begun, or would be."""
        return NAMES[len(self.ranges) % len(NAMES)]

    def tick(self, ticks: Ticks) -> int:
        """The tick that is shown, of those that are still there."""
        last = ticks.end - 1
        return last if self.position is None else max(ticks.first, min(self.position, last))


@dataclass(frozen=True)
class Part:
    """Some words of the line above; the highest `rank` goes first where room is short."""

    text: str
    look: Look = "plain"
    rank: int = 0


@dataclass(frozen=True)
class Label:
    """A text below the bars, from column `at` on, and the tick that it is about."""

    at: int
    text: str
    look: Look
    tick: int


def clock(wall_ns: int, now_ns: int | None = None) -> str:
    """Local time of a moment, with its date where `now_ns` is on another day."""
    moment = time.localtime(wall_ns // NS_PER_S)
    far = now_ns is not None and moment[:3] != time.localtime(now_ns // NS_PER_S)[:3]
    return time.strftime("%Y-%m-%d %H:%M:%S" if far else "%H:%M:%S", moment)


def length(ticks: Ticks, first: int, last: int) -> str:
    """How long some ticks took by the wall clock, the first of them included."""
    wall = ticks.wall_ns
    low, high = max(first - ticks.first, 0), min(last - ticks.first, len(wall) - 1)
    if high < low or len(wall) < 2:
        return fmt.UNKNOWN
    before = wall[low] - wall[low - 1] if low else wall[1] - wall[0]
    return duration(wall[high] - wall[low] + before)


def duration(wall_ns: int) -> str:
    """A length of time: `0.2s`, `51s`, `2m03s`; unknown where the clock was set back in it."""
    if wall_ns < 0:
        return fmt.UNKNOWN
    return f"{wall_ns / NS_PER_S:.2g}s" if wall_ns < 59.5 * NS_PER_S else fmt.ns(wall_ns)


def status(
    ticks: Ticks, probe: str, columns: Columns, moment: Moment, now_ns: int
) -> tuple[list[Part], list[Part]]:
    """The line above: at the left what is shown, at the right the ranges and the hint."""
    if not columns.spans:
        return [Part("no ticks yet", "dim")], []
    tick = moment.tick(ticks)
    position, number = tick - ticks.first, ticks.end - ticks.first
    parts = [_state(moment), Part(clock(ticks.wall_ns[position], now_ns), "strong")]
    if position < number - 1:
        away = duration(ticks.wall_ns[-1] - ticks.wall_ns[position])
        parts.append(Part(away if away == fmt.UNKNOWN else f"-{away}", rank=2))
    parts.append(Part(f"tick {position + 1}/{number}", "dim", 5))
    if moment.title:
        parts.append(Part(fmt.clean(moment.title), rank=4))
    parts += _about(ticks, probe, moment, range(tick, tick + 1))
    if columns.peak > 0:
        parts.append(Part(f"max {figure(columns.peak, moment.kind, moment.rate)}", "dim", 6))
    return parts, _right(ticks, moment)


def pointed(ticks: Ticks, probe: str, columns: Columns, moment: Moment, column: int) -> list[Part]:
    """What there is in a column: when, the highest load, losses and marks."""
    tick, span, wall = columns.tick_at(column), columns.spans[column], ticks.wall_ns
    here = wall[moment.tick(ticks) - ticks.first]
    text = clock(wall[tick - ticks.first], here)
    if not span:
        text = f"{clock(wall[tick - ticks.first - 1], here)} … {text}"
    return [Part(f" {text} ", "pointed"), *_about(ticks, probe, moment, span)]


def begun(ticks: Ticks, moment: Moment, first: int, last: int) -> Part:
    """The range that is being marked."""
    name = moment.next_name
    return Part(f" {name.upper()} … {length(ticks, first, last)} ", name, 1)


def fitted(left: list[Part], right: list[Part], width: int) -> list[Part]:
    """Both sides as a line: long parts are cut, then parts with a rank go, the highest first."""
    left, right = list(left), list(right)
    if _cells(left) + _cells(right) > width:
        long = max(LONG, width // 3)
        for side in (left, right):
            side[:] = [replace(part, text=fmt.cut(part.text, long)) for part in side]
    while (over := _cells(left) + _cells(right) - width) > 0:
        last = max((*left, *right), key=lambda part: part.rank)
        if not last.rank:
            break
        (right if last in right else left).remove(last)
    if over > 0:
        longest = max((*left, *right), key=lambda part: fmt.width(part.text))
        side = right if longest in right else left
        text = fmt.cut(longest.text, fmt.width(longest.text) - over)
        side[side.index(longest)] = replace(longest, text=text)
    space = Part(" ")
    spaced = [[piece for part in side for piece in (space, part, space)] for side in (left, right)]
    return [*spaced[0], Part(" " * max(0, -over)), *spaced[1]]


def below(ticks: Ticks, columns: Columns, moment: Moment) -> list[Label]:
    """The line below: each mark under its column, and as many times as there is room for."""
    if not columns.spans:
        return []
    line = _Line(len(columns.spans))
    for column, mark in columns.marks.items():
        line.place(*MARKS[mark.kind], mark.tick, column)
    for column in columns.spikes:
        line.place(SPIKE, "spike", columns.tops[column], column)
    tick = moment.tick(ticks)
    at, text = columns.between(tick, tick), _time(ticks, tick)
    middle = max(0, min(_middle(at, text), line.width - len(text)))
    line.place(text, "cursor", tick, middle, at.stop, at.start - len(text))
    for (first, last), name in zip(moment.ranges, NAMES):
        span, text = columns.between(first, last), f" {name.upper()} {length(ticks, first, last)} "
        if not line.place(text, name, first, _middle(span, text)):
            line.place(name.upper(), name, first, *span)
    for column in columns.spikes:
        tick = columns.tops[column]
        text = _time(ticks, tick)
        line.place(text, "spike", tick, column + 1, column - len(text))
    _place_edges(line, ticks)
    _place_gaps(line, ticks, columns)
    _place_steps(line, ticks, columns)
    for column in sorted(columns.lost):
        if column - 1 not in columns.lost:
            line.place(UNSEEN, "lost", columns.tops[column], column)
    return sorted(line.labels, key=lambda label: label.at)


class _Line:
    """Labels that never overlap: what comes first has its place."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.labels: list[Label] = []
        self._taken = [False] * width

    def place(self, text: str, look: Look, tick: int, *starts: int) -> bool:
        """Put a text at the first of `starts` where there is room; returns whether there was."""
        for start in starts:
            end = start + len(text)
            if start >= 0 and end <= self.width and not any(self._taken[start:end]):
                self._taken[start:end] = [True] * len(text)
                self.labels.append(Label(start, text, look, tick))
                return True
        return False


def _state(moment: Moment) -> Part:
    if moment.following:
        return Part("● following", "following")
    speed = "" if moment.speed == 1 else f" ×{moment.speed:g}"  # noqa: RUF001
    return Part(f"▶{speed}", "playing") if moment.playing else Part(f"‖{speed}", "paused")


def _about(ticks: Ticks, probe: str, moment: Moment, span: range) -> list[Part]:
    """The highest load of some ticks, what was lost in them, and what happened.

    Of no ticks, a gap, what happened before the tick that follows.
    """
    parts = []
    if span:
        low, high = span.start - ticks.first, span.stop - ticks.first
        load = max((NOTHING, *ticks.loads.get(probe, ())[low:high]))
        if load == NOTHING:
            parts.append(Part("not measured", "dim", 3))
        else:
            parts.append(Part(figure(load, moment.kind, moment.rate), "strong", 3))
    lost = ticks.lost.get(probe, {})
    if number := sum(lost.get(tick, 0) for tick in span):
        parts.append(Part(f"{fmt.count(number)} lost", "lost", 1))
    for mark in marks_in(ticks, probe, span or range(span.start, span.start + 1))[:TEXTS]:
        look = MARKS[mark.kind][1] if mark.kind in MARKS else "dim"
        parts.append(Part(fmt.clean(mark.text), look))
    return parts


def _right(ticks: Ticks, moment: Moment) -> list[Part]:
    """What the user marked, and what keys do."""
    parts = [
        Part(f" {name.upper()} {length(ticks, first, last)} ", name, 2)
        for (first, last), name in zip(moment.ranges, NAMES)
    ]
    if moment.pending is not None:
        first, last = sorted((moment.pending, moment.tick(ticks)))
        parts.append(begun(ticks, moment, first, last))
    return [*parts, Part(moment.hint, "dim", 7)] if moment.hint else parts


def _cells(parts: list[Part]) -> int:
    return sum(fmt.width(part.text) + 2 for part in parts)


def _middle(span: range, text: str) -> int:
    return (span.start + span.stop - len(text)) // 2


def _time(ticks: Ticks, tick: int) -> str:
    return f" {clock(ticks.wall_ns[tick - ticks.first])} "


def _place_edges(line: _Line, ticks: Ticks) -> None:
    """When it begins and ends, with dates where those differ."""
    wall = ticks.wall_ns
    first, last = (time.localtime(wall_ns // NS_PER_S) for wall_ns in (wall[0], wall[-1]))
    form = " %H:%M:%S " if first[:3] == last[:3] else " %m-%d %H:%M "
    line.place(time.strftime(form, first), "dim", ticks.first, 0)
    text = time.strftime(form, last)
    line.place(text, "dim", ticks.end - 1, line.width - len(text))


def _place_gaps(line: _Line, ticks: Ticks, columns: Columns) -> None:
    """How long each gap is."""
    for column, span in enumerate(columns.spans):
        if not span:
            position = span.start - ticks.first
            lasted = duration(ticks.wall_ns[position] - ticks.wall_ns[position - 1])
            text = f" {lasted} gap "
            starts = (column - len(text) // 2, column, column + 1 - len(text))
            line.place(text, "gap", span.start, *starts)


def _place_steps(line: _Line, ticks: Ticks, columns: Columns) -> None:
    """Round times, where the local time passes them."""
    ends = []  # local time at the end of each column
    for span in columns.spans:
        seconds = ticks.wall_ns[span.stop - 1 - ticks.first] // NS_PER_S
        ends.append(seconds + time.localtime(seconds).tm_gmtoff)
    passed = [
        (column, after - before)
        for column, (before, after) in enumerate(pairwise(ends), start=1)
        if columns.spans[column] and columns.spans[column - 1]
    ]
    measured = sum(max(0, seconds) for _, seconds in passed)
    wanted = STEP_CELLS * measured / max(1, len(passed))
    step = next((step for step in STEPS_S if step >= wanted), DAY_S * -(-wanted // DAY_S))
    for column, seconds in passed:
        slot = ends[column] // step
        if seconds > 0 and slot > (ends[column] - seconds) // step:
            round_s = int(slot * step)
            back_ns = (ends[column] - round_s) * NS_PER_S
            tick = _reached(ticks, columns.spans[column], back_ns)
            line.place(f"{NOTCH}{_round(round_s, step < 60)} ", "dim", tick, column)


def _reached(ticks: Ticks, span: range, back_ns: int) -> int:
    """The first of some ticks that is at most so long before the second that the last is in."""
    wall = ticks.wall_ns[span.start - ticks.first : span.stop - ticks.first]
    moment_ns = wall[-1] // NS_PER_S * NS_PER_S - back_ns
    return next(tick for tick, wall_ns in zip(span, wall) if wall_ns >= moment_ns)


def _round(local_s: int, seconds: bool) -> str:
    """A round local time; midnight is its date."""
    form = "%m-%d" if local_s % DAY_S == 0 else "%H:%M:%S" if seconds else "%H:%M"
    return time.strftime(form, time.gmtime(local_s))
