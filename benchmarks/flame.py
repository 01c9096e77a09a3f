"""What the flame costs: 10,000 stacks of 30 frames, then 500 more each second.

    .venv/bin/python benchmarks/flame.py

Medians of CPU milliseconds, in one process without a terminal; `zoom and paint` is from the key to
the lines of a 200x50 screen. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from typing import TYPE_CHECKING

from textual.app import App, ComposeResult

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.ui import themes
from ebpftop.ui.widgets.flame import Flame
from ebpftop.views import flame

if TYPE_CHECKING:
    from collections.abc import Callable

STACKS, DEPTH, FRESH, ROUNDS = 10_000, 30, 500, 9
WIDTH, HEIGHT = 200, 50
SECOND = 1_000_000_000
TABLE = Table(
    "stacks",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("stack", "STACK", "stack"),
        Column("blocked_ns", "BLOCKED", "ns", "sum"),
        Column("waiting_ns", "WAITING", "ns", "sum"),
    ),
)
VIEW = View("flame", "stacks", "Stacks")
INFO = ProbeInfo("p", "P", "a", "", (TABLE,), (VIEW,))


def stacks(number: int, chance: random.Random) -> list[str]:
    """Folded stacks that share their callers, as those of a few busy programs do."""
    made = []
    for _ in range(number):
        frame, names = 0, []
        for depth in range(DEPTH):
            branch = chance.randrange(4) if chance.random() < 0.3 else 0
            frame = (frame * 5 + branch + 1) % 1999
            names.append(f"function_{frame}" + ("_[k]" if depth > 20 else ""))
        made.append(";".join(names))
    return made


def sample(seq: int, folded: list[str]) -> Sample:
    """A sample in which each stack was blocked for some time."""
    rows = [(812, stack, 1000 + i % 977, 0) for i, stack in enumerate(folded)]
    return Sample("p", seq, seq * SECOND, seq * SECOND, SECOND, {"stacks": list(rows)})


def tell(name: str, action: Callable[[int], object], rounds: int = ROUNDS) -> None:
    """Print the median CPU time of an action."""
    spent = []
    for number in range(rounds):
        started = time.process_time()
        action(number)
        spent.append((time.process_time() - started) * 1e3)
    print(f"{name:44} {statistics.median(spent):8.2f} ms")


class Alone(App[None]):
    """The flame, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.flame = Flame(INFO, VIEW)

    def compose(self) -> ComposeResult:
        """The flame."""
        yield self.flame

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The variables of ebpftop."""
        return themes.variables(self.current_theme)


async def painted(first: Sample, more: list[Sample]) -> None:
    """Zoom, and take in samples, with the lines drawn each time."""
    app = Alone()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        app.flame.show([first], {})
        await pilot.pause()
        lines = app.flame.size.height
        node = app.flame.window.tree.root
        for _ in range(7):
            node = max(node.children.values(), key=lambda child: child.total)
        paths = ((), node.path)

        def zoom(number: int) -> None:
            app.flame.selected = paths[number % 2]
            app.flame.action_zoom()
            for y in range(lines):
                app.flame.render_line(y)

        def live(number: int) -> None:
            app.flame.show([first, *more[: number + 1]], {})
            for y in range(lines):
                app.flame.render_line(y)

        tell("zoom and paint", zoom)
        tell(f"{FRESH} new stacks, layout and paint", live)


def main() -> None:
    """Print the table."""
    chance = random.Random(1)
    folded = stacks(STACKS, chance)
    fresh = [stacks(FRESH, chance) for _ in range(2 * ROUNDS)]

    def build(number: int) -> flame.Tree:
        del number
        made = flame.Tree()
        for stack in folded:
            made.add("postgres[812]", stack, 1000)
        return made

    tree = build(0)
    tell(f"fold {STACKS} stacks of {DEPTH} frames", build, 3)

    def insert(batch: list[str]) -> None:
        for stack in batch:
            tree.add("postgres[812]", stack, 1000)

    tell(f"add {FRESH} new stacks", lambda n: insert(fresh[n]))
    tell(f"add {FRESH} known stacks", lambda n: insert(fresh[n]))
    boxes = sum(map(len, flame.layout(tree.root, WIDTH).rows))
    tell(f"layout, {WIDTH} cells, {boxes} boxes", lambda _: flame.layout(tree.root, WIDTH))
    tell("search", lambda _: flame.search(tree, "function_19"))
    more = [sample(seq, batch) for seq, batch in enumerate(fresh[ROUNDS:], 2)]
    asyncio.run(painted(sample(1, folded), more))


if __name__ == "__main__":
    main()
