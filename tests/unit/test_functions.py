"""Functions of the kernel as places to hook, on made-up symbols and kernels."""

from __future__ import annotations

import errno
import os

import pytest

from ebpftop.collector import bpf, functions, hooks, perf
from ebpftop.probe import all_of, fentry, fexit, first_of, kprobe, kretprobe
from tests.unit.test_hooks import Kernel, probe

SYMBOLS = """\
ffffffff81000000 T plain
ffffffff81000010 t shrunk.isra.0
ffffffff81000020 t copied
ffffffff81000030 t copied.constprop.0
ffffffff81000040 t copied.isra.0.constprop.1
ffffffff81000050 t halved.part.0
ffffffff81000060 t plain.cold
ffffffff81000070 t twice
ffffffff81000080 t twice
ffffffff81000090 D data
ffffffffc0000000 t of_a_module	[net]
ffffffff810000a0 T refused
"""


@pytest.fixture(autouse=True)
def kernel(monkeypatch, tmp_path):
    """A kernel that lets all be probed and traced but `refused`; what it was asked."""
    asked = []
    path = tmp_path / "kallsyms"
    path.write_text(SYMBOLS)
    monkeypatch.setattr(functions, "KALLSYMS", path)

    def open_kprobe(symbol, returns):
        asked.append((symbol, returns))
        if symbol == "refused":
            raise OSError(errno.EINVAL, "")
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(perf, "open_kprobe", open_kprobe)
    monkeypatch.setattr(functions, "can_trace", lambda number, _: number != len("refused"))
    for cached in (functions.entries, functions._symbols):
        cached.cache_clear()
    yield asked
    for cached in (functions.entries, functions._symbols):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("function", "symbols"),
    [
        ("plain", ["plain"]),
        ("shrunk", ["shrunk.isra.0"]),
        ("copied", ["copied", "copied.constprop.0", "copied.isra.0.constprop.1"]),
        ("of_a_module", ["of_a_module"]),
    ],
)
def test_a_function_is_all_that_the_compiler_made_of_it(function, symbols):
    assert list(functions.entries(function)) == symbols


@pytest.mark.parametrize("function", ["halved", "twice", "data", "lain", "refused", "p.ain"])
def test_what_is_not_the_whole_function_or_not_for_sure_is_none(function):
    assert functions.entries(function) == ()


def test_a_kretprobe_is_tried_as_one(kernel):
    functions.entries("plain", returns=True)
    assert kernel == [("plain", True)]


@pytest.mark.parametrize(("uid", "symbols"), [(1000, ("plain",)), (0, ())])
def test_who_may_not_try_takes_the_names_word_for_it_but_not_root(monkeypatch, uid, symbols):
    monkeypatch.setattr(os, "geteuid", lambda: uid)

    def refuse(symbol, returns):
        raise PermissionError(errno.EACCES, "")

    monkeypatch.setattr(perf, "open_kprobe", refuse)
    assert functions.entries("plain") == symbols


def test_a_kernel_without_kprobes_has_no_place_for_one(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(perf, "KPROBE_PMU", tmp_path / "none")
    assert functions.entries("schedule") == ()


def test_each_symbol_of_a_function_is_a_hook_of_the_same_program():
    plan = hooks.plan(probe(kprobe("copied", "on_copy")), Kernel({}))
    assert {str(hook) for hook in plan.hooks} == {
        "kprobe:copied",
        "kprobe:copied.constprop.0",
        "kprobe:copied.isra.0.constprop.1",
    }
    assert {hook.program for hook in plan.hooks} == {"on_copy"}


def test_arguments_of_functions_are_found_by_type():
    types = ["struct socket *", "struct msghdr *", "size_t", "int"]
    kernel = Kernel({}, functions={"plain": types})
    for hook in (kprobe, fentry, fexit):
        flags = hooks.plan(
            probe(hook("plain", "on_it", "sock=struct socket *", "f=int")), kernel
        ).flags
        assert {"-DARG_on_it_sock=0", "-DARG_on_it_f=3"} <= set(flags)
        assert ("-DARG_on_it_return=4" in flags) == (hook is fexit)


def test_registers_are_told_where_there_are_kprobes(monkeypatch):
    registers = ["pt_regs.di", "pt_regs.ax", "pt_regs.regs"]
    kernel = Kernel({}, members=registers, functions={"plain": []})
    flags = hooks.plan(probe(kprobe("plain", "on_it")), kernel).flags
    assert [flag for flag in flags if "OFF_KARG0" in flag]
    assert [flag for flag in flags if "OFF_KRETURN" in flag]
    flags = hooks.plan(probe(fexit("plain", "on_it")), kernel).flags
    assert not [flag for flag in flags if "OFF_K" in flag and "KN_ID" not in flag]


def test_arm64_s_registers_are_an_array():
    kernel = Kernel({}, members=["pt_regs.regs"])
    at = len("pt_regs.regs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "uname", lambda: type("U", (), {"machine": "aarch64"}))
        flags = functions.register_flags(kernel)
    assert flags[:3] == [f"-DOFF_KARG0={at}", f"-DOFF_KARG1={at + 8}", f"-DOFF_KARG2={at + 16}"]
    assert f"-DOFF_KRETURN={at}" in flags


def test_a_refused_function_leaves_the_next_way():
    ways = first_of(
        all_of(fexit("refused", "on_end"), fexit("plain", "on_plain")),
        all_of(kprobe("plain", "on_start"), kretprobe("plain", "on_end"), missing="some"),
    )
    kernel = Kernel({}, functions={"refused": [], "plain": []})
    plan = hooks.plan(probe(ways), kernel)
    assert [str(hook) for hook in plan.hooks] == ["kprobe:plain", "kretprobe:plain"]
    assert plan.missing == ("some",)


def test_a_tracepoint_that_the_kernel_was_built_without_cannot_be_watched(monkeypatch):
    def open_raw_tracepoint(name, program):
        if name != "there":
            raise OSError({"gone": errno.ENOENT}.get(name, errno.EPERM), "")
        return os.open("/dev/null", os.O_RDONLY)

    load = lambda *args, **options: os.open("/dev/null", os.O_RDONLY)  # noqa: E731
    monkeypatch.setattr(bpf, "load_program", load)
    monkeypatch.setattr(bpf, "open_raw_tracepoint", open_raw_tracepoint)
    functions.can_watch.cache_clear()
    assert [functions.can_watch(name) for name in ("there", "gone", "refused")] == [1, 0, 1]
    functions.can_watch.cache_clear()
