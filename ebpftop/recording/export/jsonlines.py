"""JSON lines: one object per row, with the names of its probe and table in front."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.tables import Batch


def export(batches: Iterable[Batch], output: Output, path: str | None) -> None:
    """Write the rows of all tables, in the order of time."""
    file = output.text(path)
    encode = json.JSONEncoder(separators=(",", ":")).encode
    for batch in batches:
        names = [name for name, _ in batch.sheet.columns]
        front = {"probe": batch.sheet.probe, "table": batch.sheet.table}
        file.writelines(encode({**front, **dict(zip(names, row))}) + "\n" for row in batch.rows)
        if output.live:
            file.flush()
