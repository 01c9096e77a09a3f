"""Time on the screen: stop, step, jump, play, come back to now; live and in a recording alike."""

import pytest

from ebpftop.model import Command
from ebpftop.recording.flight import FlightRecorder
from ebpftop.recording.reader import Recording
from ebpftop.recording.writer import Writer
from ebpftop.ui.app import EbpftopApp
from ebpftop.ui.widgets.timeline import Timeline
from tests.ui import scenes
from tests.ui.conftest import Screen, SteppedSource


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


async def marked(s, *keys):
    """Press keys, and wait for the sums."""
    await s.press(*keys)
    spans, pane = s.dashboard.feed.spans, s.dashboard.pane
    for _ in range(200):
        await s.pilot.pause()
        if not spans.missing(pane.info.name):
            return
    raise AssertionError("the sums were not worked out")


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


# A recording


@pytest.fixture
def recording(tmp_path):
    path = str(tmp_path / "one.ebt")
    writer = Writer(path)
    for record in scenes.minute():
        writer.add(record)
    writer.close()
    return path


class Replay:
    """An app over a tape."""

    def __init__(self, tape, **arguments):
        self.app = EbpftopApp(None, own_cost=lambda: 0.0, tape=tape, **arguments)

    async def __aenter__(self):
        self._run = self.app.run_test(size=(120, 40), notifications=True)
        pilot = await self._run.__aenter__()
        self.screen = Screen(self.app, SteppedSource(), pilot)
        await pilot.pause()
        return self.screen

    async def __aexit__(self, *error):
        await self._run.__aexit__(*error)


async def test_a_recording_plays_from_its_start(recording):
    async with Replay(Recording(recording)) as s:
        assert "REPLAY" in s.text()
        assert shown(s) <= 2
        assert s.dashboard.query_one(Timeline).display


async def test_in_a_recording_the_same_keys_move(recording):
    async with Replay(Recording(recording)) as s:
        await s.press("space", "home", "t", "t")
        assert shown(s) == 3
        await s.press("end")
        assert shown(s) == 60
        await s.press("T")
        assert shown(s) == 59


async def test_a_recording_asks_nobody_for_anything(recording):
    async with Replay(Recording(recording)) as s:
        await s.press("2", "3", "ctrl+r", "r", "exclamation_mark")
        assert "cut" in s.text()


async def test_a_file_that_is_being_written_is_followed(tmp_path):
    writer = Writer(str(tmp_path / "growing.ebt"))
    for record in scenes.minute(ticks=5):
        writer.add(record)
    async with Replay(Recording(writer.path)) as s:
        assert shown(s) == 5
        for record in (scenes.host(6), scenes.biotop(6), scenes.tick(6)):
            writer.add(record)
        s.dashboard._advance()
        await s.settle()
        assert shown(s) == 6
    writer.close()


async def test_a_demo_begins_again_at_its_end(recording):
    async with Replay(Recording(recording), loop=True) as s:
        feed = s.dashboard.feed
        feed.seek(59)
        feed.player.playing = True
        feed.advance(0.1)
        assert feed.player.position == 0


async def test_a_filter_and_a_selection_stay_from_moment_to_moment(recording):
    async with Replay(Recording(recording)) as s:
        await s.press("space", "slash", *"nginx", "enter", "down")
        selected = s.table.selection
        await s.press("end", "T", "home")
        assert s.table.filtered == "nginx"
        assert s.table.selection == selected


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
