"""Maps of running probes: batch reads into buffers that are used again.

A buffer is anonymous memory for a full map; the kernel touches only what the entries fill, and
what a big read touched is given back when reads are small again. Values are read as columns of
64-bit integers, which costs a third of unpacking tuples.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import operator
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.collector import bpf, preemption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.probe import Layout

WHO_BYTES = 32  # `struct who` in probes/common.h
SLACK_ENTRIES = 4096  # entries that programs add behind the reader's back in one pass
KEEP_ENTRIES = 4096
CLEAR_ENTRIES = 1024  # more than a bucket of a hash map holds
SAMPLE_STEP, SAMPLE_SLACK = 64, 16


@dataclass(frozen=True)
class MapShape:
    """What the loader says of a map: sizes as the kernel holds them."""

    name: str
    type: int
    key_bytes: int
    value_bytes: int
    max_entries: int


class MapEntries:
    """Entries of one read. Valid until the map is read again."""

    def __init__(self, keys: memoryview, values: memoryview, count: int, layout: Layout) -> None:
        self._count = count
        self._layout = layout
        self._key = struct.Struct("=" + layout.key)
        self._tail = struct.Struct("=" + layout.tail)
        self._counters = struct.Struct(f"={layout.values}Q")
        self._keys = keys[: count * self._key.size]
        self._stride = value_bytes(layout)
        self._values = values[: count * self._stride]
        self._words = self._values.cast("Q") if count else self._values
        self._first = WHO_BYTES // 8 if layout.who else 0
        self._columns: dict[int, list[int]] = {}

    def __len__(self) -> int:
        """Number of entries."""
        return self._count

    def __iter__(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """Key and values of each entry, tail included."""
        columns = [self.column(i) for i in range(self._layout.values)]
        values = zip(*columns) if columns else iter([()] * self._count)
        if not self._layout.tail:
            return zip(self.keys(), values)
        tails = map(self.tail, range(self._count))
        return ((key, value + tail) for key, value, tail in zip(self.keys(), values, tails))

    def keys(self) -> Iterator[tuple[Any, ...]]:
        """The key of each entry."""
        return self._key.iter_unpack(self._keys)

    def key(self, index: int) -> tuple[Any, ...]:
        """The key of one entry."""
        return self._key.unpack_from(self._keys, index * self._key.size)

    def values(self, index: int) -> tuple[int, ...]:
        """The values of one entry, tail left out."""
        return self._counters.unpack_from(self._values, index * self._stride + 8 * self._first)

    def column(self, position: int) -> list[int]:
        """One value of every entry."""
        return self._column(position).tolist() if self._count else []

    def total(self, position: int) -> int:
        """One value of every entry, added up."""
        return sum(self._column(position)) if self._count else 0

    def _column(self, position: int) -> memoryview:
        return self._words[self._first + position :: self._stride // 8]

    def tail(self, index: int) -> tuple[Any, ...]:
        """What follows the values of one entry."""
        end = (index + 1) * self._stride
        return self._tail.unpack_from(self._values, end - self._tail.size)

    def who(self, index: int) -> bytes:
        """The `struct who` of one entry, as bytes; empty where the layout has none."""
        start = index * self._stride
        return bytes(self._values[start : start + WHO_BYTES]) if self._layout.who else b""

    @property
    def layout(self) -> Layout:
        """How the entries are laid out."""
        return self._layout

    def top(self, weight: tuple[int, ...], limit: int) -> list[int]:
        """Indexes of the `limit` entries whose values at `weight` add up to most, unordered."""
        if self._count <= limit:
            return list(range(self._count))
        weights = self.column(weight[0])
        for position in weight[1:]:
            weights = list(map(operator.add, weights, self.column(position)))
        return heaviest(weights, limit)


def heaviest(weights: list[int], limit: int) -> list[int]:
    """Indexes of the `limit` largest weights; half the time of heapq.nlargest for 5,000 of 100,000.

    A sample tells from what weight on to look; what is at least that heavy is sorted.
    """
    sample = sorted(weights[::SAMPLE_STEP], reverse=True)
    least = sample[min(limit // SAMPLE_STEP * 5 // 4 + SAMPLE_SLACK, len(sample) - 1)]
    indexes = [index for index, weight in enumerate(weights) if weight >= least]
    if len(indexes) < limit:  # the sample did not stand for the whole
        indexes = list(range(len(weights)))
    indexes.sort(key=weights.__getitem__, reverse=True)
    return indexes[:limit]


def value_bytes(layout: Layout) -> int:
    """Size of a map value with that layout."""
    return (WHO_BYTES if layout.who else 0) + 8 * layout.values + struct.calcsize("=" + layout.tail)


def private_memory(size: int) -> mmap.mmap:
    """Anonymous memory; private, for what is shared cannot be given back with MADV_DONTNEED."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class BpfMap:
    """A hash map that this process holds a descriptor of."""

    def __init__(self, fd: int, shape: MapShape, layout: Layout, unpreempted: bool = False) -> None:
        """`unpreempted`: read it in that way. Raises ValueError where the layouts differ."""
        key_bytes = struct.calcsize("=" + layout.key)
        if shape.key_bytes != key_bytes or shape.value_bytes != value_bytes(layout):
            raise ValueError(
                f"map {shape.name}: the C file has {shape.key_bytes} + {shape.value_bytes} bytes,"
                f" the descriptor {key_bytes} + {value_bytes(layout)}"
            )
        self._fd = fd
        self._layout = layout
        self._key = struct.Struct("=" + layout.key)
        self._capacity = shape.max_entries + SLACK_ENTRIES
        self._keys = private_memory(self._capacity * shape.key_bytes)
        self._values = private_memory(self._capacity * shape.value_bytes)
        self._token = ctypes.create_string_buffer(max(shape.key_bytes, 8) + 8)
        self._shape = shape
        self._at_once = unpreempted
        self._last = self._touched = 0  # entries that the last read filled, and the biggest one

    def drain(self) -> MapEntries:
        """Read and delete every entry."""
        return self._read(bpf.MAP_LOOKUP_AND_DELETE_BATCH)

    def peek(self) -> MapEntries:
        """Read every entry, and leave it there."""
        return self._read(bpf.MAP_LOOKUP_BATCH)

    def delete(self, *key: Any) -> bool:
        """Delete the entry of one key; False if it was not there."""
        return bpf.delete(self._fd, self._key.pack(*key))

    def get(self, *key: Any) -> tuple[int, ...] | None:
        """The values of one key, who and tail left out; None where there is no such entry."""
        value = bpf.lookup(self._fd, self._key.pack(*key), self._shape.value_bytes)
        if value is None:
            return None
        first = WHO_BYTES if self._layout.who else 0
        return struct.unpack_from(f"={self._layout.values}Q", value, first)

    def add(self, key: tuple[Any, ...], who: bytes, values: tuple[int, ...]) -> bool:
        """Add an entry; False if there is one of that key already, or no room."""
        value = who + struct.pack(f"={self._layout.values}Q", *values)
        return bpf.add(self._fd, self._key.pack(*key), value)

    def release(self) -> None:
        """Give back what a big read touched, when the last one needed less than half of it.

        While big reads follow each other, to keep it saves a tenth of their cost in page faults.
        """
        if self._touched > KEEP_ENTRIES and self._last < self._touched // 2:
            for buffer in (self._keys, self._values):
                buffer.madvise(mmap.MADV_DONTNEED)
            self._touched = 0

    def _read(self, command: int) -> MapEntries:
        with preemption.unpreempted() if self._at_once else contextlib.nullcontext():
            self._last = self._fill(command)
        self._touched = max(self._touched, self._last)
        keys, values = memoryview(self._keys), memoryview(self._values)
        return MapEntries(keys, values, self._last, self._layout)

    def _fill(self, command: int) -> int:
        """Read entries into the buffers; returns how many."""
        key_bytes, value_bytes = self._shape.key_bytes, self._shape.value_bytes
        keys = ctypes.addressof(ctypes.c_char.from_buffer(self._keys))
        values = ctypes.addressof(ctypes.c_char.from_buffer(self._values))
        token = ctypes.addressof(self._token)
        attr = bpf.BatchAttr(0, token, keys, values, self._capacity, self._fd, 0, 0)
        total = 0
        while True:
            result, error = bpf.call(command, attr)
            if error not in (0, errno.ENOENT, errno.ENOSPC):
                raise OSError(error, os.strerror(error))
            total += attr.count if error != errno.ENOSPC else 0
            # ENOENT is the end; ENOSPC a bucket that no longer fits: it is there next time.
            if result < 0 or total >= self._capacity:
                break
            attr.in_batch = token
            attr.keys, attr.values = keys + total * key_bytes, values + total * value_bytes
            attr.count = self._capacity - total
        return total


def clear(fd: int, shape: MapShape) -> None:
    """Empty a hash map, whatever is in it; fill an array with zeros."""
    if shape.type == bpf.ARRAY:
        for index in range(shape.max_entries):
            bpf.update(fd, struct.pack("I", index), bytes(shape.value_bytes))
        return
    count = min(shape.max_entries, CLEAR_ENTRIES)
    keys, values = (
        ctypes.create_string_buffer(count * size) for size in (shape.key_bytes, shape.value_bytes)
    )
    token = ctypes.create_string_buffer(max(shape.key_bytes, 8) + 8)
    addresses = ctypes.addressof(token), ctypes.addressof(keys), ctypes.addressof(values)
    attr = bpf.BatchAttr(0, *addresses, count, fd, 0, 0)
    error = 0
    while error != errno.ENOENT:
        _, error = bpf.call(bpf.MAP_LOOKUP_AND_DELETE_BATCH, attr)
        if error not in (0, errno.ENOENT):
            raise OSError(error, os.strerror(error), shape.name)
        attr.in_batch, attr.count = ctypes.addressof(token), count


class Phase:
    """The array `phase`: which map of each pair the programs fill, 0 or 1."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._filled = 0

    @property
    def left(self) -> int:
        """The map of each pair that the programs left at the last turn."""
        return 1 - self._filled

    def turn(self) -> None:
        """Send the programs to the other map; `preemption` can wait for those in the old one."""
        self._filled = 1 - self._filled
        bpf.update(self._fd, struct.pack("I", 0), struct.pack("I", self._filled))


class DoubleMap:
    """Two maps that take turns (`Layout.double`): the one that the programs left is read."""

    def __init__(self, maps: tuple[BpfMap, BpfMap], phase: Phase) -> None:
        self._maps = maps
        self._phase = phase

    def drain(self) -> MapEntries:
        """Read and delete every entry."""
        return self._maps[self._phase.left].drain()

    def peek(self) -> MapEntries:
        """Read every entry, and leave it there."""
        return self._maps[self._phase.left].peek()

    def delete(self, *key: Any) -> bool:
        """Delete the entry of one key; False if it was not there."""
        deleted = [bpf_map.delete(*key) for bpf_map in self._maps]
        return any(deleted)

    def get(self, *key: Any) -> tuple[int, ...] | None:
        """The values of one key, who and tail left out; None where there is no such entry."""
        return self._maps[self._phase.left].get(*key)

    def add(self, key: tuple[Any, ...], who: bytes, values: tuple[int, ...]) -> bool:
        """Add an entry; False if there is one of that key already, or no room."""
        return self._maps[1 - self._phase.left].add(key, who, values)

    def release(self) -> None:
        """Give back what a big read touched; the entries of that read are gone."""
        for bpf_map in self._maps:
            bpf_map.release()


class LossCounters:
    """The array `lost`: counts since the probe started, per reason."""

    def __init__(self, fd: int, reasons: tuple[str, ...]) -> None:
        self._fd = fd
        self._reasons = reasons
        self._before = [0] * len(reasons)

    def since_last(self) -> dict[str, int]:
        """What was lost since the last call, by reason; reasons without loss are left out."""
        lost = {}
        for index, reason in enumerate(self._reasons):
            value = bpf.lookup(self._fd, struct.pack("I", index), 8)
            total = struct.unpack("Q", value)[0] if value else 0
            if total > self._before[index]:
                lost[reason] = total - self._before[index]
            self._before[index] = total
        return lost
