"""The flame as an explorer: turned round, regrouped, and as a table of functions."""

import pytest
from textual.events import MouseScrollDown

from ebpftop.model import View
from ebpftop.ui.widgets.flame import Flame
from tests.ui.drawings import NAMES, OneWidget, driven, probe, sample, stacks

WIDE = (110, 24)
HOSTILE = "[/b]\x1b[31m日本語\n" + "長" * 400


def flame():
    view = View("flame", "stacks", "Off-CPU time")
    widget = Flame(probe(view), view)
    widget.names, widget.cgroups, widget.host = NAMES, {1: "shop.service"}, "web-7"
    return widget


on_flame = driven(flame, stacks, WIDE)


def text(app):
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def line_of(app, name):
    return next(line for line in text(app).splitlines() if line.rstrip(" │").endswith(name))


def functions(app):
    """Names in the table of functions, from top to bottom."""
    return [row.name for row in app.widget._functions_shown().rows]


# Turned round, regrouped, kernel and user apart


@on_flame
async def test_o_puts_callers_below(pilot):
    widget = pilot.app.widget
    await pilot.press("o")
    postgres = widget.drawn.root.children["postgres[812]"]
    assert list(postgres.children) == ["schedule_[k]"]
    assert "by process · callers below" in text(pilot.app)
    await pilot.press("o")
    assert "main" in widget.drawn.root.children["postgres[812]"].children
    assert "callers below" not in text(pilot.app)


@on_flame
async def test_turned_round_it_stays_with_the_process(pilot):
    """A frame has another place then; its process has not."""
    widget = pilot.app.widget
    await pilot.press("down", "right", "down", "enter", "o")
    assert widget.zoom == widget.selected == ("nginx[4711]",)
    assert "nginx" in text(pilot.app)
    assert "postgres" not in text(pilot.app)


@on_flame
async def test_g_leads_through_what_the_first_level_can_be(pilot):
    widget, seen = pilot.app.widget, []
    for _ in range(5):
        await pilot.press("g")
        heading = text(pilot.app).splitlines()[0].split(" · ")[-1].rstrip(" ─╮")
        seen.append((heading, max(widget.drawn.root.children.values(), key=lambda n: n.total).name))
    assert seen == [
        ("by process name", "postgres"),
        ("by thread", "postgres[812] tid 812"),
        ("by cgroup", "shop.service"),
        ("all together", "main"),
        ("by process", "postgres[812]"),
    ]


@on_flame
async def test_g_shows_the_whole_again(pilot):
    await pilot.press("down", "right", "enter", "g")
    assert (pilot.app.widget.zoom, pilot.app.widget.selected) == ((), ())


@on_flame
async def test_x_shows_kernel_or_user_frames_alone_with_the_same_total(pilot):
    widget = pilot.app.widget
    total = widget.drawn.root.total
    await pilot.press("x")
    assert "kernel frames" in text(pilot.app)
    assert "ServerLoop" not in text(pilot.app)
    assert widget.drawn.root.total == total
    await pilot.press("x")
    assert "user frames" in text(pilot.app)
    assert "do_syscall_64" not in text(pilot.app)
    assert "[no user frames]" in widget.drawn.root.children["kswapd0[92]"].children
    assert widget.drawn.root.total == total


@on_flame
async def test_where_all_are_together_zoom_and_selection_start_with_a_frame(pilot):
    await pilot.press("n", "g", "g", "g", "down", "down", "enter")
    assert pilot.app.widget.zoom == ("main", "ServerLoop")
    assert "ServerLoop · " in text(pilot.app)


def many():
    rows = [(n, n, 1, f"main;f{n}", 1_000_000 + n, 0, 1) for n in range(1, 201)]
    return [sample(1, stacks=rows)]


@driven(flame, many, (80, 12))
async def test_frames_too_narrow_to_draw_can_be_selected_and_zoomed_into(pilot):
    assert "200 narrow" in text(pilot.app)
    await pilot.press("down", "right")
    assert "pid 199 · " in text(pilot.app)
    await pilot.press("enter", "down", "down")
    assert pilot.app.widget.selected == ("pid 199", "main", "f199")


@driven(flame, many, (80, 12))
async def test_a_click_on_narrow_frames_selects_the_largest(pilot):
    await pilot.click(pilot.app.widget, offset=(40, 2))
    assert pilot.app.widget.selected == ("pid 200",)


# The functions


@on_flame
async def test_f_lists_functions_with_own_and_total(pilot):
    await pilot.press("f")
    assert functions(pilot.app)[0] == "schedule_[k]"
    assert "by process · functions" in text(pilot.app)
    assert [*line_of(pilot.app, "schedule").split()[1:]] == [
        "1m57s", "100%", "1m57s", "100%", "kernel", "schedule", "│",
    ]  # fmt: skip
    await pilot.press("f")
    assert "OWN" not in text(pilot.app)


@on_flame
async def test_functions_are_sorted_as_tables_are(pilot):
    app = pilot.app
    await pilot.press("f", "greater_than_sign")
    assert "▼TOTAL" in text(app)
    await pilot.press("greater_than_sign")
    assert functions(app) == sorted(functions(app), key=str.casefold)
    await pilot.press("R")
    assert functions(app) == sorted(functions(app), key=str.casefold, reverse=True)
    await pilot.press("less_than_sign")
    assert "▼TOTAL" in text(app)


@on_flame
async def test_the_selected_function_stays_selected_when_samples_come(pilot):
    app = pilot.app
    await pilot.press("f", "greater_than_sign", "down", "down", "down")
    chosen = app.widget._table.selected
    assert f"{chosen.removesuffix('_[k]')} · " in text(app)
    app.widget.show(stacks(45)[20:], {})
    await pilot.pause()
    assert app.widget._table.selected == chosen
    assert app.widget._table.row.name == chosen


@on_flame
async def test_enter_on_a_function_finds_its_frames_and_no_others(pilot):
    app = pilot.app
    app.widget.filter("ep_poll")
    await pilot.press("f", "down", "enter")
    assert app.widget.filtered == "=ep_poll_[k]"
    assert "35.9% in 3 frames" in text(app)
    assert "OWN" not in text(app)


@on_flame
async def test_back_in_the_table_the_search_is_that_of_before(pilot):
    app = pilot.app
    app.widget.filter("ep_poll")
    await pilot.press("f", "down", "enter", "f")
    assert app.widget.filtered == "ep_poll"


@on_flame
async def test_the_search_chooses_among_functions(pilot):
    app = pilot.app
    await pilot.press("f")
    app.widget.filter("wait")
    await pilot.pause()
    assert all("wait" in name.lower() for name in functions(app))
    assert " of 7" in text(app)


@on_flame
async def test_functions_are_those_below_the_zoomed_frame(pilot):
    await pilot.press("down", "right", "enter", "f")
    assert "below nginx[4711]" in text(pilot.app)
    assert "ServerLoop" not in functions(pilot.app)
    assert "worker_thread" in functions(pilot.app)


@on_flame
async def test_escape_ends_the_search_then_leaves_the_functions_then_zooms_out(pilot):
    widget = pilot.app.widget
    await pilot.press("down", "right", "enter", "f")
    widget.filter("wait")
    steps = []
    for _ in range(3):
        await pilot.press("escape")
        steps.append((widget.filtered, widget.lists, widget.zoom))
    assert steps == [
        ("", True, ("nginx[4711]",)),
        ("", False, ("nginx[4711]",)),
        ("", False, ()),
    ]


@on_flame
async def test_a_click_on_a_heading_sorts_one_on_a_function_selects_a_second_finds(pilot):
    app = pilot.app
    await pilot.press("f")
    await pilot.click(app.widget, offset=(25, 1))
    assert "▼TOTAL" in text(app)
    await pilot.click(app.widget, offset=(25, 1))
    assert "▲TOTAL" in text(app)
    await pilot.click(app.widget, offset=(60, 3))
    name = functions(app)[1]
    assert app.widget._table.selected == name
    await pilot.click(app.widget, offset=(60, 3))
    assert app.widget.filtered == f"={name}"


@on_flame
async def test_the_wheel_and_pages_go_through_functions(pilot):
    app = pilot.app
    await pilot.resize_terminal(110, 12)
    await pilot.press("f", "down")
    before = app.widget._table.below
    app.widget.post_message(MouseScrollDown(None, 5, 3, 0, 1, 0, False, False, False))
    await pilot.pause()
    assert app.widget._table.below == before - 1
    await pilot.press("pagedown", "pagedown")
    assert app.widget._table.row.name in functions(app)[10:]


@on_flame
async def test_functions_of_two_ranges_show_what_changed(pilot):
    app = pilot.app
    slower = [
        sample(1, stacks=[(*row[:4], row[4] * 2, *row[5:]) for row in one.tables["stacks"]])
        for one in stacks(1)
    ]
    app.widget.compare(stacks(1)[0], slower[0], {})
    await pilot.press("f")
    await pilot.pause()
    assert "▼OWN/s" in text(app)
    assert "+3.74s" in line_of(app, "schedule")
    await pilot.press("down")
    assert "own 3.89s/s → 7.63s/s" in text(app)


def test_pictures_of_functions(snap_compare):
    assert snap_compare(
        OneWidget(flame(), stacks()), press=["tab", "f", "down"], terminal_size=WIDE
    )


def test_pictures_of_functions_with_little_room(snap_compare):
    keys = ["tab", "f", "greater_than_sign", "down", "down"]
    assert snap_compare(OneWidget(flame(), stacks()), press=keys, terminal_size=(50, 14))


def test_pictures_of_a_flame_turned_round(snap_compare):
    keys = ["tab", "g", "g", "g", "g", "o"]
    assert snap_compare(OneWidget(flame(), stacks()), press=keys, terminal_size=(80, 18))


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (6, 4), (12, 5), (20, 7)])
@pytest.mark.parametrize("keys", ["f", "fR", "oxf", "gggg", "x"])
def test_no_room_is_no_error(keys, size):
    @driven(flame, stacks, size)
    async def press(pilot):
        await pilot.press(*keys, "down", "down", "enter", "pagedown", "up")
        await pilot.pause()

    press()


# Names


def hostile():
    widget = flame()
    widget.names = {812: HOSTILE}
    widget.cgroups = {1: HOSTILE}
    return widget


def hostile_stacks():
    rows = [(812, 1, 1, f"{HOSTILE};{HOSTILE}_[k]", 5_000_000, 0, 1)]
    return [sample(1, stacks=rows)]


@pytest.mark.parametrize("keys", ["", "f", "g", "gg", "ggg", "gggg", "o", "x", "xx", "ggggof"])
def test_names_from_the_system_are_never_markup_whatever_is_shown(keys):
    @driven(hostile, hostile_stacks, (100, 12))
    async def look(pilot):
        await pilot.press(*keys, "down", "down", "enter")
        await pilot.pause()
        lines = pilot.app.screen._compositor.render_strips()
        shown = "".join(line.text for line in lines)
        assert "[/b]·[31m日本語·" in shown
        assert "\x1b" not in shown
        assert {line.cell_length for line in lines} == {100}

    look()
