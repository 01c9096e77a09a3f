"""Who a process is: said once in the stream, and again when its name or cgroup changes.

What the kernel saw at the first event (`struct who`) is enough for a process that is gone before
anyone could look at /proc; psutil adds the rest for those that are still there.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop.collector.containers import NO_CONTAINER, Containers
from ebpftop.collector.runtimes import Runtimes
from ebpftop.model import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    import psutil


WHO = struct.Struct("=QQ16s")
UNIT_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".mount")
CMDLINE_LIMIT = 512
KNOWN_LIMIT = 65536
SAME_START_NS = 20_000_000  # /proc counts in ticks of 10 ms


class Identities:
    """The processes that the stream has been told of."""

    def __init__(
        self,
        path_of: Callable[[int], str],
        cgroup_of: Callable[[int], int] = lambda _pid: 0,
        containers: Containers | None = None,
    ) -> None:
        """What the cgroups of the machine are called.

        `path_of` gives the path of a cgroup id, empty where it cannot be known, and `cgroup_of` the
        id of the cgroup that a process is in, 0 where it cannot be known.
        """
        self._path_of = path_of
        self._cgroup_of = cgroup_of
        self._containers = containers or Containers(Runtimes())
        self._known: dict[int, tuple[bytes, int]] = {}
        self._said: dict[int, Process] = {}
        self._fresh: list[Process] = []

    def meet(self, pid: int, who: bytes) -> int:
        """Note a process as the kernel saw it; returns its cgroup id."""
        known = self._known.get(pid)
        if known is not None and known[0] == who:
            return known[1]
        start_ns, cgroup, name = WHO.unpack(who)
        comm = name.split(b"\0", 1)[0].decode(errors="replace")
        self._remember(pid, who, cgroup)
        self._say(self._describe(pid, start_ns, comm, cgroup))
        return int(cgroup)

    def meet_by_pid(self, pid: int) -> int:
        """Note a process of which only the id is known, from /proc; returns its cgroup id."""
        if pid <= 0:
            return 0
        known = self._known.get(pid)
        if known is not None:
            return known[1]
        cgroup = self._cgroup_of(pid)
        self._remember(pid, b"", cgroup)
        self._say(self._describe(pid, 0, "", cgroup))
        return cgroup

    def take_fresh(self) -> list[Process]:
        """Those noted since the last call, and those whose container has got its name since."""
        for path in self._containers.news():
            now = self._containers.of(path)
            in_it = [process for process in self._said.values() if process.cgroup_path == path]
            for process in in_it:
                named = replace(process, container=now.name, runtime=now.runtime, pod=now.pod)
                self._say(named)
        fresh, self._fresh = self._fresh, []
        return fresh

    def _remember(self, pid: int, who: bytes, cgroup: int) -> None:
        if len(self._known) >= KNOWN_LIMIT:
            self._known.clear()  # everyone still about is met, and said, once more
            self._said.clear()
        self._known[pid] = (who, cgroup)

    def _say(self, process: Process) -> None:
        said = self._said.get(process.pid)
        if said is not None and said.start_ns == process.start_ns:
            gone = process.ppid is None
            if said == process or (gone and said.ppid is not None):
                return  # an entry from before its exec(): /proc knew better while it was there
        self._said[process.pid] = process
        self._fresh.append(process)

    def _describe(self, pid: int, start_ns: int, comm: str, cgroup: int) -> Process:
        path = self._path_of(cgroup) if cgroup else ""
        container = self._containers.of(path) if path else NO_CONTAINER
        seen = Process(
            pid,
            start_ns,
            comm,
            cgroup=cgroup,
            cgroup_path=path,
            unit=unit_of(path),
            container=container.name,
            runtime=container.runtime,
            pod=container.pod,
        )
        import psutil

        try:
            process = psutil.Process(pid)
            with process.oneshot():
                started = round((process.create_time() - psutil.boot_time()) * 1e9)
                if start_ns and abs(started - start_ns) > SAME_START_NS + int(1e9):
                    return seen  # the id is another process's by now
                return replace(
                    seen,
                    start_ns=start_ns or started,
                    comm=_now(pid) or comm,
                    ppid=process.ppid(),
                    uid=process.uids().real,
                    user=_or_empty(process, "username"),
                    exe=_or_empty(process, "exe"),
                    cmdline=" ".join(process.cmdline())[:CMDLINE_LIMIT],
                )
        except (psutil.Error, OSError):
            return seen


def who_is(pid: int, cgroup: int) -> bytes:
    """A `struct who` made from /proc; empty where there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return b""
    name, _, rest = fields.partition(b"(")[2].rpartition(b")")
    start_ns = int(rest.split()[19]) * 10**9 // os.sysconf("SC_CLK_TCK")
    return WHO.pack(start_ns, cgroup, name[:15])


def _now(pid: int) -> str:
    """The name that the process has now; what the kernel saw may be from before its exec()."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


def unit_of(path: str) -> str:
    """The systemd unit that a cgroup path ends in, or empty."""
    for part in reversed(path.split("/")):
        if part.endswith(UNIT_SUFFIXES):
            return part
    return ""


def _or_empty(process: psutil.Process, method: str) -> str:
    import psutil

    try:
        return str(getattr(process, method)())
    except (psutil.Error, KeyError, OSError):
        return ""
