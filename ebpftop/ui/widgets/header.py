"""The first two lines of the screen: the machine and what ebpftop costs it, and the panes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from ebpftop.ui.actions import PANE_KEYS
from ebpftop.ui.widgets.line import Line, Piece, fits, spaced
from ebpftop.views import format as fmt
from ebpftop.views.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpftop.model import ProbeInfo, State

Mode = Literal["waiting", "live", "stream", "replay", "paused", "ended"]
STYLES = {"live": "live", "stream": "live", "replay": "live", "waiting": "dim"}
MODE_MARKS = {"paused": "‖", "replay": "▶"}
BARS = "▁▂▃▄▅▆▇█"
MOST_BARS = 16
MARKS: dict[str, str] = {
    "idle": "○",
    "starting": "◌",
    "running": "●",
    "degraded": "◐",
    "failed": "✗",
    "unavailable": "–",  # noqa: RUF001
}


class Header(Line):
    """Host, kernel, CPU, memory, load, own cost, clock, and whether the display is live."""

    COMPONENT_CLASSES = {
        "header--product",
        "header--host",
        "header--dim",
        "header--bar",
        "header--live",
        "header--paused",
        "header--ended",
        "header--recording",
    }

    def __init__(self) -> None:
        super().__init__()
        self._machine = Machine()
        self._own_screen = 0.0
        self._mode: Mode = "waiting"
        self._recorded_bytes: int | None = None

    def show(
        self, machine: Machine, own_screen: float, mode: Mode, recorded_bytes: int | None = None
    ) -> None:
        """Draw these figures.

        `own_screen` is the screen's own CPU time, as a share of a core; `recorded_bytes` the size
        of the recording that is being made, if one is.
        """
        self._machine, self._own_screen, self._mode = machine, own_screen, mode
        self._recorded_bytes = recorded_bytes
        self.refresh()

    def pieces(self, width: int) -> list[Piece]:
        """As much as fits: what can be looked up elsewhere goes first."""
        product = [Piece(" ebpftop ", "header--product"), Piece(" ")]
        host = [Piece(fmt.clean(self._machine.host), "header--host")]
        kernel = [Piece(f" {fmt.clean(self._machine.kernel)}", "header--dim")]
        version = [Piece(kernel[0].text.split("-")[0], "header--dim")]
        margin = [Piece(" ")]
        for left, right in (
            (product + host + kernel, self._figures(long=True)),
            (product + host + kernel, self._figures(long=False)),
            (margin + host + kernel, self._figures(long=False)),
            (margin + host + version, self._figures(long=False)),
            (margin + host, self._figures(long=False)),
        ):
            if fits(width, left, right):
                return spaced(width, left, right)
        figures = self._figures(long=False)
        room = width - sum(fmt.width(piece.text) for piece in figures) - 2
        name = fmt.cut(host[0].text, max(0, room))
        return spaced(width, [Piece(" "), Piece(name, "header--host")], figures)

    def _figures(self, long: bool) -> list[Piece]:
        machine = self._machine
        pieces: list[Piece] = []
        if machine.cpu is not None:
            pieces += [Piece("cpu ", "header--dim"), Piece(_bars(machine.cpus), "header--bar")]
            pieces += [Piece(f" {machine.cpu:.0%}"), Piece("  ")]
        if machine.memory_bytes is not None:
            pieces += [Piece("mem ", "header--dim"), Piece(self._memory(long)), Piece("  ")]
        if machine.load1 is not None:
            pieces += [Piece("load ", "header--dim"), Piece(f"{machine.load1:.2f}"), Piece("  ")]
        if machine.own is not None:
            least = "" if machine.own_complete else "≥"
            own = f"{least}{fmt.ratio(machine.own + self._own_screen)}"
            pieces += [Piece("own ", "header--dim"), Piece(own), Piece("  ")]
        if machine.clock_ns is not None:
            clock = time.strftime("%H:%M:%S", time.localtime(machine.clock_ns / 1e9))
            pieces += [Piece(clock, "header--host"), Piece("  ")]
        return [*pieces, *self._mode_pieces()]

    def _memory(self, long: bool) -> str:
        used, total = self._machine.memory_bytes or 0, self._machine.memory_total_bytes
        if long or not total:
            return f"{fmt.bytes_(used)}/{fmt.bytes_(total)}"
        return f"{used / total:.0%}"

    def _mode_pieces(self) -> list[Piece]:
        style = STYLES.get(self._mode, self._mode)
        mark = MODE_MARKS.get(self._mode, "●")
        pieces = [Piece(f"{mark} {self._mode.upper()}", f"header--{style}"), Piece(" ")]
        if self._recorded_bytes is not None:
            size = fmt.bytes_(self._recorded_bytes)
            pieces[:0] = [Piece(f"● REC {size}", "header--recording", "screen.record"), Piece("  ")]
        return pieces


def _bars(shares: Sequence[float]) -> str:
    """One bar per CPU; of many CPUs one bar for so many of them, the busiest of each group."""
    group = -(-len(shares) // MOST_BARS) or 1
    peaks = [max(shares[i : i + group]) for i in range(0, len(shares), group)]
    return "".join(BARS[min(len(BARS) - 1, int(max(0.0, peak) * len(BARS)))] for peak in peaks)


class PaneStrip(Line):
    """The panes with their digits, and how their probes are."""

    COMPONENT_CLASSES = {
        "strip--digit",
        "strip--pane",
        "strip--current",
        *(f"strip--{state}" for state in MARKS),
    }

    def __init__(self) -> None:
        super().__init__()
        self._probes: Sequence[ProbeInfo] = ()
        self._states: tuple[State | str, ...] = ()
        self._current = -1

    def show(self, probes: Sequence[ProbeInfo], states: Iterable[str], current: int) -> None:
        """Draw these panes; `current` is the position of the one that is open."""
        before = (self._probes, self._states, self._current)
        self._probes, self._states, self._current = probes, tuple(states), current
        if before != (self._probes, self._states, self._current):
            self.refresh()

    def pieces(self, width: int) -> list[Piece]:
        """Titles where there is room for them, else names, else only that of the open pane."""
        titles = [fmt.clean(probe.title) for probe in self._probes]
        names = [fmt.clean(probe.name) for probe in self._probes]
        alone = [name if i == self._current else "" for i, name in enumerate(names)]
        for labels, pad in ((titles, " "), (names, " "), (names, ""), (alone, " ")):
            pieces = self._tabs(labels, pad)
            if fits(width, pieces):
                return pieces
        return self._tabs(alone, "")

    def _tabs(self, labels: Sequence[str], pad: str) -> list[Piece]:
        pieces = [Piece(pad)]
        for position, (label, state) in enumerate(zip(labels, self._states)):
            current = position == self._current
            action = f"screen.show_pane({position})"
            digit = PANE_KEYS[position] if position < len(PANE_KEYS) else ""
            mark = MARKS.get(state, "?")
            space = " " if label else ""
            if current:
                text = f"{pad}{digit} {label}{space}{mark}{pad}"
                pieces.append(Piece(text, "strip--current", action))
            else:
                pieces.append(Piece(f"{pad}{digit} ", "strip--digit", action))
                pieces.append(Piece(f"{label}{space}", "strip--pane", action))
                pieces.append(Piece(f"{mark}{pad}", f"strip--{state}", action))
            pieces.append(Piece(" "))
        return pieces[:-1]
