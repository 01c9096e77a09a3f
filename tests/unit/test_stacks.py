"""Folded stacks: how frames are put together, and what happens when names come late or never."""

from __future__ import annotations

from typing import Any

import pytest

from ebpftop.collector import stacks
from ebpftop.collector.stacks import Stacks, folded
from ebpftop.probe import Frames

WHO = b"who"
OTHER = b"someone else"
WHOLE = Frames((), ())


class Namer:
    """Stands in for the helper process: `late` keeps its answers back, `dead` refuses."""

    started = 0

    def __init__(self):
        type(self).started += 1
        self.asked: list[list[tuple[int, int, list[int]]]] = []
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
            [f"{'k' if pid < 0 else 'u'}{a}" for a in asked] for pid, _, asked in self.asked[-1]
        ]

    def close(self):
        self.closed = True


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
    return Frames((), tuple(range(first, first + number)))


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


def test_a_program_frame_alone_was_found_without_frame_pointers():
    assert folded(["k"], ["read"], WHOLE) == "[no frame pointers];read;k_[k]"


def test_frames_in_no_code_at_the_root_were_found_without_frame_pointers():
    assert folded([], ["read", "[unknown]", "[unknown]"], WHOLE) == "[no frame pointers];read"


def test_frames_in_no_code_are_kept_where_the_stack_goes_on():
    assert folded([], ["read", "[unknown]", "main"], WHOLE) == "main;[unknown];read"


def test_of_a_process_that_is_gone_all_frames_are_unknown():
    assert folded([], ["[unknown]", "[unknown]"], WHOLE) == "[unknown];[unknown]"


def test_a_thread_that_is_where_threads_begin_is_whole():
    assert folded(["k"], ["_start"], WHOLE) == "_start;k_[k]"


def test_what_was_cut_off_is_said_where_it_is_missing():
    frames = Frames((), (), kernel_cut=True, user_cut=True)
    assert folded(["k"], ["u"], frames) == "[cut off];u;[cut off]_[k];k_[k]"


def test_a_stack_is_never_empty():
    assert folded([], [], WHOLE) == "[no stack]"


# What is asked, and what is remembered


def test_names_come_from_the_helper(namer):
    texts, numbers = fold(namer, (7, WHO, 1), s1=Frames((1, 2), (3, 4)))
    assert (texts, numbers) == (["u4;u3;k2_[k];k1_[k]"], 0)


def test_a_stack_is_put_together_once(namer):
    fold(namer, (7, WHO, 1), s1=deep(10, 2))
    assert fold(namer, (7, WHO, 1)) == (["u11;u10"], 0)
    assert len(namer[0].asked) == 1


def test_an_address_is_asked_for_once(namer):
    fold(namer, (7, WHO, 1), s1=Frames((1,), (10, 11)))
    fold(namer, (7, WHO, 2), s2=Frames((1,), (11, 12)))
    assert [sorted(a) for _, _, a in namer[0].asked[1]] == [[12]]


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
    frames = {f"s{n}": deep(100 * n, 6) for n in range(4)}
    texts, numbers = fold(namer, *keys, **frames)
    assert numbers == 12
    assert texts[3] == ";".join(f"[{a:#x}]" for a in reversed(range(300, 306)))
    texts, numbers = fold(namer, *keys, **frames)
    assert numbers == 0
    assert texts[3] == ";".join(f"u{a}" for a in reversed(range(300, 306)))


def test_a_late_answer_is_used_in_the_next_interval(namer):
    namer[0].late = True
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["[0xb];[0xa]"], 2)
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["[0xb];[0xa]"], 2)
    assert len(namer[0].asked) == 1
    namer[0].late = False
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["u11;u10"], 0)


def test_a_helper_that_dies_is_replaced_once(namer):
    namer[0].dead = True
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["[0xb];[0xa]"], 2)
    assert namer[1].closed
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["u11;u10"], 0)
    namer[0].dead = True
    assert fold(namer, (7, WHO, 2), s2=deep(20, 2)) == (["[0x15];[0x14]"], 2)
    assert fold(namer, (7, WHO, 2), s2=deep(20, 2)) == (["[0x15];[0x14]"], 2)
    assert Namer.started == 2


def test_what_is_known_stays_when_the_helper_is_gone(namer):
    fold(namer, (7, WHO, 1), s1=deep(10, 2))
    namer[0].dead = True
    fold(namer, (7, WHO, 2), s2=deep(20, 2))
    assert fold(namer, (7, WHO, 1)) == (["u11;u10"], 0)


def test_frames_that_are_not_there_may_be_there_later(namer):
    assert fold(namer, (7, WHO, 1)) == (["[stack not kept]"], 0)
    assert fold(namer, (7, WHO, 1), s1=deep(10, 2)) == (["u11;u10"], 0)


def test_the_same_stack_of_two_threads_is_given_to_both(namer):
    key = (7, WHO, 1)
    assert fold(namer, key, key, s1=deep(10, 2)) == (["u11;u10"] * 2, 0)


def test_memory_is_bounded(namer, monkeypatch):
    monkeypatch.setattr(stacks, "FOLDED_LIMIT", 3)
    monkeypatch.setattr(stacks, "NAMES_LIMIT", 5)
    for pid in range(10):
        fold(namer, (pid, WHO, 1), s1=deep(10, 2))
    known = namer[-1]
    assert len(known._folded) == 3
    assert sum(len(names) for _, names in known._processes.values()) <= 5
    assert fold(namer, (0, WHO, 1), s1=deep(10, 2)) == (["u11;u10"], 0)


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
