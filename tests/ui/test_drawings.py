"""The drawings, each alone in an app: what they look like, and what keys and mouse do to them."""

import asyncio

import pytest
from textual.events import MouseScrollDown

from ebpftop.model import View
from ebpftop.ui.widgets.chart import Chart
from ebpftop.ui.widgets.flame import Flame
from ebpftop.ui.widgets.heat import HeatStrip
from ebpftop.ui.widgets.histogram import Histogram, blocks
from ebpftop.ui.widgets.stat import StatRow
from tests.ui.drawings import (
    HIT_RATIO,
    NAMES,
    OneWidget,
    accesses,
    driven,
    latencies,
    probe,
    queues,
    sample,
    stacks,
)

WIDE, NARROW = (110, 24), (50, 14)
TOTALS = ("hits", "misses", "ratio", "read_bytes")
HOSTILE = "[/b]\x1b[31m日本語\n"


def drawing(kind, table, title, widget, **view):
    described = View(kind, table, title, **view)
    return widget(probe(described), described)


def histogram():
    return drawing("histogram", "latency", "Latency", Histogram, by="disk")


def lengths():
    return drawing("histogram", "queues", "Run queues", Histogram, by="cpu")


def heat():
    return drawing("heat", "latency", "Latency over time", HeatStrip)


def chart(**view):
    return drawing("chart", "access", "Page cache", Chart, **(view or {"columns": TOTALS[:2]}))


def stat():
    return drawing("stat", "access", "Total", StatRow, columns=TOTALS, derived=(HIT_RATIO,))


def flame():
    widget = drawing("flame", "stacks", "Off-CPU time", Flame)
    widget.names = NAMES
    return widget


DRAWINGS = {
    "histogram": (histogram, latencies, {"disk": "vda", "op": "read"}),
    "lengths": (lengths, queues, {"cpu": 2}),
    "heat": (heat, latencies, {"disk": "sdb"}),
    "chart": (chart, accesses, {"pid": 812}),
    "stat": (stat, accesses, {"pid": 77}),
    "flame": (flame, stacks, {"pid": 4711}),
}


def text(app):
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", DRAWINGS)
def test_with_data(snap_compare, name, size):
    make, history, _ = DRAWINGS[name]
    assert snap_compare(OneWidget(make(), history()), terminal_size=size)


@pytest.mark.parametrize("name", DRAWINGS)
def test_with_a_selection(snap_compare, name):
    make, history, match = DRAWINGS[name]
    assert snap_compare(OneWidget(make(), history(), match), terminal_size=(80, 18))


@pytest.mark.parametrize("name", DRAWINGS)
def test_before_the_first_sample(snap_compare, name):
    make, _, _ = DRAWINGS[name]
    assert snap_compare(OneWidget(make()), terminal_size=NARROW)


@pytest.mark.parametrize("name", DRAWINGS)
def test_with_nothing_in_the_samples(snap_compare, name):
    make, _, _ = DRAWINGS[name]
    assert snap_compare(OneWidget(make(), [sample(1), sample(2)]), terminal_size=NARROW)


def test_a_histogram_upright(snap_compare):
    assert snap_compare(OneWidget(histogram(), latencies()), press=["tab", "o"], terminal_size=WIDE)


def test_a_chart_with_a_line_per_process(snap_compare):
    widget = chart(columns=("read_bytes",), by="pid")
    widget.names = {812: "postgres", 77: HOSTILE}
    assert snap_compare(OneWidget(widget, accesses()), terminal_size=WIDE)


def test_a_flame_with_a_search(snap_compare):
    async def look(pilot):
        pilot.app.widget.filter("epoll")

    assert snap_compare(OneWidget(flame(), stacks()), run_before=look, terminal_size=WIDE)


def test_a_flame_zoomed_in(snap_compare):
    keys = ["tab", "down", "down", "down", "enter"]
    assert snap_compare(OneWidget(flame(), stacks()), press=keys, terminal_size=WIDE)


@pytest.mark.parametrize("theme", ["default-light", "high-contrast", "gruvbox", "ansi-dark"])
@pytest.mark.parametrize("name", ["flame", "heat"])
def test_in_other_colours(snap_compare, name, theme):
    make, history, _ = DRAWINGS[name]
    assert snap_compare(OneWidget(make(), history(), theme=theme), terminal_size=(80, 18))


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (6, 4), (12, 5), (20, 7)])
def test_no_room_is_no_error(name, size):
    make, history, _ = DRAWINGS[name]

    async def run():
        async with OneWidget(make(), history()).run_test(size=size) as pilot:
            await pilot.press("tab", "o", "down", "down", "right", "enter")
            await pilot.pause()

    asyncio.run(run())


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_fits_into_a_new_size(name):
    make, history, _ = DRAWINGS[name]

    @driven(make, history, WIDE)
    async def resize(pilot):
        await pilot.resize_terminal(70, 16)
        await pilot.pause()
        strips = pilot.app.screen._compositor.render_strips()
        assert {strip.cell_length for strip in strips} == {70}

    resize()


def test_the_smallest_count_has_a_bar():
    assert blocks(1, 10**9, 40) == "▏"
    assert blocks(0, 10, 40) == ""
    assert blocks(10, 10, 4) == "████"


def hostile():
    widget = flame()
    widget.names = {812: HOSTILE}
    return widget


def hostile_stacks():
    rows = [(812, 1, 1, f"{HOSTILE};{HOSTILE}_[k]", 5_000_000, 0, 1)]
    return [sample(1, stacks=rows)]


@driven(hostile, hostile_stacks, (100, 12))
async def test_names_from_the_system_are_never_markup(pilot):
    pilot.app.widget.show(hostile_stacks(), {"pid": 812})
    await pilot.pause()
    shown = text(pilot.app)
    assert shown.count("[/b]·[31m日本語·") == 4
    assert "\x1b" not in shown


on_flame = driven(flame, stacks, WIDE)


@on_flame
async def test_flame_arrows_move_the_selection(pilot):
    widget = pilot.app.widget
    await pilot.press("down", "right")
    assert widget.selected == ("nginx[4711]",)
    await pilot.press("down", "down")
    assert widget.selected == ("nginx[4711]", "_start", "main")
    await pilot.press("up", "up", "left")
    assert widget.selected == ("postgres[812]",)


@on_flame
async def test_flame_the_last_line_tells_about_the_selection(pilot):
    await pilot.press("down")
    assert "postgres[812] · 1m09s total · 0 own · 59.4% of all" in text(pilot.app)


@pytest.mark.parametrize("key", ["escape", "backspace", "u"])
@on_flame
async def test_flame_enter_zooms_and_keys_lead_back(pilot, key):
    widget = pilot.app.widget
    await pilot.press("down", "right", "enter")
    assert widget.zoom == ("nginx[4711]",)
    await pilot.press(key)
    assert widget.zoom == ()
    assert widget.selected == ("nginx[4711]",)


@on_flame
async def test_flame_a_click_selects_and_another_zooms(pilot):
    widget = pilot.app.widget
    await pilot.click(widget, offset=(70, 3))
    assert (widget.selected, widget.zoom) == (("nginx[4711]", "_start"), ())
    await pilot.click(widget, offset=(70, 3))
    assert widget.zoom == ("nginx[4711]", "_start")


@on_flame
async def test_flame_a_click_beside_the_boxes_does_nothing(pilot):
    await pilot.click(pilot.app.widget, offset=(60, 20))
    assert pilot.app.widget.selected == ()


@on_flame
async def test_flame_what_is_pointed_at_is_told_about(pilot):
    await pilot.hover(pilot.app.widget, offset=(70, 3))
    await pilot.pause()
    assert "_start · " in text(pilot.app)


@on_flame
async def test_flame_new_samples_leave_zoom_and_selection_where_they_are(pilot):
    widget = pilot.app.widget
    await pilot.press("down", "right", "enter", "down")
    widget.show(stacks(45), {})
    await pilot.pause()
    assert widget.zoom == ("nginx[4711]",)
    assert widget.selected == ("nginx[4711]", "_start")
    assert widget.window.lasted == "last 30 s"


@on_flame
async def test_flame_zoom_comes_back_with_what_it_was_in(pilot):
    widget = pilot.app.widget
    await pilot.press("down", "right", "enter")
    widget.show(stacks(), {"pid": 812})
    await pilot.pause()
    assert "nginx" not in text(pilot.app)
    widget.show(stacks(), {})
    await pilot.pause()
    assert "postgres" not in text(pilot.app)


@on_flame
async def test_flame_a_search_tells_its_share_and_escape_ends_it(pilot):
    widget = pilot.app.widget
    widget.filter("kswapd")
    await pilot.pause()
    assert "“kswapd” 8.0% in 2 frames" in text(pilot.app)
    await pilot.press("escape")
    assert widget.search.text == ""


@on_flame
async def test_flame_a_search_follows_new_samples(pilot):
    widget = pilot.app.widget
    widget.filter("kswapd")
    before = widget.search.weight
    widget.show(stacks(10), {})
    assert 0 < widget.search.weight < before


@on_flame
async def test_flame_w_counts_another_time(pilot):
    blocked, waiting = (
        sum(row[column] for one in stacks() for row in one.tables["stacks"]) for column in (4, 5)
    )
    root = pilot.app.widget.window.tree.root
    assert root.total == blocked + waiting
    for expected, title in ((blocked, "blocked"), (waiting, "waiting for a CPU")):
        await pilot.press("w")
        assert pilot.app.widget.window.tree.root.total == expected
        assert f" {title} · " in pilot.app.widget.border_subtitle


@on_flame
async def test_flame_m_merges_processes_of_one_name(pilot):
    await pilot.press("n")
    assert "postgres" in pilot.app.widget.window.tree.root.children


@on_flame
async def test_flame_the_selection_stays_in_sight(pilot):
    await pilot.resize_terminal(110, 8)
    await pilot.press(*["down"] * 12)
    await pilot.pause()
    assert "schedule · kernel · " in text(pilot.app)
    assert "schedule" in "\n".join(text(pilot.app).splitlines()[:6])


@on_flame
async def test_flame_the_wheel_scrolls_what_does_not_fit(pilot):
    await pilot.resize_terminal(110, 8)
    await pilot.pause()
    assert "↓7" in text(pilot.app)
    wheel = MouseScrollDown(None, 5, 3, 0, 1, 0, False, False, False)
    for _ in range(3):
        pilot.app.widget.post_message(wheel)
    await pilot.pause()
    assert "↓4" in text(pilot.app)
