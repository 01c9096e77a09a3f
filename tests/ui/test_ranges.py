"""Ranges on the screen: the sum of one, what differs between two, and the way back."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from ebpftop.model import View
from ebpftop.ui import themes
from ebpftop.ui.widgets import widget_for
from ebpftop.views.ranges import Sum
from ebpftop.views.scope import Names
from tests.ui import drawings, scenes

WIDE, NARROW = (110, 18), (50, 12)
TOTALS = ("hits", "misses", "ratio", "read_bytes")


def total(info, samples):
    made = Sum(info)
    for sample in samples:
        made.add(sample)
    return made.sample()


def with_rows(samples, table, change):
    return [replace(s, tables={table: list(change(s.tables[table]))}) for s in samples]


def processes():
    """Two minutes of I/O; then three, with one process gone, another new, others busier."""

    def busier(rows):
        for pid, *key, ios, bytes_, lat_ns, queue_ns, max_ns in rows:
            times = {9004: 0.3, 2290: 4, 1204: 1}.get(pid, 1.5)
            if pid != 77:
                figures = (int(times * n) for n in (ios, bytes_, lat_ns, queue_ns))
                yield (pid, *key, *figures, max_ns)
        yield (7321, 9, "nvme1n1", "write", 3300, 3300 << 16, 3_000_000_000, 10**9, 180_000_000)

    first = [scenes.biotop(n) for n in range(1, 121)]
    second = with_rows([scenes.biotop(n) for n in range(200, 380)], "io", busier)
    return scenes.BIOTOP, 0, first, second


def latencies():
    info = drawings.probe(View("histogram", "latency", "Latency", by="disk"))
    slower = with_rows(
        drawings.latencies(90),
        "latency",
        lambda rows: ((disk, op, slot + (slot > 19), n * 2) for disk, op, slot, n in rows),
    )
    return info, 0, drawings.latencies(), slower


def figures():
    info = drawings.probe(
        View("stat", "access", "Total", columns=TOTALS, derived=(drawings.HIT_RATIO,))
    )
    samples = drawings.accesses(120)
    return info, 0, samples[:60], samples[70:]


def stacks():
    """One commit takes longer, receiving less, sending nothing; a lock is waited for."""

    def slower(rows):
        for pid, tid, cgroup, stack, blocked, waiting, count in rows:
            times = 3 if "XLogFlush" in stack else 0.2 if "recvfrom" in stack else 1
            if "SendTuples" not in stack:
                yield pid, tid, cgroup, stack, int(blocked * times), waiting, count
        yield 812, 812, 1, "main;ServerLoop;LockAcquire;semop", 700_000_000, 0, 50

    info = drawings.probe(View("flame", "stacks", "What threads wait for"))
    return info, 0, drawings.stacks(60), with_rows(drawings.stacks(45), "stacks", slower)


KINDS = {"table": processes, "histogram": latencies, "stat": figures, "flame": stacks}
NEW = scenes.process(7321, "compactor", "/usr/bin/compactor --all")


class Compared(drawings.Themed):
    """One view, the samples of two ranges, and their sums."""

    CSS_PATH = themes.STYLE_FILES

    def __init__(self, kind, theme=themes.DEFAULT, picture="compare"):
        info, view, self.first, self.second = KINDS[kind]()
        super().__init__(cast("Any", widget_for(info, info.views[view])), theme)
        self.a, self.b = total(info, self.first), total(info, self.second)
        self.table = kind == "table"
        self.picture = picture
        if not self.table:
            self.widget.names = drawings.NAMES

    def draw(self):
        getattr(self, self.picture)()
        self.widget.focus()

    def live(self):
        """The newest, as always."""
        people = {one.pid: one for one in (*scenes.PEOPLE, NEW)}
        if self.table:
            self.widget.show(self.second[-1], Names(people), {})
        else:
            self.widget.show(self.second, {})

    def range(self):
        """The sum of the second range."""
        if self.table:
            self.widget.show(self.b, Names({one.pid: one for one in (*scenes.PEOPLE, NEW)}), {})
        else:
            self.widget.show([self.b], {})

    def compare(self, *, a=True, b=True):
        """What differs between both."""
        sums = self.a if a else None, self.b if b else None
        if self.table:
            self.widget.compare(*sums, Names({one.pid: one for one in (*scenes.PEOPLE, NEW)}), {})
        else:
            self.widget.compare(*sums, {})

    @property
    def text(self):
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())


def on(kind, size=WIDE, **arguments):
    """Runs an async test with the app that shows a view of that kind, and its pilot."""

    def decorate(test):
        async def run():
            app = Compared(kind, **arguments)
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await test(app, pilot)

        def wrapper():
            asyncio.run(run())

        wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
        return wrapper

    return decorate


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_difference(snap_compare, kind, size):
    assert snap_compare(Compared(kind), terminal_size=size)


@pytest.mark.parametrize("theme", ["default-light", "high-contrast", "gruvbox", "ansi-dark"])
@pytest.mark.parametrize("kind", ["table", "flame"])
def test_a_difference_in_other_colours(snap_compare, kind, theme):
    assert snap_compare(Compared(kind, theme), terminal_size=(90, 16))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sum(snap_compare, kind):
    assert snap_compare(Compared(kind, picture="range"), terminal_size=WIDE)


def test_a_difference_upright(snap_compare):
    assert snap_compare(Compared("histogram"), press=["o"], terminal_size=WIDE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("between", ["range", "compare"])
def test_the_way_back_leads_to_what_was_there(kind, between):
    async def run():
        app = Compared(kind, picture="live")
        async with app.run_test(size=WIDE) as pilot:
            await pilot.pause()
            before = app.text
            getattr(app, between)()
            await pilot.pause()
            assert app.text != before
            app.live()
            await pilot.pause()
            assert app.text == before

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", ["a", "b"])
def test_a_range_without_samples_is_said(kind, missing):
    async def run():
        app = Compared(kind)
        async with app.run_test(size=WIDE) as pilot:
            app.compare(**{missing: False})
            await pilot.pause()
            assert f"nothing was measured in {missing.upper()}" in app.text

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (6, 4), (12, 5), (20, 7)])
def test_no_room_is_no_error(kind, size):
    async def run():
        async with Compared(kind).run_test(size=size) as pilot:
            await pilot.press("o", "down", "down", "right", "enter")
            await pilot.pause()

    asyncio.run(run())


@on("table")
async def test_the_selected_row_tells_both_sides(app, pilot):
    await pilot.press("down")
    (selected,) = (line for line in app.text.splitlines() if "2290 rsync" in line)
    assert "B/s " in selected
    assert " → " in selected


@on("table")
async def test_a_row_of_one_range_says_so_when_it_is_selected(app, pilot):
    rows = app.widget.view.rows
    app.widget.select(next(i for i, row in enumerate(rows) if row[0] == 7321))
    await pilot.pause()
    assert "not among the rows of A" in app.text


@on("table", picture="live")
async def test_the_selection_outlives_the_change_to_a_difference_and_back(app, pilot):
    await pilot.press("down", "down")
    selected = app.widget.selection
    app.compare()
    assert app.widget.selection == selected
    assert app.widget.view.position(app.widget.state.cursor) is not None
    app.live()
    assert app.widget.selection == selected


@on("table", picture="live")
async def test_order_and_filter_hold_in_a_difference(app, pilot):
    app.widget.filter("nvme1n1")
    app.widget.move_sort(1)
    app.compare()
    view = app.widget.view
    assert view.columns[view.sort].column.name == "avg_ns"
    assert {row[2] for row in view.rows} == {"nvme1n1"}
    sizes = [abs(view.value(row, view.sort)) for row in view.rows]
    assert sizes == sorted(sizes, reverse=True)


@on("table")
async def test_reversed_what_shrank_most_is_on_top(app, pilot):
    app.widget.reverse()
    view = app.widget.view
    values = [view.value(row, view.sort) for row in view.rows]
    assert values == sorted(values)
    assert values[0] < 0 < values[-1]


@on("table", picture="range")
async def test_a_row_that_a_range_does_not_have_is_said(app, pilot):
    await pilot.press("down")
    app.widget.show(replace(app.b, tables={"io": []}), Names(), {})
    await pilot.pause()
    assert "not in this range" in app.text
    assert "nothing in this range" in app.text


@on("flame")
async def test_the_selected_frame_tells_both_sides(app, pilot):
    await pilot.press("down", "down")
    told = app.text.splitlines()[-2]
    assert "A " in told
    assert " → B " in told
    assert "/s · +" in told


@on("flame")
async def test_another_weight_compares_that(app, pilot):
    await pilot.press("w", "w")
    assert "waiting for a CPU" in app.text
    assert " → " in app.text


@on("flame")
async def test_zoom_and_search_work_on_both_ranges(app, pilot):
    await pilot.press("down", "down", "enter")
    assert app.widget.zoom == ("postgres[812]", "main")
    app.widget.filter("SendTuples")
    await pilot.pause()
    assert app.widget.search.frames == 1  # which the second range does not have


@on("flame")
async def test_what_grew_is_red_and_what_shrank_blue(app, pilot):
    comparison = app.widget._comparison
    steps = {
        name: comparison.step(node)
        for name in ("nginx[4711]", "postgres[812]", "kswapd0[92]")
        if (node := app.widget.drawn.find((name,)))
    }
    assert steps["nginx[4711]"] < 0 < steps["postgres[812]"]
    assert steps["kswapd0[92]"] == 0
    variables = themes.variables(app.current_theme) | app.current_theme.variables
    for step, name in ((5, "grew"), (-5, "shrank")):
        assert app.widget._boxes._changed(step).bgcolor.name == variables[name]
