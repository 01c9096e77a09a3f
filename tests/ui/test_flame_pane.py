"""The pane of a probe with a flame view: what the dashboard's keys do there."""

from __future__ import annotations

import pytest

from ebpftop import registry
from tests.ui import scenes

OFFCPUTIME = registry.probes()["offcputime"].info
MS = 1_000_000


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
