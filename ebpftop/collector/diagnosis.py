"""From what was found on a machine to what is wrong with it, and the command that mends it.

Pure: `ebpftop.collector.doctor` finds the facts.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ebpftop.collector.hooks import WITH_BTF
from ebpftop.sources.interpreter import how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.collector.kernel_facts import Cgroups, Kernel, Rights, Seen
    from ebpftop.collector.survey import Finding
    from ebpftop.collector.toolchain import Tools
    from ebpftop.collector.trials import Trial

OLDEST_PYTHON = [3, 10]
MACHINES = ("x86_64", "aarch64")  # of which the numbers of the system calls are known
# Which trial stands for the hooks that begin with that, as in `Hook.__str__`.
NEEDS = {
    "raw_tp": "raw tracepoint",
    "perf": "perf event",
    "kprobe": "kprobe",
    "kretprobe": "kprobe",
    "tp": "tracepoint",
    "tracepoint": "tracepoint",
    "fentry": "fentry",
    "fexit": "fentry",
}
TYPED = "typed raw tracepoint"
# Which every probe needs, or nearly.
EVERYTHING = (
    *("kernel reads", "hash map", "array map", "per-CPU array map", "LRU hash map"),
    "batch reads",
)
BTF = "/sys/kernel/btf/vmlinux"
LOCKDOWN = "kernel lockdown (confidentiality)"
LOG = "the log may say what refused it:", "sudo journalctl -k -g 'audit|lockdown' -n 20"
ENOTSUPP = 524  # include/linux/errno.h; not for programs to see, yet fentry gives it
FREQUENCY = 99
MEMLOCK_BYTES = 64 << 20  # what the maps of all probes take
Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        level: `error` where no probe can run for it.
        why: why it matters.
        fix: what to do, where no command does it.
        command: the command that does it.
    """

    level: Level
    what: str
    why: str
    fix: str = ""
    command: str = ""


@dataclass(frozen=True)
class Facts:
    """What was found.

    Attributes:
        root: whether this process is the superuser.
        has_sudo: whether there is a way to become it.
        btf_error: why the kernel's BTF does not tell its types; empty where it does.
        headers: where the headers are that tell them instead.
        headers_error: why they do not; `headers_command` would bring them.
        symbols_hidden: whether the kernel hides the addresses of its functions from us.
        memlock_counts: whether maps count as locked memory (before 5.11); None: unknown.
        trials: what the kernel did; empty without root.
        typed: names of the probes that have raw tracepoints with types here.
        plans: what each probe would hang on.
        hidden: what EBPFTOP_WITHOUT hides from them.
    """

    root: bool
    has_sudo: bool
    kernel: Kernel
    btf_error: str
    headers: str
    headers_error: str
    headers_command: str
    rights: Rights
    settings: dict[str, int | None]
    symbols_hidden: bool | None
    memlock_counts: bool | None
    tools: Tools
    trials: tuple[Trial, ...]
    cgroups: Cgroups
    containers: Seen
    typed: tuple[str, ...]
    plans: tuple[Finding, ...]
    hidden: str = ""

    def failed(self, *names: str) -> Trial | None:
        """The first of some trials that did not succeed."""
        return next((t for t in self.trials if t.name in names and not t.ok), None)


def diagnose(facts: Facts) -> tuple[list[Problem], list[Finding]]:
    """What is wrong, worst first, and what becomes of each probe for it."""
    found = [*_of_tools(facts), *_of_kernel(facts), *_of_sight(facts)]
    if facts.root:
        found[:0] = _of_rights(facts)
    elif not facts.has_sudo:
        why = "loading BPF programs needs root"
        found.append(Problem("warning", "not root, and there is no sudo", why, "", "su"))
    fatal = next((problem.what for problem in found if problem.level == "error"), "")
    probes = [_verdict(facts, plan, fatal) for plan in facts.plans]
    if not fatal:
        found += _of_probes(facts, probes)
    return sorted(found, key=lambda problem: problem.level != "error"), probes


def explained(facts: Facts) -> tuple[Trial, ...]:
    """The trials, each that failed with its reason."""
    return tuple(
        trial if trial.ok or trial.reason else replace(trial, reason=_reason(facts, trial))
        for trial in facts.trials
    )


def _verdict(facts: Facts, plan: Finding, fatal: str) -> Finding:
    if plan.state == "unavailable":
        return plan
    if fatal:
        return replace(plan, state="unavailable", reason=fatal, hint="")
    refused = facts.failed(*_needs(facts, plan))
    if not refused:
        return plan
    reason = f"{refused.name}: {refused.reason}"
    return replace(plan, state="unavailable", reason=reason, hint="")


def needed(facts: Facts) -> set[str]:
    """Names of the trials that some probe's plan, or every probe, depends on."""
    return set(EVERYTHING).union(*(_needs(facts, plan) for plan in facts.plans))


def _needs(facts: Facts, plan: Finding) -> list[str]:
    kinds = [NEEDS[kind] for hook in plan.hooks if (kind := hook.split(":")[0]) in NEEDS]
    return [*kinds, TYPED] if plan.probe in facts.typed else kinds


def _reason(facts: Facts, trial: Trial) -> str:
    """Why the kernel said no, as far as it can be told from what else is known."""
    refused = trial.errno in (errno.EPERM, errno.EACCES)
    if refused or (trial.name == "kernel reads" and _is_locked_down(facts)):
        return _refusal(facts)
    reasons = {
        errno.EINVAL: "not in this kernel",
        errno.ENOSYS: "not in this kernel",
        errno.ENOENT: "not in this kernel",
        errno.EOPNOTSUPP: "not in this kernel",
        ENOTSUPP: "not in this kernel",
        errno.ENOMEM: "no memory left, or a limit on it",
        errno.ENOSPC: "no memory left, or a limit on it",
        errno.EBUSY: "in use by something else",
    }
    slow = (facts.settings["perf_event_max_sample_rate"] or FREQUENCY) < FREQUENCY
    if trial.name == "perf event" and trial.errno == errno.EINVAL and slow:
        return f"kernel.perf_event_max_sample_rate is below {FREQUENCY}"
    code = errno.errorcode.get(trial.errno, "ENOTSUPP" if trial.errno == ENOTSUPP else "")
    return f"{reasons.get(trial.errno, 'refused')} ({code or trial.errno})"


def _is_locked_down(facts: Facts) -> bool:
    """Whether programs may not read: told, or noticed where it is not told.

    The helper is then not there for them (EINVAL), though everything else may be loaded.
    """
    if facts.kernel.lockdown or facts.failed("raw tracepoint"):
        return facts.kernel.lockdown == "confidentiality"
    return facts.failed("kernel reads") is not None


def _refusal(facts: Facts) -> str:
    if _is_locked_down(facts):
        return f"refused: {LOCKDOWN}"
    if facts.rights.own_users:
        return "refused: root of a user namespace only"
    missing = _lacking(facts, "BPF", "PERFMON")
    if missing:
        return f"refused: without {missing}"
    if _locked_memory_is_short(facts):
        return "refused: more locked memory than `ulimit -l` allows"
    if facts.rights.seccomp:
        return "refused despite all rights; a seccomp filter?"
    return "refused despite all rights; a security module, or the build"


def _lacking(facts: Facts, *names: str) -> str:
    """The capabilities that are not there, as text; SYS_ADMIN stands for BPF and PERFMON."""
    held = facts.rights.capabilities
    known = {"BPF": held["BPF"] or held["SYS_ADMIN"], "PERFMON": held["PERFMON"]}
    known["PERFMON"] |= held["SYS_ADMIN"]
    missing = [f"CAP_{name}" for name in names if not known.get(name, held[name])]
    return " and ".join(missing)


def _granted(*names: str) -> str:
    """How a process in a container or a service is given capabilities."""
    add = " ".join(f"--cap-add={name}" for name in names)
    services = " ".join(f"CAP_{name}" for name in names)
    return f"Docker, Podman: {add}; systemd: CapabilityBoundingSet={services}"


def _locked_memory_is_short(facts: Facts) -> bool:
    limit = facts.rights.memlock_bytes
    may_raise = facts.rights.capabilities["SYS_RESOURCE"]
    return bool(
        facts.memlock_counts and limit is not None and limit < MEMLOCK_BYTES and not may_raise
    )


def _of_rights(facts: Facts) -> Iterator[Problem]:
    """What keeps root from being root."""
    rights = facts.rights
    lacking = _lacking(facts, "BPF", "PERFMON")
    refused = facts.failed("raw tracepoint")
    if rights.own_users:
        why = "its rights end at its user namespace; BPF programs see the whole machine"
        fix = "run it as root outside of the (rootless) container: sudo ebpftop doctor"
        yield Problem("error", "root, but of a user namespace only", why, fix)
    elif lacking:
        fix = _granted("BPF", "PERFMON")
        yield Problem("error", f"root without {lacking}", "the kernel loads no programs", fix)
    if _is_locked_down(facts):
        yield _lockdown(facts)
    elif refused and not lacking and not rights.own_users:
        yield _no_programs(facts, refused)
    elif (
        not refused and not _locked_memory_is_short(facts) and (trial := facts.failed(*EVERYTHING))
    ):
        why = f"{trial.reason}; every probe needs it"
        yield Problem("error", f"the kernel refuses: {trial.name}", why, "a newer kernel has it")
    if _locked_memory_is_short(facts):
        assert rights.memlock_bytes is not None
        what = f"maps may take {rights.memlock_bytes >> 10} kB of locked memory, and no more"
        why = "this kernel counts them (before 5.11)"
        fix = "systemd: LimitMEMLOCK=infinity; Docker: --ulimit memlock=-1; a shell:"
        level: Level = "error" if facts.failed(*EVERYTHING) else "warning"
        yield Problem(level, what, why, fix, "ulimit -l unlimited")


def _lockdown(facts: Facts) -> Problem:
    what = LOCKDOWN
    why = "no program may read the kernel's memory, and every probe has to"
    if facts.kernel.lockdown_at_boot == "confidentiality":
        fix = "write lockdown=integrity in /etc/default/grub, then update-grub and"
        return Problem("error", what, why, fix, "sudo reboot")
    return Problem("error", what, why, "it holds until the next boot", "sudo reboot")


def _no_programs(facts: Facts, trial: Trial) -> Problem:
    what, why = "the kernel loads no BPF programs", trial.reason
    if trial.errno == errno.ENOSYS:
        fix = "boot a kernel built with CONFIG_BPF_SYSCALL=y"
    elif facts.rights.seccomp:
        fix = "start the container with --security-opt seccomp=unconfined"
    else:
        return Problem("error", what, why, *LOG)
    return Problem("error", what, why, fix)


def _of_tools(facts: Facts) -> Iterator[Problem]:
    command = how_to_install(facts.kernel.id)
    fix = "" if command else "install the distribution's bcc and psutil for its Python 3"
    if facts.tools.error.startswith("EBPFTOP_PYTHON"):
        why = "that variable names the Python for the collector"
        yield Problem("error", facts.tools.error, why, "", "unset EBPFTOP_PYTHON")
    elif not facts.tools.collector:
        why = "the collector compiles its programs with bcc"
        wrong = next((p.path for p in facts.tools.pythons if "PyPI" in p.error), "")
        if wrong:
            why += f"; the bcc of {wrong} is PyPI's, which is something else"
        yield Problem("error", "no Python here can import bcc and psutil", why, fix, command)
    elif too_old := _too_old(facts.tools):
        fix = "EBPFTOP_PYTHON names another, or a newer distribution has one"
        yield Problem("error", too_old, "the collector is not written for it", fix)


def _too_old(tools: Tools) -> str:
    for python in tools.pythons:
        numbers = [int(part) for part in python.version.split(".") if part.isdigit()]
        if python.path == tools.collector and numbers < OLDEST_PYTHON:
            return f"{python.path} is Python {python.version}; the collector needs 3.10"
    return ""


def _of_kernel(facts: Facts) -> Iterator[Problem]:
    kernel = facts.kernel
    if kernel.machine not in MACHINES:
        why = "its system calls have other numbers"
        yield Problem("error", f"{kernel.machine} is not known here", why, "use x86-64 or arm64")
    if facts.btf_error:
        yield _no_types(facts)
    if facts.settings["bpf_jit_enable"] == 0:
        why = "programs are interpreted, at several times the cost"
        command = "sudo sysctl net.core.bpf_jit_enable=1"
        yield Problem("warning", "the kernel does not compile BPF programs", why, "", command)


def _no_types(facts: Facts) -> Problem:
    what, fix, command = facts.btf_error, WITH_BTF, ""
    why = "the places of the kernel's structures are taken from there"
    if facts.kernel.btf_bytes is None and facts.kernel.config.get("DEBUG_INFO_BTF") == "y":
        what, fix, command = f"{BTF} cannot be seen", "", "sudo mount -t sysfs sysfs /sys"
    elif not facts.headers:
        what += f", and {facts.headers_error}"
        if facts.headers_command:
            fix += ", or get its headers:"
            command = f"sudo {facts.headers_command}"
    if not facts.headers:
        return Problem("error", what, why, fix, command)
    why = f"its headers are read instead ({facts.headers}); they do not tell all, nor allow fentry"
    return Problem("warning", what, why, fix, command)


def _of_sight(facts: Facts) -> Iterator[Problem]:
    """What probes run without, and show less."""
    if facts.rights.own_processes:
        why = "processes have other numbers in the kernel: users, paths and units are wrong"
        fix = "start the container with --pid=host, or run ebpftop on the host"
        yield Problem("warning", "in a PID namespace of its own (a container?)", why, fix)
    if facts.cgroups.layout == "none":
        command = "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup"
        why = "units and containers are told by cgroup"
        yield Problem("warning", "no cgroup tree is mounted", why, "", command)
    if not facts.root:
        return
    if facts.symbols_hidden and facts.settings["kptr_restrict"] == 2:
        why = "stacks show numbers instead of the kernel's functions"
        command = "sudo sysctl kernel.kptr_restrict=1"
        yield Problem("warning", "kptr_restrict hides the kernel's functions", why, "", command)
    elif _lacking(facts, "SYSLOG"):
        why = "stacks show numbers instead of the kernel's functions"
        yield Problem("warning", "root without CAP_SYSLOG", why, _granted("SYSLOG"))
    if _lacking(facts, "SYS_PTRACE"):
        why = "of other users' processes neither paths nor functions can be read"
        yield Problem("warning", "root without CAP_SYS_PTRACE", why, _granted("SYS_PTRACE"))
    if _lacking(facts, "DAC_READ_SEARCH"):
        why = "cgroups have no names, hence neither units nor containers"
        fix = _granted("DAC_READ_SEARCH")
        yield Problem("warning", "root without CAP_DAC_READ_SEARCH", why, fix)


def _of_probes(facts: Facts, probes: list[Finding]) -> Iterator[Problem]:
    """What each probe lacks; those that lack the same are said together."""
    if facts.hidden:
        why = f"the probes do without {facts.hidden}; it is there for tests"
        yield Problem("warning", "EBPFTOP_WITHOUT is set", why, "", "unset EBPFTOP_WITHOUT")
    lacking = [probe for probe in probes if probe.state != "full"]
    level: Level = "warning" if any(probe.state != "unavailable" for probe in probes) else "error"
    groups: dict[tuple[str, str, str], list[str]] = {}
    for probe in lacking:
        groups.setdefault((probe.state, probe.reason, probe.hint), []).append(probe.probe)
    for (state, reason, hint), names in groups.items():
        shows = "shows less than it could" if len(names) == 1 else "show less than they could"
        does = "cannot run" if state == "unavailable" else shows
        fix, command = hint or "a newer kernel has what is missing", ""
        if "perf_event_max_sample_rate" in reason:
            fix, command = "", "sudo sysctl kernel.perf_event_max_sample_rate=100000"
        elif "refused" in reason:
            fix, command = LOG
        yield Problem(level, f"{', '.join(names)} {does}", reason, fix, command)
