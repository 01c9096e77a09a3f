"""Excerpts: spans of a recording as a recording of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from ebpftop import stream
from ebpftop.model import Hello, Process, Sample, Status
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer, refused
from ebpftop.views.store import HOST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ebpftop.model import Record
    from ebpftop.recording.tape import Tape

WAITING = 32_768  # identities that no sample has spoken of yet


class Excerpt:
    """Some ticks of a tape as a stream that stands alone.

    It tells of nobody but the processes that its samples speak of.
    """

    def __init__(self, tape: Tape, probes: Collection[str] = ()) -> None:
        """With `probes`, only those are in it, and the host's own figures.

        Raises:
            ValueError: the tape has no such probe; the message lists those that it has.
        """
        known = [probe.name for probe in tape.hello.probes] if tape.hello else []
        for name in probes:
            if name not in known:
                raise ValueError(f"no probe named {name}; there are {', '.join(known)}")
        self._tape = tape
        self._probes = {*(probes or known), HOST}
        self._hello = ""
        self._statuses: dict[str, Status] = {}
        self._waiting: dict[int, Process] = {}
        self._pids: dict[tuple[str, str], list[int]] = {}

    def records(self, runs: Iterable[tuple[int, int]]) -> Iterator[Record]:
        """The records of some runs of ticks, each from a first to a last."""
        for first, last in runs:
            for record in self._tape.records(first, last, self._probes):
                if isinstance(record, Process):
                    self._waiting[record.pid] = record
                    if len(self._waiting) > WAITING:  # each chunk names its own once more
                        del self._waiting[next(iter(self._waiting))]
                elif isinstance(record, Sample):
                    if record.probe in self._probes:
                        yield from self._spoken_of(record)
                        yield record
                elif isinstance(record, Status):
                    if self._is_news(record):
                        yield record
                elif isinstance(record, Hello):
                    yield from self._begin(record)
                else:
                    yield record

    def _begin(self, hello: Hello) -> Iterator[Record]:
        """The description of those who speak; not again where it is the same as before."""
        chosen = tuple(probe for probe in hello.probes if probe.name in self._probes)
        hello = replace(hello, probes=chosen)
        line = stream.encode(hello)
        if line != self._hello:
            self._hello = line
            self._pids = {
                (probe.name, table.name): [
                    position for position, c in enumerate(table.columns) if c.role == "pid"
                ]
                for probe in chosen
                for table in probe.tables
            }
            yield hello

    def _is_news(self, status: Status) -> bool:
        before = self._statuses.get(status.probe)
        self._statuses[status.probe] = status
        return status.probe in self._probes and status != before

    def _spoken_of(self, sample: Sample) -> Iterator[Process]:
        for name, rows in sample.tables.items():
            for position in self._pids.get((sample.probe, name), ()):
                for pid in {row[position] for row in rows}.intersection(self._waiting):
                    yield self._waiting.pop(pid)


def write(
    path: str, records: Iterable[Record], originals: Iterable[str], force: bool = False
) -> int:
    """Write a recording that appears when it is whole; returns how many ticks it has.

    `originals` are the files that the records come from.

    Raises:
        RecordingError: the file is there already and is not to be replaced, or cannot be written.
    """
    if any(os.path.realpath(path) == os.path.realpath(original) for original in originals):
        raise RecordingError(f"{path} is the recording itself; choose another name")
    if not force:
        _must_be_free(path)
    temporary = f"{path}.{secrets.token_hex(4)}.part"
    try:
        writer = Writer(temporary)
        try:
            for record in records:
                writer.add(record)
            writer.close()
        finally:
            writer.abandon()
        _put(temporary, path, force)
    except RecordingError as error:
        raise RecordingError(str(error).replace(temporary, path)) from None
    except OSError as error:
        raise RecordingError(refused(path, error)) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    return writer.ticks


def _put(temporary: str, path: str, force: bool) -> None:
    """Give a file its name, another's only with `force`; raises OSError or RecordingError."""
    if not force:
        with contextlib.suppress(OSError):  # a file system without links, or the name is taken
            os.link(temporary, path)
            return
        _must_be_free(path)
    os.replace(temporary, path)


def _must_be_free(path: str) -> None:
    if os.path.lexists(path):
        raise RecordingError(f"{path} is there already; choose another name, or use --force")
