"""QEMU, virtiofsd and busybox: the system's own, or Debian's packages unpacked into the cache.

Before 8.1, QEMU's emulation could run a stale copy of an instruction that another CPU had just
patched: kernels that turn tracepoints on and off stopped with "Oops: int3", or hung. A newer one
is looked for in the backports, and an old one gets a single CPU.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.machine import AMD64, Machine
from tests.kernels.packages import Apt, UnavailableError

SEVERAL_CPUS_SINCE = (8, 1)
LIBRARIES = "usr/lib/x86_64-linux-gnu"


@dataclass(frozen=True)
class Emulator:
    """The programs that a guest needs, and the environment they run in."""

    qemu: tuple[str, ...]
    virtiofsd: str
    busybox: str
    environment: dict[str, str]
    machine: Machine = AMD64

    @property
    def version(self) -> tuple[int, int]:
        """QEMU's; (0, 0) if it does not say."""
        done = subprocess.run(
            [self.qemu[0], "--version"], env=self.environment, capture_output=True, text=True
        )
        match = re.search(r"version (\d+)\.(\d+)", done.stdout)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    @property
    def cpus(self) -> int:
        """How many CPUs a guest may have."""
        return 2 if self.version >= SEVERAL_CPUS_SINCE else 1


def emulator(folder: Path, machine: Machine = AMD64) -> Emulator:
    """What runs guests here, fetched into `folder` if need be; raises UnavailableError.

    The busybox is this machine's.
    """
    if found := _installed(machine):
        return found
    place = folder / ("qemu" if machine is AMD64 else f"qemu-{machine.name}")
    if not place.is_dir():
        _fetch(folder, place, machine)
    return _unpacked(folder, place, machine)


def _first(*paths: Path | str) -> str:
    return next((str(path) for path in paths if os.access(path, os.X_OK)), "")


def _is_static(program: str) -> bool:
    done = subprocess.run(["ldd", program], capture_output=True, text=True)
    return bool(re.search("not a dynamic|statically", done.stdout + done.stderr))


def _installed(machine: Machine) -> Emulator | None:
    qemu = shutil.which(machine.qemu)
    busybox = shutil.which("busybox")
    virtiofsd = _first("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")
    if not (qemu and virtiofsd and busybox and _is_static(busybox)):
        return None
    found = Emulator((qemu,), virtiofsd, busybox, dict(os.environ), machine)
    return found if found.version >= SEVERAL_CPUS_SINCE else None


def _fetch(folder: Path, place: Path, machine: Machine) -> None:
    said = re.search(r"(?m)^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
    suite = said[1] if said else "stable"
    backports = f"{suite}-backports"
    security = ("debian-security", f"{suite}-security")
    apt = Apt(folder / "apt-host", [("debian", suite), security, ("debian", backports)])
    apt.update()
    names = [machine.package, "busybox-static"]
    if apt.names("^virtiofsd$"):
        names.append("virtiofsd")
    elif not (folder / "virtiofsd").is_dir():
        # Before Debian 13 it is a part of qemu-system-common, and not of the one in backports.
        lines = apt.run("apt-cache", "madison", "qemu-system-common").splitlines()
        own = next(line.split("|")[1].strip() for line in lines if backports not in line)
        apt.unpack([f"qemu-system-common={own}"], folder / "virtiofsd")
    try:
        packages = apt.needed(names, "--target-release", backports)
    except UnavailableError:
        packages = apt.needed(names)
    apt.unpack(packages, place)


def _unpacked(folder: Path, place: Path, machine: Machine) -> Emulator:
    programs = (place / "usr/libexec/virtiofsd", place / "usr/lib/qemu/virtiofsd")
    virtiofsd = _first(*programs, folder / "virtiofsd/usr/lib/qemu/virtiofsd")
    busybox = _first(place / "bin/busybox", place / "usr/bin/busybox")
    if not (virtiofsd and busybox):
        raise UnavailableError(f"no virtiofsd or busybox in {folder}; remove it to fetch again")
    libraries = f"{place / LIBRARIES}:{place / 'lib/x86_64-linux-gnu'}"
    modules = str(place / LIBRARIES / "qemu")
    share = place / "usr/share"
    qemu = (str(place / "usr/bin" / machine.qemu),)
    firmware = ("-L", str(share / "qemu"), "-L", str(share / "seabios"))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "QEMU_MODULE_DIR": modules}
    return Emulator(qemu + firmware, virtiofsd, busybox, environment, machine)
