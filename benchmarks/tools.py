"""The tools under measurement: a collector of ours and a bpftrace, and what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpftop import stream
from ebpftop.model import Hello, Sample, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
INTERVAL_S = 0.2
PATIENCE_S = 60
SIGNAL_S = 5
ATTACHED = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"  # a variable that bpftrace prints when it has


@dataclass(frozen=True)
class Cost:
    """Runs of BPF programs and the time in them."""

    runs: int
    run_ns: int

    def __sub__(self, before: Cost) -> Cost:
        """What was added since."""
        return Cost(self.runs - before.runs, self.run_ns - before.run_ns)


def cost_of(pid: int) -> Cost:
    """Of all programs that a process holds (Documentation/filesystems/proc.rst, fdinfo)."""
    programs: dict[str, Cost] = {}
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
            if "run_cnt" in fields:
                cost = Cost(int(fields["run_cnt"]), int(fields["run_time_ns"]))
                programs[fields["prog_id"]] = cost
    costs = programs.values()
    return Cost(sum(cost.runs for cost in costs), sum(cost.run_ns for cost in costs))


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no memory")


class Ours:
    """A collector and what it has said."""

    def __init__(self, *probes: str) -> None:
        self.probes = probes
        self.started = time.monotonic()
        self.running_s: dict[str, float] = {}
        self.statuses: dict[str, Status] = {}
        self._samples: list[Sample] = []
        self._columns: dict[tuple[str, str], list[str]] = {}
        options = ["--interval", str(INTERVAL_S)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ebpftop.collector", *options, "--probe", *probes],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for record in stream.records(self._process.stdout):
            with self._news:
                if isinstance(record, Hello):
                    for probe in record.probes:
                        for table in probe.tables:
                            names = [column.name for column in table.columns]
                            self._columns[probe.name, table.name] = names
                elif isinstance(record, Status):
                    self.statuses[record.probe] = record
                    if record.state in ("running", "degraded"):
                        self.running_s[record.probe] = time.monotonic() - self.started
                elif isinstance(record, Sample):
                    self._samples.append(record)
                self._news.notify_all()

    def wait(self) -> None:
        """Until all probes run."""
        with self._news:
            done = self._news.wait_for(lambda: len(self.running_s) == len(self.probes), PATIENCE_S)
        if not done:
            raise RuntimeError(f"not running: {self.statuses}")

    def settle(self) -> None:
        """Until all that happened so far is in samples."""
        with self._news:
            seen = len(self._samples)
            self._news.wait_for(lambda: len(self._samples) > seen + 4, PATIENCE_S)

    def rows(self, probe: str, table: str) -> Iterator[dict[str, Any]]:
        """Rows of all samples so far."""
        for sample in self._samples:
            if sample.probe == probe:
                for row in sample.tables[table]:
                    yield dict(zip(self._columns[probe, table], row))

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


class Bpftrace:
    """A bpftrace, from a script or a program text; maps by name after `stop`."""

    def __init__(self, *arguments: str) -> None:
        self.maps: dict[str, dict[str, Any]] = {}
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115, read by stop
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by stop
        self._process = subprocess.Popen(
            ["bpftrace", "-f", "json", *arguments],
            stdout=self._output,
            stderr=self._errors,
            env={**os.environ, ATTACHED: "1", "BPFTRACE_MAP_KEYS_MAX": "16384"},
        )
        self.pid = self._process.pid

    def is_attached(self) -> bool:
        """Whether it has said so."""
        said = os.pread(self._errors.fileno(), 1 << 16, 0).decode()
        if self._process.poll() is not None:
            raise RuntimeError(f"bpftrace ended before it attached: {said}")
        return ATTACHED in said

    def wait(self) -> None:
        """Until its probes are attached."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_attached():
            if time.monotonic() > deadline:
                raise RuntimeError(f"bpftrace has not attached in {PATIENCE_S} s")
            time.sleep(0.005)

    def stop(self) -> None:
        """End it and read what it printed; once is enough."""
        if self._output.closed:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(SIGNAL_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)  # it can miss one just before it sleeps
            self._process.wait(PATIENCE_S)
        self._output.seek(0)
        for line in self._output:
            if line.startswith("{"):
                data = json.loads(line)["data"]
                self.maps.update({k: v for k, v in data.items() if isinstance(v, dict)})
        self._output.close()
        self._errors.close()

    def kill(self) -> None:
        """End it without asking what it has seen."""
        self._process.kill()
        self._process.wait()

    def of(self, pid: int, name: str) -> Iterator[tuple[list[str], Any]]:
        """Entries of a map whose key begins with a process id."""
        for key, value in self.maps.get(name, {}).items():
            parts = key.split(",")
            if parts[0] == str(pid):
                yield parts, value
