"""Which kernel is meant, where it comes from, and what happens where it cannot be had."""

from __future__ import annotations

import os

import pytest

from tests.kernels import matrix, packages
from tests.kernels.packages import UnavailableError, archives, newest

VERSIONS = ["5.10.0-9", "5.10.0-46", "6.1.0-56", "6.12.117+deb13", "6.12.9+deb13", "7.2.13+deb14"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("5.10", "5.10.0-46"),
        ("6.1", "6.1.0-56"),
        ("6.12", "6.12.117+deb13"),
        ("6.12.9", "6.12.9+deb13"),
        ("6.1.0-56", "6.1.0-56"),
        ("newest", "7.2.13+deb14"),
        ("6", "6.12.117+deb13"),
        ("4.19", None),
    ],
)
def test_a_version_means_the_newest_kernel_that_begins_with_it(wanted, found):
    assert newest(VERSIONS, wanted) == found


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_the_mirror_is_that_of_the_machine(sources):
    (sources / "sources.list").write_text("# deb http://old/debian x main\n")
    (sources / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\nURIs: http://mirror.example/pub/debian\nSuites: bookworm\n"
    )
    assert archives(sources) == {
        "debian": "http://mirror.example/pub/debian",
        "debian-security": "http://mirror.example/pub/debian-security",
    }


def test_without_a_debian_archive_nothing_is_available(sources):
    (sources / "sources.list").write_text("deb http://archive.ubuntu.com/ubuntu noble main\n")
    with pytest.raises(UnavailableError, match="no Debian archive"):
        archives(sources)


def test_the_cache_can_be_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("EBPFTOP_KERNELS_CACHE", str(tmp_path))
    assert packages.cache() == tmp_path


def unreachable(*_):
    raise UnavailableError("the mirror does not answer")


@pytest.mark.parametrize(("wanted", "update"), [("6.1", False), ("6.1", True), ("newest", False)])
def test_a_kernel_that_was_fetched_is_taken_where_the_archive_cannot_be_reached(
    monkeypatch, tmp_path, wanted, update
):
    monkeypatch.setattr(packages, "archives", unreachable)
    place = tmp_path / "kernel" / "6.1.0-56-cloud-amd64"
    for name in ("boot/vmlinuz-6.1.0-56-cloud-amd64", "lib/modules/6.1.0-56-cloud-amd64/x.ko"):
        (place / name).parent.mkdir(parents=True)
        (place / name).touch()
    kernel = packages.kernel(tmp_path, wanted, update=update)
    assert kernel.release == "6.1.0-56-cloud-amd64"
    assert kernel.image.parent == place / "boot"
    with pytest.raises(UnavailableError, match="does not answer"):
        packages.kernel(tmp_path, "5.10")


def test_where_qemu_cannot_be_had_a_line_says_so_and_nothing_fails(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(matrix, "emulator", unreachable)
    assert matrix.main([]) == 0
    said = capsys.readouterr().out
    assert said == "SKIPPED tests on other kernels: the mirror does not answer\n"


def test_where_a_kernel_cannot_be_had_a_line_says_which(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(matrix, "emulator", lambda _: None)
    monkeypatch.setattr(packages, "archives", unreachable)
    monkeypatch.setenv("EBPFTOP_KERNELS_CACHE", str(tmp_path))
    assert matrix.main(["6.1", "5.10:v1"]) == 0
    assert capsys.readouterr().out == (
        "SKIPPED kernel 6.1: the mirror does not answer\n"
        "SKIPPED kernel 5.10:v1: the mirror does not answer\n"
    )
