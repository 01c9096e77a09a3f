"""Cgroup paths as the runtimes of containers make them, and a machine with their files."""

from __future__ import annotations

import json
import os

from ebpftop.collector.containers import Containers
from ebpftop.collector.runtimes import Runtimes

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

DOCKER = {"ID": ID, "Name": "/shop-web", "Config": {"Labels": {}}}
STORAGE = [{"id": OTHER, "names": ["else"]}, {"id": ID, "names": ["shop-cache", "alias"]}]


class Made:
    """A machine whose files are made by the test."""

    def __init__(self, root):
        self.root = root
        self.now_s = 100.0
        names = Runtimes(root, home="/home/{}".format, docker=f"{root}/docker.sock")
        self.containers = Containers(names, clock=lambda: self.now_s)

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
