"""Folded stacks: how frames are put together, and what happens when names come late or never."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ebpftop.collector import stacks
from ebpftop.collector.stacks import Stacks, folded
from ebpftop.probe import Frames

WHO = b"who"
OTHER = b"someone else"
WHOLE = Frames((), ())


class Namer:
    """Stands in for the helper process: `late` keeps its answers back, `dead` refuses.

    The addresses in `frameless` are in functions without frame pointers.
    """

    started = 0

    def __init__(self):
        type(self).started += 1
        self.asked: list[list[tuple[int, int, int, list[int]]]] = []
        self.frameless: set[int] = set()
        self.late = self.dead = self.closed = False

    def ask(self, requests):
        if self.dead:
            raise BrokenPipeError
        self.asked.append(requests)

    def answer(self, wait_s):
        if self.dead:
            raise ConnectionResetError
        if self.late:
            return None
        return [
            ([name(pid, a) for a in asked], [a for a in asked if pid > 0 and a in self.frameless])
            for pid, _, _, asked in self.asked[-1]
        ]

    def close(self):
        self.closed = True


def name(pid, address):
    """`main` is at address 99; others have numbers."""
    return "main" if address == 99 else f"{'k' if pid < 0 else 'u'}{address}"


@pytest.fixture
def namer(monkeypatch):
    """The helpers that were started, the last one first."""
    Namer.started = 0
    made: list[Any] = []

    def make():
        made.insert(0, Namer())
        return made[0]

    known = Stacks(make)
    known.open()
    made.append(known)
    return made


def fold(namer, *keys, **frames):
    """Fold stacks of given ids: `fold(namer, (pid, WHO, 1), s1=Frames(...))`."""
    return namer[-1].fold(keys, lambda stack: frames.get(f"s{stack}"))


def deep(first, number):
    """Main, and so many functions below it, each called by the next: the first is the leaf."""
    callers = range(first + 1, first + number)
    return Frames((), (first, *(address + 1 for address in callers), 99 + 1))


# How frames are put together


def test_the_root_comes_first_and_the_kernel_last():
    text = folded(["k_leaf", "k_entry"], ["u_leaf", "main", "_start"], WHOLE)
    assert text == "_start;main;u_leaf;k_entry_[k];k_leaf_[k]"


@pytest.mark.parametrize(
    "tracing",
    [
        ["bpf_prog_1a2b_on_switch", "bpf_trace_run4"],
        ["bpf_prog_1a2b_on_switch", "bpf_trace_run4", "__traceiter_sched_switch"],
        ["[unknown]", "bpf_trace_run4", "__bpf_trace_sched_switch", "__traceiter_sched_switch"],
        [],
    ],
)
def test_what_tracing_put_on_the_stack_is_taken_off(tracing):
    assert folded([*tracing, "__schedule", "schedule"], [], WHOLE) == "schedule_[k];__schedule_[k]"


@pytest.mark.parametrize(
    "root",
    ["_start", "main", "__libc_start_call_main", "start_thread", "__clone3", "runtime.goexit.abi0"],
)
def test_a_walk_that_ends_where_threads_begin_is_whole(root):
    assert folded(["k"], ["read", root], WHOLE) == f"{root};read;k_[k]"


def test_a_thread_that_is_where_threads_begin_is_whole():
    assert folded(["k"], ["_start"], WHOLE) == "_start;k_[k]"


@pytest.mark.parametrize("frame", ["[libc.so.6+0x89134]", "[ld-musl-x86_64.so.1+0x1f]"])
def test_a_walk_that_ends_in_the_c_library_may_be_where_threads_begin(frame):
    assert folded([], ["work", frame], WHOLE) == f"{frame};work"
    assert folded([], [frame], WHOLE) == f"[no frame pointers];{frame}"


@pytest.mark.parametrize("user", [["read"], ["read", "work"], ["read", "[program+0x1f]"]])
def test_a_walk_that_ends_elsewhere_found_no_frame_pointers(user):
    text = ";".join(["[no frame pointers]", *reversed(user)])
    assert folded(["k"], user, WHOLE) == f"{text};k_[k]"


def test_frames_in_no_code_at_the_root_were_found_without_frame_pointers():
    assert folded([], ["read", "[unknown]", "[unknown]"], WHOLE) == "[no frame pointers];read"


def test_frames_in_no_code_beyond_the_beginning_are_nothing():
    assert folded([], ["read", "main", "[unknown]"], WHOLE) == "main;read"


def test_what_a_walk_finds_beyond_the_beginning_is_left_out():
    user = ["read", "main", "__libc_start_call_main", "register_tm_clones"]
    assert folded([], user, WHOLE) == "__libc_start_call_main;main;read"


def test_frames_in_no_code_are_kept_where_the_stack_goes_on():
    assert folded([], ["read", "[unknown]", "main"], WHOLE) == "main;[unknown];read"


def test_where_the_caller_was_passed_over_it_is_said_there():
    text = folded(
        [], ["read", "middle", "main", "__libc_start_call_main"], WHOLE, [True, *[False] * 3]
    )
    assert text == "__libc_start_call_main;main;middle;[no frame pointers];read"


def test_it_is_said_once_at_one_place():
    assert folded([], ["read"], WHOLE, [True]) == "[no frame pointers];read"
    assert folded([], ["read", "[unknown]"], WHOLE, [True, False]) == "[no frame pointers];read"


def test_what_lies_before_main_needs_no_frame_pointers():
    user = ["work", "main", "__libc_start_call_main", "_start"]
    assert folded([], user, WHOLE, [False, True, True, True]) == ";".join(reversed(user))


def test_of_a_process_that_is_gone_all_frames_are_unknown():
    assert folded([], ["[unknown]", "[unknown]"], WHOLE) == "[unknown];[unknown]"


def test_what_was_cut_off_is_said_where_it_is_missing():
    frames = Frames((), (), kernel_cut=True, user_cut=True)
    assert folded(["k"], ["u"], frames) == "[cut off];u;[cut off]_[k];k_[k]"


def test_a_stack_is_never_empty():
    assert folded([], [], WHOLE) == "[no stack]"


# What is asked, and what is remembered


def test_names_come_from_the_helper(namer):
    texts, numbers = fold(namer, (7, WHO, 1), s1=Frames((1, 3), (4, 100)))
    assert (texts, numbers) == (["main;u4;k2_[k];k1_[k]"], 0)


def test_a_stack_is_put_together_once(namer):
    fold(namer, (7, WHO, 1), s1=deep(10, 2))
    assert fold(namer, (7, WHO, 1)) == (["main;u11;u10"], 0)
    assert len(namer[0].asked) == 1


def test_an_address_is_asked_for_once(namer):
    fold(namer, (7, WHO, 1), s1=Frames((1,), (10, 12)))
    fold(namer, (7, WHO, 2), s2=Frames((1,), (11, 13)))
    assert [sorted(a) for *_, a in namer[0].asked[1]] == [[12]]


def test_frames_of_functions_that_lose_their_caller_are_marked(namer):
    namer[0].frameless = {10}
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["main;u11;[no frame pointers];u10"], 0)


def test_the_helper_is_told_when_the_process_began(namer):
    who = (5_000_000).to_bytes(8, sys.byteorder) + bytes(24)
    fold(namer, (7, who, 1), s1=deep(10, 1))
    assert [start_ns for _, _, start_ns, _ in namer[0].asked[0]] == [5_000_000]


def test_a_helper_that_hangs_is_replaced_and_not_asked_the_same_again(namer, monkeypatch):
    namer[0].late = True
    fold(namer, (7, WHO, 1), s1=deep(10, 2))
    monkeypatch.setattr(stacks, "HANGS_S", 0)
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["[0x63];[0xb];[0xa]"], 0)
    assert namer[1].closed
    assert fold(namer, (8, OTHER, 1), s1=deep(20, 2)) == (["main;u21;u20"], 0)
    assert [pid for pid, *_ in namer[0].asked[0]] == [8]


def test_a_kernel_address_is_the_same_for_all_processes(namer):
    fold(namer, (7, WHO, 1), s1=Frames((1,), ()))
    assert fold(namer, (8, OTHER, 1), s1=Frames((1,), ())) == (["k1_[k]"], 0)
    assert len(namer[0].asked) == 1


def test_a_process_that_took_over_the_id_is_another_one(namer):
    fold(namer, (7, WHO, 1), s1=deep(10, 2))
    fold(namer, (7, OTHER, 1), s1=deep(10, 2))
    (first,), (second,) = namer[0].asked
    assert first[0] == second[0] == 7
    assert first[1] != second[1]


def test_many_new_addresses_are_named_a_part_at_a_time(namer, monkeypatch):
    monkeypatch.setattr(stacks, "NEW_ADDRESSES", 10)
    keys = [(7, WHO, n) for n in range(4)]
    frames = {f"s{n}": deep(100 * n + 100, 6) for n in range(4)}
    texts, numbers = fold(namer, *keys, **frames)
    assert numbers == 12
    assert texts[3] == ";".join(["main", *(f"[{a:#x}]" for a in (406, 405, 404, 403, 402, 400))])
    texts, numbers = fold(namer, *keys, **frames)
    assert numbers == 0
    assert texts[3] == ";".join(["main", *(f"u{a}" for a in reversed(range(400, 406)))])


def test_a_late_answer_is_used_in_the_next_interval(namer):
    namer[0].late = True
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["[0x64];[0xc];[0xa]"], 3)
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["[0x64];[0xc];[0xa]"], 3)
    assert len(namer[0].asked) == 1
    namer[0].late = False
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["main;u11;u10"], 0)


def test_a_helper_that_dies_is_replaced_once(namer):
    namer[0].dead = True
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["[0x64];[0xc];[0xa]"], 3)
    assert namer[1].closed
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["main;u11;u10"], 0)
    namer[0].dead = True
    assert fold(namer, (7, WHO, 2), s2=deep(20, 2)) == (["main;[0x16];[0x14]"], 2)
    assert fold(namer, (7, WHO, 2), s2=deep(20, 2)) == (["main;[0x16];[0x14]"], 2)
    assert Namer.started == 2


def test_what_is_known_stays_when_the_helper_is_gone(namer):
    fold(namer, (7, WHO, 1), s1=deep(10, 2))
    namer[0].dead = True
    fold(namer, (7, WHO, 2), s2=deep(20, 2))
    assert fold(namer, (7, WHO, 1)) == (["main;u11;u10"], 0)


def test_frames_that_are_not_there_may_be_there_later(namer):
    assert fold(namer, (7, WHO, 1)) == (["[stack not kept]"], 0)
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["main;u11;u10"], 0)


def test_the_same_stack_of_two_threads_is_given_to_both(namer):
    key = (7, WHO, 1)
    assert fold(namer, key, key, s1=deep(10, 2)) == (["main;u11;u10"] * 2, 0)


def test_memory_is_bounded(namer, monkeypatch):
    monkeypatch.setattr(stacks, "FOLDED_LIMIT", 3)
    monkeypatch.setattr(stacks, "NAMES_LIMIT", 5)
    for pid in range(10):
        fold(namer, (pid, WHO, 1), s1=deep(10, 2))
    known = namer[-1]
    assert len(known._folded) == 3
    assert sum(len(names.texts) for names in known._processes.values()) <= 5
    assert fold(namer, (0, WHO, 1), s1=deep(10, 2)) == (["main;u11;u10"], 0)


def test_with_the_last_probe_the_helper_ends(namer):
    known = namer[-1]
    known.open()
    known.close()
    assert not namer[0].closed
    known.close()
    assert namer[0].closed


def test_without_a_helper_addresses_are_shown():
    texts, numbers = Stacks().fold([(7, WHO, 1)], lambda _: Frames((1,), (2, 3)))
    assert (texts, numbers) == (["[0x3];[0x2];[0x1]_[k]"], 3)
