"""Recordings as files that other programs read; one module per format.

CSV, JSON lines and Parquet get the rows as they are (`tables`), the flame formats get stacks added
up over the span (`stacks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ebpftop.model import Hello, ProbeInfo, Table

# Of each format, how its files end.
SUFFIXES = {
    "csv": ".csv",
    "jsonl": ".jsonl",
    "parquet": ".parquet",
    "folded": ".folded",
    "speedscope": ".speedscope.json",
    "svg": ".svg",
}
TABULAR = ("csv", "jsonl", "parquet")
# A table of every probe: one row per sample, with what was lost and what it cost to measure.
SAMPLES = "samples"


class ExportError(Exception):
    """What cannot be exported; one line for the user."""


class ChoiceError(ExportError):
    """What was asked for does not exist; the line says what does."""


@dataclass(frozen=True)
class Choice:
    """Which tables are wanted; empty is all of them."""

    probes: tuple[str, ...] = ()
    table: str = ""

    def wants(self, probe: str, table: str) -> bool:
        """Whether a table is among them."""
        return (not self.probes or probe in self.probes) and self.table in ("", table)

    def check(self, hello: Hello) -> None:
        """Raise ChoiceError for a name that is none."""
        known = [info.name for info in hello.probes]
        for name in self.probes:
            if name not in known:
                raise ChoiceError(f"no probe named {name}; there are {', '.join(known)}")
        infos = [info for info in hello.probes if not self.probes or info.name in self.probes]
        tables = [f"{info.name}.{table}" for info in infos for table in _tables(info)]
        if self.table and not any(
            self.wants(info.name, self.table) and self.table in _tables(info) for info in infos
        ):
            raise ChoiceError(f"no table named {self.table}; there are {', '.join(tables)}")

    def one(self, hello: Hello, recorded: Collection[str]) -> Choice:
        """The one table for a format that has room for one; a probe's first unless it is named.

        Raises:
            ChoiceError: it could be several.
        """
        infos = [info for info in hello.probes if info.name in (self.probes or recorded)]
        infos = [info for info in infos if not self.table or self.table in _tables(info)]
        if len(infos) != 1 or not infos[0].tables:
            tables = [f"{info.name}.{table}" for info in infos for table in _tables(info)]
            raise ChoiceError(
                "one table goes to one file or pipe: choose it with --probe and --table, or name a"
                f" folder with -o; there are {', '.join(tables)}"
            )
        return Choice((infos[0].name,), self.table or infos[0].tables[0].name)

    def stacks(self, hello: Hello, recorded: Collection[str]) -> tuple[str, Table]:
        """The probe and its table of stacks.

        Raises:
            ChoiceError: there is none, or several.
        """
        found = [
            (info.name, table)
            for info in hello.probes
            for table in info.tables
            if any(column.kind == "stack" for column in table.columns)
        ]
        wanted = [(probe, table) for probe, table in found if self.wants(probe, table.name)]
        if len(wanted) > 1:
            wanted = [(probe, table) for probe, table in wanted if probe in recorded]
        if len(wanted) != 1:
            names = ", ".join(f"{probe}.{table.name}" for probe, table in found) or "none here"
            raise ChoiceError(f"one table of stacks is drawn, and those with stacks are: {names}")
        return wanted[0]


def _tables(info: ProbeInfo) -> Iterator[str]:
    yield from (table.name for table in info.tables)
    yield SAMPLES
