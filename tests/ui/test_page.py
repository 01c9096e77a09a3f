"""The page of a process or a group: d opens it, Enter opens a pane from it, Esc goes back."""

from pathlib import Path

import pytest

from ebpftop.recording.flight import FlightRecorder
from ebpftop.recording.reader import Recording
from ebpftop.ui.app import EbpftopApp
from ebpftop.ui.widgets.page import IdentityBox, SectionBox
from ebpftop.ui.widgets.timeline import Timeline
from tests.ui import scenes
from tests.ui.conftest import Replay

DEMO = Path(__file__).parents[2] / "ebpftop" / "demo.ebt"
SMALL, LARGE = (80, 24), (140, 40)


def page(s):
    return s.dashboard.page


def shown(s, probe):
    """The section of a probe, as it was drawn last."""
    return next(box.section for box in s.dashboard.query(SectionBox) if box.probe == probe)


async def read(s):
    """Wait until the page has read its past."""
    for _ in range(200):
        await s.pilot.pause()
        if page(s) and not page(s)._missing() and not page(s)._unsummed():
            return
    raise AssertionError("the past was not read")


async def opened(s, *keys):
    """Open the page of the first row; returns the process that it is about."""
    await s.press("down", *keys, "d")
    await s.settle()
    ((_, pid),) = page(s).step.terms
    return pid


async def test_d_opens_the_page_of_the_selected_row(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("down")
        pid = s.table.selection["pid"]
        await s.press("d")
        assert page(s).step.terms == (("pid", pid),)
        assert f"fio[{pid}]" in s.text()
        assert "--rw=randread" in s.text(s.dashboard.query_one(IdentityBox))


async def test_d_without_a_selection_selects_the_first_row(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("d")
        assert page(s) is None
        assert s.table.selection


async def test_d_in_a_scope_opens_the_page_of_that(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("down", "enter", "d")
        assert page(s).step == s.dashboard.drill.scope.steps[-1]


async def test_d_on_a_group_opens_the_page_of_the_group(screen):
    async with screen(*scenes.minute()) as s:
        s.dashboard.pane.group("command")
        await s.press("down", "d")
        assert page(s).step.terms == (("command", "fio"),)
        assert "command fio" in s.text()


@pytest.mark.parametrize("key", ["d", "escape", "backspace"])
async def test_a_page_is_left_as_it_was_come_by(screen, key):
    async with screen(*scenes.minute()) as s:
        pid = await opened(s)
        await s.press(key)
        assert page(s) is None
        assert s.table.selection["pid"] == pid
        assert s.dashboard.focused is s.table
        assert not s.dashboard.drill.scope


@pytest.mark.parametrize("position", range(len(scenes.PROBES)))
async def test_enter_opens_the_pane_of_each_section_in_the_scope_of_the_page(screen, position):
    async with screen(*scenes.minute()) as s:
        pid = await opened(s)
        s.dashboard.query(SectionBox)[position].focus()
        await s.press("enter")
        await s.settle()
        assert page(s) is None
        assert s.dashboard.pane.info == scenes.PROBES[position]
        assert s.dashboard.drill.scope.value("pid") == pid


async def test_the_scope_is_not_entered_twice(screen):
    async with screen(*scenes.minute()) as s:
        await s.press("down", "enter", "d", "enter")
        await s.settle()
        assert len(s.dashboard.drill.scope.steps) == 1


async def test_digits_open_panes_from_a_page(screen):
    async with screen(*scenes.minute()) as s:
        await opened(s)
        await s.press("2")
        assert page(s) is None
        assert s.dashboard.pane.info.name == "syscount"


@pytest.mark.parametrize(("size", "below"), [(SMALL, "syscount"), (LARGE, "tcptop")])
async def test_arrows_select_sections_as_they_lie(screen, size, below):
    async with screen(*scenes.minute(), size=size) as s:
        await opened(s)
        assert s.dashboard.focused.probe == "biotop"
        await s.press("down")
        assert s.dashboard.focused.probe == below
        await s.press("up")
        assert s.dashboard.focused.probe == "biotop"


async def test_two_clicks_open_a_section(screen):
    async with screen(*scenes.minute(), size=LARGE) as s:
        await opened(s)
        await s.pilot.click(s.dashboard.query(SectionBox)[1], times=2)
        await s.settle()
        assert s.dashboard.pane.info.name == "syscount"


# Time


async def test_what_comes_in_is_drawn(screen):
    async with screen(*scenes.minute(ticks=3)) as s:
        await opened(s)
        before = shown(s, "biotop").text
        await s.feed(scenes.host(4), scenes.biotop(4), scenes.tick(4))
        assert shown(s, "biotop").text != before
        assert len(shown(s, "biotop").main.values) == 4


async def test_courses_begin_before_the_page_was_opened(screen):
    async with screen(*scenes.minute()) as s:
        await opened(s)
        await read(s)
        assert len(shown(s, "biotop").main.values) == 60
        assert None not in shown(s, "biotop").main.values


async def test_time_is_stopped_and_stepped_through(screen):
    async with screen(*scenes.minute()) as s:
        await opened(s)
        now = shown(s, "biotop").text
        await s.press("space", "T")
        assert s.dashboard.query_one(Timeline).display
        assert shown(s, "biotop").text != now
        await s.press("end")
        assert shown(s, "biotop").text == now


async def test_the_timeline_is_that_of_the_selected_section(screen):
    async with screen(*scenes.minute(), size=LARGE) as s:
        await opened(s, "space")
        assert "biotop" in s.text(s.dashboard.query_one(Timeline))
        await s.press("right")
        assert "syscount" in s.text(s.dashboard.query_one(Timeline))


async def test_of_a_marked_range_the_sum_is_shown(screen):
    async with screen(*scenes.minute()) as s:
        pid = await opened(s)
        await s.press("T", "home", "m", "t", "t", "m")
        await read(s)
        samples = [scenes.biotop(seq) for seq in (1, 2, 3)]
        total = sum(row[5] for each in samples for row in each.tables["io"] if row[0] == pid)
        assert page(s).page.period == "over 3.00s"
        assert shown(s, "biotop").text == f"{total / 3 / (1 << 20):.0f}M"


async def test_a_recording_has_pages_and_who_exited_keeps_it():
    tape = Recording(str(DEMO))
    async with Replay(tape) as s:
        await s.press("space", "b", *"06:17:20", "enter", "home", "end")
        await s.press("b", *"06:17:20", "enter")
        await s.press("down", "d")
        await read(s)
        assert "backup[31916]" in s.text()
        assert page(s).page.presence == ""
        await s.press("b", *"06:18:30", "enter")
        await read(s)
        assert "not seen since 06:17:" in s.text()
        assert "/usr/local/bin/backup" in s.text()


async def test_another_collector_with_other_probes_has_other_sections():
    recorder = FlightRecorder()
    for record in [*scenes.minute(ticks=3), scenes.hello((scenes.SYSCOUNT,), mono_ns=9)]:
        recorder.add(record)
    for seq in (4, 5):
        recorder.add(scenes.syscount(seq))
        recorder.add(scenes.tick(seq))
    recorder.growing = False
    async with Replay(recorder) as s:
        await s.press("space", "home", "down", "d")
        await read(s)
        assert len(s.dashboard.query(SectionBox)) == len(scenes.PROBES)
        await s.press("end")
        await read(s)
        assert [box.probe for box in s.dashboard.query(SectionBox)] == ["syscount"]


# What runs meanwhile


async def test_a_page_wants_all_probes(screen):
    async with screen(*scenes.minute()) as s:
        s.source.sent.clear()
        await opened(s)
        started = [command.probe for command in s.source.sent if command.verb == "start"]
        assert started == [probe.name for probe in scenes.EXTRA]


async def test_a_recording_goes_on_with_all_probes_after_a_page(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute()) as s:
        await s.press("r")
        await opened(s)
        await s.press("escape")
        assert s.dashboard._demand._held
        await s.press("r")
        assert not s.dashboard._demand._held


async def test_a_page_keeps_its_probes_when_a_recording_ends(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*scenes.minute()) as s:
        await opened(s)
        await s.press("r", "r")
        assert s.dashboard._demand._held
        await s.press("escape")
        assert not s.dashboard._demand._held


async def test_keys_of_the_pane_do_nothing_behind_a_page(screen):
    async with screen(*scenes.minute()) as s:
        await opened(s)
        await s.press("R", "less_than_sign", "v", "g", "slash")
        assert page(s)
        await s.press("escape")
        assert s.table.state.sort == ""
        assert not s.table.state.reverse


async def test_hostile_names_are_drawn_as_text(screen):
    async with screen(*scenes.minute(), size=LARGE) as s:
        table = s.table
        table.select(next(i for i, row in enumerate(table.view.rows) if row[0] == 5))
        await s.press("d")
        assert "[/b][5]" in s.text()
        assert "[bold]not markup[/]" in s.text()


# What it looks like


def at(moment, *keys):
    """An app that stands at a moment of the demo; the keys come after."""
    app = EbpftopApp(None, own_cost=lambda: 0.0, tape=Recording(str(DEMO)))

    async def before(pilot):
        await pilot.press("space", "2", "b", *moment, "enter")
        await pilot.pause()
        await pilot.press(*keys)
        for _ in range(200):
            await pilot.pause()
            page = app.dashboard.page
            if page and not page._missing():
                break
        await pilot.pause()

    return app, before


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "140x40"])
def test_a_process(snap_compare, size):
    app, before = at("06:17:20", "down", "down", "d")
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "140x40"])
def test_a_group(snap_compare, size):
    app, before = at("06:17:20", "g", "c", "down", "down", "d")
    assert snap_compare(app, terminal_size=size, run_before=before)
