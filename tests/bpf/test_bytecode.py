"""Programs that are kept from one start to the next: the same figures, and nothing trusted."""

from __future__ import annotations

import collections
import ctypes
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ebpftop import registry
from ebpftop.collector import bytecode
from tests.bpf.conftest import PATIENCE_S, PYTHON, ROOT

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load BPF programs"),
]
PROBES = list(registry.probes())
# One child that loads a probe as the collector does; prints what was said, and what the kernel has.
LOAD = """
import json, socket, sys, dataclasses
from ebpftop import registry
from ebpftop.collector import bpf, loader
import os
ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    loader.load_all([(registry.probes()[sys.argv[1]], theirs)])
theirs.close()
loaded, fds = loader.receive(ours)
count = len(loaded.maps)
programs = fds[count : count + len(loaded.programs)]
print(json.dumps([
    dataclasses.asdict(loaded),
    [bpf.map_spec(fd) for fd in fds[:count]],
    [bpf.program_name(fd) for fd in programs],
    len(fds),
]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of the cache of one test; not yet there."""
    path = Path(tmp_path / "kept")
    monkeypatch.setenv("EBPFTOP_CACHE", str(path))
    return path


@pytest.fixture
def without_bcc(tmp_path) -> dict[str, str]:
    """An environment in which to import bcc is an error: what runs there was not compiled."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "bcc.py").write_text("raise ImportError('No module named bcc')\n")
    return {"PYTHONPATH": str(broken)}


def run(*probes: str, cwd: Path = ROOT, **environment: str) -> dict[str, str]:
    """The last state of each probe of a collector that runs for one interval."""
    result = subprocess.run(
        [
            PYTHON,
            "-m",
            "ebpftop.collector",
            "--interval",
            "0.1",
            "--count",
            "1",
            "--probe",
            *probes,
        ],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    records = map(json.loads, result.stdout.splitlines())
    return {r["probe"]: r["state"] for r in records if r["t"] == "status"}


def load(probe: str, **environment: str) -> list[Any]:
    result = subprocess.run(
        [PYTHON, "-c", LOAD, probe],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    said: list[Any] = json.loads(result.stdout)
    return said


def the_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def runs_without_compiling(without_bcc, *probes: str, cwd: Path = ROOT) -> bool:
    states = run(*probes, cwd=cwd, **without_bcc)
    assert set(states) == set(probes)
    return all(state in ("running", "degraded") for state in states.values())


@pytest.mark.parametrize("probe", PROBES)
def test_a_second_start_gives_the_same_hooks_maps_and_programs_without_bcc(
    folder, without_bcc, probe
):
    first = load(probe)
    if first[0]["unavailable"]:
        pytest.skip(first[0]["reason"])
    assert first[0]["ok"]
    assert the_file(folder)
    assert load(probe, **without_bcc) == first


def test_all_probes_run_without_bcc_once_they_have_run_with_it(folder, without_bcc):
    states = run(*PROBES)
    able = [name for name, state in states.items() if state in ("running", "degraded")]
    assert able
    assert runs_without_compiling(without_bcc, *able)


def test_a_second_start_counts_every_call(folder, collect):
    assert run("syscount") == {"syscount": "running"}
    kept = the_file(folder)
    before = kept.stat()
    session = collect("syscount")
    libc = ctypes.CDLL(None, use_errno=True)
    calls = 20_000
    for _ in range(calls):
        libc.syscall(186 if os.uname().machine == "x86_64" else 178)  # gettid
    session.settle("syscount")
    counted: collections.Counter[str] = collections.Counter()
    for row in session.rows("syscount", "calls"):
        if row["pid"] == os.getpid():
            counted[row["syscall"]] += row["count"]
    assert counted["gettid"] == calls
    assert session.lost("syscount") == {}
    after = kept.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_without_the_kept_programs_a_missing_bcc_is_noticed(folder, without_bcc):
    assert run("biotop", **without_bcc) == {"biotop": "failed"}
    assert list(folder.iterdir()) == []


def test_only_root_can_read_or_write_what_is_kept(folder):
    run("biotop")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert the_file(folder).stat().st_mode & 0o777 == 0o600


def damage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def give_away(path: Path) -> None:
    shutil.chown(path, 65534)


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


def move_behind_a_symlink(path: Path) -> None:
    target = path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(target)


def say_another_compiler(path: Path) -> None:
    kept, label = bytecode.decode(path.read_bytes())
    label["compiler"][0][2] += 1  # the time of change of its file
    path.write_bytes(bytecode.encode(kept, label))


def break_a_program(path: Path) -> None:
    """A valid file whose program the verifier refuses: it only leaves, with nothing in r0."""
    kept, label = bytecode.decode(path.read_bytes())
    name, program = next(iter(kept.programs.items()))
    kept.programs[name] = bytecode.Program(
        program.name, program.type, program.licence, program.kernel_version, b"\x95" + bytes(7)
    )
    path.write_bytes(bytecode.encode(kept, label))


WRONGS = [
    damage,
    cut_off,
    empty,
    give_away,
    open_to_all,
    move_behind_a_symlink,
    say_another_compiler,
    break_a_program,
]


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_file_with_something_wrong_is_not_used(folder, without_bcc, wrong):
    run("biotop")
    wrong(the_file(folder))
    assert run("biotop", **without_bcc) == {"biotop": "failed"}


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_file_with_something_wrong_is_replaced(folder, without_bcc, wrong):
    run("biotop")
    wrong(the_file(folder))
    assert run("biotop") == {"biotop": "running"}
    assert not the_file(folder).is_symlink()
    assert runs_without_compiling(without_bcc, "biotop")


@pytest.mark.parametrize("wrong", [give_away, open_to_all, move_behind_a_symlink])
def test_a_folder_that_others_could_fill_is_neither_read_nor_written(folder, without_bcc, wrong):
    run("biotop")
    wrong(folder)
    assert run("biotop", **without_bcc) == {"biotop": "failed"}
    assert run("runqlen") in ({"runqlen": "running"}, {"runqlen": "degraded"})
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_made_keeps_nothing_and_harms_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("EBPFTOP_CACHE", str(tmp_path / "no" / "such"))
    assert run("biotop") == {"biotop": "running"}
    assert list(tmp_path.iterdir()) == []


def test_an_empty_name_turns_it_off(without_bcc):
    assert run("biotop", EBPFTOP_CACHE="") == {"biotop": "running"}
    assert run("biotop", EBPFTOP_CACHE="", **without_bcc) == {"biotop": "failed"}


@pytest.mark.parametrize("changed", ["probes/block/biotop.c", "probes/common.h"])
def test_a_changed_source_is_compiled_anew(folder, without_bcc, tmp_path, changed):
    tree = tmp_path / "tree"
    for name in ("ebpftop", "probes"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    run("biotop")
    assert runs_without_compiling(without_bcc, "biotop", cwd=tree)  # an equal tree elsewhere
    with (tree / changed).open("a") as file:
        file.write("// changed\n")
    assert run("biotop", cwd=tree, **without_bcc) == {"biotop": "failed"}
    assert run("biotop", cwd=tree) == {"biotop": "running"}
    assert len(list(folder.iterdir())) == 2


def test_the_oldest_files_make_room(folder):
    folder.mkdir(mode=0o700)
    for number in range(70):
        (folder / f"old-{number}").write_bytes(b"")
        os.utime(folder / f"old-{number}", (number, number))
    run("biotop")
    names = {path.name for path in folder.iterdir()}
    assert len(names) == 64
    assert any(name.startswith("biotop-") for name in names)
    assert "old-69" in names
    assert "old-6" not in names
