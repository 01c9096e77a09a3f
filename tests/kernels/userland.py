"""The root of a guest of another architecture: Debian's packages, unpacked without their scripts.

What scripts would have made and our tests need is made here: users and groups. Nothing of it is
run on this machine.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernels import packages
from tests.kernels.emulator import emulator
from tests.kernels.machine import AMD64, machine
from tests.kernels.packages import Apt

if TYPE_CHECKING:
    from tests.kernels.emulator import Emulator
    from tests.kernels.machine import Machine

SUITE = "trixie"  # since this one packages say themselves that /bin is /usr/bin
NAMES = ["python3-bpfcc", "python3-psutil", "python3-pytest", "busybox-static", "e2fsprogs"]
HEADERS = "uapi"  # a folder of the cache
ESSENTIAL = [
    "base-files",
    "base-passwd",
    "coreutils",
    "dash",
    "mount",
    "netbase",
    "procps",
    "util-linux",
]


def userland(folder: Path, of: Machine) -> Path:
    """A root with Python, BCC and pytest, fetched into `folder` once; raises UnavailableError."""
    root = folder / f"root-{of.name}"
    if not root.is_dir():
        security = ("debian-security", f"{SUITE}-security")
        suites = [("debian", SUITE), security]
        apt = Apt(folder / f"apt-root-{of.name}", suites, of.name)
        apt.update()
        apt.unpack(apt.needed(NAMES + ESSENTIAL), root)
    for name in ("passwd", "group"):
        shutil.copy(root / "usr/share/base-passwd" / f"{name}.master", root / "etc" / name)
    return root


def headers(folder: Path) -> Path:
    """What programs of all machines include of the kernel, a folder each; fetched once.

    Raises UnavailableError.
    """
    place = folder / HEADERS
    if not place.is_dir():
        packages.kernels(folder, "arm64").unpack(["linux-libc-dev"], place)
    return place / "usr/lib/linux/uapi"


def prepared(folder: Path, flavour: str) -> tuple[Emulator, Path]:
    """What runs kernels of a flavour, and the root of their guests; raises UnavailableError."""
    there = machine(flavour)
    found = emulator(folder, there)
    if there is AMD64:
        return found, Path("/")
    root = userland(folder, there)
    return replace(found, busybox=str(root / "usr/bin/busybox")), root
