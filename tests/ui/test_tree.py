"""The tree of cgroups on the screen: c, the arrows, and the mouse."""

from dataclasses import replace

import pytest

from ebpftop.commands.demo import RECORDING
from ebpftop.recording.reader import Recording
from tests.ui import scenes
from tests.ui.conftest import Replay, marked

ID = "c0ffee" * 10 + "abcd"
PATHS = {
    1: "/",
    2: "/system.slice/backup.service",
    3: "/system.slice/postgresql.service",
    4: f"/system.slice/docker-{ID}.scope",
    5: "/user.slice/user-1000.slice",
}
CGROUPS = {9004: 1, 2290: 2, 812: 3, 1204: 4, 4410: 5}
PEOPLE = [
    replace(
        person,
        cgroup=CGROUPS[person.pid],
        cgroup_path=PATHS[CGROUPS[person.pid]],
        container="web-1" if person.pid == 1204 else "",
        runtime="docker" if person.pid == 1204 else "",
    )
    for person in scenes.PEOPLE
    if person.pid in CGROUPS
]
WHOLE = [
    "▾ /",
    "  ▾ system.slice",
    "      backup.service",
    "      postgresql.service",
    "      web-1 (docker)",
    "    user.slice/user-1000.slice",
]


@pytest.fixture
def opening():
    return [*scenes.opening(), *PEOPLE, scenes.host(), scenes.biotop()]


def lines(s):
    view = s.table.view
    return [view.text(row, 0) for row in view.rows]


def selected(s):
    return s.table.selection.get("cgroup")


async def test_c_shows_the_tree_and_once_more_the_rows(screen, opening):
    async with screen(*opening) as s:
        rows = list(s.table.view.rows)
        await s.press("c")
        assert lines(s) == WHOLE
        assert "PROCS" in s.text(s.table)
        await s.press("c")
        assert list(s.table.view.rows) == rows


async def test_the_total_is_that_of_the_rows(screen, opening):
    async with screen(*opening) as s:
        before = s.text(s.table).splitlines()[-2].split()[-5:]
        await s.press("c")
        total = s.text(s.table).splitlines()[-2]
        assert total.split()[-5:] == before
        assert "total, 7 cgroups" in total


async def test_a_container_is_shown_by_name_and_with_the_end_of_its_path(screen, opening):
    async with screen(*opening, size=(240, 40)) as s:
        await s.press("c")
        (line,) = (line for line in s.text(s.table).splitlines() if "web-1" in line)
        assert "web-1 (docker)  docker-c0ffee" in line


async def test_the_line_below_says_where_the_selected_cgroup_is(screen, opening):
    async with screen(*opening, size=(200, 40)) as s:
        await s.press("c", "end", "up")
        assert f"web-1 (docker) · {PATHS[4]}" in s.text(s.table).splitlines()[-2]


async def test_left_collapses_a_line_then_goes_to_the_one_above(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "down", "left")
        assert lines(s)[:2] == ["▾ /", "  ▸ system.slice"]
        assert selected(s) == "/system.slice"
        await s.press("left")
        assert selected(s) == "/"
        await s.press("left")
        assert lines(s) == ["▸ /"]


async def test_right_expands_a_line_then_goes_to_the_first_one_below(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "down", "left", "right")
        assert lines(s) == WHOLE
        assert selected(s) == "/system.slice"
        await s.press("right")
        assert selected(s) == PATHS[2]


async def test_a_star_expands_all(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "down", "left", "up", "left")
        assert lines(s) == ["▸ /"]
        await s.press("asterisk")
        assert lines(s) == WHOLE


async def test_arrows_scroll_the_columns_where_there_is_nothing_to_fold(screen, opening):
    every = replace(scenes.BIOTOP.views[0], columns=())
    wide = scenes.hello((replace(scenes.BIOTOP, views=(every,)),))
    async with screen(wide, *opening[1:], size=(80, 24)) as s:
        await s.press("c", "down", "down", "down", "right")
        assert s.table.scroll_x > 0
        await s.press("left")
        assert s.table.scroll_x == 0
        assert selected(s) == PATHS[2]


async def test_the_cursor_goes_to_the_line_that_hides_its_own(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "down", "down", "down")
        assert selected(s) == PATHS[3]
        s.table.toggle_tree_node("/system.slice")
        assert selected(s) == "/system.slice"


async def test_views_that_follow_go_where_the_cursor_goes_when_its_line_is_hidden(screen, opening):
    async with screen(*opening, scenes.syscount(), size=(160, 50)) as s:
        await s.press("2", "c", "slash", *"web-1", "enter", "end")
        assert selected(s) == PATHS[4]
        assert "ENOENT" not in s.text(s.dashboard.pane)
        await s.press("escape")
        s.table.toggle_tree_node("/")
        await s.settle()
        assert "ENOENT" in s.text(s.dashboard.pane)


async def test_a_click_on_the_mark_folds_and_unfolds_and_selects_nothing(screen, opening):
    async with screen(*opening) as s:
        await s.press("c")
        for expected in (["▾ /", "  ▸ system.slice", WHOLE[-1]], WHOLE):
            await s.pilot.click(s.table, offset=(2 + 2, 3))
            await s.settle()
            assert lines(s) == expected
        assert selected(s) is None


async def test_a_click_on_a_name_selects(screen, opening):
    async with screen(*opening) as s:
        await s.press("c")
        await s.pilot.click(s.table, offset=(2 + 5, 3))
        await s.settle()
        assert selected(s) == "/system.slice"
        assert lines(s) == WHOLE


async def test_a_collapsed_line_stays_so_when_data_comes_in(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "down", "left")
        await s.feed(scenes.biotop(2))
        assert lines(s)[1] == "  ▸ system.slice"
        assert selected(s) == "/system.slice"


async def test_each_level_keeps_what_it_collapsed(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "down", "left", "enter")
        await s.press("c")
        assert lines(s)[:2] == ["▾ /", "  ▾ system.slice"]
        await s.press("backspace")
        assert lines(s)[1] == "  ▸ system.slice"


async def test_enter_opens_the_cgroup(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "down", "enter")
        assert s.dashboard.drill.scope.value("cgroup") == "/system.slice"
        assert {row[0] for row in s.table.view.rows} == {2290, 812, 1204}


async def test_a_filter_shows_matches_below_collapsed_lines(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "down", "left", "slash", *"web-1", "enter")
        assert lines(s) == ["▾ /", "  ▾ system.slice", "      web-1 (docker)"]
        assert "total, 1 of 7 cgroups" in s.text(s.table)


async def test_a_pinned_line_is_first_in_its_place(screen, opening):
    async with screen(*opening) as s:
        await s.press("c", "end", "up", "p")
        assert lines(s)[2] == "      web-1 (docker)"
        assert "•" in s.text(s.table).splitlines()[4]


async def test_a_table_that_knows_no_cgroups_says_so(screen):
    disks = scenes.BIOTOP.tables[1]
    shown = replace(scenes.BIOTOP.views[0], table="latency", columns=(), derived=(), sort="count")
    info = replace(scenes.BIOTOP, tables=(disks,), views=(shown,))
    async with screen(scenes.hello((info,)), scenes.running(info), scenes.biotop()) as s:
        await s.press("c")
        assert "nothing is known of the cgroups" in s.text()


async def test_the_tree_is_that_of_a_range_and_of_a_comparison_too():
    async with Replay(Recording(str(RECORDING))) as s:
        await s.press("c")
        await marked(s, "m", "t", "t", "t", "m")
        assert "  ▾ system.slice" in lines(s)
        roots = [row for row in s.table.view.rows if row[0] == "/"]
        assert roots[0][2:] == s.table.view.total[2:]
        await s.press("t", "t")
        await marked(s, "m", "t", "t", "t", "m")
        assert s.table.view.signed
        assert "  ▾ system.slice" in lines(s)
