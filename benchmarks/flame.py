"""What the flame costs: 10,000 stacks of 30 frames, then 500 more each second.

    .venv/bin/python benchmarks/flame.py

First CPU milliseconds of the parts, medians, without a terminal; then, in a pseudo-terminal, the
milliseconds from a key to the last byte of its picture, median and slowest. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import statistics
import struct
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App, ComposeResult

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.screen import Terminal  # noqa: E402
from ebpftop.model import Column, ProbeInfo, Sample, Table, View  # noqa: E402
from ebpftop.ui import themes  # noqa: E402
from ebpftop.ui.widgets.flame import Flame  # noqa: E402
from ebpftop.views import flame, owntotal  # noqa: E402
from ebpftop.views.folding import Folding  # noqa: E402
from ebpftop.views.stacks import Window  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ebpftop.views.flame import Tree

STACKS, DEPTH, FRESH, ROUNDS = 10_000, 30, 500, 9
KERNEL, WAYS = 9, 12
PROCESSES, THREADS, CGROUPS = 4, 16, 2
SIZES = ((80, 24), (200, 50))
SECOND = 1_000_000_000
PAINTED = b"\x1b[?2026l"  # the end of a picture
DOWN = b"\x1b[B"
KEYS, START_S, SETTLE_S, PAUSE_S = 15, 20.0, 0.4, 0.06
TABLE = Table(
    "stacks",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("tid", "TID", "id", "key", "tid"),
        Column("cgroup", "CGROUP", "id", "key", "cgroup"),
        Column("stack", "STACK", "stack"),
        Column("blocked_ns", "BLOCKED", "ns", "sum"),
        Column("waiting_ns", "WAITING", "ns", "sum"),
    ),
)
VIEW = View("flame", "stacks", "Stacks")
INFO = ProbeInfo("p", "P", "a", "", (TABLE,), (VIEW,))
FOLDINGS = (Folding(), Folding(leaf_first=True), Folding("thread"), Folding("none", True))
# What is shown, and the keys that lead there.
SHOWN = {
    "": b"",
    ", turned round": b"o",
    ", by thread": b"gg",
    ", by thread, turned round": b"ggo",
    ", all together, kernel frames": b"ggggx",
}


def stacks(number: int, chance: random.Random) -> list[str]:
    """Folded stacks that share their callers, and the ways in which they wait in the kernel."""
    made = []
    ways = [";".join(f"wait_{way}_{depth}_[k]" for depth in range(KERNEL)) for way in range(WAYS)]
    for _ in range(number):
        frame, names = 0, []
        for _ in range(DEPTH - KERNEL):
            branch = chance.randrange(4) if chance.random() < 0.3 else 0
            frame = (frame * 5 + branch + 1) % 1999
            names.append(f"function_{frame}")
        made.append(";".join((*names, chance.choice(ways))))
    return made


def sample(seq: int, folded: Sequence[str]) -> Sample:
    """A sample in which each stack was blocked for some time."""
    rows = []
    for i, stack in enumerate(folded):
        thread = i % THREADS
        pid = 812 + thread % PROCESSES
        rows.append((pid, pid + 1000 * thread, pid % CGROUPS + 1, stack, 1000 + i % 977, 0))
    return Sample("p", seq, seq * SECOND, seq * SECOND, SECOND, {"stacks": list(rows)})


def tell(name: str, action: Callable[[int], object], rounds: int = ROUNDS) -> None:
    """Print the median CPU time of an action."""
    spent = []
    for number in range(rounds):
        started = time.process_time()
        action(number)
        spent.append((time.process_time() - started) * 1e3)
    print(f"{name:52} {statistics.median(spent):8.2f} ms")


class Alone(App[None]):
    """The flame, and nothing else."""

    BINDINGS = [("q", "quit", "Quit")]

    def __init__(self, first: Sample) -> None:
        super().__init__()
        self.flame = Flame(INFO, VIEW)
        self.first = first

    def compose(self) -> ComposeResult:
        """The flame."""
        yield self.flame

    def on_mount(self) -> None:
        """Draw it."""
        self.flame.show([self.first], {})
        self.flame.focus()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The variables of ebpftop."""
        return themes.variables(self.current_theme)


def parts() -> None:
    """CPU time of folding, laying out, searching, adding up."""
    chance = random.Random(1)
    folded = stacks(STACKS, chance)
    first = sample(1, folded)
    fresh = [sample(seq, stacks(FRESH, chance)) for seq in range(2, 2 + len(FOLDINGS) * ROUNDS)]

    for number, folding in enumerate(FOLDINGS):
        told = ", ".join(folding.told)
        made: list[Window] = []

        def fold(_: int, made: list[Window] = made, folding: Folding = folding) -> None:
            made[:] = [Window(INFO, VIEW, seconds=1e6, folding=folding)]
            made[0].update([first], {})

        tell(f"fold {STACKS} stacks of {DEPTH} frames, {told}", fold, 3)
        window = made[0]
        looked_at(window.tree, folding)
        history = [first]

        def second(n: int, number: int = number, history: list[Sample] = history) -> None:
            history.append(fresh[number * ROUNDS + n])
            made[0].update(history, {})  # noqa: B023  it is called before the next round

        tell(f"  a second more, {FRESH} stacks", second)


def looked_at(tree: Tree, folding: Folding) -> None:
    """CPU time of what is done with a tree."""

    def lay_out(width: int) -> Callable[[int], object]:
        return lambda _: flame.layout(tree.root, width)

    def search(text: str) -> Callable[[int], object]:
        return lambda _: flame.search(tree, text)

    for width, _ in SIZES:
        boxes = sum(map(len, flame.layout(tree.root, width).rows))
        tell(f"  layout, {width} cells, {boxes} boxes", lay_out(width))
    for text in ("function_19", "function", "=wait_1_4_[k]"):
        tell(f"  search for {text}", search(text))
    tell("  own and total of functions", lambda _: owntotal.functions(tree, (), folding), 5)


class Screen(Terminal):
    """The flame in a pseudo-terminal of some size."""

    def __init__(self, size: tuple[int, int]) -> None:
        here = Path(__file__).resolve()
        super().__init__([sys.executable, str(here), "--alone"], here.parents[1])
        columns, lines = size
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def painted(self, key: bytes) -> float:
        """Milliseconds from a key to the end of its picture."""
        while self.read(0.0):
            pass
        self.text = b""
        started = time.perf_counter()
        os.write(self._fd, key)
        self.wait_for(PAINTED, 2.0)
        return (time.perf_counter() - started) * 1e3


def keys(size: tuple[int, int]) -> None:
    """Time from a key to its picture."""
    for shown, lead in SHOWN.items():
        screen = Screen(size)
        screen.wait_for(b"by process", START_S)
        screen.read_for(SETTLE_S)
        for key in (*(bytes((one,)) for one in lead), *(DOWN,) * 4):
            screen.painted(key)
            screen.read_for(SETTLE_S)
        spent: list[float] = []
        for _ in range(KEYS):
            for key in (b"\r", b"u"):
                spent.append(screen.painted(key))
                screen.read_for(PAUSE_S)
        told = f"{size[0]}x{size[1]}: zoom, and back{shown}"
        print(f"{told:52} {statistics.median(spent):8.2f} ms, slowest {max(spent):.2f}")
        screen.close()


def main() -> None:
    """Print the tables, or be the program whose keys are measured."""
    if "--alone" in sys.argv:
        asyncio.run(Alone(sample(1, stacks(STACKS, random.Random(1)))).run_async())
        return
    parts()
    for size in SIZES:
        keys(size)


if __name__ == "__main__":
    main()
