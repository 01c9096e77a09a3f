"""Descriptors read made-up map entries: what `read` does, without a kernel."""

from __future__ import annotations

import struct

import pytest

from ebpftop import registry
from ebpftop.collector.environment import Interval, Machine
from ebpftop.collector.identity import Identities
from ebpftop.collector.maps import MapEntries

NAMELESS = bytes(32)


class MadeMap:
    """A map of given entries `(key, values)` or `(key, values, tail)`, drained like a real one."""

    def __init__(self, layout, entries, who=NAMELESS):
        self._layout, self._entries, self._who = layout, list(entries), who
        self.deleted: list[tuple[int, ...]] = []
        self.added: list[tuple[tuple[int, ...], bytes, tuple[int, ...]]] = []

    def peek(self):
        layout = self._layout
        keys = b"".join(struct.pack("=" + layout.key, *entry[0]) for entry in self._entries)
        values = b"".join(
            (self._who if layout.who else b"")
            + struct.pack(f"={layout.values}Q", *entry[1])
            + struct.pack("=" + layout.tail, *(entry[2] if len(entry) > 2 else ()))
            for entry in self._entries
        )
        return MapEntries(memoryview(keys), memoryview(values), len(self._entries), layout)

    def drain(self):
        entries = self.peek()
        self._entries = []
        return entries

    def delete(self, *key):
        self.deleted.append(key)
        return True

    def get(self, *key):
        return next((entry[1] for entry in self._entries if entry[0] == key), None)

    def add(self, key, who, values):
        self.added.append((key, who, values))
        return self.get(*key) is None


class Reader:
    """Reads a probe; `interval` and `maps` are those of the last reading."""

    interval: Interval
    maps: dict[str, MadeMap]

    def __call__(self, name, *, dt_ns=10**9, now_ns=10**10, limit=5000, **entries):
        """Rows as dictionaries, by table, from `map=[(key, values[, tail])]`."""
        probe = registry.probes()[name]
        self.maps = {
            map_name: MadeMap(layout, entries.get(map_name, ()))
            for map_name, layout in probe.maps.items()
        }
        machine = Machine(Identities(lambda cgroup: ""))
        self.interval = Interval(machine, now_ns, dt_ns, limit)
        tables = probe.read(self.maps, self.interval)
        columns = {table.name: [c.name for c in table.columns] for table in probe.tables}
        return {
            table: [dict(zip(columns[table], row, strict=True)) for row in rows]
            for table, rows in tables.items()
        }


@pytest.fixture
def read():
    """`read("biotop", io=[(key, values)])` gives rows as dictionaries, by table."""
    return Reader()
