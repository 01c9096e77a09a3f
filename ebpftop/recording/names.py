"""Names of new recordings, where nobody gave one."""

from __future__ import annotations

import itertools
import os
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ebpftop.model import Hello

SUFFIX = ".ebt"
HOST_LENGTH = 64


def default_name(hello: Hello | None) -> str:
    """A name in the current directory that is free: `ebpftop-HOST-20261119-100207.ebt`."""
    return file_name(hello.host if hello else "", "", SUFFIX)


def file_name(host: str, what: str, suffix: str) -> str:
    """The same for a file of something else: `ebpftop-HOST-WHAT-20261119-100207.svg`."""
    host, what = (re.sub("[^A-Za-z0-9._-]+", "-", part)[:HOST_LENGTH] for part in (host, what))
    return stamped("-".join(filter(None, ("ebpftop", host, what))) + suffix, suffix)


def stamped(path: str, suffix: str = "") -> str:
    """The same name with the local time in it, and a number where that is taken.

    `suffix` is how it ends; without it, from the last dot on.
    """
    suffix = suffix or os.path.splitext(path)[1]
    stem = path.removesuffix(suffix)
    stem = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    numbered = (f"{stem}-{number}{suffix}" for number in itertools.count(2))
    names = itertools.chain((stem + suffix,), numbered)
    return next(name for name in names if not os.path.lexists(name))
