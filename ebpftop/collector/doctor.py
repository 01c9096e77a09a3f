"""`ebpftop doctor`: examines this machine, and changes nothing on it."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ebpftop import __version__, registry
from ebpftop.collector import diagnosis, kernel_facts, toolchain, trials
from ebpftop.collector.btf import WITHOUT
from ebpftop.collector.cache import Cache
from ebpftop.collector.diagnosis import Facts, Problem
from ebpftop.collector.hooks import COMMON_ABILITIES
from ebpftop.collector.kernel_types import told
from ebpftop.collector.survey import Finding, survey
from ebpftop.hook import AllOf, FirstOf, Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ebpftop.collector.hooks import KernelTypes
    from ebpftop.hook import HookPlan

NEEDS_ROOT = (
    "whether the kernel loads programs and maps",
    "what root may do here",
    "names of containers",
)
# A helper of the kernel that no longer counts maps as locked memory (5.11).
COUNTS_NO_LOCKED_MEMORY = "bpf_func_id.BPF_FUNC_ktime_get_coarse_ns"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Report:
    """What was found, and what it means.

    Attributes:
        problems: what is wrong, worst first.
        unchecked: what could not be found out.
        probes: what becomes of each probe here.
    """

    facts: Facts
    problems: tuple[Problem, ...]
    unchecked: tuple[str, ...]
    probes: tuple[Finding, ...]

    @property
    def able(self) -> list[str]:
        """Names of the probes that can run, as far as is known."""
        return [probe.probe for probe in self.probes if probe.state != "unavailable"]

    def json(self) -> dict[str, Any]:
        """For programs; keys are kept."""
        facts = asdict(self.facts)
        del facts["plans"], facts["typed"]
        return {
            "version": __version__,
            "able": self.able,
            "problems": [asdict(problem) for problem in self.problems],
            "unchecked": list(self.unchecked),
            "probes": [asdict(probe) for probe in self.probes],
            **facts,
        }


def examine() -> Report:
    """Look at this machine. What goes wrong meanwhile is told as not checked."""
    unchecked: list[str] = []
    facts = _facts(unchecked)
    if not facts.root:
        unchecked[:0] = NEEDS_ROOT
    facts = replace(facts, trials=diagnosis.explained(facts))
    problems, probes = diagnosis.diagnose(facts)
    return Report(facts, tuple(problems), tuple(unchecked), tuple(probes))


def _facts(unchecked: list[str]) -> Facts:
    def find(what: str, ask: Callable[[], Found], otherwise: Found) -> Found:
        try:
            return ask()
        except Exception as error:  # a fault in one check must not hide what the others found
            unchecked.append(f"{what} ({error!r})")
            return otherwise

    root = os.geteuid() == 0
    types = told(Cache())
    layout = kernel_facts.cgroup_layout()
    nothing_seen = kernel_facts.Seen({}, ())
    plans = find("what each probe can hang on", lambda: survey(types.types), list[Finding]())
    return Facts(
        root,
        shutil.which("sudo") is not None,
        kernel_facts.kernel(),
        types.btf_error,
        types.headers,
        types.headers_error,
        types.command,
        kernel_facts.rights(),
        kernel_facts.settings(),
        kernel_facts.symbols_hidden(),
        types.types.enumerator(COUNTS_NO_LOCKED_MEMORY) is None if types.types else None,
        toolchain.tools(),
        tuple(find("what the kernel loads", trials.run, list[trials.Trial]())) if root else (),
        layout,
        find("containers", lambda: kernel_facts.containers_seen(layout), nothing_seen),
        tuple(_typed(plans)) if types.types and _has_types(types.types) else (),
        tuple(plans),
        os.environ.get(WITHOUT, ""),
    )


def _has_types(kernel: KernelTypes) -> bool:
    return kernel.enumerator(COMMON_ABILITIES["TASK_BTF"]) is not None


def _typed(plans: list[Finding]) -> Iterator[str]:
    """Names of the probes that have chosen a raw tracepoint with types."""
    for plan in plans:
        hooks = [hook for slot in registry.probes()[plan.probe].hooks for hook in _hooks(slot)]
        if any(hook.typed and str(hook) in plan.hooks for hook in hooks):
            yield plan.probe


def _hooks(slot: HookPlan) -> tuple[Hook, ...]:
    if isinstance(slot, FirstOf):
        return tuple(hook for way in slot.ways for hook in way.hooks)
    return slot.hooks if isinstance(slot, AllOf) else (slot,)
