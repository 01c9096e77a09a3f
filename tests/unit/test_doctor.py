"""The doctor: from facts, made up here, to what is wrong; and the screen that tells it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from ebpftop.collector import kernel_facts
from ebpftop.collector.diagnosis import Facts, diagnose, explained
from ebpftop.collector.doctor import Report
from ebpftop.collector.kernel_facts import Cgroups, Kernel, Rights, Seen
from ebpftop.collector.survey import Finding
from ebpftop.collector.toolchain import Python, Tools
from ebpftop.collector.trials import KINDS, Trial
from ebpftop.commands import doctor

HEALTHY = Facts(
    root=True,
    has_sudo=True,
    kernel=Kernel(
        "6.12.1", "x86_64", "Debian 13", ("debian",), "", {}, "none", "", 5_000_000, "/t", True
    ),
    btf_error="",
    headers="",
    headers_error="",
    headers_command="",
    rights=Rights(0, dict.fromkeys(kernel_facts.CAPABILITIES, True), False, False, False, None),
    settings={**dict.fromkeys(kernel_facts.SETTINGS, 1), "perf_event_max_sample_rate": 100_000},
    symbols_hidden=False,
    memlock_counts=False,
    tools=Tools("/usr/bin/python3", "", (Python("/usr/bin/python3", "/usr", "3.13", "0.31"),)),
    trials=tuple(Trial(name, ok=True) for name in KINDS),
    cgroups=Cgroups("v2", "/sys/fs/cgroup", ""),
    containers=Seen({}, ()),
    typed=("offcputime",),
    plans=(
        Finding("biotop", "Block I/O", "full", ("raw_tp:block_io_start",)),
        Finding("offcputime", "Off-CPU", "full", ("raw_tp:sched_switch",)),
        Finding("runqlen", "Run queues", "full", ("raw_tp:sched_switch", "perf:cpu-clock@99")),
        Finding("tcptop", "TCP", "full", ("kprobe:tcp_sendmsg",)),
    ),
)
ALL = [plan.probe for plan in HEALTHY.plans]


def on(**changes) -> Facts:
    """A healthy machine but for some facts; names with `__` change what is inside of one."""
    facts = HEALTHY
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        value = replace(getattr(facts, outer), **{inner: value}) if inner else value
        facts = replace(facts, **{outer: value})
    return replace(facts, trials=explained(facts))


def refusing(*names: str, code: int = errno.EPERM, **changes) -> Facts:
    """The same, on a kernel that refuses some trials."""
    trials = tuple(
        Trial(name, ok=False, errno=code) if name in names else Trial(name, ok=True)
        for name in KINDS
    )
    return on(trials=trials, **changes)


def without(*names: str) -> dict[str, bool]:
    return {name: name not in names for name in kernel_facts.CAPABILITIES}


def report(facts: Facts, *unchecked: str) -> Report:
    problems, probes = diagnose(facts)
    return Report(facts, tuple(problems), unchecked, tuple(probes))


def text(facts: Facts, *unchecked: str, width: int = 80) -> str:
    parts = doctor.lines(report(facts, *unchecked), width)
    return "\n".join(head + rest for _, head, rest in parts)


NO_BCC = "no Python here can import bcc and psutil; on Debian and Ubuntu: …"
OLD = "this kernel has no raw_tp:block_io_start"
# Facts, level, what is wrong, and what mends it.
PROBLEMS = {
    "no bcc": (
        on(tools=Tools("", NO_BCC, ())),
        *(
            "error",
            "no Python here can import bcc",
            "sudo apt install python3-bpfcc python3-psutil",
        ),
    ),
    "no bcc, Fedora": (
        on(tools=Tools("", NO_BCC, ()), kernel__id=("fedora",)),
        *("error", "no Python here", "sudo dnf install python3-bcc python3-psutil"),
    ),
    "no bcc, a relative of Red Hat's": (
        on(tools=Tools("", NO_BCC, ()), kernel__id=("rocky", "rhel", "centos", "fedora")),
        *("error", "no Python here", "sudo dnf install python3-bcc python3-psutil"),
    ),
    "no bcc, a system of its own": (
        on(tools=Tools("", NO_BCC, ()), kernel__id=("nixos",)),
        *("error", "no Python here", "the distribution's bcc and psutil"),
    ),
    "another Python asked for": (
        on(tools__collector="", tools__error="EBPFTOP_PYTHON=x cannot import bcc and psutil"),
        *("error", "EBPFTOP_PYTHON=x cannot import", "unset EBPFTOP_PYTHON"),
    ),
    "an old Python": (
        on(tools=Tools("/usr/bin/python3", "", (Python("/usr/bin/python3", "/usr", "3.9.2"),))),
        *("error", "/usr/bin/python3 is Python 3.9.2; the collector needs 3.10", "EBPFTOP_PYTHON"),
    ),
    "another architecture": (
        on(kernel__machine="riscv64"),
        *("error", "riscv64 is not known", "x86-64 or arm64"),
    ),
    "no BTF": (
        on(kernel__btf_bytes=None, btf_error="the kernel has no BTF", headers_error="no headers"),
        *("error", "the kernel has no BTF, and no headers", "CONFIG_DEBUG_INFO_BTF=y"),
    ),
    "no BTF, and a package of headers": (
        on(btf_error="the kernel has no BTF", headers_error="no", headers_command="apt install h"),
        *("error", "the kernel has no BTF, and no", "sudo apt install h"),
    ),
    "headers instead of BTF": (
        on(btf_error="the kernel has no BTF", headers="/lib/modules/6.1/build"),
        *("warning", "the kernel has no BTF", "CONFIG_DEBUG_INFO_BTF=y"),
    ),
    "BTF out of sight": (
        on(kernel__btf_bytes=None, kernel__config={"DEBUG_INFO_BTF": "y"}, btf_error="no BTF"),
        *("error", "cannot be seen", "sudo mount -t sysfs sysfs /sys"),
    ),
    "lockdown": (
        refusing("kernel reads", kernel__lockdown="confidentiality"),
        *("error", "kernel lockdown (confidentiality)", "sudo reboot"),
    ),
    "lockdown that stays": (
        on(kernel__lockdown="confidentiality", kernel__lockdown_at_boot="confidentiality"),
        *("error", "kernel lockdown", "lockdown=integrity in /etc/default/grub"),
    ),
    "lockdown that is not told but noticed": (
        refusing("kernel reads", code=errno.EINVAL, kernel__lockdown=""),
        *("error", "kernel lockdown", "sudo reboot"),
    ),
    "a user namespace": (
        refusing(*KINDS, rights__own_users=True),
        *("error", "root, but of a user namespace only", "outside of the (rootless) container"),
    ),
    "root in name only": (
        refusing(*KINDS, rights__capabilities=without("BPF", "PERFMON", "SYS_ADMIN")),
        *("error", "without CAP_BPF and CAP_PERFMON", "--cap-add=BPF --cap-add=PERFMON"),
    ),
    "seccomp": (
        refusing(*KINDS, rights__seccomp=True),
        *("error", "the kernel loads no BPF programs", "--security-opt seccomp=unconfined"),
    ),
    "no bpf(2)": (
        refusing(*KINDS, code=errno.ENOSYS),
        *("error", "the kernel loads no BPF programs", "CONFIG_BPF_SYSCALL=y"),
    ),
    "a security module": (
        refusing(*KINDS),
        *("error", "the kernel loads no BPF programs", "sudo journalctl -k"),
    ),
    "no reads, and no lockdown": (
        refusing("kernel reads", code=errno.EINVAL),
        *("error", "the kernel refuses: kernel reads", "a newer kernel has it"),
    ),
    "no batches": (
        refusing("batch reads", code=errno.EINVAL),
        *("error", "the kernel refuses: batch reads", "a newer kernel has it"),
    ),
    "too little locked memory": (
        refusing(
            "hash map",
            memlock_counts=True,
            rights__memlock_bytes=65536,
            rights__capabilities=without("SYS_RESOURCE"),
        ),
        *("error", "maps may take 64 kB", "ulimit -l unlimited"),
    ),
    "little locked memory": (
        on(
            memlock_counts=True,
            rights__memlock_bytes=65536,
            rights__capabilities=without("SYS_RESOURCE"),
        ),
        *("warning", "maps may take 64 kB", "ulimit -l unlimited"),
    ),
    "processes of its own": (
        on(rights__own_processes=True),
        *("warning", "in a PID namespace of its own", "--pid=host"),
    ),
    "hidden symbols": (
        on(symbols_hidden=True, settings={**HEALTHY.settings, "kptr_restrict": 2}),
        *("warning", "kptr_restrict hides", "sudo sysctl kernel.kptr_restrict=1"),
    ),
    "symbols for others": (
        on(symbols_hidden=True, rights__capabilities=without("SYSLOG")),
        *("warning", "root without CAP_SYSLOG", "--cap-add=SYSLOG"),
    ),
    "no look at others' memory": (
        on(rights__capabilities=without("SYS_PTRACE")),
        *("warning", "root without CAP_SYS_PTRACE", "CapabilityBoundingSet=CAP_SYS_PTRACE"),
    ),
    "no names of cgroups": (
        on(rights__capabilities=without("DAC_READ_SEARCH")),
        *("warning", "root without CAP_DAC_READ_SEARCH", "--cap-add=DAC_READ_SEARCH"),
    ),
    "interpreted programs": (
        on(settings={**HEALTHY.settings, "bpf_jit_enable": 0}),
        *("warning", "does not compile BPF programs", "sudo sysctl net.core.bpf_jit_enable=1"),
    ),
    "no cgroups": (
        on(cgroups=Cgroups("none", "", "")),
        *("warning", "no cgroup tree", "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
    ),
    "no sudo": (on(root=False, has_sudo=False, trials=()), "warning", "there is no sudo", "su"),
    "an old kernel": (
        on(plans=(HEALTHY.plans[1], Finding("biotop", "", "unavailable", (), OLD, "a newer one"))),
        *("warning", "biotop cannot run", "a newer one"),
    ),
    "less than all": (
        on(plans=(Finding("tcptop", "", "degraded", ("raw_tp:x",), "splice is not seen"),)),
        *("warning", "tcptop shows less than it could", "a newer kernel"),
    ),
    "hidden hooks": (
        on(hidden="raw_tp:x"),
        *("warning", "EBPFTOP_WITHOUT is set", "unset EBPFTOP_WITHOUT"),
    ),
    "functions refused": (
        refusing("kprobe"),
        *("warning", "tcptop cannot run", "sudo journalctl -k"),
    ),
    "samples too seldom": (
        refusing(
            "perf event",
            code=errno.EINVAL,
            settings={**HEALTHY.settings, "perf_event_max_sample_rate": 50},
        ),
        *("warning", "runqlen cannot run", "sudo sysctl kernel.perf_event_max_sample_rate=100000"),
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_each_problem_says_why_it_matters_and_what_mends_it(case):
    facts, level, what, fix = PROBLEMS[case]
    problem = next(p for p in diagnose(facts)[0] if what in p.what)
    assert (problem.level, bool(problem.why)) == (level, True)
    assert fix in f"{problem.fix} {problem.command}"


@pytest.mark.parametrize("case", PROBLEMS)
def test_an_error_means_that_no_probe_can_run_and_a_warning_that_some_can(case):
    facts, level, _, _ = PROBLEMS[case]
    made = report(facts)
    assert bool(made.able) == (level == "warning")
    # A cause is told once, not again for all that comes of it.
    assert [problem.level for problem in made.problems] == [level]


@pytest.mark.parametrize("case", PROBLEMS)
def test_the_screen_is_80_wide_and_commands_stand_whole_on_a_line(case):
    facts = PROBLEMS[case][0]
    screen = text(facts).splitlines()
    assert all(len(line) <= 80 for line in screen)
    for problem in diagnose(facts)[0]:
        if problem.command:
            assert f"    $ {problem.command}" in screen


def test_a_healthy_machine_has_nothing_to_mend_and_fits_on_a_terminal():
    assert diagnose(HEALTHY) == ([], list(HEALTHY.plans))
    screen = text(HEALTHY)
    assert screen.splitlines()[0] == "all 4 probes can run here; nothing is wrong"
    assert len(screen.splitlines()) <= 23


def test_what_is_wrong_comes_first_and_the_worst_before_all():
    facts = on(tools=Tools("", NO_BCC, ()), cgroups=Cgroups("none", "", ""))
    screen = text(facts)
    assert screen.startswith("none of 4 probes can run here; 2 things to mend\n\nerror: ")
    assert screen.index("error: ") < screen.index("warning: ") < screen.index("kernel  ")


def test_pypis_bcc_is_named_as_the_wrong_one():
    wrong = Python("/x/python", "/x", "3.12", error="its bcc is another package (PyPI's)")
    problems, _ = diagnose(on(tools=Tools("", NO_BCC, (wrong,))))
    assert "the bcc of /x/python is PyPI's" in problems[0].why


def test_probes_that_lack_the_same_are_said_together():
    old = [Finding(name, "", "unavailable", (), OLD, "a newer one") for name in ("biotop", "x")]
    problems, _ = diagnose(on(plans=(HEALTHY.plans[1], *old)))
    assert [problem.what for problem in problems] == ["biotop, x cannot run"]


@pytest.mark.parametrize(
    ("trial", "probes"),
    [
        ("kprobe", ["tcptop"]),
        ("perf event", ["runqlen"]),
        ("typed raw tracepoint", ["offcputime"]),
        ("fentry", []),
        ("tracepoint", []),
        ("statistics", []),
    ],
)
def test_a_probe_cannot_run_where_its_kind_of_hook_is_refused(trial, probes):
    made = report(refusing(trial))
    assert [name for name in ALL if name not in made.able] == probes
    assert bool(made.problems) == bool(probes)


def test_what_no_probe_needs_is_told_but_is_nothing_to_mend():
    screen = text(refusing("fentry", code=errno.EINVAL))
    assert "nothing is wrong" in screen
    assert "not needed  fentry: not in this kernel (EINVAL)" in screen


REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "lockdown": ({"kernel__lockdown": "confidentiality"}, "kernel lockdown"),
    "user namespace": ({"rights__own_users": True}, "root of a user namespace only"),
    "capabilities": ({"rights__capabilities": without("PERFMON", "SYS_ADMIN")}, "CAP_PERFMON"),
    "SYS_ADMIN holds both": (
        {"rights__capabilities": without("BPF", "PERFMON")},
        "despite all rights",
    ),
    "locked memory": (
        {
            "memlock_counts": True,
            "rights__memlock_bytes": 65536,
            "rights__capabilities": without("SYS_RESOURCE"),
        },
        "`ulimit -l`",
    ),
    "seccomp": ({"rights__seccomp": True}, "seccomp filter"),
    "none of these": ({}, "a security module"),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_refusal_is_explained_by_what_else_is_known(case):
    changes, reason = REASONS[case]
    trial = refusing("fentry", **changes).failed("fentry")
    assert trial is not None
    assert reason in trial.reason


def test_locked_memory_is_no_matter_where_it_is_not_counted_or_may_be_raised():
    small = {"rights__memlock_bytes": 65536}
    assert diagnose(on(**small))[0] == []
    assert diagnose(on(**small, memlock_counts=True))[0] == []


def test_without_root_nothing_is_said_of_roots_rights():
    facts = on(root=False, trials=(), rights__capabilities=without(*kernel_facts.CAPABILITIES))
    assert diagnose(replace(facts, symbols_hidden=True))[0] == []
    screen = text(facts, "what root may do here")
    assert "as far as a user can tell" in screen
    assert "unchecked   what root may do here: `sudo ebpftop doctor` tells" in screen


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("/usr/local/bin/ebpftop", "sudo ebpftop doctor"),
        ("/home/a b/.venv/bin/ebpftop", "sudo '/home/a b/.venv/bin/ebpftop' doctor"),
        ("/x/ebpftop/__main__.py", "sudo ebpftop doctor"),
    ],
)
def test_the_command_for_root_is_one_that_root_finds(program, command):
    assert doctor.as_root(program) == command


def test_names_from_the_system_cannot_reach_the_terminal_as_they_are():
    screen = text(on(containers=Seen({"docker": 1}, ("\x1b[2Jweb\n\x07",))))
    assert "\x1b" not in screen
    assert "\x07" not in screen
    assert "web" in screen


def test_of_many_containers_a_few_names_are_told():
    seen = Seen({"docker": 8, "podman": 1}, tuple(f"c{number}" for number in range(9)))
    assert "containers  8 of docker, 1 of podman: c0, c1, c2, c3, c4, c5 and 3 more" in text(
        on(containers=seen)
    )


def test_keys_of_the_json_are_kept():
    made = report(HEALTHY).json()
    assert list(made) == [
        *("version", "able", "problems", "unchecked", "probes"),
        *("root", "has_sudo", "kernel", "btf_error", "headers", "headers_error"),
        *("headers_command", "rights", "settings", "symbols_hidden"),
        *("memlock_counts", "tools", "trials", "cgroups", "containers", "hidden"),
    ]
    problem = report(PROBLEMS["no bcc"][0]).json()["problems"][0]
    assert list(problem) == ["level", "what", "why", "fix", "command"]
    assert list(made["probes"][0]) == ["probe", "title", "state", "hooks", "reason", "hint"]
    assert json.loads(json.dumps(made))["able"] == ALL


# The command, as it runs


def run(*arguments: str, **environment: str):
    return subprocess.run(
        [sys.executable, "-m", "ebpftop", "doctor", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_it_exits_with_1_where_nothing_can_run():
    result = run(EBPFTOP_PYTHON="/bin/false", PATH="/usr/bin:/bin")
    assert (result.returncode, result.stderr) == (1, "")
    assert "\n    $ unset EBPFTOP_PYTHON\n" in result.stdout
    assert "\x1b" not in result.stdout


def test_bad_usage_exits_with_2():
    assert run("--no-such").returncode == 2
