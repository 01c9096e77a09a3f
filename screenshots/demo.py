"""Makes the pictures of the README that show time: the demo recording, at and around its incident.

    .venv/bin/python screenshots/demo.py

Needs no root: it drives the keys over `ebpftop/demo.ebt`, and saves SVGs beside this file.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widgets import Input

from ebpftop.commands.demo import RECORDING
from ebpftop.recording.reader import Recording
from ebpftop.ui.app import EbpftopApp

if TYPE_CHECKING:
    from textual.pilot import Pilot

HERE = Path(__file__).resolve().parent
SIZE = (160, 44)
# The calm from the start of the recording, the incident from its end.
CALM, INCIDENT = ("25%", "+30s"), ("-144s", "+28s")
MIDST = "-122s"
# The walk of the README, up to the page of a process of the database.
WALK = ("g", "o", "down", "down", "down", "enter", "down", "enter", "d")
SETTLE_S = 1.5


async def photograph() -> None:
    """The incident in one pane, and what it changed in another."""
    app = EbpftopApp(None, tape=Recording(str(RECORDING)), own_cost=lambda: 0.0)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("space", "end")
        await _go(pilot, MIDST)
        await pilot.press("down")
        app.save_screenshot("rewind.svg", str(HERE))
        await pilot.press("3")
        for first, length in (CALM, INCIDENT):
            if first.startswith("-"):
                await pilot.press("end")
            await _go(pilot, first)
            await pilot.press("m")
            await _go(pilot, length)
            await pilot.press("m")
            await asyncio.sleep(SETTLE_S)
        app.save_screenshot("difference.svg", str(HERE))


async def drill_down() -> None:
    """From the latency of a container to all that is known of one of its processes."""
    app = EbpftopApp(None, tape=Recording(str(RECORDING)), own_cost=lambda: 0.0)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("space")
        await _go(pilot, "53%")
        await pilot.press(*WALK)
        await asyncio.sleep(SETTLE_S)
        app.save_screenshot("page.svg", str(HERE))


async def _go(pilot: Pilot[int], moment: str) -> None:
    """Type a moment."""
    await pilot.press("b")
    pilot.app.screen.query_one("#jump", Input).value = moment
    await pilot.press("enter")
    await asyncio.sleep(SETTLE_S)


if __name__ == "__main__":
    asyncio.run(photograph())
    asyncio.run(drill_down())
    sys.exit(0)
