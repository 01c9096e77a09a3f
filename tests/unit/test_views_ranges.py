"""The sum over a range is what its samples come to, however they are added up."""

import random
from itertools import pairwise

import pytest

from ebpftop import registry
from ebpftop.collector import host
from ebpftop.model import Column, Cost, ProbeInfo, Sample, Table, View
from ebpftop.views import stat
from ebpftop.views.ranges import Span, Sum, over
from ebpftop.views.stacks import Window
from ebpftop.views.state import ViewState
from ebpftop.views.table import Shape, build
from ebpftop.views.window import lasted
from tests.unit.made import INFOS, SECOND, samples, total

EVERY_PROBE = pytest.mark.parametrize("info", INFOS.values(), ids=INFOS)


def content(sample):
    tables = {name: sorted(rows, key=repr) for name, rows in sample.tables.items()}
    return (
        *(sample.probe, sample.seq, sample.wall_ns, sample.mono_ns, sample.dt_ns),
        *(tables, sample.lost, sample.cost, sample.truncated),
    )


@EVERY_PROBE
class TestOfEveryProbe:
    @pytest.mark.parametrize("cut", [1, 7, 19])
    def test_sums_of_parts_add_up_to_the_sum_of_all(self, info, cut):
        added = samples(info, 20)
        parts = [total(info, added[:cut]), total(info, added[cut:])]
        assert content(total(info, parts)) == content(total(info, added))

    def test_split_at_random_it_is_the_same(self, info):
        rng, added = random.Random(info.name), samples(info, 30)
        cuts = [0, *sorted(rng.sample(range(1, 30), 6)), 30]
        parts = [total(info, added[a:b]) for a, b in pairwise(cuts)]
        assert content(total(info, parts)) == content(total(info, added))

    def test_every_column_that_adds_up_totals_what_its_samples_total(self, info):
        added = samples(info, 25)
        made = total(info, added)
        for table in info.tables:
            for position, column in enumerate(table.columns):
                if column.fold == "sum" and not column.gauge:
                    expected = sum(row[position] for s in added for row in s.tables[table.name])
                    assert sum(row[position] for row in made.tables[table.name]) == expected

    def test_every_maximum_is_the_largest_of_its_samples(self, info):
        added = samples(info, 25)
        made = total(info, added)
        for table in info.tables:
            for position, column in enumerate(table.columns):
                if column.fold == "max" and not column.gauge:
                    expected = max(row[position] for s in added for row in s.tables[table.name])
                    assert max(row[position] for row in made.tables[table.name]) == expected

    def test_each_key_is_there_once(self, info):
        made = total(info, samples(info, 25))
        for table in info.tables:
            keys = [i for i, column in enumerate(table.columns) if column.fold == "key"]
            found = [tuple(row[i] for i in keys) for row in made.tables[table.name]]
            assert len(found) == len(set(found))

    def test_one_sample_is_its_own_sum(self, info):
        (only,) = samples(info, 1)
        assert content(total(info, [only])) == content(only)

    def test_its_tables_can_be_drawn(self, info):
        made = total(info, samples(info, 10))
        for view in info.views:
            if view.kind == "table":
                shape = Shape.of(info, view)
                drawn = build(shape, made, ViewState())
                assert drawn.available + (drawn.others is not None) == len(made.tables[view.table])

    def test_rates_are_those_of_the_whole_time(self, info):
        added = samples(info, 10)
        made = total(info, added)
        for view in info.views:
            if view.kind == "table":
                shape = Shape.of(info, view)
                drawn = build(shape, made, ViewState())
                for position, shown in enumerate(shape.columns):
                    if shown.position is not None and shown.column.rate:
                        raw = sum(r[shown.position] for s in added for r in s.tables[view.table])
                        unit = 1 if shown.column.kind == "ns" else SECOND
                        expected = raw * unit / sum(s.dt_ns for s in added)
                        assert drawn.value(drawn.total, position) == pytest.approx(expected)


TABLE = Table(
    "io",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("disk", "DISK", "label"),
        Column("ios", "IO/s", "count", "sum", rate=True),
        Column("max_ns", "MAX", "ns", "max"),
    ),
)
VIEW = View("table", "io", "I/O")
INFO = ProbeInfo("p", "P", "a", "", (TABLE,), (VIEW,))


def sample(seq, *rows, dt_ns=SECOND, **fields):
    return Sample("p", seq, seq, seq * SECOND, dt_ns, {"io": list(rows)}, **fields)


def test_rows_of_one_key_are_one():
    made = total(INFO, [sample(1, (1, "a", 3, 9)), sample(2, (1, "a", 4, 5), (1, "b", 1, 1))])
    assert made.tables == {"io": [(1, "a", 7, 9), (1, "b", 1, 1)]}


def test_rows_of_one_key_within_a_sample_are_one_too():
    assert total(INFO, [sample(1, (1, "a", 3, 9), (1, "a", 4, 10))]).tables["io"] == [
        (1, "a", 7, 10)
    ]


def test_the_rows_of_the_others_are_one():
    made = total(INFO, [sample(n, (1, "a", 1, 1), (None, None, n, n)) for n in (1, 2, 3)])
    assert made.tables["io"] == [(1, "a", 3, 1), (None, None, 6, 3)]


def test_what_is_unknown_once_is_unknown_in_all():
    rows = [(1, "a", 3, None), (1, "a", None, 9), (1, "a", 5, 9)]
    made = total(INFO, [sample(n, row) for n, row in enumerate(rows)])
    assert made.tables["io"] == [(1, "a", None, None)]


def test_times_and_losses_add_up_and_most_rows_left_out_at_once_are_said():
    made = total(
        INFO,
        [
            sample(1, dt_ns=5, lost={"full": 2}, truncated={"io": 7}),
            sample(2, dt_ns=6, lost={"full": 3, "late": 1}, truncated={"io": 4}),
        ],
    )
    assert (made.dt_ns, made.lost, made.truncated) == (11, {"full": 5, "late": 1}, {"io": 7})


def test_a_cost_that_is_unknown_once_is_unknown_in_all():
    costs = [Cost(1, 2, 3), Cost(None, 5, 6), Cost(7, 8, 9)]
    made = total(INFO, [sample(n, cost=cost) for n, cost in enumerate(costs)])
    assert made.cost == Cost(None, 15, 18)


def test_it_is_of_the_time_of_its_last_sample():
    made = total(INFO, [sample(3), sample(4)])
    assert (made.seq, made.wall_ns, made.mono_ns) == (4, 4, 4 * SECOND)


def test_there_is_none_of_nothing():
    assert Sum(INFO).sample() is None


def test_later_additions_do_not_change_it():
    summing = Sum(INFO)
    summing.add(sample(1, (1, "a", 3, 9)))
    made = summing.sample()
    assert made
    summing.add(sample(2, (1, "a", 3, 9), (2, "b", 1, 1)))
    assert made.tables["io"] == [(1, "a", 3, 9)]


def test_a_table_that_the_probe_does_not_have_is_left_out():
    odd = Sample("p", 1, 1, 1, SECOND, {"io": [(1, "a", 1, 1)], "new": [(1,)]})
    assert list(total(INFO, [odd]).tables) == ["io"]


class TestGauges:
    """What states how things stand does not add up: the end of the range holds."""

    SYSCOUNT = registry.probes()["syscount"].info

    def flying(self, seq, *rows):
        return Sample("syscount", seq, seq, seq, SECOND, {"inflight": list(rows)})

    def test_calls_in_flight_are_those_at_the_end(self):
        read, poll = (7, 70, "read", 9 * SECOND), (8, 80, "poll", SECOND)
        made = total(self.SYSCOUNT, [self.flying(1, read), self.flying(2, poll)])
        assert made.tables["inflight"] == [poll]

    def test_none_in_flight_at_the_end_is_none(self):
        made = total(self.SYSCOUNT, [self.flying(1, (7, 70, "read", 9)), self.flying(2)])
        assert made.tables["inflight"] == []

    def test_a_call_that_goes_on_has_its_last_age(self):
        made = total(self.SYSCOUNT, [self.flying(n, (7, 70, "read", n)) for n in (1, 2, 3)])
        assert made.tables["inflight"] == [(7, 70, "read", 3)]

    def test_of_the_host_only_the_collectors_time_adds_up(self):
        names = [column.name for column in host.HOST.columns]
        rows = [tuple(range(n, n + len(names))) for n in (100, 200)]
        added = [Sample("host", n, n, n, SECOND, {"host": [row]}) for n, row in enumerate(rows)]
        (row,) = total(host.INFO, added).tables["host"]
        held = {name: value for name, value in zip(names, row) if name != "collector_cpu_ns"}
        assert held == {n: v for n, v in zip(names, rows[1]) if n != "collector_cpu_ns"}
        assert row[names.index("collector_cpu_ns")] == 300 + 2 * names.index("collector_cpu_ns")

    def test_its_heading_says_which_time_it_is_of(self):
        made = total(self.SYSCOUNT, [self.flying(1), self.flying(2)])
        assert over(made, self.SYSCOUNT.table("inflight")) == "at the end of the range"
        assert over(made, self.SYSCOUNT.table("calls")) == "over 2.00s"


class TestDrawnAsOneSample:
    def test_headings_say_how_long_the_range_is(self):
        assert lasted([total(INFO, [sample(n) for n in range(1, 304)])]) == "over 5m03s"
        assert over(sample(1), TABLE) == ""

    def test_a_sum_is_not_taken_for_the_sample_it_ends_with(self):
        info, view = INFOS["cachestat"], INFOS["cachestat"].views[0]
        added = samples(info, 9)
        made, course = total(info, added), stat.course(info, view)
        course.update(added, {})
        course.update([made], {})
        assert [point.dt_ns for point in course.points] == [made.dt_ns]
        course.update(added, {})
        assert len(course.points) == 9

    @pytest.mark.parametrize("asleep", [True, False])
    def test_the_flame_of_a_sum_is_that_of_its_samples(self, asleep):
        info, view = INFOS["offcputime"], INFOS["offcputime"].views[0]
        added = samples(info, 20)
        one = Window(info, view, seconds=1000.0, asleep=asleep)
        one.update([total(info, added)], {})
        every = Window(info, view, seconds=1000.0, asleep=asleep)
        every.update(added, {})
        assert dump(one.tree.root) == dump(every.tree.root)
        assert one.sleepers == every.sleepers
        assert one.lasted == f"over {sum(s.dt_ns for s in added) / SECOND:.1f}s"

    def test_a_range_of_minutes_is_whole_in_the_flame(self):
        info, view = INFOS["offcputime"], INFOS["offcputime"].views[0]
        made = Window(info, view)
        whole = total(info, samples(info, 120))
        made.update([whole], {})
        assert made.tree.root.total + asleep(whole) == sum(
            row[4] + row[5] for row in whole.tables["stacks"]
        )


def dump(node):
    return node.total, {name: dump(child) for name, child in node.children.items()}


def asleep(whole):
    """Time of the threads that never ran."""
    rows = whole.tables["stacks"]
    ran = {row[:2] for row in rows if row[6] or row[0] is None}
    return sum(row[4] + row[5] for row in rows if row[:2] not in ran)


def test_what_is_summed_is_known_as_such():
    assert isinstance(total(INFO, [sample(1)]), Span)
