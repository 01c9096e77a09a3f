"""A position on a tape, and the store as it was at that moment.

Stepping on feeds the next records into the store, as the live stream would have done. Any other
move reads that one tick, so that it is shown at once; what views show of the time before is read
when there is time (`deepen`). Nothing here knows a clock: who plays says how much time has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.model import Tick
from ebpftop.views.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from ebpftop.model import Record
    from ebpftop.recording.tape import Tape

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
NS_PER_S = 1_000_000_000
# What charts and heat strips show of the time before a moment; the flame looks back for 30 s.
HISTORY_TICKS = 600
FLAME_TICKS = 32
# So far on, all ticks in between are taken in.
NEAR_TICKS = 5
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
        self._since: dict[str, int] = {}
        self._built = 0

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
        self._since, self._built = {}, overview.first

    def seek(self, tick: int) -> None:
        """Go to a tick, or to the nearest that is there."""
        overview = self.tape.overview
        if not len(overview):
            return
        tick = min(max(tick, overview.first), overview.end - 1)
        if self.position is None or not 0 < tick - self.position <= NEAR_TICKS:
            self._build(tick)
        while self.position is not None and self.position < tick:
            self._on()

    def step(self, ticks: int) -> None:
        """Go so many ticks on, or back."""
        self.seek((self.tape.overview.first if self.position is None else self.position) + ticks)

    def watch(self, probe: str) -> None:
        """The pane of a probe is shown: it is the one whose past is read."""
        self._watched = probe

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

    def deepen(self, ticks: int = HISTORY_TICKS) -> Generator[None]:
        """Read what views show of the time before; gives way again and again until it is done.

        It is of no use where another moment was chosen meanwhile, but for later ones in a row.
        """
        position, probe, run = self.position, self._watched, self._built
        if position is None:
            return
        ticks = min(ticks, FLAME_TICKS + 2 * self.store.room(probe))  # what has no room is not read
        first = max(self.began(position), position - ticks + 1)
        if self._since.get(probe, run) <= first:
            return
        past = Store()
        for record in self.tape.records(first, position, {probe}):
            past.add(record)
            if isinstance(record, Tick):
                yield
        if self._built == run and self.position is not None and self.position >= position:
            self.store.look_back(past, probe)
            self._since[probe] = first

    def _moved(self) -> None:
        self._ahead = None
        self._owed_s = 0.0

    def began(self, tick: int) -> int:
        """The first tick of the collector that spoke in this one."""
        overview = self.tape.overview
        starts = [mark.tick for mark in overview.marks if mark.kind == "start"]
        return max([overview.first, *(start for start in starts if start <= tick)])

    def _build(self, tick: int) -> None:
        before, position, probe = self.store, self.position, self._watched
        since = self._since.get(probe, self._built)
        self.store = Store()
        for record in self.tape.records(tick, tick):
            self.store.add(record)
        self.position, self._since, self._built = tick, {}, tick
        self._moved()
        if position is not None and since <= tick <= position:
            self.store.look_back(before, probe)
            self._since[probe] = since

    def _on(self) -> None:
        """Take in the next tick."""
        assert self.position is not None
        overview = self.tape.overview
        self.position = max(self.position + 1, overview.first)
        if not self._take(self._ahead or ()):  # it ends where the tape ended when it was begun
            self._ahead = self.tape.records(self.position, overview.end - 1)
            self._take(self._ahead)

    def _take(self, records: Iterable[Record]) -> bool:
        """Take records in up to a tick; returns whether there was one."""
        for record in records:
            self.store.add(record)
            if isinstance(record, Tick):
                self._catch_up(record)
                return True
        return False

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
