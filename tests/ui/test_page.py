"""The page of a process or a group: d opens it, Enter opens a pane from it, Esc goes back."""

from dataclasses import replace

import pytest

from ebpftop import registry
from ebpftop.model import Row
from ebpftop.recording.flight import FlightRecorder
from ebpftop.ui.widgets.page import IdentityBox, SectionBox
from ebpftop.ui.widgets.timeline import Timeline
from tests import story
from tests.ui import scenes
from tests.ui.conftest import Replay, make

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


async def seek(s, tick):
    """Show a moment."""
    s.dashboard.feed.seek(tick)
    s.dashboard.moved()
    await s.pilot.pause()


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


async def test_the_section_of_the_pane_is_selected_at_first(screen):
    async with screen(*scenes.minute(), size=LARGE) as s:
        await s.press("2")
        await opened(s)
        assert s.dashboard.focused.probe == "syscount"


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


async def test_who_exited_keeps_its_page_at_every_moment():
    tape = story.demo()
    pid, first, last = story.lived(tape, "backup")
    async with Replay(tape) as s:
        await seek(s, (first + last) // 2)
        rows = s.table.view.rows
        s.table.select(next(i for i, row in enumerate(rows) if row[0] == pid))
        await s.press("d")
        await read(s)
        assert page(s).page.presence == ""
        await seek(s, last + 20)
        await read(s)
        assert "not seen since" in s.text()
        assert f"backup[{pid}]" in s.text()


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


def busy(seconds):
    """A stream of all real probes, with a process that does a bit of everything."""
    probes = tuple(probe.info for probe in registry.probes().values())
    yield scenes.hello(probes)
    yield from (scenes.running(info) for info in probes)
    yield replace(scenes.process(1, "systemd", "/sbin/init"), ppid=0)
    yield scenes.process(80, "containerd-shim", "/usr/bin/containerd-shim -id web-1")
    for pid, ppid, line in ((812, 80, "nginx: master process"), (813, 812, "nginx: worker")):
        made = scenes.process(pid, "nginx", line, "www-data")
        made = replace(made, ppid=ppid, exe="/usr/sbin/nginx", container="web-1")
        yield replace(made, cgroup=40, cgroup_path="/machine/web-1", runtime="docker")
    for seq in range(1, seconds + 1):
        yield scenes.host(seq)
        for info in probes:
            tables = {table.name: list(rows_of(table, seq)) for table in info.tables}
            yield scenes.at(info.name, seq, tables)
        yield scenes.tick(seq)


def rows_of(table, seq):
    """Rows of two processes, whose figures move with the time."""
    for number, pid in enumerate((1, 813, 813, 812, 812)):
        size = (7 + number) * (20 + 13 * (seq % 7))
        texts = {
            "disk": f"nvme{number // 2}n1", "op": ("read", "write")[number % 2],
            "raddr": f"10.0.0.{number}", "rport": 5432, "lport": 40_000 + number,
            "syscall": ("read", "openat")[number // 2 % 2],
            "errno": "ENOENT", "tid": pid + number, "slot": 12, "length": 1, "cpu": number % 2,
            "stack": f"main;serve_{number};ep_poll_[k];schedule_[k];__schedule_[k]",
            "pid": pid, "cgroup": 40, "family": "v4", "proto": "tcp", "laddr": "10.0.0.9",
        }  # fmt: skip
        scale = {"ns": 20_000, "bytes": 4096}
        yield tuple(
            texts[column.name] if column.fold == "key" else size * scale.get(column.kind, 1)
            for column in table.columns
        )


def drawn(*keys, group=""):
    """An app with such a stream, its rows in groups; the keys come after it."""
    app, source = make(*busy(40))

    async def before(pilot):
        await source.taken()
        app.dashboard.pane.group(group)
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
    app, before = drawn("down", "d")
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "140x40"])
def test_a_container(snap_compare, size):
    app, before = drawn("down", "d", group="container")
    assert snap_compare(app, terminal_size=size, run_before=before)


def test_who_exited(snap_compare):
    app, before = drawn("down", "d")

    async def later(pilot):
        await before(pilot)
        for seq in (41, 42):
            for info in app.feed.store.probes():
                empty: dict[str, list[Row]] = {table.name: [] for table in info.tables}
                app.feed.add(scenes.at(info.name, seq, empty))
            app.feed.add(scenes.tick(seq))
            await app.dashboard.take(scenes.tick(seq))
        await pilot.pause()

    assert snap_compare(app, terminal_size=LARGE, run_before=later)
