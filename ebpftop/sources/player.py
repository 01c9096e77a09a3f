"""A position on a tape, and the store as it was at that moment.

Stepping on feeds the next records into the store, as the live stream would have done; any other
move builds a store anew from the ticks before the moment. Nothing here knows a clock: who plays
says how much time has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.model import Tick
from ebpftop.views.store import HOST, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.model import Record
    from ebpftop.recording.tape import Tape

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
NS_PER_S = 1_000_000_000
# What a pane needs before a moment to be drawn: the flame looks back for 30 s.
LOOK_BACK_S = 32.0
LOOK_BACK_TICKS = 32
MOST_TICKS = 400
# What its charts and heat strips show beyond that, once there is time to read it.
HISTORY_TICKS = 600
# A gap in a recording is not waited for.
LONGEST_WAIT_S = 2.0
# An overview keeps times in microseconds, as steps.
ROUNDING_NS = 1_000_000


class Player:
    """Plays a tape.

    Attributes:
        tape: what is played.
        store: all that was said up to the position.
        position: number of the tick that is shown; None before there is any.
        playing: whether time goes on.
        speed: times real time.
        loop: whether the end is followed by the start.
    """

    def __init__(self, tape: Tape, loop: bool = False) -> None:
        self.tape = tape
        self.store = Store()
        self.position: int | None = None
        self.playing = False
        self.speed = 1.0
        self.loop = loop
        self._watched = ""
        self._owed_s = 0.0
        self._ahead: Iterator[Record] | None = None
        self._deep: dict[str, int] = {}

    @property
    def at_end(self) -> bool:
        """Whether the newest tick is shown."""
        return self.position is None or self.position >= self.tape.overview.end - 1

    def park(self, store: Store) -> None:
        """Stand at the newest tick, with a store that was fed by the stream itself."""
        overview = self.tape.overview
        self.store = store
        store.statuses = dict(store.statuses)
        self.position = overview.end - 1 if len(overview) else None
        self._moved()
        self._deep = dict.fromkeys((probe.name for probe in store.probes()), 0)

    def seek(self, tick: int) -> None:
        """Go to a tick, or to the nearest that is there."""
        overview = self.tape.overview
        if not len(overview):
            return
        tick = min(max(tick, overview.first), overview.end - 1)
        if self.position is not None and tick == self.position + 1:
            self._on()
        else:
            self._build(tick, self._back(tick))

    def step(self, ticks: int) -> None:
        """Go so many ticks on, or back."""
        self.seek((self.tape.overview.first if self.position is None else self.position) + ticks)

    def watch(self, probe: str) -> None:
        """A pane is shown: have its history in the store."""
        self._watched = probe
        if self.position is not None and probe not in self._deep:
            self._build(self.position, self._back(self.position))

    def toggle(self) -> None:
        """Play, or stop; at the end, play from the start."""
        self.playing = not self.playing
        self._owed_s = 0.0
        if self.playing and self.at_end and not self.tape.growing:
            self.seek(self.tape.overview.first)

    def change_speed(self, step: int) -> None:
        """Take the next speed up or down."""
        at = SPEEDS.index(self.speed) + step
        self.speed = SPEEDS[min(max(at, 0), len(SPEEDS) - 1)]

    def advance(self, seconds: float) -> bool:
        """Let time go by; returns whether another tick is shown by now."""
        if not self.playing:
            return False
        self._owed_s += seconds * self.speed
        before = self.position
        while self._owed_s > 0 and not self.at_end:
            wait_s = self._wait_s()
            if wait_s > self._owed_s:
                break
            self._owed_s -= wait_s
            self._on()
        if self.at_end:
            self._owed_s = 0.0
            if self.loop:
                self.seek(self.tape.overview.first)
            elif not self.tape.growing:
                self.playing = False
        return self.position != before

    def deepen(self) -> Iterator[None]:
        """Read what charts show of the time before; gives way again and again until it is done."""
        position, probe = self.position, self._watched
        if position is None:
            return
        first = max(self.tape.overview.first, position - HISTORY_TICKS + 1)
        if self._deep.get(probe, position) <= first:
            return
        store = Store()
        for record in self.tape.records(first, position, {probe, HOST}):
            store.add(record)
            if isinstance(record, Tick):
                yield
        if self.position == position and self._watched == probe:
            self.store = store
            self._deep = {probe: first}
            self._ahead = None

    def _moved(self) -> None:
        self._ahead = None
        self._owed_s = 0.0

    def _back(self, tick: int) -> int:
        """The tick from which on a pane has to be read."""
        overview = self.tape.overview
        first, since = tick, overview.mono(tick) - LOOK_BACK_S * NS_PER_S
        while first > overview.first and tick - first < MOST_TICKS:
            if tick - first >= LOOK_BACK_TICKS and overview.mono(first) <= since:
                break
            if overview.mono(first - 1) > overview.mono(first):
                break  # the machine was started again in between
            first -= 1
        return first

    def _build(self, tick: int, first: int) -> None:
        store = Store()
        for record in self.tape.records(first, tick, {self._watched, HOST}):
            store.add(record)
        self.store, self.position = store, tick
        self._moved()
        self._deep = {self._watched: first}

    def _on(self) -> None:
        """Take in the next tick."""
        assert self.position is not None
        if self._ahead is None:
            self._ahead = self.tape.records(self.position + 1, self.tape.overview.end - 1)
        self.position += 1
        for record in self._ahead:
            self.store.add(record)
            if isinstance(record, Tick):
                self._catch_up(record)
                return
        self._ahead = None

    def _catch_up(self, tick: Tick) -> None:
        """Where ticks in between cannot be read, the position is that of the one that could."""
        overview = self.tape.overview
        assert self.position is not None
        while self.position < overview.end - 1:
            if overview.mono(self.position) >= tick.mono_ns - ROUNDING_NS:
                return
            self.position += 1

    def _wait_s(self) -> float:
        """Time between this tick and the next, in seconds of the recording."""
        overview = self.tape.overview
        assert self.position is not None
        if self.position < overview.first:
            return 0.0
        between = overview.mono(self.position + 1) - overview.mono(self.position)
        return min(max(between / NS_PER_S, 0.0), LONGEST_WAIT_S)
