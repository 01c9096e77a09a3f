"""What pytest loads in a guest (`-p tests.kernels.in_guest`): writes a line for each test.

At once, so that what was tested is known though the guest froze. A line is `Result` as JSON.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from tests.kernels.expected import left_out

Outcome = Literal["passed", "failed", "skipped"]
PATH = "EBPFTOP_TEST_RESULTS"  # names the file


@dataclass(frozen=True)
class Result:
    """What became of a test.

    Attributes:
        why: the first line of its failure, or why it was skipped.
        attempt: how often it had to be run; `before` is why it failed at first.
    """

    test: str
    outcome: Outcome
    seconds: float
    why: str = ""
    attempt: int = 1
    before: str = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if reason := left_out(item.nodeid):
            item.add_marker(pytest.mark.skip(reason=reason))


class Reporter:
    """Puts the phases of each test together (setup, call, teardown), and writes it down."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds = 0.0
        self._outcome: Outcome = "passed"
        self._why = ""

    def pytest_runtest_logstart(self) -> None:
        self._seconds, self._outcome, self._why = 0.0, "passed", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds += report.duration
        if not report.passed and self._outcome != "failed":
            self._outcome, self._why = report.outcome, why(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        result = Result(nodeid, self._outcome, round(self._seconds, 2), self._why)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def why(report: pytest.TestReport) -> str:
    """One line that says why a test did not pass."""
    if isinstance(report.longrepr, tuple):  # where it was skipped: file, line, reason
        return report.longrepr[2].removeprefix("Skipped: ").split("\n")[0]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    where = "" if report.when == "call" else f"{report.when}: "
    return where + text.strip().split("\n")[0]


def pytest_configure(config: pytest.Config) -> None:
    if path := os.environ.get(PATH):
        config.pluginmanager.register(Reporter(Path(path)))


def read(path: Path) -> list[Result]:
    """The last result of each test in a file; of the last line what is whole."""
    try:
        lines = path.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    found: dict[str, Result] = {}
    for line in lines:
        if line.endswith("\n"):
            result = Result(**json.loads(line))
            if last := found.get(result.test):
                before = last.before or last.why
                result = replace(result, attempt=last.attempt + 1, before=before)
            found[result.test] = result
    return list(found.values())
