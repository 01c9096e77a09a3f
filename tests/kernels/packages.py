"""Debian's kernels and QEMU, fetched by apt into a folder of ours; nothing is installed.

The apt that fetches has a state of its own: the system's sources and its database of packages are
read and never changed. Packages are unpacked without their scripts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.machine import AMD64, machine

# Of all that match a version, the newest is taken, wherever it is.
SUITES = (
    ("debian", "bullseye"),
    ("debian-security", "bullseye-security"),
    ("debian", "bookworm"),
    ("debian-security", "bookworm-security"),
    ("debian", "bookworm-backports"),
    ("debian", "trixie"),
    ("debian-security", "trixie-security"),
    ("debian", "trixie-backports"),
    ("debian", "sid"),
)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FLAVOUR = "cloud-amd64"  # of the two (the other is amd64) the small one
LISTS_MAX_AGE_S = 24 * 3600


class UnavailableError(Exception):
    """A package, or the archive, cannot be had here."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel; `headers` is None unless they were asked for."""

    release: str
    image: Path
    modules: Path
    headers: Path | None = None


def cache() -> Path:
    """The folder that everything is kept in: $EBPFTOP_KERNELS_CACHE, else one in ~/.cache."""
    named = os.environ.get("EBPFTOP_KERNELS_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named).absolute() if named else Path(home, "ebpftop-kernels")


def archives(sources: Path = Path("/etc/apt")) -> dict[str, str]:
    """The machine's mirrors of `debian` and `debian-security`; raises UnavailableError."""
    found: dict[str, str] = {}
    for path in (sources / "sources.list", *sorted(sources.glob("sources.list.d/*"))):
        if not path.is_file():
            continue
        text = re.sub(r"(?m)^\s*#.*$", "", path.read_text())
        for uri in re.findall(r"[a-z+]+:/[^\s\]]+", text):
            if match := re.search(r"/(debian|debian-security)/?$", uri):
                found.setdefault(match[1], uri.rstrip("/"))
    if "debian" not in found:
        raise UnavailableError("no Debian archive among this machine's apt sources")
    found.setdefault("debian-security", found["debian"] + "-security")
    return found


def natural(version: str) -> list[tuple[int, int, str]]:
    """A key that puts 6.12 after 6.2; letters come after numbers."""
    parts = re.findall(r"\d+|\D+", version)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def newest(versions: list[str], wanted: str) -> str | None:
    """The newest version that begins as wanted (6.1 is not 6.12); of all, if "newest" is."""
    begins = re.compile(r"\d" if wanted == "newest" else re.escape(wanted) + r"($|[.+-])")
    return max(filter(begins.match, versions), key=natural, default=None)


class Apt:
    """apt with sources, lists and downloads in a folder of its own.

    With an `architecture` it is the apt of another machine, on which nothing is installed yet.
    """

    def __init__(self, folder: Path, suites: list[tuple[str, str]], architecture: str = "") -> None:
        mirrors = archives()
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        sources = folder / "sources.list"
        signed = f"[signed-by={KEYRING}]"
        sources.write_text("".join(f"deb {signed} {mirrors[a]} {s} main\n" for a, s in suites))
        settings = {
            "Dir::State::Lists": folder / "lists",
            "Dir::Cache": folder / "cache",
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
            "APT::Update::Post-Invoke-Success::": "true",
        }
        if architecture:
            settings |= {"APT::Architecture": architecture, "APT::Architectures": architecture}
            settings["Dir::State::status"] = folder / "status"
            (folder / "status").touch()
        self._options = [
            part for item in settings.items() for part in ("-o", "{}={}".format(*item))
        ]
        self._stamp = folder / "updated"

    def run(self, command: str, *arguments: str, folder: Path | None = None) -> str:
        """Output of one of apt's commands; raises UnavailableError if it fails."""
        try:
            done = subprocess.run(
                [command, *self._options, *arguments], cwd=folder, text=True, capture_output=True
            )
        except OSError as error:
            raise UnavailableError(f"{command}: {error.strerror}") from error
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise UnavailableError(f"{command} {arguments[0]}: {said[-1]}")
        return done.stdout

    def update(self) -> None:
        """Bring the lists up to date, once a day. Suites that a mirror lacks are left out."""
        try:
            if time.time() - self._stamp.stat().st_mtime < LISTS_MAX_AGE_S:
                return
        except OSError:
            pass
        try:
            self.run("apt-get", "update")
        except UnavailableError:
            if not self.names("^linux-"):
                raise
        self._stamp.touch()

    def names(self, pattern: str) -> list[str]:
        """Names of the packages that can be had (`pkgnames` has those merely spoken of, too)."""
        lines = self.run("apt-cache", "search", "--names-only", pattern).splitlines()
        return [line.split()[0] for line in lines]

    def needed(self, names: list[str], *options: str) -> list[str]:
        """What installing packages brings with them, and themselves, each as `name=version`."""
        simulate = ("install", "--simulate", "--reinstall", "--no-install-recommends")
        plan = self.run("apt-get", *simulate, *options, *names)
        packages = re.findall(r"(?m)^Inst (\S+) (?:\[\S+\] )?\((\S+)", plan)
        if not packages:
            raise UnavailableError(f"apt has no {names[0]}")
        return ["=".join(package) for package in packages]

    def unpack(self, packages: list[str], into: Path) -> None:
        """Download packages and unpack them as a new folder, all or nothing."""
        part = into.with_name(f"{into.name}.part{os.getpid()}")
        downloads = part / ".downloads"
        downloads.mkdir(parents=True)
        try:
            self.run("apt-get", "download", *packages, folder=downloads)
            for package in sorted(downloads.iterdir()):
                subprocess.run(["dpkg", "-x", package, part], check=True)
            shutil.rmtree(downloads)
            shutil.rmtree(into, ignore_errors=True)
            part.rename(into)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def available(apt: Apt, flavour: str) -> list[str]:
    """Versions of all kernels of a flavour (`cloud-amd64`, `amd64`), oldest first."""
    name = re.compile(r"linux-image-(\d+\.\d+\.\d\S*)-" + re.escape(flavour) + "$")
    names = apt.names(f"^linux-image-[0-9].*-{flavour}$")
    versions = {match[1] for match in map(name.match, names) if match}
    return sorted((v for v in versions if not v.endswith(("-cloud", "-rt"))), key=natural)


def kernels(folder: Path, flavour: str = FLAVOUR) -> Apt:
    """The apt that knows Debian's kernels of a flavour's machine, with fresh lists."""
    there = machine(flavour)
    if there is AMD64:
        apt = Apt(folder / "apt-kernels", list(SUITES))
    else:
        apt = Apt(folder / f"apt-{there.name}", list(SUITES), there.name)
    apt.update()
    return apt


def kernel(
    folder: Path,
    wanted: str,
    flavour: str = FLAVOUR,
    headers: bool = False,
    update: bool = False,
) -> Kernel:
    """The newest kernel of a version; raises UnavailableError.

    The archive is asked if there is none in the cache, if `update` says so, and for "newest". Where
    it cannot be reached, what is there is taken.
    """
    version = newest(fetched(folder, flavour, headers), wanted)
    there = f"{version}-{flavour}" if version else ""
    if there and not update and wanted != "newest":
        return unpacked(folder, there, headers)
    try:
        return _from_archive(folder, wanted, flavour, headers)
    except UnavailableError:
        if not there:
            raise
        return unpacked(folder, there, headers)


def _from_archive(folder: Path, wanted: str, flavour: str, headers: bool) -> Kernel:
    apt = kernels(folder, flavour)
    version = newest(available(apt, flavour), wanted)
    if version is None:
        raise UnavailableError(f"the archive has no kernel {wanted} ({flavour})")
    release = f"{version}-{flavour}"
    if not (folder / "kernel" / release).is_dir():
        apt.unpack(_image_packages(apt, release), folder / "kernel" / release)
    if headers and not (folder / "headers" / release).is_dir():
        apt.unpack(_header_packages(apt, release), folder / "headers" / release)
    return unpacked(folder, release, headers)


def fetched(folder: Path, flavour: str, headers: bool = False) -> list[str]:
    """Versions of the kernels of a flavour that are in the cache; those that have headers there."""
    places = folder.glob(f"{'headers' if headers else 'kernel'}/*-{flavour}")
    return [path.name.removesuffix(f"-{flavour}") for path in places]


def unpacked(folder: Path, release: str, headers: bool = False) -> Kernel:
    """A kernel that is in the cache."""
    place = folder / "kernel" / release
    (image,) = (*place.glob("boot/vmlinuz-*"), *place.glob("usr/lib/modules/*/vmlinuz"))
    (modules,) = (*place.glob("lib/modules/*"), *place.glob("usr/lib/modules/*"))
    return Kernel(release, image, modules, folder / "headers" / release if headers else None)


def _image_packages(apt: Apt, release: str) -> list[str]:
    said = apt.run("apt-cache", "show", f"linux-image-{release}")
    parts = [f"linux-{part}-{release}" for part in ("binary", "modules", "base")]
    if parts[0] not in said:
        return [f"linux-image-{release}"]
    return [name for name in parts if name in said]  # since 6.19 the image's own package is empty


def _header_packages(apt: Apt, release: str) -> list[str]:
    said = apt.run("apt-cache", "show", f"linux-headers-{release}")
    common = re.search(r"linux-headers-[^ ,]+-common\b", said)
    if common is None:
        raise UnavailableError(f"linux-headers-{release} names no common headers")
    return [f"linux-headers-{release}", common[0]]
