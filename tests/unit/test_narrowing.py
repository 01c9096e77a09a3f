"""Scopes on the collector's side: what the programs are told, and which processes that means."""

from __future__ import annotations

import os
import struct

import pytest

from ebpftop.collector import scope as scopes
from ebpftop.collector.cgroups import Hierarchy
from ebpftop.collector.environment import Interval, Machine
from ebpftop.collector.identity import Identities
from ebpftop.collector.scope import Scope, ScopeError


@pytest.fixture
def tree(tmp_path):
    """A cgroup tree as the kernel shows it: processes 1 to 4, each a level further down."""
    folder = tmp_path
    for pid, name in enumerate((".", "pods", "web", "inner"), start=1):
        folder = folder / name
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").write_text(f"{pid}\n")
    return Hierarchy(tmp_path, "")


@pytest.fixture
def at_the_root(monkeypatch, tree):
    """The tree is mounted from its root on."""
    monkeypatch.setattr(scopes, "ROOT_INODE", os.stat(tree.mount).st_ino)


def told(scope):
    """Kind, process, level and cgroup, as `struct scope` in common.h has them."""
    return struct.unpack("=IIQQ", scope.value)


@pytest.mark.parametrize(
    ("scope", "said", "value"),
    [
        (Scope(), {}, (1, 0, 0, 0)),
        (Scope(pid=7), {"pid": 7}, (2, 7, 0, 0)),
        (Scope(cgroup=9, level=3), {"cgroup": 9}, (3, 0, 3, 9)),
    ],
)
def test_programs_and_samples_are_told_the_same(scope, said, value):
    assert (scope.told, told(scope)) == (said, value)


@pytest.mark.parametrize("pid", [-1, 0, 1 << 22])
def test_a_process_id_that_cannot_be_is_refused(pid):
    with pytest.raises(ScopeError, match=f"no process has the id {pid}"):
        scopes.of_process(pid)


def test_a_cgroup_that_has_no_path_is_refused(tree):
    with pytest.raises(ScopeError, match="no cgroup has the id 9"):
        scopes.of_cgroup(9, "", tree)


def test_without_cgroups_there_is_none_to_narrow_to():
    with pytest.raises(ScopeError, match="no cgroups here"):
        scopes.of_cgroup(9, "/x", None)


@pytest.mark.usefixtures("at_the_root")
@pytest.mark.parametrize(("path", "level"), [("/", 0), ("/pods", 1), ("/pods/web", 2)])
def test_the_level_of_a_cgroup_counts_from_the_root(tree, path, level):
    assert scopes.of_cgroup(9, path, tree).level == level


def test_in_a_container_which_sees_part_of_the_tree_the_level_is_not_known(tree):
    assert scopes.of_cgroup(9, "/pods/web", tree).level == 0


@pytest.mark.parametrize(
    ("path", "pids"), [("/pods/web/inner", {4}), ("/pods/web", {3, 4}), ("/", {1, 2, 3, 4})]
)
def test_the_processes_of_a_cgroup_are_those_below_it_too(tree, path, pids):
    assert scopes.of_cgroup(9, path, tree).processes() == pids


def test_a_cgroup_that_has_gone_has_no_processes(tree):
    assert scopes.of_cgroup(9, "/gone", tree).processes() == set()


def test_all_processes_are_those_of_proc(tmp_path, monkeypatch):
    for name in ("12", "345", "self", "sys"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(scopes, "PROC", tmp_path)
    assert Scope().processes() == {12, 345}
    assert Scope(pid=7).processes() == {7}


def strays(scope, pids):
    machine = Machine(Identities(lambda cgroup: ""))
    return Interval(machine, now_ns=0, dt_ns=1, limit=1, scope=scope).strays(pids)


@pytest.fixture
def sees(monkeypatch):
    """Whether /proc has the kernel's own numbers."""

    def say(everything):
        monkeypatch.setattr(scopes, "_sees_all_processes", lambda: everything)

    return say


def test_strays_have_been_moved_out_of_the_cgroup(tree, sees):
    sees(True)
    assert strays(scopes.of_cgroup(9, "/pods/web", tree), {2, 3, 4, 5}) == {2, 5}


def test_nobody_strays_from_the_machine_or_from_a_process(sees):
    sees(True)
    assert strays(Scope(), {1 << 30}) == strays(Scope(pid=7), {1 << 30}) == set()


def test_where_processes_have_other_numbers_none_is_called_a_stray(tree, sees):
    sees(False)
    assert strays(scopes.of_cgroup(9, "/pods/web", tree), {2, 3, 4, 5}) == set()
