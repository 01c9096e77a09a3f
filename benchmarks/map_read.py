"""What it costs the collector to read a map of 100,000 entries: drain, decode, top 5,000, others.

    sudo /usr/bin/python3 benchmarks/map_read.py [ENTRIES] [ROUNDS]

Fills a hash map of the kernel, then reads it as a probe's sample is read: `BpfMap.drain` and
`Interval.rows`. Prints the collector's CPU time, user and system, and its memory. No bcc needed.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import random
import resource
import statistics
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ebpftop.collector import bpf
from ebpftop.collector.environment import Interval, Machine
from ebpftop.collector.identity import Identities
from ebpftop.collector.maps import BpfMap, MapShape
from ebpftop.probe import Layout

MAP_CREATE = 0
MAP_UPDATE_BATCH = 26
TYPE_HASH = 1
ROWS = 5000
PROCESSES = 2000
FIRST_PID = 1 << 23  # beyond any process id: none of them is looked up in /proc
CHUNK = 10_000
Buffer = ctypes.Array[ctypes.c_char]

# Keys of 64 bytes; the values are those of tcptop, biotop and syscount.
KEY = "IHH16s16sH6xQQ"
LAYOUTS = {
    "who + 4 counters": Layout(KEY, values=4, who=True),
    "who + 5 counters, one a maximum": Layout(KEY, values=5, who=True, maxima=(4,)),
    "who + 4 counters, one a maximum + 48 slots": Layout(
        KEY, values=4, who=True, tail="48I", maxima=(2,)
    ),
}


def create(layout: Layout, entries: int) -> tuple[int, MapShape]:
    """A hash map of the kernel for that layout."""
    key_bytes = struct.calcsize("=" + layout.key)
    value_bytes = 32 + 8 * layout.values + struct.calcsize("=" + layout.tail)
    attr = (ctypes.c_uint32 * 16)(TYPE_HASH, key_bytes, value_bytes, entries)
    fd, error = bpf.call(MAP_CREATE, attr)
    if fd < 0:
        raise OSError(error, os.strerror(error))
    return fd, MapShape("benchmark", TYPE_HASH, key_bytes, value_bytes, entries)


def made(layout: Layout, entries: int) -> tuple[Buffer, Buffer]:
    """Keys and values of as many entries, of some thousand processes, with long-tailed counters."""
    chance = random.Random(1)
    key = struct.Struct("=" + layout.key)
    value = struct.Struct(f"=QQ16s{layout.values}Q")
    tail = bytes(struct.calcsize("=" + layout.tail))
    keys, values = bytearray(), bytearray()
    for number in range(entries):
        pid = FIRST_PID + number % PROCESSES
        address = number.to_bytes(16, "big")
        keys += key.pack(pid, 2, 443, address, address, number & 0xFFFF, number, 0)
        counters = [int(chance.paretovariate(1) * 1000) for _ in range(layout.values)]
        values += value.pack(pid * 1000, 0, b"process", *counters) + tail
    return buffer_of(bytes(keys)), buffer_of(bytes(values))


def buffer_of(data: bytes) -> Buffer:
    """Memory whose address can be given to the kernel."""
    return ctypes.create_string_buffer(data, len(data))


def fill(fd: int, shape: MapShape, keys: Buffer, values: Buffer) -> None:
    """Put the entries into the map."""
    for start in range(0, shape.max_entries, CHUNK):
        attr = bpf.BatchAttr(
            keys=ctypes.addressof(keys) + start * shape.key_bytes,
            values=ctypes.addressof(values) + start * shape.value_bytes,
            count=min(CHUNK, shape.max_entries - start),
            map_fd=fd,
        )
        result, error = bpf.call(MAP_UPDATE_BATCH, attr)
        if result != 0:
            raise OSError(error, os.strerror(error))


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Cost:
    """CPU of one read, in milliseconds, user and system."""

    def __init__(self, bpf_map: BpfMap, interval: Interval) -> None:
        gc.disable()  # as `Running.read` does
        begun = time.process_time_ns()
        entries = bpf_map.drain()
        drained = time.process_time_ns()
        self.entries = len(entries)
        self.rows = len(interval.rows("t", entries, lambda k, c: (k[0], c, k[3]), weight=(0, 1)))
        self.peak_bytes = resident_bytes()
        del entries
        ended = time.process_time_ns()
        gc.enable()
        bpf_map.release()
        self.drain_ms = (drained - begun) / 1e6
        self.read_ms = (ended - begun) / 1e6


def measure(name: str, layout: Layout, entries: int, rounds: int) -> None:
    """Print what reading a map of that layout costs."""
    fd, shape = create(layout, entries)
    keys, values = made(layout, entries)
    bpf_map = BpfMap(fd, shape, layout)
    machine = Machine(Identities(lambda _: ""))
    costs = []
    before = resident_bytes()
    for _ in range(rounds + 1):
        fill(fd, shape, keys, values)
        cost = Cost(bpf_map, Interval(machine, 0, 10**9, ROWS))
        assert cost.entries == entries
        assert cost.rows == min(entries, ROWS + 1)
        costs.append(cost)
    after = resident_bytes()
    os.close(fd)
    first, *later = costs  # the first meets every process for the first time
    read_ms = statistics.median(cost.read_ms for cost in later)
    drain_ms = statistics.median(cost.drain_ms for cost in later)
    peak_bytes = max(cost.peak_bytes for cost in costs)
    print(f"{name}: {shape.key_bytes} + {shape.value_bytes} bytes, {entries:,} entries")
    print(f"    first    {first.read_ms:6.1f} ms of CPU, {first.drain_ms:.1f} of it to drain")
    print(f"    median   {read_ms:6.1f} ms, {drain_ms:.1f} of it to drain", end="")
    print(f"; best {min(cost.read_ms for cost in later):.1f} ms")
    print(f"    memory   {(peak_bytes - before) / 1e6:6.1f} MB more while it reads", end="")
    print(f", {(after - before) / 1e6:.1f} MB more after {rounds} reads")


def main() -> None:
    """Measure every layout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", nargs="?", type=int, default=100_000)
    parser.add_argument("rounds", nargs="?", type=int, default=7)
    options = parser.parse_args()
    for name, layout in LAYOUTS.items():
        measure(name, layout, options.entries, options.rounds)


if __name__ == "__main__":
    main()
