"""The pane of a probe with a flame view: what the dashboard's keys do there."""

from __future__ import annotations

import pytest

from ebpftop import registry
from ebpftop.views import scope
from tests.ui import scenes

OFFCPUTIME = registry.probes()["offcputime"].info
MS = 1_000_000
SAVE_LINE = "save as s SVG f folded p speedscope"


def stacks(seq=1):
    """Two threads that ran, one that slept throughout."""
    return scenes.at(
        "offcputime",
        seq,
        {
            "stacks": [
                (7, 7, 0, "main;read;vfs_read_[k]", 600 * MS, 0, 3, 200 * MS),
                (7, 8, 0, "main;wait;futex_wait_[k]", 300 * MS, 100 * MS, 2, 200 * MS),
                (9, 9, 0, "main;poll;do_poll_[k]", 1000 * MS, 0, 0, 1000 * MS),
            ]
        },
    )


@pytest.fixture
def opening():
    return [scenes.hello((OFFCPUTIME, scenes.HOST)), scenes.running(OFFCPUTIME), stacks()]


async def test_a_slash_searches_the_flame(screen, opening):
    async with screen(*opening) as s:
        await s.press("slash", *"futex", "enter")
        assert "“futex” 40.0% in 1 frame" in s.text()
        await s.press("escape")
        assert "futex”" not in s.text()


async def test_threads_that_slept_throughout_come_with_a_key(screen, opening):
    async with screen(*opening) as s:
        assert "1 thread asleep throughout (i shows)" in s.text()
        assert "do_poll" not in s.text(s.dashboard.pane.searched)
        await s.press("i")
        assert "i shows" not in s.text()
        assert s.dashboard.pane.searched.window.tree.root.total == 2000 * MS


async def test_help_tells_the_keys_of_the_flame(screen, opening):
    async with screen(*opening) as s:
        await s.press("question_mark")
        assert "Keys of the flame view" in s.text()
        await s.press("pagedown")
        assert "First level by process, name, thread, cgroup; or all together" in s.text()


async def test_in_the_flame_g_and_sorting_are_its_own(screen, opening):
    async with screen(*opening) as s:
        flame = s.dashboard.pane.searched
        await s.press("g")
        assert flame.window.folding.by == "name"
        assert s.app.screen is s.dashboard
        await s.press("f", "greater_than_sign")
        assert "▼TOTAL" in s.text(flame)


async def test_without_functions_sorting_is_the_tables(screen, opening):
    async with screen(*opening) as s:
        before = s.dashboard.pane.table.state.sort
        await s.press("greater_than_sign")
        assert s.dashboard.pane.table.state.sort != before


async def test_where_nothing_is_zoomed_backspace_takes_the_last_step_back(screen, opening):
    async with screen(*opening) as s:
        s.dashboard.enter(scope.Step((("pid", 7),), "nginx[7]"))
        await s.settle()
        await s.press("down", "enter")
        assert s.dashboard.pane.searched.zoom
        await s.press("backspace")
        assert s.dashboard.drill.scope
        await s.press("backspace")
        assert not s.dashboard.drill.scope


async def test_the_flame_is_saved_from_a_line_at_the_bottom(screen, opening, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with screen(*opening) as s:
        await s.press("s")
        assert " ".join(s.text().splitlines()[-1].split()) == SAVE_LINE
        await s.press("f")
        flame = s.dashboard.pane.searched
        for worker in [each for each in s.app.workers if each.node is flame]:
            await worker.wait()
        await s.settle()
        (path,) = tmp_path.iterdir()
        assert path.read_text().splitlines() == [
            "pid 7;main;read;vfs_read_[k] 600000000",
            "pid 7;main;wait;futex_wait_[k] 400000000",
        ]
        assert "the stacks are in" in s.text()
