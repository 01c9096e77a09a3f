"""Which views of a pane are on the screen at once, and where, from the room there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpftop.model import ViewKind

MIN_COLUMNS, MIN_ROWS = 80, 24
# Below these, a second view would leave neither of the two enough room.
BESIDE_COLUMNS, BELOW_COLUMNS, SHARED_ROWS = 140, 100, 30
OTHER_COLUMNS, OTHER_ROWS = 48, 10


@dataclass(frozen=True)
class Arrangement:
    """The selected view, and the others beside or below it, by their positions in the pane."""

    selected: int
    place: Literal["alone", "beside", "below"] = "alone"
    others: tuple[int, ...] = ()


def arrange(columns: int, rows: int, kinds: Sequence[ViewKind], selected: int) -> Arrangement:
    """The arrangement for a room of so many cells; flames want the whole width."""
    others = tuple(position for position in range(len(kinds)) if position != selected)
    if not others or columns < BELOW_COLUMNS or rows < SHARED_ROWS:
        return Arrangement(selected)
    if columns >= BESIDE_COLUMNS and kinds[selected] != "flame":
        return Arrangement(selected, "beside", others[: rows // OTHER_ROWS])
    return Arrangement(selected, "below", others[: columns // OTHER_COLUMNS])
