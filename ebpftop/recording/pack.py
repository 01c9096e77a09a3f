"""How records lie in a chunk: as lines of the stream, with tables by column and stacks by number.

Every chunk can be read alone. It begins with a `chunk` line that tells how many lines after it
repeat what is known; identities of processes come again before the first sample that speaks of
them; stacks and the names of their frames are numbered anew. `zstd -dc FILE | jq` shows all of it.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from ebpftop import stream
from ebpftop.model import Hello, Process, Sample, Status
from ebpftop.views.store import remember

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpftop.model import ProbeInfo, Record, Row, Table

PROCESSES = 32_768
SAMPLE = b'{"t":"sample"'
STACK_TYPES = {str, type(None)}
AGE_TYPES = {int, type(None)}
REPEATED = b',"repeated":true}'
SAID = 100_000
# Ends a line that may hold numbers of more than 64 bits: the fast library would read fractions.
EXACT = b" "


class Known:
    """What a reader must know before a sample: who speaks, how the probes are, whose pid is whose.

    Attributes:
        hello: the newest; None before anything was said.
    """

    def __init__(self) -> None:
        self.hello: Hello | None = None
        self._statuses: dict[str, Status] = {}
        self._processes: dict[int, Process] = {}
        self._said: set[int] = set()
        self._pids: dict[str, dict[str, list[int]]] = {}

    def add(self, record: Record) -> None:
        """Take in a record that was said in this chunk."""
        if isinstance(record, Process):
            self._said.add(record.pid)
            remember(self._processes, record, PROCESSES)
        elif isinstance(record, Status):
            self._statuses[record.probe] = record
        elif isinstance(record, Hello):
            if self.hello and self.hello.boot_id != record.boot_id:
                self._processes.clear()  # the pids are of another life
                self._statuses.clear()
            self.hello = record
            self._pids = {
                probe.name: {table.name: _pid_positions(table) for table in probe.tables}
                for probe in record.probes
            }

    def begin(self) -> list[Record]:
        """What comes first in a new chunk; identities follow as they are needed."""
        self._said.clear()
        return [*([self.hello] if self.hello else ()), *self._statuses.values()]

    def copy(self) -> Known:
        """The same, for another chunk."""
        twin = Known()
        twin.hello, twin._pids = self.hello, self._pids
        twin._statuses, twin._processes = dict(self._statuses), dict(self._processes)
        return twin

    def missing(self, sample: Sample) -> list[Process]:
        """Identities of this sample that were not said in this chunk; now they count as said."""
        found: list[Process] = []
        for name, positions in self._pids.get(sample.probe, {}).items():
            rows = sample.tables.get(name, ())
            for position in positions:
                try:
                    pids = dict.fromkeys(map(itemgetter(position), rows))
                except (IndexError, TypeError):
                    continue  # rows are not as they were described
                for pid in [pid for pid in pids if pid not in self._said]:
                    process = self._processes.pop(pid, None)
                    if process is not None:
                        self._processes[pid] = process  # at the end: the unused are forgotten first
                        self._said.add(pid)
                        found.append(process)
        return found


def _pid_positions(table: Table) -> list[int]:
    return [i for i, column in enumerate(table.columns) if column.role == "pid"]


def again(process: Process) -> bytes:
    """The line of an identity that was said before."""
    line = encoded(process)
    body = line.rstrip(EXACT)
    return body[:-1] + REPEATED + line[len(body) :]


class Packer:
    """Records to lines, for one chunk."""

    def __init__(self) -> None:
        self._frames: dict[str, int] = {}
        self._stacks: dict[str, int] = {}

    def lines(self, record: Record, info: ProbeInfo | None = None) -> list[bytes]:
        """The lines of a record, without their newlines; samples need the description of theirs."""
        if not isinstance(record, Sample) or info is None:
            return [encoded(record)]
        fresh: list[str] = []
        tables: dict[str, Any] = dict(record.tables)
        for table in info.tables:
            if table.name in tables:
                tables[table.name] = self._columns(record, table, fresh)
        line = _line(stream.sample_fields(record, tables))
        return [self._stacks_line(fresh), line] if fresh else [line]

    def _columns(self, sample: Sample, table: Table, fresh: list[str]) -> Any:
        """A table by column; as it is where rows are not as described.

        Stacks are numbers. Ages are the moments since which, for those do not change.
        """
        rows = sample.tables[table.name]
        if not table.columns or {*map(len, rows)} != {len(table.columns)}:
            return rows
        columns: dict[str, Any] = {}
        for column, values in zip(table.columns, zip(*rows)):
            columns[column.name] = values
            if column.kind == "stack" and {*map(type, values)} <= STACK_TYPES:
                columns[column.name] = {"stacks": self._numbers(values, fresh)}
            elif column.gauge and column.kind == "ns" and {*map(type, values)} <= AGE_TYPES:
                columns[column.name] = {"since": _ages(values, sample.mono_ns)}
        return columns if len(columns) == len(table.columns) else rows

    def _numbers(self, stacks: Sequence[str | None], fresh: list[str]) -> list[int | None]:
        known = self._stacks
        for stack in stacks:
            if stack not in known and stack is not None:
                known[stack] = len(known)
                fresh.append(stack)
        return list(map(known.get, stacks))  # type: ignore[arg-type]

    def _stacks_line(self, fresh: list[str]) -> bytes:
        known, first = self._frames, len(self._frames)
        stacks = [
            [known.setdefault(name, len(known)) for name in stack.split(";")] for stack in fresh
        ]
        fields = {
            "t": "stacks",
            "first": len(self._stacks) - len(fresh),
            "stacks": stacks,
            "first_frame": first,
            "frames": list(known)[first:],
        }
        return _line(fields)


def _ages(values: Iterable[int | None], now_ns: int) -> list[int | None]:
    """Ages from moments, and moments from ages."""
    return [None if value is None else now_ns - value for value in values]


def encoded(record: Record) -> bytes:
    """The line of a record as it lies in a stream, without its newline."""
    if isinstance(record, (Sample, Hello)):
        return stream.encode(record).encode() + EXACT
    return _line({"t": stream.TAGS[type(record)], **record.__dict__})


def _line(fields: dict[str, Any]) -> bytes:
    """JSON, by a library that halves what recording costs; it takes no more than 64 bits."""
    try:
        return orjson.dumps(fields)
    except TypeError:  # a larger number, or text that is not Unicode
        return stream.to_json(fields).encode() + EXACT


class Stacks(dict[int | None, str | None]):
    """The stacks of a chunk by their number; made when they are asked for."""

    def __init__(self) -> None:
        super().__init__({None: None})
        self.frames: list[str] = []
        self.lists: list[list[int]] = []

    def __missing__(self, number: int) -> str:
        frames = self.frames
        made = self[number] = ";".join([frames[frame] for frame in self.lists[number]])
        return made


def _fields(line: bytes) -> dict[str, Any]:
    """The fields of a line; raises StreamError where it is none."""
    if not line.endswith((EXACT, EXACT + b"\n")):
        try:
            fields = orjson.loads(line)
            if type(fields) is dict:
                return fields
        except orjson.JSONDecodeError:
            pass
    return stream.fields_of(line)


class Unpacker:
    """Lines of chunks to records; a `chunk` line begins anew.

    Reading from chunk to chunk, what a chunk repeats is passed over: what comes out is what was
    written, each record once.

    Attributes:
        number: of the chunk that is being read.
    """

    def __init__(self) -> None:
        self.number = -1
        self._stacks = Stacks()
        self._repeated = 0
        self._knows = False
        self._said: set[int] = set()

    def record(self, line: bytes) -> Record | None:
        """The record of a line; None for a line that is none, or that repeats what is known.

        Raises:
            StreamError: the line is damaged, or one before it is missing.
        """
        fields = _fields(line)
        tag = fields.get("t")
        if tag == "chunk":
            self._begin(fields)
        elif tag == "stacks":
            self._learn(fields)
        elif self._repeated:
            self._repeated -= 1
            if not self._knows:
                self._knows = not self._repeated
                return stream.build(fields)
        else:
            self._knows = True
            if tag == "sample":
                self._unpack(fields)
            elif tag == "process" and self._is_known(fields):
                return None
            return stream.build(fields)
        return None

    def forget(self) -> None:
        """What comes next does not follow what was read: what it repeats is news."""
        self._knows = False
        self._said.clear()

    def _is_known(self, fields: dict[str, Any]) -> bool:
        """Whether an identity is a repetition; it is known from now on."""
        pid = fields.get("pid")
        if not isinstance(pid, int):
            return False
        repeated = fields.pop("repeated", False)
        if pid in self._said:
            return bool(repeated)
        if len(self._said) < SAID:
            self._said.add(pid)
        return False

    def _begin(self, fields: dict[str, Any]) -> None:
        self._stacks = Stacks()
        try:
            before, self.number = self.number, int(fields["number"])
            self._repeated = int(fields["repeated"])
        except (KeyError, TypeError, ValueError) as error:
            raise stream.StreamError(f"damaged chunk: {error}") from None
        if self.number != before + 1:
            self.forget()

    def _learn(self, fields: dict[str, Any]) -> None:
        known = self._stacks
        try:
            if [fields["first"], fields["first_frame"]] != [len(known.lists), len(known.frames)]:
                raise stream.StreamError("stacks are missing before this line")
            known.frames += fields["frames"]
            known.lists += fields["stacks"]
        except (KeyError, TypeError) as error:
            raise stream.StreamError(f"damaged stacks: {error!r}") from None

    def _unpack(self, fields: dict[str, Any]) -> None:
        try:
            tables = fields["tables"]
            for name, table in tables.items():
                if isinstance(table, dict):
                    tables[name] = self._rows(table, fields["mono_ns"])
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise stream.StreamError(f"damaged sample: {error!r}") from None

    def _rows(self, table: dict[str, Any], now_ns: int) -> list[Row]:
        columns = [
            self._column(values, now_ns) if isinstance(values, dict) else values
            for values in table.values()
        ]
        if len(set(map(len, columns))) > 1:
            raise stream.StreamError("columns differ in length")
        return list(zip(*columns))

    def _column(self, values: dict[str, Any], now_ns: int) -> list[Any]:
        if "since" in values:
            return _ages(values["since"], now_ns)
        stacks = self._stacks
        return [stacks[number] for number in values["stacks"]]
