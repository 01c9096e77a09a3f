"""`ebpftop probes`, for findings made up."""

from __future__ import annotations

import pytest

from ebpftop.collector import hooks, survey
from ebpftop.collector.btf import BtfError
from ebpftop.collector.survey import Finding


@pytest.fixture
def printed(monkeypatch, capsys):
    """What is printed for some findings, line by line, and the exit status."""

    def run(*findings):
        monkeypatch.setattr(survey, "survey", lambda: list(findings))
        status = survey.print_survey(as_json=False)
        return [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()], status

    return run


def test_a_probe_that_sees_everything_is_one_line_with_its_hooks(printed):
    lines, status = printed(Finding("biotop", "Block I/O", "full", ("raw_tp:a", "raw_tp:b")))
    assert lines == [["biotop", "full", "raw_tp:a, raw_tp:b"]]
    assert status == 0


def test_a_degraded_probe_says_its_hooks_and_what_is_not_seen(printed):
    lines, _ = printed(Finding("biotop", "", "degraded", ("raw_tp:a",), "no flushes are seen"))
    assert lines == [["biotop", "degraded", "raw_tp:a"], ["no", "flushes", "are seen"]]


def test_a_probe_that_cannot_run_says_why_and_what_helps(printed):
    lines, status = printed(Finding("biotop", "", "unavailable", (), "there is no x", "get one x"))
    assert lines == [["biotop", "unavailable", "there is no x"], ["get", "one", "x"]]
    assert status == 1


def test_types_of_a_kind_that_is_not_known_make_probes_unavailable(monkeypatch):
    def plan(probe, kernel):
        raise BtfError("the kernel's BTF has types of kind 20, which are not known here")

    monkeypatch.setattr(hooks, "plan", plan)
    monkeypatch.setattr(survey, "kernel_types", lambda cache: None)
    findings = survey.survey()
    assert {finding.state for finding in findings} == {"unavailable"}
    assert all("kind 20" in finding.reason for finding in findings)
