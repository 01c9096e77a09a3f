"""Makes the pictures of the README: the program itself, on this machine, under load.

    sudo .venv/bin/python screenshots/make.py [PANE …]

Starts benchmarks/load.py, opens the dashboard over a live collector in a terminal of 160x44 that
nobody sees, and saves an SVG of each pane beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path

from ebpftop.registry import probes
from ebpftop.sources.live import LiveSource
from ebpftop.ui.app import EbpftopApp

HERE = Path(__file__).resolve().parent
SIZE = (160, 44)
# A chart and a heat strip want some history; the flame view sums up the last 30 seconds.
SECONDS_A_PANE = 20
START_SECONDS = 2


async def photograph(panes: list[str]) -> None:
    """Show each pane for a while, and save what is on the screen."""
    source = LiveSource()
    app = EbpftopApp(source)
    try:
        async with app.run_test(size=SIZE) as pilot:
            await asyncio.sleep(START_SECONDS)
            for pane in panes:
                await pilot.press(str(list(probes()).index(pane) + 1))
                await asyncio.sleep(SECONDS_A_PANE / 2)
                await pilot.press("down")
                await asyncio.sleep(SECONDS_A_PANE / 2)
                app.save_screenshot(f"{pane}.svg", str(HERE))
    finally:
        source.close()


def main() -> int:
    """Load the machine and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("panes", nargs="*", metavar="PANE", help=", ".join(probes()))
    panes = parser.parse_args().panes or list(probes())
    seconds = SECONDS_A_PANE * len(panes) + START_SECONDS + 8
    command = [sys.executable, str(HERE.parent / "benchmarks" / "load.py"), str(seconds)]
    load = subprocess.Popen(command, cwd=HERE.parent)
    try:
        asyncio.run(photograph(panes))
    finally:
        load.terminate()
        load.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
