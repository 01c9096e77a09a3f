"""Rows with what they need to be understood alone: when, how long, which host, whose process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ebpftop.model import Column, Hello, Process, Sample, Table
from ebpftop.recording.export import SAMPLES, ExportError
from ebpftop.recording.export.output import in_file_name
from ebpftop.views.store import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ebpftop.model import ProbeInfo, Record, Row
    from ebpftop.recording.export import Choice

    Who = tuple[Any, ...]

Type = Literal["int", "float", "text", "time"]
TIMES: dict[str, Type] = {"wall_ns": "int", "time": "time", "dt_ns": "int", "host": "text"}
WHO: dict[str, Type] = {
    "comm": "text",
    "cmdline": "text",
    "user": "text",
    "container": "text",
    "runtime": "text",
    "pod": "text",
    "unit": "text",
    "cgroup_path": "text",
    "start_ns": "int",
}
NOBODY: Who = (None,) * len(WHO)
REMEMBERED = 65_536
PER_SAMPLE = Table(
    SAMPLES,
    (
        Column("seq", "number", "id"),
        Column("only", "counted alone", "label"),
        Column("lost", "lost", "count", "sum"),
        Column("lost_why", "why", "label"),
        Column("left_out", "rows left out", "count", "sum"),
        Column("events", "program runs", "count", "sum"),
        Column("run_ns", "time in programs", "ns", "sum"),
        Column("read_ns", "time to read", "ns", "sum"),
    ),
)


def type_of(column: Column) -> Type:
    """Type of a column's values, which depends on its description alone."""
    if column.kind == "ratio" or (column.kind == "label" and column.fold != "key"):
        return "float"
    return "text" if column.kind in ("label", "stack") else "int"


@dataclass(frozen=True)
class Sheet:
    """A table as it is exported.

    Attributes:
        probe, table: whose it is.
        columns: names and types, in the order of the rows: first the four of `TIMES`, then, where
            the table has a process id, those of `WHO`, then the table's own.
    """

    probe: str
    table: str
    columns: tuple[tuple[str, Type], ...]

    @property
    def name(self) -> str:
        """What messages call it: `biotop.io`."""
        return f"{self.probe}.{self.table}"

    @property
    def file_name(self) -> str:
        """The same as a name that any folder can hold."""
        return f"{in_file_name(self.probe)}.{in_file_name(self.table)}"


class Batch(NamedTuple):
    """The rows of one table in one sample."""

    sheet: Sheet
    host: str
    boot_id: str
    wall_ns: int
    rows: list[tuple[Any, ...]]


class Identities:
    """Whose a process id is at this point of the stream."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._processes: dict[int, Process] = {}
        self._cgroups: dict[int, tuple[str, ...]] = {}

    def add(self, process: Process) -> None:
        """Take in what is said of a process."""
        self.names[process.pid] = process.comm
        forgotten = remember(self._processes, process, REMEMBERED)
        if forgotten is not None:
            del self.names[forgotten]
        if process.cgroup:
            self._cgroups[process.cgroup] = _place(process)
            if len(self._cgroups) > REMEMBERED:
                del self._cgroups[next(iter(self._cgroups))]

    def who(self, pid: Any, cgroup: Any) -> Who:
        """The columns of `WHO`; None for what is not known.

        Container, unit and path are those of the row's cgroup: the process may have left it.
        """
        process = self._processes.get(pid) if isinstance(pid, int) else None
        if process is None:
            return NOBODY
        place = _place(process)
        if isinstance(cgroup, int) and cgroup and cgroup != process.cgroup:
            place = self._cgroups.get(cgroup, ("",) * len(place))
        known = (process.comm, process.cmdline, process.user, *place, process.start_ns)
        return tuple(value or None for value in known)


def _place(process: Process) -> tuple[str, ...]:
    """What a cgroup is, as the processes in it know it: the middle of `WHO`."""
    container = process.container, process.runtime, process.pod
    return (*container, process.unit, process.cgroup_path)


@dataclass(frozen=True)
class Source:
    """Where the rows of a sheet come from: positions in the table's own rows."""

    sheet: Sheet
    width: int
    pid: int | None
    cgroup: int | None


class Tables:
    """Turns records into batches.

    Attributes:
        samples: how many there were, by probe.
        lost: how much the samples say was not counted, by probe.
    """

    def __init__(self, choice: Choice, time: Callable[[int], Any]) -> None:
        """`time` makes the value of the column of that name from UTC in ns."""
        self.samples: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self._choice = choice
        self._time = time
        self._hello: Hello | None = None
        self._sources: dict[str, dict[str, Source]] = {}
        self._identities = Identities()

    def batches(self, records: Iterable[Record]) -> Iterator[Batch]:
        """The wanted tables of each sample, also those without rows.

        Raises:
            ExportError: a sample is not as its description says.
        """
        for record in records:
            if isinstance(record, Sample):
                yield from self._batches(record)
            elif isinstance(record, Process):
                self._identities.add(record)
            elif isinstance(record, Hello):
                self._meet(record)

    def _meet(self, hello: Hello) -> None:
        if self._hello is None or self._hello.boot_id != hello.boot_id:
            self._identities = Identities()
        self._hello = hello
        self._sources = {info.name: self._sources_of(info) for info in hello.probes}

    def _sources_of(self, info: ProbeInfo) -> dict[str, Source]:
        tables = {table.name: table for table in (PER_SAMPLE, *info.tables)}
        return {
            name: _source(info.name, table)
            for name, table in tables.items()
            if self._choice.wants(info.name, name)
        }

    def _batches(self, sample: Sample) -> Iterator[Batch]:
        sources = self._sources.get(sample.probe) if isinstance(sample.probe, str) else None
        if not sources or self._hello is None:
            return
        lost = check(sample)
        self.samples[sample.probe] = self.samples.get(sample.probe, 0) + 1
        if lost:
            self.lost[sample.probe] = self.lost.get(sample.probe, 0) + lost
        host = self._hello.host
        try:
            front = (sample.wall_ns, self._time(sample.wall_ns), sample.dt_ns, host)
        except OverflowError:
            raise ExportError(f"{sample.probe}: no calendar holds {sample.wall_ns} ns") from None
        for name, source in sources.items():
            rows = sample.tables.get(name)
            if rows is None and source.width == len(PER_SAMPLE.columns) and name == SAMPLES:
                rows = [_figures(sample, lost)]
            whole = self._whole(front, rows or [], source)
            yield Batch(source.sheet, host, self._hello.boot_id, sample.wall_ns, whole)

    def _whole(self, front: tuple[Any, ...], rows: list[Row], source: Source) -> list[Row]:
        if any(len(row) != source.width for row in rows):
            raise ExportError(f"rows of {source.sheet.name} do not have the columns they should")
        if source.pid is None:
            return [(*front, *row) for row in rows]
        pid, cgroup, who = source.pid, source.cgroup, self._identities.who
        if cgroup is None:
            return [(*front, *who(row[pid], None), *row) for row in rows]
        return [(*front, *who(row[pid], row[cgroup]), *row) for row in rows]


def check(sample: Sample) -> int:
    """How much a sample lost; raises ExportError where its fields are not what they should be."""
    parts: tuple[tuple[Any, type], ...] = (
        *((value, int) for value in (sample.seq, sample.wall_ns, sample.dt_ns)),
        *((value, dict) for value in (sample.lost, sample.truncated, sample.scope)),
    )
    if not all(isinstance(value, kind) for value, kind in parts):
        raise ExportError(f"a sample of {sample.probe} is damaged")
    return _total(sample.lost)


def _total(numbers: dict[str, int]) -> int:
    return sum(number for number in numbers.values() if isinstance(number, int))


def _figures(sample: Sample, lost: int) -> Row:
    """The row of the table `samples`."""
    why = "; ".join(f"{reason}: {number}" for reason, number in sample.lost.items() if number)
    cost = sample.cost
    left_out = _total(sample.truncated)
    only = " ".join(f"{role}={number}" for role, number in sample.scope.items()) or None
    numbers = cost.events, cost.run_ns, cost.read_ns
    return sample.seq, only, lost, why or None, left_out, *numbers


def _source(probe: str, table: Table) -> Source:
    roles = {column.role: position for position, column in reversed([*enumerate(table.columns)])}
    who = WHO if "pid" in roles else {}
    own = ((column.name, type_of(column)) for column in table.columns)
    columns = (*TIMES.items(), *who.items(), *own)
    sheet = Sheet(probe, table.name, columns)
    return Source(sheet, len(table.columns), roles.get("pid"), roles.get("cgroup"))
