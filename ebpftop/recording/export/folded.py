"""Folded stacks: `process;frame;frame weight`, as flamegraph.pl, inferno and flamelens read them.

The frames of the kernel end in `_[k]`; weights are as in the table, times in nanoseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.recording.export.stacks import frames

if TYPE_CHECKING:
    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.stacks import Stacks


def export(stacks: Stacks, output: Output, path: str | None) -> None:
    """Write one line per stack, in the order of their names."""
    file = output.text(path)
    for (process, stack), weight in sorted(stacks.sums.items()):
        file.write(f"{';'.join(frames(process, stack))} {weight}\n")
