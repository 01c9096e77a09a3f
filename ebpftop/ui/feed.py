"""What the screen shows: the newest of a stream, or a moment of what is on the tape.

A live stream is on the tape of the flight recorder, a recording is a tape from the start; from
here on they are the same.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

from ebpftop.model import Command, Hello
from ebpftop.recording.flight import FlightRecorder
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer
from ebpftop.sources.player import Player
from ebpftop.ui.spans import Spans
from ebpftop.views.store import Store

if TYPE_CHECKING:
    from ebpftop.model import Record
    from ebpftop.recording.tape import Tape
    from ebpftop.sources.base import Source
    from ebpftop.ui.widgets.header import Mode

INTERVALS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Feed:
    """The stream, its tape, and the moment that is shown.

    Attributes:
        live: whether the source takes commands.
        stream: whether records come in by themselves; a recording has to be played.
        tape: what can be rewound.
        player: the position on it.
        spans: the ranges that are marked on it.
        following: whether the newest is shown as it comes.
        rewound: whether another moment was chosen since the display was stopped.
        ended: why there will be no more records; empty while there may be.
        failed: whether that end is a fault.
        interval_ns: the interval that was asked for.
        writer: the recording that is being made; None while there is none.
    """

    def __init__(self, source: Source | None, tape: Tape | None = None, loop: bool = False) -> None:
        """Over a source of records, or over a tape."""
        self.live = source is not None and source.live
        self.stream = source is not None
        self._source = source
        self._flight = FlightRecorder()
        self.tape: Tape = tape or self._flight
        self.player = Player(self.tape, loop)
        self.spans = Spans(self.tape)
        self.store = Store()
        self.following = self.stream
        self.rewound = False
        self.ended = ""
        self.failed = False
        self.interval_ns = 0
        self.writer: Writer | None = None

    @property
    def shown(self) -> Store:
        """The store to draw from."""
        return self.store if self.now else self.player.store

    @property
    def now(self) -> bool:
        """Whether the newest of a stream is shown, and no moment of a tape."""
        return self.stream and self.following

    @property
    def wall_ns(self) -> int | None:
        """When the tick ended that is shown; None where the newest is, or it was forgotten."""
        tick, overview = self.player.position, self.tape.overview
        if self.now or tick is None or not overview.first <= tick < overview.end:
            return None
        return overview.wall(tick)

    @property
    def asked_ns(self) -> int:
        """The interval that was asked for at the moment that is shown."""
        return self.interval_ns if self.now else self.player.store.interval_ns

    @property
    def mode(self) -> Mode:
        """The word that the header says."""
        if not self.following:
            return "replay" if self.player.playing else "paused"
        if self.ended:
            return "ended"
        if self.stream and self.store.hello is None:
            return "waiting"
        return "live" if self.live else "stream"

    def send(self, command: Command) -> None:
        """Ask the collector for something; nothing happens where there is none."""
        if self._source is not None:
            self._source.send(command)

    def add(self, record: Record) -> str:
        """Take in a record, whatever is shown; returns what went wrong with the recording."""
        self.store.add(record)
        self._flight.add(record)
        if isinstance(record, Hello):
            self.interval_ns = record.interval_ns
        if self.writer is not None:
            try:
                self.writer.add(record)
            except RecordingError as error:
                self.writer = None
                return str(error)
        return ""

    def end(self, reason: str, failed: bool) -> None:
        """There will be no more records."""
        self.ended, self.failed = reason, failed

    # Moving through time

    def open_tape(self) -> None:
        """Stand at the newest of a recording that still grows, else at the start of it, playing."""
        if self.tape.growing:
            self.follow()
        else:
            self.player.seek(self.tape.overview.first)
            self.player.toggle()

    def pause(self) -> None:
        """Stop the display where it is."""
        if self.following:
            self.following = self.rewound = self.player.playing = False
            if self.stream:
                self.player.park(self.store.freeze())

    def follow(self) -> None:
        """Show the newest, and where more is to come, go on with it."""
        self.player.playing = self.rewound = False
        self.following = self.stream or self.tape.growing
        if self.following:
            self.spans.clear()
        if not self.stream:
            self.tape.refresh()
            self.player.seek(self.tape.overview.end - 1)

    def toggle(self) -> None:
        """Stop; or go on, from here if another moment was chosen, else with the newest."""
        if self.following:
            self.pause()
        elif self.stream and not self.rewound:
            self.follow()
        else:
            self.player.toggle()

    def seek(self, tick: int) -> None:
        """Show a moment."""
        self.pause()
        self.player.seek(tick)
        self.rewound = True

    def step(self, ticks: int) -> None:
        """Show the moment so many ticks on, or back."""
        self.pause()
        self.player.playing = False
        self.player.step(ticks)
        self.rewound = True

    def watch(self, probe: str) -> None:
        """A pane is shown: have what it needs of the past."""
        self.player.watch(probe)

    def advance(self, seconds: float) -> bool:
        """Let time go by; returns whether there is something else to be shown."""
        fresh = not self.stream and self.tape.refresh() > 0
        if self.following:
            if fresh:
                self.player.seek(self.tape.overview.end - 1)
            elif not self.stream:
                self.following = self.tape.growing
            return fresh
        moved = self.player.advance(seconds)
        if self.player.playing and self.player.at_end and self.tape.growing:
            self.follow()
        return moved or fresh

    # Recording

    def record(self, path: str) -> None:
        """Record what comes from now on; raises RecordingError."""
        self.writer = Writer(path, chunker=self._flight.continued())

    def stop_recording(self) -> Writer | None:
        """End the recording; raises RecordingError where its end cannot be written."""
        writer, self.writer = self.writer, None
        if writer:
            writer.close()
        return writer

    def save(self, path: str) -> float:
        """Write the last minutes to a file; returns how many seconds they are.

        Raises:
            RecordingError: it cannot be written.
        """
        self._flight.save(path)
        times = self._flight.overview.mono_ns
        return (times[-1] - times[0]) / 1e9 if times else 0.0

    def close(self) -> None:
        """End a recording, and let go of the tape; raises RecordingError as `stop_recording`."""
        self.tape.close()
        self.stop_recording()

    def change_interval(self, step: int) -> float:
        """Ask for the next longer or shorter interval; returns its seconds."""
        seconds = self.interval_ns / 1e9
        nearest = min(range(len(INTERVALS_S)), key=lambda i: abs(INTERVALS_S[i] - seconds))
        chosen = INTERVALS_S[min(len(INTERVALS_S) - 1, max(0, nearest + step))]
        self.send(Command("interval", seconds=chosen))
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
