"""What happens in the demo recording, for the tests that tell it."""

from pathlib import Path

from ebpftop.model import Process, Sample, Tick
from ebpftop.recording.reader import Recording

DEMO = Path(__file__).parents[1] / "ebpftop" / "demo.ebt"


def demo():
    """The recording; to be closed."""
    return Recording(str(DEMO))


def lived(tape, comm, probe="biotop"):
    """The first process of that name: its id, and the first and last tick in which it had rows."""
    seen: dict[int, list[int]] = {}
    tick, known = tape.overview.first, set()
    for record in tape.records(tick, tape.overview.end - 1, {probe}):
        if isinstance(record, Process) and record.comm == comm:
            known.add(record.pid)
        elif isinstance(record, Sample) and record.probe == probe:
            for pid in {row[0] for rows in record.tables.values() for row in rows} & known:
                seen.setdefault(pid, []).append(tick)
        elif isinstance(record, Tick):
            tick += 1
    pid, ticks = next(iter(seen.items()))
    return pid, ticks[0], ticks[-1]
