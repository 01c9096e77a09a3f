"""Which plotext serves, if any: time and memory of three ways to draw the same two pictures.

    .venv/bin/python benchmarks/plots.py --old PYTHON5

PYTHON5 is an interpreter that has plotext 5.3.2 (`python3 -m venv v; v/bin/pip install
plotext==5.3.2`); without it the old one is left out. Each way runs in a process of its own. The
chart has two lines of 120 points in braille, the histogram 20 bars; both with axes. `own` is the
least that would do: no axes for the chart, a label and a bar per line for the histogram. `widget`
is what ebpftop does: plotext 6, its text taken apart into the strips of the screen.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((100, 20), (200, 49))
POINTS, BARS, ROUNDS = 120, 20, 40
LINES = [[50 + 40 * math.sin(i / 9 + k) + i * 7919 % 13 for i in range(POINTS)] for k in range(2)]
COUNTS = [round(9000 * math.exp(-((i - 8) ** 2) / 12)) for i in range(BARS)]
EIGHTHS = " ▏▎▍▌▋▊▉"
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
Picture = "Callable[[int, int], str]"


def new() -> tuple[Any, Any]:
    """Plotext 6."""
    import plotext

    plotext.terminal.limit(False, False)
    figure = plotext.figure

    def start(width: int, height: int) -> None:
        figure.clear()
        figure.plot_size(width, height)
        figure.theme("colorless")
        figure.canvas("default")
        figure.axes(False, side=1)

    def chart(width: int, height: int) -> str:
        start(width, height)
        for number, values in enumerate(LINES):
            marker = plotext.marker("braille", pixel=plotext.pixel(16 + number))
            figure.draw(figure.signal(list(range(POINTS)), values, marker=marker).lines(True))
        return str(figure.build().string())

    def histogram(width: int, height: int) -> str:
        start(width, height)
        marker = plotext.marker("hd", pixel=plotext.pixel(16))
        figure.draw(figure.bar(list(range(BARS)), COUNTS, marker=marker, width=0.7))
        return str(figure.build().string())

    return chart, histogram


def old() -> tuple[Any, Any]:
    """Plotext 5."""
    import plotext

    def start(width: int, height: int) -> None:
        plotext.clear_figure()
        plotext.limit_size(False, False)
        plotext.plotsize(width, height)
        plotext.theme("clear")

    def chart(width: int, height: int) -> str:
        start(width, height)
        for number, values in enumerate(LINES):
            plotext.plot(values, marker="braille", color=16 + number)
        return str(plotext.build())

    def histogram(width: int, height: int) -> str:
        start(width, height)
        plotext.bar(list(range(BARS)), COUNTS, marker="hd", color=16, width=0.7)
        return str(plotext.build())

    return chart, histogram


def own() -> tuple[Any, Any]:
    """By hand."""

    def chart(width: int, height: int) -> str:
        top = max(map(max, LINES))
        cells = [[0] * width for _ in range(height)]
        for values in LINES:
            before = None
            for x in range(width * 2):
                value = values[x * (POINTS - 1) // (width * 2 - 1)]
                y = round((1 - value / top) * (height * 4 - 1))
                low, high = sorted((y, y if before is None else before))
                for dot in range(low, high + 1):
                    cells[dot // 4][x // 2] |= DOTS[x % 2][dot % 4]
                before = y
        return "\n".join("".join(chr(0x2800 + cell) for cell in row) for row in cells)

    def histogram(width: int, height: int) -> str:
        top = max(COUNTS)
        lines = []
        for i, count in enumerate(COUNTS[:height]):
            eighths = round(count / top * (width - 20) * 8)
            bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8]
            lines.append(f"{i:>10} {count:>7} {bar}")
        return "\n".join(lines)

    return chart, histogram


def widget() -> tuple[Any, Any]:
    """As the widgets do it, to the strips."""
    from rich.style import Style

    sys.path.insert(0, str(ROOT))
    from ebpftop.ui.widgets import plot

    plot.plotext()
    chart, histogram = new()
    styles, frame = [Style(color="red"), Style(color="blue")], Style(color="white")

    def drawn(picture: Callable[[int, int], str]) -> Any:
        def draw(width: int, height: int) -> str:
            text = picture(width, height)
            strips = [plot.strip(line, styles, frame) for line in text.splitlines()]
            return "\n".join(strip.text for strip in strips)

        return draw

    return drawn(chart), drawn(histogram)


WAYS = {"plotext 6": new, "plotext 5": old, "own": own, "widget": widget}


def measure(way: str) -> dict[str, float]:
    """In a process of its own: import, growth of memory, CPU per picture."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    chart, histogram = WAYS[way]()
    result = {"import ms": (time.perf_counter() - started) * 1e3}
    for name, picture in (("chart", chart), ("histogram", histogram)):
        for width, height in SIZES:
            picture(width, height)
            spent = []
            for _ in range(ROUNDS):
                cpu = time.process_time()
                picture(width, height)
                spent.append(time.process_time() - cpu)
            result[f"{name} {width}x{height} ms"] = statistics.median(spent) * 1e3
    after_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["memory MB"] = (after_kb - before_kb) / 1024
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--old", help="an interpreter that has plotext 5")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    results = {}
    for way in WAYS:
        python = arguments.old if way == "plotext 5" else sys.executable
        if python:
            command = [python, __file__, "--measure", way]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[way] = json.loads(output)
    names = list(next(iter(results.values())))
    print(f"{'':24}" + "".join(f"{way:>12}" for way in results))
    for name in names:
        print(f"{name:24}" + "".join(f"{result[name]:>12.2f}" for result in results.values()))


if __name__ == "__main__":
    main()
