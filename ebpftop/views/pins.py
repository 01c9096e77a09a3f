"""Pinned rows: they are on top of their table, whatever it is ordered and filtered by."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ebpftop.model import Row
    from ebpftop.views.state import Key
    from ebpftop.views.table import Shape


def added(
    chosen: Sequence[Row],
    rows: Sequence[Row],
    shape: Shape,
    pinned: Sequence[Key],
    behind: tuple[None, ...] = (),
) -> Sequence[Row]:
    """The chosen rows, and the pinned ones that are not among them.

    A pinned row that is not among `rows` has its keys only; `behind` is what rows have besides
    their columns.
    """
    if not pinned:
        return chosen
    key = _key(shape)
    missing = set(pinned).difference(map(key, chosen))
    found = {key(row): row for row in rows if key(row) in missing}
    return [*chosen, *(found.get(k) or _blank(shape, k, behind) for k in pinned if k in missing)]


def first(rows: Sequence[Row], shape: Shape, pinned: Sequence[Key]) -> Sequence[Row]:
    """The same rows, pinned ones before the others."""
    if not pinned:
        return rows
    key, wanted = _key(shape), set(pinned)
    return sorted(rows, key=lambda row: key(row) not in wanted)


def _blank(shape: Shape, key: Key, behind: tuple[None, ...]) -> Row:
    """A row of which nothing is known but its keys."""
    row: list[Any] = [None] * len(shape.folds)
    for position, value in zip(shape.keys, key):
        row[position] = value
    return (*row, *behind)


def _key(shape: Shape) -> Callable[[Row], Key]:
    if len(shape.keys) == 1:
        (position,) = shape.keys
        return lambda row: (row[position],)
    return itemgetter(*shape.keys)
