"""Finds the Python that can run the collector: the one with the distribution's bcc and psutil."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ebpftop.sources.base import SourceError

CHECK = "import psutil, bcc; bcc.BPF"
CHECK_SECONDS = 20
# Where the distribution's modules are when its Python has them; looking is quicker than asking.
DISTRIBUTION = {
    "/usr/bin/python3": (
        Path("/usr/lib/python3/dist-packages/bcc/table.py"),
        Path("/usr/lib/python3/dist-packages/psutil/__init__.py"),
    ),
}


def collector_python() -> str:
    """Path of an interpreter that has bcc and psutil.

    `EBPFTOP_PYTHON` names one; else the distribution's, this one, and those on the PATH are tried.

    Raises:
        SourceError: none has them.
    """
    named = os.environ.get("EBPFTOP_PYTHON")
    if named:
        if not has_bcc(named):
            raise SourceError(f"EBPFTOP_PYTHON={named} cannot import bcc and psutil")
        return named
    for python, files in DISTRIBUTION.items():
        if all(path.exists() for path in files) and Path(python).exists():
            return python
    for python in candidates():
        if has_bcc(python):
            return python
    raise SourceError(
        "no Python here can import bcc and psutil; on Debian and Ubuntu:"
        " apt install python3-bpfcc python3-psutil (the bcc on PyPI is something else)"
    )


def has_bcc(python: str) -> bool:
    """Whether an interpreter can import the real bcc, and psutil."""
    try:
        command = [python, "-c", CHECK]
        result = subprocess.run(command, capture_output=True, timeout=CHECK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def candidates() -> list[str]:
    """Paths of the interpreters that are asked, in order."""
    found = ["/usr/bin/python3", sys.executable]
    found += filter(None, (shutil.which(f"python3.{minor}") for minor in range(14, 9, -1)))
    return list(dict.fromkeys(found))
