"""Moments as people write them: `10:02`, `-3m`, `2026-11-19 10:02:07`, `50%`.

Times without an offset are of the local time zone. A time of day, or one that came twice because
the clocks went back, is that of the span that is asked about.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.recording.overview import Overview

NS_PER_S = 1_000_000_000
FORMS = (
    "10:02, 10:02:07, 2026-11-19 10:02:07 (also with Z or +01:00), 2026-11-19, -3m, +30s, -1h30m,"
    " 50%, start, end and now"
)
UNITS_NS = {
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
_PART = re.compile(r"(\d{1,12})(\.\d{1,9})?(ms|[smhd])", re.ASCII)
_RELATIVE = re.compile(rf"([+-])((?:{_PART.pattern})+)", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)%", re.ASCII)
_DATE = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_OFFSET = r"(?:\s*(?P<offset>z|utc|[+-]\d\d:?\d\d))?"
_CLOCK = re.compile(_TIME + _OFFSET, re.ASCII)
_MOMENT = re.compile(rf"{_DATE}(?:(?:t|\s+){_TIME})?{_OFFSET}", re.ASCII)


def parse(text: str, *, wall_ns_first: int, wall_ns_last: int, relative_to_ns: int) -> int:
    """UTC in ns of a moment in the span from `wall_ns_first` to `wall_ns_last`, or near it.

    `-3m` and `+30s` count from `relative_to_ns`. A time of day is the one inside the span, and of
    several the nearest to `relative_to_ns`; where none is inside, the nearest to the span.

    Raises:
        ValueError: it is no moment; the message is one sentence that says what forms there are.
    """
    wanted = text.strip().lower()
    span = wall_ns_last - wall_ns_first
    try:
        if wanted in ("start", "end", "now"):
            return wall_ns_first if wanted == "start" else wall_ns_last
        if found := _RELATIVE.fullmatch(wanted):
            sign = -1 if found[1] == "-" else 1
            return relative_to_ns + sign * _length_ns(found[2])
        if found := _PERCENT.fullmatch(wanted):
            if float(found[1]) <= 100:
                return wall_ns_first + round(span * (float(found[1]) / 100))
        elif found := _CLOCK.fullmatch(wanted) or _MOMENT.fullmatch(wanted):
            candidates = _candidates(found, (wall_ns_first, wall_ns_last, relative_to_ns))
            return min(
                candidates,
                key=lambda ns: (_away(ns, wall_ns_first, wall_ns_last), abs(ns - relative_to_ns)),
            )
    except (ValueError, OverflowError, OSError):  # no such day, or beyond what a clock can show
        pass
    raise ValueError(f"{text.strip()!r} is no moment; known are {FORMS}")


def span(first: str, last: str, *, wall_ns_first: int, wall_ns_last: int) -> tuple[int, int]:
    """UTC in ns of the two ends of an excerpt, of `--from` and `--to`; empty is all there is.

    `-3m` is before the end of the recording; `+30s` counts from its start, and as the second end
    from the first. A time of day as the second end is the next one after the first.

    Raises:
        ValueError: see `parse`.
    """
    whole = {"wall_ns_first": wall_ns_first, "wall_ns_last": wall_ns_last}
    origin = wall_ns_first if first.strip().startswith("+") else wall_ns_last
    low = parse(first or "start", **whole, relative_to_ns=origin)
    if _CLOCK.fullmatch(last.strip().lower()):
        whole = {"wall_ns_first": low, "wall_ns_last": max(low, wall_ns_last)}
    origin = wall_ns_last if last.strip().startswith("-") else low
    return low, parse(last or "end", **whole, relative_to_ns=origin)


def ticks(overview: Overview, wall_ns_first: int, wall_ns_last: int) -> list[tuple[int, int]]:
    """The ticks that ended in a span, both of its ends included, as runs from a first to a last.

    There are several runs where the clock was set back.
    """
    runs: list[tuple[int, int]] = []
    for tick, wall_ns in enumerate(overview.wall_ns, overview.first):
        if wall_ns_first <= wall_ns <= wall_ns_last:
            if runs and runs[-1][1] == tick - 1:
                runs[-1] = (runs[-1][0], tick)
            else:
                runs.append((tick, tick))
    return runs


def utc(wall_ns: int) -> str:
    """A moment as text that names it exactly: `2026-11-19T09:02:07.123456789Z`."""
    seconds, ns = divmod(wall_ns, NS_PER_S)
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns:09}Z"


def local(wall_ns: int) -> str:
    """A moment for people, to the second: `2026-11-19 10:02:07`, in the local time zone."""
    return f"{_on_the_wall(wall_ns, None):%Y-%m-%d %H:%M:%S}"


def _length_ns(text: str) -> int:
    """`1h30m` in ns."""
    total = 0
    for whole, fraction, unit in _PART.findall(text):
        total += int(whole) * UNITS_NS[unit] + round(float(fraction or 0) * UNITS_NS[unit])
    return total


def _candidates(found: re.Match[str], around: Iterable[int]) -> set[int]:
    """The moments that a time of day, a date, or both can be; never none."""
    parts = found.groupdict()
    zone = _zone(parts["offset"])
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    clock = time(hour, minute, second)
    if parts.get("year"):
        days = {date(int(parts["year"]), int(parts["month"]), int(parts["day"]))}
    else:
        days = {
            _on_the_wall(wall_ns, zone).date() + timedelta(days)
            for wall_ns in around
            for days in (-1, 0, 1)
        }
    fraction_ns = int((parts["fraction"] or "").ljust(9, "0"))
    moments = {seconds for day in days for seconds in _seconds(datetime.combine(day, clock), zone)}
    return {seconds * NS_PER_S + fraction_ns for seconds in moments}


def _zone(offset: str | None) -> tzinfo | None:
    """The zone of an offset; None is the local one."""
    if offset is None:
        return None
    if offset in ("z", "utc"):
        return timezone.utc
    away = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return timezone(-away if offset[0] == "-" else away)


def _seconds(moment: datetime, zone: tzinfo | None) -> set[int]:
    """UTC of what clocks show: twice where they go back, and where they skip it, just after."""
    if zone is not None:
        return {int(moment.replace(tzinfo=zone).timestamp())}
    both = [int(moment.replace(fold=fold).timestamp()) for fold in (0, 1)]
    shown = {seconds for seconds in both if _on_the_wall(seconds * NS_PER_S, None) == moment}
    return shown or {both[0]}


def _on_the_wall(wall_ns: int, zone: tzinfo | None) -> datetime:
    """What a clock shows at a moment, to the second."""
    moment = datetime.fromtimestamp(wall_ns // NS_PER_S, zone)
    return moment.replace(tzinfo=None, fold=0)


def _away(ns: int, first: int, last: int) -> int:
    """How far a moment is from a span."""
    return max(first - ns, ns - last, 0)
