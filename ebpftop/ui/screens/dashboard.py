"""The screen that is always there: header, strip of panes, the open pane, key bar."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from ebpftop.model import Hello, Sample, Status, Tick
from ebpftop.ui import actions
from ebpftop.ui.messages import SampleArrived
from ebpftop.ui.pane import Pane
from ebpftop.ui.screens.details import Detailing
from ebpftop.ui.screens.help import HelpScreen
from ebpftop.ui.widgets.filterline import FilterLine
from ebpftop.ui.widgets.header import Header, PaneStrip
from ebpftop.ui.widgets.keys import KeyBar
from ebpftop.ui.widgets.table import SampleTable
from ebpftop.views import format as fmt
from ebpftop.views.layout import MIN_COLUMNS, MIN_ROWS
from ebpftop.views.machine import machine
from ebpftop.views.store import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.events import Resize

    from ebpftop.model import ProbeInfo, Record
    from ebpftop.ui.demand import Demand
    from ebpftop.ui.feed import Feed


class Dashboard(Detailing):
    """Shows one pane at a time; panes are built when first shown."""

    BINDINGS = [*actions.bindings(actions.DASHBOARD), *actions.pane_bindings()]

    def __init__(
        self, feed: Feed, demand: Demand, own_cost: Callable[[], float], first_pane: str | None
    ) -> None:
        super().__init__(feed)
        self._demand = demand
        self._own_cost = own_cost
        self._first_pane = first_pane
        self._own_screen = 0.0

    def compose(self) -> ComposeResult:
        """Header and strip above, key bar or filter below, the pane between them."""
        yield Header()
        yield PaneStrip()
        yield from self.compose_scope()
        yield Static(id="banner")
        with Container(id="panes"):
            yield Static("waiting for the collector …", id="waiting")
        yield from self.compose_time()
        yield FilterLine()
        yield KeyBar()
        yield Static(id="too-small")

    def on_mount(self) -> None:
        """Nothing is known yet; say so."""
        self._draw_header()

    def on_resize(self, event: Resize) -> None:
        """Below the smallest size that can be laid out, say so and nothing else."""
        width, height = event.size
        too_small = width < MIN_COLUMNS or height < MIN_ROWS
        self.set_class(too_small, "-too-small")
        if too_small:
            self.query_one("#too-small", Static).update(
                f"ebpftop needs {MIN_COLUMNS}×{MIN_ROWS}\n"  # noqa: RUF001
                f"this terminal is {width}×{height}\n\n"  # noqa: RUF001
                "make it larger, or press q"
            )

    # What comes in

    async def take(self, record: Record) -> None:
        """Draw what a record changed; the feed has it already."""
        if isinstance(record, Hello):
            await self._open_first()
        elif isinstance(record, Status):
            self._take_status(record)
        elif isinstance(record, Tick):
            self.draw_timeline()
            if self.page and self.feed.following:
                self.page.draw()
            if self.feed.writer:
                self._draw_header()
        elif isinstance(record, Sample) and self.feed.following:
            if record.probe == HOST:
                self._own_screen = self._own_cost()
                self._draw_header()
            elif self.pane and record.probe == self.pane.info.name:
                self.pane.post_message(SampleArrived())

    async def open_tape(self) -> None:
        """Show a recording: from its end where it still grows, else play it from its start."""
        self.feed.open_tape()
        await self._open_first()
        self.moved()

    def redraw(self) -> None:
        """Draw the moment that is shown."""
        self._draw_header()
        self._draw_strip()
        self.draw_breadcrumb()
        pane = self._pane
        if self.page:
            self.page.draw()
        elif pane and self._is_of(pane, self.feed.shown.hello):
            pane.draw()
        elif self.probes:
            self.call_later(self._open_first)

    def recording_changed(self) -> None:
        """A recording began, or ended."""
        self.hold_probes()
        self.narrow_collection()
        self._draw_header()

    def hold_probes(self) -> None:
        """A recording wants all probes, and so does a page."""
        wanted = self.feed.writer or self.page
        if wanted and self.feed.live and not self.feed.ended:
            self._demand.hold(tuple(probe.name for probe in self.probes))
        else:
            self._demand.release()

    def source_ended(self) -> None:
        """Say why there is nothing new any more; what was last seen stays."""
        banner = self.query_one("#banner", Static)
        reason = fmt.clean(self.feed.ended)
        banner.update(Content(f" {reason} · nothing new comes · q quits"))
        banner.set_classes("-failed" if self.feed.failed else "-ended")
        self.query_one("#waiting", Static).update(Content(reason))
        self._draw_header()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Home and End belong to the timeline where there is one and nothing is being typed."""
        if action in ("first_tick", "last_tick"):
            return self.has_timeline and not isinstance(self.focused, Input)
        return super().check_action(action, parameters)

    @property
    def probes(self) -> tuple[ProbeInfo, ...]:
        """The probes that have a pane."""
        return self.feed.shown.probes() or self.feed.store.probes()

    # What the user does

    async def action_show_pane(self, position: int) -> None:
        """Open a pane, and have its probe run."""
        probes = self.probes
        if not 0 <= position < len(probes):
            return
        self.close_page()
        info = probes[position]
        opened = next((pane for pane in self.query(Pane) if pane.info.name == info.name), None)
        if opened and opened.info != info:  # a collector before, or after, had other columns
            await opened.remove()
            opened = None
        if opened and opened is self._pane:
            return
        self._close_filter()
        if not opened:
            opened = Pane(info, self.feed, self.drill)
            await self.query_one("#panes").mount(opened)
        self._pane = opened
        for pane in self.query(Pane):
            pane.display = pane is opened
        self.query_one("#waiting").display = False
        if self.feed.live and not self.feed.ended:
            self._demand.show(info.name)
        self.feed.watch(info.name)
        self._draw_strip()
        opened.draw()
        opened.focus_view()
        self.draw_timeline()
        self.add_up()
        if self.has_timeline:
            self.deepen()

    async def action_next_pane(self) -> None:
        """Open the pane to the right."""
        await self._step_pane(1)

    async def action_previous_pane(self) -> None:
        """Open the pane to the left."""
        await self._step_pane(-1)

    def action_next_view(self) -> None:
        """Give the big tile to the next view."""
        if self.pane:
            self.pane.next_view(1)

    def action_previous_view(self) -> None:
        """Give the big tile to the view before."""
        if self.pane:
            self.pane.next_view(-1)

    def action_sort_left(self) -> None:
        """Sort by the column to the left."""
        if self.pane and self.pane.table:
            self.pane.table.move_sort(-1)

    def action_sort_right(self) -> None:
        """Sort by the column to the right."""
        if self.pane and self.pane.table:
            self.pane.table.move_sort(1)

    def action_reverse(self) -> None:
        """Turn the order round."""
        if self.pane and self.pane.table:
            self.pane.table.reverse()

    def action_filter(self) -> None:
        """Open the line where the filter is typed."""
        searched = self.pane.searched if self.pane else None
        if searched:
            self.add_class("-filtering")
            shape = searched.view.shape if isinstance(searched, SampleTable) else None
            self.query_one(FilterLine).open(searched.filtered, shape)

    def action_clear(self) -> None:
        """Clear what is typed, the filter, the ranges, the last step or the selection, in order."""
        searched = self.pane.searched if self.pane else None
        if self.close_jump():
            return
        if self.has_class("-filtering"):
            self.query_one("#filter", Input).value = ""
            self._close_filter()
        elif searched and searched.filtered:
            searched.filter("")
        elif self.clear_ranges() or self.go_back():
            return
        elif isinstance(searched, SampleTable):
            searched.select(None)

    def action_faster(self) -> None:
        """Ask for a shorter interval, or play faster."""
        self._change_pace(-1)

    def action_slower(self) -> None:
        """Ask for a longer interval, or play slower."""
        self._change_pace(1)

    def action_retry(self) -> None:
        """Start the pane's probe once more, if it failed."""
        pane = self.pane
        if not pane or not self.feed.live or self.feed.ended:
            return
        if self.feed.store.state(pane.info.name) in ("failed", "unavailable", "idle"):
            self._demand.start(pane.info.name)

    def action_help(self) -> None:
        """Open the help on the keys and on this pane."""
        self.app.push_screen(HelpScreen(self.timed))

    # The filter's line

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        searched = self.pane.searched if self.pane else None
        if searched and self.has_class("-filtering"):
            searched.filter(event.value)

    @on(Input.Submitted, "#filter")
    def _filter_submitted(self) -> None:
        if self.query_one(FilterLine).is_filter():
            self._close_filter()

    def _close_filter(self) -> None:
        if self.has_class("-filtering"):
            self.remove_class("-filtering")
            searched = self.pane.searched if self.pane else None
            if searched:
                searched.filter(self.query_one("#filter", Input).value)
            if self.pane:
                self.pane.focus_view()

    async def open_pane(self, probe: str) -> None:
        """Open the pane of a probe."""
        names = [each.name for each in self.probes]
        if probe in names:
            await self.action_show_pane(names.index(probe))

    async def _open_first(self) -> None:
        names = [probe.name for probe in self.probes]
        wanted = self._pane.info.name if self._pane else self._first_pane
        first = names.index(wanted) if wanted in names else 0
        self._draw_header()
        await self.action_show_pane(first)

    async def _step_pane(self, step: int) -> None:
        if self.probes:
            await self.action_show_pane((self._current + step) % len(self.probes))

    @property
    def _current(self) -> int:
        """Position of the open pane; -1 while there is none."""
        names = [probe.name for probe in self.probes]
        name = self._pane.info.name if self._pane else ""
        return names.index(name) if name in names else -1

    @staticmethod
    def _is_of(pane: Pane, hello: Hello | None) -> bool:
        """Whether a pane knows its probe as the collector describes it that spoke then."""
        return hello is None or hello.probe(pane.info.name) == pane.info

    def _take_status(self, status: Status) -> None:
        if not status.probe:  # about a command, not about a probe
            self.notify(fmt.clean(status.reason), severity="warning", markup=False)
        self._draw_strip()
        if self.page:
            self.page.draw()
        pane = self.pane
        starting = pane and self.feed.store.state(pane.info.name) == "starting"
        if pane and (status.probe == pane.info.name or starting):
            pane.draw()

    def _change_pace(self, step: int) -> None:
        if not self.feed.following:
            self.feed.player.change_speed(-step)
            self.moved()
        elif not self.feed.live:
            self.notify("what comes in is shown as it comes; T or Space goes back", timeout=3)
        elif not self.feed.ended:
            seconds = self.feed.change_interval(step)
            self.notify(f"interval {seconds:g} s", timeout=2)

    def _draw_header(self) -> None:
        figures = machine(self.feed.shown)
        if (wall_ns := self.feed.wall_ns) is not None:
            figures = replace(figures, clock_ns=wall_ns)
        writer = self.feed.writer
        size = writer.bytes if writer else None
        is_own = self.feed.stream and not self.feed.rewound  # what this screen cost then is unknown
        own_screen = self._own_screen if is_own else 0.0
        self.query_one(Header).show(figures, own_screen, self.feed.mode, size)

    def _draw_strip(self) -> None:
        store = self.feed.store if self.feed.stream else self.feed.shown
        states = [store.state(probe.name) for probe in self.probes]
        self.query_one(PaneStrip).show(self.probes, states, self._current)
