"""What the user has set for one table: order, filter, the row that the cursor is on, and marks."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
        follow: whether the selected row is kept in sight, and is succeeded; see `follow`.
        since_ns: start of the newest process that was known when following began.
        pinned: the rows that stay on top, by their keys, in the order in which they were pinned.
        collapsed: paths of the cgroups whose lines hide what is below.
    """

    sort: str = ""
    reverse: bool = False
    filter: str = ""
    cursor: Key | None = None
    follow: bool = False
    since_ns: int = 0
    pinned: tuple[Key, ...] = ()
    collapsed: frozenset[str] = frozenset()

    def at(self, cursor: Key | None) -> ViewState:
        """With the cursor on a row, or on none; following ends where it moves."""
        return replace(self, cursor=cursor, follow=self.follow and cursor == self.cursor)

    def with_pin(self, key: Key) -> ViewState:
        """With a row pinned, or no more where it was."""
        if key in self.pinned:
            return replace(self, pinned=tuple(each for each in self.pinned if each != key))
        return replace(self, pinned=(*self.pinned, key))

    def with_fold(self, path: str, *, collapsed: bool) -> ViewState:
        """With a cgroup's line collapsed, or expanded."""
        folded = self.collapsed | {path} if collapsed else self.collapsed - {path}
        return replace(self, collapsed=folded)
