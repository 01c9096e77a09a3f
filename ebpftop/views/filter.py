"""The filter that `/` opens and `--filter` takes: which rows are to be shown.

nginx sda                       words, in any order and case, that a row's names must contain
/^nginx|redis/                  a regular expression
bytes > 1MB and comm ~ nginx    columns by name or title, with values as the screen writes them
not (op = read or disk in (sda, sdb)) raddr in 10.0.0.0/8
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.views.comparison import SEARCHED, FilterError
from ebpftop.views.expression import Parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpftop.model import Row
    from ebpftop.views.fields import Field, Fields, Reader


@dataclass(frozen=True)
class Filter:
    """What was typed, ready to be asked.

    Attributes:
        matches: whether a row is to be shown.
        error: why the text is no filter; everything is shown then.
        position: the character that the error is about, from 0.
        unfinished: whether the error is at the very end, where typing may go on.
    """

    matches: Callable[[Row], bool]
    error: str = ""
    position: int = 0
    unfinished: bool = False


def compile_filter(
    text: str,
    fields: Fields,
    read: Callable[[Field], Reader] | None = None,
    searched: Callable[[Row], str] = str,
) -> Filter | None:
    """The filter that a text stands for, or None where it filters nothing; never raises.

    Comparisons are made of the values that the screen shows: rates per second, averages, shares.
    A value that is not known answers to no comparison, neither `=` nor `!=`; `not` is the plain
    opposite of what follows it, and so finds those rows, too.

    Args:
        text: as typed; `expression` has its grammar.
        fields: what it may name.
        read: how a field's value is taken from a row; without it, the filter only tells errors.
        searched: the text of a row that words and patterns look at.
    """
    try:
        test = Parser(text, fields, read or (lambda _: _nothing), _remembered(searched)).parse()
    except FilterError as error:
        is_last = error.end >= len(text.rstrip())
        return Filter(_everything, str(error), error.start, is_last)
    return Filter(test) if test else None


def completions(text: str, fields: Fields) -> tuple[int, list[str]]:
    """Where the last word of a text begins, and the names that it may become, the best first."""
    parser = Parser(text, fields, lambda _: _nothing, lambda _: ("", ""))
    with contextlib.suppress(FilterError):
        parser.parse()
    if parser.open_word is None:
        return len(text), []
    return parser.open_word, fields.completed(text[parser.open_word :])


def _remembered(searched: Callable[[Row], str]) -> Callable[[Row], tuple[str, str]]:
    """The text of a row, for words in lower case, and cut for patterns; made once for all words."""
    last: Row | None = None
    texts = "", ""

    def both(row: Row) -> tuple[str, str]:
        nonlocal last, texts
        if row is not last:
            text = searched(row)
            last, texts = row, (text.casefold(), text[:SEARCHED])
        return texts

    return both


def _everything(_: Row) -> bool:
    return True


def _nothing(_: Row) -> Any:
    return None
