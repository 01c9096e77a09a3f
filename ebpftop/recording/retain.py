"""A recording that goes on for ever in bounded space: a set of files, of which the oldest go.

PATH is being written; PATH.1, PATH.2 and so on came before it, PATH.1 first. A file is an eighth of
what may be kept, so that seven eighths are always there.

Age is counted in recorded time, tick by tick, not by the calendar: a clock that is set wrong
deletes nothing, and a machine that was off, asleep or crashed over the weekend still has the hours
before it.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.recording.overview import GAP
from ebpftop.recording.segment import Segment, segments_of
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer, hold, in_use, is_being_written, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpftop.model import Record
    from ebpftop.recording.chunker import Chunker
    from ebpftop.recording.overview import Summary

FILES = 8


@dataclass(frozen=True)
class Limits:
    """How much is kept; 0 is no limit."""

    bytes: int = 0
    ns: int = 0


@dataclass(frozen=True)
class Old:
    """A file that is no longer written; `span_ns` is how much time it holds."""

    path: str
    bytes: int
    span_ns: int


class Span:
    """Recorded time: what lies between ticks, without gaps."""

    def __init__(self, before_ns: int | None = None) -> None:
        """`before_ns` is the monotonic clock of the tick before the first."""
        self.ns = 0
        self.before_ns = before_ns

    def add(self, summary: Summary) -> None:
        """Take in the ticks that follow."""
        longest = int(GAP * summary.interval_ns)
        for mono_ns in summary.mono_ns:
            if self.before_ns is not None:
                self.ns += min(max(0, mono_ns - self.before_ns), longest)
            self.before_ns = mono_ns


class Rotation:
    """Writes such a set; nobody else may write it meanwhile.

    Attributes:
        path: the file that is being written.
        ticks: how many were written.
    """

    def __init__(
        self,
        path: str,
        limits: Limits,
        warn: Callable[[str], None],
        chunker: Chunker | None = None,
    ) -> None:
        """Begin a file; one that is there becomes the newest of the old ones.

        Raises:
            RecordingError: another recorder is at it, what is there is no recording, or nothing
                can be written there.
        """
        self.path = path
        self.ticks = 0
        self._limits = limits
        self._warn = warn
        self._warned = False
        self._old: deque[Old] = deque()
        self._number = 0
        self._span = Span()
        self._writer = self._begin(chunker)

    @property
    def bytes(self) -> int:
        """Length of all files."""
        return self._old_bytes + self._writer.bytes

    def add(self, record: Record) -> bool:
        """Take in a record; returns whether a tick was written with it.

        Raises:
            RecordingError: there is no room for it, or the disk is gone; what was written before
                stays readable.
        """
        if not self._writer.add(record):
            return False
        self.ticks += 1
        self._span.add(self._writer.chunker.newest)
        self._drop_what_is_too_old()
        limits = self._limits
        is_long = limits.bytes and self._writer.bytes * FILES >= limits.bytes
        if is_long or (limits.ns and self._span.ns * FILES >= limits.ns):
            self._rotate()
        return True

    def end_chunk(self) -> None:
        """Have all that was written brought to the disk; raises RecordingError."""
        self._writer.end_chunk()

    def close(self) -> None:
        """Finish the file; raises RecordingError."""
        self._writer.close()

    # Room

    def reserve(self, size: int) -> None:
        """Make room for the file to become so long; see `writer.Quota`."""
        most = self._limits.bytes
        if not most:
            return
        if size > most:
            raise RecordingError(
                f"{self.path}: a tick and what it needs take {size >> 10}K here,"
                f" more than all that may be kept ({most >> 10}K); allow more"
            )
        while self._old and self._old_bytes + size > most:
            self._delete_oldest()

    def relieve(self, size: int) -> bool:
        """Give up the oldest files for so many bytes on a full disk; see `writer.Quota`."""
        freed = 0
        while self._old and freed < size:
            freed += self._old[0].bytes
            if not self._warned:
                self._warn(f"the disk is full: {self._old[0].path} is deleted to go on")
                self._warned = True
            self._delete_oldest()
        return freed > 0

    @property
    def _old_bytes(self) -> int:
        return sum(old.bytes for old in self._old)

    def _drop_what_is_too_old(self) -> None:
        """Delete the files that lie before the time to keep altogether."""
        if not self._limits.ns:
            return
        newer_ns = self._span.ns + sum(old.span_ns for old in self._old)
        while self._old and newer_ns - self._old[0].span_ns >= self._limits.ns:
            newer_ns -= self._old[0].span_ns
            self._delete_oldest()

    def _delete_oldest(self) -> None:
        old = self._old.popleft()
        try:
            os.unlink(old.path)
        except FileNotFoundError:
            pass  # somebody else made room
        except OSError as error:
            raise RecordingError(f"{old.path} cannot be deleted: {error.strerror}") from None

    # From one file to the next

    def _rotate(self) -> None:
        """Finish the file, put it with the old ones and begin another.

        It stays held until there is another: whoever starts meanwhile finds one of them held.
        """
        before = self._writer
        try:
            before.finish()
            if before.is_in_place():
                self._put_aside(before.bytes, self._span.ns)
            self._writer = Writer(self.path, chunker=before.chunker, quota=self)
        except OSError as error:
            raise RecordingError(refused(self.path, error)) from None
        finally:
            before.abandon()
        self._span = Span(self._span.before_ns)

    def _put_aside(self, size: int, span_ns: int) -> None:
        """Give the file its number; raises OSError."""
        self._number += 1
        while os.path.lexists(f"{self.path}.{self._number}"):
            self._number += 1
        name = f"{self.path}.{self._number}"
        os.rename(self.path, name)
        self._old.append(Old(name, size, span_ns))

    def _begin(self, chunker: Chunker | None) -> Writer:
        """The first file, after those that are there.

        Of two that start at once, one gets hold of the file that is there, or makes the one that is
        not. A rotation that is under way shows as an old file that is held, and one that has ended
        since by the file that is back.
        """
        held = _hold(self.path)
        try:
            older = [path for path in segments_of(self.path) if path != self.path]
            is_held = any(map(is_being_written, older))
            if is_held or (held is None and os.path.lexists(self.path)):
                raise RecordingError(in_use(self.path))
            for path in older:
                self._number = int(path[len(self.path) + 1 :])
                found = _examine(path)
                if found:
                    self._old.append(found)
            left = _examine(self.path) if held is not None else None
            if left:
                self._put_aside(left.bytes, left.span_ns)
            return Writer(self.path, chunker=chunker, quota=self)
        except OSError as error:
            raise RecordingError(refused(self.path, error)) from None
        finally:
            if held is not None:
                os.close(held)


def _hold(path: str) -> int | None:
    """Get hold of what an earlier recorder left; None where there is nothing.

    Raises:
        RecordingError: another recorder has it, or it is no file.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise RecordingError(f"{path} is there, and is no file; choose another name")
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordingError(refused(path, error)) from None
    if hold(fd, path):
        return fd
    os.close(fd)
    raise RecordingError(in_use(path))


def _examine(path: str) -> Old | None:
    """What an earlier file holds; one that has no tick is removed.

    Raises:
        RecordingError: it is no recording, so that it must not be moved nor, one day, deleted.
    """
    size = os.stat(path).st_size
    if not size:
        os.unlink(path)
        return None
    try:
        segment = Segment(path)
    except RecordingError as error:
        raise RecordingError(f"{error}; choose another name, or move it away") from None
    try:
        span = Span()
        for _, summary in segment.look():
            span.add(summary)
    finally:
        segment.close()
    if span.before_ns is None and not segment.damages:
        os.unlink(path)
        return None
    return Old(path, size, span.ns)
