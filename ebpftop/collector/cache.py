"""Keeps compiled programs from one start to the next, so that a probe is compiled once.

And what a kernel's headers told, where it has no BTF.

A file is found by all that its compile depends on: the C text and its headers, the flags, the
running kernel, the number of CPUs. Which compiler made it stands inside. What is read goes into
the kernel as root, so a folder or a file that somebody else could have written is not touched.
Whatever is wrong with one, the programs are compiled as if there were no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop import registry
from ebpftop.collector import bytecode
from ebpftop.collector.bytecode import Bytecode, BytecodeError
from ebpftop.paths import HEADERS, PROBES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.probe import Probe

FOLDER = "/var/cache/ebpftop"
VARIABLE = "EBPFTOP_CACHE"  # another folder; empty: none
FILES = 64
FILE_BYTES = 4 << 20
COMPILER = ("libbcc", "libLLVM", "libclang")
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")


class Cache:
    """The folder; without one that can be trusted, nothing is found and nothing is kept."""

    def __init__(self) -> None:
        self._fd = _open_folder(os.environ.get(VARIABLE, FOLDER))
        self._compiler: list[list[str | int]] = []

    def note_compiler(self) -> None:
        """Remember which compiler this process has in memory.

        To be called before the process gets a mount namespace of its own: after that the kernel
        tells the paths of its libraries from the root of their file system.
        """
        self._compiler = _identities(_loaded_libraries())

    def find(self, name: str) -> Bytecode | None:
        """The programs that were kept under that name, if they can be used here."""
        try:
            found, label = bytecode.decode(self.read(name))
        except BytecodeError:
            return None
        compiler = _identities([path for path, _, _ in label["compiler"]])
        return found if (label["name"], label["compiler"]) == (name, compiler) else None

    def keep(self, name: str, programs: Bytecode) -> None:
        """Write programs under a name; raises OSError."""
        if not self._compiler:
            self.note_compiler()
        if self._compiler:
            label = {"name": name, "compiler": self._compiler}
            self.write(name, bytecode.encode(programs, label))

    def read(self, name: str) -> bytes:
        """What was written under that name; empty where there is nothing that can be trusted."""
        if self._fd < 0:
            return b""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._fd)
            with open(fd, "rb") as file:
                status = os.fstat(fd)
                is_trusted = stat.S_ISREG(status.st_mode) and _is_ours(status)
                return file.read(FILE_BYTES) if is_trusted else b""
        except OSError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in one step; raises OSError."""
        if self._fd < 0:
            return
        new = f"{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with contextlib.suppress(FileNotFoundError):  # of a process that was killed
            os.unlink(new, dir_fd=self._fd)
        with open(os.open(new, flags, 0o600, dir_fd=self._fd), "wb") as file:
            file.write(data)
        os.rename(new, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self._drop_oldest()

    def drop(self, name: str) -> None:
        """Forget what was kept under that name."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._fd)

    def _drop_oldest(self) -> None:
        ages: list[tuple[float, str]] = []
        for name in os.listdir(self._fd):
            with contextlib.suppress(OSError):  # another collector was faster
                status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
                ages.append((status.st_mtime, name))
        for _, name in sorted(ages, reverse=True)[FILES:]:
            self.drop(name)


def file_name(probe: Probe, chosen: Iterable[str]) -> str:
    """Name of the file for one probe: its own name, and a digest of all that counts here.

    `chosen` is what the descriptor adds to the C text: flags, hooks, maps.
    """
    source = registry.source(probe)
    uname = os.uname()
    digest = hashlib.sha256()
    for text in (uname.release, uname.version, uname.machine, *chosen):
        _add(digest, text.encode())
    _add(digest, POSSIBLE_CPUS.read_bytes())
    headers = {*PROBES.glob("*.h"), *source.parent.glob("*.h"), *HEADERS.rglob("*.h")}
    for path in (source, *sorted(headers)):
        _add(digest, path.name.encode())
        _add(digest, path.read_bytes())
    return f"{probe.name}-{digest.hexdigest()}"


def _add(digest: hashlib._Hash, part: bytes) -> None:
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def _open_folder(path: str) -> int:
    """Descriptor of the folder, made where it is not there; -1 where it is not to be used."""
    if not path:
        return -1
    with contextlib.suppress(OSError):
        os.mkdir(path, 0o700)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return -1
    if _is_ours(os.fstat(fd)):
        return fd
    os.close(fd)
    return -1


def _is_ours(status: os.stat_result) -> bool:
    """Whether nobody but this user (root) can write there."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _loaded_libraries() -> list[str]:
    """The files of the compiler that this process has in memory."""
    maps = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    paths = {line[line.index("/") :] for line in maps if "/" in line}
    return sorted(path for path in paths if Path(path).name.startswith(COMPILER))


def _identities(paths: Iterable[str]) -> list[list[str | int]]:
    """Path, size and time of change of each file; empty where one is gone."""
    try:
        known = [(path, os.stat(path)) for path in paths]
    except OSError:
        return []
    return [[path, status.st_size, status.st_mtime_ns] for path, status in known]
