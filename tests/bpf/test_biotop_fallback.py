"""Block I/O without `block_io_start`, as before 6.5, beside block I/O with it: the same figures."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import subprocess
import sys
from typing import Any

import pytest

from tests.bpf.conftest import ROOT
from tests.bpf.test_biotop import LOADS, MIB, disk_of

pytestmark = pytest.mark.bpf

BEST = "raw_tp:block_io_start"
IO_SETUP, IO_SUBMIT, IO_GETEVENTS = 206, 209, 208  # arch/x86/entry/syscalls/syscall_64.tbl
WRITE = 1  # IOCB_CMD_PWRITE, include/uapi/linux/aio_abi.h
BLOCK = 4096
BACKWARDS = 16  # blocks, each before the one that was written last


@pytest.fixture
def both(collect, monkeypatch):
    """A session with the best hooks and one without."""
    if os.geteuid() == 0 and BEST not in _hooks(best := collect("biotop")):
        pytest.skip("this kernel has nothing better")
    monkeypatch.setenv("EBPFTOP_WITHOUT", BEST)
    return best, collect("biotop")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "load"
    path.write_bytes(os.urandom(64 * MIB))
    os.sync()
    return path


def _hooks(session):
    return session.statuses("biotop")[-1].hooks


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


def test_flushes_equal_those_of_the_best_hooks(both, tmp_path):
    rounds = "import os, sys\nfor _ in range(20): os.write(1, b'x'); os.fsync(1)"
    with (tmp_path / "flushed").open("wb") as out:
        worker = subprocess.Popen(["python3", "-c", rounds], stdout=out)
        assert worker.wait() == 0
    for session in both:
        session.settle("biotop")
    disk = disk_of(tmp_path)
    best, fallback = (
        _by([r for r in s.rows("biotop", "io") if r["op"] == "flush"], "pid", "disk") for s in both
    )
    assert any(name == disk for _, name in best)
    assert fallback == best


def write_backwards(path: str) -> None:
    """Submit writes at once, each in front of the last: they become one at its front."""
    libc = ctypes.CDLL(None, use_errno=True)
    context = ctypes.c_ulong()
    assert libc.syscall(IO_SETUP, BACKWARDS, ctypes.byref(context)) == 0
    memory = mmap.mmap(-1, BACKWARDS * BLOCK)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fd = os.open(path, os.O_WRONLY | os.O_DIRECT)
    calls = []
    for block in reversed(range(BACKWARDS)):
        at = block * BLOCK
        call = struct.pack("QIiHhIQQqQII", 0, 0, 0, WRITE, 0, fd, start + at, BLOCK, at, 0, 0, 0)
        calls.append(ctypes.create_string_buffer(call))
    pointers = (ctypes.c_void_p * BACKWARDS)(*map(ctypes.addressof, calls))
    assert libc.syscall(IO_SUBMIT, context, BACKWARDS, pointers) == BACKWARDS
    events = ctypes.create_string_buffer(32 * BACKWARDS)
    assert libc.syscall(IO_GETEVENTS, context, BACKWARDS, BACKWARDS, events, None) == BACKWARDS
    assert {struct.unpack_from("QQqq", events, 32 * i)[2] for i in range(BACKWARDS)} == {BLOCK}
    os.close(fd)


def test_a_request_to_which_is_merged_at_the_front_is_charged_to_who_began_it(both, file):
    here = "import sys; from tests.bpf.test_biotop_fallback import *; write_backwards(sys.argv[1])"
    worker = subprocess.Popen([sys.executable, "-c", here, file], cwd=ROOT)
    assert worker.wait() == 0
    seen = _equal(both, worker.pid)
    ios, size = seen[disk_of(file), "write"]
    assert size == BACKWARDS * BLOCK
    assert ios < BACKWARDS
