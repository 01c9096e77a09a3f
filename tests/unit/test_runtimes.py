"""Names of containers, from the files of each runtime; files of users; junk."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from ebpftop.collector import runtimes
from ebpftop.collector.containers import Container
from ebpftop.collector.runtimes import TASKS
from tests.unit.machines import DOCKER, ID, LAYOUTS, OTHER, SHORT, STORAGE, UID, USER, Made


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


CONTAINERD = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.container-name": "nginx",
    "io.kubernetes.cri.sandbox-name": "web-7f9c",
    "io.kubernetes.cri.sandbox-namespace": "shop",
}
CRI_O = {
    "io.kubernetes.container.name": "nginx",
    "io.kubernetes.pod.name": "web-7f9c",
    "io.kubernetes.pod.namespace": "shop",
}
POD_SANDBOX = {**CONTAINERD, "io.kubernetes.cri.container-type": "sandbox"}
del POD_SANDBOX["io.kubernetes.cri.container-name"]
IN_A_POD = Container("nginx", "containerd", "shop/web-7f9c")

STATES = {
    "docker": ("docker, systemd", f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER),
    "docker, userns-remap": (
        "docker, systemd",
        f"var/lib/docker/100000.100000/containers/{ID}/config.v2.json",
        DOCKER,
    ),
    "docker, snap": (
        "docker, cgroupfs (measured)",
        f"var/snap/docker/common/var-lib-docker/containers/{ID}/config.v2.json",
        DOCKER,
    ),
    "docker, another parent": (
        "docker, --cgroup-parent=/acme",
        f"var/lib/docker/containers/{ID}/config.v2.json",
        DOCKER,
    ),
    "cri-dockerd": (
        "cri-dockerd",
        f"var/lib/docker/containers/{ID}/config.v2.json",
        {"Name": f"/k8s_nginx_web-7f9c_shop_{UID}_0", "Config": {"Labels": CRI_O}},
    ),
    "podman": (
        "podman, systemd",
        "var/lib/containers/storage/overlay-containers/containers.json",
        STORAGE,
    ),
    "podman, vfs": (
        "podman, cgroupfs (measured)",
        "var/lib/containers/storage/vfs-containers/containers.json",
        STORAGE,
    ),
    "podman --rm": (
        "podman, Quadlet",
        "var/lib/containers/storage/overlay-containers/volatile-containers.json",
        STORAGE,
    ),
    "podman --transient-store": (
        "podman, systemd",
        "run/containers/storage/overlay-containers/volatile-containers.json",
        STORAGE,
    ),
    "containerd": (
        "containerd, burstable, systemd",
        f"run/containerd/{TASKS}/k8s.io/{ID}/config.json",
        {"annotations": CONTAINERD},
    ),
    "containerd, cgroupfs": (
        "any runtime, besteffort, cgroupfs",
        f"run/containerd/{TASKS}/k8s.io/{ID}/config.json",
        {"annotations": CONTAINERD},
    ),
    "containerd, sandbox": (
        "containerd, guaranteed, systemd",
        f"run/containerd/{TASKS}/k8s.io/{ID}/config.json",
        {"annotations": POD_SANDBOX},
    ),
    "k3s": (
        "any runtime, guaranteed, cgroupfs",
        f"run/k3s/containerd/{TASKS}/k8s.io/{ID}/config.json",
        {"annotations": CONTAINERD},
    ),
    "nerdctl": (
        "nerdctl, systemd",
        f"run/containerd/{TASKS}/default/{ID}/config.json",
        {"annotations": {"nerdctl/name": "shop-queue"}},
    ),
    "cri-o": (
        "cri-o, systemd",
        f"run/containers/storage/overlay-containers/{ID}/userdata/config.json",
        {"annotations": CRI_O},
    ),
}
NAMED = {
    "docker": Container("shop-web", "docker"),
    "docker, userns-remap": Container("shop-web", "docker"),
    "docker, snap": Container("shop-web", "docker"),
    "docker, another parent": Container("shop-web", "docker"),
    "cri-dockerd": Container("nginx", "docker", "shop/web-7f9c"),
    "podman": Container("shop-cache", "podman"),
    "podman, vfs": Container("shop-cache", "podman"),
    "podman --rm": Container("shop-cache", "podman"),
    "podman --transient-store": Container("shop-cache", "podman"),
    "containerd": IN_A_POD,
    "containerd, cgroupfs": IN_A_POD,
    "containerd, sandbox": Container("POD", "containerd", "shop/web-7f9c"),
    "k3s": IN_A_POD,
    "nerdctl": Container("shop-queue", "containerd"),
    "cri-o": Container("nginx", "cri-o", "shop/web-7f9c"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_name_is_read_from_the_files_of_the_runtime(made, state):
    layout, file, content = STATES[state]
    made.write(file, content)
    assert made.container(LAYOUTS[layout][0]) == NAMED[state]


@pytest.mark.parametrize("state", STATES)
def test_without_the_file_it_is_the_beginning_of_the_id_and_the_pods_uid(made, state):
    path, runtime, _, pod = LAYOUTS[STATES[state][0]]
    assert made.container(path) == Container(SHORT, runtime, pod)


def test_docker_keeps_its_files_where_it_was_told_to(made):
    made.write("etc/docker/daemon.json", {"data-root": "/srv/docker"})
    made.write(f"srv/docker/containers/{ID}/config.v2.json", DOCKER)
    assert made.container(f"/docker/{ID}").name == "shop-web"


def test_podman_keeps_its_files_where_it_was_told_to(made):
    made.write("etc/containers/storage.conf", '[storage]\n# runroot = "/x"\ngraphroot = "/srv/c"\n')
    made.write("srv/c/overlay-containers/containers.json", STORAGE)
    assert made.container(f"/libpod_parent/libpod-{ID}").name == "shop-cache"


def test_what_ctr_runs_is_called_by_its_id(made):
    (made.root / "run/containerd" / TASKS / "default/shop-queue").mkdir(parents=True)
    assert made.container("/default/shop-queue") == Container("shop-queue", "containerd")
    assert made.container("/default/shop-queue/system.slice").name == "shop-queue"
    assert made.container("/default/another") == Container()


@pytest.mark.parametrize("folder", runtimes.LXC_FAMILY)
def test_what_incus_or_lxd_run_is_theirs(made, folder):
    (made.root / folder / "web").mkdir(parents=True)
    assert made.container("/lxc.payload.web") == Container("web", runtimes.LXC_FAMILY[folder])
    assert made.container("/lxc.payload.db") == Container("db", "lxc")


def test_dockers_containers_are_not_containerds_although_it_runs_them(made):
    made.write(f"run/containerd/{TASKS}/moby/{ID}/config.json", {"annotations": {}})
    assert made.container(f"/acme/{ID}") == Container(SHORT)


# Users' own files


ROOTLESS = f"{USER}/user.slice/libpod-{ID}.scope/container"
OF_USER = "home/1000/.local/share/containers/storage/overlay-containers/containers.json"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to users")


@as_root
@pytest.mark.parametrize(
    "file",
    [OF_USER, "run/user/1000/containers/overlay-containers/volatile-containers.json"],
)
def test_a_users_containers_are_named_by_the_users_files(made, file):
    made.write(file, STORAGE, owner=1000)
    assert made.container(ROOTLESS) == Container("shop-cache", "podman")


@as_root
def test_rootless_docker_is_named_by_the_users_files(made):
    file = f"home/1000/.local/share/docker/containers/{ID}/config.v2.json"
    made.write(file, DOCKER, owner=1000)
    assert made.container(f"{USER}/user.slice/docker-{ID}.scope").name == "shop-web"


def test_nobody_can_call_a_process_after_a_container_of_the_system(made):
    made.write(f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER)
    assert made.container(f"{USER}/app.slice/docker-{ID}.scope").name == SHORT


@as_root
def test_a_users_file_of_another_owner_does_not_count(made):
    made.write(OF_USER, STORAGE, owner=1001)
    assert made.container(ROOTLESS).name == SHORT


@as_root
def test_a_users_link_does_not_count(made):
    file = made.write("elsewhere.json", STORAGE, owner=1000)
    link = made.root / OF_USER
    link.parent.mkdir(parents=True)
    link.symlink_to(file)
    assert made.container(ROOTLESS).name == SHORT


# Files that are not as they should be


JUNK = {
    "nothing": "",
    "no JSON": "{",
    "no text": "\udcff\udcfe",
    "null": "null",
    "a list": "[1]",
    "a list of lists": "[[[]]]",
    "no names": json.dumps([{"id": ID}]),
    "names of another kind": json.dumps([{"id": ID, "names": {"a": 1}}]),
    "an empty list of names": json.dumps([{"id": ID, "names": []}]),
    "names that are numbers": json.dumps([{"id": ID, "names": [7]}]),
    "a name that is a list": json.dumps({"Name": ["x"], "annotations": []}),
    "labels of another kind": json.dumps({"Name": 7, "Config": {"Labels": "x"}}),
    "annotations of another kind": json.dumps(
        {"annotations": {"nerdctl/name": 7}, "Config": [], "Name": None}
    ),
    "no end of brackets": "[" * 1_000_000,
    "a long number": '{"Name": ' + "9" * 100_000 + "}",
    "too large": json.dumps({"Name": "/x", "Config": "y" * runtimes.SIZE_LIMIT}),
}
FILES = {
    f"var/lib/docker/containers/{ID}/config.v2.json": f"/docker/{ID}",
    "var/lib/containers/storage/overlay-containers/containers.json": f"/m/libpod-{ID}",
    f"run/containerd/{TASKS}/default/{ID}/config.json": f"/m/nerdctl-{ID}.scope",
    f"run/containers/storage/overlay-containers/{ID}/userdata/config.json": f"/m/crio-{ID}.scope",
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_a_file_leaves_the_beginning_of_the_id(made, junk, file):
    path = made.root / file
    path.parent.mkdir(parents=True)
    path.write_text(JUNK[junk], errors="surrogateescape")
    assert made.container(FILES[file]).name == SHORT


def loop(path):
    path.symlink_to(path)


def folder(path):
    path.mkdir()


def forever(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("make", [loop, folder, os.mkfifo, forever])
def test_what_is_no_file_is_not_read(made, make, file):
    path = made.root / file
    path.parent.mkdir(parents=True)
    make(path)
    assert made.container(FILES[file]).name == SHORT


def test_a_name_without_end_is_cut(made):
    content = {"Name": "/" + "x" * 10_000}
    made.write(f"var/lib/docker/containers/{ID}/config.v2.json", content)
    assert len(made.container(f"/docker/{ID}").name) < 300
    assert len(made.container("/lxc.payload." + "x" * 10_000).name) < 300


# Docker's socket


class Daemon:
    """Answers one request with the given bytes, or never."""

    def __init__(self, made, answer):
        self.asked = []
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(f"{made.root}/docker.sock")
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self._socket.accept()
            self.asked.append(connection.recv(4096).split(b"\r\n")[0].decode())
            if self._answer is not None:
                connection.sendall(self._answer)
                connection.close()
            else:
                self.held = connection  # kept open


def http(status, content):
    return f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n".encode() + content


def test_docker_is_asked_where_its_files_are_not_found(made):
    daemon = Daemon(made, http("200 OK", json.dumps(DOCKER).encode()))
    assert made.container(f"/docker/{ID}") == Container("shop-web", "docker")
    assert daemon.asked == [f"GET /containers/{ID}/json HTTP/1.0"]


@pytest.mark.parametrize(
    "answer",
    [
        http("404 Not Found", b'{"message": "No such container", "Name": "/x"}'),
        http("200 OK", b"{"),
        http("200 OK", b"[]"),
        b"junk",
        b"",
    ],
)
def test_an_answer_that_is_none_leaves_the_beginning_of_the_id(made, answer):
    Daemon(made, answer)
    assert made.container(f"/docker/{ID}").name == SHORT


def test_a_daemon_that_does_not_answer_is_asked_once(made):
    daemon = Daemon(made, None)
    for number in (ID, OTHER):
        assert made.container(f"/docker/{number}").name == number[:12]
    assert len(daemon.asked) == 1


def test_docker_is_not_asked_of_what_others_run(made):
    daemon = Daemon(made, http("200 OK", json.dumps(DOCKER).encode()))
    for path in (f"/m/libpod-{ID}", f"/m/crio-{ID}.scope", f"{USER}/x/docker-{ID}.scope", "/x"):
        made.container(path)
    assert daemon.asked == []
