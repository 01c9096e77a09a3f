"""Processes in real containers, and in real cgroups laid out as runtimes lay them out.

Runtimes that are installed run a container each; Docker and containerd as daemons of the test's
own. What cannot be run, for want of systemd or of a cluster, is a cgroup made by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from ebpftop.collector.cgroups import hierarchy
from ebpftop.model import Process
from tests.bpf.conftest import PATIENCE_S, PYTHON, ROOT, Session
from tests.unit.machines import LAYOUTS, SHORT

pytestmark = pytest.mark.bpf

LOAD = "while :; do cat /proc/uptime >/dev/null; sleep 0.1; done"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")  # crun may not raise them


def run(*command: object, check: bool = True) -> str:
    """Output of a runtime's command; skips the test where the runtime refuses."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE_S
    )
    if check and done.returncode:
        pytest.skip(f"{command[0]} does not run here: {done.stderr.strip()[-300:]}")
    return done.stdout


def needs(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder of a short name: those of sockets must be."""
    path = Path(tempfile.mkdtemp(prefix="ebt"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def root(folder: Path) -> Path:
    """A root file system that has a shell."""
    needs("busybox")
    busybox = Path(str(shutil.which("busybox")))
    path = folder / "root"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (path / name).mkdir(parents=True)
    shutil.copy(busybox, path / "bin")
    for name in ("sh", "cat", "sleep"):
        (path / "bin" / name).symlink_to("busybox")
    if subprocess.run(["chroot", path, "/bin/sh", "-c", "true"]).returncode:
        pytest.skip("busybox is not the static one (busybox-static)")
    return path


@contextmanager
def daemon(folder: Path, *command: object, answers: tuple[object, ...]) -> Iterator[None]:
    """A daemon until it is no longer needed; `answers` succeeds once it serves."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
    try:
        for _ in range(PATIENCE_S * 10):
            asked = subprocess.run(list(map(str, answers)), capture_output=True)
            if asked.returncode == 0:
                break
            if process.poll() is not None:
                pytest.skip(f"{command[0]} does not run: {(folder / 'log').read_text()[-300:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def podman(name: str, root: Path, folder: Path) -> Iterator[str]:
    needs("podman")
    arguments = ("run", "-d", "--rm", *LIMITS, "--log-driver=none", "--network=host")
    what = (f"--name={name}", "--rootfs", root, "/bin/sh", "-c", LOAD, name)
    as_it_is = subprocess.run(["podman", *arguments, *map(str, what)], capture_output=True)
    try:
        if as_it_is.returncode:  # crun refuses hybrid cgroups
            run("podman", "rm", "-f", "-t0", name, check=False)
            run("podman", "--runtime=runc", *arguments, *what)
        yield "podman"
    finally:
        run("podman", "rm", "-f", "-t0", name, check=False)


@contextmanager
def docker(name: str, root: Path, folder: Path) -> Iterator[str]:
    needs("dockerd", "docker")
    host = f"unix://{folder}/sock"
    places = ("--data-root", folder / "data", "--exec-root", folder / "exec", "-p", folder / "pid")
    nets = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
    with daemon(
        folder,
        *("dockerd", "-H", host, *places, *nets, "--storage-driver=vfs"),
        answers=("docker", "-H", host, "version"),
    ):
        ask = ("docker", "-H", host)
        run("tar", "-C", root, "-cf", folder / "image.tar", ".")
        run(*ask, "import", folder / "image.tar", "shell")
        run(*ask, "run", "-d", "--network=host", "--name", name, "shell", "sh", "-c", LOAD, name)
        try:
            yield "docker"
        finally:
            run(*ask, "rm", "-f", name, check=False)
            run("umount", folder / "exec/netns/default", check=False)


@contextmanager
def containerd(name: str, root: Path, folder: Path) -> Iterator[str]:
    needs("containerd", "ctr")
    state = Path("/run/containerd")
    was_there = state.exists()
    (folder / "config.toml").write_text(
        f'version = 2\nroot = "{folder}/root-of-it"\nstate = "{state}"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{folder}/sock"\n'
    )
    if (state / "containerd.sock").exists():
        pytest.skip("containerd runs here already")
    ask = ("ctr", "-a", folder / "sock")
    try:
        with daemon(
            folder,
            *("containerd", "-c", folder / "config.toml"),
            answers=(*ask, "version"),
        ):
            run(*ask, "run", "-d", "--rootfs", root, name, "/bin/sh", "-c", LOAD, name)
            try:
                yield "containerd"
            finally:
                run(*ask, "task", "rm", "-f", name, check=False)
                run(*ask, "container", "rm", name, check=False)
    finally:
        if not was_there:
            shutil.rmtree(state, ignore_errors=True)


@contextmanager
def lxc(name: str, root: Path, folder: Path) -> Iterator[str]:
    needs("lxc-start")
    script = root / "init"
    script.write_text(f"#!/bin/sh\nexec /bin/sh -c '{LOAD}' {name}\n")
    script.chmod(0o755)
    (folder / name).mkdir()
    (folder / name / "config").write_text(
        f"lxc.uts.name = {name}\nlxc.rootfs.path = dir:{root}\nlxc.net.0.type = none\n"
        "lxc.apparmor.profile = unconfined\nlxc.mount.auto = proc:rw\nlxc.init.cmd = /init\n"
    )
    try:
        run("lxc-start", "-P", folder, "-n", name)
        yield "lxc"
    finally:
        run("lxc-stop", "-P", folder, "-n", name, "-k", check=False)


def pid_of(name: str) -> int:
    """The shell that carries the name of its container as its last argument."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0] in (b"sh", b"/bin/sh") and arguments[-2:] == [name.encode(), b""]:
            return int(process.name)
    return 0


def said_of(session: Session, pid: int) -> Process | None:
    """The newest that is said of a process, once it is in a container."""
    said = [process for process in session.processes(pid) if process.container]
    return said[-1] if said else None


@pytest.mark.parametrize("runtime", [podman, docker, containerd, lxc])
def test_processes_in_a_container_are_said_with_its_name(
    collect: Callable[..., Session],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    root: Path,
    runtime: Callable[[str, Path, Path], AbstractContextManager[str]],
) -> None:
    name = f"ebpftop-test-{os.getpid()}"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/sock")  # its files are elsewhere, too
    session = collect("syscount")
    with runtime(name, root, folder) as called:
        pid = next(iter(filter(None, (pid_of(name) for _ in range(1000)))))
        session.wait_for(lambda: (said := said_of(session, pid)) and said.container == name)
        process = said_of(session, pid)
        assert process is not None
        assert (process.container, process.runtime, process.pod) == (name, called, "")
        session.settle("syscount")
        rows = [row for row in session.rows("syscount", "calls") if row["pid"] == pid]
        assert process.cgroup in {row["cgroup"] for row in rows}


def remove(top: Path) -> None:
    """Remove cgroups, as soon as what was in them is gone."""
    for path, _, _ in os.walk(top, topdown=False):
        for _ in range(PATIENCE_S * 10):
            try:
                os.rmdir(path)
                break
            except OSError:
                time.sleep(0.1)


@pytest.fixture
def processes_in_layouts() -> Iterator[dict[str, int]]:
    """A process in a cgroup of each layout; their ids."""
    tree = hierarchy()
    assert tree is not None
    top = tree.mount / f"ebpftop-test-{os.getpid()}"
    command = "while :; do : </dev/null; sleep 0.5; done"
    processes = {}
    try:
        for layout, (path, *_) in LAYOUTS.items():
            group = Path(f"{top}{path}")
            group.mkdir(parents=True)
            processes[layout] = subprocess.Popen(["/bin/sh", "-c", command])
            (group / "cgroup.procs").write_text(str(processes[layout].pid))
        yield {layout: process.pid for layout, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
        remove(top)


def test_every_layout_is_known_in_real_cgroups(
    processes_in_layouts: dict[str, int], collect: Callable[..., Session]
) -> None:
    session = collect("syscount")
    wanted, said = {}, {}
    for layout, pid in processes_in_layouts.items():
        _, runtime, number, pod = LAYOUTS[layout]
        container = SHORT if number.startswith(SHORT) else number
        wanted[layout] = (container, runtime, pod)
        session.wait_for(partial(said_of, session, pid))
        process = said_of(session, pid)
        assert process is not None
        said[layout] = (process.container, process.runtime, process.pod)
    assert said == wanted


SEEN_FROM_INSIDE = """
import os, subprocess, sys
from ebpftop.collector.cgroups import Paths, hierarchy
tree = hierarchy()
kind = ["cgroup", "-o", tree.controller] if tree.controller else ["cgroup2"]
subprocess.run(["umount", tree.mount], check=True)
subprocess.run(["mount", "-t", *kind, "none", tree.mount], check=True)
inside, outside, pid = os.stat(tree.mount).st_ino, *map(int, sys.argv[1:])
for roots in (["", f"/proc/{pid}/root"], [f"/proc/{pid}/root", ""]):
    paths = Paths(roots)
    print(paths.path(inside) or "?", paths.path(outside) or "?", paths.of(pid), sep="\\t")
"""


def test_in_a_cgroup_namespace_a_path_is_right_or_unknown() -> None:
    tree = hierarchy()
    if os.geteuid() != 0 or tree is None:
        pytest.skip("needs root to make cgroups")
    top = tree.mount / f"ebpftop-test-{os.getpid()}"
    inside, outside = top / "inside", top / "outside"
    inside.mkdir(parents=True)
    outside.mkdir()
    enter = f'echo $$ >{inside}/cgroup.procs; exec unshare --cgroup --mount -- "$@"'
    program = (PYTHON, "-c", SEEN_FROM_INSIDE, str(outside.stat().st_ino), str(os.getpid()))
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", enter, "sh", *program], cwd=ROOT, capture_output=True, text=True
        )
    finally:
        remove(top)
    assert not done.stderr
    own, of_init = (line.split("\t") for line in done.stdout.splitlines())
    assert own == ["/", "?", "0"]
    assert of_init == [f"/{top.name}/inside", f"/{top.name}/outside", "0"]
