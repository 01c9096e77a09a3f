"""A profile for https://www.speedscope.app: one in all, with the processes as first frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ebpftop import __version__
from ebpftop.recording.export.stacks import frames

if TYPE_CHECKING:
    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.stacks import Stacks

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def export(stacks: Stacks, output: Output, path: str | None) -> None:
    """Write a sampled profile whose samples are the stacks, in the order of their names."""
    numbers: dict[str, int] = {}
    samples, weights = [], []
    for (process, stack), weight in sorted(stacks.sums.items()):
        names = frames(process, stack)
        samples.append([numbers.setdefault(name, len(numbers)) for name in names])
        weights.append(weight)
    name = f"{stacks.host} {stacks.probe}: {' + '.join(stacks.weight)}"
    name = ", ".join((name, *stacks.remarks))
    profile = {
        "type": "sampled",
        "name": name,
        "unit": "nanoseconds" if stacks.kind == "ns" else "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    whole = {
        "$schema": SCHEMA,
        "exporter": f"ebpftop@{__version__}",
        "name": name,
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": frame} for frame in numbers]},
        "profiles": [profile],
    }
    json.dump(whole, output.text(path), separators=(",", ":"))
