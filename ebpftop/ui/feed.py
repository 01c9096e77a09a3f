"""What the screen shows of the stream: the newest, or, while paused, the moment of the pause."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

from ebpftop.model import Command, Hello
from ebpftop.views.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpftop.model import Record
    from ebpftop.ui.widgets.header import Mode

INTERVALS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Feed:
    """The store, and whether it is live, paused or ended.

    Attributes:
        live: whether the source takes commands.
        ended: why there will be no more records; empty while there may be.
        failed: whether that end is a fault.
        interval_ns: the interval that was asked for.
    """

    def __init__(self, live: bool, send: Callable[[Command], None]) -> None:
        self.store = Store()
        self.live = live
        self.ended = ""
        self.failed = False
        self.interval_ns = 0
        self._send = send
        self._frozen: Store | None = None

    @property
    def shown(self) -> Store:
        """The store to draw from."""
        return self._frozen or self.store

    @property
    def paused(self) -> bool:
        """Whether the display stands still."""
        return self._frozen is not None

    @property
    def mode(self) -> Mode:
        """The word that the header says."""
        if self.paused:
            return "paused"
        if self.ended:
            return "ended"
        if self.store.hello is None:
            return "waiting"
        return "live" if self.live else "stream"

    def add(self, record: Record) -> None:
        """Take in a record, paused or not."""
        self.store.add(record)
        if isinstance(record, Hello):
            self.interval_ns = record.interval_ns

    def end(self, reason: str, failed: bool) -> None:
        """There will be no more records."""
        self.ended, self.failed = reason, failed

    def toggle_pause(self) -> bool:
        """Pause, or resume with the newest; returns whether it is paused now."""
        self._frozen = None if self._frozen else self.store.freeze()
        return self.paused

    def change_interval(self, step: int) -> float:
        """Ask for the next longer or shorter interval; returns its seconds."""
        seconds = self.interval_ns / 1e9
        nearest = min(range(len(INTERVALS_S)), key=lambda i: abs(INTERVALS_S[i] - seconds))
        chosen = INTERVALS_S[min(len(INTERVALS_S) - 1, max(0, nearest + step))]
        self._send(Command("interval", seconds=chosen))
        self.interval_ns = int(chosen * 1e9)
        return chosen


class OwnCost:
    """CPU time of this process since it was last asked, as a share of a core."""

    def __init__(self) -> None:
        self._cpu_s, self._at_s = _cpu_s(), time.monotonic()

    def __call__(self) -> float:
        """The share; 0 where no time has passed."""
        cpu_s, at_s = _cpu_s(), time.monotonic()
        used, passed = cpu_s - self._cpu_s, at_s - self._at_s
        self._cpu_s, self._at_s = cpu_s, at_s
        return used / passed if passed > 0 else 0.0


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
