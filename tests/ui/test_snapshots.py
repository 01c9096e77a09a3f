"""What the screen looks like: one picture for each state, in the smallest and in a large size.

`make snapshots` takes them anew; look at what changed before committing it.
"""

import pytest
from textual.widgets import Input

from ebpftop.model import Record, Status
from ebpftop.ui import themes
from tests.ui import scenes
from tests.ui.conftest import make

SMALL, LARGE = (80, 24), (200, 50)
LOST = {"rows beyond 16384": 1_204, "requests in flight beyond 16384": 3}
FAILED = Status(
    "biotop",
    "failed",
    (),
    "the verifier refused the program on_start",
    "please report this with the lines below",
    "12: (79) r3 = *(u64 *)(r1 +8)\nR1 invalid mem access 'scalar'\nprocessed 12 insns",
)
UNAVAILABLE = Status(
    "biotop",
    "unavailable",
    (),
    "this kernel has no tracepoint block_io_start",
    "needs Linux 6.5 or newer",
)
DEGRADED = scenes.running(scenes.BIOTOP, "degraded", reason="no discards on this kernel")
CALLS: list[Record] = [*scenes.opening(), scenes.running(scenes.SYSCOUNT), scenes.syscount()]
STATES: dict[str, tuple[list[Record], list[str]]] = {
    "data": (scenes.opening(samples=12), []),
    "selected": (scenes.opening(samples=12), ["down", "down"]),
    "many": ([*scenes.opening(), scenes.many(5000)], ["down"]),
    "empty": ([*scenes.opening(), scenes.at("biotop", 1, {"io": [], "latency": []})], []),
    "waiting": ([], []),
    "starting": (
        [
            scenes.hello(),
            scenes.host(),
            Status("syscount", "starting", reason="compiling"),
            Status("biotop", "starting", reason="compiling"),
        ],
        [],
    ),
    "failed": ([scenes.hello(), scenes.host(), FAILED], []),
    "unavailable": ([scenes.hello(), scenes.host(), UNAVAILABLE], []),
    "degraded": (
        [*scenes.opening(), DEGRADED, scenes.biotop(1, lost=LOST, dt_ns=1_600_000_000)],
        [],
    ),
    "paused": (scenes.minute(ticks=3), ["space"]),
    "filter": (scenes.opening(samples=3), ["slash", "p", "o", "s", "t"]),
    "help": (scenes.opening(samples=3), ["question_mark"]),
    "two_tables": (CALLS, ["2", "down", "down", "down", "down"]),
}


async def stand_still(pilot):
    """Let everything come in, and keep the text cursor from blinking."""
    for line in pilot.app.dashboard.query(Input):
        line.cursor_blink = False
    await pilot.app._source.taken()
    await pilot.pause()
    # Where tasks begin at once (Python 3.12), records come before the header is first drawn.
    pilot.app.dashboard._draw_header()
    await pilot.pause()


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "200x50"])
@pytest.mark.parametrize("state", STATES)
def test_state(snap_compare, state, size):
    records, keys = STATES[state]
    app, _ = make(*records)
    assert snap_compare(app, press=keys, terminal_size=size, run_before=stand_still)


@pytest.mark.parametrize("theme", [theme.name for theme in themes.load()[0]])
def test_theme(snap_compare, theme):
    app, _ = make(*scenes.opening(samples=12), theme=theme)
    assert snap_compare(app, press=["down"], terminal_size=(120, 40), run_before=stand_still)


def test_ended(snap_compare):
    app, source = make(*scenes.opening(samples=12))
    source.end("the collector died (signal 9): Killed")
    assert snap_compare(app, terminal_size=SMALL, run_before=stand_still)


def test_too_small(snap_compare):
    app, _ = make(*scenes.opening(samples=1))
    assert snap_compare(app, terminal_size=(60, 18), run_before=stand_still)
