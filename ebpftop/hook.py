"""Where the programs of a probe hang: attach points, and ways to choose between.

Probes import these from `ebpftop.probe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Members = Mapping[str, str | tuple[str, ...]]
HookKind = Literal[
    "raw_tracepoint", "tracepoint", "fentry", "fexit", "kprobe", "kretprobe", "perf_event"
]


@dataclass(frozen=True)
class Hook:
    """A kernel attach point and the BPF function that runs there.

    Attributes:
        kind: how to attach.
        target: name of the raw tracepoint or function; of a tracepoint `category:name`; for perf
            events `cpu-clock`.
        program: the C function.
        args: the arguments that the program reads, in order, as `name=type` with the type as the
            kernel's BTF spells it (`prev=struct task_struct *`); a `?` after the type makes it
            optional. Of a tracepoint, the members of its record, as `name=struct.member`. A hook
            whose arguments do not match is not there.
        frequency: runs a second and CPU, for perf events.
        typed: whether the program reads what its arguments point to as it does CURRENT_TASK, with
            READ_TASK, which takes no helper (raw tracepoints; 5.11, a helper before).
    """

    kind: HookKind
    target: str
    program: str
    args: tuple[str, ...] = ()
    frequency: int = 0
    typed: bool = False

    def __str__(self) -> str:
        """The hook as the pane and `ebpftop probes` name it."""
        if self.kind == "perf_event":
            return f"perf:{self.target}@{self.frequency}"
        kind = {"raw_tracepoint": "raw_tp", "tracepoint": "tp"}.get(self.kind, self.kind)
        return f"{kind}:{self.target}"


@dataclass(frozen=True)
class AllOf:
    """Hooks that belong together, and what their programs read that others do not.

    Attributes:
        missing: what is not seen when this way is taken.
        offsets, enums: as those of `Probe`; where one is not there, the next way is taken.
    """

    hooks: tuple[Hook, ...]
    missing: str = ""
    offsets: Members = field(default_factory=dict)
    enums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FirstOf:
    """Ways to see the same thing, best first; the first one that the kernel offers is taken.

    With `without` set, doing without any of them is allowed and the sentence says what is then
    not seen. Otherwise the probe is unavailable.
    """

    ways: tuple[AllOf, ...]
    without: str = ""


HookPlan = Hook | AllOf | FirstOf


def raw_tracepoint(target: str, program: str, *args: str, typed: bool = False) -> Hook:
    """A raw tracepoint; `args` and `typed` as in `Hook`."""
    return Hook("raw_tracepoint", target, program, args, typed=typed)


def tracepoint(target: str, program: str, *args: str) -> Hook:
    """A tracepoint by its record, `category:name`, read with FIELD; `args` as in `Hook`.

    Takes longer than a raw one, for the kernel writes the record first, and needs tracefs; but no
    other thread can run in between. Its program must return 1: 0 hides the event from perf.
    """
    return Hook("tracepoint", target, program, args)


def fentry(target: str, program: str, *args: str) -> Hook:
    """The entry of a kernel function, by a trampoline (5.5; arm64: 6.4); `args` as in `Hook`."""
    return Hook("fentry", target, program, args)


def fexit(target: str, program: str, *args: str) -> Hook:
    """The end of a kernel function, as `fentry`; `ARG(program, return)` is its result."""
    return Hook("fexit", target, program, args)


def kprobe(target: str, program: str, *args: str) -> Hook:
    """The entry of a kernel function; `args` as in `Hook`, read with KARG."""
    return Hook("kprobe", target, program, args)


def kretprobe(target: str, program: str) -> Hook:
    """The end of a kernel function, whose result is KRETURN.

    The kernel remembers as many calls at a time as it has CPUs, or a few more, and misses the
    others: of functions that wait, a program sees only some of the returns.
    """
    return Hook("kretprobe", target, program)


def perf_event(target: str, program: str, frequency: int) -> Hook:
    """A software perf event, on every CPU, `frequency` times a second."""
    return Hook("perf_event", target, program, frequency=frequency)


def all_of(
    *hooks: Hook,
    missing: str = "",
    offsets: Members | None = None,
    enums: Mapping[str, str] | None = None,
) -> AllOf:
    """Hooks that only make sense together; see `AllOf`."""
    return AllOf(hooks, missing, offsets or {}, enums or {})


def first_of(*ways: Hook | AllOf, without: str = "") -> FirstOf:
    """The first way that the kernel offers."""
    return FirstOf(tuple(AllOf((way,)) if isinstance(way, Hook) else way for way in ways), without)
