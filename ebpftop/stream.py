"""Records as lines: one JSON object each, `"t"` first.

Readers ignore fields and record types they do not know, so that an old program can read a newer
stream of the same format version.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from ebpftop.model import (
    FORMAT,
    VERSION,
    Bye,
    Column,
    Command,
    Cost,
    Hello,
    ProbeInfo,
    Process,
    Record,
    Sample,
    Status,
    Table,
    Tick,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TAGS: dict[type[Any], str] = {
    Hello: "hello",
    Sample: "sample",
    Status: "status",
    Process: "process",
    Tick: "tick",
    Bye: "bye",
}
VERBS = ("start", "stop", "interval", "scope")
HALF_PAIR = re.compile("[\ud800-\udfff]")
MAX_LINE_BYTES = 1 << 28


class StreamError(Exception):
    """A line that is no record; the message is one sentence for the user."""


def encode(record: Record) -> str:
    """The line of a record, without its newline."""
    if isinstance(record, Sample):
        fields = sample_fields(record, record.tables)
    else:
        # asdict() copies as deep as a hello goes, which doubles the time; the others are flat.
        flat = dataclasses.asdict(record) if isinstance(record, Hello) else record.__dict__
        fields = {"t": TAGS[type(record)], **flat}
    return to_json(fields)


def to_json(fields: dict[str, Any]) -> str:
    r"""Fields as a line that every reader takes, in ASCII.

    Where a name is not UTF-8 Python has half a pair of surrogates, and jq reads no further than to
    that. Here it becomes text, `\udcff`, so that other names stay others.
    """
    line = json.dumps(fields, separators=(",", ":"))
    if "\\ud" not in line:
        return line
    text = json.dumps(fields, ensure_ascii=False)
    whole = HALF_PAIR.sub(lambda half: f"\\\\u{ord(half[0]):x}", text)
    return json.dumps(json.loads(whole), separators=(",", ":"))


def sample_fields(sample: Sample, tables: dict[str, Any]) -> dict[str, Any]:
    """The fields of a sample's line; recordings have its tables in another form."""
    fields: dict[str, Any] = {"t": "sample"}
    fields.update((name, getattr(sample, name)) for name in _SAMPLE_FIELDS)
    fields["tables"] = tables
    fields["cost"] = sample.cost.__dict__
    if not sample.scope:  # nearly always; recordings hold many samples
        del fields["scope"]
    return fields


def decode(line: str | bytes) -> Record | None:
    """The record of a line, or None for a type of record that this version does not know.

    Raises:
        StreamError: the line is not a record, or of a format that cannot be read.
    """
    return build(fields_of(line))


def build(fields: dict[str, Any]) -> Record | None:
    """The record of the fields of a line; see `decode`."""
    tag = fields.pop("t", None)
    if not isinstance(tag, str):
        raise StreamError("not a record: no type; is this an ebpftop stream?")
    builder = _BUILDERS.get(tag)
    if builder is None:
        return None
    try:
        return builder(fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StreamError(f"damaged {tag} record: {error}") from None


def records(lines: Iterable[str | bytes]) -> Iterator[Record]:
    """The records of a stream of lines; unknown types are passed over."""
    for line in lines:
        if line.strip():
            record = decode(line)
            if record is not None:
                yield record


def encode_command(command: Command) -> str:
    """The line of a command, without its newline."""
    return json.dumps(dataclasses.asdict(command), separators=(",", ":"))


def decode_command(line: str | bytes) -> Command:
    """The command of a line.

    Raises:
        StreamError: the line is not a command.
    """
    command = fields_of(line)
    verb = command.get("verb")
    if verb not in VERBS:
        raise StreamError(f"unknown command {verb!r}; known are {', '.join(VERBS)}")
    probe, seconds = command.get("probe", ""), command.get("seconds", 0.0)
    if not isinstance(probe, str):
        raise StreamError("the probe of a command must be text")
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise StreamError("the seconds of a command must be a number")
    pid, cgroup = command.get("pid", 0), command.get("cgroup", 0)
    if not all(type(number) is int and 0 <= number < 1 << 64 for number in (pid, cgroup)):
        raise StreamError("a scope is a process id or a cgroup id")
    if pid and cgroup:
        raise StreamError("a scope is one process or one cgroup")
    return Command(verb, probe, float(seconds), pid, cgroup)


_SAMPLE_FIELDS = tuple(f.name for f in dataclasses.fields(Sample) if f.name != "cost")


def fields_of(line: str | bytes) -> dict[str, Any]:
    """The fields of a line, whatever record it is.

    Raises:
        StreamError: it is none.
    """
    if len(line) > MAX_LINE_BYTES:
        raise StreamError("a line of more than 256 MiB; is this an ebpftop stream?")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise StreamError("not a line of JSON; is this an ebpftop stream?") from None
    if not isinstance(value, dict):
        raise StreamError("not a JSON object; is this an ebpftop stream?")
    return value


_NAMES = {
    cls: frozenset(f.name for f in dataclasses.fields(cls))
    for cls in (*TAGS, Column, Cost, ProbeInfo, View)
}


def _known(cls: type[Any], fields: dict[str, Any]) -> dict[str, Any]:
    names = _NAMES[cls]
    if names >= fields.keys():
        return fields
    return {name: value for name, value in fields.items() if name in names}


def _column(fields: dict[str, Any]) -> Column:
    known = _known(Column, fields)
    if known.get("ratio"):
        above, below = known["ratio"]
        known["ratio"] = (tuple(above), tuple(below))
    return Column(**known)


def _table(fields: dict[str, Any]) -> Table:
    return Table(fields["name"], tuple(map(_column, fields["columns"])))


def _view(fields: dict[str, Any]) -> View:
    known = _known(View, fields)
    known["columns"] = tuple(known.get("columns", ()))
    known["derived"] = tuple(map(_column, known.get("derived", ())))
    known["follow"] = tuple(known.get("follow", ()))
    return View(**known)


def _probe(fields: dict[str, Any]) -> ProbeInfo:
    known = _known(ProbeInfo, fields)
    known["tables"] = tuple(map(_table, known["tables"]))
    known["views"] = tuple(map(_view, known["views"]))
    known["hooks"] = tuple(known.get("hooks", ()))
    return ProbeInfo(**known)


def _hello(fields: dict[str, Any]) -> Hello:
    known = _known(Hello, fields)
    if known.get("format") != FORMAT:
        raise StreamError("not an ebpftop stream")
    if known.get("version", 0) > VERSION:
        raise StreamError(
            f"written by a newer ebpftop (format {known['version']}, this one reads {VERSION});"
            " upgrade ebpftop to read it"
        )
    known["probes"] = tuple(map(_probe, known["probes"]))
    return Hello(**known)


def _sample(fields: dict[str, Any]) -> Sample:
    known = _known(Sample, fields)
    tables = known["tables"]
    if any(isinstance(rows, dict) for rows in tables.values()):
        raise TypeError("tables by column, as recordings have them")
    known["tables"] = {name: list(map(tuple, rows)) for name, rows in tables.items()}
    known["cost"] = Cost(**_known(Cost, known.get("cost") or {}))
    return Sample(**known)


def _status(fields: dict[str, Any]) -> Status:
    known = _known(Status, fields)
    known["hooks"] = tuple(known.get("hooks", ()))
    return Status(**known)


_BUILDERS: dict[str, Callable[[dict[str, Any]], Record]] = {
    "hello": _hello,
    "sample": _sample,
    "status": _status,
    "process": lambda fields: Process(**_known(Process, fields)),
    "tick": lambda fields: Tick(**_known(Tick, fields)),
    "bye": lambda fields: Bye(**_known(Bye, fields)),
}
