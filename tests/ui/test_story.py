"""The walk of the README, key by key, on the demo recording: from high latency to the code."""

import re
from pathlib import Path

import pytest

from tests.story import demo
from tests.ui.conftest import Replay

README = (Path(__file__).parents[2] / "README.md").read_text()
NAMES = {"Space": "space", "Enter": "enter", "↓": "down", "%": "percent_sign"}


def walk():
    """The keys of each step, as the README has them."""
    table = README.partition("then these keys find its cause")[2].partition("![")[0]
    for line in table.splitlines():
        if line.startswith("| ") and not line.startswith("| keys"):
            yield line.split("|")[1].strip()


def keys(step):
    """A step as the names of keys; `↓ to x` is left to the test."""
    for word in re.findall(r"`[^`]+`|[^\s,]+", step):
        if word.startswith("`"):
            yield from (NAMES.get(char, char) for char in word.strip("`"))
        else:
            yield NAMES[word]


class Walk:
    """Someone who reads the README and presses what it says."""

    def __init__(self, screen):
        self.s = screen
        self.steps = walk()

    async def next(self):
        """Do what the next line of the table says."""
        step = next(self.steps)
        to = re.match(r"↓ to `([^`]+)`, (.*)", step)
        if to:
            await self.select(to[1])
            step = to[2]
        await self.s.press(*keys(step))
        return step

    async def select(self, name):
        """Go down to the row of that name."""
        for _ in self.s.table.view.rows:
            await self.s.press("down")
            if name in self.s.table.selection.values():
                return
        raise AssertionError(f"no row {name}")

    def figure(self, key, column):
        """A figure of the row of a group."""
        view = self.s.table.view
        row = next(row for row in view.rows if row[0] == key)
        names = [shown.column.name for shown in view.columns]
        return view.value(row, names.index(column))


@pytest.fixture
def replay():
    return Replay(demo())


async def test_the_walk_of_the_readme_leads_from_latency_to_the_stack(replay):
    async with replay as s:
        steps = Walk(s)
        await steps.next()  # stop, in the midst of the spike
        assert s.dashboard.feed.mode == "paused"
        view = s.table.view
        average = [shown.column.name for shown in view.columns].index("avg_ns")
        assert view.value(view.total, average) > 1_000_000

        await steps.next()  # by container
        assert steps.figure("db-1", "avg_ns") > 1_000_000
        assert steps.figure("(none)", "bytes") > 50 * steps.figure("db-1", "bytes")

        await steps.next()  # the database
        assert [step.label for step in s.dashboard.drill.scope.steps] == ["db-1"]
        assert set(s.names()) <= {"postgres", "postgresql"}

        await steps.next()  # its busiest process
        (_, process) = s.dashboard.drill.scope.steps
        assert process.label.startswith("postgres[")

        await steps.next()  # where it sleeps
        assert s.dashboard.pane.info.name == "offcputime"
        stacks = [row for row in s.table.view.rows if row[3]]
        assert {row[0] for row in stacks} == {process.terms[0][1]}
        longest = max(stacks, key=lambda row: row[4])[3]
        assert "execute_query" in longest
        assert "io_schedule" in longest

        await steps.next()  # all that is known of it
        assert s.dashboard.page is not None
        text = s.text()
        assert "db-1 (docker)" in text
        assert "pread64" in text
        assert not list(steps.steps)
