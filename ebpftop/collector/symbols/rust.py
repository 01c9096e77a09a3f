"""Names that rustc gives to linkers: the old way (`_ZN…17h…E`), and v0 (`_R…`, RFC 2603).

Written as rustc's own backtraces write them, without hashes and types of constants.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LEGACY_END = re.compile(r"17h[0-9a-f]{16}E(\.[\w.$@]+)?$", re.ASCII)
ESCAPE = re.compile(r"\$(SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,6})\$|\.\.")
ESCAPES = {
    "SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ",",
}  # fmt: skip
V0 = re.compile(r"_R([A-Z]\w*)(?:[.$].*)?", re.ASCII)
NUMBER, DIGITS = re.compile(r"0|[1-9][0-9]{0,4}"), re.compile(r"[0-9a-f]*_")
DEPTH, STEPS, LENGTH = 64, 5000, 1000
BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_",
    "s": "i16", "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
SPECIAL = {"C": "closure", "S": "shim"}
QUOTED = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def demangled(name: str) -> str | None:
    """The name as in the source; None for a name that is not Rust's."""
    old = LEGACY_END.search(name) if name.startswith("_ZN") else None
    if old:
        return _legacy(name[len("_ZN") : old.start()])
    new = V0.fullmatch(name)
    if new is None:
        return None
    parser = _V0(new[1])
    try:
        parser.path(in_value=True)
    except _EndError:
        return parser.text + "…"
    except (_WrongError, UnicodeError, ValueError, IndexError):
        return None
    return parser.text or None


def _legacy(elements: str) -> str | None:
    parts = []
    while elements:
        digits = re.match(r"[0-9]{1,4}", elements)
        if digits is None:
            return None
        end = digits.end() + int(digits[0])
        part = elements[digits.end() : end]
        if len(elements) < end:
            return None
        parts.append(ESCAPE.sub(_escaped, part[1:] if part.startswith("_$") else part))
        elements = elements[end:]
    return "::".join(parts) or None


def _escaped(match: re.Match[str]) -> str:
    if match[0] == "..":
        return "::"
    code = match[1]
    if code in ESCAPES:
        return ESCAPES[code]
    number = int(code[1:], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else match[0]


class _WrongError(Exception):
    """This is not the grammar."""


class _EndError(Exception):
    """Enough has been written."""


class _V0:
    """A parser that writes as it reads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._at = 0
        self._out: list[str] = []
        self._length = 0
        self._silent = 0
        self._depth = 0
        self._steps = 0
        self._lifetimes = 0

    @property
    def text(self) -> str:
        """What has been written."""
        return "".join(self._out)

    # Reading

    def _next(self) -> str:
        self._at += 1
        return self._name[self._at - 1]

    def _eat(self, letter: str) -> bool:
        found = self._name[self._at : self._at + 1] == letter
        self._at += found
        return found

    def _base62(self) -> int:
        if self._eat("_"):
            return 0
        value = 0
        while not self._eat("_"):
            letter = self._next()
            if letter.isdigit():
                digit = int(letter)
            elif letter.islower():
                digit = ord(letter) - ord("a") + 10
            elif letter.isupper():
                digit = ord(letter) - ord("A") + 36
            else:
                raise _WrongError
            value = value * 62 + digit
        return value + 1

    def _optional62(self, letter: str) -> int:
        return self._base62() + 1 if self._eat(letter) else 0

    def _identifier(self) -> tuple[str, int]:
        """Text and disambiguator."""
        number = self._optional62("s")
        return self._word(), number

    def _word(self) -> str:
        coded = self._eat("u")
        digits = NUMBER.match(self._name, self._at)
        if digits is None:
            raise _WrongError
        self._at = digits.end()
        self._eat("_")
        end = self._at + int(digits[0])
        text = self._name[self._at : end]
        if end > len(self._name):
            raise _WrongError
        self._at = end
        if coded:
            basic, _, rest = text.rpartition("_")
            text = f"{basic}-{rest}".lstrip("-" if not basic else "").encode().decode("punycode")
        return text

    # Writing

    def _write(self, text: str) -> None:
        if self._silent:
            return
        self._out.append(text)
        self._length += len(text)
        if self._length > LENGTH:
            raise _EndError

    def _list(self, write: Callable[[], None], between: str = ", ") -> int:
        number = 0
        while not self._eat("E"):
            if number:
                self._write(between)
            write()
            number += 1
        return number

    def _enter(self) -> None:
        self._depth += 1
        self._steps += 1
        if self._depth > DEPTH or self._steps > STEPS:
            raise _EndError

    def _again(self, write: Callable[[], None]) -> None:
        """What stood earlier in the name."""
        place = self._base62()
        if place >= self._at - 1:
            raise _WrongError
        if self._silent:
            return
        here, self._at = self._at, place
        write()
        self._at = here

    def path(self, in_value: bool = False) -> None:
        """A path of modules, types and functions."""
        self._enter()
        kind = self._next()
        if kind == "C":
            self._write(self._identifier()[0])
        elif kind == "N":
            self._nested(in_value)
        elif kind in "MX":
            self._silent += 1
            self._optional62("s")
            self.path()
            self._silent -= 1
            self._implementation(kind == "X")
        elif kind == "Y":
            self._implementation(trait=True)
        elif kind == "I":
            self.path(in_value)
            self._write("::<" if in_value else "<")
            self._list(self._argument)
            self._write(">")
        elif kind == "B":
            self._again(lambda: self.path(in_value))
        else:
            raise _WrongError
        self._depth -= 1

    def _nested(self, in_value: bool) -> None:
        space = self._next()
        self.path(in_value)
        name, number = self._identifier()
        if space.isupper():
            colon = ":" if name else ""
            self._write(f"::{{{SPECIAL.get(space, space)}{colon}{name}#{number}}}")
        elif space.islower():
            self._write(f"::{name}" if name else "")
        else:
            raise _WrongError

    def _implementation(self, trait: bool) -> None:
        self._write("<")
        self.type()
        if trait:
            self._write(" as ")
            self.path()
        self._write(">")

    def _argument(self) -> None:
        if self._eat("L"):
            self._lifetime()
        elif self._eat("K"):
            self._constant()
        else:
            self.type()

    def _lifetime(self) -> None:
        number = self._base62()
        if number > self._lifetimes:
            raise _WrongError
        depth = self._lifetimes - number
        self._write("'_" if not number else f"'{_letter(depth)}")

    def _binder(self) -> int:
        """Names of lifetimes that stand for all; returns how many to forget afterwards."""
        number = self._optional62("G")
        if number > LENGTH:
            raise _EndError
        if number:
            names = [f"'{_letter(self._lifetimes + each)}" for each in range(number)]
            self._write(f"for<{', '.join(names)}> ")
            self._lifetimes += number
        return number

    def type(self) -> None:
        """A type."""
        self._enter()
        kind = self._next()
        if kind in BASIC:
            self._write(BASIC[kind])
        elif kind in "RQ":
            self._write("&")
            if self._eat("L"):
                if self._name[self._at : self._at + 1] != "_":
                    self._lifetime()
                    self._write(" ")
                else:
                    self._base62()
            self._write("mut " if kind == "Q" else "")
            self.type()
        elif kind in "PO":
            self._write("*const " if kind == "P" else "*mut ")
            self.type()
        elif kind in "AS":
            self._write("[")
            self.type()
            if kind == "A":
                self._write("; ")
                self._constant()
            self._write("]")
        elif kind == "T":
            self._write("(")
            number = self._list(self.type)
            self._write(",)" if number == 1 else ")")
        elif kind == "F":
            self._function()
        elif kind == "D":
            self._dynamic()
        elif kind == "B":
            self._again(self.type)
        else:
            self._at -= 1
            self.path()
        self._depth -= 1

    def _function(self) -> None:
        bound = self._binder()
        self._write("unsafe " if self._eat("U") else "")
        if self._eat("K"):
            abi = "C" if self._eat("C") else self._word().replace("_", "-")
            self._write(f'extern "{abi}" ')
        self._write("fn(")
        self._list(self.type)
        self._write(")")
        if not self._eat("u"):
            self._write(" -> ")
            self.type()
        self._lifetimes -= bound

    def _dynamic(self) -> None:
        self._write("dyn ")
        bound = self._binder()
        self._list(self._trait, " + ")
        self._lifetimes -= bound
        if not self._eat("L"):
            raise _WrongError
        if self._name[self._at : self._at + 1] != "_":
            self._write(" + ")
            self._lifetime()
        else:
            self._base62()

    def _trait(self) -> None:
        """A trait; types that it is bound to stand among its own arguments."""
        opened = self._trait_path()
        while self._eat("p"):
            self._write(", " if opened else "<")
            opened = True
            self._write(f"{self._word()} = ")
            self.type()
        self._write(">" if opened else "")

    def _trait_path(self) -> bool:
        """A path whose list of arguments is left open; whether there is one."""
        opened = False

        def path() -> None:
            nonlocal opened
            opened = self._trait_path()

        self._enter()
        if self._eat("B"):
            self._again(path)
        elif self._eat("I"):
            self.path()
            self._write("<")
            self._list(self._argument)
            opened = True
        else:
            self.path()
        self._depth -= 1
        return opened

    def _constant(self) -> None:
        self._enter()
        kind = self._next()
        if kind == "B":
            self._again(self._constant)
        elif kind == "p":
            self._write("_")
        elif kind in BASIC:
            negative = self._eat("n")
            digits = DIGITS.match(self._name, self._at)
            if digits is None:
                raise _WrongError
            self._at = digits.end()
            self._write(_value(kind, negative, digits[0][:-1]))
        else:
            raise _WrongError
        self._depth -= 1


def _value(kind: str, negative: bool, digits: str) -> str:
    if len(digits) > 32:
        return f"0x{digits}"
    number = int(digits or "0", 16)
    if kind == "b":
        return "true" if number else "false"
    if kind == "c":
        letter = chr(number)
        return f"'{QUOTED.get(letter, letter)}'"
    return f"{'-' if negative else ''}{number}"


def _letter(depth: int) -> str:
    return chr(ord("a") + depth) if depth < 26 else f"_{depth}"
