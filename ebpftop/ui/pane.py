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
from ebpftop.views import group, scope, tree
from ebpftop.views.layout import Arrangement, arrange
from ebpftop.views.quality import quality
from ebpftop.views.scope import Names, Narrowed, Narrowing, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.events import Resize
    from textual.widget import Widget

    from ebpftop.model import ProbeInfo, Sample, View
    from ebpftop.ui.drill import Drill, Level
    from ebpftop.ui.feed import Feed
    from ebpftop.ui.spans import Summed
    from ebpftop.ui.widgets.drawing import Drawing

LOW_ROWS = 26  # of a pane; below, the row of large figures makes do with one line
OVER_TIME = ("heat", "chart")
CARD_STATES = ("idle", "starting", "failed", "unavailable")
SCOPE = "(scope)"  # among what is matched, where no column has that name


class Pane(Container):
    """One probe's views; knows nothing of other panes."""

    def __init__(self, info: ProbeInfo, feed: Feed, drill: Drill) -> None:
        super().__init__(id=f"pane-{info.name}", classes="pane")
        self.info = info
        self._feed = feed
        self._drill = drill
        self._level: Level = drill.level
        self._narrowed: list[Narrowed] = []
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
        yield StatusCard()

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
        self._take_level()
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
        spans = self._feed.spans.of(self.info.name)
        if spans and view.kind not in OVER_TIME:
            self._draw_spans(view, widget, spans)
            return
        store = spans[-1].store if spans else self._feed.shown
        names = Names.of(store)
        samples = list(store.samples(self.info.name))
        inside = self._inside(view, samples[-1:] if view.kind == "table" else samples, names)
        self._remark(view, widget, samples[-1:], inside, names)
        if isinstance(widget, SampleTable):
            widget.show(self._folded(view, inside, names), names, self._match(view))
        else:
            self._tell(widget, names, store.names)
            widget.show(inside, self._match(view) | {SCOPE: self._scope_of(view)})

    def _draw_spans(self, view: View, widget: SampleTable | Drawing, spans: list[Summed]) -> None:
        """Draw the sum over a range, or what changed from one to the other."""
        names = Names.of(*(summed.store for summed in spans))
        sums: list[Sample | None] = []
        for summed in spans:
            inside = self._inside(view, [summed.sum] if summed.sum else [], names)
            self._remark(view, widget, [summed.sum] if summed.sum else [], inside, names)
            folded = isinstance(widget, SampleTable)
            sums.append(self._folded(view, inside, names) if folded else (*inside, None)[0])
        if sums == [None]:
            sums *= 2  # a comparison says that there is nothing
        match = self._match(view)
        if isinstance(widget, SampleTable):
            if len(sums) == 1:
                widget.show(sums[0], names, match)
            else:
                widget.compare(sums[0], sums[1], names, match)
            return
        comms = {pid: process.comm for pid, process in names.processes.items()}
        self._tell(widget, names, comms)
        match[SCOPE] = self._scope_of(view)
        if len(sums) == 1:
            widget.show([sums[0]] if sums[0] else [], match)
        else:
            widget.compare(sums[0], sums[1], match)

    def _tell(self, widget: Drawing, names: Names, comms: Mapping[int, str]) -> None:
        """Tell a drawing what things are called."""
        hello = self._feed.shown.hello
        widget.names, widget.cgroups = comms, names.cgroups
        widget.host = hello.host if hello else ""

    # Drilling down

    def _take_level(self) -> None:
        """Take up what is set on the level that the user is on now."""
        level = self._drill.level
        if level is self._level:
            return
        for view, table in self._tables.items():
            self._level.keep(self._place(view), table.state)
        self._level = level
        for view, table in self._tables.items():
            self._shape(view, table)

    def group(self, role: str) -> None:
        """Fold the rows of the table by a role, or with the empty text no more."""
        for view, table in self._tables.items():
            if table is self.table:
                self._level.keep(self._place(view), table.state)
                self._level.groups[self._place(view)] = role
                self._shape(view, table)
        self.draw()

    def grouping(self, table: SampleTable) -> str:
        """What a table is folded by; empty where it is not."""
        view = next(view for view, widget in self._tables.items() if widget is table)
        return self._level.groups.get(self._place(view), "")

    def view_of(self, table: SampleTable) -> View:
        """The view that a table draws, as the probe describes it."""
        return next(view for view, widget in self._tables.items() if widget is table)

    def _shape(self, view: View, table: SampleTable) -> None:
        role = self._level.groups.get(self._place(view), "")
        info, shown = self.info, view
        if role == tree.TREE:
            info, shown = tree.regrouped(info, view)
        elif role:
            info, shown = group.regrouped(info, view, role)
        table.regroup(info, shown, self._level.state(self._place(view)))

    def _place(self, view: View) -> tuple[str, int]:
        return self.info.name, self.info.views.index(view)

    @property
    def _tables(self) -> dict[View, SampleTable]:
        return {v: w for v, w in self._widgets.items() if isinstance(w, SampleTable)}

    def _scope_of(self, view: View) -> Scope:
        """The scope, and for views that follow a folded table the row that is selected there."""
        chosen, table = self._drill.scope, self._first_table
        role = self.grouping(table) if table else ""
        if not table or not role or not view.follow or self._widgets[view] is table:
            return chosen
        names = Names.of(self._feed.shown)
        values = list(table.selection.values())
        step = scope.step(tree.role_of(role), values[0], names) if values else None
        return chosen.then(step) if step else chosen

    def _inside(self, view: View, samples: Sequence[Sample], names: Names) -> list[Sample]:
        """Samples as far as they are in scope; those that were counted for less are left out."""
        wanted = self._scope_of(view)
        samples = [s for s in samples if scope.is_covered(wanted, s.scope, names)]
        if not wanted:
            return samples
        narrowed = next((each for each in self._narrowed if each.scope == wanted), None)
        if narrowed is None:
            narrowed = Narrowed(self.info, wanted)
            self._narrowed = [*self._narrowed[-1:], narrowed]
        return narrowed.samples(samples, names)

    def _folded(self, view: View, samples: Sequence[Sample], names: Names) -> Sample | None:
        """The newest of some samples, its rows folded as the table of a view wants them."""
        role = self._level.groups.get(self._place(view), "")
        if not samples or not role:
            return samples[-1] if samples else None
        table = self.info.table(view.table)
        if role == tree.TREE:
            return tree.fold(samples[-1], table, names)
        return group.fold(samples[-1], table, role, names)

    def _remark(
        self,
        view: View,
        widget: SampleTable | Drawing,
        samples: Sequence[Sample],
        inside: Sequence[Sample],
        names: Names,
    ) -> None:
        """Say in the heading what of the scope does not hold, and what rows are folded by."""
        table, newest = self.info.table(view.table), samples[-1] if samples else None
        counted = newest.scope if newest else {}
        remark = Narrowing.of(table, self._scope_of(view), names, counted).remark
        if samples and not inside:
            remark = "was counted for less"
        role = self._level.groups.get(self._place(view), "")
        by = f"by {group.GROUPINGS[tree.role_of(role)]}" if role else ""
        widget.remark = " · ".join(filter(None, (by, remark)))

    def _match(self, view: View) -> dict[str, Any]:
        table = self._first_table
        if table is None or not view.follow or self._widgets[view] is table:
            return {}
        if self.grouping(table):
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
