"""The screen of one probe: its views as tiles, and below them how far the figures can be trusted.

A pane that is not shown draws nothing and has no timers; when it is shown again it asks the feed
for the newest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.containers import Container, Vertical

from ebpftop.ui.messages import RowSelected, SampleArrived
from ebpftop.ui.widgets import widget_for
from ebpftop.ui.widgets.flame import Flame
from ebpftop.ui.widgets.quality import QualityLine
from ebpftop.ui.widgets.status_card import StatusCard
from ebpftop.ui.widgets.table import SampleTable
from ebpftop.views.layout import Arrangement, arrange
from ebpftop.views.quality import quality

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Resize
    from textual.widget import Widget

    from ebpftop.model import ProbeInfo, View
    from ebpftop.ui.feed import Feed
    from ebpftop.ui.spans import Summed
    from ebpftop.ui.widgets.drawing import Drawing

LOW_ROWS = 26  # of a pane; below, the row of large figures makes do with one line
OVER_TIME = ("heat", "chart")
CARD_STATES = ("idle", "starting", "failed", "unavailable")


class Pane(Container):
    """One probe's views; knows nothing of other panes."""

    def __init__(self, info: ProbeInfo, feed: Feed) -> None:
        super().__init__(id=f"pane-{info.name}", classes="pane")
        self.info = info
        self._feed = feed
        made = ((view, widget_for(info, view)) for view in info.views)
        self._widgets = {view: widget for view, widget in made if widget}
        self._tiled = [view for view in self._widgets if view.kind != "stat"]
        self._selected = 0
        self._arranged: Arrangement | None = None

    def compose(self) -> ComposeResult:
        """Figures on top, tiles below them, the line of quality last; or the card alone."""
        with Vertical(classes="views"):
            for view, widget in self._widgets.items():
                if view.kind == "stat":
                    yield widget
            with Container(classes="tiles"):
                for view in self._tiled:
                    yield self._widgets[view]
            yield QualityLine()
        yield StatusCard(can_focus=False)

    @property
    def table(self) -> SampleTable | None:
        """The table that sorting and filtering are about: the selected view's, else the first."""
        if self._tiled:
            selected = self._widgets[self._tiled[self._selected]]
            if isinstance(selected, SampleTable):
                return selected
        return self._first_table

    @property
    def searched(self) -> SampleTable | Flame | None:
        """What the filter's line is about: the flame in the big tile, else the table."""
        selected = self._widgets[self._tiled[self._selected]] if self._tiled else None
        return selected if isinstance(selected, Flame) else self.table

    def draw(self) -> None:
        """Draw what the feed shows: the newest, a moment, or the sum of a range."""
        store, name = self._feed.shown, self.info.name
        spans = self._feed.spans.of(name)
        status, sample = store.statuses.get(name), store.latest(name)
        if spans:
            sample = spans[-1].sum
        state = store.state(name)
        now = self._feed.now
        card = state in CARD_STATES and not (state == "idle" and sample and now) and not spans
        self.set_class(card, "-card")
        if card:
            self.query_one(StatusCard).show(self.info, status, store.starting(), past=not now)
            return
        interval_ns = 0 if spans else self._feed.asked_ns
        self.query_one(QualityLine).show(quality(status, sample, interval_ns))
        with self.app.batch_update():
            for view, widget in self._widgets.items():
                if widget.display:
                    self._draw_view(view, widget)

    def next_view(self, step: int) -> None:
        """Give the big tile to another view."""
        if len(self._tiled) > 1:
            self._selected = (self._selected + step) % len(self._tiled)
            self._arrange()
            self.draw()
            self.focus_view()

    def focus_view(self) -> None:
        """Let the keys go to the view in the big tile."""
        if not self._tiled:
            return
        widget = self._widgets[self._tiled[self._selected]]
        if widget.focusable:
            widget.focus(scroll_visible=False)
        else:
            self.screen.set_focus(None)

    def on_mount(self) -> None:
        """Lay the tiles out before the first drawing."""
        self._arrange()

    def on_resize(self, event: Resize) -> None:
        """Lay the tiles out anew where the room asks for it."""
        self.set_class(event.size.height < LOW_ROWS, "-low")
        if self._arrange():
            self.draw()

    def on_sample_arrived(self, message: SampleArrived) -> None:
        """Draw, unless the pane was left while the message was under way."""
        del message
        if self.display:
            self.draw()

    @on(RowSelected)
    def _row_selected(self, message: RowSelected) -> None:
        """Let the views that follow the first table follow."""
        message.stop()
        if message.table is self._first_table:
            for view, widget in self._widgets.items():
                if view.follow and widget.display:
                    self._draw_view(view, widget)

    @property
    def _first_table(self) -> SampleTable | None:
        tables = (w for w in self._widgets.values() if isinstance(w, SampleTable))
        return next(tables, None)

    def _draw_view(self, view: View, widget: SampleTable | Drawing) -> None:
        spans, match = self._feed.spans.of(self.info.name), self._match(view)
        if spans:
            self._draw_spans(view, widget, spans, match)
            return
        store = self._feed.shown
        if isinstance(widget, SampleTable):
            widget.show(store.latest(self.info.name), store.processes, store.cgroups, match)
        else:
            widget.names = store.names
            widget.show(store.samples(self.info.name), match)

    def _draw_spans(
        self, view: View, widget: SampleTable | Drawing, spans: list[Summed], match: dict[str, Any]
    ) -> None:
        """Draw the sum over a range, or what changed from one to the other."""
        store, sums = spans[-1].store, [summed.sum for summed in spans]
        if sums == [None]:
            sums *= 2  # a comparison says that there is nothing
        names = {**spans[0].store.names, **store.names}
        if isinstance(widget, SampleTable):
            processes = {**spans[0].store.processes, **store.processes}
            cgroups = {**spans[0].store.cgroups, **store.cgroups}
            if len(sums) == 1:
                widget.show(sums[0], processes, cgroups, match)
            else:
                widget.compare(sums[0], sums[1], processes, cgroups, match)
            return
        widget.names = names
        if view.kind in OVER_TIME:
            widget.show(store.samples(self.info.name), match)
        elif len(sums) == 1:
            widget.show([sums[0]] if sums[0] else [], match)
        else:
            widget.compare(sums[0], sums[1], match)

    def _match(self, view: View) -> dict[str, Any]:
        table = self._first_table
        if table is None or not view.follow or self._widgets[view] is table:
            return {}
        return {name: value for name, value in table.selection.items() if name in view.follow}

    def _arrange(self) -> bool:
        """Give each view its tile; returns whether any has moved."""
        width, height = self.size
        kinds = [view.kind for view in self._tiled]
        if not kinds or not width:
            return False
        wanted = arrange(width, height, kinds, self._selected)
        if self._arranged == wanted:
            return False
        self._arranged = wanted
        tiles = self.query_one(".tiles", Container)
        main = self._widgets[self._tiled[wanted.selected]]
        shown = [main, *(self._widgets[self._tiled[other]] for other in wanted.others)]
        for widget in self._widgets.values():
            if widget.parent is tiles:
                widget.display = widget in shown
        for position, widget in enumerate(shown):
            tiles.move_child(widget, before=position)
        _lay_out(tiles, main, wanted)
        return True


def _lay_out(tiles: Container, main: Widget, wanted: Arrangement) -> None:
    """Grid of the tiles: the selected view spans a side, the others share the rest."""
    number = max(1, len(wanted.others))
    beside = wanted.place == "beside"
    for widget in tiles.children:
        widget.styles.row_span = widget.styles.column_span = 1
    if beside:
        main.styles.row_span = number
    elif wanted.place == "below":
        main.styles.column_span = number
    tiles.styles.grid_size_columns = 2 if beside else number
    tiles.set_classes(f"tiles -{wanted.place}")
