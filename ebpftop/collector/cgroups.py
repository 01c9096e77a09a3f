"""Cgroup ids: which hierarchy they are taken from here, and what their paths are.

An id is the kernfs inode of the directory. On hybrid hosts (v1 controllers beside an empty v2
tree) every v2 id is that of the root, so the programs then read a v1 hierarchy instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpftop.collector.hooks import KernelTypes

CONTROLLERS = ("memory", "pids", "cpu", "cpuacct", "devices", "freezer", "blkio")
FILEID_KERNFS = 0xFE
KNOWN_LIMIT = 65536
ROOT_OF_INIT = "/proc/1/root"
DELETED = " (deleted)"
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup tree; `controller` is empty for v2."""

    mount: Path
    controller: str


def hierarchy(mounts: Path = Path("/proc/self/mounts")) -> Hierarchy | None:
    """The tree that processes are sorted into here: v2 where v1 has no controllers."""
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in mounts.read_text(errors="replace").splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            v2 = v2 or Path(where)
        elif kind == "cgroup":
            for option in options.split(","):
                v1.setdefault(option, Path(where))
    for controller in CONTROLLERS:
        if controller in v1:
            return Hierarchy(v1[controller], controller)
    return Hierarchy(v2, "") if v2 else None


def flags(kernel: KernelTypes) -> list[str]:
    """Flags that tell `cgroup_of` in common.h which hierarchy to read."""
    tree = hierarchy()
    if tree is None or not tree.controller:
        return []
    index = kernel.enumerator(f"cgroup_subsys_id.{tree.controller}_cgrp_id")
    return [] if index is None else [f"-DCGROUP_SUBSYS={index}"]


def of(pid: int, tree: Hierarchy | None) -> int:
    """The cgroup id of a process in that tree, from /proc; 0 where it cannot be known."""
    if tree is None:
        return 0
    try:
        for line in Path(f"/proc/{pid}/cgroup").read_text(errors="replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if tree.controller in controllers.split(","):
                if "/../" in f"{path}/":
                    return 0  # outside of the cgroup namespace that the collector is in
                return os.stat(f"{tree.mount}{path}").st_ino
    except OSError:
        pass
    return 0


class Paths:
    """Paths of cgroup ids; a path once known outlives its directory.

    A collector in a container sees its own part of the tree only; where it also sees the machine's
    processes, the first of them has the whole tree mounted.
    """

    def __init__(self, roots: Sequence[str] = (ROOT_OF_INIT, "")) -> None:
        """`roots`: where the tree's mount point is looked for; the first where it is counts."""
        self._known: dict[int, str] = {}
        self._tree = hierarchy()
        self._mount = str(self._tree.mount) if self._tree else ""
        self._fd = -1
        for root in roots if self._tree else ():
            with contextlib.suppress(OSError):
                if os.stat(root + self._mount).st_dev == os.stat(self._mount).st_dev:
                    self._fd = os.open(root + self._mount, os.O_RDONLY | os.O_DIRECTORY)
                    break

    def of(self, pid: int) -> int:
        """The cgroup id of a process, from /proc; 0 where it cannot be known."""
        return of(pid, self._tree)

    def path(self, cgroup: int) -> str:
        """Path below the mount point (`/` is the root); empty where it cannot be known."""
        known = self._known.get(cgroup)
        if known is None:
            known = self._look_up(cgroup)
            if known:
                if len(self._known) >= KNOWN_LIMIT:
                    del self._known[next(iter(self._known))]
                self._known[cgroup] = known
        return known

    def _look_up(self, cgroup: int) -> str:
        """By open_by_handle_at(2), which takes 7-80 us and needs CAP_DAC_READ_SEARCH."""
        if self._fd < 0:
            return ""
        handle = ctypes.create_string_buffer(struct.pack("IiQ", 8, FILEID_KERNFS, cgroup))
        fd = _libc.open_by_handle_at(self._fd, handle, os.O_RDONLY)
        if fd < 0:
            return ""
        try:
            path = os.readlink(f"/proc/self/fd/{fd}").removesuffix(DELETED)
        except OSError:
            return ""
        finally:
            os.close(fd)
        # d_path() calls every directory outside of the mount "/".
        return path[len(self._mount) :] or "/" if path.startswith(self._mount) else ""
