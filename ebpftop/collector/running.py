"""A probe whose programs are attached: its maps, its cost, its losses."""

from __future__ import annotations

import gc
import os
import time
from operator import itemgetter
from typing import TYPE_CHECKING

from ebpftop.collector import bpf
from ebpftop.collector.environment import Interval, Machine
from ebpftop.collector.hooks import WITHOUT_CGROUPS
from ebpftop.collector.maps import BpfMap, DoubleMap, LossCounters, Phase, clear
from ebpftop.collector.scope import SCOPE, Gate, Scope
from ebpftop.model import Cost, Sample, State, Status

if TYPE_CHECKING:
    from ebpftop.collector.loader import Loaded
    from ebpftop.model import Row
    from ebpftop.probe import Layout, Probe


# A tracepoint's program is left out while another run of it is interrupted on the same CPU.
MISSED = "runs of programs that the kernel left out"
KEPT = ("lost", "phase", SCOPE)  # maps that a new scope leaves as they are


class Running:
    """Holds the descriptors of an attached probe; closing them detaches it."""

    def __init__(
        self,
        probe: Probe,
        loaded: Loaded,
        fds: list[int],
        has_stats: bool,
        machine: Machine,
        scope: Scope,
    ) -> None:
        """Raises ValueError where the descriptor's map layouts are not those of the C file."""
        self.probe = probe
        self.loaded = loaded
        self.scope = scope
        self.started_ns = self._before_ns = 0
        self._runs_before = bpf.Runs(0, 0, 0)
        self._turned: tuple[int, int] | None = None
        self._fds = fds
        self._seq = 0
        self._has_stats = has_stats
        self._machine = machine
        maps = dict(zip((shape.name for shape in loaded.maps), zip(fds, loaded.maps)))
        lost, phase = maps.get("lost"), maps.get("phase")
        self._gate = Gate(maps[SCOPE][0])
        self._contents = [of for name, of in maps.items() if name not in KEPT]
        self._phase = Phase(phase[0]) if phase else None

        has_records = any(hook.startswith("tp:") for hook in loaded.hooks)

        def one_map(name: str, layout: Layout) -> BpfMap:
            return BpfMap(*maps[name], layout, has_records)

        def map_of(name: str, layout: Layout) -> BpfMap | DoubleMap:
            if not layout.double:
                return one_map(name, layout)
            assert self._phase is not None
            return DoubleMap(
                (one_map(name + "_0", layout), one_map(name + "_1", layout)), self._phase
            )

        self._maps = {name: map_of(name, layout) for name, layout in probe.maps.items()}
        reasons = tuple(probe.lost.values())
        self._lost = LossCounters(lost[0], reasons) if lost else None
        first = len(loaded.maps)
        self._programs = fds[first : first + len(loaded.programs)]
        if probe.symbols:
            machine.stacks.open()
        self._begin()

    def narrow(self, scope: Scope) -> None:
        """Count something else from now on, as if the probe had just been started.

        What the programs remember is of threads, files and requests of which they have not seen
        everything in the meantime, or of some too many. So all of it goes, while they stand still.
        """
        self.scope = scope
        self._gate.close()
        for _ in range(2):  # what ends now still finds its beginning the first time
            for fd, shape in self._contents:
                clear(fd, shape)
            self._gate.close()
        self._begin()

    def _begin(self) -> None:
        """Open the gate; the maps are empty."""
        if self.scope.cgroup and WITHOUT_CGROUPS in self.loaded.missing:
            self.scope = Scope()
        if self._lost:
            self._lost.since_last()
        self._runs_since_last()
        self.probe.begin()
        self.started_ns = self._before_ns = time.monotonic_ns()
        self._gate.open(self.scope)

    @property
    def status(self) -> Status:
        """Running, or degraded with the sentences that say what is not seen."""
        missing = "; ".join(self.loaded.missing)
        state: State = "degraded" if missing else "running"
        return Status(self.probe.name, state, tuple(self.loaded.hooks), missing)

    @property
    def samples(self) -> int:
        """Number of samples read so far."""
        return self._seq

    def turn(self) -> bool:
        """End the interval, where maps take turns; whether programs may be at work in the old ones.

        They must be waited for (`preemption`) before `read`.
        """
        if self._phase is None:
            return False
        self._phase.turn()
        self._turned = time.monotonic_ns(), time.time_ns()  # what ends later is in the other map
        return True

    def read(self, limit: int) -> Sample:
        """The interval that ended with `turn`; where no maps take turns, that ends now."""
        cpu_before = time.process_time_ns()
        now_ns, wall_ns = self._turned or (time.monotonic_ns(), time.time_ns())
        interval = Interval(self._machine, now_ns, now_ns - self._before_ns, limit, self.scope)
        gc.disable()  # a hundred thousand short-lived tuples are no reason to search for cycles
        try:
            tables = self.probe.read(self._maps, interval)
            for rows in tables.values():
                put_in_order(rows)
        finally:
            gc.enable()
        for bpf_map in self._maps.values():
            bpf_map.release()
        for reason, number in (self._lost.since_last() if self._lost else {}).items():
            interval.lose(reason, number)
        self._seq += 1
        self._before_ns = now_ns
        runs = self._runs_since_last()
        interval.lose(MISSED, runs.missed)
        events, run_ns = (runs.number, runs.ns) if self._has_stats else (None, None)
        return Sample(
            self.probe.name,
            self._seq,
            wall_ns,
            now_ns,
            interval.dt_ns,
            tables,
            interval.lost,
            Cost(events, run_ns, time.process_time_ns() - cpu_before),
            interval.truncated,
            self.scope.told,
        )

    def close(self) -> None:
        """Detach the programs and free the maps."""
        if self._fds and self.probe.symbols:
            self._machine.stacks.close()
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def _runs_since_last(self) -> bpf.Runs:
        """What all programs did since this was last asked."""
        before = self._runs_before
        each = zip(*(bpf.program_runs(fd) for fd in self._programs))
        self._runs_before = bpf.Runs(*map(sum, each))
        return bpf.Runs(*(now - then for now, then in zip(self._runs_before, before)))


def put_in_order(rows: list[Row]) -> None:
    """Sort by the first column, rows of the others last.

    Views have orders of their own; but what is alike from sample to sample should look alike to
    whoever compresses it: it takes an eighth from a recording, for 0.1 ms per thousand rows.
    """
    others = [row for row in rows if row[0] is None]
    if others:
        rows[:] = [row for row in rows if row[0] is not None]
    rows.sort(key=itemgetter(0))
    rows += others
