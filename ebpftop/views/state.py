"""What the user has set for one table: order, filter, and the row that the cursor is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Key = tuple[Any, ...]


@dataclass(frozen=True)
class ViewState:
    """The state of one table view.

    Attributes:
        sort: the column that rows are ordered by; empty for the view's own.
        reverse: smallest first for figures, Z first for names.
        filter: as typed; see `filter.compile_filter`.
        cursor: values of the key columns of the selected row, so that the selection stays with
            its row wherever that row goes; None while nothing is selected.
    """

    sort: str = ""
    reverse: bool = False
    filter: str = ""
    cursor: Key | None = None
