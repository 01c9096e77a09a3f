"""One selection, carried through every pane: Enter, Backspace, g, and what the kernel is asked."""

from dataclasses import replace

from ebpftop.model import Command
from ebpftop.ui.widgets.breadcrumb import Breadcrumb
from tests.ui import scenes
from tests.ui.conftest import Replay


def pids(s):
    return {row[0] for row in s.table.view.rows}


def crumbs(s):
    """The line that says where one is; empty while it is not shown."""
    line = s.text().splitlines()[2]
    return line.strip() if s.dashboard.query_one(Breadcrumb).display else ""


async def opened(s, *keys):
    """Select a row and open it; returns the process that it is about."""
    await s.press("down", *keys)
    pid = s.table.selection["pid"]
    await s.press("enter")
    return pid


async def test_enter_opens_the_process_of_the_selected_row(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        pid = await opened(s)
        assert pids(s) == {pid}
        assert crumbs(s).startswith(s.dashboard.feed.store.hello.host)
        assert f"[{pid}]" in crumbs(s)


async def test_enter_without_a_selection_selects_the_first_row(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("enter")
        assert s.table.selection["pid"] == s.table.view.rows[0][0]
        assert crumbs(s) == ""


async def test_the_choice_holds_on_every_pane(screen):
    async with screen(*scenes.opening(samples=1), scenes.syscount()) as s:
        pid = await opened(s)
        await s.press("2")
        assert s.dashboard.pane.info.name == "syscount"
        assert pids(s) <= {pid}
        await s.press("1")
        assert pids(s) == {pid}


async def test_the_choice_holds_for_what_comes_in(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        pid = await opened(s)
        await s.feed(scenes.biotop(2))
        assert pids(s) == {pid}


async def test_the_choice_holds_in_the_past(screen):
    async with screen(*scenes.opening(samples=3)) as s:
        pid = await opened(s)
        await s.press("T")
        assert s.dashboard.feed.mode == "paused"
        assert pids(s) == {pid}


async def test_a_drawing_that_cannot_tell_processes_apart_says_so(screen):
    async with screen(*scenes.opening(samples=1), size=(200, 50)) as s:
        await opened(s)
        assert "Latency · last" in s.text()
        assert "not by process" in s.text()


async def test_backspace_goes_back_a_step(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        before = pids(s)
        await opened(s)
        await s.press("backspace")
        assert pids(s) == before
        assert crumbs(s) == ""


async def test_escape_goes_back_a_step_once_the_filter_is_cleared(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        pid = await opened(s)
        await s.press("slash", *"nvme", "enter", "escape")
        assert pids(s) == {pid}
        await s.press("escape")
        assert len(pids(s)) > 1


async def test_each_level_keeps_its_own_order_filter_and_cursor(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("greater_than_sign", "slash", *"nvme", "enter", "down")
        before = s.table.state
        await s.press("enter")
        assert s.table.state.filter == ""
        assert s.table.state.cursor is None
        assert s.table.state.sort == before.sort
        await s.press("less_than_sign", "down", "backspace")
        assert s.table.state == before


async def test_a_click_on_the_breadcrumb_goes_back_to_that_step(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await opened(s)
        await opened(s)
        assert len(s.dashboard.drill.levels) == 3
        await s.pilot.click("Breadcrumb", offset=(2, 0))
        assert crumbs(s) == ""


async def test_what_has_nothing_below_is_said(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        for _ in range(4):
            await opened(s)
        assert "this row is all that is left" in s.text()


# Groups


async def grouped(s, letter):
    await s.press("g", letter)


def total(s, *columns):
    view = s.table.view
    names = [shown.column.name for shown in view.columns]
    return [view.text(view.total, names.index(column)) for column in columns]


async def test_g_asks_what_to_group_by_and_a_letter_answers(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("g")
        assert "group by" in s.text().splitlines()[-1]
        await s.press("d")
        assert s.dashboard.pane.grouping(s.table) == "disk"


async def test_groups_have_the_totals_of_the_rows(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        figures = ("ios", "bytes", "avg_ns", "max_ns")
        before = total(s, *figures)
        for letter in "pcoud":
            await grouped(s, letter)
            assert total(s, *figures) == before


async def test_what_comes_in_is_grouped_too(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await grouped(s, "d")
        rows = len(s.table.view.rows)
        await s.feed(scenes.biotop(2))
        assert len(s.table.view.rows) == rows
        assert "by disk" in s.text()


async def test_enter_on_a_group_chooses_it(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await grouped(s, "c")
        await s.press("home", "enter")
        name = s.dashboard.drill.scope.steps[0].label
        assert s.dashboard.pane.grouping(s.table) == ""
        assert set(s.names()) == {name}


async def test_groups_are_given_up_for_each_row(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        before = s.text(s.table)
        await grouped(s, "d")
        await grouped(s, "e")
        assert s.text(s.table) == before


async def test_escape_leaves_the_groups_as_they_are(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("g", "escape")
        assert s.dashboard.pane.grouping(s.table) == ""


async def test_views_that_follow_the_table_follow_its_groups(screen):
    async with screen(*scenes.opening(samples=1), size=(200, 50)) as s:
        await grouped(s, "d")
        await s.press("home")
        (latency,) = (w for w in s.dashboard.pane.query(".view-histogram"))
        disks = {row[0] for sample in latency.samples for row in sample.tables["latency"]}
        assert disks == {s.table.selection["disk"]}


# What the kernel is asked to count


def asked(s):
    return [command for command in s.source.sent if command.verb == "scope"]


async def test_a_process_is_counted_alone_in_the_kernel(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        pid = await opened(s)
        assert asked(s) == [Command("scope", pid=pid)]
        await s.press("backspace")
        assert asked(s)[-1] == Command("scope")


async def test_a_container_is_counted_alone_in_the_kernel(screen):
    path = "/docker/" + 64 * "a"
    found = replace(scenes.PEOPLE[0], cgroup=7, cgroup_path=path, container="web-1")
    async with screen(*scenes.opening(samples=1), found, scenes.biotop(2)) as s:
        await grouped(s, "o")
        for _ in s.table.view.rows:
            await s.press("down")
            if "web-1" in s.table.selection.values():
                break
        await s.press("enter")
        assert asked(s) == [Command("scope", cgroup=7)]


async def test_a_recording_keeps_the_whole(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.opening(samples=1)) as s:
        pid = await opened(s)
        await s.press("r")
        assert asked(s) == [Command("scope", pid=pid), Command("scope")]
        await s.press("r")
        assert asked(s)[-1] == Command("scope", pid=pid)


async def test_who_looks_at_the_past_narrows_nothing(screen):
    async with screen(*scenes.opening(samples=3)) as s:
        await s.press("T")
        await opened(s)
        assert asked(s) == []


async def test_a_stream_that_takes_no_commands_is_sent_none(screen):
    async with screen(*scenes.opening(samples=1), live=False) as s:
        await opened(s)
        assert asked(s) == []


async def test_what_was_counted_for_one_process_is_not_taken_for_the_whole(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        narrow = replace(scenes.biotop(2), scope={"pid": 1})
        await s.feed(narrow)
        assert s.table.view.rows == []
        assert "was counted for less" in s.text()


async def test_a_recording_that_is_replayed_is_narrowed_alike(tmp_path):
    from ebpftop.commands.demo import RECORDING
    from ebpftop.recording.reader import Recording

    async with Replay(Recording(str(RECORDING))) as s:
        await s.press("space")
        pid = await opened(s)
        assert pids(s) == {pid}
        await s.press("end")
        assert pids(s) <= {pid}
