"""Lines of cells in the styles of component classes, scrolled sideways behind those that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ebpftop.views import columns as layout
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.style import Style


class Strips(ScrollView):
    """A widget that draws its lines from texts and names of component classes."""

    def __init__(self, *, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._columns = layout.Columns((), layout.GAP, 0)
        self._styles: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        """Forget the colours of the theme before."""
        super().notify_style_update()
        self._styles.clear()

    def _line(self, text: str, style: str, width: int) -> Strip:
        """One text over the whole width."""
        return Strip([Segment(fmt.fit(text, width), self._style(style))], width)

    def _strip(self, drawn: Iterable[tuple[str, str]], base: str, width: int) -> Strip:
        """Cells side by side, scrolled sideways behind those that stay."""
        segments: list[Segment] = []
        text, before = "", base
        for cell, name in drawn:
            if name != before and cell:
                if text:
                    segments.append(Segment(text, self._style(before)))
                text, before = "", name
            text += cell
        segments.append(Segment(text, self._style(before)))
        strip, style = Strip(segments), self._style(base)
        scrolled, fixed = self.scroll_offset.x, self._columns.fixed_width
        if not scrolled:
            return strip.adjust_cell_length(width, style)
        rest = strip.crop(fixed + scrolled, scrolled + width).extend_cell_length(
            width - fixed, style
        )
        return Strip.join((strip.crop(0, fixed), rest))

    def _with_arrows(self, strip: Strip, style: str) -> Strip:
        """A line with an arrow at each edge beyond which there are more columns."""
        arrow, width = self._style(style), self.size.width
        if self.virtual_size.width - self.scroll_offset.x > self._room:
            strip = Strip.join((strip.crop(0, width - 1), Strip([Segment("▸", arrow)])))
        if self.scroll_offset.x:
            edge = self._columns.fixed_width
            left, right = strip.crop(0, edge - 1), strip.crop(edge, width)
            strip = Strip.join((left, Strip([Segment("◂", arrow)]), right))
        return strip

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(name) if name else self.rich_style
            self._styles[name] = style
        return style

    @property
    def _room(self) -> int:
        """Cells for the columns; the scrollbar has its own, whether it is there or not."""
        return self.size.width - self.scrollbar_size_vertical

    def _scroll_to_column(self, column: int) -> None:
        places = self._columns
        if column < places.fixed:
            return
        start = sum(places.widths[:column]) + places.gap * column
        end, shift = start + places.widths[column], self.scroll_offset.x
        if end - shift > self._room:
            self.scroll_to(x=end - self._room, animate=False)
        elif start - shift < places.fixed_width:
            self.scroll_to(x=start - places.fixed_width, animate=False)
