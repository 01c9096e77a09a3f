"""What a result means on a kernel, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.kernels import expected, matrix, run_in_kernel
from tests.kernels.expected import Failure
from tests.kernels.in_guest import PATH, Result, read
from tests.kernels.report import Boot, as_json, table, text

TIMES = ("seconds", "of", "a", "CPU")
KERNEL = "6.1.0-56-cloud-amd64"
TEST = "tests/bpf/test_biotop.py::test_it[a]"


def boot(*results, trouble=""):
    return Boot(KERNEL, "v2", 12.3, 8.6, list(results), trouble=trouble)


@pytest.fixture
def known(monkeypatch):
    failure = Failure("tests/bpf/test_biotop.py::*", ("5.10", "6.1"), "no such tracepoint")
    monkeypatch.setattr(expected, "FAILURES", (failure,))


def test_a_failure_that_nobody_expects_is_bad():
    assert not boot(Result(TEST, "failed", 1, "assert 1 == 2")).good


def test_an_expected_failure_is_good(known):
    found = boot(Result(TEST, "failed", 1))
    assert found.good
    assert dict(found.counts()) == {"expected": 1}


def test_an_expected_failure_that_passes_is_bad(known):
    found = boot(Result(TEST, "passed", 1))
    assert not found.good
    assert dict(found.counts()) == {"no longer fails": 1}


def test_what_fails_sometimes_may_pass(monkeypatch):
    failure = Failure("*", ("6.1",), "now and then", sometimes=True)
    monkeypatch.setattr(expected, "FAILURES", (failure,))
    assert boot(Result(TEST, "passed", 1), Result(TEST, "failed", 1)).good


def test_names_of_expected_failures_are_patterns(monkeypatch):
    """Brackets of parameters are sets of letters in a pattern."""
    test = "tests/bpf/test_tcptop.py::test_it"
    failure = Failure(f"{test}[[]splice from a socket-v[46]]", ("7.2",), "not seen")
    monkeypatch.setattr(expected, "FAILURES", (failure,))
    assert expected.expected(f"{test}[splice from a socket-v6]", "7.2.13+deb14-cloud-amd64")
    assert not expected.expected(f"{test}[sendall to recv-v6]", "7.2.13+deb14-cloud-amd64")


def test_an_expected_failure_may_be_skipped(known):
    assert boot(Result(TEST, "skipped", 1)).good


@pytest.mark.parametrize(
    ("kernel", "covered"), [("6.1.0-56-cloud-amd64", True), ("6.12.117+deb13-amd64", False)]
)
def test_an_expected_failure_is_of_some_kernels_only(known, kernel, covered):
    assert bool(expected.expected(TEST, kernel)) == covered


def test_nothing_tested_is_not_good():
    assert not boot().good


def test_a_guest_that_froze_is_not_good_whatever_passed_before():
    assert not boot(Result(TEST, "passed", 1), trouble="froze").good


def test_the_report_has_a_row_for_each_kernel_and_a_line_for_each_failure_and_reason():
    lines = text(
        [
            boot(
                Result(TEST, "passed", 1),
                Result("tests/bpf/test_biotop.py::test_that", "failed", 1, "assert 3 == 4"),
                Result("tests/bpf/test_tcptop.py::a", "skipped", 0, "tcptop: no such function"),
                Result("tests/bpf/test_tcptop.py::b", "skipped", 0, "tcptop: no such function"),
            )
        ]
    ).splitlines()
    assert lines[0].split() == ["passed/failed/skipped", "biotop", "tcptop", "all", *TIMES]
    assert lines[1].split() == ["6.1.0-56", "v2", "1/1/0", "0/0/2", "1/1/2", "12", "9"]
    assert lines[2:] == [
        "6.1.0-56 v2: failed: tests/bpf/test_biotop.py::test_that: assert 3 == 4",
        "6.1.0-56 v2: 2 skipped in tcptop: tcptop: no such function",
    ]


def test_columns_are_as_wide_as_they_must_be():
    assert table([["a", "long one"], ["much longer", "1"]]) == (
        "a            long one\nmuch longer         1"
    )


def test_programs_are_told_the_verdict_of_each_test(known):
    (said,) = as_json([boot(Result(TEST, "failed", 1.5, "x"))])
    assert said["results"] == [
        {
            "test": TEST,
            "outcome": "failed",
            "seconds": 1.5,
            "why": "x",
            "attempt": 1,
            "before": "",
            "verdict": "expected",
        }
    ]


def test_what_passes_at_a_further_attempt_is_good_and_said(tmp_path):
    failed = Result(TEST, "failed", 2, "assert 1 == 2"), Result(TEST, "failed", 2, "assert 3 == 2")
    lines = (*failed, Result(TEST, "passed", 1))
    path = tmp_path / "results"
    path.write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))
    found = boot(*read(path))
    assert found.good
    assert dict(found.counts()) == {"passed": 1}
    said = f"6.1.0-56 v2: passed at attempt 3: {TEST}: assert 1 == 2"
    assert text([found]).splitlines()[2:] == [said]


def test_failing_tests_are_run_again_and_others_are_not(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\n"
        "def test_good(): Path('good').open('a').write('x')\n"
        "def test_first():\n    Path('bad').open('a').write('x')\n"
        "    assert Path('bad').read_text() == 'xxx'\n"
    )
    command = matrix.with_attempts(("test_it.py",)).replace("-o cache_dir=/tmp/pytest", "")
    environment = {**os.environ, PATH: str(tmp_path / "results"), "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "good").read_text() == "x"
    assert [result.outcome for result in read(tmp_path / "results")] == ["passed", "passed"]


SUITE = """
import pytest
def test_good(): pass
def test_bad(): assert [1] == [2], "first\\nsecond"
def test_skipped(): pytest.skip("no such hook\\nmore")
@pytest.fixture
def broken(): raise RuntimeError("broken")
def test_setup(broken): pass
@pytest.fixture
def torn():
    yield
    assert 0, "left over"
def test_teardown(torn): pass
def test_meaningless(): assert 0
"""


LEFT_OUT = """
from tests.kernels import expected
expected.LEFT_OUT = (expected.Left("*::test_meaningless", "has no meaning here"),)
"""


def test_every_test_leaves_a_line_with_its_outcome_and_the_reason(tmp_path):
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(LEFT_OUT)
    path = tmp_path / "results"
    plugins = ("-p", "tests.kernels.in_guest", "-p", "no:textual-snapshot")
    environment = {**os.environ, "PYTHONPATH": str(matrix.ROOT), PATH: str(path)}
    command = [sys.executable, "-m", "pytest", *plugins]
    subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    said = [(r.test, r.outcome, r.why) for r in read(path)]
    assert said == [
        ("test_suite.py::test_good", "passed", ""),
        ("test_suite.py::test_bad", "failed", "AssertionError: first"),
        ("test_suite.py::test_skipped", "skipped", "no such hook"),
        ("test_suite.py::test_setup", "failed", "setup: RuntimeError: broken"),
        ("test_suite.py::test_teardown", "failed", "teardown: AssertionError: left over"),
        ("test_suite.py::test_meaningless", "skipped", "has no meaning here"),
    ]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "results"
    path.write_text('{"test": "a", "outcome": "passed", "seconds": 1, "why": ""}\n{"test": "b"')
    assert [result.test for result in read(path)] == ["a"]


@pytest.mark.parametrize(("status", "said"), [(0, ""), (1, ""), (124, "in time"), (2, "status 2")])
def test_a_status_that_is_not_of_tests_is_trouble(tmp_path, status, said):
    assert said in matrix.trouble(status, tmp_path / "log")
    assert bool(matrix.trouble(status, tmp_path / "log")) == bool(said)


def test_what_a_guest_cost_is_taken_from_what_its_runner_says(tmp_path):
    log = tmp_path / "log"
    log.write_text("tests\n" + run_in_kernel.cost(1.0, 2.5) + "\n" + run_in_kernel.cost(3, 4.5))
    assert matrix.cpu_seconds(log) == 4.5


@pytest.mark.parametrize("path", [*expected.TESTS, *expected.CGROUP_TESTS])
def test_the_tests_that_run_in_guests_exist(path):
    assert (matrix.ROOT / path).is_file()
