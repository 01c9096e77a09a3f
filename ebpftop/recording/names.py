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
    host = re.sub("[^A-Za-z0-9._-]+", "-", hello.host)[:HOST_LENGTH] if hello else ""
    return stamped("-".join(filter(None, ("ebpftop", host))) + SUFFIX)


def stamped(path: str) -> str:
    """The same name with the local time in it, and a number where that is taken."""
    stem, suffix = os.path.splitext(path)
    stem = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    numbered = (f"{stem}-{number}{suffix}" for number in itertools.count(2))
    names = itertools.chain((stem + suffix,), numbered)
    return next(name for name in names if not os.path.lexists(name))
