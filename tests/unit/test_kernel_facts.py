"""What the files of a machine say of its kernel, and which Pythons there are: made-up machines."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from ebpftop.collector import kernel_facts, toolchain
from ebpftop.collector.kernel_facts import Cgroups, Seen


def machine(root: Path, **files: str | bytes) -> Path:
    """A root folder with some files; `__` in a name stands for `/`."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def test_a_machine_that_tells_nothing_is_no_error(tmp_path):
    made = kernel_facts.kernel(tmp_path)
    assert (made.config_file, made.lockdown, made.btf_bytes, made.tracefs) == ("", "", None, "")
    assert made.has_kprobes is None
    assert set(kernel_facts.settings(tmp_path).values()) == {None}
    assert kernel_facts.symbols_hidden(tmp_path) is None
    assert kernel_facts.rights(tmp_path).own_users is None
    layout = kernel_facts.cgroup_layout(tmp_path)
    assert layout.layout == "none"
    assert kernel_facts.containers_seen(layout, tmp_path) == Seen({}, ())


CONFIG = "CONFIG_BPF_SYSCALL=y\n# CONFIG_KPROBES is not set\nCONFIG_DEBUG_INFO_BTF=y\n"


@pytest.mark.parametrize(
    "file", ["proc/config.gz", "boot/config-6.1.0-9", "lib/modules/6.1.0-9/config"]
)
def test_the_configuration_is_found_where_distributions_put_it(tmp_path, file):
    machine(tmp_path, proc__sys__kernel__osrelease="6.1.0-9\n")
    content = gzip.compress(CONFIG.encode()) if file.endswith(".gz") else CONFIG
    made = kernel_facts.kernel(machine(tmp_path, **{file.replace("/", "__"): content}))
    assert made.config_file == f"/{file}"
    assert (made.config["BPF_SYSCALL"], made.config["KPROBES"]) == ("y", "n")
    assert made.has_kprobes is False


def test_a_damaged_configuration_counts_as_none(tmp_path):
    whole = gzip.compress(CONFIG.encode())
    for content in (b"", whole[:3], whole[:20], b"#" + whole, whole[:-8] + bytes(8)):
        machine(tmp_path, **{"proc__config.gz": content})
        assert kernel_facts.kernel(tmp_path).config == {}


@pytest.mark.parametrize(
    ("files", "lockdown"),
    [
        ({"lockdown": "none [integrity] confidentiality"}, "integrity"),
        ({"lockdown": "[none] integrity confidentiality"}, "none"),
        ({"lsm": "capability,yama"}, "absent"),
        ({"lsm": "lockdown,capability"}, ""),
        ({}, ""),
    ],
)
def test_lockdown_is_the_word_in_brackets(tmp_path, files, lockdown):
    named = {f"sys__kernel__security__{name}": content for name, content in files.items()}
    assert kernel_facts.kernel(machine(tmp_path, **named)).lockdown == lockdown


def test_capabilities_are_bits_of_the_status(tmp_path):
    status = "Uid:\t1000\t0\t0\t0\nCapEff:\t000000c000200000\nSeccomp:\t2\n"
    rights = kernel_facts.rights(machine(tmp_path, proc__self__status=status))
    assert (rights.uid, rights.seccomp) == (0, True)
    held = [name for name, has in rights.capabilities.items() if has]
    assert held == ["BPF", "PERFMON", "SYS_ADMIN"]


def test_symbols_are_hidden_where_addresses_are_zero(tmp_path):
    assert kernel_facts.symbols_hidden(machine(tmp_path, proc__kallsyms="0000 T _stext\n")) is True
    assert kernel_facts.symbols_hidden(machine(tmp_path, proc__kallsyms="ff00 T _stext\n")) is False


V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
V1 = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
SYSTEMD = "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "layout"),
    [
        (V2, Cgroups("v2", "/sys/fs/cgroup", "")),
        (V1, Cgroups("v1", "/sys/fs/cgroup/memory", "memory")),
        (V1 + SYSTEMD, Cgroups("v1", "/sys/fs/cgroup/memory", "memory")),
        (V1 + V2, Cgroups("hybrid", "/sys/fs/cgroup/memory", "memory")),
        (SYSTEMD, Cgroups("none", "", "")),
    ],
)
def test_the_layout_of_cgroups_is_told_by_the_mounts(tmp_path, mounts, layout):
    assert kernel_facts.cgroup_layout(machine(tmp_path, proc__self__mounts=mounts)) == layout


def test_containers_are_those_that_processes_are_in_each_once(tmp_path):
    docker, podman = "a" * 64, "b" * 64
    paths = [
        *(f"/system.slice/docker-{docker}.scope", f"/system.slice/docker-{docker}.scope"),
        *(f"/machine.slice/libpod-{podman}.scope", "/system.slice/cron.service"),
    ]
    for pid, path in enumerate(paths, 1):
        machine(tmp_path, **{f"proc__{pid}__cgroup": f"4:memory:{path}\n0::/other\n"})
    seen = kernel_facts.containers_seen(Cgroups("hybrid", "/m", "memory"), tmp_path)
    assert seen == Seen({"docker": 1, "podman": 1}, ("a" * 12, "b" * 12))


# Which Pythons there are


def test_a_python_is_asked_what_it_can_import():
    asked = toolchain.ask(sys.executable)
    assert asked.version == ".".join(map(str, sys.version_info[:3]))
    assert asked.prefix == sys.prefix


def test_what_is_no_python_says_so():
    assert toolchain.ask("/bin/false").error == "is no Python"
    assert toolchain.ask("/no/such/python").error == "No such file or directory"


def test_a_python_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "ANSWER_S", 0.1)
    slow = tmp_path / "python3"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    assert toolchain.ask(str(slow)).error == "did not answer in 0.1 s"


def test_pypis_bcc_is_told_from_the_real_one(tmp_path, monkeypatch):
    (tmp_path / "bcc.py").write_text("")
    (tmp_path / "psutil.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "PyPI" in toolchain.ask(sys.executable).error


def test_modules_in_the_working_folder_are_not_run(tmp_path, monkeypatch):
    (tmp_path / "psutil.py").write_text("open('ran', 'w')\n")
    monkeypatch.chdir(tmp_path)
    toolchain.ask(sys.executable)
    assert not (tmp_path / "ran").exists()
