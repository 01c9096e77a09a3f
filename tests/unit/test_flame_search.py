"""A search in the flame: what it finds, how much of all time that is, and how often."""

import pytest

from ebpftop.views.flame import search
from tests.unit.test_drawings_flame import nodes, random_stacks, tree


class TestSearch:
    def test_counts_each_stack_once(self):
        found = search(tree(("p;read;vfs_read", 10), ("p;write", 30)), "read")
        assert (found.weight, found.frames) == (10, 2)
        assert [found.matches(name) for name in ("read", "vfs_read", "write")] == [
            True,
            True,
            False,
        ]

    def test_disregards_case(self):
        assert search(tree(("p;Read", 10)), "rEAD").weight == 10

    def test_is_for_text_not_for_patterns(self):
        assert search(tree(("p;a_[k]", 10), ("p;ak", 5)), "[k]").weight == 10

    def test_finds_what_is_not_drawn_yet(self):
        made = tree(*((f"p;main;a{i};deep{i}", 1) for i in range(50)))
        assert search(made, "deep4").weight == 11

    def test_for_nothing_finds_nothing(self):
        found = search(tree(("p;a", 1)), "")
        assert (found.weight, found.frames, found.matches("a")) == (0, 0, False)

    def test_after_an_equals_sign_is_for_one_name(self):
        found = search(tree(("p;read;vfs_read;x", 10), ("p;read", 5), ("p;reads", 30)), "=read")
        assert (found.weight, found.frames) == (15, 1)
        assert not found.matches("vfs_read")

    def test_for_an_equals_sign_alone_finds_nothing_yet(self):
        assert search(tree(("p;a", 1)), "=").frames == 0

    def test_a_function_that_calls_itself_is_as_many_frames(self):
        assert search(tree(("p;a;a;a", 10)), "a").frames == 3
        assert search(tree(("p;a;a;a", 10)), "=a").frames == 3

    @pytest.mark.parametrize("text", ["a", "b;c", "cd", "A", "=abc", ";", "."])
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_finds_the_same_whether_frames_are_nodes_or_not(self, text, seed):
        """The same figures as by looking at each frame of each stack."""
        made = tree(*random_stacks(200, seed))
        found = search(made, text)
        every = list(nodes(made.root))[1:]  # which grows all of them
        assert search(made, text) == found
        assert found.frames == sum(found.matches(node.name) for node in every)
        assert found.weight == sum(node.own for node in every if any(map(found.matches, node.path)))
