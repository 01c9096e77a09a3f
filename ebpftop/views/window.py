"""What every drawing starts from: the samples of a span of time, and the rows that are selected."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ebpftop.views import format as fmt
from ebpftop.views.ranges import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ebpftop.model import Row, Sample, Table

NS_PER_S = 1_000_000_000
POINTS = 600
# Of an interval: if more than that lies between two samples, the probe did not run in between.
GAP = 1.5
T = TypeVar("T")


@dataclass(frozen=True)
class Point(Generic[T]):
    """What was worked out of one sample, and the interval that it is of."""

    mono_ns: int
    dt_ns: int
    value: T


class Course(Generic[T]):
    """What was worked out of each sample, oldest first.

    It is worked out once, and outlives the rows: where there are many of them, the store keeps
    those of a few seconds only.

    Attributes:
        points: of the newest `limit` samples that were shown to it.
    """

    def __init__(
        self, table: Table, work: Callable[[Sample, list[Row]], T], limit: int = POINTS
    ) -> None:
        self.points: deque[Point[T]] = deque(maxlen=limit)
        self._table = table
        self._work = work
        self._match: dict[str, object] = {}
        self._last: Sample | None = None

    def update(self, samples: Sequence[Sample], match: Mapping[str, object]) -> None:
        """Bring the points to the newest sample; another selection or history starts anew."""
        if match != self._match or not continues(self._last, samples) or self._deeper(samples):
            self.points.clear()
            self._match = dict(match)
        last = self.points[-1].mono_ns if self.points else -1
        select = selector(self._table, match)
        for sample in samples:
            if sample.mono_ns > last:
                rows = select(sample.tables.get(self._table.name, ()))
                self.points.append(Point(sample.mono_ns, sample.dt_ns, self._work(sample, rows)))
        self._last = samples[-1] if samples else None

    def _deeper(self, samples: Sequence[Sample]) -> bool:
        """Whether there are samples now from before the oldest point."""
        if not self.points or len(self.points) == self.points.maxlen:
            return False
        return samples[0].mono_ns < self.points[0].mono_ns


def continues(last: Sample | None, samples: Sequence[Sample]) -> bool:
    """Whether a sample that was the newest is among those of now; the sum of a range is another."""
    return last is not None and any(
        sample is last
        or (
            sample.mono_ns == last.mono_ns
            and sample.seq == last.seq
            and not (isinstance(sample, Span) or isinstance(last, Span))
        )
        for sample in reversed(samples)
    )


def gaps(points: Sequence[Point[Any]]) -> list[int]:
    """Positions of the points before which the probe did not run."""
    pairs = enumerate(pairwise(points), 1)
    return [i for i, (one, after) in pairs if after.mono_ns - one.mono_ns > GAP * after.dt_ns]


def recent(samples: Sequence[Sample], seconds: float) -> list[Sample]:
    """The newest samples, oldest first: as many as it takes to look back so far from the last."""
    kept: list[Sample] = []
    for sample in reversed(samples):
        if kept and sample.mono_ns <= kept[0].mono_ns - seconds * NS_PER_S:
            break
        kept.append(sample)
    return kept[::-1]


def covered_ns(samples: Iterable[Sample]) -> int:
    """The time that samples measured, added up: less than their span where a probe was stopped."""
    return sum(sample.dt_ns for sample in samples)


def lasted(samples: Iterable[Sample]) -> str:
    """How long samples cover, for a heading: `last 10 s`; of the sum of a range `over 5m03s`."""
    samples = tuple(samples)
    covered = covered_ns(samples)
    if any(isinstance(sample, Span) for sample in samples):
        return f"over {fmt.ns(covered)}"
    seconds = covered / NS_PER_S
    return f"last {seconds:.0f} s" if seconds >= 9.5 else f"last {seconds:.1g} s"


def selector(table: Table, match: Mapping[str, object]) -> Callable[[Iterable[Row]], list[Row]]:
    """Keeps the rows whose columns equal those of `match`; names the table lacks restrict nothing.

    The row of the others, whose keys are None, belongs to no selection.
    """
    wanted = [(table.index(name), match[name]) for name in restricting(table, match)]
    if not wanted:
        return list

    def select(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if all(row[i] == value for i, value in wanted)]

    return select


def restricting(table: Table, match: Mapping[str, object]) -> list[str]:
    """The names in `match` that the table has, in the order of its columns."""
    return [column.name for column in table.columns if column.name in match]


def described(
    table: Table, match: Mapping[str, object], names: Mapping[int, str] | None = None
) -> str:
    """The selection in words, safe to show: `vda read`, `postgres[812]`."""
    return " ".join(
        process(match[name], names or {}) if name == "pid" else fmt.label(match[name])
        for name in restricting(table, match)
    )


def process(pid: Any, names: Mapping[int, str]) -> str:
    """A process as it is called everywhere: `comm[pid]`, or the pid alone while that is all."""
    comm = names.get(pid)
    return f"{fmt.clean(comm)}[{pid}]" if comm else f"pid {fmt.label(pid)}"
