"""Names as programmers wrote them, from the names that C++ and Rust compilers give to linkers."""

from __future__ import annotations

import ctypes
import re
from functools import cache

from ebpftop.collector.symbols import rust

MANGLED_LIMIT = 2000
# A name may repeat its parts so that it doubles with every two references; real ones have few.
REFERENCE = re.compile(rb"[ST][0-9A-Z]*_")
REFERENCES = 32
# What the linker and LLVM add: `read@@GLIBC_2.2.5`, `run.llvm.1234`.
SUFFIX = re.compile(rb"(?<=.)(\.llvm\.[0-9A-Fa-f]+)?(@.*)?$", re.DOTALL)


def demangled(name: bytes) -> str:
    """The name as in the source; the name itself where it is not mangled, or not rightly."""
    name = SUFFIX.sub(b"", name, count=1)
    if len(name) <= MANGLED_LIMIT:
        text = rust.demangled(name.decode(errors="replace")) if name[:1] == b"_" else None
        if text is None and name.startswith(b"_Z"):
            text = _from_cpp(name)
        if text is not None:
            return text
    return name.decode(errors="replace")


def _from_cpp(name: bytes) -> str | None:
    lib = _library()
    if lib is None or len(REFERENCE.findall(name)) > REFERENCES:
        return None
    found = lib.__cxa_demangle(name, None, None, None)
    if not found:
        return None
    text = ctypes.string_at(found)
    lib.free(found)
    return text.decode(errors="replace")


@cache
def _library() -> ctypes.CDLL | None:
    """libstdc++, which has the compiler's own demangler; None where it is not installed."""
    try:
        lib = ctypes.CDLL("libstdc++.so.6")
        lib.__cxa_demangle.restype = ctypes.c_void_p
        lib.free.argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError):
        return None
    return lib
