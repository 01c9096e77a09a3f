"""The doctor on the running kernel: as root, as a user, and as root with fewer rights."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ebpftop.collector import bpf, perf, trials

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load BPF programs")
ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
PROG_GET_NEXT_ID, PROG_GET_FD_BY_ID = 11, 13
PATIENCE_S = 30
NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}


def run(*command: str, python: str = PYTHON, **options: Any) -> subprocess.CompletedProcess[str]:
    """`ebpftop doctor`, after a command that takes rights away."""
    result = subprocess.run(
        [*command, python, "-m", "ebpftop", "doctor", *options.pop("arguments", ["--json"])],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        **options,
    )
    assert result.stderr == ""
    return result


def said(*command: str, **options: Any) -> dict[str, Any]:
    result = run(*command, **options)
    report: dict[str, Any] = json.loads(result.stdout)
    assert result.returncode == (0 if report["able"] else 1)
    return report


def trial(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(t for t in report["trials"] if t["name"] == name)
    return found


def problems(report: dict[str, Any], level: str) -> list[str]:
    return [problem["what"] for problem in report["problems"] if problem["level"] == level]


def programs() -> list[str]:
    """Names of all BPF programs in the kernel."""
    names, number = list[str](), 0
    while True:
        attr = (ctypes.c_uint32 * 3)(number)
        if bpf.call(PROG_GET_NEXT_ID, attr)[0] < 0:
            return names
        number = attr[1]
        fd, _ = bpf.call(PROG_GET_FD_BY_ID, (ctypes.c_uint32 * 3)(number))
        if fd >= 0:
            names.append(bpf.program_name(fd))
            os.close(fd)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """What it says to root, under this Python, which need not have bcc."""
    return said(python=sys.executable)


def test_it_finds_the_python_that_has_bcc_and_what_can_run(report):
    assert report["tools"]["collector"] == PYTHON
    told = next(p for p in report["tools"]["pythons"] if p["path"] == PYTHON)
    asked = "import bcc, psutil; print(bcc.__version__, psutil.__version__)"
    versions = subprocess.check_output([PYTHON, "-c", asked], text=True).split()
    assert [told["bcc"], told["psutil"]] == versions
    assert report["unchecked"] == []
    assert report["able"]


def test_it_runs_under_the_oldest_python(report):
    shims = filter(None, [shutil.which("python3.10")])
    for python in (*shims, *map(str, Path.home().glob(".pyenv/versions/3.10.*/bin/python"))):
        if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            assert said(python=python)["able"] == report["able"]
            return
    pytest.skip("no Python 3.10 here")


def test_what_it_calls_able_is_what_the_collector_starts(report, collect):
    session = collect(report["able"][0])
    assert session.statuses(report["able"][0])[-1].state in ("running", "degraded")


def test_the_kernel_loads_what_the_probes_are_made_of(report):
    for name in ("raw tracepoint", "kernel reads", "perf event", "hash map", "batch reads"):
        assert trial(report, name)["ok"], name


def test_kprobes_are_there_exactly_where_the_kernel_has_their_events(report):
    kprobe = trial(report, "kprobe")
    assert kprobe["ok"] == perf.KPROBE_PMU.exists()
    assert kprobe["ok"] or kprobe["reason"] == "this kernel has no kprobes"


def test_whatever_fails_says_why_and_is_a_problem_only_where_a_probe_needs_it(report):
    assert all(trial["reason"] for trial in report["trials"] if not trial["ok"])
    lacking = [probe["probe"] for probe in report["probes"] if probe["state"] != "full"]
    assert bool(report["problems"]) or not lacking


def test_nothing_is_left_in_the_kernel_or_open():
    before = sorted(os.listdir("/proc/self/fd"))
    assert all(t.ok for t in trials.run() if t.name in ("raw tracepoint", "hash map"))
    assert sorted(os.listdir("/proc/self/fd")) == before
    deadline = time.monotonic() + PATIENCE_S  # the kernel frees programs some moments later
    while "doctor" in programs() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "doctor" not in programs()


def test_a_hook_that_is_hidden_is_done_without_and_told(monkeypatch):
    monkeypatch.setenv("EBPFTOP_WITHOUT", "raw_tp:sys_enter")
    report = said()
    hooks = next(probe["hooks"] for probe in report["probes"] if probe["probe"] == "syscount")
    assert "raw_tp:sys_enter" not in hooks
    assert "EBPFTOP_WITHOUT is set" in problems(report, "warning")


def test_what_the_kernel_refuses_makes_a_plan_none(monkeypatch):
    """fentry may be there by its type, and be refused all the same."""
    hidden = "raw_tp:mm_filemap_get_pages"
    monkeypatch.setenv("EBPFTOP_WITHOUT", hidden)
    report = said()
    probe = next(probe for probe in report["probes"] if probe["probe"] == "cachestat")
    plan = [hook for hook in probe["hooks"] if hook.startswith(("fentry:", "fexit:"))]
    if plan and not trial(report, "fentry")["ok"]:
        assert (probe["state"], probe["reason"][:8]) == ("unavailable", "fentry: ")
        assert any(what.startswith("cachestat cannot run") for what in problems(report, "warning"))
    elif probe["state"] == "unavailable":  # the kernel offers nothing in its place
        assert (probe["hooks"], hidden in probe["reason"]) == ([], True)
    else:
        assert probe["hooks"]


def test_on_a_screen_it_fits_into_80_columns():
    screen = run(arguments=[]).stdout.splitlines()
    assert "probes can run here" in screen[0]
    assert max(map(len, screen)) <= 80
    assert not any("\x1b" in line for line in screen)


def test_a_user_is_told_what_only_root_can_find_out(report):
    told = said(**NOBODY)
    assert told["root"] is False
    assert "whether the kernel loads programs and maps" in told["unchecked"]
    assert told["trials"] == []
    assert told["able"] == report["able"]


def test_root_without_capabilities_can_run_nothing():
    report = said("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin")
    assert report["able"] == []
    assert problems(report, "error") == ["root without CAP_BPF and CAP_PERFMON"]
    assert "CAP_BPF" in trial(report, "raw tracepoint")["reason"]


def test_root_without_some_capabilities_sees_less():
    report = said("setpriv", "--bounding-set=-syslog,-sys_ptrace,-dac_read_search")
    assert report["able"]
    for name in ("SYSLOG", "SYS_PTRACE", "DAC_READ_SEARCH"):
        assert f"root without CAP_{name}" in problems(report, "warning")


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare(1)")
def test_root_of_a_user_namespace_can_run_nothing():
    probe = subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("no user namespaces here")
    report = said("unshare", "--user", "--map-root-user")
    assert report["able"] == []
    assert problems(report, "error") == ["root, but of a user namespace only"]


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare(1)")
def test_in_a_pid_namespace_it_says_that_processes_have_other_numbers():
    report = said("unshare", "--pid", "--fork", "--mount-proc")
    assert "in a PID namespace of its own (a container?)" in problems(report, "warning")
