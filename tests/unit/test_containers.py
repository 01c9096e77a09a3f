"""Which container a cgroup is of, laid out as each runtime lays them out; names that come late."""

from __future__ import annotations

import json
import os

import pytest

from ebpftop.collector.containers import RENAMED_S, RETRY_S, locate
from ebpftop.collector.identity import Identities, unit_of
from tests.unit.machines import DOCKER, ID, LAYOUTS, PODS, SHORT, STORAGE, UID, USER, Made

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
    r"/machine.slice/machine-qemu\x2dalice\x2d3\x2dwindows.scope",
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


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


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
    identities = Identities(lambda _: "/lxc.payload.web", lambda _: 7, made.containers)
    assert identities.meet_by_pid(os.getpid()) == 7
    assert identities.meet_by_pid(os.getpid()) == 7
    (process,) = identities.take_fresh()
    assert (process.cgroup, process.cgroup_path) == (7, "/lxc.payload.web")
    assert (process.container, process.runtime) == ("web", "lxc")
