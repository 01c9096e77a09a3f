"""What a filter can ask of a row, by name: the columns of its table, and who its process is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ebpftop.model import Kind, Process, Row
    from ebpftop.views.table import Shape, Shown

    Reader = Callable[[Row], Any]

COMMAND = "command"
UNIT_SUFFIXES = ("_ns", "_bytes")
PER_SECOND = "/s"
# How the name of a field is spelled; titles that are not, cannot be asked for.
NAME = re.compile(r"[^\W\d](?:[\w-]*\w)?(?:/s\b)?")


@dataclass(frozen=True)
class Field:
    """Something that a row can be asked for.

    Attributes:
        name: what scripts call it.
        kind: how the screen writes its values.
        source: position among the shown and the hidden columns of a shape; or, of what is known of
            the process, the attribute of `Process`.
        role: as of a column.
        per_second: a rate, which the screen shows per second.
    """

    name: str
    kind: Kind
    source: int | str
    role: str = ""
    per_second: bool = False


IDENTITY = (
    Field("comm", "label", "comm"),
    Field("cmdline", "label", "cmdline"),
    Field("user", "label", "user"),
    Field("uid", "id", "uid"),
    Field("ppid", "id", "ppid"),
    Field("exe", "label", "exe"),
    Field("unit", "label", "unit"),
    Field("cgroup", "label", "cgroup_path", "cgroup"),
    Field("container", "label", "container"),
    Field("runtime", "label", "runtime"),
    Field("pod", "label", "pod"),
)


class Fields:
    """The names that hold for the rows of one shape.

    A name is looked for among the columns of the table, then in what is known of the process, then
    among short names and titles: those of the shown columns, last those of the hidden ones. A short
    name lacks its unit (`max` of `max_ns`), a short title its `/s` (`IO` of `IO/s`). That of a time
    that is hidden, but averaged in a shown column, means the average: `lat` of `lat_ns` is `AVG`.

    Attributes:
        offered: one name for each field, as the user is told of them: what is shown comes first.
    """

    def __init__(self, shape: Shape) -> None:
        shown, hidden = _fields(shape.columns, 0), _fields(shape.hidden, len(shape.columns))
        columns = {field.name.casefold(): [field] for field, _ in (*shown, *hidden)}
        process = {} if shape.pid is None else {f.name: [f] for f in IDENTITY}
        if "comm" in process:
            process[COMMAND] = process["comm"]
        elif COMMAND in columns:
            process["comm"] = columns[COMMAND]
        averages = {c.above: field for field, c in shown if field.kind == "ns"}
        meant = [(_meant(field, column, averages), field, column) for field, column in hidden]
        self._tiers = (
            columns,
            process,
            _short([(field, field, column) for field, column in shown]),
            _short(meant),
        )
        names = [self._offer(field) for field, _ in shown]
        names += [field.name for field in IDENTITY if field.name in process]
        names += [self._offer(field) for field, _ in hidden]
        self.offered = tuple(dict.fromkeys(names))

    def knows(self, name: str) -> bool:
        """Whether there is a field, or more than one, of that name."""
        return bool(self._found(name))

    def find(self, name: str) -> Field:
        """The field of a name, in any case; raises LookupError that says which there are."""
        found = self._found(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise LookupError(f"{name} is ambiguous: {' or '.join(field.name for field in found)}")
        key = name.casefold()
        near = sorted(self.offered, key=lambda known: -SequenceMatcher(None, key, known).ratio())
        raise LookupError(f"no column {name}; there are {', '.join(near)}")

    def completed(self, prefix: str) -> list[str]:
        """The names that begin so, without the prefix itself: those that are offered come first."""
        key = prefix.casefold()
        names = [*self.offered, *(name for tier in self._tiers for name in tier)]
        longer = (name for name in names if name.startswith(key) and name != key)
        return list(dict.fromkeys(longer)) if key else []

    def _found(self, name: str) -> Sequence[Field]:
        key = name.casefold()
        return next((tier[key] for tier in self._tiers if key in tier), ())

    def _offer(self, field: Field) -> str:
        short = _without_unit(field.name)
        return short if len(self._found(short)) == 1 else field.name


def reader(
    field: Field, readers: Sequence[Reader], pid: int | None, processes: Mapping[int, Process]
) -> Reader:
    """How the value of a field is taken from a row; what is not known, or empty, is None.

    `readers` are those of the shown columns and then of the hidden ones.
    """
    if isinstance(field.source, int):
        return readers[field.source]
    attribute, position = field.source, pid or 0

    def told(row: Row) -> Any:
        process = processes.get(row[position])
        if process is None:
            return None
        value = getattr(process, attribute)
        return None if value == "" else value

    return told


def _fields(columns: Iterable[Shown], first: int) -> list[tuple[Field, Shown]]:
    fields = []
    for source, shown in enumerate(columns, first):
        column = shown.column
        if shown.position is None and not column.ratio:
            continue  # the command, which the process has
        kind: Kind = "label" if column.role == "cgroup" else shown.kind
        per_second = shown.per_second or (column.rate and kind != "ratio")
        fields.append((Field(column.name, kind, source, column.role, per_second), shown))
    return fields


def _meant(field: Field, shown: Shown, averages: Mapping[tuple[int, ...], Field]) -> Field:
    if shown.position is None or field.kind != "ns" or shown.column.fold != "sum":
        return field
    return averages.get((shown.position,), field)


def _short(columns: Iterable[tuple[Field, Field, Shown]]) -> dict[str, list[Field]]:
    """What the short names and the titles of fields mean."""
    found: dict[str, list[Field]] = {}
    for meant, field, shown in columns:
        title = shown.column.title.casefold()
        short = title.removesuffix(PER_SECOND)
        names = (_without_unit(field.name), short if len(short) > 1 else title, title)
        for name in filter(NAME.fullmatch, dict.fromkeys(names)):
            known = found.setdefault(name, [])
            if meant not in known:
                known.append(meant)
    return found


def _without_unit(name: str) -> str:
    key = name.casefold()
    suffix = next((suffix for suffix in UNIT_SUFFIXES if key.endswith(suffix)), "")
    return key.removesuffix(suffix)
