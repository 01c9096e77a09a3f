"""What the first level of a flame can be, which way round it is, and which frames it has."""

import random

import pytest

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.views import folding
from ebpftop.views.folding import Folding, choices
from ebpftop.views.stacks import Window

SECOND = 1_000_000_000
TABLE = Table(
    "stacks",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("tid", "TID", "id", "key", "tid"),
        Column("cgroup", "CGROUP", "id", "key", "cgroup"),
        Column("stack", "STACK", "stack"),
        Column("blocked_ns", "BLOCKED", "ns", "sum"),
        Column("waiting_ns", "WAITING", "ns", "sum"),
    ),
)
VIEW = View("flame", "stacks", "Stacks")
INFO = ProbeInfo("p", "P", "a", "", (TABLE,), (VIEW,))
ROWS = (
    (7, 70, 1, "main;read;vfs_read_[k];schedule_[k]", 5, 1),
    (7, 71, 1, "main;work", 3, 0),
    (8, 80, 2, "main;read;vfs_read_[k]", 2, 0),
    (9, 90, 0, "kthread_[k];schedule_[k]", 4, 0),
    (None, None, None, None, 10, 0),
)
NAMES = {7: "nginx", 8: "nginx", 9: "kworker"}
CGROUPS = {1: "web.service", 2: "web-2"}
EVERY = [
    Folding(by, leaf_first, frames)
    for by in folding.BY
    for leaf_first in (False, True)
    for frames in folding.FRAMES
]


def sample(seq, *rows):
    end = seq * SECOND
    return Sample("p", seq, end, end, SECOND, {"stacks": list(rows)})


def window(*samples, names=NAMES, cgroups=CGROUPS, **settings):
    made = Window(INFO, VIEW, names=names, cgroups=cgroups, **settings)
    made.update(samples or [sample(1, *ROWS)], {})
    return made


def first_level(**settings):
    root = window(folding=Folding(**settings)).tree.root
    return {name: node.total for name, node in root.children.items()}


def stacks(**settings):
    return {(f, s) for f, s, _ in window(folding=Folding(**settings)).tree.stacks()}


class TestFirstLevel:
    def test_is_the_process(self):
        assert first_level() == {
            "nginx[7]": 9,
            "nginx[8]": 2,
            "kworker[9]": 4,
            "others": 10,
        }

    def test_is_the_name_of_the_process(self):
        assert first_level(by="name") == {"nginx": 11, "kworker": 4, "others": 10}

    def test_is_the_thread(self):
        assert first_level(by="thread") == {
            "nginx[7] tid 70": 6,
            "nginx[7] tid 71": 3,
            "nginx[8] tid 80": 2,
            "kworker[9] tid 90": 4,
            "others": 10,
        }

    def test_is_the_cgroup(self):
        assert first_level(by="cgroup") == {
            "web.service": 9,
            "web-2": 2,
            "unknown cgroup": 4,
            "others": 10,
        }

    def test_is_frames_where_all_are_together(self):
        assert first_level(by="none") == {"main": 11, "kthread_[k]": 4, "others": 10}

    def test_a_cgroup_without_a_name_has_its_number_until_it_has_one(self):
        made = window(cgroups={1: "", 2: "web-2"}, folding=Folding("cgroup"))
        assert {"cgroup 1", "web-2"} < set(made.tree.root.children)
        made = window(cgroups={}, folding=Folding("cgroup"))
        made.cgroups = CGROUPS
        made.update([sample(1, *ROWS)], {})
        assert {"web.service", "web-2"} < set(made.tree.root.children)

    def test_a_process_without_a_stack_is_still_counted_where_all_are_together(self):
        made = window(sample(1, (7, 7, 1, "", 5, 0)), folding=Folding("none"))
        assert list(made.tree.root.children) == ["[no stack]"]

    def test_can_be_what_the_table_has_columns_for(self):
        assert choices(TABLE) == ("process", "name", "thread", "cgroup", "none")
        assert choices(Table("t", TABLE.columns[:1])) == ("process", "name", "none")

    def test_names_are_safe_to_show(self):
        made = window(names={7: "a\x1b[0m"}, cgroups={1: "b\n"}, folding=Folding("cgroup"))
        assert "b·" in made.tree.root.children
        made = window(names={7: "a\x1b[0m"}, folding=Folding("thread"))
        assert "a·[0m[7] tid 70" in made.tree.root.children


class TestFrames:
    def test_turned_round_the_last_function_comes_first(self):
        assert ("nginx[7]", "schedule_[k];vfs_read_[k];read;main") in stacks(leaf_first=True)

    def test_of_the_kernel_alone(self):
        assert stacks(frames="kernel") == {
            ("nginx[7]", "vfs_read_[k];schedule_[k]"),
            ("nginx[7]", "[no kernel frames]"),
            ("nginx[8]", "vfs_read_[k]"),
            ("kworker[9]", "kthread_[k];schedule_[k]"),
            ("others", ""),
        }

    def test_of_programs_alone_turned_round_and_all_together(self):
        assert stacks(by="none", leaf_first=True, frames="user") == {
            ("read", "main"),
            ("work", "main"),
            ("[no user frames]", ""),
            ("others", ""),
        }

    @pytest.mark.parametrize("told", EVERY, ids=lambda told: "-".join(told.told))
    def test_whatever_is_shown_the_total_is_the_same(self, told):
        assert window(folding=told).tree.root.total == 25

    @pytest.mark.parametrize("told", EVERY, ids=lambda told: "-".join(told.told))
    def test_a_tree_that_grew_is_that_of_its_samples(self, told):
        chance = random.Random(4)
        frames = ("a", "b", "c", "a_[k]", "b_[k]")
        samples = [
            sample(
                n,
                *(
                    (
                        chance.choice((7, 8, 9)),
                        chance.randrange(3),
                        chance.randrange(3),
                        ";".join(chance.choice(frames) for _ in range(chance.randrange(6))),
                        chance.randint(1, 9),
                        0,
                    )
                    for _ in range(20)
                ),
            )
            for n in range(1, 9)
        ]
        grown = window(samples[0], folding=told, seconds=4)
        for n in range(1, 9):
            grown.update(samples[:n], {})
        at_once = window(*samples, folding=told, seconds=4)
        assert sorted(grown.tree.stacks()) == sorted(at_once.tree.stacks())
        assert grown.tree.root.total == sum(weight for *_, weight in grown.tree.stacks())


def test_another_folding_makes_another_tree():
    made = window()
    made.folding = Folding("name")
    made.update([sample(1, *ROWS)], {})
    assert "nginx" in made.tree.root.children


def test_a_comparison_follows_the_folding():
    made = window()
    made.folding = Folding("cgroup", leaf_first=True)
    compared = made.compare(sample(1, *ROWS), sample(2, *ROWS), {})
    assert "web.service" in compared.tree.root.children
    assert compared.a.find(("web.service", "schedule_[k]")).total == 6


def test_a_heading_says_what_is_shown():
    assert Folding().told == ("by process",)
    assert Folding("none", True, "user").told == ("all together", "callers below", "user frames")
