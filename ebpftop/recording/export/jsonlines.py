"""JSON lines: one object per row, with the names of its probe and table in front."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.tables import Batch


def export(batches: Iterable[Batch], output: Output, path: str | None) -> None:
    """Write the rows of all tables, in the order of time."""
    file = output.text(path)
    for batch in batches:
        names = [name for name, _ in batch.sheet.columns]
        front = {"probe": batch.sheet.probe, "table": batch.sheet.table}
        file.writelines(_line({**front, **dict(zip(names, row))}) for row in batch.rows)
        if output.live:
            file.flush()


def _line(row: dict[str, Any]) -> str:
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode()
    except TypeError:  # names that are no UTF-8, numbers of more than 64 bits
        return json.dumps(row, separators=(",", ":")) + "\n"
