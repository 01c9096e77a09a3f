"""A recording on the screen: played, followed while it is written, and of more than one run."""

from dataclasses import replace

import pytest

from ebpftop.recording.reader import Recording
from ebpftop.recording.writer import Writer
from ebpftop.ui.widgets.timeline import Timeline
from tests.ui import scenes
from tests.ui.conftest import Replay, marked


def shown(s):
    return s.table._sample.seq


@pytest.fixture
def recording(tmp_path):
    path = str(tmp_path / "one.ebt")
    writer = Writer(path)
    for record in scenes.minute():
        writer.add(record)
    writer.close()
    return path


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


async def test_in_a_recording_the_end_keeps_a_mark(recording):
    async with Replay(Recording(recording)) as s:
        await marked(s, "space", "home", "m", "end", "m")
        assert s.dashboard.feed.spans.ranges == ((0, 59),)


async def test_a_file_that_is_finished_is_followed_no_more(tmp_path):
    writer = Writer(str(tmp_path / "growing.ebt"))
    for record in scenes.minute(ticks=3):
        writer.add(record)
    async with Replay(Recording(writer.path)) as s:
        writer.close()
        s.dashboard._advance()
        await s.settle()
        assert "the recording has ended" in s.text()
        assert "PAUSED" in s.text()


async def test_a_pane_opens_with_the_first_tick_of_a_growing_file(tmp_path):
    writer = Writer(str(tmp_path / "growing.ebt"))
    writer.add(scenes.hello())
    async with Replay(Recording(writer.path)) as s:
        assert s.dashboard.pane is None
        for record in scenes.minute(ticks=2)[1:]:
            writer.add(record)
        s.dashboard._advance()
        await s.settle()
        assert shown(s) == 2
    writer.close()


@pytest.fixture
def two_runs(tmp_path):
    """A set of files: the second was recorded by an ebpftop that knew other columns and probes."""
    table, *others = scenes.BIOTOP.tables
    other = replace(table, columns=(*table.columns[:4], *table.columns[5:]))
    view = replace(scenes.BIOTOP.views[0], columns=("pid", "disk", "bytes"), derived=())
    info = replace(scenes.BIOTOP, tables=(other, *others), views=(view,))
    path = str(tmp_path / "set.ebt")
    for name, probes, first in ((path + ".1", scenes.PROBES, 1), (path, (info,), 100)):
        writer = Writer(name)
        hello = replace(scenes.hello(probes), mono_ns=first)
        for opening in (hello, scenes.running(info), *scenes.PEOPLE):
            writer.add(opening)
        for seq in range(first, first + 3):
            sample = scenes.biotop(seq)
            if first > 1:
                rows = [(*row[:4], *row[5:]) for row in sample.tables["io"]]
                sample = replace(sample, tables={**sample.tables, "io": rows})
            for record in (scenes.host(seq), sample, scenes.tick(seq)):
                writer.add(record)
        writer.close()
    return path


async def test_each_run_of_a_set_has_its_own_panes(two_runs):
    async with Replay(Recording(two_runs)) as s:
        await s.press("space", "home", "2")
        assert "System calls" in s.text()
        await s.press("end")
        assert s.dashboard.pane.info.name == "biotop"
        assert "IO/s" not in s.text(s.table)
        assert "System calls" not in s.text()
        await s.press("home")
        assert "IO/s" in s.text(s.table)


async def test_a_range_over_two_runs_sums_what_has_the_same_columns(two_runs):
    async with Replay(Recording(two_runs)) as s:
        await marked(s, "space", "end", "m", "home", "m")
        assert s.table._sample.dt_ns == 3 * scenes.SECOND
