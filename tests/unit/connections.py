"""Connections on disks, which no probe has: rows with a column of each kind, for filters."""

from ebpftop.model import Column, ProbeInfo, Process, Table, View
from ebpftop.views.fields import Fields
from ebpftop.views.table import Shape

SECOND, MIB = 1_000_000_000, 1 << 20
TABLE = Table(
    "connections",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("cgroup", "CGROUP", "id", "key", "cgroup"),
        Column("disk", "DISK", "label", "key", "disk"),
        Column("raddr", "REMOTE", "label", "key", "raddr"),
        Column("lport", "PORT", "id", "key", "lport"),
        Column("rport", "PORT", "id", "key", "rport"),
        Column("ios", "IO/s", "count", "sum", rate=True),
        Column("bytes", "B/s", "bytes", "sum", rate=True),
        Column("lat_ns", "latency", "ns", "sum"),
        Column("busy_ns", "BUSY", "ns", "sum", rate=True),
        Column("slot", "time", "slot"),
    ),
)
AVERAGE = Column("avg_ns", "AVG", "ns", "sum", ratio=(("lat_ns",), ("ios",)))
SHOWN = ("pid", "disk", "raddr", "lport", "rport", "ios", "bytes", "avg_ns", "busy_ns")
VIEW = View("table", "connections", "Connections", SHOWN, (AVERAGE,), sort="ios")
INFO = ProbeInfo("tcptop", "", "net", "", (TABLE,), (VIEW,))
SHAPE = Shape.of(INFO, VIEW)
FIELDS = Fields(SHAPE)
# In two seconds: 5, 50, 0 and unknown IO/s; 1M, 10M, 0 and 3M B/s; 20ms, 1ms, nothing on average.
ROWS = [
    (1, 9, "sda", "10.0.0.1", 443, 50001, 10, 2 * MIB, 200_000_000, SECOND, 20),
    (2, 9, "sdb", "fd00::1", 80, 50002, 100, 20 * MIB, 100_000_000, 0, 10),
    (3, 8, "vda1", "192.168.1.7", 22, 50003, 0, 0, 0, SECOND // 10, 30),
    (4, 7, "SDA", "127.0.0.1", 80, 50004, None, 6 * MIB, 1, 1, None),
]
PEOPLE = {
    1: Process(
        *(1, 0, "nginx", 0, 33, "www-data", "/usr/sbin/nginx", "nginx: worker"),
        *(9, "/system.slice/nginx.service", "nginx.service"),
    ),
    2: Process(2, 0, "kworker/0:1", 1, 0, "root", cmdline="[kworker/0:1] libc.so.6 a-b don't"),
    3: Process(
        *(3, 0, "postgres", 1, 105, "postgres"),
        cgroup=8,
        cgroup_path="/docker/db",
        container="db",
        runtime="docker",
        pod="a/b",
    ),
}
NAMES = {9: "nginx.service", 8: "db"}
