"""Names of containers, from the files in which runtimes keep their state.

No daemon is needed and none is started; Docker's is asked where its files are not found. Files in
users' homes are theirs to write: they are opened so that nothing in there can be waited for, and
count only where the user owns them.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpftop.collector.containers import NAME_LIMIT, Container, Place, unnamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SIZE_LIMIT, USERS_SIZE_LIMIT = 4 << 20, 1 << 18
LIST_LIMIT = 4096
DOCKER_ROOTS = ("var/lib/docker", "var/snap/docker/common/var-lib-docker")
STORAGE_ROOTS = ("var/lib/containers/storage", "run/containers/storage")
STORAGE_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
# `podman run --rm` has its containers in the second.
STORAGE_LISTS = ("containers.json", "volatile-containers.json")
STORAGE_ROOT = re.compile(r'^\s*(?:graphroot|runroot)\s*=\s*"([^"]+)"', re.MULTILINE)
# Of the distribution, k3s and RKE2, k0s, MicroK8s, and Docker where it brings its own.
CONTAINERD_ROOTS = (
    "run/containerd",
    "run/k3s/containerd",
    "run/k0s/containerd",
    "var/snap/microk8s/common/run/containerd",
    "run/docker/containerd/daemon",
)
TASKS = "io.containerd.runtime.v2.task"
DOCKERS_NAMESPACE = "moby"  # of which containerd knows the ids only
LXC_FAMILY = {
    "var/lib/incus/containers": "incus",
    "var/lib/lxd/containers": "lxd",
    "var/snap/lxd/common/lxd/containers": "lxd",
}
# containerd internal/cri/annotations, CRI-O internal/annotations, and the labels of cri-dockerd.
KUBERNETES = (
    ("cri.container-name", "cri.sandbox-name", "cri.sandbox-namespace"),
    ("container.name", "pod.name", "pod.namespace"),
)
SANDBOX = ("io.kubernetes.cri.container-type", "sandbox")
SANDBOX_NAME = "POD"  # what CRI-O and the kubelet's labels call it
DOCKER_SOCKET = "/var/run/docker.sock"
ANSWER_S = 0.05
REST_S = 60.0  # a daemon that did not answer in time is left alone for so long


class Runtimes:
    """The runtimes of this machine, and what they know of their containers."""

    def __init__(
        self, root: Path = Path("/"), home: Callable[[int], str] | None = None, docker: str = ""
    ) -> None:
        """`root` stands for `/`; `home` gives the home of a user id, `docker` is its socket."""
        self._root = root
        self._home = home or _home
        self._docker = docker or _docker_socket()
        self._resting_until_s = 0.0
        self._lists: dict[str, tuple[object, dict[str, str]]] = {}

    def find(self, place: Place) -> Container | None:
        """What the runtime says of a container; None where nothing is known, or not yet."""
        if place.named:
            return self._of_lxc_family(place)
        for runtime in (place.runtime,) if place.runtime else FINDERS:
            found = FINDERS[runtime](self, place)
            if found:
                return replace(found, runtime=runtime, pod=found.pod or place.pod)
        if place.runtime in ("docker", "") and not place.uid:
            found = self._ask_docker(place)
        return found

    def task(self, path: str) -> Place | None:
        """A container that `ctr` runs: in `/<namespace>/<id>`, where ids are names."""
        _, namespace, name, *_ = (*path.split("/"), "", "")
        if name in ("", "..") or namespace in ("", "..") or namespace.endswith(".slice"):
            return None
        for root in CONTAINERD_ROOTS:
            if os.path.isdir(self._root / root / TASKS / namespace / name):
                return Place(name, "containerd", named=True)
        return None

    # Where each runtime has it

    def _in_docker(self, place: Place) -> Container | None:
        for root in self._docker_roots(place.uid):
            said = read(root / "containers" / place.id / "config.v2.json", place.uid)
            if said:
                return _of_docker(said)
        return None

    def _docker_roots(self, uid: int) -> Iterator[Path]:
        if uid:
            yield self._root / self._home(uid).lstrip("/") / ".local/share/docker"
            return
        configured = text(read(self._root / "etc/docker/daemon.json").get("data-root"))
        for name in (configured.lstrip("/"), *DOCKER_ROOTS) if configured else DOCKER_ROOTS:
            root = self._root / name
            yield root
            with contextlib.suppress(OSError):  # with userns-remap, one root for each user
                yield from (root / name for name in os.listdir(root) if "." in name)

    def _in_storage(self, place: Place) -> Container | None:
        for root in self._storage_roots(place.uid):
            for driver in STORAGE_DRIVERS:
                for name in STORAGE_LISTS:
                    path = root / f"{driver}-containers" / name
                    found = self._names(path, place.uid).get(place.id)
                    if found:
                        return Container(found)
        return None

    def _storage_roots(self, uid: int) -> Iterator[Path]:
        if uid:
            yield self._root / self._home(uid).lstrip("/") / ".local/share/containers/storage"
            yield self._root / f"run/user/{uid}/containers"
            return
        yield from (self._root / root for root in STORAGE_ROOTS)
        configured = contents(self._root / "etc/containers/storage.conf").decode(errors="replace")
        for root in STORAGE_ROOT.findall(configured):
            yield self._root / root.lstrip("/")

    def _names(self, path: Path, uid: int) -> Mapping[str, str]:
        """Names by id, of a list that is read anew only when it has changed."""
        try:
            about = os.stat(path)
        except OSError:
            return {}
        version = (about.st_ino, about.st_mtime_ns, about.st_size)
        known = self._lists.get(str(path))
        if known is None or known[0] != version:
            known = self._lists[str(path)] = (version, _names_by_id(parsed(contents(path, uid))))
        return known[1]

    def _in_containerd(self, place: Place) -> Container | None:
        for root in CONTAINERD_ROOTS:
            tasks = self._root / root / TASKS
            with contextlib.suppress(OSError):
                for namespace in os.listdir(tasks):
                    said = read(tasks / namespace / place.id / "config.json")
                    if said and namespace != DOCKERS_NAMESPACE:
                        return _of_annotations(said) or unnamed(place)
        return None

    def _in_crio(self, place: Place) -> Container | None:
        for root in self._storage_roots(0):
            folder = root / "overlay-containers" / place.id / "userdata"
            found = _of_annotations(read(folder / "config.json"))
            if found:
                return found
        return None

    def _of_lxc_family(self, place: Place) -> Container:
        container = unnamed(place)
        if place.runtime == "lxc":
            for folder, runtime in LXC_FAMILY.items():
                if os.path.lexists(self._root / folder / place.id):
                    return replace(container, runtime=runtime)
        return container

    def _ask_docker(self, place: Place) -> Container | None:
        now_s = time.monotonic()
        if now_s < self._resting_until_s:
            return None
        try:
            found = _of_docker(parsed(answer(self._docker, f"/containers/{place.id}/json")))
        except TimeoutError:
            self._resting_until_s = now_s + REST_S
            return None
        except OSError:
            return None
        return found and replace(found, runtime="docker", pod=found.pod or place.pod)


FINDERS = {
    "docker": Runtimes._in_docker,
    "podman": Runtimes._in_storage,
    "containerd": Runtimes._in_containerd,
    "cri-o": Runtimes._in_crio,
}


# What the files say


def _of_docker(said: Any) -> Container | None:
    config = said.get("Config") if isinstance(said, dict) else None
    labels = config.get("Labels") if isinstance(config, dict) else None
    in_pod = _of_annotations({"annotations": labels})
    name = text(said.get("Name")).lstrip("/") if isinstance(said, dict) else ""
    return in_pod or (Container(name) if name else None)


def _of_annotations(said: Mapping[str, Any]) -> Container | None:
    annotations = said.get("annotations")
    if not isinstance(annotations, dict):
        return None
    for keys in KUBERNETES:
        name, pod, namespace = (text(annotations.get(f"io.kubernetes.{key}")) for key in keys)
        if pod and annotations.get(SANDBOX[0]) == SANDBOX[1]:
            name = name or SANDBOX_NAME
        if name:
            return Container(name, pod=f"{namespace}/{pod}" if pod else "")
    name = text(annotations.get("nerdctl/name"))
    return Container(name) if name else None


def _names_by_id(said: Any) -> dict[str, str]:
    names = {}
    for entry in said[:LIST_LIMIT] if isinstance(said, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("names"), list):
            name = text(next(iter(entry["names"]), ""))
            if name:
                names[text(entry.get("id"))] = name
    return names


def text(value: object) -> str:
    """A text of bounded length; empty for what is none."""
    return value[:NAME_LIMIT] if isinstance(value, str) else ""


def parsed(data: bytes) -> Any:
    """JSON of whoever wrote it; None for what is none."""
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None


def read(path: Path, uid: int = 0) -> dict[str, Any]:
    """An object from a JSON file; empty where there is none."""
    said = parsed(contents(path, uid))
    return said if isinstance(said, dict) else {}


def contents(path: Path, uid: int = 0) -> bytes:
    """A small file; empty where it cannot be read, or is not of the user whose it should be."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | (os.O_NOFOLLOW if uid else 0)
    try:
        fd = os.open(path, flags)
    except (OSError, ValueError):
        return b""
    try:
        about = os.fstat(fd)
        is_theirs = not uid or about.st_uid == uid
        is_small = about.st_size <= (USERS_SIZE_LIMIT if uid else SIZE_LIMIT)
        if not (stat.S_ISREG(about.st_mode) and is_small and is_theirs):
            return b""
        return os.read(fd, about.st_size)
    except OSError:
        return b""
    finally:
        os.close(fd)


def answer(address: str, path: str) -> bytes:
    """What an HTTP server at a Unix socket says; raises OSError, and TimeoutError when late."""
    deadline_s = time.monotonic() + ANSWER_S
    received = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(address)
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        while len(received) <= SIZE_LIMIT:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            part = connection.recv(1 << 16)
            if not part:
                break
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return body if head.split(b" ", 2)[1:2] == [b"200"] else b""


def _docker_socket() -> str:
    """Where Docker's clients would ask, if it is on this machine."""
    address = os.environ.get("DOCKER_HOST", "")
    return address.removeprefix("unix://") if address.startswith("unix://") else DOCKER_SOCKET


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except (KeyError, OverflowError):
        return f"/nonexistent/{uid}"
