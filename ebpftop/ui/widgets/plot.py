"""plotext, drawn into lines of the screen.

plotext 6 has one figure per process, prints numbers for colours into its text, and takes part in
no theme. It is given colour numbers as mere marks, and those are replaced by the widget's styles;
it is never given a name from the system. It is loaded when the first picture is drawn.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style

_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_MARK = "38;5;"
# Colour numbers from here on are plain palette entries to plotext, and marks to us.
FIRST_MARK = 16


class PlotError(Exception):
    """plotext cannot draw here; the message says why in one line."""


@lru_cache(maxsize=1)
def plotext() -> Any:
    """The library, set up to draw in any size; raises PlotError where its C++ part is missing."""
    try:
        import plotext
    except (ImportError, OSError) as error:
        raise PlotError(f"plotext does not load: {str(error).splitlines()[0]}") from None
    plotext.terminal.limit(False, False)
    return plotext


def figure(width: int, height: int) -> Any:
    """The figure, empty, of so many cells, without colours and frame but for the two axes."""
    empty: Any = plotext().figure
    empty.clear()
    empty.plot_size(width, height)
    empty.theme("colorless")
    empty.canvas("default")
    empty.axes(False, side=1)
    empty.legend(False)
    return empty


def mark(series: int, symbol: str) -> Any:
    """The marker of a series, to be replaced by the style of that number."""
    library = plotext()
    return library.marker(symbol, pixel=library.pixel(FIRST_MARK + series))


def strips(built: Any, series: Sequence[Style], frame: Style) -> list[Strip]:
    """The lines of a built figure, in the styles of the series and of the frame."""
    return [strip(line, series, frame) for line in built.string().splitlines()]


def strip(line: str, series: Sequence[Style], frame: Style) -> Strip:
    """One line of plotext's text; a colour that is no mark of ours is drawn as frame."""
    segments = []
    style = frame
    for position, part in enumerate(_SGR.split(line)):
        if position % 2:
            style = _style(part, series, frame)
        elif part:
            segments.append(Segment(part, style))
    return Strip(segments)


def _style(code: str, series: Sequence[Style], frame: Style) -> Style:
    if not code.startswith(_MARK):
        return frame
    number = int(code[len(_MARK) :].partition(";")[0]) - FIRST_MARK
    return series[number] if 0 <= number < len(series) else frame
