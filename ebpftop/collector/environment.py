"""What a probe's `read` is given of the machine and of its interval (`ebpftop.probe.Env`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ebpftop.collector.identity import Identities
    from ebpftop.model import Row
    from ebpftop.probe import Entries, RowKey

BLOCK_DEVICES = Path("/sys/dev/block")


class Interval:
    """One probe's interval."""

    def __init__(self, machine: Machine, now_ns: int, dt_ns: int, limit: int) -> None:
        self.now_ns = now_ns
        self.dt_ns = dt_ns
        self.lost: dict[str, int] = {}
        self.truncated: dict[str, int] = {}
        self._machine = machine
        self._limit = limit

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that are online."""
        return self._machine.cpus()

    def process(self, pid: int) -> None:
        """Make a process known to the stream whose map carries no `struct who`."""
        self._machine.identities.meet_by_pid(pid)

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
        layout = entries.layout
        columns = [entries.column(position) for position in range(layout.values)]
        kept = entries.top(weight, limit or self._limit)
        meet = self._machine.identities.meet
        rows: list[Row] = []
        for index in kept:
            entry = entries.key(index)
            cgroup = meet(entry[0], entries.who(index)) if layout.who else 0
            rows.append((*key(entry, cgroup), *[column[index] for column in columns]))
        folded = len(entries) - len(kept)
        if folded:
            self.truncated[table] = folded
            keys = (None,) * (len(rows[0]) - len(columns)) if rows else ()
            rows.append((*keys, *_others(columns, kept, layout.maxima)))
        return rows


def _others(columns: list[list[int]], kept: list[int], maxima: tuple[int, ...]) -> list[int]:
    """What the rows that were left out come to."""
    values = []
    for position, column in enumerate(columns):
        if position in maxima:
            left = set(range(len(column))).difference(kept)
            values.append(max(column[index] for index in left))
        else:
            values.append(sum(column) - sum(column[index] for index in kept))
    return values


class Machine:
    """What does not change from one interval to the next."""

    def __init__(self, identities: Identities) -> None:
        self.identities = identities
        self._disks: dict[int, str] = {}

    def cpus(self) -> tuple[int, ...]:
        """The CPUs that are online now."""
        return cpu_list(Path("/sys/devices/system/cpu/online").read_text())

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
