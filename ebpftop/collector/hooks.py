"""Chooses the hooks of a probe from what the running kernel offers, most exact first."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ebpftop.collector import bpf, functions, perf
from ebpftop.collector.btf import WITHOUT
from ebpftop.hook import AllOf, FirstOf, Hook, HookPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.probe import Probe

WITH_BTF = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"
HAVE_CGROUPS = "-DHAVE_CGROUPS=1"
WITHOUT_CGROUPS = "no process's cgroup is seen: the kernel's types do not tell"
FUNCTIONS = ("fentry", "fexit", "kprobe", "kretprobe")
# Where a program of type TRACING hangs, by kind of hook.
ATTACH_TYPES = {
    "raw_tracepoint": bpf.TRACE_RAW_TP,
    "fentry": bpf.TRACE_FENTRY,
    "fexit": bpf.TRACE_FEXIT,
}


class KernelTypes(Protocol):
    """What is asked of a kernel: its BTF answers (`btf.Btf`), or its headers (`headers`)."""

    @property
    def complete(self) -> bool:
        """Whether what is not told of is not there."""

    def tracepoint(self, name: str) -> list[str] | None:
        """Types of the arguments of a raw tracepoint, or None where there is no such one."""

    def offset(self, path: str) -> int | None:
        """Byte offset of `struct.member`, or None."""

    def enumerator(self, path: str) -> int | None:
        """Value of `enum.enumerator`, or None."""

    def function(self, name: str) -> list[str] | None:
        """Types of the arguments of a function, or None where there is no such one."""

    def function_id(self, name: str) -> int:
        """Id of the type of a function; 0 where there is no such one."""

    def tracepoint_id(self, name: str) -> int:
        """Id of the type of a raw tracepoint; 0 where there is no such one."""


class Without:
    """A kernel of which some things are hidden, so that what is done without them can be tested.

    They are named as `Hook` and `Probe` name them: `raw_tp:block_io_start`, `bio.bi_bdev`,
    `bpf_func_id.BPF_FUNC_get_current_task_btf`.
    """

    def __init__(self, kernel: KernelTypes, hidden: frozenset[str]) -> None:
        self._kernel = kernel
        self._hidden = hidden
        self.complete = kernel.complete

    def hides(self, name: str) -> bool:
        """Whether something is hidden."""
        return name in self._hidden

    def tracepoint(self, name: str) -> list[str] | None:
        """As `KernelTypes`; hooks are hidden one by one."""
        return self._kernel.tracepoint(name)

    def offset(self, path: str) -> int | None:
        """As `KernelTypes`."""
        return None if path in self._hidden else self._kernel.offset(path)

    def enumerator(self, path: str) -> int | None:
        """As `KernelTypes`."""
        return None if path in self._hidden else self._kernel.enumerator(path)

    def function(self, name: str) -> list[str] | None:
        """As `KernelTypes`; hooks are hidden one by one."""
        return self._kernel.function(name)

    def function_id(self, name: str) -> int:
        """As `KernelTypes`."""
        return self._kernel.function_id(name)

    def tracepoint_id(self, name: str) -> int:
        """As `KernelTypes`."""
        return self._kernel.tracepoint_id(name)


class UnavailableError(Exception):
    """The kernel lacks what a probe needs: `reason`, and `hint` at what to do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint

    @classmethod
    def of(cls, absent: str, kernel: KernelTypes, hint: str) -> UnavailableError:
        """For what a kernel has not, or is not said to have."""
        if kernel.complete:
            return cls(f"this kernel has no {absent}", hint)
        return cls(f"the kernel has no BTF, and its headers no {absent}", WITH_BTF)


@dataclass(frozen=True)
class Plan:
    """The hooks that were chosen, the flags that tell the C file, and what is not seen."""

    hooks: tuple[Hook, ...]
    flags: tuple[str, ...]
    missing: tuple[str, ...]


def plan(probe: Probe, kernel: KernelTypes) -> Plan:
    """How a probe runs on this kernel.

    Raises:
        UnavailableError: a hook or a struct member that it cannot do without is not there.
    """
    kernel = Without(kernel, frozenset(filter(None, os.environ.get(WITHOUT, "").split(","))))
    hooks: list[Hook] = []
    flags: list[str] = []
    missing: list[str] = []
    has_types = kernel.enumerator(COMMON_ABILITIES["TASK_BTF"]) is not None
    for slot in probe.hooks:
        way = _choose(slot, kernel)
        if way is None:
            assert isinstance(slot, FirstOf)
            missing.append(slot.without)
            continue
        for hook in way.hooks:
            hooks += _at_symbols(replace(hook, typed=hook.typed and has_types))
        flags += [f"-DOFF_{name}={_offset(paths, kernel)}" for name, paths in way.offsets.items()]
        flags += [f"-DENUM_{name}={kernel.enumerator(path)}" for name, path in way.enums.items()]
        if way.missing:
            missing.append(way.missing)
        for hook in way.hooks:
            flags += _hook_flags(hook, kernel)
    if any(hook.kind in ("kprobe", "kretprobe") for hook in hooks):
        flags += functions.register_flags(kernel)
    flags += _layout_flags(probe, kernel)
    if HAVE_CGROUPS not in flags:
        missing.append(WITHOUT_CGROUPS)
    flags += [f"-DLOST_{name}={index}" for index, name in enumerate(probe.lost)]
    return Plan(tuple(hooks), tuple(flags), tuple(missing))


def _at_symbols(hook: Hook) -> list[Hook]:
    """One hook for each symbol that a probed function has here."""
    if hook.kind not in ("kprobe", "kretprobe"):
        return [hook]
    symbols = functions.entries(hook.target, returns=hook.kind == "kretprobe")
    return [replace(hook, target=symbol) for symbol in symbols]


def _hook_flags(hook: Hook, kernel: KernelTypes) -> list[str]:
    arguments = _arguments(hook, kernel) or {}
    return [
        f"-DHAVE_{hook.program}=1",
        *(f"-DARG_{hook.program}_{name}={at}" for name, at in arguments.items()),
    ]


def _choose(slot: HookPlan, kernel: Without) -> AllOf | None:
    if isinstance(slot, Hook):
        slot = AllOf((slot,))
    ways = slot.ways if isinstance(slot, FirstOf) else (slot,)
    absent = []
    for way in ways:
        lacking = next(_lacking(way, kernel), None)
        if lacking is None:
            return way
        absent.append(lacking)
    if isinstance(slot, FirstOf) and slot.without:
        return None
    hint = "a newer kernel has it; `ebpftop probes` lists what each probe needs"
    raise UnavailableError.of(", nor ".join(dict.fromkeys(absent)), kernel, hint)


def _lacking(way: AllOf, kernel: Without) -> Iterator[str]:
    """What a way needs and is not there, as the user is told."""
    for hook in way.hooks:
        if not available(hook, kernel):
            yield str(hook)
    for paths in way.offsets.values():
        if _offset(paths, kernel) is None:
            yield paths if isinstance(paths, str) else " or ".join(paths)
    for path in way.enums.values():
        if kernel.enumerator(path) is None:
            yield f"enum {path}"


def available(hook: Hook, kernel: Without) -> bool:
    """Whether the running kernel offers a hook, arguments included."""
    if kernel.hides(str(hook)):
        return False
    if _arguments(hook, kernel) is None:
        return False
    if hook.kind in ("fentry", "fexit"):
        function_id = kernel.function_id(hook.target)
        return bool(function_id) and functions.can_trace(function_id, ATTACH_TYPES[hook.kind])
    if hook.kind in ("kprobe", "kretprobe"):
        return bool(functions.entries(hook.target, returns=hook.kind == "kretprobe"))
    if hook.kind == "tracepoint":
        return perf.has_tracepoint(hook.target)
    return True


def _arguments(hook: Hook, kernel: KernelTypes) -> dict[str, int] | None:
    """Position of each argument a program reads; None where the kernel's do not match.

    Tracepoints gain and lose arguments (block_rq_issue lost one in 5.11, sched_switch gained one
    in 5.18), so they are found by their types, in order.
    """
    if hook.kind in FUNCTIONS:
        types = kernel.function(hook.target)
        # What a compiler has specialised need not be known by its plain name.
        if types is None and hook.kind not in ATTACH_TYPES and not hook.args:
            return {}
    elif hook.kind == "raw_tracepoint":
        types = kernel.tracepoint(hook.target)
    elif hook.kind == "tracepoint":
        return _members(hook, kernel)
    else:
        return {}
    if types is None:
        return None
    found: dict[str, int] = {"return": len(types)} if hook.kind == "fexit" else {}
    start = 0
    for argument in hook.args:
        name, _, wanted = argument.partition("=")
        optional = wanted.endswith("?")
        try:
            found[name] = types.index(wanted.rstrip("?"), start)
        except ValueError:
            if optional:
                continue
            return None
        start = found[name] + 1
    return found


def _members(hook: Hook, kernel: KernelTypes) -> dict[str, int] | None:
    """Offset of each member of a tracepoint's record that a program reads; None where one lacks."""
    found = {}
    for argument in hook.args:
        name, _, path = argument.partition("=")
        offset = kernel.offset(path)
        if offset is None:
            return None
        found[name] = offset
    return found


def _offset(choices: str | tuple[str, ...], kernel: KernelTypes) -> int | None:
    """Of the first of some members that the kernel has."""
    paths = (choices,) if isinstance(choices, str) else choices
    return next((offset for offset in map(kernel.offset, paths) if offset is not None), None)


def _layout_flags(probe: Probe, kernel: KernelTypes) -> list[str]:
    flags = []
    found = set[str]()
    members = {**COMMON_OFFSETS, **probe.offsets, **COMMON_OPTIONAL, **probe.optional_offsets}
    for name, choices in members.items():
        offset = _offset(choices, kernel)
        if offset is not None:
            flags.append(f"-DOFF_{name}={offset}")
            found.add(name)
        elif name in probe.offsets:
            paths = (choices,) if isinstance(choices, str) else choices
            hint = "please report the kernel's version: its structures have changed"
            raise UnavailableError.of(" or ".join(paths), kernel, hint)
    for name, path in probe.enums.items():
        value = kernel.enumerator(path)
        if value is None:
            raise UnavailableError.of(f"enum {path}", kernel, "please report its version")
        flags.append(f"-DENUM_{name}={value}")
    if found >= COMMON_OPTIONAL.keys():
        flags.append(HAVE_CGROUPS)
    for name, path in COMMON_ABILITIES.items():
        if kernel.enumerator(path) is not None:
            flags.append(f"-DHAVE_{name}=1")
    flags.append(f"-DPAGE_SHIFT={os.sysconf('SC_PAGE_SIZE').bit_length() - 1}")
    return flags


# What `common.h` reads of a process: see `struct who` there.
COMMON_OFFSETS: dict[str, str | tuple[str, ...]] = {
    "TASK_LEADER": "task_struct.group_leader",
    "TASK_TGID": "task_struct.tgid",
    "TASK_COMM": "task_struct.comm",
    "TASK_START": ("task_struct.start_boottime", "task_struct.real_start_time"),
}
# What it takes to say in which cgroup a process is, and in which that is.
COMMON_OPTIONAL: dict[str, str | tuple[str, ...]] = {
    "TASK_CGROUPS": "task_struct.cgroups",
    "CSSET_DFL": "css_set.dfl_cgrp",
    "CSSET_SUBSYS": "css_set.subsys",
    "CSS_CGROUP": "cgroup_subsys_state.cgroup",
    "CGROUP_KN": "cgroup.kn",
    "CGROUP_LEVEL": "cgroup.level",
    "CGROUP_PARENT": "cgroup.self.parent",
    "KN_ID": "kernfs_node.id",
}
# What `common.h` makes use of where the kernel has it: a BPF helper that is as old, or came later.
# Compare-and-exchange is of 5.12, and arm64 compiles it since 5.18; kptr_xchg is of 5.19.
COMMON_ABILITIES = {
    "TASK_BTF": "bpf_func_id.BPF_FUNC_get_current_task_btf",
    "CMPXCHG": "bpf_func_id.BPF_FUNC_kptr_xchg",
}
