"""Finds the Python that can run the collector: the one with the distribution's bcc and psutil."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECK = "import psutil, bcc; bcc.BPF"
CHECK_SECONDS = 20
# Where the distribution's modules are when its Python has them; looking is quicker than asking.
DISTRIBUTION = {
    "/usr/bin/python3": (
        Path("/usr/lib/python3/dist-packages/bcc/table.py"),
        Path("/usr/lib/python3/dist-packages/psutil/__init__.py"),
    ),
}
# By ID or ID_LIKE of /etc/os-release.
PACKAGES = {
    "debian": "apt install python3-bpfcc python3-psutil",
    "ubuntu": "apt install python3-bpfcc python3-psutil",
    "fedora": "dnf install python3-bcc python3-psutil",
    "rhel": "dnf install python3-bcc python3-psutil",
    "suse": "zypper install python3-bcc python3-psutil",
    "arch": "pacman -S python-bcc python-psutil",
    "alpine": "apk add py3-bcc py3-psutil",
}


def collector_python() -> str:
    """Path of an interpreter that has bcc and psutil.

    `EBPFTOP_PYTHON` names one; else the distribution's, this one, and those on the PATH are tried.

    Raises:
        SourceError: none has them.
    """
    named = os.environ.get("EBPFTOP_PYTHON")
    if named:
        python = os.path.abspath(shutil.which(named) or named)
        if not has_bcc(python):
            raise SourceError(f"EBPFTOP_PYTHON={named} cannot import bcc and psutil")
        return python
    for python, files in DISTRIBUTION.items():
        if all(path.exists() for path in files) and Path(python).exists():
            return python
    for python in candidates():
        if has_bcc(python):
            return python
    install = how_to_install(_distribution()) or "install those of the distribution"
    raise SourceError(
        f"no Python here can import bcc and psutil: {install} (the bcc on PyPI is something else)"
    )


def how_to_install(distribution: Iterable[str]) -> str:
    """The command that installs bcc and psutil, by names of a distribution; else empty."""
    known = next((PACKAGES[name] for name in distribution if name in PACKAGES), "")
    return known and f"sudo {known}"


def _distribution() -> list[str]:
    try:
        told = platform.freedesktop_os_release()
    except OSError:
        return []
    return [told.get("ID", ""), *told.get("ID_LIKE", "").split()]


def has_bcc(python: str) -> bool:
    """Whether an interpreter can import the real bcc, and psutil.

    It is asked from `/`: what lies in the current folder is not to be imported, least by root.
    """
    try:
        command = [python, "-c", CHECK]
        result = subprocess.run(
            command, cwd="/", capture_output=True, timeout=CHECK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def candidates() -> list[str]:
    """Paths of the interpreters that are asked, in order."""
    found = ["/usr/bin/python3", sys.executable]
    found += filter(None, (shutil.which(f"python3.{minor}") for minor in range(14, 9, -1)))
    return list(dict.fromkeys(found))
