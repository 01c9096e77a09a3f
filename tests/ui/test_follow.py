"""Rows that are followed and pinned: F and p."""

from dataclasses import replace

from ebpftop.commands.demo import RECORDING
from ebpftop.recording.reader import Recording
from tests.ui import scenes
from tests.ui.conftest import Replay, marked

IO = {"read": (1, "nvme0n1", "read"), "discard": (5, "nvme1n1", "discard")}


def io(*pids, ios=10, seq=2):
    rows = [(pid, *IO["read"], ios, ios * 4096, 900, 10, pid) for pid in pids]
    return scenes.at("biotop", seq, {"io": rows, "latency": []})


def pids(s):
    return [row[0] for row in s.table.view.rows]


def heading(s):
    return s.text(s.table).splitlines()[0]


async def select(s, pid):
    """Put the cursor on the row of a process."""
    s.table.select(pids(s).index(pid))
    await s.settle()


def many(seq, first):
    """Five hundred rows, of which one process has few or most."""
    sample = scenes.many(500, seq)
    rows = [
        (*row[:4], 10**6 if first and row[0] == 7 else row[4], *row[5:])
        for row in sample.tables["io"]
    ]
    return replace(sample, tables={"io": rows, "latency": []})


async def test_a_followed_row_stays_in_sight_wherever_it_goes(screen):
    async with screen(*scenes.opening(), many(1, first=True)) as s:
        await s.press("less_than_sign")
        await select(s, 7)
        await s.press("F")
        await s.feed(many(2, first=False))
        place = pids(s).index(7)
        assert place > s.table.size.height
        assert s.table.scroll_offset.y <= place < s.table.scroll_offset.y + s.table.size.height
        assert "following" in heading(s)


async def test_a_followed_row_is_brought_back_after_scrolling(screen):
    async with screen(*scenes.opening(), many(1, first=True)) as s:
        await s.press("less_than_sign")
        await select(s, 7)
        await s.press("F")
        s.table.scroll_to(y=300, animate=False)
        await s.feed(many(2, first=True))
        assert s.table.scroll_offset.y == 0


async def test_the_heading_says_who_is_followed_until_f_again(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await select(s, 1204)
        await s.press("F")
        assert "following nginx" in heading(s)
        await s.press("F")
        assert "following" not in heading(s)


async def test_moving_the_cursor_ends_following(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await select(s, 1204)
        await s.press("F", "down")
        assert "following" not in heading(s)
        assert not s.table.state.follow


async def test_without_a_selection_there_is_nothing_to_follow_or_pin(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("F", "p")
        assert (s.table.state.follow, s.table.state.pinned) == (False, ())


async def test_a_new_process_of_the_same_command_takes_the_selection_over(screen):
    async with screen(*scenes.opening(), io(1204, 812)) as s:
        await select(s, 1204)
        await s.press("F")
        await s.feed(replace(scenes.process(9999, "nginx"), start_ns=10**9), io(812, 9999, seq=3))
        assert s.table.selection["pid"] == 9999
        assert "following nginx" in heading(s)
        assert "9999 nginx" in s.text(s.table).splitlines()[-2]


async def test_the_views_that_follow_the_selection_follow_the_new_process(screen):
    async with screen(*scenes.opening(), scenes.syscount(), size=(160, 50)) as s:
        await s.press("2")
        await select(s, 1204)
        await s.press("F")
        new = scenes.syscount(3)
        calls = [(9999, *row[1:]) for row in new.tables["calls"] if row[0] == 1204]
        errors = [(9999, "accept4", "EPERM", 5), (4410, "openat", "ENOENT", 7)]
        person = replace(scenes.process(9999, "nginx"), start_ns=10**9)
        await s.feed(person, replace(new, tables={"calls": calls, "errors": errors}))
        assert s.table.selection["pid"] == 9999
        assert "ENOENT" not in s.text(s.dashboard.pane)


async def test_a_pinned_row_is_on_top_and_marked_until_p_again(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        before = pids(s)
        await select(s, 5)
        await s.press("p")
        assert pids(s)[0] == 5
        assert "5•" in s.text(s.table).splitlines()[2]
        assert "1 pinned" in heading(s)
        await s.press("p")
        assert pids(s) == before
        assert "pinned" not in heading(s)


async def test_the_selection_stays_on_the_row_that_is_pinned(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await select(s, 5)
        await s.press("p")
        assert s.table.selection["pid"] == 5


async def test_several_pinned_rows_are_in_the_order_of_the_table(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        for pid in (5, 1204, 318):
            await select(s, pid)
            await s.press("p")
        first = pids(s)[:3]
        assert sorted(first) == [5, 318, 1204]
        await s.press("R")
        assert pids(s)[:3] == first[::-1]


async def test_a_pinned_row_stays_without_data_with_dashes_for_figures(screen):
    async with screen(*scenes.opening(), io(1204, 812)) as s:
        await select(s, 1204)
        await s.press("p")
        await s.feed(io(812, seq=3))
        assert pids(s) == [1204, 812]
        line = s.text(s.table).splitlines()[2]
        assert "nginx" in line
        assert "–" in line  # noqa: RUF001
        assert "not in this interval" in s.text(s.table).splitlines()[-2]
        assert "total, 1 row" in s.text(s.table)


async def test_pins_hold_where_the_display_is_stopped(screen):
    async with screen(*scenes.opening(samples=2)) as s:
        await s.press("space")
        await select(s, 5)
        await s.press("p")
        assert pids(s)[0] == 5


async def test_pins_are_kept_by_level_and_grouping(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await select(s, 1204)
        await s.press("p", "enter")
        assert "pinned" not in heading(s)
        await s.press("backspace")
        assert pids(s)[0] == 1204
        s.dashboard.pane.group("disk")
        await s.settle()
        assert "pinned" not in heading(s)
        s.dashboard.pane.group("")
        await s.settle()
        assert "1 pinned" in heading(s)


async def test_pins_hold_from_moment_to_moment_of_a_recording():
    async with Replay(Recording(str(RECORDING))) as s:
        await s.press("down", "down", "p")
        cursor = s.table.state.cursor
        for _ in range(3):
            await s.press("t")
            assert s.table.view.key(s.table.view.rows[0]) == cursor


async def test_pins_hold_in_the_sum_of_a_range_and_in_a_comparison():
    async with Replay(Recording(str(RECORDING))) as s:
        await s.press("down", "down", "p")
        cursor = s.table.state.cursor
        for _ in range(2):
            await marked(s, "m", "t", "t", "t", "m")
            assert s.table.view.key(s.table.view.rows[0]) == cursor
            await s.press("t", "t")
        assert s.table.view.signed
