"""What every drawing starts from: the samples of a span of time, and the rows that are selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ebpftop.model import Row, Sample, Table

NS_PER_S = 1_000_000_000


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
    """How long samples cover, for a heading: `last 10 s`."""
    seconds = covered_ns(samples) / NS_PER_S
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
