"""One line on how far a pane's figures can be trusted: losses, gaps, cost, and the hooks in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from ebpftop.model import Sample, Status

# An interval this much longer than asked for is said: rates are right, but peaks are flattened.
STRETCHED = 1.25


@dataclass(frozen=True)
class Part:
    """A piece of the line; warnings come first and stand out."""

    text: str
    level: Literal["warning", "plain", "dim"] = "plain"


def quality(status: Status | None, sample: Sample | None, interval_ns: int) -> tuple[Part, ...]:
    """The parts of the line, most important first."""
    parts: list[Part] = []
    if status and status.state == "degraded" and status.reason:
        parts.append(Part(f"degraded: {fmt.clean(status.reason)}", "warning"))
    if sample:
        parts += _warnings(sample, interval_ns)
        parts += _cost(sample)
    if status and status.hooks:
        parts.append(Part(hooks(status.hooks), "dim"))
    return tuple(parts)


def hooks(names: tuple[str, ...]) -> str:
    """Hooks by kind: `raw_tp: sched_switch, sched_wakeup`."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, target = name.partition(":")
        kinds.setdefault(kind, []).append(target or kind)
    return "  ".join(f"{kind}: {', '.join(targets)}" for kind, targets in kinds.items())


def _warnings(sample: Sample, interval_ns: int) -> list[Part]:
    parts = [
        Part(f"lost {fmt.count(number)}: {fmt.clean(reason)}", "warning")
        for reason, number in sample.lost.items()
        if number
    ]
    if interval_ns and sample.dt_ns > interval_ns * STRETCHED:
        asked, took = fmt.ns(interval_ns), fmt.ns(sample.dt_ns)
        parts.append(Part(f"interval {took} instead of {asked}", "warning"))
    return parts


def _cost(sample: Sample) -> list[Part]:
    events, run_ns, dt_ns = sample.cost.events, sample.cost.run_ns, sample.dt_ns
    parts = []
    if events is None or run_ns is None or dt_ns <= 0:
        parts.append(Part("cost unknown: no BPF statistics on this kernel"))
    else:
        parts.append(Part(f"{fmt.count(events * 1e9 / dt_ns)} events/s"))
        parts.append(Part(f"{fmt.ns(run_ns / events if events else None)}/event"))
        parts.append(Part(f"{fmt.ratio(run_ns / dt_ns)} of a core"))
    if not any(sample.lost.values()):
        parts.append(Part("nothing lost"))
    folded = sum(sample.truncated.values())
    if folded:
        parts.append(Part(f"{fmt.count(folded)} rows folded into others"))
    return parts
