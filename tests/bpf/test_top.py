"""`ebpftop top` on the running kernel: what a process does is in its lines, and Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load BPF programs")

ROOT = Path(__file__).resolve().parents[2]
TOP = (sys.executable, "-m", "ebpftop", "top")


@pytest.fixture
def busy():
    """A process that makes one system call over and over."""
    code = "import os\nwhile True: os.sched_yield()"
    process = subprocess.Popen([sys.executable, "-c", code])
    yield process
    process.kill()
    process.wait()


def collectors() -> set[int]:
    """Process ids of collectors that this process, or a child of it, has started."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            arguments = status.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if b"ebpftop.collector\0--interval\0007.25" in arguments:
            found.add(int(status.parent.name))
    return found


def test_what_a_process_does_is_in_the_lines(busy):
    options = ("syscount", "-n", "2", "-i", "0.3", "--filter", f"/^{busy.pid} .* sched_yield/")
    result = subprocess.run([*TOP, *options, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    _, second = map(json.loads, result.stdout.splitlines())
    (row,) = second["rows"]
    assert row["pid"] == busy.pid
    assert row["count"] > 100
    assert second["available"] > 1


def test_ctrl_c_ends_it_quietly_and_its_collector_with_it():
    command = [*TOP, "runqlen", "-i", "7.25"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not collectors():
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate()
    assert (process.returncode, said, errors) == (0, b"", b"")
    assert not collectors()
