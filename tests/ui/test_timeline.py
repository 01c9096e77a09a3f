"""The timeline, alone in an app: what it looks like, and what the mouse does to it."""

import asyncio
import functools
import math
import random

import pytest
from textual import on

from ebpftop.recording.overview import Mark, Overview, Summary
from ebpftop.ui import themes
from ebpftop.ui.widgets.timeline import Timeline
from tests.ui import drawings

SECOND = 1_000_000_000
START_NS = 1_763_546_400 * SECOND  # 2025-11-19 10:00:00 UTC
WIDE, NARROW = (200, 4), (80, 3)
SHOWN = {"position": 400, "title": "Block I/O", "kind": "bytes"}
RANGES = ((60, 110), (300, 350))


def incident() -> Overview:
    """Ten minutes: a spike, a gap of four, a failure, then losses, and a clock that was set."""
    r = random.Random(3)
    made, summary, wall_ns = Overview(), Summary(), START_NS
    loads, lost = [], {}
    for tick in range(600):
        wall_ns += SECOND + (252 * SECOND if tick == 240 else 0)
        summary.wall_ns.append(wall_ns)
        load = 3e6 * (1.2 + math.sin(tick / 45)) + 1.5e6 * r.random()
        if 120 <= tick < 128 or 467 <= tick < 470:
            load += 3e7 + 3e7 * r.random()
        if 411 <= tick < 425:
            lost[tick] = r.randrange(1, 50)
            load *= 3
        loads.append(math.nan if 372 <= tick < 395 else 0.0 if 180 <= tick < 198 else load)
    summary.mono_ns = list(summary.wall_ns)
    summary.loads["biotop"], summary.lost["biotop"] = loads, lost
    summary.marks = [
        (240, "gap", "", "nothing was measured for 253 s"),
        (372, "failed", "biotop", "the verifier refused [the] program"),
        (540, "clock", "", "the clock went back 2 s"),
    ]
    made.append(summary)
    return made


def even(number: int) -> Overview:
    """So many ticks, all alike."""
    made, summary = Overview(), Summary()
    summary.wall_ns = [START_NS + tick * SECOND for tick in range(number)]
    summary.mono_ns = list(summary.wall_ns)
    summary.loads["biotop"] = [5.0] * number
    made.append(summary)
    return made


class OneTimeline(drawings.Themed):
    """An app that holds a timeline, and remembers what it said."""

    CSS_PATH = themes.STYLE_FILES
    CSS = "Timeline, Dashboard.-timeline Timeline { display: block; height: 1fr; }"

    def __init__(self, overview, theme=themes.DEFAULT, **shown):
        super().__init__(Timeline(), theme)
        self.overview, self.shown = overview, {**SHOWN, **shown}
        self.said = []

    def draw(self):
        self.show()

    def show(self, **changes):
        self.shown.update(changes)
        self.widget.show(self.overview, "biotop", **self.shown)

    @on(Timeline.Sought)
    def _sought(self, message):
        self.said.append(("sought", message.tick))

    @on(Timeline.Ranged)
    def _ranged(self, message):
        self.said.append(("ranged", message.first, message.last))

    def lines(self):
        return [strip.text for strip in self.screen._compositor.render_strips()]


def driven(make, size=(100, 3), **shown):
    """Runs an async test with the pilot of an app that shows these ticks."""

    def decorate(test):
        @functools.wraps(test)
        def wrapper():
            async def run():
                async with OneTimeline(make(), **shown).run_test(size=size) as pilot:
                    await pilot.pause()
                    await test(pilot, pilot.app)

            asyncio.run(run())

        del wrapper.__wrapped__  # or pytest takes its parameters for fixtures
        return wrapper

    return decorate


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_playing(snap_compare, size):
    app = OneTimeline(incident(), playing=True, speed=4.0)
    assert snap_compare(app, terminal_size=size)


def test_with_ranges(snap_compare):
    app = OneTimeline(incident(), position=350, ranges=RANGES, hint="m begins anew")
    assert snap_compare(app, terminal_size=(120, 3))


@pytest.mark.parametrize("theme", ["default-light", "high-contrast", "ansi-dark"])
def test_in_other_colours(snap_compare, theme):
    app = OneTimeline(incident(), theme, position=360, ranges=RANGES[:1], pending=300)
    assert snap_compare(app, terminal_size=(120, 3))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 3), (12, 4), (30, 9)])
@pytest.mark.parametrize("make", [incident, Overview, functools.partial(even, 1)])
def test_no_room_is_no_error(size, make):
    @driven(make, size, ranges=RANGES)
    async def look(pilot, app):
        await pilot.hover(app.widget, offset=(0, size[1] - 1))
        await pilot.click(app.widget, offset=(0, 0))
        await pilot.pause()
        assert [len(line) for line in app.lines()] == [size[0]] * size[1]

    look()


@driven(functools.partial(even, 500))
async def test_a_click_seeks_the_tick_that_is_there(pilot, app):
    await pilot.click(app.widget, offset=(40, 1))
    assert app.said == [("sought", 200)]


@driven(incident, (200, 4))
async def test_a_click_on_a_spike_seeks_its_highest_tick(pilot, app):
    loads = app.overview.loads["biotop"]
    highest = max(range(100, 150), key=loads.__getitem__)
    column = app.lines()[3].index("▲")
    await pilot.click(app.widget, offset=(column, 1))
    await pilot.click(app.widget, offset=(column + 4, 3))
    assert app.said == [("sought", highest)] * 2


@driven(incident)
async def test_a_click_on_a_mark_seeks_what_it_marks(pilot, app):
    await pilot.click(app.widget, offset=(app.lines()[2].index("✗"), 2))
    assert app.said == [("sought", 372)]


@driven(incident)
async def test_a_click_on_the_status_does_nothing(pilot, app):
    await pilot.click(app.widget, offset=(40, 0))
    assert app.said == []


@driven(functools.partial(even, 10))
async def test_fewer_ticks_than_columns_can_be_clicked_each(pilot, app):
    for tick in range(10):
        await pilot.click(app.widget, offset=(tick * 10 + 7, 1))
    assert app.said == [("sought", tick) for tick in range(10)]


@driven(Overview)
async def test_without_ticks_there_is_nothing_to_click(pilot, app):
    await pilot.click(app.widget, offset=(40, 1))
    assert app.said == []
    assert "no ticks yet" in app.lines()[0]


@pytest.mark.parametrize(("begin", "end"), [(20, 40), (40, 20)])
def test_a_drag_marks_all_ticks_from_one_place_to_the_other(begin, end):
    @driven(functools.partial(even, 500))
    async def drag(pilot, app):
        await pilot.mouse_down(app.widget, offset=(begin, 1))
        await pilot.hover(app.widget, offset=(end, 1))
        await pilot.pause()
        assert "A … 1m45s" in app.lines()[0]
        await pilot.mouse_up(app.widget, offset=(end, 1))
        assert app.said == [("ranged", 100, 204)]

    drag()


@driven(functools.partial(even, 500))
async def test_a_drag_may_end_above_the_bars(pilot, app):
    await pilot.mouse_down(app.widget, offset=(20, 1))
    await pilot.mouse_up(app.widget, offset=(40, 0))
    assert app.said == [("ranged", 100, 204)]


@driven(functools.partial(even, 500))
async def test_ticks_that_come_during_a_drag_do_not_move_its_begin(pilot, app):
    await pilot.mouse_down(app.widget, offset=(20, 1))
    app.overview.forget(100)
    app.show()
    await pilot.pause()
    await pilot.mouse_up(app.widget, offset=(99, 1))
    assert app.said == [("ranged", 100, 499)]


@driven(incident, (200, 3))
async def test_what_is_pointed_at_is_told_about_until_the_pointer_leaves(pilot, app):
    column = app.lines()[2].index("✗")
    await pilot.hover(app.widget, offset=(column, 1))
    await pilot.pause()
    assert "10:10:25   not measured  the verifier refused [the] program " in app.lines()[0]
    await pilot.hover(app.widget, offset=(column, 0))
    await pilot.pause()
    assert "verifier" not in app.lines()[0]


@driven(functools.partial(even, 500))
async def test_it_follows_position_and_new_ticks(pilot, app):
    app.show(position=100)
    await pilot.pause()
    assert "tick 101/500" in app.lines()[0]
    app.overview.append(Summary([START_NS + 500 * SECOND], [0], SECOND, {"biotop": [9.0]}))
    app.show(position=None, following=True)
    await pilot.pause()
    assert "tick 501/501" in app.lines()[0]
    assert app.lines()[1].endswith("█")


@driven(functools.partial(even, 500))
async def test_it_is_drawn_again_only_when_something_changed(pilot, app):
    drawn = app.widget._lines
    app.show()
    assert app.widget._lines is drawn
    app.overview.marks.append(Mark(499, "failed", "biotop", "refused"))
    app.show()
    await pilot.pause()
    assert "✗" in app.lines()[2]


@driven(incident, (200, 3))
async def test_it_fits_into_a_new_size(pilot, app):
    await pilot.hover(app.widget, offset=(190, 1))
    await pilot.resize_terminal(70, 3)
    await pilot.pause()
    assert [len(line) for line in app.lines()] == [70] * 3
