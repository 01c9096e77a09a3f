"""The line below a pane: how far its figures can be trusted, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpftop.ui.widgets.line import Line, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ebpftop.views.quality import Part


class QualityLine(Line):
    """Draws what `views.quality` found, warnings first."""

    COMPONENT_CLASSES = {"quality--warning", "quality--plain", "quality--dim", "quality--gap"}

    def __init__(self) -> None:
        super().__init__()
        self._parts: Sequence[Part] = ()

    def show(self, parts: Sequence[Part]) -> None:
        """Draw these parts."""
        if parts != self._parts:
            self._parts = parts
            self.refresh()

    def pieces(self, width: int) -> Iterator[Piece]:
        """The parts, with a dot between two."""
        del width
        yield Piece(" ")
        for position, part in enumerate(self._parts):
            if position:
                yield Piece(" · ", "quality--gap")
            yield Piece(part.text, f"quality--{part.level}")
