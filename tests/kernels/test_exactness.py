"""The README's table of probes by kernels."""

from __future__ import annotations

import re

import pytest

from ebpftop import registry
from ebpftop.hook import FirstOf
from tests.kernels import expected
from tests.kernels.exactness import DIGITS, README, Notes, block, cell, table
from tests.kernels.expected import Failure

TEST = "tests/bpf/test_tcptop.py::test_it"


def boot(plan, *verdicts, kernel="6.1.0-56-cloud-amd64"):
    outcome = {"expected": "failed", "no longer fails": "passed"}
    results = [
        {"test": f"{TEST}[{v}]", "outcome": outcome.get(v, v), "verdict": v} for v in verdicts
    ]
    return {"kernel": kernel, "cgroups": "v2", "results": results, "probes": plan}


def plan(*hooks, state="full", reason=""):
    return [{"probe": "tcptop", "state": state, "hooks": hooks, "reason": reason}]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (boot(plan("raw_tp:a", "tp:b:c"), "passed"), "exact, tracepoints"),
        (boot(plan("raw_tp:a", "fexit:b"), "passed", "skipped"), "exact, fentry"),
        (boot(plan("kprobe:a", "kretprobe:a"), "passed"), "exact, kprobes"),
        (boot(plan("raw_tp:a", reason="no splice"), "passed"), "exact, tracepoints¹"),
        (boot(plan("raw_tp:a", reason="b; c"), "passed"), "exact, tracepoints¹ ²"),
        (boot(plan("raw_tp:a"), "passed", "expected", "expected"), "exact, tracepoints¹"),
        (boot(plan("raw_tp:a"), "passed", "failed"), "**1 of 2 fail**, tracepoints"),
        (boot(plan("raw_tp:a"), "no longer fails"), "**1 of 1 fail**, tracepoints"),
        (boot(plan("raw_tp:a"), "skipped"), "not tested"),
        (boot([], "passed"), "not tested"),
        (boot(plan(state="unavailable", reason="no hook"), "passed"), "none¹"),
    ],
)
def test_a_cell_says_whether_it_is_exact_by_what_and_what_is_not_seen(found, said, monkeypatch):
    failure = Failure("*[[]expected]", ("6.1",), "nobody sees it")
    monkeypatch.setattr(expected, "FAILURES", (failure,))
    assert cell(found, "tcptop", Notes()) == said


def test_tests_of_another_probe_do_not_count():
    assert cell(boot(plan("raw_tp:a"), "passed"), "tcp", Notes()) == "not tested"


def test_kernels_are_in_order_and_notes_below():
    newer = boot(plan("raw_tp:a"), "passed", kernel="6.12.117+deb13-cloud-amd64")
    older = boot(plan("kprobe:a", reason="no splice"), "passed", kernel="6.1.0-56-cloud-amd64")
    lines = table([newer, older]).splitlines()
    assert lines[0] == "|  | 6.1 | 6.12 |"
    assert "| TCP | exact, kprobes¹ | exact, tracepoints |" in lines
    assert lines[-3:] == ["| tests that passed | 1 | 1 |", "", "¹ no splice"]


def test_what_the_readme_says_is_said_by_panes_or_of_expected_failures():
    """Its notes must not outlive the sentences that they repeat."""
    sentences = {failure.reason for failure in expected.FAILURES}
    for probe in registry.probes().values():
        for slot in probe.hooks:
            ways = slot.ways if isinstance(slot, FirstOf) else ()
            sentences.update(way.missing for way in ways)
            sentences.add(slot.without if isinstance(slot, FirstOf) else "")
    raised = "".join(map(chr, DIGITS.values()))
    notes = re.findall(rf"^[{raised}]+ (.+?) *$", block(README.read_text()), re.MULTILINE)
    assert set(notes) <= sentences


def test_the_readme_has_a_row_for_each_probe_and_no_failures():
    said = block(README.read_text())
    assert all(f"| {probe.title} | exact" in said for probe in registry.probes().values())
    assert "fail**" not in said
    assert "not tested" not in said
