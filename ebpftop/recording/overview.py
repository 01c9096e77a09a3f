"""What a timeline shows of a recording: per tick its time, and the load and losses of each probe.

It is small enough to hold that of a day: a recording keeps it beside the chunks, so that it can be
drawn before any chunk is read.
"""

from __future__ import annotations

import bisect
import sys
from array import array
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from ebpftop.model import Hello, Sample, Status, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence, Sequence

    from ebpftop.model import ProbeInfo, Record

MarkKind = Literal["gap", "clock", "failed", "interval", "start", "damaged"]
NS_PER_S = 1_000_000_000
NAN = float("nan")
# Of an interval: so much more between two ticks is a gap.
GAP = 2.5
# The two clocks drift apart by less than this between two ticks, unless one of them was set.
CLOCK_NS = 2 * NS_PER_S
LISTED = 100_000
MAX_LOAD = 3e38  # of a 32-bit float


@dataclass(frozen=True)
class Mark:
    """Something that happened at a tick; `text` says what in a few words, and is hostile text.

    `gap`: no ticks for a while before this one. `clock`: the wall clock jumped, or the machine
    slept. `failed`: a probe failed or went missing. `interval`: another one was asked for.
    `start`: a collector began to speak. `damaged`: the recording cannot be read from here on.
    """

    tick: int
    kind: MarkKind
    probe: str
    text: str


@dataclass
class Summary:
    """The overview of one chunk, or of one tick; ticks count from its start.

    Attributes:
        loads: by probe, one figure a tick; NaN where it had no sample.
        lost: by probe, what it lost in which tick.
        marks: tick, kind, probe and text of each.
    """

    wall_ns: MutableSequence[int] = field(default_factory=lambda: array("q"))
    mono_ns: MutableSequence[int] = field(default_factory=lambda: array("q"))
    interval_ns: int = 0
    loads: dict[str, MutableSequence[float]] = field(default_factory=dict)
    lost: dict[str, dict[int, int]] = field(default_factory=dict)
    marks: list[tuple[int, MarkKind, str, str]] = field(default_factory=list)

    @property
    def ticks(self) -> int:
        """How many ticks it is of."""
        return len(self.wall_ns)

    def join(self, other: Summary) -> None:
        """Add the ticks that follow."""
        at = self.ticks
        self.wall_ns.extend(other.wall_ns)
        self.mono_ns.extend(other.mono_ns)
        self.interval_ns = other.interval_ns
        _join_loads(self.loads, at, other)
        for name, lost in other.lost.items():
            self.lost.setdefault(name, {}).update({at + tick: n for tick, n in lost.items()})
        self.marks += [(at + tick, kind, of, text) for tick, kind, of, text in other.marks]

    def fields(self) -> dict[str, Any]:
        """All but the columns, as JSON has it."""
        return {
            "ticks": self.ticks,
            "interval_ns": self.interval_ns,
            "loads": list(self.loads),
            "lost": self.lost,
            "marks": self.marks,
        }

    def columns(self) -> bytes:
        """The clocks as 64-bit integers and the loads as 32-bit floats, little-endian."""
        columns: list[array[Any]] = [array("q", self.wall_ns), array("q", self.mono_ns)]
        columns += [array("f", values) for values in self.loads.values()]
        return b"".join(_swapped(column).tobytes() for column in columns)

    @classmethod
    def of(cls, fields: dict[str, Any], columns: bytes) -> Summary:
        """The summary of such; raises KeyError, TypeError, ValueError or AttributeError."""
        ticks, names, at = int(fields["ticks"]), [str(name) for name in fields["loads"]], 0
        if len(columns) != ticks * (16 + 4 * len(names)):
            raise ValueError("a summary whose parts differ in length")
        taken: list[array[Any]] = []
        for code in ("q", "q", *("f" * len(names))):
            column = array(code)
            length = ticks * column.itemsize
            column.frombytes(columns[at : at + length])
            taken.append(_swapped(column))
            at += length
        wall_ns, mono_ns, *loads = taken
        lost = {
            str(name): {int(tick): int(number) for tick, number in of.items()}
            for name, of in fields["lost"].items()
        }
        marks = [(int(t), kind, str(probe), str(text)) for t, kind, probe, text in fields["marks"]]
        interval_ns = int(fields["interval_ns"])
        return cls(wall_ns, mono_ns, interval_ns, dict(zip(names, loads)), lost, marks)


def _swapped(column: array[Any]) -> array[Any]:
    """The same in the other order of bytes, where this machine's is not the file's."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column


def _join_loads(loads: dict[str, MutableSequence[float]], at: int, fresh: Summary) -> None:
    """Add loads to those of `at` ticks before; either may know probes that the other does not."""
    for name in fresh.loads:
        if name not in loads:
            loads[name] = array("f", [NAN]) * at
    for name, values in loads.items():
        values.extend(fresh.loads.get(name) or array("f", [NAN]) * fresh.ticks)


class Overview:
    """The ticks of a recording, numbered from the first that it ever held.

    Attributes:
        first: number of the oldest tick that is still there; a flight recorder forgets.
        wall_ns, mono_ns: clocks at the end of each tick, the oldest first.
        loads: by probe, the figure that its pane sorts by, per second; NaN where it had no sample.
        lost: by probe, what it lost in which tick.
        marks: in the order of their ticks.
    """

    def __init__(self) -> None:
        self.first = 0
        self.wall_ns: array[int] = array("q")
        self.mono_ns: array[int] = array("q")
        self.loads: dict[str, MutableSequence[float]] = {}
        self.lost: dict[str, dict[int, int]] = {}
        self.marks: list[Mark] = []

    def __len__(self) -> int:
        return len(self.wall_ns)

    @property
    def end(self) -> int:
        """Number of the tick that comes next."""
        return self.first + len(self.wall_ns)

    def wall(self, tick: int) -> int:
        """UTC at the end of a tick, in ns; raises IndexError for one that is not there."""
        return self.wall_ns[self._index(tick)]

    def mono(self, tick: int) -> int:
        """The monotonic clock at the end of a tick."""
        return self.mono_ns[self._index(tick)]

    def load(self, probe: str, tick: int) -> float:
        """Load of a probe in a tick; NaN where it had no sample."""
        values = self.loads.get(probe)
        return values[self._index(tick)] if values else NAN

    def at(self, wall_ns: int) -> int:
        """The last tick that is not after a moment; the first where all are.

        Where the clock was set back, the earliest of the moments that answer is taken.
        """
        times = self.wall_ns
        for position in range(len(times) - 1):
            if times[position] <= wall_ns < times[position + 1]:
                return self.first + position
        return self.first if not times or wall_ns < times[0] else self.end - 1

    def marks_between(self, first: int, end: int) -> Sequence[Mark]:
        """The marks of the ticks from `first` to before `end`."""
        key: Callable[[Mark], int] = lambda mark: mark.tick  # noqa: E731
        low = bisect.bisect_left(self.marks, first, key=key)
        return self.marks[low : bisect.bisect_left(self.marks, end, lo=low, key=key)]

    def append(self, summary: Summary) -> None:
        """Add the ticks of a chunk, or of one tick."""
        at, before = self.end, len(self)
        self.wall_ns.extend(summary.wall_ns)
        self.mono_ns.extend(summary.mono_ns)
        _join_loads(self.loads, before, summary)
        for name, lost in summary.lost.items():
            self.lost.setdefault(name, {}).update({at + t: n for t, n in lost.items()})
        if len(self.marks) < LISTED:
            self.marks += [
                Mark(at + tick, kind, probe, text) for tick, kind, probe, text in summary.marks
            ]

    def forget(self, ticks: int) -> None:
        """Drop the oldest ticks."""
        del self.wall_ns[:ticks], self.mono_ns[:ticks]
        for values in self.loads.values():
            del values[:ticks]
        self.first += ticks
        for name, lost in self.lost.items():
            self.lost[name] = {tick: n for tick, n in lost.items() if tick >= self.first}
        self.marks = [mark for mark in self.marks if mark.tick >= self.first]

    def _index(self, tick: int) -> int:
        index = tick - self.first
        if not 0 <= index < len(self.wall_ns):
            raise IndexError(f"tick {tick} is not in this recording")
        return index


class Meter:
    """Works out the summary of ticks, from the records as they come."""

    def __init__(self, hello: Hello | None = None) -> None:
        """`hello` is who speaks, where that was said before."""
        self.summary = Summary()
        self._columns: dict[str, tuple[str, int, bool]] = {}
        self._loads: dict[str, float] = {}
        self._lost: dict[str, int] = {}
        self._before: Tick | None = None
        self._pending: list[tuple[MarkKind, str, str]] = []
        if hello:
            self._learn(hello)

    def add(self, record: Record) -> bool:
        """Take in a record; returns whether a tick ended with it."""
        if isinstance(record, Sample):
            self._add_sample(record)
        elif isinstance(record, Tick):
            self._end(record)
            return True
        elif isinstance(record, Status):
            if record.probe and record.state in ("failed", "unavailable"):
                self._pending.append(("failed", record.probe, record.reason[:200]))
        elif isinstance(record, Hello):
            self._learn(record)
            self._pending.append(("start", "", f"{record.host} {record.kernel}"))
        return False

    def take(self) -> Summary:
        """The summary so far; the next begins empty."""
        taken, self.summary = self.summary, Summary()
        return taken

    def _learn(self, hello: Hello) -> None:
        self._columns = {probe.name: load_of(probe) for probe in hello.probes if probe.views}

    def _add_sample(self, sample: Sample) -> None:
        if sample.lost:
            number = sum(sample.lost.values())
            self._lost[sample.probe] = self._lost.get(sample.probe, 0) + number
        where = self._columns.get(sample.probe)
        if where is None or sample.dt_ns <= 0:
            return
        table, position, rate = where
        try:
            total = sum(filter(None, map(itemgetter(position), sample.tables.get(table, ()))))
            load = float(f"{total * NS_PER_S / sample.dt_ns if rate else total:.4g}")
        except (IndexError, TypeError, ValueError, OverflowError):
            return  # rows are not as they were described: there is no figure
        if abs(load) < MAX_LOAD:
            self._loads[sample.probe] = load

    def _end(self, tick: Tick) -> None:
        made, at = self.summary, self.summary.ticks
        made.wall_ns.append(tick.wall_ns)
        made.mono_ns.append(tick.mono_ns)
        made.interval_ns = tick.interval_ns
        for name in self._loads:
            made.loads.setdefault(name, array("f", [NAN]) * at)
        for name, values in made.loads.items():
            values.append(self._loads.get(name, NAN))
        for name, number in self._lost.items():
            if number:
                made.lost.setdefault(name, {})[at] = number
        pending = [*self._pending, *_jumps(self._before, tick)]
        made.marks += [(at, *mark) for mark in pending]
        self._loads, self._lost, self._pending, self._before = {}, {}, [], tick


def load_of(probe: ProbeInfo) -> tuple[str, int, bool]:
    """Table and position of the figure that a probe's timeline shows, and whether it is a rate.

    It is what the pane's first table sorts by; where that is no column of the table, the first
    figure that adds up.
    """
    view = next((view for view in probe.views if view.kind == "table"), probe.views[0])
    table = probe.table(view.table)
    adding = [column for column in table.columns if column.fold == "sum"]
    column = next((c for c in adding if c.name == view.sort), adding[0] if adding else None)
    if column is None:
        return table.name, 0, False
    return table.name, table.index(column.name), column.kind != "ratio"


def _jumps(before: Tick | None, now: Tick) -> list[tuple[MarkKind, str, str]]:
    """What is odd about the time between two ticks."""
    if before is None:
        return []
    wall, mono = now.wall_ns - before.wall_ns, now.mono_ns - before.mono_ns
    marks: list[tuple[MarkKind, str, str]] = []
    if mono < 0:
        return [("clock", "", "the machine was started again")]
    if wall - mono < -CLOCK_NS:
        marks.append(("clock", "", f"the clock went back {(mono - wall) / NS_PER_S:.0f} s"))
    elif wall - mono > CLOCK_NS:
        text = f"{(wall - mono) / NS_PER_S:.0f} s passed unseen: asleep, or the clock was set"
        marks.append(("clock", "", text))
    if mono > GAP * max(before.interval_ns, now.interval_ns):
        marks.append(("gap", "", f"nothing was measured for {mono / NS_PER_S:.0f} s"))
    if now.interval_ns != before.interval_ns:
        marks.append(("interval", "", f"every {now.interval_ns / NS_PER_S:g} s from here"))
    return marks
