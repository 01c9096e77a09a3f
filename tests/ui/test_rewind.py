"""Time on the screen: stop, step, jump, play, come back to now; live and in a recording alike."""

from typing import Any

import pytest

from ebpftop.model import Command, Status
from ebpftop.recording.flight import FlightRecorder
from ebpftop.recording.reader import Recording
from ebpftop.ui.commands import DashboardCommands
from ebpftop.ui.widgets.timeline import Timeline
from tests.ui import scenes
from tests.ui.conftest import marked


def shown(s):
    return s.table._sample.seq


async def test_live_there_is_no_timeline(screen):
    async with screen(*scenes.minute()) as s:
        assert not s.dashboard.query_one(Timeline).display
        assert "LIVE" in s.text()


async def test_a_stopped_display_has_a_timeline(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("space")
        assert s.dashboard.query_one(Timeline).display
        assert "PAUSED" in s.text()


@pytest.mark.parametrize(
    ("back", "on"), [("T", "t"), ("left_square_bracket", "right_square_bracket")]
)
async def test_both_dialects_step_through_ticks(screen, back, on):
    async with screen(*scenes.minute()) as s:
        await s.press("space", back, back, back)
        assert shown(s) == 57
        await s.press(on)
        assert shown(s) == 58


async def test_a_step_back_stops_a_live_display(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("T")
        assert shown(s) == 59
        assert "PAUSED" in s.text()


async def test_home_goes_to_the_oldest_and_end_returns_to_now(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("space", "home")
        assert shown(s) == 1
        await s.feed(scenes.host(61), scenes.biotop(61), scenes.tick(61))
        assert shown(s) == 1
        await s.press("end")
        assert shown(s) == 61
        assert "LIVE" in s.text()
        await s.feed(scenes.host(62), scenes.biotop(62), scenes.tick(62))
        assert shown(s) == 62


async def test_live_home_and_end_are_those_of_the_table(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("end")
        assert s.table.selection
        assert "LIVE" in s.text()


async def test_collection_goes_on_while_the_past_is_looked_at(screen):
    async with screen(*scenes.minute()) as s:
        s.source.sent.clear()
        await s.press("T", "home", "2", "T")
        assert s.source.sent == []


@pytest.mark.parametrize(
    ("typed", "seq"),
    [("14:13:50", 30), ("-10s", 50), ("50%", 30), ("start", 1), ("2026-09-21 14:13:25", 5)],
)
async def test_a_moment_can_be_typed(screen, typed, seq):
    async with screen(*scenes.minute()) as s:
        await s.press("b")
        s.dashboard.query_one("#jump").value = typed
        await s.press("enter")
        assert abs(shown(s) - seq) <= 1


async def test_a_moment_that_is_none_is_said(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("j", *"noon", "enter")
        assert "noon" in s.text()
        assert "LIVE" in s.text()


async def test_escape_closes_the_line_of_moments(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("b", "1", "escape")
        assert not s.dashboard.query_one("#jump").parent.display
        await s.press("T")
        assert shown(s) == 59


async def test_another_pane_shows_the_same_moment(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("home", "T", "home", "2")
        assert s.dashboard.pane.info.name == "syscount"
        assert shown(s) == 1


async def test_from_a_chosen_moment_space_plays(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("T", "home", "space")
        assert s.dashboard.feed.player.playing
        assert "REPLAY" in s.text()
        s.dashboard.feed.advance(1.1)
        assert s.dashboard.feed.player.position == 1


async def test_what_is_played_live_comes_to_now_and_follows(screen):
    async with screen(*scenes.minute(ticks=5)) as s:
        await s.press("T", "T", "space")
        s.dashboard.feed.advance(3.2)
        assert s.dashboard.feed.following


async def test_plus_and_minus_are_the_speed_where_time_is_played(screen):
    async with screen(*scenes.minute()) as s:
        s.source.sent.clear()
        await s.press("T", "plus", "plus")
        assert s.dashboard.feed.player.speed == 5.0
        await s.press("minus")
        assert s.dashboard.feed.player.speed == 2.0
        assert s.source.sent == []


async def test_a_click_on_the_timeline_goes_there(screen):
    async with screen(*scenes.minute(), size=(120, 40)) as s:
        await s.press("space")
        await s.pilot.click(Timeline, offset=(60, 1))
        await s.settle()
        assert 20 <= shown(s) <= 40


async def test_the_last_minutes_are_saved_to_a_file(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute()) as s:
        await s.press("exclamation_mark")
        (path,) = tmp_path.glob("ebpftop-web-7-*.ebt")
        assert path.name in s.text()
        assert len(Recording(str(path)).overview) == 60
        assert path.stat().st_mode & 0o777 == 0o600


async def test_r_records_until_it_is_pressed_again(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute(), size=(160, 40)) as s:
        await s.press("r")
        await s.feed(scenes.host(61), scenes.biotop(61), scenes.syscount(61), scenes.tick(61))
        assert "REC" in s.text()
        await s.press("r")
        assert "REC " not in s.text().splitlines()[0]
        (path,) = tmp_path.glob("*.ebt")
        tape = Recording(str(path))
        assert len(tape.overview) == 1
        assert {r.comm for r in tape.records(0, 0) if hasattr(r, "comm")} >= {"fio", "nginx"}


async def test_quitting_ends_a_recording_in_good_order(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute()) as s:
        await s.press("r")
        await s.feed(scenes.host(61), scenes.biotop(61), scenes.tick(61))
        s.app.feed.close()
        (path,) = tmp_path.glob("*.ebt")
        assert Recording(str(path)).segments[0].indexed


async def test_a_recording_that_cannot_be_made_is_said(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.open", _refusing)
    async with screen(*scenes.minute()) as s:
        await s.press("r")
        assert "read-only" in s.text()
        assert "REC " not in s.text().splitlines()[0]


def _refusing(path, *arguments, **keywords):
    raise OSError(30, "Read-only file system")


# Ranges


async def test_two_marks_are_a_range_and_its_sum_is_shown(screen):
    async with screen(*scenes.minute()) as s:
        await marked(s, "T", "home", "m", "t", "t", "m")
        spans = s.dashboard.feed.spans
        assert (spans.ranges, spans.pending) == (((0, 2),), None)
        expected = sum(row[5] for seq in (1, 2, 3) for row in scenes.biotop(seq).tables["io"])
        assert sum(row[5] for row in s.table.view.rows) == expected
        assert s.table._sample.dt_ns == 3 * scenes.SECOND
        assert "over 3" in s.text(s.table)


async def test_the_order_of_the_marks_does_not_matter(screen):
    async with screen(*scenes.minute()) as s:
        await marked(s, "T", "m", "T", "T", "m")
        assert s.dashboard.feed.spans.ranges == ((56, 58),)


async def test_a_second_range_is_compared_with_the_first(screen):
    async with screen(*scenes.minute()) as s:
        await marked(s, "T", "home", "m", "t", "m", "t", "m", "t", "m")
        assert s.dashboard.feed.spans.ranges == ((0, 1), (2, 3))
        assert "A 2" in s.text(s.table)
        assert "B 2" in s.text(s.table)


async def test_another_pane_shows_the_same_ranges(screen):
    async with screen(*scenes.minute()) as s:
        await marked(s, "T", "home", "m", "t", "t", "m")
        await marked(s, "2")
        assert s.table._sample.dt_ns == 3 * scenes.SECOND


async def test_escape_takes_the_ranges_away_and_shows_the_moment(screen):
    async with screen(*scenes.minute()) as s:
        await marked(s, "T", "home", "m", "t", "t", "m")
        await s.press("escape")
        assert s.dashboard.feed.spans.ranges == ()
        assert shown(s) == 3


async def test_a_third_range_begins_anew(screen):
    async with screen(*scenes.minute()) as s:
        await marked(s, "T", "home", "m", "t", "m", "t", "m", "t", "m", "t", "m", "t", "m")
        assert s.dashboard.feed.spans.ranges == ((4, 5),)


async def test_going_back_to_now_ends_the_ranges(screen):
    async with screen(*scenes.minute()) as s:
        await marked(s, "T", "home", "m", "t", "m")
        await s.press("end")
        await s.feed(scenes.host(61), scenes.biotop(61), scenes.tick(61))
        assert s.dashboard.feed.spans.ranges == ()
        assert shown(s) == 61


async def test_a_probe_that_is_started_from_the_past_is_started_now(screen):
    async with screen(*scenes.minute()) as s:
        s.source.sent.clear()
        await s.press("T", "3")
        assert s.source.sent == [Command("start", "tcptop")]


def test_a_flight_recorder_is_a_tape():
    flight = FlightRecorder()
    for record in scenes.minute(ticks=3):
        flight.add(record)
    assert (flight.growing, flight.overview.end) == (True, 3)


# What was in the way of people


async def typed(s, text):
    await s.press("b")
    s.dashboard.query_one("#jump").value = text
    await s.press("enter")


async def test_a_moment_outside_goes_to_the_nearest_and_says_what_there_is(screen):
    async with screen(*scenes.minute()) as s:
        await typed(s, "14:00:00")
        assert shown(s) == 1
        assert "14:00:00 is not in here: it is from" in s.text()


async def test_now_is_where_it_is_live(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("T", "home")
        await typed(s, "now")
        assert "LIVE" in s.text()


async def test_in_the_past_a_probe_that_did_not_run_has_no_figures_of_before(screen):
    async with screen(*scenes.minute(ticks=3), Status("biotop", "idle"), scenes.tick(4)) as s:
        await s.press("T", "t")
        assert "it was not running at this moment" in s.text()


async def test_an_interval_is_measured_against_what_was_asked_for_then(screen):
    slow = [
        scenes.biotop(3, dt_ns=5 * scenes.SECOND),
        scenes.tick(3, interval_ns=5 * scenes.SECOND),
    ]
    async with screen(*scenes.minute(ticks=2), scenes.host(3), *slow, scenes.tick(4)) as s:
        await s.press("T")
        assert "instead of" not in s.text()


async def test_the_clock_above_is_that_of_the_timeline(screen):
    async with screen(*scenes.minute(ticks=3), scenes.tick(4)) as s:
        await s.press("space")
        assert s.text().splitlines()[0].count("14:13:24") == 1


async def test_a_stream_that_ends_ends_the_recording_in_good_order(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute(ticks=2)) as s:
        await s.press("r")
        await s.feed(scenes.host(3), scenes.biotop(3), scenes.tick(3))
        s.source.end("the collector went away")
        await s.settle()
        assert "REC " not in s.text().splitlines()[0]
        (path,) = tmp_path.glob("*.ebt")
        assert Recording(str(path)).segments[0].indexed


async def test_after_the_end_of_a_stream_there_is_nothing_to_record(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute(ticks=2)) as s:
        s.source.end("the collector went away")
        await s.settle()
        await s.press("r")
        assert "! saves its last minutes" in s.text()
        assert not list(tmp_path.iterdir())


async def test_a_stream_that_ends_while_the_past_is_looked_at_says_so_and_stays_there(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("T", "home")
        s.source.end("the collector went away")
        await s.settle()
        assert "the collector went away" in s.text()
        assert shown(s) == 1


async def test_the_size_of_a_recording_is_told_while_the_display_stands_still(
    screen, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute(ticks=2), size=(160, 40)) as s:
        await s.press("r", "space")
        before = s.text().splitlines()[0]
        await s.feed(scenes.host(3), scenes.biotop(3), scenes.tick(3))
        assert s.text().splitlines()[0] != before


async def test_marks_that_are_taken_away_meanwhile_leave_no_work_behind(screen):
    async with screen(*scenes.minute(ticks=5)) as s:
        spans, info = s.dashboard.feed.spans, s.dashboard.pane.info
        spans.add(0, 4)
        work = spans.work(info)
        next(work)
        spans.clear()
        assert list(work) == []
        assert spans.progress == 1


async def from_palette(s, title):
    """Choose a command of the palette; fails where it is not in there."""
    commands = DashboardCommands(s.app.screen)._commands()
    chosen: Any = {name: run for name, _, run in commands}[title]()
    await chosen
    await s.pilot.pause()


async def test_the_palette_moves_through_time_too(screen):
    async with screen(*scenes.minute()) as s:
        await from_palette(s, "One tick back")
        assert shown(s) == 59
        await from_palette(s, "Go to the oldest")
        assert shown(s) == 1


async def test_the_palette_has_no_command_that_does_nothing(screen):
    async with screen(*scenes.minute()) as s:
        commands = DashboardCommands(s.app.screen)._commands()
        assert "Go to the oldest" not in [title for title, _, _ in commands]
