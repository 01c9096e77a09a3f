"""The grammar of filters: words, patterns and comparisons, joined by and, or, not, parentheses.

    either     = every { ("or" | "||") every }
    every      = term { ["and" | "&&"] term }
    term       = ("not" | "!") term | "(" either ")" | comparison | pattern | quoted | word
    comparison = name operator value | name ["not"] "in" ( value | "(" value { "," value } ")" )
    pattern    = "/" … "/"        quoted = '"' … '"' or "'" … "'"

A pattern ends at a slash before a space or the end, so that those in paths are its own. The last
slash of a text may be missing where the pattern holds no space, the last quote anywhere. Whatever
is not clearly an operator is text: what stands between two spaces is one, or follows the name of a
field, or goes before a number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ebpftop.views.comparison import OPERATORS, RANGE, UNITS, Comparison, FilterError, Value
from ebpftop.views.comparison import pattern as compiled
from ebpftop.views.fields import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ebpftop.model import Row
    from ebpftop.views.comparison import Test
    from ebpftop.views.fields import Field, Fields, Reader

    Texts = Callable[[Row], tuple[str, str]]

MAX_TEXT, MAX_DEPTH = 4000, 40
QUOTES = "\"'"
JOINTS = ("&&", "||")
_KEYWORD = re.compile(r"(?:and|or|not)(?=[\s()!]|$)|&&|\|\|", re.IGNORECASE)
_NOT = re.compile(r"!(?![=~])")
_OPERATOR = re.compile(r"\s*(==|!=|<=|>=|!~|=|<|>|~)")
_STRAY = re.compile(r"(?:==|!=|<=|>=|!~|=|<|>|~)(?=\s|$)")
_IN = re.compile(r"\s+(?:(not)\s+)?(in)(?=[\s(]|$)", re.IGNORECASE)
_LIST = re.compile(rf"\s*(?:\(|\S+{re.escape(RANGE)}\S|[\d.:a-f]+/\d)")
_NUMBER = re.compile(r"\s*[-+]?\.?\d")


class Parser:
    """Makes one test of a text; every word is looked at once.

    Attributes:
        open_word: where the word begins that the text ends with, if it is one to be searched for.
    """

    def __init__(
        self, text: str, fields: Fields, read: Callable[[Field], Reader], texts: Texts
    ) -> None:
        """`texts` gives what words and what patterns are searched in: the first in lower case."""
        self.open_word: int | None = None
        self._text = text
        self._fields = fields
        self._read = read
        self._texts = texts
        self._at = 0
        self._depth = 0

    def parse(self) -> Test | None:
        """The test of a row, None where everything passes.

        Raises:
            FilterError: the text is no filter; it says where.
        """
        if len(self._text) > MAX_TEXT:
            raise FilterError(f"a filter has at most {MAX_TEXT} characters", MAX_TEXT, MAX_TEXT)
        if not self._text.strip():
            return None
        test = self._either()
        if self._at < len(self._text):
            raise self._error("there is no ( for this )", self._at + 1)
        return test

    def _either(self) -> Test | None:
        tests = [self._every()]
        while self._takes("or"):
            tests.append(self._every())
        return any_of(tests)

    def _every(self) -> Test | None:
        tests = [self._term()]
        while self._takes("and") or not (self._is_over() or self._keyword() == "or"):
            tests.append(self._term())
        return all_of(tests)

    def _term(self) -> Test | None:
        negated = False
        while self._takes("not"):
            negated = not negated
        test = self._positive()
        return _not(test) if negated else test

    def _positive(self) -> Test | None:
        self._skip()
        text, at = self._text, self._at
        if at == len(text):
            raise self._error("something is to follow")
        if text[at] == "(":
            return self._group()
        if text[at] == ")":
            said = "there is nothing in these ()" if self._depth else "there is no ( for this )"
            raise self._error(said, at + 1)
        if text[at] == "/":
            return self._searched(self._slashed())
        if text[at] in QUOTES:
            return self._word(self._quoted())
        keyword = _KEYWORD.match(text, at)
        # At the end it may become a word that begins so.
        if keyword and (keyword.end() < len(text) or keyword.group() in JOINTS):
            raise self._error(f"something must stand before {keyword.group()}", keyword.end())
        stray = _STRAY.match(text, at)
        if stray:
            raise self._error(f"a column must stand before {stray.group()}", stray.end())
        comparison = self._comparison()
        if comparison:
            return comparison.over(self._read(comparison.field))
        word = self._bare(text=True)
        if word.end == len(text):
            self.open_word = word.start
        return self._word(word)

    def _group(self) -> Test | None:
        start = self._at
        if self._depth == MAX_DEPTH:
            raise self._error("too many parentheses in one another", start + 1)
        self._at += 1
        self._depth += 1
        test = self._either()
        if self._at == len(self._text):
            raise FilterError("this ( is not closed", start, self._at)
        self._at += 1
        self._depth -= 1
        return test

    # Comparisons

    def _comparison(self) -> Comparison | None:
        """The comparison that begins here, if one does."""
        name = NAME.match(self._text, self._at)
        if not name:
            return None
        after = _OPERATOR.match(self._text, name.end()) or _IN.match(self._text, name.end())
        if not after or not (self._fields.knows(name.group()) or self._is_clear(after)):
            return None
        try:
            field = self._fields.find(name.group())
        except LookupError as error:
            raise self._error(str(error.args[0]), name.end()) from None
        group = after.lastindex or 1
        operator = Value(after.group(group).lower(), after.start(group), after.end(group))
        self._at = after.end()
        if operator.text != "in" and self._text[self._at : self._at + 1] in ("=", "<", ">", "~"):
            self._at = operator.start
            said = f"this is no operator; there are {' '.join(OPERATORS)}"
            raise self._error(said, operator.end + 1)
        negated = operator.text == "in" and after.group(1) is not None
        return Comparison(name.group(), field, operator, negated, self._values(field, operator))

    def _is_clear(self, operator: re.Match[str]) -> bool:
        """Whether something is an operator even after what is no field."""
        text, end = self._text, operator.end()
        symbol = operator.group(operator.lastindex or 1)
        if symbol.lower() == "in":
            return _LIST.match(text, end) is not None
        if operator.group()[0].isspace() and (end == len(text) or text[end].isspace()):
            return True
        return symbol not in ("=", "~") and _NUMBER.match(text, end) is not None

    def _values(self, field: Field, operator: Value) -> list[Value]:
        if operator.text in ("~", "!~"):
            self._skip()
            if self._text.startswith("/", self._at):
                return [self._slashed()]
            return [self._value(operator)]
        if operator.text != "in":
            return [self._with_unit(self._value(operator), field)]
        self._skip()
        start, listed = self._at, self._text.startswith("(", self._at)
        self._at += listed
        values = [self._value(operator, ",")]
        while self._takes_comma(listed):
            values.append(self._value(operator, ","))
        if listed:
            if self._at == len(self._text):
                raise FilterError("this ( is not closed", start, self._at)
            if not self._is_at(")"):
                raise self._error("a comma or ) must stand here", self._at + 1)
            self._at += 1
        return values

    def _value(self, operator: Value, stop: str = "") -> Value:
        self._skip()
        value = self._quoted() if self._is_at(QUOTES) else self._bare(stop)
        if not value.text:
            raise self._error(f"a value must stand after {operator.text}", value.start + 1)
        return value

    def _with_unit(self, value: Value, field: Field) -> Value:
        """A value and the unit behind it, which may stand apart: `1 MB`."""
        units = UNITS.get(field.kind)
        if not units or not value.text[-1].isdigit():
            return value
        before = self._at
        self._skip()
        unit = self._bare()
        if unit.text and unit.text.removesuffix("/s").casefold() in units:
            return Value(value.text + unit.text, value.start, unit.end)
        self._at = before
        return value

    def _takes_comma(self, listed: bool) -> bool:
        if listed:
            self._skip()
        if not self._text.startswith(",", self._at):
            return False
        self._at += 1
        return True

    # Texts

    def _word(self, value: Value) -> Test | None:
        word, texts = value.text.casefold(), self._texts
        return (lambda row: word in texts(row)[0]) if word else None

    def _searched(self, value: Value) -> Test | None:
        search, texts = compiled(value), self._texts
        return (lambda row: search(texts(row)[1]) is not None) if value.text else None

    def _bare(self, stop: str = "", text: bool = False) -> Value:
        """What goes on until a space; its own parentheses are part of it, others only of a text."""
        start, depth, line = self._at, 0, self._text
        at = start
        while at < len(line):
            character = line[at]
            if character.isspace() or (character in stop and not depth):
                break
            if character in "&|" and line[at : at + 2] in JOINTS:
                break
            if character == ")" and not depth and (self._depth or not text):
                break
            depth = max(0, depth + (character == "(") - (character == ")"))
            at += 1
        self._at = at
        return Value(line[start:at], start, at)

    def _slashed(self) -> Value:
        start = at = self._at + 1
        while (at := self._text.find("/", at)) >= 0:
            after = self._text[at + 1 : at + 2]
            is_escaped = (at - len(self._text[:at].rstrip("\\"))) % 2
            if not is_escaped and (not after or after.isspace() or (after == ")" and self._depth)):
                self._at = at + 1
                return Value(self._text[start:at], start, at)
            at += 1
        self._at = len(self._text)
        pattern = self._text[start:]
        if any(map(str.isspace, pattern)):
            raise FilterError("this / is not closed", start - 1, self._at)
        return Value(pattern, start, self._at)

    def _quoted(self) -> Value:
        start = self._at + 1
        end = self._text.find(self._text[self._at], start)
        if end < 0:
            end = self._at = len(self._text)
        else:
            self._at = end + 1
        return Value(self._text[start:end], start, end)

    # Where it is

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _is_at(self, characters: str) -> bool:
        return self._at < len(self._text) and self._text[self._at] in characters

    def _is_over(self) -> bool:
        self._skip()
        return self._at == len(self._text) or self._text[self._at] == ")"

    def _keyword(self) -> str:
        """The keyword that comes next: and, or, not; empty where none does."""
        self._skip()
        if _NOT.match(self._text, self._at):
            return "not"
        found = _KEYWORD.match(self._text, self._at)
        return {"&&": "and", "||": "or"}.get(found[0], found[0].lower()) if found else ""

    def _takes(self, keyword: str) -> bool:
        """Go past a keyword, if it comes next."""
        if self._keyword() != keyword:
            return False
        found = _NOT.match(self._text, self._at) or _KEYWORD.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return True

    def _error(self, message: str, end: int | None = None) -> FilterError:
        return FilterError(message, self._at, self._at if end is None else end)


def all_of(tests: Iterable[Test | None]) -> Test | None:
    """Whether all hold; a test that is None always does."""
    made = tuple(test for test in tests if test)
    if len(made) < 2:
        return made[0] if made else None
    one, other = made[:2]
    if len(made) == 2:
        return lambda row: one(row) and other(row)
    return lambda row: all(test(row) for test in made)


def any_of(tests: Iterable[Test | None]) -> Test | None:
    """Whether one holds; a test that is None always does."""
    made = []
    for test in tests:
        if test is None:
            return None
        made.append(test)
    return made[0] if len(made) == 1 else lambda row: any(test(row) for test in made)


def _not(test: Test | None) -> Test | None:
    """The opposite; of nothing, nothing."""
    return (lambda row: not test(row)) if test else None
