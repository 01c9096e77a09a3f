"""Streams made by hand for the tests of the screen: a machine, its probes, and their samples.

The probes are written out here, so that a test of the screen says all that it shows.
"""

from ebpftop.model import (
    Column,
    Cost,
    Hello,
    ProbeInfo,
    Process,
    Record,
    Row,
    Sample,
    Status,
    Table,
    Tick,
    View,
)

SECOND = 1_000_000_000
START_NS = 1_790_000_000 * SECOND  # 2026-09-21 14:13:20 UTC
GIB = 1 << 30

PID = Column("pid", "PID", "id", "key", "pid")
CGROUP = Column("cgroup", "CGROUP", "id", "key", "cgroup")


def figure(name: str, title: str, kind="count", rate=True, fold="sum", says="") -> Column:
    return Column(name, title, kind, fold, rate=rate, help=says)


BIOTOP = ProbeInfo(
    "biotop",
    "Block I/O",
    "block",
    "which process reads and writes which disk, and how long it waits for it",
    (
        Table(
            "io",
            (
                PID,
                CGROUP,
                Column("disk", "DISK", "label", "key", "disk"),
                Column("op", "OP", "label", help="read, write, discard, flush"),
                figure("ios", "IO/s", says="completed requests"),
                figure("bytes", "B/s", "bytes"),
                figure("lat_ns", "latency", "ns", rate=False),
                figure("queue_ns", "queued", "ns", rate=False),
                figure("max_ns", "MAX", "ns", False, "max", "longest of the interval"),
            ),
        ),
        Table(
            "latency",
            (
                Column("disk", "DISK", "label", "key", "disk"),
                Column("op", "OP", "label"),
                Column("slot", "latency", "slot"),
                figure("count", "IOs", rate=False),
            ),
        ),
    ),
    (
        View(
            "table",
            "io",
            "I/O by process",
            ("pid", "disk", "op", "ios", "bytes", "avg_ns", "wait_ns", "max_ns"),
            (
                Column(
                    "avg_ns",
                    "AVG",
                    "ns",
                    "sum",
                    ratio=(("lat_ns",), ("ios",)),
                    help="queued and served, per IO",
                ),
                Column("wait_ns", "QUEUED", "ns", "sum", ratio=(("queue_ns",), ("ios",))),
            ),
            "bytes",
        ),
        View("histogram", "latency", "Latency", by="disk", follow=("disk", "op")),
        View("heat", "latency", "Latency over time"),
    ),
    ("raw_tp:block_io_start", "raw_tp:block_rq_issue", "raw_tp:block_rq_complete"),
    "A request is charged to the process that queued it. Buffered writes are written back by"
    " kernel threads, so they show as kworker or jbd2.",
)
SYSCOUNT = ProbeInfo(
    "syscount",
    "System calls",
    "syscall",
    "which process makes which system calls, how long they take, and which of them fail",
    (
        Table(
            "calls",
            (
                PID,
                Column("syscall", "SYSCALL", "label"),
                figure("count", "CALLS/s"),
                figure("total_ns", "TIME", "ns", says="all threads added up"),
                figure("errors", "ERR/s"),
            ),
        ),
        Table(
            "errors",
            (
                PID,
                Column("syscall", "SYSCALL", "label"),
                Column("errno", "ERROR", "label"),
                figure("count", "CALLS/s"),
            ),
        ),
    ),
    (
        View(
            "table",
            "calls",
            "Calls by process",
            ("pid", "syscall", "count", "avg_ns", "total_ns", "errors", "failed"),
            (
                Column("avg_ns", "AVG", "ns", "sum", ratio=(("total_ns",), ("count",))),
                Column("failed", "FAILED", "ratio", "sum", ratio=(("errors",), ("count",))),
            ),
            "count",
        ),
        View("table", "errors", "Errors", sort="count", follow=("pid", "syscall")),
    ),
    ("raw_tp:sys_enter", "raw_tp:sys_exit"),
)
HOST = ProbeInfo(
    "host",
    "Host",
    "host",
    "CPU, memory and load of the host",
    (
        Table(
            "host",
            (
                Column("cpu", "CPU", "ratio", "sum"),
                figure("memory_bytes", "memory", "bytes", False),
                figure("memory_total_bytes", "memory total", "bytes", False),
                Column("load1", "load 1m", "label", "sum"),
                figure("collector_cpu_ns", "collector CPU", "ns"),
            ),
        ),
        Table("cpus", (Column("cpu", "CPU", "id", "key", "cpu"), figure("busy", "busy", "ratio"))),
    ),
    (),
)
EXTRA = tuple(
    ProbeInfo(name, title, area, f"what {name} says", SYSCOUNT.tables, SYSCOUNT.views)
    for name, title, area in (
        ("tcptop", "TCP", "net"),
        ("runqlen", "Run queues", "sched"),
        ("cachestat", "Page cache", "mm"),
        ("offcputime", "Off-CPU", "sched"),
    )
)
PROBES = (BIOTOP, SYSCOUNT, *EXTRA)


def hello(probes: tuple[ProbeInfo, ...] = PROBES, **changes) -> Hello:
    fields = {
        "host": "web-7",
        "kernel": "6.12.41-amd64",
        "boot_id": "0",
        "cpus": 4,
        "interval_ns": SECOND,
        "wall_ns": START_NS,
        "mono_ns": 0,
        "probes": (*probes, HOST),
        **changes,
    }
    return Hello(**fields)


def host(seq: int = 1) -> Sample:
    row = (0.412, 3 * GIB + 400_000_000, 16 * GIB, 1.37, 8_400_000)
    cpus = [(0, 0.61), (1, 0.33), (2, 0.05), (3, 0.97)]
    return at("host", seq, {"host": [row], "cpus": cpus})


def at(probe: str, seq: int, tables: dict[str, list[Row]], **changes) -> Sample:
    """The sample of one second, `seq` seconds after the start."""
    fields = {
        "wall_ns": START_NS + seq * SECOND,
        "mono_ns": seq * SECOND,
        "dt_ns": SECOND,
        "cost": Cost(events=41_200, run_ns=9_900_000, read_ns=700_000),
        **changes,
    }
    return Sample(probe, seq, tables=tables, **fields)


def tick(seq: int, **changes) -> Tick:
    """The end of the round of that second."""
    fields = {
        "wall_ns": START_NS + seq * SECOND,
        "mono_ns": seq * SECOND,
        "interval_ns": SECOND,
        **changes,
    }
    return Tick(**fields)


def running(probe: ProbeInfo, state="running", **changes) -> Status:
    return Status(probe.name, state, probe.hooks, **changes)


def process(pid: int, comm: str, cmdline: str = "", user: str = "root", unit: str = "") -> Process:
    return Process(pid, pid, comm, 1, 0, user, "", cmdline, pid, f"/{unit}" if unit else "", unit)


PEOPLE = (
    process(812, "postgres", "postgres: 16/main: checkpointer", "postgres", "postgresql.service"),
    process(1204, "nginx", "nginx: worker process", "www-data", "nginx.service"),
    process(2290, "rsync", "rsync -a /srv/media backup:/srv/media", "backup", "backup.service"),
    process(318, "jbd2/nvme0n1p2-8"),
    process(77, "kworker/u8:2-writeback"),
    process(4410, "python3", "/usr/bin/python3 /opt/etl/load.py --day 2026-09-20", "etl"),
    process(9004, "fio", "fio --name=randread --rw=randread --bs=4k --iodepth=32"),
    process(5, "[/b]", "[bold]not markup[/]"),
    process(6001, "データ収集", "データ収集 --全部", "etl"),
    process(6002, "evil\x1b[31m\nname", "rm \x07-rf"),
)


def biotop(seq: int = 1, **changes) -> Sample:
    """Ten processes at work; the figures move a little with `seq`."""
    ms, us = 1_000_000, 1_000
    wave = 1 + 0.15 * (seq % 5)
    io = [
        (9004, 1, "nvme0n1", "read", 41_250, 41_250 * 4096, 41_250 * 92 * us, 4 * ms, 11 * ms),
        (2290, 2, "nvme1n1", "read", 912, 912 * 131_072, 912 * 2 * ms, 500 * ms, 48 * ms),
        (812, 3, "nvme0n1", "write", 1_310, 1_310 * 8192, 1_310 * 210 * us, 20 * ms, 9 * ms),
        (812, 3, "nvme0n1", "flush", 24, 0, 24 * 3 * ms, 0, 14 * ms),
        (77, 1, "nvme0n1", "write", 402, 402 * 65_536, 402 * 800 * us, 90 * ms, 21 * ms),
        (318, 1, "nvme0n1", "write", 61, 61 * 4096, 61 * 350 * us, 1 * ms, 4 * ms),
        (1204, 4, "nvme0n1", "read", 18, 18 * 16_384, 18 * 140 * us, 0, 1 * ms),
        (4410, 5, "nvme1n1", "write", 7, 7 * 524_288, 7 * 5 * ms, 3 * ms, 12 * ms),
        (5, 1, "nvme0n1", "read", 3, 3 * 4096, 3 * 120 * us, 0, 200 * us),
        (6001, 5, "nvme1n1", "discard", 2, 96 << 20, 2 * 40 * ms, 0, 61 * ms),
        (6002, 5, "nvme1n1", "read", 1, 4096, 88 * us, 0, 88 * us),
    ]
    io = [(*row[:4], int(row[4] * wave), int(row[5] * wave), *row[6:]) for row in io]
    latency = [
        (disk, op, slot, int(weight * height * wave))
        for disk, op, weight, peak in (
            ("nvme0n1", "read", 900, 16),
            ("nvme0n1", "write", 300, 18),
            ("nvme1n1", "read", 120, 21),
        )
        for slot in range(peak - 3, peak + 6)
        if (height := 60 // (1 + (slot - peak) ** 2))
    ]
    return at("biotop", seq, {"io": io, "latency": latency}, **changes)


def syscount(seq: int = 1, **changes) -> Sample:
    calls = [
        (1204, "epoll_wait", 8_100, 700_000_000, 0),
        (1204, "accept4", 4_020, 30_000_000, 2_010),
        (812, "pread64", 15_300, 96_000_000, 0),
        (4410, "openat", 420, 5_000_000, 398),
        (9004, "io_uring_enter", 41_000, 1_900_000_000, 0),
    ]
    errors = [
        (1204, "accept4", "EAGAIN", 2_010),
        (4410, "openat", "ENOENT", 390),
        (4410, "openat", "EACCES", 8),
    ]
    return at("syscount", seq, {"calls": calls, "errors": errors}, **changes)


def many(rows: int, seq: int = 1) -> Sample:
    """A sample with so many rows, as a busy machine sends them, and a row of the others."""
    io: list[Row] = [
        (pid, 1, f"sd{chr(97 + pid % 5)}", "read", pid * 7 % 501, pid * 4096, pid * 900, 10, pid)
        for pid in range(1, rows + 1)
    ]
    io.append((None, None, None, None, 1000, 4_096_000, 90_000_000, 10, 9_000))
    return at("biotop", seq, {"io": io, "latency": []}, truncated={"io": 123})


def opening(*probes: ProbeInfo, samples: int = 0) -> list[Record]:
    """What a stream begins with, up to some samples of biotop."""
    records: list[Record] = [hello(probes or PROBES), host(), running(BIOTOP), *PEOPLE]
    for seq in range(1, samples + 1):
        records += [host(seq), biotop(seq)]
    return records


def minute(ticks: int = 60) -> list[Record]:
    """A stream of two probes with so many ticks."""
    records: list[Record] = [hello(), running(BIOTOP), running(SYSCOUNT), *PEOPLE]
    for seq in range(1, ticks + 1):
        records += [host(seq), biotop(seq), syscount(seq), tick(seq)]
    return records
