"""The choice of hooks, on kernels made up of a few names."""

from __future__ import annotations

import pytest

from ebpftop.collector import hooks, perf
from ebpftop.probe import Probe, all_of, first_of, raw_tracepoint, tracepoint

TASK = "struct task_struct *"


class Kernel:
    """Stands in for `Btf`: tracepoints with their argument types, members, enumerators."""

    complete = True

    def __init__(self, tracepoints, members=("a.b",), enumerators=(), functions=()):
        self._tracepoints = tracepoints
        self._functions = dict(functions)
        self._members = {*members, *COMMON}
        self._enumerators = dict(enumerators)

    def tracepoint(self, name):
        return self._tracepoints.get(name)

    def offset(self, path):
        return len(path) if path in self._members else None

    def enumerator(self, path):
        return self._enumerators.get(path)

    def function(self, name):
        return self._functions.get(name)

    def function_id(self, name):
        return len(name) if name in self._functions else 0

    def tracepoint_id(self, name):
        return len(name) if name in self._tracepoints else 0


COMMON = [
    path if isinstance(path, str) else path[0]
    for path in {**hooks.COMMON_OFFSETS, **hooks.COMMON_OPTIONAL}.values()
]


def probe(*slots, **attributes):
    members = {"hooks": slots, "read": lambda self, maps, env: {}, **attributes}
    return type("Made", (Probe,), members)("made", "test")


SWITCH = raw_tracepoint(
    "sched_switch", "on_switch", f"prev={TASK}", f"next={TASK}", "state=unsigned int?"
)


def test_arguments_are_found_by_type_and_order():
    kernel = Kernel({"sched_switch": ["bool", TASK, TASK, "unsigned int"]})
    flags = hooks.plan(probe(SWITCH), kernel).flags
    assert "-DARG_on_switch_prev=1" in flags
    assert "-DARG_on_switch_next=2" in flags
    assert "-DARG_on_switch_state=3" in flags
    assert "-DHAVE_on_switch=1" in flags


def test_an_optional_argument_may_be_missing():
    kernel = Kernel({"sched_switch": ["bool", TASK, TASK]})
    flags = hooks.plan(probe(SWITCH), kernel).flags
    assert not any("on_switch_state" in flag for flag in flags)


def test_a_tracepoint_with_other_arguments_is_not_the_one():
    kernel = Kernel({"sched_switch": ["bool", TASK]})
    with pytest.raises(hooks.UnavailableError, match="this kernel has no raw_tp:sched_switch"):
        hooks.plan(probe(SWITCH), kernel)


def test_the_first_way_that_is_there_is_taken_and_says_what_is_missing():
    ways = first_of(
        raw_tracepoint("best", "on_best"),
        all_of(
            raw_tracepoint("old", "on_old"), raw_tracepoint("older", "on_older"), missing="rest"
        ),
    )
    best = hooks.plan(probe(ways), Kernel({"best": [], "old": [], "older": []}))
    assert [str(hook) for hook in best.hooks] == ["raw_tp:best"]
    assert best.missing == ()
    fallback = hooks.plan(probe(ways), Kernel({"old": [], "older": []}))
    assert [str(hook) for hook in fallback.hooks] == ["raw_tp:old", "raw_tp:older"]
    assert fallback.missing == ("rest",)


def test_ways_need_all_of_their_hooks():
    ways = first_of(all_of(raw_tracepoint("old", "on_old"), raw_tracepoint("older", "on_older")))
    with pytest.raises(hooks.UnavailableError):
        hooks.plan(probe(ways), Kernel({"old": []}))


def test_what_can_be_done_without_is_said_and_not_fatal():
    ways = first_of(raw_tracepoint("best", "on_best"), without="no best figures")
    plan = hooks.plan(probe(ways), Kernel({}))
    assert plan.hooks == ()
    assert plan.missing == ("no best figures",)


def test_the_first_member_that_exists_gives_the_offset():
    made = probe(offsets={"X": ("a.gone", "a.b")}, optional_offsets={"Y": "a.gone"})
    flags = hooks.plan(made, Kernel({})).flags
    assert "-DOFF_X=3" in flags
    assert not any(flag.startswith("-DOFF_Y") for flag in flags)


def test_a_member_that_is_not_there_makes_the_probe_unavailable():
    with pytest.raises(hooks.UnavailableError, match=r"this kernel has no a\.gone or a\.lost"):
        hooks.plan(probe(offsets={"X": ("a.gone", "a.lost")}), Kernel({}))


def test_enumerators_and_reasons_for_loss_become_flags():
    made = probe(enums={"HEAD": "flags.PG_head"}, lost={"A": "a", "B": "b"})
    flags = hooks.plan(made, Kernel({}, enumerators={"flags.PG_head": 6})).flags
    assert {"-DENUM_HEAD=6", "-DLOST_A=0", "-DLOST_B=1"} <= set(flags)
    with pytest.raises(hooks.UnavailableError, match=r"no enum flags.PG_head"):
        hooks.plan(made, Kernel({}))


def test_what_only_one_way_reads_is_asked_for_with_that_way():
    ways = first_of(
        all_of(raw_tracepoint("best", "on_best"), offsets={"NEW": "a.new"}, enums={"E": "e.new"}),
        all_of(raw_tracepoint("old", "on_old"), offsets={"OLD": ("a.gone", "a.b")}),
    )
    tracepoints: dict[str, list[str]] = {"best": [], "old": []}
    new = Kernel(tracepoints, members=["a.new"], enumerators={"e.new": 4})
    best = hooks.plan(probe(ways), new)
    assert [str(hook) for hook in best.hooks] == ["raw_tp:best"]
    assert {"-DOFF_NEW=5", "-DENUM_E=4"} <= set(best.flags)
    assert not any(flag.startswith("-DOFF_OLD") for flag in best.flags)
    old = hooks.plan(probe(ways), Kernel(tracepoints))
    assert [str(hook) for hook in old.hooks] == ["raw_tp:old"]
    assert "-DOFF_OLD=3" in old.flags
    assert not any(flag.startswith(("-DOFF_NEW", "-DENUM_E")) for flag in old.flags)


@pytest.mark.parametrize(
    ("offsets", "enums", "what"),
    [
        ({"X": ("a.gone", "a.lost")}, {}, r"a\.gone or a\.lost"),
        ({}, {"X": "e.gone"}, r"enum e\.gone"),
    ],
)
def test_the_last_way_says_what_each_way_lacks(offsets, enums, what):
    ways = first_of(
        raw_tracepoint("best", "on_best"),
        all_of(raw_tracepoint("old", "on_old"), offsets=offsets, enums=enums),
    )
    with pytest.raises(hooks.UnavailableError, match=f"no raw_tp:best, nor {what}"):
        hooks.plan(probe(ways), Kernel({"old": []}))


@pytest.mark.parametrize("hidden", ["raw_tp:best", "a.b", "e.new"])
def test_what_the_environment_hides_is_not_there(monkeypatch, hidden):
    ways = first_of(
        all_of(raw_tracepoint("best", "on_best"), offsets={"B": "a.b"}, enums={"E": "e.new"}),
        raw_tracepoint("old", "on_old"),
    )
    kernel = Kernel({"best": [], "old": []}, enumerators={"e.new": 4})
    assert [str(hook) for hook in hooks.plan(probe(ways), kernel).hooks] == ["raw_tp:best"]
    monkeypatch.setenv("EBPFTOP_WITHOUT", f"raw_tp:other,{hidden}")
    assert [str(hook) for hook in hooks.plan(probe(ways), kernel).hooks] == ["raw_tp:old"]


RECORD = tracepoint("raw_syscalls:sys_enter", "on_enter", "nr=trace_event_raw_sys_enter.id")


def test_members_of_a_tracepoint_s_record_are_offsets(monkeypatch):
    monkeypatch.setattr(perf, "has_tracepoint", "raw_syscalls:sys_enter".__eq__)
    kernel = Kernel({}, members=["trace_event_raw_sys_enter.id"])
    plan = hooks.plan(probe(RECORD), kernel)
    assert [str(hook) for hook in plan.hooks] == ["tp:raw_syscalls:sys_enter"]
    assert "-DARG_on_enter_nr=28" in plan.flags


@pytest.mark.parametrize(
    ("mounted", "members"), [(False, ["trace_event_raw_sys_enter.id"]), (True, [])]
)
def test_a_tracepoint_needs_tracefs_and_its_record(monkeypatch, mounted, members):
    monkeypatch.setattr(perf, "has_tracepoint", lambda name: mounted)
    with pytest.raises(hooks.UnavailableError, match="no tp:raw_syscalls:sys_enter"):
        hooks.plan(probe(RECORD), Kernel({}, members))


TASK_BTF = {"bpf_func_id.BPF_FUNC_get_current_task_btf": 158}


@pytest.mark.parametrize(("enumerators", "typed"), [(TASK_BTF, True), ({}, False)])
def test_arguments_have_types_where_the_kernel_has_them(enumerators, typed):
    hook = raw_tracepoint("sched_wakeup", "on_wakeup", f"task={TASK}", typed=True)
    kernel = Kernel({"sched_wakeup": [TASK]}, enumerators=enumerators)
    assert [hook.typed for hook in hooks.plan(probe(hook), kernel).hooks] == [typed]


def test_a_hook_that_does_not_ask_for_types_gets_none():
    kernel = Kernel({"sched_wakeup": [TASK]}, enumerators=TASK_BTF)
    plan = hooks.plan(probe(raw_tracepoint("sched_wakeup", "on_wakeup")), kernel)
    assert not any(hook.typed for hook in plan.hooks)


def test_where_the_types_do_not_tell_of_cgroups_that_is_said(monkeypatch):
    monkeypatch.setitem(hooks.COMMON_OPTIONAL, "CGROUP_LEVEL", "cgroup.renamed")
    plan = hooks.plan(probe(), Kernel({}))
    assert plan.missing == (hooks.WITHOUT_CGROUPS,)
    assert hooks.HAVE_CGROUPS not in plan.flags
    monkeypatch.undo()
    assert hooks.HAVE_CGROUPS in hooks.plan(probe(), Kernel({})).flags
