"""The page of a process or a group of them, in the place of a pane: all probes at once.

It reads its past from the tape, by and by: what is live, stopped or replayed is the same to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work
from textual.binding import Binding
from textual.containers import Container, VerticalScroll

from ebpftop.model import Tick
from ebpftop.ui.screens.rewind import SETTLE_S, sliced
from ebpftop.ui.widgets.page import IdentityBox, SectionBox
from ebpftop.views import window
from ebpftop.views.page import POINTS, Page, Profile

if TYPE_CHECKING:
    from collections.abc import Generator

    from textual.app import ComposeResult
    from textual.events import Resize

    from ebpftop.model import ProbeInfo
    from ebpftop.ui.feed import Feed
    from ebpftop.views.ranges import Span
    from ebpftop.views.scope import Step

BESIDE_COLUMNS, THREE_COLUMNS = 100, 220
KNOWN_TICKS = window.POINTS - POINTS
FRAME_COLUMNS, FRAME_LINES = 4, 2


class PageView(VerticalScroll, can_focus=False):
    """One subject, and a box for each probe."""

    BINDINGS = [
        Binding("up", "move(0, -1)", "Section above", show=False),
        Binding("down", "move(0, 1)", "Section below", show=False),
        Binding("left", "move(-1, 0)", "Section to the left", show=False),
        Binding("right", "move(1, 0)", "Section to the right", show=False),
        Binding("home", "first", "First section", show=False),
        Binding("end", "last", "Last section", show=False),
    ]

    def __init__(self, feed: Feed, step: Step, probe: str = "") -> None:
        """`probe` is the one whose section is selected at first."""
        super().__init__(classes="page")
        self.step = step
        self._first = probe
        self._feed = feed
        self._profile = Profile(step)
        self._infos: tuple[ProbeInfo, ...] = ()
        self._columns = 1
        self._even: tuple[int, list[int]] = 1, []
        self.page: Page | None = None

    def compose(self) -> ComposeResult:
        """Who it is; below that the boxes."""
        yield IdentityBox()
        yield Container(classes="sections")

    @property
    def sections(self) -> list[SectionBox]:
        """The boxes, in the order of the panes."""
        return list(self.query(SectionBox))

    @property
    def info(self) -> ProbeInfo | None:
        """The probe of the selected section."""
        focused = self.screen.focused
        name = focused.probe if isinstance(focused, SectionBox) else ""
        return next((info for info in self._infos if info.name == name), None)

    async def on_mount(self) -> None:
        """Draw as soon as there is something to be drawn on."""
        await self._lay_sections()
        self.draw()
        self.focus_view()

    def on_resize(self, event: Resize) -> None:
        """As many columns as there is room for."""
        width = event.size.width
        columns = 1 + (width >= BESIDE_COLUMNS) + (width >= THREE_COLUMNS)
        if columns != self._columns:
            self._columns = columns
        self._even_out(width)

    def focus_view(self) -> None:
        """Let the keys go to the section that was selected, else to the first."""
        sections = self.sections
        if sections and not any(section.has_focus for section in sections):
            first = next((each for each in sections if each.probe == self._first), sections[0])
            first.focus(scroll_visible=False)

    def draw(self) -> None:
        """Draw what the feed shows: the newest, a moment, or the sum of a range."""
        store = self._feed.shown
        if store.probes() != self._infos:
            self.call_later(self._renew)
            return
        self.page = self._profile.page(store, self._sums())
        self.query_one(IdentityBox).show(self.page)
        for box, section in zip(self.sections, self.page.sections):
            box.show(section)
        self._even_out(self.size.width)
        self._mark_read()
        if self._missing() or self._unsummed():
            self._catch_up()

    def action_move(self, across: int, down: int) -> None:
        """Select the section beside, above or below."""
        sections = self.sections
        at = next((i for i, section in enumerate(sections) if section.has_focus), None)
        if at is None:
            self.focus_view()
            return
        wanted = at + across + down * self._columns
        if 0 <= wanted < len(sections):
            sections[wanted].focus()
        elif wanted < 0:
            self.scroll_home(animate=False)

    def action_first(self) -> None:
        """Select the first section."""
        self.sections[0].focus(scroll_visible=False)
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        """Select the last section."""
        self.sections[-1].focus()

    def _even_out(self, width: int) -> None:
        """Give the boxes of a row one height: that of the one that needs most."""
        columns, sections = self._columns, self.sections
        inner = width // columns - FRAME_COLUMNS
        heights = [
            max(box.needed(inner) for box in sections[start : start + columns]) + FRAME_LINES
            for start in range(0, len(sections), columns)
        ]
        if (columns, heights) != self._even:
            self._even = columns, heights
            styles = self.query_one(".sections").styles
            styles.grid_size_columns = columns
            styles.grid_rows = " ".join(map(str, heights))
            styles.height = sum(heights)

    async def _renew(self) -> None:
        await self._lay_sections()
        if self._infos:
            self.draw()
            self.focus_view()

    async def _lay_sections(self) -> None:
        """Have a box for each probe of the collector that speaks."""
        infos = self._feed.shown.probes()
        if infos == self._infos:
            return
        self._infos = infos
        place = self.query_one(".sections")
        await place.remove_children()
        await place.mount(*(SectionBox(info.name, n) for n, info in enumerate(infos, 1)))
        self._even = 0, []

    # The past, and the sums of ranges

    def _sums(self) -> dict[str, Span | None]:
        """The sum over the range that was marked last, of the probes that it is known of."""
        summed = ((info.name, self._feed.spans.of(info.name)) for info in self._infos)
        return {name: spans[-1].sum for name, spans in summed if spans}

    def _unsummed(self) -> list[ProbeInfo]:
        spans = self._feed.spans
        return [info for info in self._infos if spans.missing(info.name)]

    @property
    def _tick(self) -> int:
        feed = self._feed
        last = feed.tape.overview.end - 1
        return last if feed.now or feed.player.position is None else feed.player.position

    def _mark_read(self) -> None:
        """What was drawn need not be read any more; what was forgotten since may be needed."""
        ticks = self._profile.trail.ticks
        if len(ticks) > KNOWN_TICKS:
            ticks.clear()
        if len(self._feed.tape.overview):
            ticks.add(self._tick)

    def _missing(self) -> list[int]:
        """The ticks before that which is shown that are not known, of the same collector."""
        player, tick = self._feed.player, self._tick
        first = max(player.began(tick), tick - POINTS + 1)
        known = self._profile.trail.ticks
        return [each for each in range(first, tick + 1) if each not in known]

    def _past(self) -> Generator[None]:
        """Read what is missing; gives way after every tick."""
        missing = self._missing()
        if not missing:
            return
        names = {info.name for info in self._infos}
        tick = missing[0]
        for record in self._feed.tape.records(missing[0], missing[-1], names):
            self._profile.learn(record)
            if isinstance(record, Tick):
                self._profile.trail.ticks.add(tick)
                tick += 1
                yield
        self._profile.trail.ticks.update(missing)  # the damaged among them are passed over

    @work(exclusive=True, group="page")
    async def _catch_up(self) -> None:
        """Once the position stays, read what courses show of the time before, and add ranges up."""
        await asyncio.sleep(SETTLE_S)
        is_news = await sliced(self._past(), lambda: None)
        for info in self._unsummed():
            is_news |= await sliced(self._feed.spans.work(info), lambda: None)
        if is_news:
            self.draw()
