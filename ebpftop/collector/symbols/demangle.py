"""Names as programmers wrote them, from the names that C++ and Rust compilers give to linkers."""

from __future__ import annotations

import ctypes
import re
from typing import Any

from ebpftop.collector.symbols import rust

MANGLED_LIMIT = 2000
SUFFIX = re.compile(rb"\.llvm\.[0-9A-Fa-f]+(@@\d+)?$")

_cpp: Any = None  # False: not installed


def demangled(name: bytes) -> str:
    """The name as in the source; the name itself where it is not mangled, or not rightly."""
    name = SUFFIX.sub(b"", name)
    if len(name) <= MANGLED_LIMIT:
        text = rust.demangled(name.decode(errors="replace")) if name[:1] == b"_" else None
        if text is None and name.startswith(b"_Z"):
            text = _from_cpp(name)
        if text is not None:
            return text
    return name.decode(errors="replace")


def _from_cpp(name: bytes) -> str | None:
    lib = _library()
    status = ctypes.c_int()
    found = lib.__cxa_demangle(name, None, None, ctypes.byref(status)) if lib else None
    if not found:
        return None
    text = ctypes.string_at(found)
    lib.free(found)
    return text.decode(errors="replace")


def _library() -> Any:
    """libstdc++, which has the compiler's own demangler; None where it is not installed."""
    global _cpp
    if _cpp is None:
        try:
            _cpp = ctypes.CDLL("libstdc++.so.6")
            _cpp.__cxa_demangle.restype = ctypes.c_void_p
            _cpp.free.argtypes = [ctypes.c_void_p]
        except (OSError, AttributeError):
            _cpp = False
    return _cpp or None
