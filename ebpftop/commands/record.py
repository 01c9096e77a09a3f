"""`ebpftop record`: writes what the collector says to a file, without a screen."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import stat
import sys
import time
from typing import TYPE_CHECKING, Protocol

from ebpftop.commands import fail
from ebpftop.commands.dashboard import drop_privileges, unknown_probe
from ebpftop.model import Bye, Hello, Status, Tick
from ebpftop.recording.names import default_name, stamped
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer
from ebpftop.sources.base import SourceError, expect_many_rows
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpftop.model import Record
    from ebpftop.recording.retain import Rotation
    from ebpftop.sources.base import Source

NICE = 10
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 3600.0
LEAST_BYTES = 64 << 10
LEAST_KEPT_S = 60.0
TELL_S, GRACE_S = 2.0, 0.1
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
DESCRIPTION = (
    "Record to a file, without a screen: what a collector of its own measures, or a stream"
    " (-) from standard input. `ebpftop view FILE` replays it, also while it is being written."
)
EPILOG = """\
Times are 90, 90s, 10m, 24h or 7d; sizes are 500K, 64M or 1G, with 1K = 1024 bytes.

With --max-size or --keep the recording goes on for ever: FILE is being written, FILE.1, FILE.2 and
so on came before it, and the oldest are deleted. `ebpftop view FILE` reads them as one. Started
again with the same FILE, it goes on. --keep counts recorded time: a machine that was off, or a
clock that is set wrong, deletes nothing. On a full disk the oldest files are given up.

With --flight nothing is written: the last minutes are held in memory (at most --max-size, 64M), and
each SIGUSR1 saves them to a new file, whose name is printed. Without --flight, SIGUSR1 brings all
that was recorded so far to the disk.

SIGTERM, SIGINT and SIGHUP end the recording in good order.

examples:
  sudo ebpftop record --duration 10m
  sudo ebpftop record -o /var/log/ebpftop/always.ebt --max-size 1G --keep 24h
  sudo ebpftop record --flight -o incident.ebt & kill -USR1 $!
  ssh box sudo ebpftop collect | ebpftop record - -o box.ebt"""


class Sink(Protocol):
    """What records go to; its text says what it is doing."""

    def add(self, record: Record) -> None:
        """Take in a record; raises RecordingError."""

    def save(self) -> None:
        """What SIGUSR1 asks for."""

    def close(self) -> None:
        """End in good order; raises RecordingError."""


class FileSink:
    """A file, or a set of files; begun with the first record."""

    def __init__(self, options: argparse.Namespace, teller: Teller) -> None:
        self._path: str = options.output
        self._limits = options.max_size or 0, int((options.keep or 0) * 1e9)
        self._teller = teller
        self._writer: Writer | Rotation | None = None
        self._failed: RecordingError | None = None

    def __str__(self) -> str:
        size = self._writer.bytes if self._writer else 0
        return f"recording {fmt.clean(self._path)}: {fmt.bytes_(size)}"

    def add(self, record: Record) -> None:
        """Write a record."""
        if self._writer is None:
            self._writer = self._begin(record)
        if self._failed:
            raise self._failed
        self._writer.add(record)

    def save(self) -> None:
        """Have the disk hold all that was recorded; a refusal is said with the next record."""
        try:
            if self._writer:
                self._writer.end_chunk()
        except RecordingError as error:
            self._failed = error

    def close(self) -> None:
        """Finish the file."""
        if self._writer:
            self._writer.close()

    def _begin(self, first: Record) -> Writer | Rotation:
        if not self._path:
            self._path = default_name(first if isinstance(first, Hello) else None)
        if not any(self._limits):
            return Writer(self._path)
        from ebpftop.recording.retain import Limits, Rotation

        return Rotation(self._path, Limits(*self._limits), self._teller.warn)


class FlightSink:
    """The flight recorder; SIGUSR1 saves what it holds to a new file and prints its name."""

    def __init__(self, options: argparse.Namespace, teller: Teller) -> None:
        from ebpftop.recording.flight import MAX_BYTES, MINUTES, FlightRecorder

        self._path: str = options.output
        self._teller = teller
        self._flight = FlightRecorder(options.minutes or MINUTES, options.max_size or MAX_BYTES)

    def __str__(self) -> str:
        return f"in memory: {fmt.bytes_(self._flight.bytes)}; kill -USR1 {os.getpid()} saves it"

    def add(self, record: Record) -> None:
        """Hold a record."""
        self._flight.add(record)

    def save(self) -> None:
        """Write what is held to a new file."""
        if not len(self._flight.overview):
            self._teller.warn("nothing was measured yet: nothing is saved")
            return
        path = stamped(self._path) if self._path else default_name(self._flight.hello)
        try:
            self._flight.save(path)
        except RecordingError as error:
            self._teller.warn(str(error))
            return
        self._teller.clear()
        with contextlib.suppress(OSError):  # nobody reads what is printed
            print(path, flush=True)

    def close(self) -> None:
        """Forget everything."""
        self._flight.close()


class Teller:
    """What the user hears on standard error: warnings, and on a terminal how it goes on."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._shown = False
        self._told: set[tuple[str, str, str]] = set()
        self._running: set[str] = set()
        self._since_s = time.monotonic()
        self._due_s = 0.0

    def hear(self, record: Record, sink: Sink) -> None:
        """Take note of a record that went to the sink."""
        if isinstance(record, Status) and record.probe:
            self._hear_status(record)
        elif isinstance(record, Tick) and self._on_terminal and time.monotonic() >= self._due_s:
            self.show(sink)

    def show(self, sink: Sink) -> None:
        """Say how it goes, on a terminal."""
        if self._on_terminal:
            self._due_s = time.monotonic() + TELL_S
            passed = fmt.ns(int((time.monotonic() - self._since_s) * 1e9))
            line = f"{sink}, {passed}, {len(self._running)} probes"
            line = fmt.cut(line, shutil.get_terminal_size().columns - 1)
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            self._shown = True

    def warn(self, message: str) -> None:
        """One line."""
        self.clear()
        fail(fmt.clean(message))

    def clear(self) -> None:
        """Take the line off the terminal."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False

    def end(self, sink: Sink) -> None:
        """Say how it went."""
        self.show(sink)
        if self._shown:
            print(file=sys.stderr)
            self._shown = False

    def _hear_status(self, status: Status) -> None:
        if status.state in ("running", "degraded"):
            self._running.add(status.probe)
            return
        self._running.discard(status.probe)
        news = status.probe, status.state, status.reason
        if status.state in ("failed", "unavailable") and news not in self._told:
            self._told.add(news)
            said = "; ".join(filter(None, (status.reason, status.hint)))
            self.warn(f"{status.probe} {status.state}: {said}")


def main(arguments: list[str]) -> int:
    """Record until told to end; returns the exit status."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it would kill, until there is a handler
    options = _parser().parse_intermixed_args(arguments)
    wrong = _wrong(options)
    if wrong:
        return fail(wrong, status=2)
    source: Source | None = None
    try:
        source = _source(options)
        drop_privileges()
        os.nice(NICE)
        teller = Teller()
        expect_many_rows()
        sink = FlightSink(options, teller) if options.flight else FileSink(options, teller)
        return asyncio.run(_record(source, sink, teller, options.duration))
    except (SourceError, RecordingError) as error:
        return fail(fmt.clean(str(error)))
    except KeyboardInterrupt:  # before there was anything to end
        return 0
    finally:
        if source:
            source.close()


async def _record(source: Source, sink: Sink, teller: Teller, duration_s: float | None) -> int:
    """Take records to the sink until the stream ends, or somebody ends it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    ending: list[str] = []

    def end(reason: str) -> None:
        if not ending and task:
            ending.append(reason)
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it, and the shell's `&`
            loop.add_signal_handler(number, end, signal.Signals(number).name)
    loop.add_signal_handler(signal.SIGUSR1, sink.save)
    last: Record | None = None

    def take(record: Record) -> None:
        nonlocal last
        if last is None and duration_s:
            loop.call_later(duration_s, end, f"recorded for {duration_s:g} s")
        sink.add(record)
        teller.hear(record, sink)
        last = record

    failed = ""
    try:
        failed = await _follow(source, take)
    except asyncio.CancelledError:
        if last and not isinstance(last, Bye):
            sink.add(Bye(ending[0]))
    finally:
        teller.clear()
    sink.close()
    teller.end(sink)
    return fail(fmt.clean(failed)) if failed else 0


async def _follow(source: Source, take: Callable[[Record], None]) -> str:
    """Take all records; returns what is wrong with their end, empty where nothing is."""
    record, failed = None, ""
    try:
        async for record in source.records():
            take(record)
    except SourceError as error:
        failed = str(error)
    if not (failed or isinstance(record, Bye)):
        failed = "the stream broke off: its collector was killed, or the connection went"
    if failed:  # Ctrl-C ends a whole pipe, and its signal may come after the end of the stream
        await asyncio.sleep(GRACE_S)
    return failed


def _source(options: argparse.Namespace) -> Source:
    """The stream on standard input, or a collector; raises SourceError."""
    if options.source == "-":
        from ebpftop.sources.pipe import PipeSource

        mode = os.fstat(0).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise SourceError("`record -` reads a pipe: ebpftop collect | ebpftop record -")
        return PipeSource(0)
    from ebpftop.registry import probes
    from ebpftop.sources.live import LiveSource

    return LiveSource(options.interval or 1.0, tuple(options.probe or probes()))


def _amount(units: dict[str, int], example: str) -> Callable[[str], float]:
    """What reads an amount such as `10m` or `1.5G`, for argparse."""

    def read(text: str) -> float:
        found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)([A-Za-z]?)", text, re.ASCII)
        if not found or found[2] not in units or not float(found[1]):
            raise argparse.ArgumentTypeError(f"{text!r} is not like {example}")
        return float(found[1]) * units[found[2]]

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ebpftop record",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    seconds = _amount(SECONDS, "90, 90s, 10m, 24h or 7d")
    add("source", nargs="?", metavar="-", help="record the stream on standard input")
    add("-o", "--output", metavar="FILE", default="", help="(default: ebpftop-HOST-TIME.ebt here)")
    names = "record these (default: all)"
    add("--probe", action="extend", nargs="+", metavar="NAME", help=names)
    add("-i", "--interval", type=float, metavar="S", help="seconds between samples (default: 1)")
    add("--duration", type=seconds, metavar="TIME", help="end after so long")
    add("--max-size", type=_bytes, metavar="SIZE", help="keep at most so much")
    add("--keep", type=seconds, metavar="TIME", help="keep what was recorded in the last TIME")
    add("--flight", action="store_true", help="hold the last minutes in memory, save on SIGUSR1")
    add("--minutes", type=float, metavar="N", help="how much --flight holds (default: 10)")
    return parser


def _bytes(text: str) -> int:
    return int(_amount(BYTES, "500K, 64M or 1G")(text))


def _wrong(options: argparse.Namespace) -> str:
    """What is wrong with the options; empty where nothing is."""
    if options.source not in (None, "-"):
        return "record takes - (a stream on standard input) or nothing; -o names the file"
    interval = options.interval
    if options.source and (options.probe or interval is not None):
        return "--probe and --interval are for a collector; a stream is recorded as it comes"
    if options.output == "-":
        return "-o names a file; `ebpftop collect` writes to standard output"
    if interval is not None and not MIN_INTERVAL_S <= interval <= MAX_INTERVAL_S:
        return "an interval is from 0.1 to 3600 seconds"
    if options.flight and options.keep:
        return "--keep is for files; --minutes says how much --flight holds"
    if options.minutes is not None and not (options.flight and 0 < options.minutes <= 1440):
        return "--minutes goes with --flight, and is from 1 to 1440"
    if options.max_size and options.max_size < LEAST_BYTES:
        return "--max-size is 64K or more"
    if options.keep and options.keep < LEAST_KEPT_S:
        return "--keep is a minute or more"
    return next(filter(None, map(unknown_probe, options.probe or ())), "")
