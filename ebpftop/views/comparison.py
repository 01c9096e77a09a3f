"""One comparison of a filter: what a field is asked, and whether a row's value answers to it.

Values are written as the screen writes them: sizes in powers of 1024 (`1.5MB`), times (`10ms`,
`2m03s`), shares (`5%`), counts in thousands (`1.2k`). A value that is not known answers to no
comparison at all, and so not to `!=` either.
"""

from __future__ import annotations

import operator
import re
import warnings
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, NamedTuple

from ebpftop.views.cgroups import is_within
from ebpftop.views.fields import PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address, IPv6Address

    from ebpftop.views.fields import Field, Reader

    Address = IPv4Address | IPv6Address
    Test = Callable[[Any], bool]

MAX_PATTERN = 1000  # characters
SEARCHED = 4096  # characters of a text that a pattern is tried on: some take time without end
OPERATORS = ("==", "!=", "<=", ">=", "!~", "=", "<", ">", "~", "in")
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ADDRESSES = ("laddr", "raddr")
RANGE = ".."
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(%|[^\W\d_]*)", re.IGNORECASE)
_INTEGER = re.compile(r"[-+]?\d{1,20}")
_BINARY = {f"{k}{b}": 1024**i for i, k in enumerate("kmgt", 1) for b in ("", "b", "ib")}
_TIMES = {"ns": 1, "us": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9}
# By kind, in lower case; the empty unit is that of a plain number.
UNITS: dict[str, dict[str, float]] = {
    "id": {"": 1},
    "count": {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12},
    "bytes": {"": 1, "b": 1, **_BINARY},
    "ns": {"": 1, **_TIMES},
    "slot": {"": 1, **_TIMES},
    "ratio": {"": 1, "%": 0.01, "pp": 0.01},
}
_EXAMPLES = {
    "id": "a number",
    "count": "a number, like 1.5k",
    "bytes": "a size, like 10MB",
    "ns": "a time, like 10ms",
    "slot": "a time, like 10ms",
    "ratio": "a share, like 5%",
}
MAX_SLOT = 128


class FilterError(ValueError):
    """Why a filter is none: what is wrong, from which character on, and up to which."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


class Value(NamedTuple):
    """What a field is compared with, and where that is written."""

    text: str
    start: int
    end: int

    def error(self, message: str) -> FilterError:
        """What is wrong with it."""
        return FilterError(message, self.start, self.end)


class Comparison(NamedTuple):
    """A comparison as it was written; of an `in` list there may be several values."""

    name: str
    field: Field
    operator: Value
    negated: bool
    values: list[Value]

    def over(self, read: Reader) -> Test:
        """Whether it holds for a row; raises FilterError for what cannot be compared so."""
        field, negated = self.field, self.negated or self.operator.text in ("!=", "!~")
        test = self._test()
        if field.kind == "slot":
            read = _bound(read)

        def holds(row: Any) -> bool:
            value = read(row)
            try:
                return value is not None and test(value) is not negated
            except (TypeError, ValueError):  # of another type than its column is
                return False

        return holds

    def _test(self) -> Test:
        symbol, value = self.operator.text, self.values[0]
        if symbol in ("~", "!~"):
            if self.field.kind not in ("label", "id", "stack"):
                raise self.operator.error(f"{self.name} is a figure: compare it with = < > or in")
            search = pattern(value)
            return lambda seen: search(str(seen)[:SEARCHED]) is not None
        if symbol in ORDERS:
            if self.field.kind not in UNITS:
                raise self.operator.error(f"{self.name} is text: compare it with = ~ or in")
            order, limit = ORDERS[symbol], self._number(value)
            return lambda seen: order(seen, limit)
        tests = [self._item(value) for value in self.values]
        if len(tests) == 1:
            return tests[0]
        return lambda seen: any(test(seen) for test in tests)

    def _item(self, value: Value) -> Test:
        """Whether a value is another, or within it."""
        field, within = self.field, self.operator.text == "in"
        if field.role in ADDRESSES:
            return _address_test(value, within)
        if field.kind in UNITS:
            if within and RANGE in value.text:
                first, last = map(self._number, split(value))
                return lambda seen: bool(first <= seen <= last)
            number = self._number(value)
            if field.kind == "slot" and 1 <= number < 1 << MAX_SLOT:
                number = 1 << int(number).bit_length() - 1
            return lambda seen: bool(seen == number)
        if within and field.role == "cgroup":
            return lambda seen: is_within(str(seen), value.text)
        wanted = value.text.casefold()
        return lambda seen: str(seen).casefold() == wanted

    def _number(self, value: Value) -> float:
        """A number in the unit of the field; raises FilterError for what is none."""
        kind, text = self.field.kind, value.text
        if self.field.per_second and text.endswith(PER_SECOND):
            text = text.removesuffix(PER_SECOND)
        parts = list(_NUMBER.finditer(text))
        units = UNITS[kind]
        whole = "".join(part.group() for part in parts) == text and bool(parts)
        several = len(parts) > 1 and (kind not in ("ns", "slot") or text[0] in "+-")
        names = [part.group(2).casefold() for part in parts]
        if not whole or several or not all(name in units for name in names):
            raise value.error(f"{value.text} is not {_EXAMPLES[kind]}")
        number = sum(_scaled(part.group(1), units[name]) for part, name in zip(parts, names))
        if "" in names and (number or len(parts) > 1):
            self._must_not_lack_unit(value, number, len(parts))
        return number

    def _must_not_lack_unit(self, value: Value, number: float, parts: int) -> None:
        """A plain number is one of nanoseconds only where the name of the field says so."""
        kind = self.field.kind
        if parts > 1 or kind == "slot" or (kind == "ns" and not self.name.endswith("_ns")):
            raise value.error(f"{value.text} of which unit? ns, µs, ms, s, m, h or d")
        if kind == "ratio" and abs(number) > 1:
            raise value.error(f"{value.text} of which unit? shares are written with %")


def pattern(value: Value) -> Callable[[str], re.Match[str] | None]:
    """What looks for a regular expression in any case; raises FilterError for what is none."""
    if len(value.text) > MAX_PATTERN:
        raise value.error(f"a pattern has at most {MAX_PATTERN} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(value.text, re.IGNORECASE).search
    except re.error as error:
        start = value.start + min(error.pos or 0, len(value.text))
        raise FilterError(f"not a pattern: {error.msg}", start, value.end) from None
    except (OverflowError, RecursionError) as error:
        raise value.error(f"not a pattern: {error}") from None


def split(value: Value) -> tuple[Value, Value]:
    """The ends of a range."""
    first, _, last = value.text.partition(RANGE)
    middle = value.start + len(first)
    return Value(first, value.start, middle), Value(last, middle + len(RANGE), value.end)


def _scaled(text: str, unit: float) -> float:
    # Ids of 64 bits are no floats.
    number = int(text) if _INTEGER.fullmatch(text) else float(text)
    return number / round(1 / unit) if unit < 1 else number * unit


def _bound(read: Reader) -> Reader:
    """The lower bound of a slot, in nanoseconds."""

    def bound(row: Any) -> int | None:
        slot = read(row)
        return 1 << slot if isinstance(slot, int) and 0 <= slot < MAX_SLOT else None

    return bound


def _address_test(value: Value, within: bool) -> Test:
    text = value.text
    try:
        if within and RANGE in text:
            first, last = (_order(ip_address(part.text)) for part in split(value))
            if first[0] != last[0]:
                raise ValueError(text)
            return lambda seen: first <= _order(_address(seen)) <= last
        if within and "/" in text:
            network = ip_network(text, strict=False)
            return lambda seen: _address(seen) in network
        address = ip_address(text)
        return lambda seen: bool(_address(seen) == address)
    except ValueError:
        is_network = "/" in text and not within
        said = "is a network: ask for it with `in`" if is_network else "is not an address"
        raise value.error(f"{text} {said}") from None


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


@lru_cache(maxsize=16_384)
def _address(text: str) -> Address:
    return ip_address(text)
