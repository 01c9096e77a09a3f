"""What the author of a probe imports: the vocabulary of descriptors.

A probe is two files, `probes/<area>/<name>.py` and `.c`. The Python file subclasses `Probe` once:
class attributes say what it measures and where it hangs, `read` turns map entries into rows. This
module must stay free of bcc, of the screen, and of anything outside the standard library.

What the C file is given, all as `-D` flags:

    OFF_<NAME>              byte offset of a struct member, from the kernel's BTF
    ENUM_<NAME>             value of an enumerator
    HAVE_<program>          1 for each program whose hook was chosen
    HAVE_<ABILITY>          1 for what the kernel can do and common.h knows how to use
    ARG_<program>_<name>    position of a named argument of that program's hook; of a tracepoint,
                            byte offset in its record
    LOST_<NAME>             index of a reason in the map `lost` (`Probe.lost`)
    PAGE_SHIFT              a page of memory has 1 << PAGE_SHIFT bytes
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from ebpftop.columns import (
    bytes_,
    cgroup,
    count,
    gauge,
    key,
    maximum_ns,
    ns,
    pid,
    ratio,
    table,
)
from ebpftop.hook import (
    AllOf,
    FirstOf,
    Hook,
    HookPlan,
    Members,
    all_of,
    fentry,
    fexit,
    first_of,
    kprobe,
    kretprobe,
    perf_event,
    raw_tracepoint,
    tracepoint,
)
from ebpftop.model import Column, ProbeInfo, Row, Table, View

__all__ = [
    "AllOf",
    "Column",
    "Entries",
    "Env",
    "FirstOf",
    "Frames",
    "Hook",
    "Layout",
    "Map",
    "Probe",
    "Row",
    "StackKey",
    "Table",
    "View",
    "all_of",
    "bytes_",
    "cgroup",
    "count",
    "fentry",
    "fexit",
    "first_of",
    "gauge",
    "key",
    "kprobe",
    "kretprobe",
    "maximum_ns",
    "ns",
    "perf_event",
    "pid",
    "ratio",
    "raw_tracepoint",
    "table",
    "tracepoint",
]


@dataclass(frozen=True)
class Layout:
    """How the entries of a map are laid out, in `struct` format characters.

    Attributes:
        key: format of the key, without padding between members (the C structs have none either).
        values: number of 64-bit counters in the value, after the `struct who` if `who` is set.
        tail: format of what follows the counters.
        maxima: positions of counters that fold by maximum instead of by sum.
        double: two maps take turns (`DOUBLE_HASH` and `PHASE_MAP` in common.h), so that a drain
            meets no update: for counts that must be exact under fire.
    """

    key: str
    values: int
    who: bool = False
    tail: str = ""
    maxima: tuple[int, ...] = ()
    double: bool = False


class Entries(Protocol):
    """What one read of a map gave. Valid until the map is read again."""

    def __len__(self) -> int:
        """Number of entries."""

    def __iter__(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """Key and values of each entry, tail included."""

    def key(self, index: int) -> tuple[Any, ...]:
        """The key of one entry."""

    def values(self, index: int) -> tuple[int, ...]:
        """The values of one entry, tail left out."""

    def column(self, position: int) -> list[int]:
        """One value of every entry."""

    def total(self, position: int) -> int:
        """One value of every entry, added up."""

    def tail(self, index: int) -> tuple[Any, ...]:
        """What follows the values of one entry."""

    def who(self, index: int) -> bytes:
        """The `struct who` of one entry; empty where the layout has none."""

    def top(self, weight: tuple[int, ...], limit: int) -> list[int]:
        """Indexes of the `limit` entries whose values at `weight` add up to most, unordered."""

    @property
    def layout(self) -> Layout:
        """How the entries are laid out."""


class Map(Protocol):
    """A BPF map of a running probe."""

    def drain(self) -> Entries:
        """Read and delete every entry."""

    def peek(self) -> Entries:
        """Read every entry, and leave it there."""

    def delete(self, *key: Any) -> bool:
        """Delete the entry of one key; False if it was not there."""

    def get(self, *key: Any) -> tuple[int, ...] | None:
        """The values of one key, who and tail left out; None where there is no such entry."""

    def add(self, key: tuple[Any, ...], who: bytes, values: tuple[int, ...]) -> bool:
        """Add an entry; False if there is one of that key already, or no room."""


@dataclass(frozen=True)
class Frames:
    """Addresses of a stack, leaf first; `cut` where frames at the root are missing."""

    kernel: tuple[int, ...]
    user: tuple[int, ...]
    kernel_cut: bool = False
    user_cut: bool = False


# Process id, its `struct who`, and the id under which the probe finds the frames.
StackKey = tuple[int, bytes, int]
RowKey = Callable[[tuple[Any, ...], int], tuple[Any, ...]]


class Env(Protocol):
    """What `Probe.read` may know of the machine; given anew for each interval."""

    @property
    def now_ns(self) -> int:
        """Monotonic clock (`bpf_ktime_get_ns`) at the end of the interval."""

    @property
    def dt_ns(self) -> int:
        """Measured length of the interval."""

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that are online."""

    @property
    def scope(self) -> Mapping[str, int]:
        """What is counted alone, as in `Sample.scope`."""

    def processes(self) -> set[int]:
        """Ids of the processes that the scope holds now, from /proc; of all where there is none."""

    def strays(self, pids: Iterable[int]) -> set[int]:
        """Those of some processes that have been moved out of the cgroup that is counted alone.

        What the maps hold of them is not kept up to date any more: the end of what they do is not
        seen. To be asked after the maps were read, which hold what has come in since.
        """

    def rows(
        self,
        table: str,
        entries: Entries,
        key: RowKey,
        weight: tuple[int, ...],
        limit: int = 0,
    ) -> list[Row]:
        """One row per entry: `key(entry key, cgroup id)` followed by the values.

        Of more than `limit` entries (default: the stream's limit) those are kept whose values at
        the positions `weight` add up to most; the rest becomes one row whose keys are None. With
        a `struct who` in the layout the first member of the key is the process id, and the
        process is made known to the stream.
        """

    def process(self, pid: int, who: bytes = b"") -> int:
        """Make a process known to the stream, outside of `rows`; returns its cgroup id.

        Without a `struct who` both are looked up in /proc; an id that is not there is 0.
        """

    def who(self, pid: int) -> bytes:
        """What `fill_who` would write of a process, from /proc; empty where it is gone.

        Its start is in clock ticks there, so it may be 10 ms early.
        """

    def fold(self, stacks: Sequence[StackKey], frames: Callable[[int], Frames | None]) -> list[str]:
        """Folded text of each stack: root first, `;` between, kernel frames ending in `_[k]`.

        `frames` is asked for those that are not remembered from earlier intervals. Addresses that
        cannot be named in time are shown as numbers, and counted as lost.
        """

    def leave_out(self, table: str, rows: int) -> None:
        """Say that so many rows of a table went into its row of the others."""

    def disk(self, dev: int) -> str:
        """Name of a block device from its number (`major << 20 | minor`)."""

    def lose(self, reason: str, number: int) -> None:
        """Count something that is missing from this interval's rows."""


class Probe(ABC):
    """Base of every descriptor; subclass it once per file.

    Attributes:
        title: name of the pane.
        purpose: what it answers, in one line.
        tables, views: what it emits and what the pane draws of it.
        hooks: where it hangs, each with its alternatives.
        offsets: struct members that the C file reads whatever its hooks, `NAME: "struct.member"`
            or a tuple of alternatives, of which the first that exists is taken.
        optional_offsets: the same, but `OFF_<NAME>` is not defined where none exists.
        enums: enumerators, `NAME: "enum.enumerator"`.
        maps: layout of each map that `read` uses.
        state: the other maps in which the programs remember something from event to event.
        lost: reasons for loss, `NAME: "sentence"`, counted in the array `lost`.
        help: the pane's help: what the figures mean and what they leave out.
        symbols: whether `read` folds stacks; the symboliser runs while such a probe does.
    """

    title: ClassVar[str]
    purpose: ClassVar[str]
    tables: ClassVar[tuple[Table, ...]]
    views: ClassVar[tuple[View, ...]]
    hooks: ClassVar[tuple[HookPlan, ...]]
    offsets: ClassVar[Members] = {}
    optional_offsets: ClassVar[Members] = {}
    enums: ClassVar[Mapping[str, str]] = {}
    maps: ClassVar[Mapping[str, Layout]] = {}
    state: ClassVar[tuple[str, ...]] = ()
    lost: ClassVar[Mapping[str, str]] = {}
    help: ClassVar[str] = ""
    symbols: ClassVar[bool] = False

    def __init__(self, name: str, area: str) -> None:
        """`name` and `area` come from the file's path."""
        self.name = name
        self.area = area
        self.begin()

    def begin(self) -> None:  # noqa: B027
        """Forget earlier runs: called before the programs begin to count, with empty maps."""

    @abstractmethod
    def read(self, maps: Mapping[str, Map], env: Env) -> dict[str, list[Row]]:
        """Rows by table name for the interval that ends now."""

    @property
    def info(self) -> ProbeInfo:
        """What the screen and a recording are told of this probe."""
        return ProbeInfo(
            self.name,
            self.title,
            self.area,
            self.purpose,
            self.tables,
            self.views,
            tuple(_describe(plan) for plan in self.hooks),
            self.help,
        )


def _describe(plan: HookPlan) -> str:
    if isinstance(plan, Hook):
        return str(plan)
    if isinstance(plan, AllOf):
        return " + ".join(map(str, plan.hooks))
    return ", else ".join(dict.fromkeys(map(_describe, plan.ways)))
