"""Block I/O without `block_io_start`, as before 6.5, beside block I/O with it: the same figures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.bpf import disk_loads
from tests.bpf.test_biotop import LOADS, MIB, disk_of

pytestmark = pytest.mark.bpf

BEST = "raw_tp:block_io_start"


@pytest.fixture(scope="module")
def both(collect_for_all):
    """A session with the best hooks and one without."""
    if not Path("/sys/kernel/tracing/events/block/block_io_start").exists():
        pytest.skip("this kernel has nothing better than the fallback")
    best = collect_for_all("biotop")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("EBPFTOP_WITHOUT", BEST)
        return best, collect_for_all("biotop")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "load"
    path.write_bytes(os.urandom(64 * MIB))
    os.sync()
    return path


def _by(rows: list[dict[str, Any]], *names: str) -> dict[Any, tuple[int, int]]:
    """IOs and bytes by some columns."""
    found: dict[Any, tuple[int, int]] = {}
    for row in rows:
        at = tuple(row[name] for name in names)
        ios, size = found.get(at, (0, 0))
        found[at] = ios + row["ios"], size + row["bytes"]
    return found


def _figures(session, pid):
    """What a process did, by disk and operation, and how often histograms counted it."""
    rows = [row for row in session.rows("biotop", "io") if row["pid"] == pid]
    slots = [row for row in session.rows("biotop", "latency") if row["pid"] == pid]
    for row in rows:
        assert 0 <= row["queue_ns"] <= row["lat_ns"]
        assert 0 < row["max_ns"] <= row["lat_ns"]
    return _by(rows, "disk", "op"), sum(row["count"] for row in slots)


def _equal(both, pid):
    for session in both:
        session.settle("biotop")
        assert not session.lost("biotop")
    best, fallback = (_figures(session, pid) for session in both)
    assert fallback == best
    return best[0]


def test_what_is_not_seen_is_said(both):
    best, fallback = (session.statuses("biotop")[-1] for session in both)
    assert (best.state, best.reason) == ("running", "")
    assert "raw_tp:block_getrq" in fallback.hooks
    assert BEST not in fallback.hooks
    assert fallback.state == "degraded"
    assert "not seen" in fallback.reason


@pytest.mark.parametrize("load", LOADS)
def test_figures_equal_those_of_the_best_hooks(both, file, load):
    with file.open("rb") as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = LOADS[load].format(file=file).split()
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert worker.wait() == 0
    seen = _equal(both, worker.pid)
    assert sum(size for _, size in seen.values()) >= 63 * MIB


@pytest.mark.parametrize("load", ["backwards", "flushes"])
def test_merges_and_flushes_equal_those_of_the_best_hooks(both, file, load):
    worker = disk_loads.start(load, file)
    assert worker.wait() == 0
    assert _equal(both, worker.pid)


def test_commands_that_no_bio_asked_for_are_the_exception(both, tmp_path):
    serial = Path(f"/sys/block/{disk_of(tmp_path)}/serial")  # virtio_blk asks the disk each time
    if not serial.exists():
        pytest.skip("this disk is not asked for its serial number")
    worker = subprocess.Popen(["cat", serial], stdout=subprocess.DEVNULL)
    assert worker.wait() == 0
    for session in both:
        session.settle("biotop")
    best, fallback = (
        [r["op"] for r in s.rows("biotop", "io") if r["pid"] == worker.pid] for s in both
    )
    asked = "op 34"  # REQ_OP_DRV_IN
    assert asked in best
    assert [op for op in best if op != asked] == fallback  # `cat` itself may have to be read
