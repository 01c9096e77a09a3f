"""The demo recording: a load that tells a story, and what becomes of a recording of it.

    python3 screenshots/demo_load.py [SECONDS]                          as root: the load, 4 minutes
    sudo ebpftop record -o raw.ebt --duration 4m                        meanwhile
    python3 screenshots/demo_load.py --finish raw.ebt ebpftop/demo.ebt  what ships

The load is demo_load.c and its parts, compiled with the system's C compiler. It runs in a scratch
folder of the working directory, which should be on a real disk (0.8 GB), and in cgroups below that
of the caller. `--finish` keeps the load and the kernel's threads that did anything, and gives them
the paths that they would have on a host of their own, where the shop's parts run in containers.
Measured figures stay as they are, but that rows of little weight are added up as those of the
others.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop.collector.cgroups import hierarchy
from ebpftop.model import Hello, Process, Sample, Status
from ebpftop.recording.reader import Recording
from ebpftop.recording.writer import Writer
from ebpftop.views.ranges import Folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpftop.model import Record, Row, Table

SOURCES = sorted(Path(__file__).parent.glob("demo_*.c"))
COMPILE = ("cc", "-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-pthread")
GROUP = "demo-load"
UNITS = ("loadgen.service", "logrotate.service", "backup.service")
CONTAINERS = ("web-1", "db-1", "cache-1", "etl-1")
TITLE_BYTES = 128

HOST = "shop-1"
BOOT_ID = "00000000-0000-0000-0000-000000000000"
LEVEL = 19
KERNEL_PIDS = (0, 2)  # kthreadd, and the parent of its like
PROGRAMS = {
    "app": "/srv/shop/app",
    "backup": "/usr/local/bin/backup",
    "etl": "/srv/shop/etl",
    "gzip": "/usr/bin/gzip",
    "loadgen": "/usr/local/bin/loadgen",
    "nginx": "/usr/sbin/nginx",
    "postgres": "/usr/lib/postgresql/15/bin/postgres",
    "redis-server": "/usr/bin/redis-server",
}
# Rows that are folded into those of the others: what they add up to, and less than how much.
NEGLIGIBLE = {
    ("offcputime", "stacks"): (("blocked_ns", "waiting_ns"), 1_000_000),
    ("runqlen", "waits"): (("wait_ns",), 100_000),
}
USERS = {113: "postgres", 114: "redis"}  # ids that the load takes, unknown where it is recorded


# The load.


def run(seconds: int) -> int:
    """Run the load and leave nothing behind; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with (
        tempfile.TemporaryDirectory(prefix="ebpftop-demo-", dir=Path.cwd()) as folder,
        cgroups() as group,
    ):
        Path(folder).chmod(0o777)  # its processes are of several users
        program = Path(folder) / "demo_load"
        subprocess.run([*COMPILE, "-o", program, *SOURCES], check=True)
        name = "demo_load".ljust(TITLE_BYTES)  # room for command lines
        arguments = [name, folder, group, str(seconds)]
        load = subprocess.Popen(arguments, executable=program, start_new_session=True)
        try:
            return load.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(load.pid, signal.SIGKILL)
            load.wait()


@contextlib.contextmanager
def cgroups() -> Iterator[str]:
    """Cgroups for units and containers, below the caller's own; empty where there can be none."""
    top = own_cgroup()
    made = [top / GROUP, top / GROUP / "system.slice"] if top else []
    made += [made[-1] / name for name in (*UNITS, *CONTAINERS)] if made else []
    try:
        for path in made:
            path.mkdir()
    except OSError as error:
        print(f"demo_load: no cgroups of its own: {error}", file=sys.stderr)
        made = [path for path in made if path.is_dir()]
        yield ""
    else:
        yield str(made[0]) if made else ""
    finally:
        for path in reversed(made):
            remove(path)


def own_cgroup() -> Path | None:
    """The directory of the caller's cgroup in the hierarchy that ebpftop reads."""
    tree = hierarchy()
    for line in Path("/proc/self/cgroup").read_text().splitlines() if tree else ():
        _, controllers, path = line.split(":", 2)
        if tree and tree.controller in controllers.split(","):
            return Path(f"{tree.mount}{path}")
    return None


def remove(cgroup: Path) -> None:
    """Remove a cgroup as soon as the processes in it are gone."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            cgroup.rmdir()
        if not cgroup.is_dir():
            return
        time.sleep(0.05)
    print(f"demo_load: {cgroup} is still there", file=sys.stderr)


# What ships.


class Finish:
    """Keeps of a recording the load, and those of the kernel's threads that did anything."""

    def __init__(self, recording: Recording) -> None:
        self._records = list(recording.records(recording.overview.first, recording.overview.end))
        processes = [record for record in self._records if isinstance(record, Process)]
        self._load = {process.pid for process in processes if is_of_load(process)}
        kernel = {process.pid for process in processes if is_kernel(process)}
        self._kept = self._load | (kernel & set(self._pids("runqlen", "delays")))
        self._tables: dict[tuple[str, str], Table] = {}

    def _pids(self, probe: str, table: str) -> Iterator[int]:
        """Who is in the rows of a table, whose first column is the process id."""
        for record in self._records:
            if isinstance(record, Sample) and record.probe == probe:
                yield from (row[0] for row in record.tables.get(table, ()))

    def records(self) -> Iterator[Record]:
        """The records of the shipped recording."""
        for record in self._records:
            if isinstance(record, Hello):
                self._tables = {(p.name, t.name): t for p in record.probes for t in p.tables}
                kernel = record.kernel.partition("-")[0]
                yield replace(record, host=HOST, boot_id=BOOT_ID, kernel=kernel)
            elif isinstance(record, Process):
                if record.pid in self._kept and (is_of_load(record) or is_kernel(record)):
                    yield self._process(record)
            elif isinstance(record, Sample):
                yield replace(record, tables=dict(self._kept_rows(record)))
            elif isinstance(record, Status):
                yield replace(record, detail="")
            else:
                yield record

    def _process(self, process: Process) -> Process:
        if is_kernel(process):
            return process
        path = process.cgroup_path.partition(f"/{GROUP}")[2]
        name = path.rpartition("/")[2]
        if name in CONTAINERS:  # as Docker lays them out where systemd keeps the cgroups
            unit = f"docker-{sha256(name.encode()).hexdigest()}.scope"
            path = f"/system.slice/{unit}"
            process = replace(process, unit=unit, container=name, runtime="docker")
        return replace(
            process,
            ppid=process.ppid if process.ppid in self._load else 1,
            user=USERS.get(process.uid or 0, process.user),
            exe=PROGRAMS.get(process.comm, ""),
            cgroup_path=path,
        )

    def _kept_rows(self, sample: Sample) -> Iterator[tuple[str, list[Row]]]:
        for name, rows in sample.tables.items():
            table = self._tables[sample.probe, name]
            pid = next((i for i, c in enumerate(table.columns) if c.role == "pid"), None)
            if pid is not None:
                rows = [row for row in rows if row[pid] is None or row[pid] in self._kept]
            if (sample.probe, name) in NEGLIGIBLE:
                rows = folded(rows, table, *NEGLIGIBLE[sample.probe, name])
            yield name, rows


def folded(rows: Iterable[Row], table: Table, weight: Iterable[str], least: int) -> list[Row]:
    """The same rows, with those of little weight added up as the others'; totals hold."""
    heavy = [table.index(name) for name in weight]
    named = [i for i, c in enumerate(table.columns) if c.fold == "key" and c.kind != "slot"]
    kept = Folded(table)
    for row in rows:
        is_light = sum(row[i] for i in heavy) < least
        kept.add([tuple(None if is_light and i in named else v for i, v in enumerate(row))])
    return kept.rows()


def is_of_load(process: Process) -> bool:
    """Whether a process is one of the load's, and has its name by now."""
    return f"/{GROUP}/" in process.cgroup_path and process.comm in PROGRAMS


def is_kernel(process: Process) -> bool:
    """Whether a process is a thread of the kernel."""
    return process.pid == 2 or process.ppid == 2


def finish(raw: str, path: str) -> int:
    """Write what ships, and say what is in it; returns the exit status."""
    with contextlib.closing(Recording(raw)) as recording:
        kept = Finish(recording)
    Path(path).unlink(missing_ok=True)
    writer = Writer(path, level=LEVEL)
    for record in kept.records():
        writer.add(record)
    writer.close()
    Path(path).chmod(0o644)
    print(f"{path}: {writer.ticks} ticks, {writer.bytes / 1e6:.2f} MB")
    return 0


def main() -> int:
    """Run the load, or finish a recording of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seconds", nargs="?", type=int, default=250)
    parser.add_argument("--finish", nargs=2, metavar=("RAW", "DEMO"))
    options = parser.parse_args()
    return finish(*options.finish) if options.finish else run(options.seconds)


if __name__ == "__main__":
    sys.exit(main())
