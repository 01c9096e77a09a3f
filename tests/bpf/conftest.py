"""A collector on the running kernel, for tests that compare its figures with another witness."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ebpftop import stream
from ebpftop.model import Hello, Process, Record, Sample, Status

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
PATIENCE_S = int(os.environ.get("EBPFTOP_TEST_PATIENCE_S", "60"))  # more where all is emulated


class Session:
    """A running collector and everything it has said so far."""

    def __init__(self, *probes: str, interval_s: float = 0.2) -> None:
        command = [PYTHON, "-m", "ebpftop.collector", "--interval", str(interval_s)]
        self.process = subprocess.Popen(
            [*command, "--probe", *probes],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.records: list[Record] = []
        self._arrived = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for record in stream.records(self.process.stdout):
            with self._arrived:
                self.records.append(record)
                self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait until the records fulfil a condition; fails the test if they never do."""
        with self._arrived:
            self._arrived.wait_for(lambda: condition() or self._ended, PATIENCE_S)
            met = condition()
        assert met, f"waited {PATIENCE_S} s in vain; last: {self.records[-3:]}"
        return met

    def statuses(self, probe: str) -> list[Status]:
        return [r for r in self.records if isinstance(r, Status) and r.probe == probe]

    def samples(self, probe: str) -> list[Sample]:
        return [r for r in self.records if isinstance(r, Sample) and r.probe == probe]

    def wait_running(self, *probes: str) -> None:
        """Wait until each probe runs and has given a first sample; skips where it cannot run."""
        for probe in probes:
            self.wait_for(partial(self._has_started, probe))
            last = self.statuses(probe)[-1]
            if last.state == "unavailable":
                pytest.skip(f"{probe}: {last.reason}")
            assert last.state in ("running", "degraded"), f"{last.reason}\n{last.detail}"
            self.settle(probe)

    def _has_started(self, probe: str) -> bool:
        return any(status.state != "starting" for status in self.statuses(probe))

    def settle(self, probe: str, samples: int = 2) -> None:
        """Wait for samples whose intervals end after now: what happened so far is then in them."""
        now_ns = time.monotonic_ns()
        self.wait_for(lambda: sum(s.mono_ns > now_ns for s in self.samples(probe)) >= samples)

    def rows(
        self, probe: str, table: str, since: int = 0, until: int | None = None
    ) -> list[dict[str, Any]]:
        """Rows of all samples from number `since` on, up to `until`, as dictionaries."""
        hello = next(r for r in self.records if isinstance(r, Hello))
        info = hello.probe(probe)
        assert info is not None
        names = [column.name for column in info.table(table).columns]
        return [
            dict(zip(names, row))
            for sample in self.samples(probe)[since:until]
            for row in sample.tables.get(table, [])
        ]

    def lost(self, probe: str) -> dict[str, int]:
        """Everything that the probe's samples say was lost."""
        total: dict[str, int] = {}
        for sample in self.samples(probe):
            for reason, number in sample.lost.items():
                total[reason] = total.get(reason, 0) + number
        return total

    def processes(self, pid: int) -> list[Process]:
        return [r for r in self.records if isinstance(r, Process) and r.pid == pid]

    def send(self, line: str) -> None:
        """Write to the collector's command pipe."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def narrow(self, probe: str, **scope: int) -> int:
        """Change the scope (`pid=`, `cgroup=` or neither); the number of samples before it."""
        before = len(self.samples(probe))
        self.send(json.dumps({"verb": "scope", **scope}))
        self.wait_for(lambda: any(s.scope == scope for s in self.samples(probe)[before:]))
        new = (s for s in self.samples(probe)[before:] if s.scope == scope)
        return self.samples(probe).index(next(new))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)


def sessions() -> Iterator[Callable[..., Session]]:
    if os.geteuid() != 0:
        pytest.skip("needs root to load BPF programs")
    started: list[Session] = []

    def start(*probes: str, **options: Any) -> Session:
        session = Session(*probes, **options)
        started.append(session)
        session.wait_running(*probes)
        return session

    yield start
    for session in started:
        session.close()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled programs of this run only: what a test finds there, another test has compiled.

    Under emulation, where to compile one takes ten seconds, also those of earlier runs.
    """
    kept = os.environ.get("EBPFTOP_TEST_CACHE")
    os.environ["EBPFTOP_CACHE"] = kept or str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def collect() -> Iterator[Callable[..., Session]]:
    """`collect("biotop")` gives a session in which the probe runs."""
    yield from sessions()


@pytest.fixture(scope="module")
def collect_for_all() -> Iterator[Callable[..., Session]]:
    """The same, for a session that all tests of a module share."""
    yield from sessions()
