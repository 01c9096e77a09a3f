"""What a flame shows, as a file for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.views import format as fmt
from ebpftop.views.ranges import Span
from ebpftop.views.window import covered_ns, described

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.recording.export.stacks import Stacks
    from ebpftop.views.stacks import Window

FORMATS = {"svg": "SVG", "folded": "folded", "speedscope": "speedscope"}


def save(kind: str, stacks: Stacks) -> str:
    """Write stacks to a new file in the current directory; returns its name.

    The picture of 10,000 stacks takes two seconds: not for the thread that draws the screen.

    Raises:
        OSError: it cannot be written.
    """
    # Imported when first used: the start does not wait for what few need.
    from ebpftop.recording.export import SUFFIXES, folded, speedscope, svg
    from ebpftop.recording.export.output import Output
    from ebpftop.recording.names import file_name

    exports = {"svg": svg, "folded": folded, "speedscope": speedscope}
    path = file_name(stacks.host, stacks.probe, SUFFIXES[kind])
    with Output() as output:
        exports[kind].export(stacks, output, path)
    return path


def shown(window: Window, host: str, remarks: Iterable[str] = ()) -> Stacks:
    """The stacks in the tree of a window, as it is now.

    `remarks` say what they are of, besides what the window knows.
    """
    from ebpftop.recording.export.stacks import Stacks, weight_of

    table, samples = window.info.table(window.view.table), window.samples
    selection = described(table, window.match, window.names)
    first, last = samples[0], samples[-1]
    # The sum of a range has the time of its end.
    since_ns = first.wall_ns - first.dt_ns * isinstance(first, Span)
    stacks = Stacks(
        window.info.name,
        table,
        weight_of(table, window.weight),
        samples=0 if isinstance(last, Span) else len(samples),
        dt_ns=covered_ns(samples),
        lost=sum(sum(sample.lost.values()) for sample in samples),
        host=host,
        wall_ns=(since_ns, last.wall_ns),
        asleep=window.sleepers,
        grouped=window.folding.grouped,
        remarks=tuple(filter(None, (*remarks, selection, *window.folding.told))),
    )
    for name, stack, weight in window.tree.stacks():
        key = fmt.clean(name).replace(";", ":"), fmt.clean(stack)
        stacks.sums[key] = stacks.sums.get(key, 0) + weight
    return stacks
