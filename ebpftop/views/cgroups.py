"""Paths of cgroups: what is below what, and what they are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ebpftop.model import Process
    from ebpftop.views.scope import Names

CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


def is_within(path: str, above: str) -> bool:
    """Whether a cgroup path is another, or below it."""
    return path == above or path.startswith(above.rstrip("/") + "/")


def parent_of(path: str) -> str | None:
    """The path above; None of the root, and of what is no path."""
    if path == "/" or not path.startswith("/"):
        return None
    return path.rpartition("/")[0] or "/"


def container_path(process: Process) -> str:
    """The cgroup of all of a process's container: down to the part that names it, if there is one.

    Docker, Podman, containerd and CRI-O name it by the id, 64 hexadecimal digits, and where one
    runs in another the innermost is meant; LXC and systemd by the name.
    """
    parts = process.cgroup_path.split("/")
    by_id = [end for end, part in enumerate(parts, 1) if CONTAINER_ID.search(part)]
    by_name = (end for end, part in enumerate(parts, 1) if process.container in part)
    end = by_id[-1] if by_id else next(by_name, len(parts))
    return "/".join(parts[:end])


def titles(names: Names) -> dict[str, str]:
    """Names of cgroups that are not the last part of their path, safe to show."""
    found: dict[str, str] = {}
    for number, path in names.paths.items():
        name = names.cgroups.get(number, "")
        if name and name not in path:
            found[path] = fmt.clean(name)
    for process in names.processes.values():
        if process.container:
            path = container_path(process)
            runtime = f" ({process.runtime})" if process.runtime else ""
            found[path] = fmt.clean(process.container + runtime)
            above = parent_of(path)
            if process.pod and above not in (None, "/"):
                found[above or ""] = fmt.clean(f"{process.pod} (pod)")
    return found


def name(path: str, known: Mapping[str, str]) -> str:
    """What a path is called, given `titles`: that of its container or pod, else its last part."""
    return known.get(path) or fmt.clean(path.rstrip("/").rpartition("/")[2] or "/")
