"""What a probe's `read` is given of the machine and of its interval (`ebpftop.probe.Env`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop.collector import cgroups
from ebpftop.collector.identity import who_is
from ebpftop.collector.scope import Scope
from ebpftop.collector.stacks import Stacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ebpftop.collector.identity import Identities
    from ebpftop.model import Row
    from ebpftop.probe import Entries, Frames, RowKey, StackKey

EVERYTHING = Scope()
BLOCK_DEVICES = Path("/sys/dev/block")


class Interval:
    """One probe's interval."""

    def __init__(
        self, machine: Machine, now_ns: int, dt_ns: int, limit: int, scope: Scope = EVERYTHING
    ) -> None:
        self.now_ns = now_ns
        self.dt_ns = dt_ns
        self.lost: dict[str, int] = {}
        self.truncated: dict[str, int] = {}
        self._machine = machine
        self._limit = limit
        self._scope = scope

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that are online."""
        return self._machine.cpus()

    @property
    def scope(self) -> dict[str, int]:
        """What is counted alone."""
        return self._scope.told

    def processes(self) -> set[int]:
        """Ids of the processes that the scope holds now."""
        return self._scope.processes()

    def strays(self, pids: Iterable[int]) -> set[int]:
        """Those of some processes that have been moved out of the cgroup: see `Env.strays`."""
        return self._scope.strays(pids)

    def process(self, pid: int, who: bytes = b"") -> int:
        """Make a process known to the stream, outside of `rows`; returns its cgroup id."""
        if who:
            return self._machine.identities.meet(pid, who)
        return self._machine.identities.meet_by_pid(pid)

    def who(self, pid: int) -> bytes:
        """What `fill_who` would write of a process, from /proc; empty where it is gone."""
        return who_is(pid, cgroups.of(pid, self._machine.hierarchy()))

    def fold(self, stacks: Sequence[StackKey], frames: Callable[[int], Frames | None]) -> list[str]:
        """Folded text of each stack: see `Env.fold`."""
        folded, numbers = self._machine.stacks.fold(stacks, frames)
        self.lose("addresses shown as numbers: not named in time", numbers)
        return folded

    def leave_out(self, table: str, rows: int) -> None:
        """Say that so many rows of a table went into its row of the others."""
        if rows:
            self.truncated[table] = rows

    def disk(self, dev: int) -> str:
        """Name of a block device from its number (`major << 20 | minor`)."""
        return self._machine.disk(dev)

    def lose(self, reason: str, number: int) -> None:
        """Count something that is missing from this interval's rows."""
        if number:
            self.lost[reason] = self.lost.get(reason, 0) + number

    def rows(
        self,
        table: str,
        entries: Entries,
        key: RowKey,
        weight: tuple[int, ...],
        limit: int = 0,
    ) -> list[Row]:
        """One row per entry, heaviest kept and the rest added up: see `Env.rows`."""
        if not len(entries):
            return []
        kept = entries.top(weight, limit or self._limit)
        meet = self._machine.identities.meet if entries.layout.who else _nobody
        values = list(map(entries.values, kept))
        rows: list[Row] = [
            key(entry, meet(entry[0], who)) + of_entry
            for entry, who, of_entry in zip(map(entries.key, kept), map(entries.who, kept), values)
        ]
        folded = len(entries) - len(kept)
        if folded:
            self.truncated[table] = folded
            keys = (None,) * (len(rows[0]) - entries.layout.values) if rows else ()
            rows.append((*keys, *_others(entries, kept, values)))
        return rows


def _nobody(_pid: int, _who: bytes) -> int:
    """The cgroup where the map does not say whose entry it is."""
    return 0


def _others(entries: Entries, kept: list[int], values: list[tuple[int, ...]]) -> Iterator[int]:
    """What the entries that are not kept come to, given the values of those that are."""
    for position, of_kept in enumerate(zip(*values)):
        if position in entries.layout.maxima:
            column = entries.column(position)
            for index in kept:
                column[index] = 0
            yield max(column)
        else:
            yield entries.total(position) - sum(of_kept)


class Machine:
    """What does not change from one interval to the next."""

    def __init__(self, identities: Identities) -> None:
        self.identities = identities
        self.stacks = Stacks()
        self._disks: dict[int, str] = {}
        self._hierarchy: cgroups.Hierarchy | None = None

    def cpus(self) -> tuple[int, ...]:
        """The CPUs that are online now."""
        return cpu_list(Path("/sys/devices/system/cpu/online").read_text())

    def hierarchy(self) -> cgroups.Hierarchy | None:
        """The cgroup tree that processes are sorted into here."""
        if not self._hierarchy:
            self._hierarchy = cgroups.hierarchy()
        return self._hierarchy

    def disk(self, dev: int) -> str:
        """Name of a block device; `major:minor` where it has gone before it was asked for."""
        name = self._disks.get(dev)
        if name is None:
            number = f"{dev >> 20}:{dev & 0xFFFFF}"
            try:
                name = Path(os.readlink(BLOCK_DEVICES / number)).name
            except OSError:
                return number
            self._disks[dev] = name
        return name


def cpu_list(text: str) -> tuple[int, ...]:
    """CPU numbers of a list such as `0-3,8`."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus += range(int(first), int(last or first) + 1)
    return tuple(cpus)
