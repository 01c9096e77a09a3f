"""The screen, driven step by step: a test says what the stream says next, and when."""

import asyncio
import inspect
from contextlib import asynccontextmanager

import pytest

from ebpftop.model import Record
from ebpftop.sources.base import SourceError
from ebpftop.ui.app import EbpftopApp


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run `async def` tests, each in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


class SteppedSource:
    """Yields what the test puts in; remembers what the screen asked for."""

    def __init__(self, *records, live=True):
        self.live = live
        self.sent = []
        self.closed = False
        self._queue: asyncio.Queue[Record | Exception | None] = asyncio.Queue()
        for record in records:
            self._queue.put_nowait(record)

    def put(self, *records):
        for record in records:
            self._queue.put_nowait(record)

    def end(self, error=None):
        self._queue.put_nowait(SourceError(error) if error else None)

    def send(self, command):
        self.sent.append(command)

    def close(self):
        self.closed = True

    async def records(self):
        while True:
            record = await self._queue.get()
            if record is None or isinstance(record, Exception):
                self._queue.task_done()
                if record is None:
                    return
                raise record
            yield record
            self._queue.task_done()  # who asks for the next has dealt with this one

    async def taken(self):
        """Wait until the screen has dealt with all that was put in."""
        await self._queue.join()


class Screen:
    """A running app in a test: the stream below it, the keys above."""

    def __init__(self, app, source, pilot):
        self.app, self.source, self.pilot = app, source, pilot

    @property
    def dashboard(self):
        return self.app.dashboard

    @property
    def table(self):
        return self.dashboard.pane.table

    async def feed(self, *records):
        """Let these records come in, and be drawn."""
        self.source.put(*records)
        await self.settle()

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def settle(self):
        await self.source.taken()
        await self.pilot.pause()

    def text(self, widget=None):
        """The plain text on the screen, or of one widget's part of it."""
        region = (widget or self.app.screen).region
        strips = self.app.screen._compositor.render_strips()
        rows = strips[region.y : region.y + region.height]
        return "\n".join(strip.crop(region.x, region.right).text.rstrip() for strip in rows)

    def names(self):
        """The texts of one column of the table, from top to bottom."""
        return [self.cell(row, "command") for row in self.table.view.rows]

    def cell(self, row, column):
        view = self.table.view
        position = [shown.column.name for shown in view.columns].index(column)
        return view.text(row, position)


@pytest.fixture(autouse=True)
def _utc(utc):
    """Clocks on the screen are the same everywhere."""


def make(*records, live=True, **arguments):
    """An app and its source; the cost of the app itself is frozen."""
    source = SteppedSource(*records, live=live)
    return EbpftopApp(source, own_cost=lambda: 0.004, **arguments), source


@pytest.fixture
def screen():
    """`async with screen(records…) as s:` is a running app of a given size."""

    @asynccontextmanager
    async def run(*records, size=(120, 40), live=True, **arguments):
        app, source = make(*records, live=live, **arguments)
        async with app.run_test(size=size, notifications=True) as pilot:
            screen = Screen(app, source, pilot)
            await screen.settle()
            yield screen

    return run


class Replay:
    """An app over a tape."""

    def __init__(self, tape, **arguments):
        self.app = EbpftopApp(None, own_cost=lambda: 0.0, tape=tape, **arguments)

    async def __aenter__(self):
        self._run = self.app.run_test(size=(120, 40), notifications=True)
        pilot = await self._run.__aenter__()
        self.screen = Screen(self.app, SteppedSource(), pilot)
        await pilot.pause()
        return self.screen

    async def __aexit__(self, *error):
        await self._run.__aexit__(*error)


async def marked(s, *keys):
    """Press keys, and wait for the sums."""
    await s.press(*keys)
    spans, pane = s.dashboard.feed.spans, s.dashboard.pane
    for _ in range(200):
        await s.pilot.pause()
        if not spans.missing(pane.info.name):
            return
    raise AssertionError("the sums were not worked out")
