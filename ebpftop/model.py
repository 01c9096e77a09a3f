"""The records of the stream and the descriptions they carry.

Everything here is immutable and plain: it travels as JSON between the collector, recordings and
the screen. Values are raw (integers, floats, text), counters are of one interval, and units are
part of the column, never of the value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

FORMAT = "ebpftop"
VERSION = 1

Kind = Literal["label", "id", "count", "bytes", "ns", "slot", "stack", "ratio"]
Fold = Literal["key", "sum", "max"]
State = Literal["idle", "starting", "running", "degraded", "failed", "unavailable"]
ViewKind = Literal["table", "histogram", "heat", "chart", "stat", "flame"]
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: what scripts and rows call it; units are a suffix (`lat_ns`, `rx_bytes`).
        title: what the screen calls it.
        kind: how it is shown; `ratio` is a share from 0 to 1.
        fold: how two rows become one: they differ by their keys, sums add, maxima compare.
        role: what the value stands for on every pane (`pid`, `cgroup`, `disk`, ...), for scopes.
        rate: shown per second.
        ratio: for a derived column, the columns added up above and below the fraction bar.
        closed: its texts are of a set that is the same on every machine (operations, system
            calls, errors). Others may name people, programs or places, and are made anonymous.
        gauge: how things stood at the end of the interval, not what happened in it: over a longer
            time the last value holds.
        help: one sentence.
    """

    name: str
    title: str
    kind: Kind
    fold: Fold = "key"
    role: str = ""
    rate: bool = False
    ratio: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    closed: bool = False
    gauge: bool = False
    help: str = ""


@dataclass(frozen=True)
class Table:
    """The columns of one table of a probe, in the order of its rows."""

    name: str
    columns: tuple[Column, ...]

    def index(self, column: str) -> int:
        """Position of a column in a row; raises ValueError for a name that is not there."""
        for position, candidate in enumerate(self.columns):
            if candidate.name == column:
                return position
        raise ValueError(f"table {self.name} has no column {column}")


@dataclass(frozen=True)
class View:
    """One part of a pane: which table it draws, and how.

    Attributes:
        kind: the sort of picture.
        table: the table it is made from.
        title: heading on the screen.
        columns: what is shown, in order; empty means all.
        derived: columns computed from those of the table (averages, shares).
        sort: column that the table is sorted by at first, largest on top.
        by: for histograms, heat strips and charts: one series per value of this column.
        follow: key columns taken from the selected row of the pane's first table view, so that
            this view shows that row alone; with no row selected it shows the whole table.
    """

    kind: ViewKind
    table: str
    title: str
    columns: tuple[str, ...] = ()
    derived: tuple[Column, ...] = ()
    sort: str = ""
    by: str = ""
    follow: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProbeInfo:
    """What the screen and a recording know of a probe; the descriptor itself never travels."""

    name: str
    title: str
    area: str
    purpose: str
    tables: tuple[Table, ...]
    views: tuple[View, ...]
    hooks: tuple[str, ...] = ()
    help: str = ""

    def table(self, name: str) -> Table:
        """The table of that name; raises ValueError for one that is not there."""
        for table in self.tables:
            if table.name == name:
                return table
        raise ValueError(f"probe {self.name} has no table {name}")


@dataclass(frozen=True, eq=False)
class Hello:
    """First record of a stream: who speaks, and a description of every probe."""

    host: str
    kernel: str
    boot_id: str
    cpus: int
    interval_ns: int
    wall_ns: int
    mono_ns: int
    probes: tuple[ProbeInfo, ...]
    machine: str = ""
    format: str = FORMAT
    version: int = VERSION

    def probe(self, name: str) -> ProbeInfo | None:
        """The description of a probe, or None where this stream does not know it."""
        return next((probe for probe in self.probes if probe.name == name), None)


@dataclass(frozen=True)
class Cost:
    """What one sample cost: program runs and their time, and the collector's CPU to read it.

    `events` and `run_ns` are None where the kernel keeps no run-time statistics (before 5.8).
    """

    events: int | None = None
    run_ns: int | None = None
    read_ns: int = 0


@dataclass(frozen=True, eq=False)
class Sample:
    """One probe's rows of one interval.

    Attributes:
        seq: number of the sample, per probe, from 1.
        wall_ns: UTC at the end of the interval; `mono_ns` the monotonic clock at that moment.
        dt_ns: measured length of the interval: rates divide by it.
        tables: rows by table name. A row whose key columns are all None holds, added up, the
            rows that were left out, so totals hold.
        lost: what was not counted, by reason.
        truncated: how many rows went into the row of the others, by table.
        scope: what the kernel was told to count alone, `{"pid": 4242}` or `{"cgroup": 811}`;
            empty where everything was counted.
    """

    probe: str
    seq: int
    wall_ns: int
    mono_ns: int
    dt_ns: int
    tables: dict[str, list[Row]]
    lost: dict[str, int] = field(default_factory=dict)
    cost: Cost = Cost()
    truncated: dict[str, int] = field(default_factory=dict)
    scope: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """What became of a probe: `reason` says why in one line, `hint` what to do about it."""

    probe: str
    state: State
    hooks: tuple[str, ...] = ()
    reason: str = ""
    hint: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Process:
    """Identity of a process, sent when it is first seen and again when it changes its name.

    `start_ns` counts from boot, so that (pid, start_ns) names one process for ever.

    Attributes:
        cgroup, cgroup_path: id and path (`/` is the root) of its cgroup; 0 and empty if unknown.
        unit: the systemd unit that the path ends in.
        container: name of the container that it runs in, or what is known of its id.
        runtime: what runs that container: `docker`, `podman`, `containerd`, `cri-o`, `lxc`, ...
        pod: Kubernetes pod of the container, as `namespace/name`, or its uid.
    """

    pid: int
    start_ns: int
    comm: str
    ppid: int | None = None
    uid: int | None = None
    user: str = ""
    exe: str = ""
    cmdline: str = ""
    cgroup: int = 0
    cgroup_path: str = ""
    unit: str = ""
    container: str = ""
    runtime: str = ""
    pod: str = ""


@dataclass(frozen=True)
class Tick:
    """Ends a round: every probe that runs has been read, as far as it was due.

    `interval_ns` is the interval that is asked for from now on; a recording is flushed here.
    """

    wall_ns: int
    mono_ns: int
    interval_ns: int


@dataclass(frozen=True)
class Bye:
    """Last record of a stream that ended in good order."""

    reason: str


@dataclass(frozen=True)
class Command:
    """What a reader may ask of a live collector; never recorded.

    `scope` narrows every probe to a process or to a cgroup and all below it; with neither `pid` nor
    `cgroup` it takes the whole machine again.
    """

    verb: Literal["start", "stop", "interval", "scope"]
    probe: str = ""
    seconds: float = 0.0
    pid: int = 0
    cgroup: int = 0


Record = Hello | Sample | Status | Process | Tick | Bye
