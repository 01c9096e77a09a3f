"""Figures as short text, and text that is safe to show.

What cannot be known is a dash, never 0. Names that come from the system (commands, paths,
containers) may hold anything; `clean` makes them plain text whose width in cells can be relied on.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpftop.model import Kind

UNKNOWN = "\N{EN DASH}"
ELLIPSIS = "…"
_COUNT_UNITS = ("", "k", "M", "G", "T", "P", "E")
_BYTE_UNITS = ("", "K", "M", "G", "T", "P", "E")
_TIME_UNITS = ((1e3, 1.0, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms"), (60e9, 1e9, "s"))


def count(value: float | None) -> str:
    """A number of things: `0`, `0.4`, `37`, `1.25k`, `12.5M`; decimal thousands."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int) and abs(value) < 10_000:
        return str(value)
    return _scaled(value, 1000.0, _COUNT_UNITS)


def bytes_(value: float | None) -> str:
    """A number of bytes: `0`, `512`, `4.00K`, `1.25G`; binary thousands (K = 1024)."""
    return UNKNOWN if value is None else _scaled(value, 1024.0, _BYTE_UNITS)


def ns(value: float | None) -> str:
    """A time given in nanoseconds: `0`, `812ns`, `3.42µs`, `12.1ms`, `1.20s`, `2m03s`, `1h02m`."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    size = abs(value)
    for below, unit, name in _TIME_UNITS:
        if size < below * 0.9995:
            text = _small(size) if unit == 1.0 else _three_digits(size / unit)
            return ("-" if value < 0 else "") + text + name
    seconds = round(size / 1e9)
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    minutes = seconds // 60
    if minutes < 60 * 24:
        return f"{minutes // 60}h{minutes % 60:02}m"
    return f"{minutes // 1440}d{minutes // 60 % 24:02}h"


def ratio(value: float | None) -> str:
    """A share of one as a percentage: `0%`, `0.4%`, `12.3%`, `100%`."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    if 0 < abs(percent) < 0.05:
        return "<0.1%"
    return f"{percent:.0f}%" if percent == 0 or abs(percent) >= 99.95 else f"{percent:.1f}%"


def slot(value: int | None) -> str:
    """The bounds of a log2 slot of nanoseconds: `1.02µs…2.05µs`."""
    return UNKNOWN if value is None else f"{ns(1 << value)}{ELLIPSIS}{ns(2 << value)}"


def stack(folded: str | None) -> str:
    """A folded stack with the innermost frame first, since that one says what is going on."""
    if folded is None:
        return UNKNOWN
    return clean(" ← ".join(reversed(folded.split(";"))))


def label(value: Any) -> str:
    """A name or a number that is not measured."""
    if value is None or value == "":
        return UNKNOWN
    return clean(value) if isinstance(value, str) else str(value)


FORMATS: dict[Kind, Callable[[Any], str]] = {
    "label": label,
    "id": label,
    "count": count,
    "bytes": bytes_,
    "ns": ns,
    "slot": slot,
    "stack": stack,
    "ratio": ratio,
}
# Terminals disagree on the width of these: conjoining and filling jamo, trigrams, hexagrams,
# counting rods, and the skin colours of emoji.
_DISPUTED = re.compile(
    "[\u115f-\u11ff\u3164\ud7b0-\ud7fb\uffa0\u2630-\u2637\u268a-\u268f\u4dc0-\u4dff"
    "\U0001d300-\U0001d376\U0001f3fb-\U0001f3ff]"
)
# Kinds whose figures line up on their last digit.
NUMERIC: frozenset[Kind] = frozenset(("id", "count", "bytes", "ns", "ratio"))
# The widest text of a kind, so that columns stand still; names take the width of what they hold.
WIDTHS: dict[Kind, int] = {"id": 7, "count": 6, "bytes": 6, "ns": 6, "ratio": 6, "slot": 15}


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """The same text without what could move the cursor, hide, or have no width of its own.

    Control and format characters, lone surrogates and line ends become a middle dot; marks that do
    not compose with their letter into one character go.
    """
    if text.isascii() and text.isprintable():
        return text
    composed = unicodedata.normalize("NFC", text)
    return "".join(_plain(character) for character in composed)


def width(text: str) -> int:
    """Number of terminal cells of a cleaned text."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, cells: int, right: bool = False) -> str:
    """A cleaned text cut or padded to exactly so many cells."""
    used = width(text)
    if used > cells:
        text = cut(text, cells)
        used = width(text)
    padding = " " * (cells - used)
    return padding + text if right else text + padding


def cut(text: str, cells: int) -> str:
    """A cleaned text of at most so many cells, with an ellipsis where something is missing."""
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    room, kept = cells - 1, []
    for character in text:
        room -= width(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + ELLIPSIS


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    size, power = float(abs(value)), 0
    while size >= base - base / 2000 and power < len(units) - 1:
        size, power = size / base, power + 1
    sign = "-" if value < 0 else ""
    if power == 0:
        return sign + _small(size)
    return sign + _three_digits(size) + units[power]


def _small(size: float) -> str:
    if size == 0:
        return "0"
    if size < 0.05:
        return "<0.1"
    return f"{size:.1f}" if size < 9.95 and size != int(size) else f"{size:.0f}"


def _three_digits(size: float) -> str:
    if size < 9.995:
        return f"{size:.2f}"
    return f"{size:.1f}" if size < 99.95 else f"{size:.0f}"


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "M":
        return ""
    if category == "Zs":
        return " "
    if category[0] in "CZ":
        return "·"
    return "·" if _DISPUTED.match(character) else character
