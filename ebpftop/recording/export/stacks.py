"""Stacks added up over a span, each below its process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ebpftop.model import Hello, Process, Sample
from ebpftop.recording.export import ChoiceError, ExportError
from ebpftop.recording.export.tables import Identities, check
from ebpftop.views import format as fmt
from ebpftop.views.window import process

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from ebpftop.model import Kind, Record, Table

    Weight = Literal["", "blocked", "waiting", "both"]

OTHERS = "others"
Key = tuple[str, str]


@dataclass
class Stacks:
    """Stacks of one probe, added up.

    Attributes:
        probe, table: whose they are.
        weight: names of the columns that are added up.
        merge: processes of the same name are one.
        awake: threads that slept throughout are left out, as in the flame view.
        sums: weight by process and folded stack; both are safe to show, and hold no `;` but
            between frames.
        samples, dt_ns, lost: how many samples there were, the time they measured, and how much
            they say was not counted.
        host, wall_ns: where they are from, and the time of the first and the last.
        asleep: threads that were left out before.
        grouped: whether the first name of a stack is no frame.
        remarks: how they were chosen and put together, safe to show.
    """

    probe: str
    table: Table
    weight: tuple[str, ...]
    merge: bool = False
    awake: bool = False
    sums: dict[Key, int] = field(default_factory=dict)
    samples: int = 0
    dt_ns: int = 0
    lost: int = 0
    host: str = ""
    wall_ns: tuple[int, int] = (0, 0)
    asleep: int = 0
    grouped: bool = True
    remarks: tuple[str, ...] = ()
    _asleep: dict[tuple[int, int | None], dict[Key, int] | None] = field(default_factory=dict)

    @property
    def sleepers(self) -> int:
        """Threads that are left out."""
        return self.asleep + sum(sums is not None for sums in self._asleep.values())

    @property
    def total(self) -> int:
        """All weights added up."""
        return sum(self.sums.values())

    @property
    def kind(self) -> Kind:
        """What the weights are."""
        return self.table.columns[self.table.index(self.weight[0])].kind

    def add(self, records: Iterable[Record]) -> None:
        """Add the samples among them.

        Raises:
            ExportError: a sample is not as its description says.
        """
        identities, boot_id = Identities(), None
        for record in records:
            if isinstance(record, Process):
                identities.add(record)
            elif isinstance(record, Sample):
                if record.probe == self.probe:
                    self._add(record, identities)
            elif isinstance(record, Hello):
                if boot_id != record.boot_id:
                    identities, boot_id = Identities(), record.boot_id
                self.host = record.host
                info = record.probe(self.probe)
                if info is not None:
                    self.table = _same(info.tables, self.table)

    def _add(self, sample: Sample, identities: Identities) -> None:
        self.lost += check(sample)
        self.samples += 1
        self.dt_ns += sample.dt_ns
        self.wall_ns = (self.wall_ns[0] or sample.wall_ns, sample.wall_ns)
        table, places = self.table, self._places()
        weights = [table.index(name) for name in self.weight]
        for row in sample.tables.get(table.name, ()):
            if len(row) != len(table.columns):
                raise ExportError(f"rows of {self.probe}.{table.name} have the wrong columns")
            weight = sum(row[i] for i in weights if isinstance(row[i], int))
            if weight > 0:
                pid, tid, ran, stack = (None if i is None else row[i] for i in places)
                text = fmt.clean(stack) if isinstance(stack, str) else ""
                key = (self._process(pid, identities), text)
                sums = self._sums_of(pid, tid, ran)
                sums[key] = sums.get(key, 0) + weight

    def _places(self) -> tuple[int | None, ...]:
        """Where the rows have process, thread, how often it ran, and stack."""
        columns = self.table.columns
        names = {column.name: place for place, column in enumerate(columns)}
        stack = next(place for place, column in enumerate(columns) if column.kind == "stack")
        return names.get("pid"), names.get("tid"), names.get("count"), stack

    def _sums_of(self, pid: Any, tid: Any, ran: Any) -> dict[Key, int]:
        """Where the stacks of a thread are added: apart, until it is known to have run."""
        if not (self.awake and isinstance(pid, int) and isinstance(ran, int)):
            return self.sums
        thread = (pid, tid if isinstance(tid, int) else None)
        apart = self._asleep.setdefault(thread, {})
        if apart is not None and ran:
            for key, weight in apart.items():
                self.sums[key] = self.sums.get(key, 0) + weight
            apart = self._asleep[thread] = None
        return self.sums if apart is None else apart

    def _process(self, pid: object, identities: Identities) -> str:
        """The first level of a stack: its process, as the flame view calls it."""
        if not isinstance(pid, int):
            return OTHERS
        comm = identities.names.get(pid)
        label = fmt.clean(comm) if comm and self.merge else process(pid, identities.names)
        return label.replace(";", ":")


def weight_of(table: Table, weight: Weight) -> tuple[str, ...]:
    """The columns that a choice of weight stands for.

    Raises:
        ChoiceError: the table has no such columns.
    """
    adding = tuple(column.name for column in table.columns if column.fold == "sum")
    times = tuple(name for name in ("blocked_ns", "waiting_ns") if name in adding)
    if not weight:
        weight = "both" if len(times) == 2 else ""
    if weight == "both" and len(times) == 2:
        return times
    if weight and f"{weight}_ns" in times:
        return (f"{weight}_ns",)
    if weight or not adding:
        raise ChoiceError(f"the stacks of table {table.name} have no weight {weight or 'at all'}")
    return adding[:1]


def _same(tables: Iterable[Table], known: Table) -> Table:
    """The table of the same name as another version of the program describes it."""
    wanted = {column.name for column in known.columns}
    for table in tables:
        if table.name == known.name and wanted <= {column.name for column in table.columns}:
            return table
    return known


def frames(process: str, stack: str) -> list[str]:
    """The frames of a stack from the root on, its process first."""
    return [process, *stack.split(";")] if stack else [process]
