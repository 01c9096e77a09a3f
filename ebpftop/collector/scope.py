"""What the programs are told to count alone: a process, or a cgroup with all that is below it.

Each probe has an array `scope` (probes/common.h) that its programs look at first. It is written
while they run, so no program is compiled or attached anew.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop.collector import bpf
from ebpftop.collector.preemption import wait_for_programs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.collector.cgroups import Hierarchy

SCOPE = "scope"  # the map
NOTHING, EVERYTHING, ONE_PROCESS, ONE_CGROUP = range(4)  # its `kind`
LAYOUT = struct.Struct("=IIQQ")
FIRST = struct.pack("I", 0)
PID_LIMIT = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h
ROOT_INODE = 1
INIT_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h
PROC = Path("/proc")


class ScopeError(Exception):
    """There is no such process or cgroup to narrow to; one sentence."""


@dataclass(frozen=True)
class Scope:
    """The whole machine, unless `pid` or `cgroup` says otherwise.

    Attributes:
        pid, cgroup: as in `ebpftop.model.Command`.
        folder: of the cgroup.
        level: how far the cgroup is below the root of its tree; 0 where that is not known, which
            makes the programs look up to the root.
    """

    pid: int = 0
    cgroup: int = 0
    folder: Path | None = None
    level: int = 0

    @property
    def told(self) -> dict[str, int]:
        """As samples say it."""
        if self.pid:
            return {"pid": self.pid}
        return {"cgroup": self.cgroup} if self.cgroup else {}

    @property
    def value(self) -> bytes:
        """The entry of the array."""
        kind = ONE_PROCESS if self.pid else ONE_CGROUP if self.cgroup else EVERYTHING
        return LAYOUT.pack(kind, self.pid, self.level, self.cgroup)

    def processes(self) -> set[int]:
        """Ids of the processes in it now."""
        if self.pid:
            return {self.pid}
        if self.folder:
            return _members(self.folder)
        return {int(name) for name in os.listdir(PROC) if name.isdecimal()}

    def strays(self, pids: Iterable[int]) -> set[int]:
        """Those of some processes that are in it no more; none where /proc numbers them its way."""
        if not self.cgroup or not _sees_all_processes():
            return set()
        return set(pids) - self.processes()


def of_process(pid: int) -> Scope:
    """The scope of one process, be it gone; raises ScopeError for what is no process id."""
    if not 0 < pid < PID_LIMIT:
        raise ScopeError(f"no process has the id {pid}")
    return Scope(pid=pid)


def of_cgroup(cgroup: int, path: str, tree: Hierarchy | None) -> Scope:
    """The scope of a cgroup; `path` is empty where there is none of that id, and that is an error.

    Raises:
        ScopeError: there is none.
    """
    if tree is None:
        raise ScopeError("there are no cgroups here")
    if not path:
        raise ScopeError(f"no cgroup has the id {cgroup}")
    # Seen from a container, the tree begins somewhere below its root.
    whole = os.stat(tree.mount).st_ino == ROOT_INODE
    level = len([part for part in path.split("/") if part]) if whole else 0
    return Scope(cgroup=cgroup, folder=Path(f"{tree.mount}{path}"), level=level)


@cache
def _sees_all_processes() -> bool:
    """Whether /proc is that of the first process id namespace, whose numbers the kernel gives."""
    return os.stat("/proc/self/ns/pid").st_ino == INIT_PID_NAMESPACE


def _members(folder: Path) -> set[int]:
    """Processes of a cgroup and of all below it."""
    found: set[int] = set()
    for path, _, _ in os.walk(folder):
        with suppress(OSError):  # gone, or it has threads only, whose process is further up
            found.update(map(int, Path(path, "cgroup.procs").read_text().split()))
    return found


class Gate:
    """The array `scope` of a running probe. Until it is opened, its programs count nothing."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        """Let the programs count nothing, and wait until none is at work."""
        bpf.update(self._fd, FIRST, LAYOUT.pack(NOTHING, 0, 0, 0))
        wait_for_programs()

    def open(self, scope: Scope) -> None:
        """Let them count what is in the scope; the gate must be closed.

        The kernel copies an entry in pieces of eight bytes: the first of them, with the kind, is
        written when the others are in place.
        """
        value = scope.value
        bpf.update(self._fd, FIRST, struct.pack("Q", NOTHING) + value[8:])
        bpf.update(self._fd, FIRST, value)
