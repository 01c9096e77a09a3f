"""Block I/O by process, disk and operation, with the time it waited and the time it was served."""

from collections.abc import Mapping

from ebpftop.probe import (
    Env,
    Layout,
    Map,
    Probe,
    Row,
    View,
    all_of,
    bytes_,
    cgroup,
    count,
    first_of,
    key,
    maximum_ns,
    ns,
    pid,
    ratio,
    raw_tracepoint,
    table,
)

# enum req_op in include/linux/blk_types.h; what is not listed is shown by its number.
OPERATIONS = {
    0: "read",
    1: "write",
    2: "flush",
    3: "discard",
    5: "erase",
    7: "append",
    9: "zero",
    21: "write same",  # before 5.18, when the numbers of this and append were the other way round
}
BYTES = 1
COMPLETE = raw_tracepoint(
    "block_rq_complete", "on_complete", "request=struct request *", "bytes=unsigned int"
)
DISK = {"RQ_QUEUE": "request.q", "QUEUE_DISK": "request_queue.disk"}
DISK_BEFORE_5_15 = {"RQ_DISK": "request.rq_disk"}
OPS_BEFORE_6_0 = {"APPEND": "req_opf.REQ_OP_ZONE_APPEND"}


class Biotop(Probe):
    """Block I/O, from the request's start to its completion."""

    title = "Block I/O"
    purpose = "which process reads and writes which disk, and how long it waits for it"
    tables = (
        table(
            "io",
            pid(),
            cgroup(),
            key("disk", "DISK", role="disk"),
            key("op", "OP", role="op", help="read, write, discard, flush", closed=True),
            count("ios", "IO/s", help="completed requests"),
            bytes_("bytes", "B/s"),
            ns("lat_ns", "latency", help="from queueing to completion, added up"),
            ns("queue_ns", "queued", help="the part of it before the driver was given the request"),
            maximum_ns("max_ns", "MAX", help="longest of the interval"),
        ),
        table(
            "latency",
            pid(),
            key("disk", "DISK", role="disk"),
            key("op", "OP", role="op", closed=True),
            key("slot", "latency", "slot"),
            count("count", "IOs", rate=False),
        ),
    )
    views = (
        View(
            "table",
            "io",
            "I/O by process",
            columns=("pid", "disk", "op", "ios", "bytes", "avg_ns", "wait_ns", "max_ns"),
            derived=(
                ratio("avg_ns", "AVG", ("lat_ns",), ("ios",), help="queued and served, per IO"),
                ratio("wait_ns", "QUEUED", ("queue_ns",), ("ios",), help="queued, per IO"),
            ),
            sort="bytes",
        ),
        View("histogram", "latency", "Latency", by="disk", follow=("pid", "disk", "op")),
        View("heat", "latency", "Latency over time"),
    )
    hooks = (
        first_of(
            raw_tracepoint("block_io_start", "on_start", "request=struct request *"),
            all_of(
                raw_tracepoint("block_getrq", "on_getrq", "bio=struct bio *"),
                missing="commands that programs send to a disk themselves (SG_IO) are not seen,"
                " nor the paths of dm-multipath",
                offsets={"RQ_BIO": "request.bio", "BIO_NEXT": "bio.bi_next"},
            ),
        ),
        raw_tracepoint("block_rq_merge", "on_merge", "request=struct request *"),
        raw_tracepoint("block_rq_issue", "on_issue", "request=struct request *"),
        first_of(
            all_of(COMPLETE, offsets=DISK, enums={"APPEND": "req_op.REQ_OP_ZONE_APPEND"}),
            all_of(COMPLETE, offsets=DISK, enums=OPS_BEFORE_6_0),
            all_of(COMPLETE, offsets=DISK_BEFORE_5_15, enums=OPS_BEFORE_6_0),
        ),
    )
    offsets = {
        "RQ_LEN": "request.__data_len",
        "RQ_FLAGS": "request.cmd_flags",
        "DISK_MAJOR": "gendisk.major",
        "DISK_MINOR": "gendisk.first_minor",
    }
    maps = {
        "io": Layout("III4x", values=5, who=True, maxima=(4,), double=True),
        "latency": Layout("IIII", values=1, double=True),
    }
    state = ("starts", "marks")
    lost = {
        "STARTS": "requests in flight beyond 16384",
        "IO": "rows beyond 16384",
        "LATENCY": "histogram slots beyond 16384",
    }
    help = (
        "A request is charged to the process that queued it. Buffered writes are written back by"
        " kernel threads, so they show as kworker or jbd2; the cgroup is that of the thread, too."
        " QUEUED is the time before the driver got the request, the rest of AVG is the device's."
        " Devices without requests of their own (dm, md, zram) show as the disks below them."
    )

    def read(self, maps: Mapping[str, Map], env: Env) -> dict[str, list[Row]]:
        """Rows of the interval."""
        return {
            "io": env.rows(
                "io",
                maps["io"].drain(),
                lambda k, cgroup: (k[0], cgroup, env.disk(k[1]), operation(k[2])),
                weight=(BYTES,),
            ),
            "latency": env.rows(
                "latency",
                maps["latency"].drain(),
                lambda k, _: (k[0], env.disk(k[1]), operation(k[2]), k[3]),
                weight=(0,),
            ),
        }


def operation(op: int) -> str:
    """Name of a request's operation."""
    return OPERATIONS.get(op, f"op {op}")
