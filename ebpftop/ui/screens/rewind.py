"""What a screen does with time: stop, step, jump, play, mark; the timeline and the jump line."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from textual import on, work
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Input, Static

from ebpftop.recording import when
from ebpftop.recording.names import default_name
from ebpftop.recording.overview import load_of
from ebpftop.recording.tape import RecordingError
from ebpftop.sources.player import FLAME_TICKS, HISTORY_TICKS
from ebpftop.ui.widgets.keys import KeyBar
from ebpftop.ui.widgets.timeline import Timeline
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from textual.app import ComposeResult
    from textual.timer import Timer

    from ebpftop.model import ProbeInfo
    from ebpftop.ui.feed import Feed
    from ebpftop.ui.pane import Pane

FRAME_S = 0.1
# Work that takes long gives way to keys and drawing after so much time, for as long: from a key to
# what is drawn of it there are several turns of the loop.
SLICE_S = 0.008
SETTLE_S = 0.05
NS_PER_S = 1_000_000_000


class Rewindable(Screen[None]):
    """The part of the dashboard that moves through time."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed
        self._at_s = 0.0
        self._clock: Timer | None = None

    @property
    def pane(self) -> Pane | None:
        """The open pane."""
        raise NotImplementedError

    @property
    def timed(self) -> ProbeInfo | None:
        """The probe whose load the timeline shows."""
        return self.pane.info if self.pane else None

    def redraw(self) -> None:
        """Draw the moment that is shown."""
        raise NotImplementedError

    def recording_changed(self) -> None:
        """A recording began, or ended."""
        raise NotImplementedError

    def narrow_collection(self) -> None:
        """Another moment is shown: what is collected meanwhile may change."""
        raise NotImplementedError

    def compose_time(self) -> ComposeResult:
        """The timeline and the line where moments are typed."""
        with Horizontal(id="jump-line", classes="typed"):
            yield Static("go to")
            yield Input(
                placeholder="10:02   -3m   2026-11-19 10:02:07   50%", id="jump", compact=True
            )
        yield Timeline()

    @property
    def has_timeline(self) -> bool:
        """Whether the timeline is on the screen."""
        return not self.feed.now

    def draw_timeline(self) -> None:
        """Draw the timeline as far as it is on the screen."""
        self.set_class(self.has_timeline, "-timeline")
        self.query_one(KeyBar).show(self.has_timeline)
        info, feed = self.timed, self.feed
        if not self.has_timeline or info is None:
            return
        spans = feed.spans
        table, column, rate = load_of(info)
        self.query_one(Timeline).show(
            feed.tape.overview,
            info.name,
            feed.player.position,
            title=info.name,
            kind=info.table(table).columns[column].kind,
            rate=rate,
            hint=spans.hint,
            playing=feed.player.playing,
            following=feed.following,
            speed=feed.player.speed,
            ranges=spans.ranges,
            pending=spans.pending,
        )

    def moved(self) -> None:
        """Another moment is shown, or time goes on in another way."""
        self._run_clock()
        self.narrow_collection()
        self.redraw()
        self.draw_timeline()
        if self.has_timeline:
            self.deepen()

    def _run_clock(self) -> None:
        """The clock runs while something has to move by itself."""
        moving = self.feed.player.playing or (not self.feed.stream and self.feed.tape.growing)
        if moving and self._clock is None:
            self._at_s = time.monotonic()
            self._clock = self.set_interval(FRAME_S, self._advance)
        elif not moving and self._clock is not None:
            self._clock.stop()
            self._clock = None

    def _advance(self) -> None:
        now_s = time.monotonic()
        passed_s, self._at_s = now_s - self._at_s, now_s
        feed = self.feed
        before = feed.player.playing, feed.following
        changed = feed.advance(passed_s)
        if before != (feed.player.playing, feed.following):
            if before[1]:
                self._say("the recording has ended")
            self.moved()
        elif changed:
            self.redraw()
            self.draw_timeline()

    # What the user does

    def action_pause(self) -> None:
        """Stop, or go on."""
        self.feed.toggle()
        self.moved()

    def action_step(self, ticks: int) -> None:
        """Go so many ticks on, or back."""
        self.feed.step(ticks)
        self.moved()

    def action_first_tick(self) -> None:
        """Go to the oldest that is there."""
        self.feed.seek(self.feed.tape.overview.first)
        self.moved()

    def action_last_tick(self) -> None:
        """Go to the newest, and stay with it where more is to come."""
        self.feed.follow()
        self.moved()

    def action_mark(self) -> None:
        """Mark one end of a range, or the other."""
        self.feed.pause()
        if self.feed.player.position is not None:
            self.feed.spans.mark(self.feed.player.position)
            self.moved()
            self.add_up()

    def action_jump(self) -> None:
        """Open the line where a moment is typed."""
        if len(self.feed.tape.overview):
            self.add_class("-jumping")
            line = self.query_one("#jump", Input)
            line.value = ""
            line.focus()

    def action_record(self) -> None:
        """Begin to record, or end it."""
        feed = self.feed
        if not feed.stream:
            self._say("this is a recording; `ebpftop cut` makes an excerpt of it")
            return
        if feed.ended and not feed.writer:
            self._say("the stream has ended; ! saves its last minutes", wrong=True)
            return
        try:
            if feed.writer:
                written = feed.stop_recording()
                if written:
                    self._say(f"recorded {fmt.bytes_(written.bytes)} to {written.path}")
            else:
                path = default_name(feed.store.hello)
                feed.record(path)
                self._say(f"recording all panes to {path}")
        except RecordingError as error:
            self._say(str(error), wrong=True)
        self.recording_changed()
        self.redraw()

    def action_save(self) -> None:
        """Write the last minutes to a file."""
        if not self.feed.stream:
            self._say("this is a recording; `ebpftop cut` makes an excerpt of it")
            return
        if not len(self.feed.tape.overview):
            self._say("nothing was measured yet", wrong=True)
            return
        try:
            path = default_name(self.feed.store.hello)
            minutes = self.feed.save(path) / 60
            self._say(f"the last {minutes:.1f} min are in {path}")
        except RecordingError as error:
            self._say(str(error), wrong=True)

    def clear_ranges(self) -> bool:
        """Take the marks away; returns whether there were any."""
        if not self.feed.spans.clear():
            return False
        self.moved()
        return True

    @on(Timeline.Sought)
    def _sought(self, message: Timeline.Sought) -> None:
        message.stop()
        self.feed.seek(message.tick)
        self.moved()

    @on(Timeline.Ranged)
    def _ranged(self, message: Timeline.Ranged) -> None:
        message.stop()
        self.feed.pause()
        self.feed.spans.add(message.first, message.last)
        self.moved()
        self.add_up()

    @on(Input.Submitted, "#jump")
    def _jump_typed(self, event: Input.Submitted) -> None:
        overview, text = self.feed.tape.overview, event.value.strip()
        self.close_jump()
        if not text or not len(overview):
            return
        if text.lower() == "now":
            self.action_last_tick()
            return
        position = self.feed.player.position
        here = overview.end - 1 if position is None or self.feed.following else position
        first_ns, last_ns = min(overview.wall_ns), max(overview.wall_ns)
        try:
            wall_ns = when.parse(
                text,
                wall_ns_first=first_ns,
                wall_ns_last=last_ns,
                relative_to_ns=overview.wall(max(here, overview.first)),
            )
        except ValueError as error:
            self._say(str(error), wrong=True)
            return
        if not first_ns <= wall_ns <= last_ns + NS_PER_S:
            edges = f"{when.local(first_ns)} to {when.local(last_ns)}"
            self._say(f"{text} is not in here: it is from {edges}", wrong=True)
        self.feed.seek(overview.at(wall_ns))
        self.moved()

    def close_jump(self) -> bool:
        """Close the line where a moment is typed; returns whether it was open."""
        if not self.has_class("-jumping"):
            return False
        self.remove_class("-jumping")
        if self.pane:
            self.pane.focus_view()
        return True

    # What takes its time

    @work(exclusive=True, group="sums")
    async def add_up(self) -> None:
        """Work out the sums over the marked ranges for the open pane."""
        pane, self.feed.spans.progress = self.pane, 1.0
        if pane is None or not self.feed.spans.missing(pane.info.name):
            return
        await sliced(self.feed.spans.work(pane.info), self.draw_timeline)
        pane.draw()
        self.draw_timeline()

    @work(exclusive=True, group="history")
    async def deepen(self) -> None:
        """Once the position stays, read what views show of the time before: the nearest first."""
        for ticks, settle_s in ((FLAME_TICKS, SETTLE_S), (HISTORY_TICKS, 3 * SETTLE_S)):
            await asyncio.sleep(settle_s)
            if self.feed.now:
                return
            is_news = await sliced(self.feed.player.deepen(ticks), lambda: None)
            if is_news and self.pane:
                self.pane.draw()

    def _say(self, text: str, wrong: bool = False) -> None:
        severity = "warning" if wrong else "information"
        self.notify(fmt.clean(text), severity=severity, markup=False)  # type: ignore[arg-type]


async def sliced(steps: Generator[None], tell: Callable[[], None]) -> bool:
    """Run through a generator, give way to the screen after every slice, and tell then.

    Returns whether there was anything to do. What was being read is let go of at once when it is
    cancelled: it may be large.
    """
    done, until_s = False, time.monotonic() + SLICE_S
    with contextlib.closing(steps):
        for _ in steps:
            done = True
            if time.monotonic() >= until_s:
                tell()
                await asyncio.sleep(SLICE_S)
                until_s = time.monotonic() + SLICE_S
    return done
