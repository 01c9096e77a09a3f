"""Two ranges in one picture: histograms, figures and flames of B against A."""

import pytest

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.views import format as fmt
from ebpftop.views import histogram, stat
from ebpftop.views.stacks import Window
from tests.unit.made import INFOS, SECOND, two, views


@views("histogram")
class TestHistograms:
    def test_each_range_is_a_series_per_second(self, info, view):
        a, b = two(info)
        axes = histogram.Axes.of(info, view)
        made = histogram.compare(axes, a, b, {})
        for series, sample in zip(made.series, (a, b)):
            alone = histogram.build(axes, [sample], {}).sum
            assert series.total == pytest.approx(alone.total * SECOND / sample.dt_ns)
            assert series.counts.keys() == alone.counts.keys()

    def test_percentiles_are_those_of_each_alone(self, info, view):
        a, b = two(info)
        axes = histogram.Axes.of(info, view)
        made = histogram.compare(axes, a, b, {})
        alone = [dict(made.bounds(histogram.build(axes, [one], {}).sum)) for one in (a, b)]
        expected = [
            f"{name} {x}" if x == y else f"{name} {x} → {y}"
            for name, x, y in ((name, alone[0][name], alone[1][name]) for name in alone[0])
        ]
        assert made.summary()[: len(expected)] == expected

    def test_nothing_against_something_has_unknown_percentiles(self, info, view):
        _, b = two(info)
        empty = Sample(info.name, 1, 1, 1, SECOND, {})
        made = histogram.compare(histogram.Axes.of(info, view), empty, b, {})
        assert all(f" {fmt.UNKNOWN} → " in mark for mark in made.summary()[:4])


@views("stat")
class TestFigures:
    def test_the_values_are_those_of_each_range_alone(self, info, view):
        a, b = two(info)
        made = stat.compare(info, view, a, b, {})
        for sample, side in ((a, "a"), (b, "b")):
            course = stat.course(info, view)
            course.update([sample], {})
            alone = [one.values[-1] for one in stat.build(info, view, course.points)]
            assert [getattr(one, side) for one in made] == alone

    def test_a_range_does_not_differ_from_itself(self, info, view):
        a, _ = two(info)
        assert {one.change for one in stat.compare(info, view, a, a, {})} == {"0"}

    def test_turned_round_the_change_is_the_opposite(self, info, view):
        a, b = two(info)
        there, back = stat.compare(info, view, a, b, {}), stat.compare(info, view, b, a, {})
        assert [one.grown for one in there] == [-one.grown for one in back]


def test_a_figure_that_is_no_rate_compares_per_second():
    table = Table("io", (Column("pid", "PID", "id"), Column("lat_ns", "TIME", "ns", "sum")))
    view = View("stat", "io", "Total")
    info = ProbeInfo("p", "P", "a", "", (table,), (view,))
    a, b = (
        Sample("p", 1, 0, 0, seconds * SECOND, {"io": [(1, lat_ns)]})
        for seconds, lat_ns in ((10, 20), (20, 100))
    )
    (made,) = stat.compare(info, view, a, b, {})
    assert (made.title, made.before, made.text, made.change) == (
        "TIME/s",
        "2ns",
        "5ns",
        "+3ns",
    )


def flames(info, view, a, b, **settings):
    return Window(info, view, **settings).compare(a, b, {})


def walk(node):
    yield node
    for child in node.children.values():
        yield from walk(child)


@pytest.mark.parametrize("asleep", [True, False])
@views("flame")
class TestFlames:
    def test_the_change_of_all_is_the_change_of_the_totals_per_second(self, info, view, asleep):
        a, b = two(info)
        made = flames(info, view, a, b, asleep=True)
        rates = [
            sum(row[4] + row[5] for row in one.tables["stacks"]) * SECOND / one.dt_ns
            for one in (a, b)
        ]
        assert made.change(made.tree.root) == pytest.approx(rates[1] - rates[0])

    def test_every_frame_is_as_wide_as_both_its_rates(self, info, view, asleep):
        a, b = two(info)
        made = flames(info, view, a, b, asleep=asleep)
        for node in walk(made.tree.root):
            width = sum(made.rates(node)) * a.dt_ns * b.dt_ns / SECOND
            assert node.total == pytest.approx(width)

    def test_turned_round_every_change_is_the_opposite(self, info, view, asleep):
        a, b = two(info)
        there = flames(info, view, a, b, asleep=asleep)
        back = flames(info, view, b, a, asleep=asleep)
        nodes = list(walk(there.tree.root))
        assert len(nodes) > 20
        for node in nodes:
            assert back.change(back.tree.find(node.path)) == -there.change(node)
            assert back.step(back.tree.find(node.path)) == -there.step(node)

    def test_nothing_differs_from_itself(self, info, view, asleep):
        a, _ = two(info)
        made = flames(info, view, a, a, asleep=asleep)
        assert {made.change(node) for node in walk(made.tree.root)} == {0}


STACKS = INFOS["offcputime"]
FLAME = STACKS.views[0]


def stacks(seconds, *rows):
    """Rows are (pid, stack, blocked_ns, times)."""
    made = [(pid, pid, 1, stack, blocked, 0, times, 0) for pid, stack, blocked, times in rows]
    return Sample("offcputime", 1, 1, 1, seconds * SECOND, {"stacks": made})


def test_what_is_gone_is_drawn_too():
    made = flames(STACKS, FLAME, stacks(1, (7, "a;b", 100, 1)), stacks(1, (7, "a;c", 300, 1)))
    gone = made.tree.find(("pid 7", "a", "b"))
    assert (gone.total > 0, made.change(gone)) == (True, -100)
    assert made.change(made.tree.find(("pid 7", "a"))) == 200


def test_a_frame_tells_both_sides_and_the_change():
    a, b = stacks(10, (7, "a", 2 * SECOND, 1)), stacks(20, (7, "a", 8 * SECOND, 1))
    made = flames(STACKS, FLAME, a, b)
    told = "A 200ms/s → B 400ms/s · +200ms/s · +50.0% of all"
    assert made.figures(made.tree.find(("pid 7", "a"))) == told


def test_a_thread_that_ran_in_one_range_is_compared_with_its_sleep_in_the_other():
    a, b = stacks(1, (7, "a", 1000, 0), (8, "z", 5, 0)), stacks(1, (7, "a", 900, 3), (8, "z", 5, 0))
    made = flames(STACKS, FLAME, a, b)
    assert made.change(made.tree.root) == -100
    assert made.sleepers == 1
