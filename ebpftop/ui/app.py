"""The application: reads the source into the feed, and tells the dashboard. Wiring only."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from textual import work
from textual.app import App, SystemCommand

from ebpftop.recording.tape import RecordingError
from ebpftop.sources.base import SourceError, expect_many_rows
from ebpftop.ui import themes
from ebpftop.ui.commands import DashboardCommands
from ebpftop.ui.demand import Demand
from ebpftop.ui.feed import Feed, OwnCost
from ebpftop.ui.screens.dashboard import Dashboard
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.screen import Screen

    from ebpftop.model import Bye
    from ebpftop.recording.tape import Tape
    from ebpftop.sources.base import Source

# Keys are looked at after so many records at the latest: a burst of identities is long.
BURST = 64


class EbpftopApp(App[int]):
    """The dashboard over a source of records."""

    TITLE = "ebpftop"
    CSS_PATH = themes.STYLE_FILES
    COMMANDS = {DashboardCommands}
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        source: Source | None,
        theme: str | None = None,
        first_pane: str | None = None,
        own_cost: Callable[[], float] | None = None,
        tape: Tape | None = None,
        loop: bool = False,
    ) -> None:
        """Over a source, or over the tape of a recording, which may be played in a loop.

        `own_cost` tells the CPU share of this process; tests freeze it.
        """
        super().__init__()
        self._source = source
        self._wanted_theme = theme or themes.DEFAULT
        self.feed = Feed(source, tape, loop)
        demand = Demand(self.feed.send, self.feed.store.state, self.set_timer)
        self.dashboard = Dashboard(self.feed, demand, own_cost or OwnCost(), first_pane)

    def get_default_screen(self) -> Screen[None]:
        """The dashboard; it is never left."""
        return self.dashboard

    def on_mount(self) -> None:
        """Take up the theme, and begin to read."""
        for number in (signal.SIGTERM, signal.SIGHUP):  # a recording is to end in good order
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        loaded, bad = themes.load()
        for theme in loaded:
            self.register_theme(theme)
        for failure in bad:
            text = f"theme {failure.path.name} is left out: {failure.reason}"
            self.notify(text, severity="warning", markup=False)
        if self._wanted_theme in self.available_themes:
            self.theme = self._wanted_theme
        else:
            names = ", ".join(sorted(self.available_themes))
            text = f"no theme {self._wanted_theme}; there are {names}"
            self.notify(text, severity="warning", markup=False)
            self.theme = themes.DEFAULT
        if self._source:
            self.stream_records(self._source)
        else:
            self.call_later(self.dashboard.open_tape)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own variables, for whatever theme is on."""
        return themes.variables(self.current_theme)

    def get_system_commands(self, screen: Screen[None]) -> Iterable[SystemCommand]:
        """The few of Textual's that make sense here."""
        del screen
        yield SystemCommand("Theme", "Choose the colours", self.search_themes)
        save = self.deliver_screenshot
        yield SystemCommand("Save a picture", "The screen as an SVG file", save)

    def action_colours(self) -> None:
        """Take the next of our own themes."""
        names = [theme.name for theme in themes.load()[0]]
        after = (names.index(self.theme) + 1) % len(names) if self.theme in names else 0
        self.theme = names[after]

    @work(exclusive=True, group="source")
    async def stream_records(self, source: Source) -> None:
        """Read the source to its end."""
        try:
            number = 0
            async for record in source.records():
                wrong = self.feed.add(record)
                if wrong:
                    self.dashboard.recording_changed()
                    self.notify(
                        f"recording ended: {fmt.clean(wrong)}", severity="error", markup=False
                    )
                await self.dashboard.take(record)
                number += 1
                if number % BURST == 0:
                    await asyncio.sleep(0)
        except SourceError as error:
            self.feed.end(str(error), failed=True)
        else:
            self.feed.end(*_ending(self.feed.store.bye))
        self.dashboard.source_ended()
        if self.feed.writer:
            self.dashboard.action_record()  # nothing more will come into it


def _ending(bye: Bye | None) -> tuple[str, bool]:
    if bye is None:
        return "the stream broke off without a word", True
    return f"the stream ended: {fmt.clean(bye.reason)}", False


def run(
    source: Source | None,
    theme: str | None = None,
    first_pane: str | None = None,
    tape: Tape | None = None,
    loop: bool = False,
) -> int:
    """Show a source, or a tape, until the user quits; returns the exit status."""
    app = EbpftopApp(source, theme, first_pane, tape=tape, loop=loop)
    expect_many_rows()
    try:
        app.run()
    finally:
        if source:
            source.close()
        try:
            app.feed.close()
        except RecordingError as error:
            sys.stderr.write(f"ebpftop: {fmt.clean(str(error))}\n")
            return 1
    return app.return_code or 0
