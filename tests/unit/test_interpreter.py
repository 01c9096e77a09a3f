"""Which Python runs the collector, where from, and what is said where there is none."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ebpftop.collector import toolchain
from ebpftop.sources import interpreter
from ebpftop.sources.base import SourceError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A current folder whose modules leave a trace when they are imported."""
    trace = tmp_path / "imported"
    for module in ("psutil", "bcc", "json", "ebpftop"):
        text = f"open({str(trace)!r}, 'a').write({module!r})\nraise ImportError\n"
        (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return trace


def test_a_python_is_not_asked_in_the_current_folder(trap):
    interpreter.has_bcc(sys.executable)
    assert not trap.exists()


def test_nor_does_the_collector_import_from_there(trap):
    command = [sys.executable, "-P", "-m", "ebpftop", "collect", "--probe", "nosuch"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "import bcc and psutil" in result.stderr:
        pytest.skip("no Python with bcc here")
    assert not trap.exists()
    assert "no probe named nosuch" in result.stderr


def test_a_python_may_be_named_as_a_shell_would_find_it(tmp_path, monkeypatch):
    (tmp_path / "here").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interpreter, "has_bcc", lambda python: True)
    for named, path in (("./here", f"{tmp_path}/here"), ("sh", "/bin/sh")):
        monkeypatch.setenv("EBPFTOP_PYTHON", named)
        assert os.path.samefile(interpreter.collector_python(), path)
        assert os.path.isabs(interpreter.collector_python())


@pytest.mark.parametrize(
    ("told", "command"),
    [
        ({"ID": "debian"}, "sudo apt install python3-bpfcc python3-psutil"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "sudo apt install python3-bpfcc"),
        ({"ID": "almalinux", "ID_LIKE": "rhel centos fedora"}, "sudo dnf install python3-bcc"),
        ({"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"}, "sudo zypper install"),
        ({"ID": "arch"}, "sudo pacman -S python-bcc python-psutil"),
        ({"ID": "alpine"}, "sudo apk add py3-bcc py3-psutil"),
        ({"ID": "nixos"}, "install those of the distribution"),
    ],
)
def test_where_no_python_has_bcc_the_distributions_packages_are_named(told, command, monkeypatch):
    monkeypatch.delenv("EBPFTOP_PYTHON", raising=False)
    monkeypatch.setattr(interpreter, "DISTRIBUTION", {})
    monkeypatch.setattr(interpreter, "has_bcc", lambda python: False)
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: told)
    with pytest.raises(SourceError, match=f"import bcc and psutil: {command}"):
        interpreter.collector_python()


@pytest.mark.parametrize(
    ("library", "version"),
    [
        ("/usr/lib/x86_64-linux-gnu/libLLVM-11.so.1", "11"),  # Ubuntu 22.04
        ("/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1", "14"),  # Debian 12
        ("/usr/lib/llvm-18/lib/libLLVM.so.1", "18"),  # Ubuntu 24.04
        ("/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1", "19.1"),  # Debian 13
        ("/usr/lib/x86_64-linux-gnu/libclang-cpp.so.19.1", ""),
    ],
)
def test_the_version_of_llvm_is_read_from_where_its_library_is(library, version):
    assert toolchain._version(toolchain.LLVM, ["/usr/lib/libc.so.6", library]) == version


def test_the_version_of_libbpf_is_the_files():
    libraries = ["/usr/lib/x86_64-linux-gnu/libbpf.so.0.5.0"]
    assert toolchain._version(toolchain.LIBBPF, libraries) == "0.5.0"
