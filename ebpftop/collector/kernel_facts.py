"""What the files of a machine say of its kernel and of the rights of this process.

Nothing is loaded, nothing changed, and nothing raises: what cannot be read is None or empty. Every
path is below a root that stands for `/`, so that tests can make up machines.
"""

from __future__ import annotations

import gzip
import os
import platform
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from ebpftop.collector import cgroups
from ebpftop.collector.containers import NO_CONTAINER, Containers
from ebpftop.collector.runtimes import Runtimes

ROOT = Path("/")
CONFIGS = ("proc/config.gz", "boot/config-{release}", "lib/modules/{release}/config")
OPTIONS = (
    *("BPF_SYSCALL", "BPF_JIT", "BPF_EVENTS", "DEBUG_INFO_BTF", "PERF_EVENTS", "CGROUPS"),
    *("FAIR_GROUP_SCHED", "KPROBES", "FUNCTION_TRACER", "DYNAMIC_FTRACE_WITH_DIRECT_CALLS"),
    "FTRACE_SYSCALLS",
)
SETTINGS = {
    "perf_event_paranoid": "kernel",
    "perf_event_max_sample_rate": "kernel",
    "kptr_restrict": "kernel",
    "unprivileged_bpf_disabled": "kernel",
    "bpf_jit_enable": "net/core",
}
# Bits of include/uapi/linux/capability.h that BPF programs and what is read around them need.
CAPABILITIES = {
    "BPF": 39,
    "PERFMON": 38,
    "SYS_ADMIN": 21,
    "SYS_RESOURCE": 24,
    "SYS_PTRACE": 19,
    "SYSLOG": 34,
    "DAC_READ_SEARCH": 2,
}
# Inodes that the first namespaces have in every kernel (include/linux/proc_ns.h).
FIRST_USER_NAMESPACE, FIRST_PID_NAMESPACE = "user:[4026531837]", "pid:[4026531836]"
NAMES_LIMIT = 200
SECURITYFS = "sys/kernel/security"


@dataclass(frozen=True)
class Kernel:
    """The running kernel.

    Attributes:
        distribution: name of the system that runs on it; `id` is its ID and those it is like.
        config_file: where its configuration was found; empty where it could not be read.
        config: value of each of `OPTIONS`: `y`, `m` or `n`.
        lockdown: none, integrity or confidentiality; `absent` where it has none; else empty.
        lockdown_at_boot: what its command line asks for; mostly empty.
        btf_bytes: size of its type information; None where there is none.
        tracefs: where that is mounted; empty where it is not.
        has_kprobes: None where it cannot be told.
    """

    release: str
    machine: str
    distribution: str
    id: tuple[str, ...]
    config_file: str
    config: dict[str, str]
    lockdown: str
    lockdown_at_boot: str
    btf_bytes: int | None
    tracefs: str
    has_kprobes: bool | None


@dataclass(frozen=True)
class Rights:
    """What this process may do.

    Attributes:
        uid: its effective user.
        capabilities: whether it has each of `CAPABILITIES`.
        own_users, own_processes: whether it is in a user or PID namespace of its own, as in a
            container; None where it cannot be told.
        seccomp: whether its system calls are filtered.
        memlock_bytes: RLIMIT_MEMLOCK; None where unlimited.
    """

    uid: int
    capabilities: dict[str, bool]
    own_users: bool | None
    own_processes: bool | None
    seccomp: bool
    memlock_bytes: int | None


@dataclass(frozen=True)
class Cgroups:
    """The layout (v1, v2, hybrid or none), and the tree that ebpftop reads."""

    layout: str
    mount: str
    controller: str


@dataclass(frozen=True)
class Seen:
    """Containers that processes run in now: how many of each runtime, and their names."""

    runtimes: dict[str, int]
    names: tuple[str, ...]


def kernel(root: Path = ROOT) -> Kernel:
    """The running kernel."""
    release = _text(root / "proc/sys/kernel/osrelease") or platform.release()
    told = dict(_pairs(_text(root / "etc/os-release") or _text(root / "usr/lib/os-release")))
    file, config = _config(root, release)
    asked = re.search(r"\blockdown=(\w+)", _text(root / "proc/cmdline"))
    return Kernel(
        release,
        os.uname().machine,
        told.get("PRETTY_NAME", ""),
        (told.get("ID", ""), *told.get("ID_LIKE", "").split()),
        file,
        config,
        _lockdown(root),
        asked[1] if asked else "",
        _size(root / "sys/kernel/btf/vmlinux"),
        next((where for where, kind, _ in _mounts(root) if kind == "tracefs"), ""),
        _has_kprobes(root, config),
    )


def rights(root: Path = ROOT) -> Rights:
    """What this process may do."""
    import resource

    status = dict(re.findall(r"^(\w+):\s*(.*)$", _text(root / "proc/self/status"), re.MULTILINE))
    held = int(status.get("CapEff", "0"), 16)
    uids = status.get("Uid", "").split()
    memlock, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return Rights(
        int(uids[1]) if len(uids) > 1 else os.geteuid(),
        {name: bool(held >> bit & 1) for name, bit in CAPABILITIES.items()},
        _own(root / "proc/self/ns/user", FIRST_USER_NAMESPACE),
        _own(root / "proc/self/ns/pid", FIRST_PID_NAMESPACE),
        status.get("Seccomp", "0") != "0",
        None if memlock == resource.RLIM_INFINITY else memlock,
    )


def settings(root: Path = ROOT) -> dict[str, int | None]:
    """The value of each of `SETTINGS`; None where it is not there or not for us to read."""
    return {
        name: _number(_text(root / "proc/sys" / folder / name)) for name, folder in SETTINGS.items()
    }


def symbols_hidden(root: Path = ROOT) -> bool | None:
    """Whether the addresses of the kernel's functions read as 0; None where there are none."""
    try:
        with (root / "proc/kallsyms").open() as file:
            first = file.readline().split(" ")[0]
    except (OSError, UnicodeDecodeError):
        return None
    return not first.strip("0") if first else None


def cgroup_layout(root: Path = ROOT) -> Cgroups:
    """Which cgroup trees are mounted, and which of them counts."""
    kinds = {kind for _, kind, options in _mounts(root) if _has_controllers(kind, options)}
    layout = "hybrid" if len(kinds) == 2 else "v2" if "cgroup2" in kinds else "v1" if kinds else ""
    try:
        tree = cgroups.hierarchy(root / "proc/self/mounts")
    except (OSError, ValueError):
        tree = None
    if tree is None:
        return Cgroups("none", "", "")
    return Cgroups(layout, str(tree.mount), tree.controller)


def containers_seen(layout: Cgroups, root: Path = ROOT) -> Seen:
    """The containers of all processes that can be seen."""
    containers = Containers(Runtimes(root))
    paths = set[str]()
    for status in root.glob("proc/[0-9]*/cgroup"):
        for line in _text(status).splitlines():
            number_controllers_path = line.split(":", 2)
            if len(number_controllers_path) == 3:
                _, controllers, path = number_controllers_path
                if layout.controller in controllers.split(","):
                    paths.add(path)
    found = {containers.of(path) for path in paths} - {NO_CONTAINER}
    runtimes: dict[str, int] = {}
    for container in found:
        name = container.runtime or "unknown"
        runtimes[name] = runtimes.get(name, 0) + 1
    names = sorted(container.name for container in found)
    return Seen(dict(sorted(runtimes.items())), tuple(names[:NAMES_LIMIT]))


def _config(root: Path, release: str) -> tuple[str, dict[str, str]]:
    for name in CONFIGS:
        path = root / name.format(release=release)
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        except (OSError, EOFError, ValueError, zlib.error):
            continue
        on = dict(re.findall(r"^CONFIG_(\w+)=([ym])$", text, re.MULTILINE))
        if not on:
            continue
        shown = "/" + str(path.relative_to(root))
        return shown, {option: on.get(option, "n") for option in OPTIONS}
    return "", {}


def _lockdown(root: Path) -> str:
    text = _text(root / SECURITYFS / "lockdown")
    chosen = re.search(r"\[(\w+)\]", text)
    if chosen:
        return chosen[1]
    modules = _text(root / SECURITYFS / "lsm")  # there wherever securityfs is mounted
    return "absent" if modules and "lockdown" not in modules.split(",") else ""


def _has_kprobes(root: Path, config: dict[str, str]) -> bool | None:
    events = root / "sys/bus/event_source/devices"
    if not events.exists():
        return config["KPROBES"] == "y" if config else None
    return (events / "kprobe").exists()


def _has_controllers(kind: str, options: str) -> bool:
    """Whether a mounted tree is one of cgroups, not one in which systemd only names services."""
    names = set(options.split(","))
    return kind == "cgroup2" or (kind == "cgroup" and bool(names & {*cgroups.CONTROLLERS}))


def _mounts(root: Path) -> list[tuple[str, str, str]]:
    """Mount point, type and options of each mount."""
    lines = (line.split(" ") for line in _text(root / "proc/self/mounts").splitlines())
    return [(words[1], words[2], words[3]) for words in lines if len(words) > 3]


def _own(link: Path, first: str) -> bool | None:
    try:
        return os.readlink(link) != first
    except OSError:
        return None


def _pairs(text: str) -> list[tuple[str, str]]:
    """Names and values of a file such as /etc/os-release."""
    return [(name, value.strip("\"'")) for name, value in re.findall(r"(\w+)=(.*)", text)]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
