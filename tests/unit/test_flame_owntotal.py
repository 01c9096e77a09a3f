"""Own and total time of functions: each stack counts once, and own times add up to all of them."""

import random
from collections import Counter

import pytest

from ebpftop.views import flame, owntotal
from ebpftop.views.flame import Tree
from ebpftop.views.flamediff import Comparison
from ebpftop.views.folding import Folding
from ebpftop.views.owntotal import Order, compared, functions, listed

SECOND = 1_000_000_000
FOLDINGS = [Folding(by, leaf_first) for by in ("process", "none") for leaf_first in (False, True)]


def ids(folding):
    return "-".join(folding.told)


def tree(folding, *stacks):
    """A tree of `process;frame;frame` with weights, as the window makes it."""
    made = Tree()
    for text, weight in stacks:
        process, _, stack = text.partition(";")
        first, rest = folding.path(process, stack)
        made.add(first, rest, weight)
    return made


def times(folding, *stacks, zoom=()):
    found = functions(tree(folding, *stacks), zoom, folding)
    return {row.name: (row.own, row.total) for row in found}


def order(rows, by="own", reverse=False, text="", signed=False):
    made = listed(rows, flame.search(Tree(), text), Order(by, reverse), 100, signed)
    return [row.name for row in made.rows]


@pytest.mark.parametrize("folding", FOLDINGS, ids=ids)
class TestTimes:
    def test_own_is_of_stacks_that_end_in_it_total_of_all_that_hold_it(self, folding):
        assert times(folding, ("p;main;read", 3), ("q;main;work", 4), ("p;main", 5)) == {
            "main": (5, 12),
            "read": (3, 3),
            "work": (4, 4),
        }

    def test_a_function_that_calls_itself_is_counted_once_a_stack(self, folding):
        stacks = ("p;a;b;a;b;a", 3), ("p;a;b", 4), ("p;b;a;a", 1)
        assert times(folding, *stacks) == {"a": (4, 8), "b": (4, 8)}

    def test_what_has_no_stack_is_counted_too(self, folding):
        assert times(folding, ("p", 3), ("p;a", 4), ("q", 1))["[no stack]"] == (4, 4)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_is_what_looking_at_each_stack_gives(self, folding, seed):
        chance = random.Random(seed)
        stacks = [
            (";".join(("p", *chance.choices("abcd", k=chance.randint(1, 7)))), chance.randint(1, 9))
            for _ in range(150)
        ]
        own: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for text, weight in stacks:
            frames = text.split(";")[1:]
            own[frames[-1]] += weight
            total.update(dict.fromkeys(frames, weight))
        found = times(folding, *stacks)
        assert found == {name: (own[name], total[name]) for name in total}
        assert sum(time for time, _ in found.values()) == sum(weight for _, weight in stacks)


class TestZoom:
    STACKS = (("p;main;read;io", 3), ("p;main;work", 4), ("p;main;read", 2), ("q;main;read", 8))

    def test_looks_at_the_stacks_of_a_frame_and_below_it(self):
        assert times(Folding(), *self.STACKS, zoom=("p", "main", "read")) == {
            "read": (2, 5),
            "io": (3, 3),
        }

    def test_of_a_process_looks_at_all_of_its_stacks(self):
        assert times(Folding(), *self.STACKS, zoom=("p",)) == {
            "main": (0, 9),
            "read": (2, 5),
            "io": (3, 3),
            "work": (4, 4),
        }

    def test_turned_round_it_looks_at_the_callers(self):
        folding = Folding("none", leaf_first=True)
        assert times(folding, *self.STACKS, zoom=("read",)) == {"read": (10, 10), "main": (0, 10)}
        assert times(folding, *self.STACKS, zoom=("read", "main")) == {"main": (0, 10)}

    def test_on_what_is_gone_finds_nothing(self):
        assert times(Folding(), *self.STACKS, zoom=("p", "gone")) == {}

    def test_does_not_change_the_tree(self):
        made = tree(Folding(), *self.STACKS)
        before = sorted(made.stacks())
        functions(made, ("p", "main"), Folding())
        assert sorted(made.stacks()) == before


class TestRanges:
    @pytest.fixture
    def rows(self):
        a = tree(Folding(), ("p;main;old", 30), ("p;main;same", 20))
        b = tree(Folding(), ("p;main;new", 30), ("p;main;same", 10))
        both = tree(Folding())
        ranges = Comparison(both, a, b, a_ns=10 * SECOND, b_ns=5 * SECOND, sleepers=0)
        return {row.name: row for row in compared(ranges, (), Folding())}

    def test_are_compared_per_second(self, rows):
        assert (rows["same"].own, rows["same"].total) == (0, 0)
        assert rows["main"].a == (0, 5)
        assert rows["main"].b == (0, 8)
        assert rows["main"].total == 3

    def test_what_only_one_has_is_compared_with_nothing(self, rows):
        assert rows["old"].own == -3
        assert rows["new"].own == 6

    def test_the_largest_change_is_on_top_reversed_from_what_shrank_to_what_grew(self, rows):
        assert order(rows.values(), signed=True)[:2] == ["new", "old"]
        by_change = order(rows.values(), reverse=True, signed=True)
        assert (by_change[0], by_change[-1]) == ("old", "new")


class TestOrder:
    ROWS = (
        owntotal.Function("b", 5, 5),
        owntotal.Function("A", 0, 9),
        owntotal.Function("c", 0, 10),
    )

    @pytest.mark.parametrize(
        ("by", "reverse", "expected"),
        [
            ("own", False, "bcA"),
            ("own", True, "Acb"),
            ("total", False, "cAb"),
            ("total", True, "bAc"),
            ("name", False, "Abc"),
            ("name", True, "cbA"),
        ],
    )
    def test_is_that_of_a_column(self, by, reverse, expected):
        assert order(self.ROWS, by, reverse) == list(expected)

    def test_moves_from_column_to_column_and_starts_with_the_largest(self):
        moved = Order("own", reverse=True).moved(1)
        assert moved == Order("total")
        assert Order("own").moved(-1) == Order("name")

    def test_a_search_chooses_among_them(self):
        made = listed(self.ROWS, flame.search(Tree(), "a"), Order(), 100, False)
        assert ([row.name for row in made.rows], made.number) == (["A"], 3)


def test_shares_are_of_everything_also_where_something_is_zoomed_into():
    made = listed([owntotal.Function("a", 20, 50)], flame.search(Tree(), ""), Order(), 200, False)
    assert made.about(made.rows[0]) == "20ns own (10.0%) · 50ns total (25.0%)"
