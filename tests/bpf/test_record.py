"""`ebpftop record` over a collector of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebpftop.model import Bye, Process, Sample, Status
from ebpftop.recording.reader import Recording
from ebpftop.recording.tape import RecordingError
from tests.bpf.conftest import PATIENCE_S, PYTHON, ROOT
from tests.unit.test_record import catches

pytestmark = pytest.mark.bpf

UNIT = ROOT / "packaging" / "ebpftop-record.service"


@contextlib.contextmanager
def recorder(folder, *arguments, prefix=(), **environment):
    """A recorder that does not outlive the test."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "ebpftop", "record", "-i", "0.2", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def records(path: Path):
    with contextlib.closing(Recording(str(path))) as tape:
        return list(tape.records(0, tape.overview.end - 1))


def wait_for_samples(path: Path, probe: str, number: int = 3) -> None:
    for _ in range(PATIENCE_S * 20):
        with contextlib.suppress(RecordingError):
            said = records(path)
            if sum(isinstance(r, Sample) and r.probe == probe for r in said) >= number:
                return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def children(process) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def test_all_probes_are_recorded_unless_some_are_named(tmp_path):
    with recorder(tmp_path, "-o", "x.ebt", "--duration", "2s") as process:
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
        assert process.returncode == 0
    said = records(tmp_path / "x.ebt")
    asked = {r.probe for r in said if isinstance(r, Status) and r.state == "starting"}
    assert asked == {"biotop", "tcptop", "offcputime", "runqlen", "cachestat", "syscount"}
    assert isinstance(said[-1], Bye)


def test_its_collector_ends_with_it(tmp_path):
    path = tmp_path / "x.ebt"
    with recorder(tmp_path, "-o", path, "--probe", "syscount") as process:
        wait_for_samples(path, "syscount")
        (collector,) = children(process)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
        assert process.returncode == 0
    assert not Path(f"/proc/{collector}").exists()


def test_a_collector_that_is_killed_is_said_and_what_came_is_kept(tmp_path):
    path = tmp_path / "x.ebt"
    with recorder(tmp_path, "-o", path, "--probe", "syscount") as process:
        wait_for_samples(path, "syscount")
        (collector,) = children(process)
        os.kill(collector, signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (1, "ebpftop: the collector died (signal 9)\n")
    with contextlib.closing(Recording(str(path))) as tape:
        assert tape.segments[0].indexed
    assert len(records(path)) > 3


def test_under_sudo_only_the_collector_is_root(tmp_path):
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o711)
    os.chown(tmp_path, 65534, 65534)
    path = tmp_path / "x.ebt"
    nobody = {"SUDO_UID": "65534", "SUDO_GID": "65534"}
    with recorder(tmp_path, "-o", path, "--probe", "syscount", **nobody) as process:
        wait_for_samples(path, "syscount")
        (collector,) = children(process)
        assert os.stat(f"/proc/{collector}").st_uid == 0
        assert (
            "\nUid:\t65534\t65534\t65534\t65534\n"
            in Path(f"/proc/{process.pid}/status").read_text()
        )
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
        assert process.returncode == 0
    assert path.stat().st_uid == 65534
    assert not Path(f"/proc/{collector}").exists()


@contextlib.contextmanager
def process_of_nobody():
    """Another user's, which sleeps a hundred times a second and hides its path; gives its pid."""
    command = ["sleeper", "-c", "import time\nwhile True: time.sleep(0.01)"]
    with subprocess.Popen(command, executable=PYTHON, user=65534) as process:
        yield process.pid
        process.kill()


def settings(name: str) -> list[str]:
    """What the systemd unit says of something."""
    lines = UNIT.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_the_rights_that_the_unit_leaves_are_enough(tmp_path):
    (allowed,) = settings("CapabilityBoundingSet")
    capabilities = [f"+{name.removeprefix('CAP_').lower()}" for name in allowed.split()]
    rights = ["setpriv", "--no-new-privs", f"--bounding-set=-all,{','.join(capabilities)}"]
    path = tmp_path / "x.ebt"
    # Without what an earlier start compiled: that it takes more must not be missed.
    with (
        recorder(tmp_path, "-o", path, prefix=rights, EBPFTOP_CACHE="") as process,
        process_of_nobody() as other,
    ):
        wait_for_samples(path, "offcputime", number=8)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    said = records(path)
    states = {r.probe: r.state for r in said if isinstance(r, Status)}
    assert set(states.values()) <= {"running", "degraded"}
    stacks = "".join(
        row[3] or ""
        for r in said
        if isinstance(r, Sample) and r.probe == "offcputime"
        for row in r.tables["stacks"]
    )
    assert "schedule_[k]" in stacks
    seen = next(r for r in said if isinstance(r, Process) and r.pid == other and r.cmdline)
    assert seen.exe.startswith("/")
    assert seen.cgroup_path.startswith("/")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
def test_systemd_understands_the_unit(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/ebpftop", "/bin/true"))
    result = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_flight_recorder_of_a_live_collector_is_saved_on_sigusr1(tmp_path):
    with recorder(tmp_path, "--flight", "--probe", "syscount", "-o", "incident.ebt") as process:
        while not catches(process.pid, signal.SIGUSR1):
            time.sleep(0.05)
        os.set_blocking(process.stdout.fileno(), False)
        name = ""
        while not name:  # until something was measured
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.2)
            name = (process.stdout.readline() or "").rstrip("\n")
            assert process.poll() is None
    assert records(tmp_path / name)
