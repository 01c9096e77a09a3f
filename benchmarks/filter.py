"""A filter of a table of 5,000 rows: how long it takes to choose the rows, once a sample.

    .venv/bin/python benchmarks/filter.py [--rows 5000]

The rows are those of biotop, made by chance, with command lines of about 80 characters. Words and
patterns look at the text of each row, which has to be made first; comparisons need none.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ebpftop.model import Process  # noqa: E402
from ebpftop.registry import probes  # noqa: E402
from ebpftop.views.chosen import choose  # noqa: E402
from ebpftop.views.state import ViewState  # noqa: E402
from ebpftop.views.table import Shape, readers_of  # noqa: E402

if TYPE_CHECKING:
    from ebpftop.model import Row

REPEATS = 25
NS_PER_S = 1_000_000_000
COMMANDS = ("nginx", "postgres", "kworker/u8:2", "redis-server", "java")
FILTERS = (
    "bytes > 1MB and comm ~ nginx",
    "lat > 10ms",
    "not (op = read or disk in (sd0, sd1)) bytes in 1K..1M",
    "cgroup in /system.slice",
    "nginx",
    "nginx worker sd1",
    "/ngi.*worker/",
)


def main() -> None:
    """Print a line for each filter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    number = parser.parse_args().rows
    info = probes()["biotop"].info
    shape = Shape.of(info, info.views[0])
    rows, people = _rows(number), {pid: _process(pid) for pid in range(number)}
    readers = readers_of(shape, NS_PER_S, people, {})
    print(f"{number} rows{'':40} matching  median ms  largest ms")
    for text in FILTERS:
        took_ms = []
        for _ in range(REPEATS):
            begin_s = time.perf_counter()
            chosen = choose(shape, readers, rows, None, ViewState(filter=text), people, {})
            took_ms.append((time.perf_counter() - begin_s) * 1000)
        median = statistics.median(took_ms)
        print(f"{text:53}  {len(chosen.rows):6}  {median:9.2f}  {max(took_ms):10.2f}")


def _rows(number: int) -> list[Row]:
    chance = random.Random(1)
    return [
        (
            *(pid, 9, f"sd{pid % 4}", chance.choice(("read", "write")), chance.randrange(100)),
            *(chance.randrange(3 << 20), chance.randrange(10**9), chance.randrange(10**8), 5),
        )
        for pid in range(number)
    ]


def _process(pid: int) -> Process:
    comm = COMMANDS[pid % len(COMMANDS)]
    line = f"{comm}: worker process --config=/etc/{pid}.conf {'x' * 40}"
    return Process(pid, 0, comm, 1, 0, "root", "/usr/bin/x", line, 9, "/system.slice/a.service")


if __name__ == "__main__":
    main()
