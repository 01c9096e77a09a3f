"""What is lost of a damaged recording; the rest can be copied as an excerpt of all there is."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ebpftop.recording.reader import ticks_of
from ebpftop.recording.segment import FileChunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.recording.reader import Recording

TICK = b'{"t":"tick"'
Place = tuple[int, int]  # number of a file, and a byte there


@dataclass(frozen=True)
class Loss:
    """A stretch of a file that cannot be read.

    Attributes:
        path: the file.
        offset, bytes: where it begins there, and how much it is.
        what: what there was, in a few words.
        first_ns, last_ns: UTC of the first and last interval that is missing, if `exact`; else of
            those before and after, None where there is none.
        ticks: how many intervals are missing; None where nothing tells.
        exact: whether the file says so; otherwise they are reckoned from the time that passed.
    """

    path: str
    offset: int
    bytes: int
    what: str
    first_ns: int | None
    last_ns: int | None
    ticks: int | None
    exact: bool = False


def losses(recording: Recording) -> list[Loss]:
    """All that is lost, in the order of the files; reads every chunk to its end."""
    files = {segment.inode: number for number, segment in enumerate(recording.segments)}
    chunks = {
        (files[chunk.segment.inode], chunk.offset): chunk
        for chunk in recording.chunks
        if isinstance(chunk, FileChunk)
    }
    found = [*_incomplete(recording, chunks), *_unreadable(recording, chunks)]
    return [loss for _, loss in sorted(found, key=lambda pair: pair[0])]


def _incomplete(
    recording: Recording, chunks: dict[Place, FileChunk]
) -> Iterator[tuple[Place, Loss]]:
    """What is missing of chunks of which the file says how much they hold."""
    wall = recording.overview.wall
    for place, chunk in chunks.items():
        readable = sum(lines[-1].startswith(TICK) for lines in ticks_of(chunk))
        missing = chunk.ticks - readable
        if missing:
            first, last = chunk.first + readable, chunk.first + chunk.ticks - 1
            path, size = chunk.segment.path, chunk.end - chunk.offset
            what = "a damaged chunk"
            yield (
                place,
                Loss(path, chunk.offset, size, what, wall(first), wall(last), missing, True),
            )


def _unreadable(
    recording: Recording, chunks: dict[Place, FileChunk]
) -> Iterator[tuple[Place, Loss]]:
    """What lies between chunks; stretches with nothing readable between them count as one."""
    places = list(chunks)
    damages = [
        ((number, damage.offset), damage)
        for number, segment in enumerate(recording.segments)
        for damage in segment.damages
    ]
    for after, group in groupby(sorted(damages), lambda pair: bisect_right(places, pair[0])):
        together = list(group)
        place, first = together[0]
        before = chunks[places[after - 1]] if after else None
        following = chunks[places[after]] if after < len(places) else None
        yield (
            place,
            Loss(
                recording.segments[place[0]].path,
                first.offset,
                sum(damage.bytes for _, damage in together),
                ", ".join(dict.fromkeys(damage.what for _, damage in together)),
                *_between(recording, before, following),
            ),
        )


def _between(
    recording: Recording, before: FileChunk | None, after: FileChunk | None
) -> tuple[int | None, int | None, int | None]:
    """UTC of the last tick of a chunk and of the first of another, and how many were between."""
    overview, hello = recording.overview, recording.hello
    last = before.first + before.ticks - 1 if before else None
    first_ns = None if last is None else overview.wall(last)
    last_ns = overview.wall(after.first) if after else None
    if last is None or after is None or hello is None or hello.interval_ns <= 0:
        return first_ns, last_ns, None
    passed_ns = overview.mono(after.first) - overview.mono(last)
    if passed_ns <= 0:  # of another boot: what was before has no end
        return first_ns, last_ns, None
    return first_ns, last_ns, max(0, round(passed_ns / hello.interval_ns) - 1)
