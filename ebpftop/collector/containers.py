"""Which container a cgroup is of, and what that container is called.

The path says which runtime made it and under which id; the name comes from the files in which the
runtime keeps its state (`runtimes`). A container is in a container where paths say so, as in the
nodes of kind and k3d: then the innermost is meant.

Paths are as written by runc (libcontainer/cgroups/systemd: `<prefix>-<id>.scope`), Docker
(daemon/oci_linux.go), Podman (libpod/container_internal_linux.go), containerd
(internal/cri/server/podsandbox/helpers_linux.go), CRI-O (internal/config/cgmgr), the kubelet
(pkg/kubelet/cm), liblxc (src/lxc/cgroups/cgroup.h) and systemd (src/machine).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Container:
    """What a process is said to run in: see `Process`; all empty outside of containers."""

    name: str = ""
    runtime: str = ""
    pod: str = ""


@dataclass(frozen=True)
class Place:
    """What a cgroup path alone says of its container.

    Attributes:
        id: 64 hexadecimal digits, or where `named`, the name.
        runtime: empty where only the id is there.
        pod: uid of the Kubernetes pod.
        uid: the user whose systemd started it; 0 for the system's.
    """

    id: str
    runtime: str = ""
    pod: str = ""
    uid: int = 0
    named: bool = False


class Names(Protocol):
    """Where names are looked up: `runtimes.Runtimes`."""

    def find(self, place: Place) -> Container | None:
        """What the runtime says of a container; None where nothing is known, or not yet."""

    def task(self, path: str) -> Place | None:
        """The container of a path that no pattern knows."""


NO_CONTAINER = Container()
# Docker's parent, and containerd's namespaces for nerdctl and for Kubernetes.
RUNTIMES_OF_PARENTS = {"docker": "docker", "default": "containerd", "k8s.io": "containerd"}
# Other prefixes are not containers: `libpod-conmon-`, `crio-conmon-`, `lxc.monitor.`.
RUNTIMES_OF_PREFIXES = {
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
# With the driver of the other kind than the kubelet's, `slice:prefix:id` is taken for a name.
WITH_ID = re.compile(r"(?:(?:.*:)?([a-z-]+)[-:])?([0-9a-f]{64})(?:\.scope)?")
# A uid of the API server, in slices with `_` for `-`, or the hash that names a static pod.
POD = re.compile(r"(?:.*-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}).*")
USER = re.compile(r"user-(\d{1,10})\.slice")
MACHINE = re.compile(r"machine-(.+)\.scope|systemd-nspawn@(.+)\.service")
LIBVIRT = re.compile(r"(qemu|xen|ch|lxc)-(?:.+?-)?\d+-(.+)")
ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
LXC_PAYLOAD = "lxc.payload."
LXC_PARENTS = ("lxc", "lxc.payload")
SHORT_ID = 12
NAME_LIMIT = 256

KNOWN_LIMIT = 4096
RETRY_S = (0.2, 0.5, 1.0, 2.0, 4.0)
RENAMED_S = 60.0  # names are checked that seldom, and only when a new process turns up


class Containers:
    """Containers of cgroup paths, each looked up once; what is known outlives the container."""

    def __init__(self, names: Names, clock: Callable[[], float] = time.monotonic) -> None:
        self._names = names
        self._clock = clock
        self._known: dict[str, tuple[Place | None, Container, float]] = {}
        self._due: dict[str, tuple[float, int]] = {}

    def of(self, path: str) -> Container:
        """The container of a cgroup; `NO_CONTAINER` where it is of none."""
        known = self._known.get(path)
        if known is None:
            return self._meet(path)
        place, container, checked_s = known
        if place and not place.named and path not in self._due:
            now_s = self._clock()
            if now_s - checked_s > RENAMED_S:
                self._due[path] = (now_s, len(RETRY_S))
        return container

    def news(self) -> list[str]:
        """Paths whose container has got its name, or another one, since `of` said it."""
        if not self._due:
            return []
        now_s = self._clock()
        due = [path for path, (due_s, _) in self._due.items() if due_s <= now_s]
        return [path for path in due if self._look_again(path, now_s)]

    def _meet(self, path: str) -> Container:
        place = locate(path) or self._names.task(path)
        container = NO_CONTAINER
        now_s = self._clock()
        if place:
            found = self._names.find(place)
            container = found or unnamed(place)
            if not found and not place.named:
                self._due[path] = (now_s + RETRY_S[0], 1)
        if len(self._known) >= KNOWN_LIMIT:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._due.pop(oldest, None)
        self._known[path] = (place, container, now_s)
        return container

    def _look_again(self, path: str, now_s: float) -> bool:
        _, tries = self._due.pop(path)
        place, before, _ = self._known[path]
        assert place is not None
        found = self._names.find(place)
        if not found and tries < len(RETRY_S):
            self._due[path] = (now_s + RETRY_S[tries], tries + 1)
        self._known[path] = (place, found or before, now_s)
        return found is not None and found != before


def locate(path: str) -> Place | None:
    """The innermost container that a cgroup path is in; None where it is in none."""
    parts = path.split("/")
    for index in range(len(parts) - 1, 0, -1):
        place = _place(parts, index)
        if place:
            return place
    return None


def unnamed(place: Place) -> Container:
    """The container as far as its path names it."""
    name = place.id[:NAME_LIMIT] if place.named else place.id[:SHORT_ID]
    return Container(name, place.runtime, place.pod)


def _place(parts: list[str], index: int) -> Place | None:
    part, parent = parts[index], parts[index - 1]
    with_id = WITH_ID.fullmatch(part)
    if with_id:
        prefix, number = with_id.groups()
        runtimes, key = (RUNTIMES_OF_PREFIXES, prefix) if prefix else (RUNTIMES_OF_PARENTS, parent)
        if prefix and prefix not in runtimes:
            return None
        outer = parts[:index]
        return Place(number, runtimes.get(key, ""), _pod(parts[: index + 1]), _user(outer))
    if part.startswith(LXC_PAYLOAD):
        return Place(part[len(LXC_PAYLOAD) :], "lxc", named=True)
    if parent in LXC_PARENTS:
        return Place(part, "lxc", named=True)
    machine = MACHINE.fullmatch(part)
    if machine and parts[index + 1 : index + 2] != ["supervisor"]:
        return _machine(machine[1] or machine[2])
    return None


def _machine(escaped: str) -> Place | None:
    """What systemd-machined knows by that name; libvirt's virtual machines are no containers."""
    name = ESCAPE.sub(lambda match: chr(int(match[1], 16)), escaped)
    libvirt = LIBVIRT.fullmatch(name)
    if not libvirt:
        return Place(name, "systemd-nspawn", named=True)
    return Place(libvirt[2], "libvirt", named=True) if libvirt[1] == "lxc" else None


def _pod(parts: list[str]) -> str:
    for part in reversed(parts):
        pod = POD.fullmatch(part)
        if pod:
            return pod[1].replace("_", "-")
    return ""


def _user(parts: list[str]) -> int:
    for part in parts:
        user = USER.fullmatch(part)
        if user:
            return int(user[1])
    return 0
