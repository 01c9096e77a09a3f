"""CSV as in RFC 4180: one file per table, names in the first line, nothing where nothing is known.

Lines end in a newline alone. Text is as it is, also where a spreadsheet would take it for a
formula.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from ebpftop.recording.export import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.tables import Batch, Sheet


class Lines:
    """Takes lines of `csv.writer`, which quotes carriage returns only if its lines end in one."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> None:
        """Write a line, to end as in Unix."""
        self._file.write(line[:-2] + "\n")


def export(
    batches: Iterable[Batch], output: Output, path_of: Callable[[Sheet], str | None]
) -> None:
    """Write each table to the path that `path_of` gives, or to standard output."""
    files: dict[str, tuple[Sheet, IO[str], Any]] = {}
    for batch in batches:
        sheet = batch.sheet
        if sheet.name not in files:
            file = output.text(path_of(sheet))
            writer = csv.writer(Lines(file), lineterminator="\r\n")
            writer.writerow(name for name, _ in sheet.columns)
            files[sheet.name] = (sheet, file, writer)
        known, file, writer = files[sheet.name]
        if known.columns != sheet.columns:
            raise changed(sheet)
        writer.writerows(batch.rows)
        if output.live:
            file.flush()


def changed(sheet: Sheet) -> ExportError:
    """What to say of a table that two versions of the program describe differently."""
    return ExportError(
        f"the columns of {sheet.name} change within the recording: two versions of ebpftop wrote"
        " it; export the parts with --from and --to"
    )
