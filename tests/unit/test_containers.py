"""Which container a cgroup is of, and its name, laid out as each runtime lays them out."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from ebpftop.collector import runtimes
from ebpftop.collector.containers import RENAMED_S, RETRY_S, Container, Containers, locate
from ebpftop.collector.identity import Identities, unit_of
from ebpftop.collector.runtimes import TASKS, Runtimes

ID = "3c43993c8376a3cebf1ed37b2f14cc00900ba5a1c619f87c44eb88d8769ec8ab"
OTHER = "bcf75b634ce6db565afc32793f17dbddaa4d43641eb991e1f71c43a481e6a167"
SHORT = ID[:12]
UID = "0f1e2d3c-4b5a-4678-9abc-def012345678"
UID_ = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
USER = "/user.slice/user-1000.slice/user@1000.service"
PODS = "/kubepods.slice/kubepods-burstable.slice"
NODE = f"/docker/{OTHER}"

# Each as its runtime writes it: (path, runtime, id or name, pod).
LAYOUTS = {
    # Docker 20.10 daemon/oci_linux.go: `<parent>/<id>`, or `<slice>:docker:<id>` for systemd,
    # from which runc 1.1 libcontainer/cgroups/systemd/common.go makes `docker-<id>.scope`.
    "docker, cgroupfs (measured)": (f"/docker/{ID}", "docker", ID, ""),
    "docker, systemd": (f"/system.slice/docker-{ID}.scope", "docker", ID, ""),
    "docker, --cgroup-parent=/acme": (f"/acme/{ID}", "", ID, ""),
    "docker, rootless": (f"{USER}/user.slice/docker-{ID}.scope", "docker", ID, ""),
    "docker, systemd inside": (f"/docker/{ID}/system.slice/nginx.service", "docker", ID, ""),
    "docker in docker": (f"/docker/{OTHER}/docker/{ID}", "docker", ID, ""),
    # Podman 4.3 libpod/container_internal_linux.go, getOCICgroupPath; `container` is crun's
    # (src/libcrun/cgroup-systemd.c), `libpod-payload` that of --cgroups=split and Quadlet.
    "podman, cgroupfs (measured)": (f"/libpod_parent/libpod-{ID}", "podman", ID, ""),
    "podman, systemd": (f"/machine.slice/libpod-{ID}.scope/container", "podman", ID, ""),
    "podman, in a pod": (
        f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope",
        "podman",
        ID,
        "",
    ),
    "podman, rootless": (f"{USER}/user.slice/libpod-{ID}.scope/container", "podman", ID, ""),
    "podman, Quadlet": (f"/system.slice/web.service/libpod-payload-{ID}", "podman", ID, ""),
    "podman, systemd inside": (
        f"/machine.slice/libpod-{ID}.scope/container/system.slice/nginx.service",
        "podman",
        ID,
        "",
    ),
    # containerd 1.6 pkg/cri/server/helpers_linux.go, getCgroupsPath; kubelet
    # pkg/kubelet/cm/{cgroup_manager,pod_container_manager}_linux.go: guaranteed pods have no
    # level of their own, slices are of the whole way and have `_` for `-`.
    "containerd, burstable, systemd": (
        f"{PODS}/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope",
        "containerd",
        ID,
        UID,
    ),
    "containerd, guaranteed, systemd": (
        f"/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope",
        "containerd",
        ID,
        UID,
    ),
    "any runtime, besteffort, cgroupfs": (f"/kubepods/besteffort/pod{UID}/{ID}", "", ID, UID),
    "any runtime, guaranteed, cgroupfs": (f"/kubepods/pod{UID}/{ID}", "", ID, UID),
    "any runtime, static pod": (f"/kubepods/burstable/pod{STATIC}/{ID}", "", ID, STATIC),
    "containerd, drivers that differ": (
        f"/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}",
        "containerd",
        ID,
        UID,
    ),
    "systemd in a pod": (
        f"{PODS}/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope/init.scope",
        "containerd",
        ID,
        UID,
    ),
    # nerdctl 1.7 pkg/cmd/container/create.go, containerd oci/spec_opts.go WithNamespacedCgroup.
    "nerdctl, systemd": (f"/system.slice/nerdctl-{ID}.scope", "containerd", ID, ""),
    "nerdctl, cgroupfs": (f"/default/{ID}", "containerd", ID, ""),
    # CRI-O internal/config/cgmgr/{systemd,cgroupfs}_linux.go: `crio` in both, crun's below it.
    "cri-o, systemd": (
        f"{PODS}/kubepods-burstable-pod{UID_}.slice/crio-{ID}.scope/container",
        "cri-o",
        ID,
        UID,
    ),
    "cri-o, cgroupfs": (f"/kubepods/burstable/pod{UID}/crio-{ID}", "cri-o", ID, UID),
    # cri-dockerd core/helpers.go
    "cri-dockerd": (f"{PODS}/kubepods-pod{UID_}.slice/docker-{ID}.scope", "docker", ID, UID),
    # kind images/base: `--cgroup-root=/kubelet`; k3d runs the kubelet at the node's root.
    "kind": (
        f"{NODE}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice"
        f"/kubelet-kubepods-besteffort-pod{UID_}.slice/cri-containerd-{ID}.scope",
        "containerd",
        ID,
        UID,
    ),
    "k3d": (f"{NODE}/kubepods/besteffort/pod{UID}/{ID}", "", ID, UID),
    # liblxc 5.0 src/lxc/cgroups/cgroup.h, before 4.0 `lxc/NAME`; Proxmox: lxc.cgroup.dir.*
    "lxc (measured)": ("/lxc.payload.shop-db", "lxc", "shop-db", ""),
    "lxc, systemd inside": ("/lxc.payload.web_1/system.slice/ssh.service", "lxc", "web_1", ""),
    "lxc 3": ("/lxc/web", "lxc", "web", ""),
    "lxc, unprivileged": (f"{USER}/app.slice/lxc.payload.web", "lxc", "web", ""),
    "lxc in lxc": ("/lxc.payload.outer/lxc.payload.inner/init.scope", "lxc", "inner", ""),
    "docker in lxc": (f"/lxc.payload.web/docker/{ID}", "docker", ID, ""),
    "proxmox": ("/lxc/101/ns/init.scope", "lxc", "101", ""),
    # systemd 252 src/machine/machine-dbus.c and src/nspawn/nspawn-cgroup.c (`payload`)
    "nspawn": (
        r"/machine.slice/machine-shop\x2dmail.scope/payload/init.scope",
        "systemd-nspawn",
        "shop-mail",
        "",
    ),
    "nspawn, a service": (
        "/machine.slice/systemd-nspawn@shop-mail.service/payload/system.slice/exim4.service",
        "systemd-nspawn",
        "shop-mail",
        "",
    ),
    # libvirt src/hypervisor/domain_driver.c, virDomainDriverGenerateMachineName
    "libvirt": (r"/machine.slice/machine-lxc\x2d7\x2dweb\x2d1.scope", "libvirt", "web-1", ""),
}

NOT_IN_CONTAINERS = [
    "",
    "/",
    "/..",
    "/../../system.slice/cron.service",
    "/system.slice/docker.service",
    "/system.slice/nginx.service",
    f"{USER}/app.slice/app-firefox-1234.scope",
    "/user.slice/user-0.slice/session-3.scope",
    "/docker",
    "/docker/buildkit",
    "/lxc",
    f"/docker/{ID[:40]}",
    # those who watch over a container
    f"/machine.slice/libpod-conmon-{ID}.scope",
    "/system.slice/web.service/runtime",
    f"{PODS}/crio-conmon-{ID}.scope",
    f"/kubepods/burstable/pod{UID}/crio-conmon-{ID}",
    "/lxc.monitor.web",
    "/lxc.monitor/101",
    r"/machine.slice/machine-web.scope/supervisor",
    "/machine.slice/systemd-nspawn@web.service/supervisor",
    # virtual machines
    r"/machine.slice/machine-qemu\x2d3\x2dwindows.scope/libvirt/emulator",
    # one that anybody may make
    f"{USER}/app.slice/acme-{ID}.scope",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_path_tells_the_runtime_and_the_id(layout):
    path, runtime, number, pod = LAYOUTS[layout]
    place = locate(path)
    assert place is not None
    assert (place.runtime, place.id, place.pod) == (runtime, number, pod)


@pytest.mark.parametrize("path", NOT_IN_CONTAINERS)
def test_what_is_in_no_container_is_said_to_be_in_none(path):
    assert locate(path) is None


@pytest.mark.parametrize(
    ("path", "container", "unit"),
    [
        (f"/docker/{ID}/system.slice/nginx.service", SHORT, "nginx.service"),
        ("/lxc.payload.web/init.scope", "web", "init.scope"),
        ("/lxc.payload.web", "web", ""),
    ],
)
def test_the_container_is_the_outer_and_the_unit_the_inner(made, path, container, unit):
    assert made.container(path).name == container
    assert unit_of(path) == unit


class Made:
    """A machine whose files are made by the test."""

    def __init__(self, root):
        self.root = root
        self.now_s = 100.0
        self.containers = self.new()

    def new(self):
        """A collector that has just been started."""
        names = Runtimes(self.root, home="/home/{}".format, docker=f"{self.root}/docker.sock")
        return Containers(names, clock=lambda: self.now_s)

    def write(self, path, content, owner=None):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        if owner is not None:
            os.chown(file, owner, owner)
        return file

    def container(self, path):
        return self.containers.of(path)

    def after(self, seconds):
        self.now_s += seconds
        return self.containers.news()


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


def annotated(**annotations):
    return {"annotations": {key.replace("__", "/"): text for key, text in annotations.items()}}


DOCKER = {"ID": ID, "Name": "/shop-web", "Config": {"Labels": {}}}
STORAGE = [{"id": OTHER, "names": ["else"]}, {"id": ID, "names": ["shop-cache", "alias"]}]
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
        annotated(nerdctl__name=7) | {"Config": [], "Name": None}
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


# Names that come late, change, or outlive their container


def test_a_name_that_is_not_there_yet_is_looked_for_again(made):
    path = f"/docker/{ID}"
    assert made.container(path).name == SHORT
    assert made.after(RETRY_S[0]) == []
    made.write(f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER)
    assert made.after(RETRY_S[1]) == [path]
    assert made.container(path).name == "shop-web"
    assert made.after(3600) == []


def test_a_name_that_never_comes_is_looked_for_a_few_times_only(made):
    path = f"/docker/{ID}"
    made.container(path)
    for _ in range(20):
        made.after(max(RETRY_S))
    made.write(f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER)
    assert made.after(max(RETRY_S)) == []


def test_another_name_is_noticed_when_a_process_turns_up_later(made):
    path, file = f"/docker/{ID}", f"var/lib/docker/containers/{ID}/config.v2.json"
    made.write(file, DOCKER)
    made.container(path)
    made.write(file, {**DOCKER, "Name": "/shop-front"})
    made.container(path)
    assert made.after(1) == []
    made.now_s += RENAMED_S
    made.container(path)
    assert made.after(0) == [path]
    assert made.container(path).name == "shop-front"


def test_a_list_of_names_is_read_anew_when_it_has_changed(made):
    file = made.write("var/lib/containers/storage/overlay-containers/containers.json", [])
    path = f"/libpod_parent/libpod-{ID}"
    assert made.container(path).name == SHORT
    file.write_text(json.dumps(STORAGE))
    assert made.after(RETRY_S[0]) == [path]


def test_the_name_of_a_container_that_is_gone_stays(made):
    path = f"/docker/{ID}"
    file = made.write(f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER)
    made.container(path)
    file.unlink()
    made.now_s += 2 * RENAMED_S
    assert made.container(path).name == "shop-web"
    assert made.after(0) == []
    assert made.container(path).name == "shop-web"


def test_the_oldest_are_forgotten_where_there_are_too_many(made, monkeypatch):
    monkeypatch.setattr("ebpftop.collector.containers.KNOWN_LIMIT", 10)
    for number in range(100):
        made.container(f"/docker/{number:064x}")
    assert len(made.containers._known) == len(made.containers._due) == 10


def test_a_process_is_said_again_when_its_container_has_got_its_name(made):
    path = f"/docker/{ID}"
    identities = Identities(lambda _: path, lambda _: 7, made.containers)
    identities.meet_by_pid(os.getpid())
    identities.meet_by_pid(4_000_000)
    first = identities.take_fresh()
    assert [process.container for process in first] == [SHORT, SHORT]
    made.write(f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER)
    made.now_s += 1
    again = identities.take_fresh()
    assert [(p.pid, p.container, p.runtime) for p in again] == [
        (os.getpid(), "shop-web", "docker"),
        (4_000_000, "shop-web", "docker"),
    ]
    assert again[0].exe == first[0].exe != ""
    assert identities.take_fresh() == []


def test_a_process_that_is_known_by_its_id_has_its_cgroup(made):
    identities = Identities({7: "/lxc.payload.web"}.get, lambda _: 7, made.containers)
    assert identities.meet_by_pid(os.getpid()) == 7
    assert identities.meet_by_pid(os.getpid()) == 7
    (process,) = identities.take_fresh()
    assert (process.cgroup, process.cgroup_path) == (7, "/lxc.payload.web")
    assert (process.container, process.runtime) == ("web", "lxc")


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
