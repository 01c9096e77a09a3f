"""The dashboard: panes, filter, pause, and what happens when things go wrong."""

from dataclasses import replace
from typing import Any

from textual.command import CommandList

from ebpftop.model import Bye, Command, Status
from ebpftop.views import layout
from tests.ui import scenes


async def test_before_the_first_record_it_says_what_it_waits_for(screen):
    async with screen() as s:
        assert "waiting for the collector" in s.text()
        assert "WAITING" in s.text()


async def test_the_first_pane_opens_and_its_probe_is_started(screen):
    async with screen(scenes.hello()) as s:
        assert s.dashboard.pane.info.name == "biotop"
        assert s.source.sent == [Command("start", "biotop")]


async def test_another_pane_can_be_the_first(screen):
    async with screen(scenes.hello(), first_pane="syscount") as s:
        assert s.dashboard.pane.info.name == "syscount"


async def test_a_stream_without_a_collector_is_sent_nothing(screen):
    async with screen(*scenes.opening(samples=1), live=False) as s:
        await s.press("2", "plus", "ctrl+r")
        assert s.source.sent == []
        assert "STREAM" in s.text()


async def test_digits_and_tab_switch_panes(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("2")
        assert s.dashboard.pane.info.name == "syscount"
        await s.press("tab")
        assert s.dashboard.pane.info.name == "tcptop"
        await s.press("shift+tab", "shift+tab", "shift+tab")
        assert s.dashboard.pane.info.name == scenes.PROBES[-1].name
        started = [command.probe for command in s.source.sent if command.verb == "start"]
        assert list(dict.fromkeys(started)) == ["biotop", "syscount", "tcptop", "offcputime"]


async def test_a_digit_without_a_pane_does_nothing(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("9")
        assert s.dashboard.pane.info.name == "biotop"


async def test_a_click_in_the_strip_opens_the_pane(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        x = s.text().splitlines()[1].index("System calls")
        await s.pilot.click(offset=(x, 1))
        await s.settle()
        assert s.dashboard.pane.info.name == "syscount"


async def test_a_pane_that_is_not_shown_is_not_drawn(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        hidden = s.table
        await s.press("2")
        await s.feed(scenes.biotop(2))
        assert hidden.view.total != scenes.biotop(2)
        assert hidden._sample.seq == 1
        await s.press("1")
        assert hidden._sample.seq == 2


async def test_words_filter_rows_while_they_are_typed(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("slash", *"post")
        assert s.names() == ["postgres", "postgres"]
        assert "filter: post" in s.text(s.table)
        assert "2 of 11 rows" in s.text(s.table)


async def test_keys_are_text_while_a_filter_is_typed(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("slash", "q", "2", "space")
        assert s.table.state.filter == "q2 "
        assert s.dashboard.pane.info.name == "biotop"


async def test_enter_keeps_the_filter_and_escape_clears_it(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("slash", *"ngi", "enter", "down")
        assert s.names() == ["nginx"]
        await s.press("escape")
        assert len(s.names()) == 11
        assert s.table.selection["pid"] == 1204
        await s.press("escape")
        assert s.table.selection == {}


async def test_escape_while_typing_clears_the_filter(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("slash", *"ngi", "escape")
        assert len(s.names()) == 11
        await s.press("down")
        assert s.table.selection


async def test_a_wrong_pattern_is_said_and_hides_nothing(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("slash", "slash", "left_parenthesis")
        assert "not a pattern" in s.text(s.table)
        assert len(s.names()) == 11


async def test_pause_freezes_the_display_and_resume_shows_the_newest(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("space")
        before = s.text()
        assert "PAUSED" in before
        await s.feed(scenes.host(2), scenes.biotop(2), scenes.host(3), scenes.biotop(3))
        assert s.text() == before
        await s.press("space")
        assert s.table._sample.seq == 3
        assert "LIVE" in s.text()


async def test_a_paused_display_can_be_sorted_and_other_panes_looked_at(screen):
    start = [*scenes.opening(samples=1), scenes.running(scenes.SYSCOUNT), scenes.syscount()]
    async with screen(*start) as s:
        await s.press("space")
        await s.feed(scenes.biotop(2), scenes.syscount(2))
        await s.press("R")
        assert s.table._sample.seq == 1
        await s.press("2")
        assert s.table._sample.seq == 1


async def test_a_table_that_follows_shows_the_selected_row_alone(screen):
    start = [scenes.hello(), scenes.running(scenes.SYSCOUNT), scenes.syscount()]
    async with screen(*start, size=(200, 50), first_pane="syscount") as s:
        assert "EAGAIN" in s.text()
        assert "ENOENT" in s.text()
        s.table.select([row[:2] for row in s.table.view.rows].index((4410, "openat")))
        await s.settle()
        assert "EAGAIN" not in s.text()
        assert "ENOENT" in s.text()


async def test_v_goes_from_view_to_view(screen):
    async with screen(*scenes.opening(samples=2), size=(80, 24)) as s:
        seen = []
        for _ in range(3):
            seen.append(s.text().splitlines()[2])
            await s.press("v")
        assert "I/O by process" in seen[0]
        assert "Latency ·" in seen[1]
        assert "Latency over time" in seen[2]
        assert "I/O by process" in s.text()


async def test_a_probe_that_starts_says_which_of_how_many(screen):
    start = [scenes.hello(), Status("biotop", "starting", reason="compiling")]
    async with screen(*start) as s:
        assert "compiling 1/1" in s.text()
        await s.feed(Status("syscount", "starting", reason="compiling"))
        assert "compiling 1/2" in s.text()
        await s.feed(scenes.running(scenes.SYSCOUNT))
        assert "compiling 2/2" in s.text()
        await s.feed(scenes.running(scenes.BIOTOP))
        assert "compiling" not in s.text()


async def test_a_probe_that_failed_says_why_and_what_to_do(screen):
    failed = Status("biotop", "failed", (), "refused", "report it", "line [1]\n\x1b[2Jline 2")
    async with screen(scenes.hello(), failed) as s:
        for text in ("failed", "refused", "report it", "line [1]", "·[2Jline 2", "try again"):
            assert text in s.text()


async def test_a_probe_that_failed_is_started_once_more(screen):
    async with screen(scenes.hello(), Status("biotop", "failed")) as s:
        s.source.sent.clear()
        await s.press("ctrl+r")
        assert s.source.sent == [Command("start", "biotop")]


async def test_a_running_probe_is_not_started_again(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        s.source.sent.clear()
        await s.press("ctrl+r")
        assert s.source.sent == []


async def test_a_failing_probe_leaves_the_others_alone(screen):
    start = [*scenes.opening(samples=1), Status("syscount", "failed", reason="refused")]
    async with screen(*start) as s:
        assert "nginx" in s.text()
        assert "✗" in s.text().splitlines()[1]


async def test_a_command_that_was_refused_is_said(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.feed(Status("", "failed", reason="command refused: no [such] thing"))
        assert "no [such] thing" in s.text()


async def test_a_collector_that_died_is_said_and_the_last_figures_stay(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        s.source.end("the collector died (signal 9): [out] of memory")
        await s.settle()
        assert "the collector died (signal 9): [out] of memory" in s.text()
        assert "ENDED" in s.text()
        assert "nginx" in s.text()
        await s.press("R", "2", "ctrl+r", "plus", "1", "down")
        assert s.table.selection


async def test_a_stream_that_broke_off_is_told_from_one_that_ended(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        s.source.end()
        await s.settle()
        assert "broke off" in s.text()
    async with screen(*scenes.opening(samples=1), Bye("5 samples")) as s:
        s.source.end()
        await s.settle()
        assert "the stream ended: 5 samples" in s.text()


async def test_a_source_that_never_spoke_says_why(screen):
    async with screen() as s:
        s.source.end("needs root")
        await s.settle()
        assert "needs root" in s.text()
        assert s.app.is_running


async def test_plus_and_minus_change_the_interval(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        s.source.sent.clear()
        await s.press("plus", "minus", "minus")
        assert [command.seconds for command in s.source.sent] == [0.5, 1.0, 2.0]


async def test_a_terminal_too_small_says_so_and_recovers(screen):
    async with screen(*scenes.opening(samples=1), size=(70, 20)) as s:
        assert f"needs {layout.MIN_COLUMNS}×{layout.MIN_ROWS}" in s.text()  # noqa: RUF001
        assert "nginx" not in s.text()
        await s.pilot.resize_terminal(80, 24)
        await s.settle()
        assert "nginx" in s.text()


async def test_more_room_shows_more_views(screen):
    async with screen(*scenes.opening(samples=2), size=(80, 24)) as s:
        assert "Latency over time" not in s.text()
        await s.pilot.resize_terminal(200, 50)
        await s.settle()
        assert "Latency over time" in s.text()


async def test_help_tells_the_keys_and_what_the_columns_mean(screen):
    async with screen(*scenes.opening(samples=1), size=(120, 120)) as s:
        await s.press("question_mark")
        for text in ("completed requests", "A request is charged", "Reverse the order", "Ctrl-P"):
            assert text in s.text()
        await s.press("escape")
        assert "completed requests" not in s.text()


async def test_the_palette_opens_a_pane(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("ctrl+p", *"syscount")
        for _ in range(50):
            if s.app.screen.query_one(CommandList).option_count == 1:
                break
            await s.settle()
        await s.press("enter")
        assert s.dashboard.pane.info.name == "syscount"


async def test_q_quits(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("q")
        assert not s.app.is_running


async def test_k_moves_nothing(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("down", "down", "k")
        assert s.table.view.position(s.table.state.cursor) == 1


async def test_a_kind_of_view_from_a_later_version_is_left_out(screen):
    unknown: Any = "hologram"
    later = replace(
        scenes.BIOTOP,
        views=(*scenes.BIOTOP.views, replace(scenes.BIOTOP.views[0], kind=unknown)),
    )
    async with screen(scenes.hello((later,)), scenes.running(later), scenes.biotop()) as s:
        assert s.table._sample.seq == 1
