"""The kinds of columns that tables are made of; descriptors take them from `ebpftop.probe`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ebpftop.model import Column, Table

if TYPE_CHECKING:
    from ebpftop.model import Fold, Kind


def table(name: str, *columns: Column) -> Table:
    """A table of a probe."""
    return Table(name, columns)


def key(
    name: str,
    title: str = "",
    kind: Kind = "label",
    role: str = "",
    help: str = "",
    closed: bool = False,
) -> Column:
    """A column that rows differ by; `closed` as in `Column`."""
    return Column(name, title or name, kind, "key", role, closed=closed, help=help)


def pid() -> Column:
    """The process (thread group) id."""
    return Column("pid", "PID", "id", "key", "pid")


def cgroup() -> Column:
    """The cgroup id (kernfs inode) of the process."""
    return Column("cgroup", "CGROUP", "id", "key", "cgroup")


def count(name: str, title: str = "", rate: bool = True, help: str = "") -> Column:
    """A number of things in the interval."""
    return Column(name, title or name, "count", "sum", rate=rate, help=help)


def bytes_(name: str, title: str = "", rate: bool = True, help: str = "") -> Column:
    """A number of bytes in the interval."""
    return Column(name, title or name, "bytes", "sum", rate=rate, help=help)


def ns(name: str, title: str = "", rate: bool = False, help: str = "") -> Column:
    """Nanoseconds, summed over the interval; as a rate, a share of time."""
    return Column(name, title or name, "ns", "sum", rate=rate, help=help)


def maximum_ns(name: str, title: str = "", help: str = "") -> Column:
    """The longest of the interval, in nanoseconds."""
    return Column(name, title or name, "ns", "max", help=help)


def gauge(column: Column) -> Column:
    """The same column, as a state at the end of the interval instead of a sum over it."""
    return replace(column, gauge=True)


def ratio(
    name: str,
    title: str,
    above: tuple[str, ...],
    below: tuple[str, ...],
    kind: Kind = "ns",
    help: str = "",
) -> Column:
    """A derived column for a view: the columns `above` added up, over the columns `below`."""
    fold: Fold = "sum"
    return Column(name, title, kind, fold, ratio=(above, below), help=help)
