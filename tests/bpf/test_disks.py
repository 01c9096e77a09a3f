"""Two disks at once: what is read and written of each is told apart."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.bpf.test_biotop import MIB, disk_of

pytestmark = pytest.mark.bpf

WRITTEN = {"first": 8 * MIB, "second": 24 * MIB}


@pytest.fixture
def folders(tmp_path):
    """A folder on each of two disks; `make test-kernels` names the second."""
    second = os.environ.get("EBPFTOP_TEST_SECOND_DISK")
    if not second:
        pytest.skip("needs a second disk (EBPFTOP_TEST_SECOND_DISK); make test-kernels has one")
    return {"first": tmp_path, "second": Path(second)}


def test_each_disk_has_what_was_written_to_it(collect, folders):
    session = collect("biotop")
    since = len(session.samples("biotop"))
    disks = {name: disk_of(folder) for name, folder in folders.items()}
    assert disks["first"] != disks["second"]
    writers = {}
    for name, size in WRITTEN.items():
        command = f"dd if=/dev/zero of={folders[name]}/{name} bs=64k count={size >> 16}"
        how = ("oflag=direct", "status=none")
        writers[name] = subprocess.Popen([*command.split(), *how])
    assert [writer.wait() for writer in writers.values()] == [0, 0]
    session.settle("biotop")
    rows = session.rows("biotop", "io", since)
    for name, writer in writers.items():
        written = Counter[str]()
        for row in rows:
            if row["pid"] == writer.pid and row["op"] == "write":
                written[row["disk"]] += row["bytes"]
        assert written == {disks[name]: WRITTEN[name]}
