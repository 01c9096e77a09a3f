"""A guest's first file system; and, where a kernel was fetched before, real guests."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import subprocess

import pytest

from tests.kernels import packages, qemu
from tests.kernels.emulator import Emulator, emulator
from tests.kernels.guest import MOUNTS, Guest
from tests.kernels.initramfs import archive, modules
from tests.kernels.packages import Kernel


def module(*depends):
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0"


@pytest.fixture
def folder(tmp_path):
    """Modules as a kernel's package has them: some compressed, some built in."""
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs" / "ext4.ko").write_bytes(module("jbd2", "crc-16"))
    (tmp_path / "fs" / "jbd2.ko.xz").write_bytes(lzma.compress(module()))
    (tmp_path / "crc-16.ko").write_bytes(module())
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio_blk.ko\n")
    return tmp_path


def test_modules_come_after_what_they_depend_on(folder):
    names = [name for name, _ in modules(folder, ["ext4", "jbd2"])]
    assert names == ["jbd2", "crc_16", "ext4"]


def test_modules_that_are_built_in_or_unknown_are_left_out(folder):
    assert modules(folder, ["virtio_blk", "no_such"]) == []


def test_compressed_modules_are_unpacked(folder):
    assert modules(folder, ["jbd2"]) == [("jbd2", module())]


@pytest.mark.skipif(not shutil.which("cpio"), reason="no cpio")
def test_the_archive_is_what_cpio_reads(tmp_path):
    content = archive([("folder", 0o40755, b""), ("folder/file", 0o100640, b"hello")])
    done = subprocess.run(["cpio", "-i", "--quiet"], input=content, cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "folder" / "file").read_bytes() == b"hello"
    assert (tmp_path / "folder" / "file").stat().st_mode == 0o100640


@pytest.fixture(scope="module")
def fetched() -> tuple[Kernel, Emulator]:
    """The newest kernel that `make test-kernels` has fetched: a test is no reason to."""
    cache = packages.cache()
    releases = sorted(cache.glob("kernel/*-amd64"), key=lambda path: packages.natural(path.name))
    if os.geteuid() != 0 or not releases:
        pytest.skip("needs root, and a kernel that `make test-kernels` has fetched")
    return packages.unpacked(cache, releases[-1].name), emulator(cache)


def say(command, fetched, timeout_s=120, **options):
    """How a guest ended, and what its command said."""
    out = io.BytesIO()
    kernel, found = fetched
    ending = qemu.run(Guest(command, **options), kernel, found, timeout_s, out, io.BytesIO())
    return ending, out.getvalue().decode()


@pytest.mark.parametrize("layout", MOUNTS)
def test_a_guest_has_its_kernel_its_disks_its_cgroups_and_a_shared_folder(
    fetched, tmp_path, layout
):
    """One boot takes seconds, so that one test asks for all of it."""
    wanted = "uname -r; pwd; echo /dev/vd?; cat /proc/self/mounts; echo here >/mnt/out/it; exit 7"
    options = {"folder": tmp_path.parents[1], "disks": 2, "cgroups": layout, "shared": tmp_path}
    ending, said = say(wanted, fetched, **options)
    assert (ending.kind, ending.status) == ("done", 7), ending.console
    kernel, folder, disks, _ = said.split("\n", 3)
    assert kernel == fetched[0].release
    assert folder == str(tmp_path.parents[1])
    assert disks == "/dev/vda /dev/vdb"
    kinds = {line.split()[2] for line in said.splitlines() if "/sys/fs/cgroup" in line}
    assert (
        kinds - {"tmpfs"}
        == {
            "v2": {"cgroup2"},
            "v1": {"cgroup"},
            "hybrid": {"cgroup", "cgroup2"},
        }[layout]
    )
    assert (tmp_path / "it").read_text() == "here\n"


def test_a_guest_that_is_not_done_in_time_is_ended(fetched):
    ending, _ = say("sleep 1000", fetched, timeout_s=1)
    assert (ending.kind, ending.status) == ("timeout", None)


def test_a_kernel_that_panics_is_said_with_what_it_said(fetched):
    ending, _ = say("echo c >/proc/sysrq-trigger; sleep 100", fetched)
    assert (ending.kind, ending.status) == ("stopped", None)
    assert "sysrq triggered crash" in ending.console
