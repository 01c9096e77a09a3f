"""What the stream has said so far, as much of it as the screen can use.

Memory is bounded: the newest sample of a probe is whole, older ones keep only the tables that are
drawn over time, and the oldest go when the rows kept exceed a limit.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from ebpftop.model import Bye, Hello, Process, Sample, Status, Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpftop.model import ProbeInfo, Record

HOST = "host"
HISTORY_SAMPLES = 600
HISTORY_ROWS = 12_000
PROCESSES = 16_384
STACKS = 16_384


def remember(processes: dict[int, Process], process: Process, limit: int) -> int | None:
    """Keep an identity as the newest of its pid; returns the pid that is forgotten for it, if any.

    The dictionary stays in the order of the last news, so the first is the one to forget.
    """
    processes.pop(process.pid, None)
    processes[process.pid] = process
    if len(processes) <= limit:
        return None
    oldest = next(iter(processes))
    del processes[oldest]
    return oldest


class History:
    """Samples of one probe, oldest first."""

    def __init__(self, drawn: frozenset[str]) -> None:
        """`drawn` are the tables of which older samples are kept."""
        self.samples: deque[Sample] = deque()
        self._drawn = drawn
        self._rows = 0

    def add(self, sample: Sample) -> None:
        """Append the newest; what was the newest keeps its drawn tables only."""
        if self.samples:
            before = self.samples[-1]
            if not self._drawn.issuperset(before.tables):
                tables = {name: rows for name, rows in before.tables.items() if name in self._drawn}
                self.samples[-1] = replace(before, tables=tables)
            self._rows += _rows(self.samples[-1])
        self.samples.append(sample)
        while len(self.samples) > 1 and (
            self._rows > HISTORY_ROWS or len(self.samples) > HISTORY_SAMPLES
        ):
            self._rows -= _rows(self.samples.popleft())

    @property
    def room(self) -> int:
        """How many samples like the newest are kept."""
        drawn = [rows for name, rows in self.samples[-1].tables.items() if name in self._drawn]
        return min(HISTORY_SAMPLES, HISTORY_ROWS // max(1, sum(map(len, drawn))))

    def after(self, past: History) -> History:
        """The samples of another that are older than these, and then these."""
        joined, begin_ns = History(self._drawn), self.samples[0].mono_ns
        for sample in past.samples:
            if sample.mono_ns < begin_ns:
                joined.add(sample)
        for sample in self.samples:
            joined.add(sample)
        return joined

    def copy(self) -> History:
        """The same samples, to which nothing will be added."""
        twin = copy.copy(self)
        twin.samples = self.samples.copy()
        return twin


class Store:
    """Takes records in the order of the stream; never forgets the last sample of a probe.

    Where another collector begins to speak, it forgets all that was said by the one before.

    Attributes:
        hello: who speaks; None before the first record.
        interval_ns: the interval that was asked for when the newest tick ended.
        statuses: newest status of each probe.
        processes: identities by process id, the newest of each; `names` only their commands.
        cgroups: name of each cgroup id that a process was seen in; `paths` its path.
        host: newest sample of the host's own figures.
        bye: set when the stream ended in good order.
    """

    def __init__(self) -> None:
        self.hello: Hello | None = None
        self.interval_ns = 0
        self.statuses: dict[str, Status] = {}
        self.processes: dict[int, Process] = {}
        self.names: dict[int, str] = {}
        self.cgroups: dict[int, str] = {}
        self.paths: dict[int, str] = {}
        self.host: Sample | None = None
        self.bye: Bye | None = None
        self._histories: dict[str, History] = {}
        self._stacks: dict[str, str] = {}
        self._batch: set[str] = set()

    def add(self, record: Record) -> None:
        """Take in one record."""
        if isinstance(record, Sample):
            self._add_sample(record)
        elif isinstance(record, Process):
            self._add_process(record)
        elif isinstance(record, Status):
            self._add_status(record)
        elif isinstance(record, Tick):
            self.interval_ns = record.interval_ns
        elif isinstance(record, Hello):
            if self.hello is not None and speaker(record) != speaker(self.hello):
                self.__init__()  # type: ignore[misc]
            self.hello, self.interval_ns = record, record.interval_ns
        elif isinstance(record, Bye):
            self.bye = record

    def probes(self) -> tuple[ProbeInfo, ...]:
        """The probes that have a pane, in menu order."""
        if self.hello is None:
            return ()
        return tuple(probe for probe in self.hello.probes if probe.views)

    def samples(self, probe: str) -> Sequence[Sample]:
        """History of a probe, oldest first; empty before its first sample."""
        history = self._histories.get(probe)
        return history.samples if history else ()

    def room(self, probe: str) -> int:
        """How many samples like the newest are kept of a probe."""
        history = self._histories.get(probe)
        return history.room if history else HISTORY_SAMPLES

    def latest(self, probe: str) -> Sample | None:
        """Newest sample of a probe."""
        samples = self.samples(probe)
        return samples[-1] if samples else None

    def state(self, probe: str) -> str:
        """State of a probe; `idle` before anything is known."""
        status = self.statuses.get(probe)
        return status.state if status else "idle"

    def starting(self) -> tuple[int, int]:
        """Which of how many probes is being compiled: (2, 6) while one is done and five are not."""
        pending = sum(self.state(probe) == "starting" for probe in self._batch)
        return len(self._batch) - pending + 1, len(self._batch)

    def look_back(self, past: Store, probe: str) -> None:
        """Take over what a store of the same stream knows of a probe before what this one knows."""
        own, before = self._histories.get(probe), past._histories.get(probe)
        if own and before and speaker(past.hello) == speaker(self.hello):
            self._histories[probe] = own.after(before)
            self.names = {**past.names, **self.names}

    def freeze(self) -> Store:
        """The store as it is now, for a paused screen; statuses go on being those of the stream."""
        frozen = copy.copy(self)
        frozen.processes = self.processes.copy()
        frozen.names = self.names.copy()
        frozen.cgroups = self.cgroups.copy()
        frozen.paths = self.paths.copy()
        frozen._histories = {name: h.copy() for name, h in self._histories.items()}
        return frozen

    def _add_sample(self, sample: Sample) -> None:
        if sample.probe == HOST:
            self.host = sample
            return
        history = self._histories.get(sample.probe)
        if history is None:
            history = self._histories[sample.probe] = History(self._drawn_over_time(sample.probe))
        history.add(self._with_shared_stacks(sample))

    def _with_shared_stacks(self, sample: Sample) -> Sample:
        """The sample with one copy of each stack: from one to the next they are mostly the same."""
        info = self.hello.probe(sample.probe) if self.hello else None
        tables = dict(sample.tables)
        for table in info.tables if info else ():
            for position, column in enumerate(table.columns):
                if column.kind == "stack" and table.name in tables:
                    share = self._share
                    tables[table.name] = [
                        (*row[:position], share(row[position]), *row[position + 1 :])
                        for row in tables[table.name]
                    ]
        return replace(sample, tables=tables)

    def _share(self, stack: str | None) -> str | None:
        if stack is None:
            return None
        if len(self._stacks) >= STACKS:
            self._stacks.clear()
        return self._stacks.setdefault(stack, stack)

    def _add_process(self, process: Process) -> None:
        self.names[process.pid] = process.comm
        forgotten = remember(self.processes, process, PROCESSES)
        if forgotten is not None:
            del self.names[forgotten]
        if process.cgroup:
            name = process.container or process.unit or process.cgroup_path
            self.cgroups[process.cgroup] = name
            self.paths[process.cgroup] = process.cgroup_path

    def _add_status(self, status: Status) -> None:
        if status.state == "starting":
            if not any(self.state(probe) == "starting" for probe in self._batch):
                self._batch = set()
            self._batch.add(status.probe)
        self.statuses[status.probe] = status

    def _drawn_over_time(self, name: str) -> frozenset[str]:
        probe = self.hello.probe(name) if self.hello else None
        views = probe.views if probe else ()
        return frozenset(view.table for view in views if view.kind != "table")


def speaker(hello: Hello | None) -> tuple[object, ...]:
    """Which collector speaks; one that was started again is another one."""
    return (hello.host, hello.boot_id, hello.wall_ns, hello.mono_ns) if hello else ()


def _rows(sample: Sample) -> int:
    return sum(map(len, sample.tables.values()))
