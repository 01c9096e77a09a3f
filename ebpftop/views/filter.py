"""The filter that `/` opens: words that must all be there, or one pattern between slashes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Filter:
    """What was typed, ready to be asked.

    Attributes:
        matches: whether a row, given as the text of its names, is to be shown.
        error: why the pattern is none; everything is shown then.
    """

    matches: Callable[[str], bool]
    error: str = ""


def compile_filter(text: str) -> Filter | None:
    """The filter that a text stands for, or None where it filters nothing.

    `nginx sda` wants both words, in any order and case; `/^nginx|redis/` is a regular expression.
    The closing slash may be missing, so that one can watch while typing.
    """
    if text.startswith("/"):
        return _pattern(text[1:].removesuffix("/"))
    words = text.casefold().split()
    if not words:
        return None

    def has_all_words(row: str) -> bool:
        folded = row.casefold()
        return all(word in folded for word in words)

    return Filter(has_all_words)


def _pattern(pattern: str) -> Filter | None:
    if not pattern:
        return None
    try:
        search = re.compile(pattern, re.IGNORECASE).search
    except re.error as error:
        return Filter(lambda _: True, f"not a pattern: {error}")
    return Filter(lambda row: search(row) is not None)
