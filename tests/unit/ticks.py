"""Ticks made by hand and at random, for the tests of timelines."""

import math
import random
from typing import Any

from ebpftop.recording.overview import Overview, Summary

SECOND = 1_000_000_000
START_NS = 1_763_546_400 * SECOND  # 2025-11-19 10:00:00 UTC
HOSTILE = "[/b]\x1b[31m\u202ered\n"
PROBE = "biotop"


def overview(loads, marks=(), lost=None, gaps=None, wall_ns=START_NS) -> Overview:
    """Ticks of a second with these loads; `gaps` are seconds more before some ticks."""
    made, summary = Overview(), Summary()
    for tick in range(len(loads)):
        wall_ns += SECOND + round((gaps or {}).get(tick, 0) * SECOND)
        summary.wall_ns.append(wall_ns)
    summary.mono_ns = list(summary.wall_ns)
    summary.loads[PROBE] = list(loads)
    summary.lost[PROBE] = dict(lost or {})
    gone: list[Any] = [(tick, "gap", "", "nothing was measured") for tick in gaps or {}]
    summary.marks = sorted([*gone, *marks])
    made.append(summary)
    return made


def made_at_random(seed):
    """Ticks as they can be: loads of any size, unknown ones, gaps, losses, failures."""
    r = random.Random(seed)
    number = r.choice((1, 2, 3, 10, 59, 100, 600, 2000))
    loads = [r.choice((0.0, math.nan, r.random(), 10 ** r.uniform(0, 9))) for _ in range(number)]
    some = lambda share: [tick for tick in range(1, number) if r.random() < share]  # noqa: E731
    gaps = {tick: r.uniform(2, 90_000) for tick in some(r.choice((0, 0.01, 0.5)))}
    kinds = ("failed", "clock", "interval", "start", "damaged")
    marks = [(tick, r.choice(kinds), r.choice(("", PROBE, "x")), HOSTILE) for tick in some(0.02)]
    made = overview(loads, marks, dict.fromkeys(some(0.05), 3), gaps)
    made.forget(r.choice((0, number // 3)))
    return made, r
