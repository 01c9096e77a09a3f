"""The flame: weights that add up, a layout that fills its rows, and paths that outlive the data."""

import random

import pytest

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.views import flame
from ebpftop.views.flame import Tree, apportion, layout, move
from ebpftop.views.folding import Folding
from ebpftop.views.stacks import Window

SECOND = 1_000_000_000
STACKS = Table(
    "stacks",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("stack", "STACK", "stack"),
        Column("blocked_ns", "BLOCKED", "ns", "sum"),
        Column("waiting_ns", "WAITING", "ns", "sum"),
    ),
)
VIEW = View("flame", "stacks", "Stacks")
INFO = ProbeInfo("p", "P", "a", "", (STACKS,), (VIEW,))


def tree(*stacks):
    made = Tree()
    for folded, weight in stacks:
        process, _, rest = folded.partition(";")
        made.add(process, rest, weight)
    return made


def sample(seq, *rows):
    end = seq * SECOND
    return Sample("p", seq, end, end, SECOND, {"stacks": list(rows)})


def window(*samples, names=None, match=None, **settings):
    made = Window(INFO, VIEW, names=names or {}, **settings)
    made.update(samples, match or {})
    return made


def nodes(node):
    yield node
    for child in node.children.values():
        yield from nodes(child)


def total(made, *path):
    node = made.find(path)
    assert node.path == path
    return node.total


def dump(made):
    return {node.path: (node.total, node.own) for node in nodes(made.root)}


def random_stacks(number, seed=1):
    chance = random.Random(seed)
    return [
        (
            ";".join(chance.choice("abcd") for _ in range(chance.randint(1, 8))),
            chance.randint(1, 99),
        )
        for _ in range(number)
    ]


class TestTree:
    def test_adds_up_common_callers(self):
        made = tree(("p;main;read", 3), ("p;main;write", 4), ("p;idle", 5))
        assert total(made) == 12
        assert total(made, "p", "main") == 7
        assert total(made, "p", "main", "write") == 4

    def test_a_stack_that_ends_within_another_is_its_own_time(self):
        made = tree(("p;main;read", 3), ("p;main", 2))
        assert made.find(("p", "main")).own == 2
        assert made.find(("p", "main", "read")).own == 3

    def test_does_not_depend_on_the_order(self):
        stacks = random_stacks(60)
        assert dump(tree(*stacks)) == dump(tree(*reversed(stacks)))

    def test_every_weight_is_somebodys_own_time(self):
        made = tree(*random_stacks(200))
        assert sum(node.own for node in nodes(made.root)) == made.root.total

    def test_what_was_taken_away_was_never_there(self):
        kept, gone = random_stacks(50, 1), random_stacks(80, 2)
        made = tree(*kept, *gone)
        for folded, weight in gone:
            process, _, rest = folded.partition(";")
            made.remove(process, rest, weight)
        assert dump(made) == dump(tree(*kept))

    def test_empty_again_has_no_nodes(self):
        made = tree(("p;a;b", 5))
        made.remove("p", "a;b", 5)
        assert dump(made) == {(): (0, 0)}

    def test_a_process_without_a_stack_is_a_frame(self):
        assert total(tree(("p", 5)), "p") == 5

    def test_names_may_hold_anything(self):
        made = tree(("[/b];\x1b[0m;日本語_[k]", 5))
        assert made.find(("[/b]", "\x1b[0m", "日本語_[k]")).kernel

    def test_a_path_that_is_gone_leads_to_what_is_left_of_it(self):
        made = tree(("p;main;read", 3))
        assert made.find(("p", "main", "write", "vfs")).path == ("p", "main")


class TestApportion:
    def test_gives_the_rest_to_the_largest_remainders(self):
        assert apportion([50, 30, 20], 7) == [4, 2, 1]

    @pytest.mark.parametrize("cells", [0, 1, 7, 80, 333])
    def test_adds_up(self, cells):
        chance = random.Random(cells)
        weights = [chance.randint(0, 10**12) for _ in range(40)]
        assert sum(apportion(weights, cells)) == cells

    def test_of_no_weight_is_nothing(self):
        assert apportion([0, 0], 9) == [0, 0]


class TestLayout:
    @pytest.mark.parametrize("width", [1, 2, 7, 80, 211])
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_boxes_lie_within_their_callers_and_do_not_overlap(self, width, seed):
        drawn = layout(tree(*random_stacks(300, seed)).root, width)
        for above, row in zip(drawn.rows, drawn.rows[1:]):
            callers = {id(box.node): box for box in above if not box.merged}
            end = 0
            for box in row:
                caller = callers[id(box.node if box.merged else box.node.parent)]
                assert box.x >= max(end, caller.x)
                end = box.x + box.width
                assert end <= caller.x + caller.width

    def test_callees_and_own_time_fill_the_caller(self):
        drawn = layout(tree(("p;a", 50), ("p;b", 25), ("p", 25)).root, 80)
        assert [(box.x, box.width) for box in drawn.rows[2]] == [(0, 40), (40, 20)]

    def test_the_largest_is_at_the_left(self):
        drawn = layout(tree(("p;a", 1), ("p;b", 2), ("p;c", 3)).root, 60)
        assert [box.node.name for box in drawn.rows[2]] == ["c", "b", "a"]

    def test_frames_too_narrow_are_one_filler_that_counts_them(self):
        made = tree(("p;wide", 900), *((f"p;n{i}", 1) for i in range(100)))
        wide, filler = layout(made.root, 100).rows[2]
        assert (wide.node.name, wide.width) == ("wide", 90)
        assert (filler.merged, filler.width) == (100, 10)

    def test_a_frame_alone_in_its_row_is_drawn_however_narrow(self):
        assert layout(tree(("p;a", 1)).root, 2).rows[2][0].width == 2

    def test_zoom_fills_the_width_and_keeps_its_callers_above(self):
        made = tree(("p;main;read", 1), ("q;main", 99))
        drawn = layout(made.find(("p", "main")), 80)
        assert [[(box.node.name, box.width) for box in row] for row in drawn.rows] == [
            [("", 80)],
            [("p", 80)],
            [("main", 80)],
            [("read", 80)],
        ]

    def test_no_width_is_no_rows(self):
        assert layout(tree(("p", 1)).root, 0).rows == ()


class TestMove:
    @pytest.fixture
    def drawn(self):
        return layout(tree(("p;a;x", 60), ("p;b", 30), ("q;c", 10)).root, 100)

    @pytest.mark.parametrize(
        ("start", "direction", "end"),
        [
            (("p", "a"), "up", ("p",)),
            ((), "up", ()),
            (("p",), "down", ("p", "a")),
            (("p", "b"), "down", ("p", "b")),
            (("p", "a"), "right", ("p", "b")),
            (("p", "b"), "right", ("q", "c")),
            (("p", "b"), "left", ("p", "a")),
            (("p", "a"), "left", ("p", "a")),
            ((), "down", ("p",)),
        ],
    )
    def test_leads_to_the_neighbour(self, drawn, start, direction, end):
        assert move(drawn, start, direction) == end

    def test_from_what_is_not_drawn_leads_to_the_zoom(self, drawn):
        assert move(drawn, ("p", "gone"), "left") == ()
        assert move(drawn, ("p", "a", "x", "deep", "deeper"), "down") == ()


class TestMoveAmongNarrowFrames:
    @pytest.fixture
    def drawn(self):
        return layout(tree(("p;wide", 94), ("p;n1", 1), ("p;n2;x", 2), ("q;c", 3)).root, 40)

    def test_they_come_one_after_the_other_largest_first(self, drawn):
        path: flame.Path = ("p", "wide")
        seen = []
        for _ in range(3):
            path = move(drawn, path, "right")
            seen.append(path[-1])
        assert seen == ["n2", "n1", "n1"]
        assert move(drawn, ("p", "n2"), "left") == ("p", "wide")

    def test_where_nothing_is_wide_enough_down_leads_to_the_largest(self):
        drawn = layout(tree(*((f"p{n};a", 50 + n) for n in range(40))).root, 40)
        assert move(drawn, (), "down") == ("p39",)

    def test_below_them_is_nothing_until_they_are_zoomed_into(self, drawn):
        assert move(drawn, ("p", "n2"), "down") == ("p", "n2")
        zoomed = layout(drawn.zoom.children["p"].children["n2"], 40)
        assert move(zoomed, ("p", "n2"), "down") == ("p", "n2", "x")


class TestWindow:
    def test_puts_the_process_on_top(self):
        made = window(sample(1, (7, "main;read", 5, 2)), names={7: "dd"})
        assert total(made.tree, "dd[7]", "main", "read") == 7

    @pytest.mark.parametrize(("weight", "expected"), [("both", 7), ("blocked", 5), ("waiting", 2)])
    def test_counts_the_time_that_is_asked_for(self, weight, expected):
        assert window(sample(1, (7, "a", 5, 2)), weight=weight).tree.root.total == expected

    def test_takes_only_new_samples(self):
        first, second = sample(1, (7, "a", 5, 0)), sample(2, (7, "a", 6, 0))
        made = window(first)
        made.update([first, second], {})
        made.update([first, second], {})
        assert made.tree.root.total == 11

    def test_forgets_what_is_too_old(self):
        samples = [sample(n, (7, f"a;f{n}", n, 0)) for n in range(1, 8)]
        made = window(*samples[:4], seconds=3)
        made.update(samples, {})
        assert made.tree.root.total == 5 + 6 + 7
        assert made.tree.find(("pid 7", "a", "f4")).path == ("pid 7", "a")

    def test_is_the_same_grown_or_built_at_once(self):
        samples = [
            sample(n, *((7, folded, weight, 0) for folded, weight in random_stacks(20, n)))
            for n in range(1, 9)
        ]
        grown = window(seconds=5)
        for n in range(1, 9):
            grown.update(samples[:n], {})
        assert dump(grown.tree) == dump(window(*samples, seconds=5).tree)

    def test_starts_anew_in_another_history(self):
        made = window(sample(5, (7, "a", 5, 0)))
        made.update([sample(2, (7, "b", 3, 0))], {})
        assert made.tree.root.total == 3

    def test_shows_a_selection_alone(self):
        rows = ((7, "a", 5, 0), (8, "a", 3, 0))
        made = window(sample(1, *rows))
        made.update([sample(1, *rows)], {"pid": 8})
        assert made.tree.root.total == 3

    def test_learns_names_late(self):
        made = window(sample(1, (7, "a", 5, 0)))
        made.names = {7: "dd"}
        made.update([sample(1, (7, "a", 5, 0))], {})
        assert list(made.tree.root.children) == ["dd[7]"]

    def test_merges_processes_of_one_name(self):
        rows = ((7, "a", 5, 0), (8, "a", 3, 0))
        made = window(sample(1, *rows), names={7: "dd", 8: "dd"}, folding=Folding("name"))
        assert total(made.tree, "dd", "a") == 8

    def test_keeps_what_the_collector_left_out(self):
        assert total(window(sample(1, (None, None, 5, 0))).tree, "others") == 5

    def test_passes_over_stacks_without_weight(self):
        assert window(sample(1, (7, "a", 0, 0), (7, "b", None, 0))).tree.root.children == {}


class TestSleepers:
    """Threads that slept throughout the window are left out, and come back with all they slept."""

    TABLE = Table(
        "stacks", (*STACKS.columns, Column("tid", "T", "id"), Column("count", "N", "count"))
    )
    INFO = ProbeInfo("p", "P", "a", "", (TABLE,), (VIEW,))

    def window(self, **settings):
        return Window(self.INFO, VIEW, **settings)

    def test_a_thread_that_never_ran_is_left_out_and_counted(self):
        made = self.window()
        made.update([sample(1, (7, "a", 5, 0, 70, 0), (8, "b", 3, 0, 80, 2))], {})
        assert made.tree.root.total == 3
        assert made.sleepers == 1

    def test_asked_for_it_is_shown(self):
        made = self.window(asleep=True)
        made.update([sample(1, (7, "a", 5, 0, 70, 0), (8, "b", 3, 0, 80, 2))], {})
        assert (made.tree.root.total, made.sleepers) == (8, 0)

    def test_once_it_has_run_all_that_it_slept_is_shown(self):
        made = self.window()
        slept, ran = sample(1, (7, "a", 5, 0, 70, 0)), sample(2, (7, "a", 4, 0, 70, 1))
        made.update([slept], {})
        made.update([slept, ran], {})
        assert (made.tree.root.total, made.sleepers) == (9, 0)

    def test_when_its_last_run_leaves_the_window_it_is_left_out_again(self):
        made = self.window(seconds=2.0)
        samples = [sample(1, (7, "a", 5, 0, 70, 1))]
        samples += [sample(n, (7, "a", 4, 0, 70, 0)) for n in (2, 3)]
        made.update(samples[:2], {})
        assert made.tree.root.total == 9
        made.update(samples, {})
        assert (made.tree.root.total, made.sleepers) == (0, 1)

    def test_threads_of_one_process_are_told_apart(self):
        made = self.window()
        made.update([sample(1, (7, "a", 5, 0, 70, 0), (7, "a", 3, 0, 71, 1))], {})
        assert (made.tree.root.total, made.sleepers) == (3, 1)

    def test_the_others_are_always_shown(self):
        made = self.window()
        made.update([sample(1, (None, None, 5, 0, None, 0))], {})
        assert made.tree.root.total == 5

    def test_whatever_comes_and_goes_the_tree_is_that_of_the_window(self):
        rng = random.Random(3)
        samples = [
            sample(n, *((p, rng.choice("ab"), 1, 0, p, rng.randrange(3) // 2) for p in range(9)))
            for n in range(1, 40)
        ]
        kept = self.window(seconds=3.0)
        for end in range(1, len(samples) + 1):
            kept.update(samples[max(0, end - 5) : end], {})
            fresh = self.window(seconds=3.0)
            fresh.update(samples[max(0, end - 3) : end], {})
            assert dump(kept.tree) == dump(fresh.tree)
            assert kept.sleepers == fresh.sleepers


def test_a_frame_tells_its_times_and_its_share():
    made = tree(("p;a", 3_000_000_000), ("p", 1_000_000_000))
    figures = flame.figures(made.find(("p",)), made.root)
    assert figures == "4.00s total · 1.00s own · 100% of all"
