"""`ebpftop probes`: what each probe would hang on here, found out without loading anything."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ebpftop import registry
from ebpftop.collector import hooks
from ebpftop.collector.btf import BtfError
from ebpftop.collector.cache import Cache
from ebpftop.collector.kernel_types import kernel_types

if TYPE_CHECKING:
    from ebpftop.collector.hooks import KernelTypes
    from ebpftop.probe import Probe


@dataclass(frozen=True)
class Finding:
    """What was found for one probe: `state` is full, degraded or unavailable."""

    probe: str
    title: str
    state: str
    hooks: tuple[str, ...] = ()
    reason: str = ""
    hint: str = ""


def survey(kernel: KernelTypes | None = None) -> list[Finding]:
    """One finding per probe, in menu order; `kernel` is the running one, if already known."""
    try:
        kernel = kernel or kernel_types(Cache())
    except hooks.UnavailableError as error:
        return [
            Finding(probe.name, probe.title, "unavailable", (), error.reason, error.hint)
            for probe in registry.probes().values()
        ]
    return [_find(probe, kernel) for probe in registry.probes().values()]


def _find(probe: Probe, kernel: KernelTypes) -> Finding:
    try:
        plan = hooks.plan(probe, kernel)
    except hooks.UnavailableError as error:
        return Finding(probe.name, probe.title, "unavailable", (), error.reason, error.hint)
    except BtfError as error:
        hint = "please report it, with the kernel's version"
        return Finding(probe.name, probe.title, "unavailable", (), str(error), hint)
    state = "degraded" if plan.missing else "full"
    used = tuple(map(str, plan.hooks))
    return Finding(probe.name, probe.title, state, used, "; ".join(plan.missing))


def print_survey(as_json: bool) -> int:
    """Write the findings to standard output; returns 1 where no probe can run."""
    findings = survey()
    if as_json:
        json.dump([asdict(finding) for finding in findings], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for finding in findings:
            said = [", ".join(finding.hooks), finding.reason, finding.hint]
            first, *rest = filter(None, said)
            sys.stdout.write(f"{finding.probe:<14}{finding.state:<13}{first}\n")
            sys.stdout.writelines(f"{'':<27}{line}\n" for line in rest)
    return 0 if any(finding.state != "unavailable" for finding in findings) else 1
