"""Charts and figures: rates, gaps, unknown values, and axes in round steps."""

import pytest

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.registry import probes
from ebpftop.views import chart, figures, stat
from ebpftop.views import format as fmt

SECOND = 1_000_000_000
TABLE = Table(
    "access",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("hits", "HITS", "count", "sum", rate=True),
        Column("misses", "MISSES", "count", "sum", rate=True),
        Column("max_ns", "MAX", "ns", "max"),
    ),
)
RATIO = Column("ratio", "HIT RATIO", "ratio", "sum", ratio=(("hits",), ("hits", "misses")))


def sample(seq, *rows, end_s=None, dt_s=1.0):
    end = round((seq if end_s is None else end_s) * SECOND)
    return Sample("p", seq, end, end, round(dt_s * SECOND), {"access": list(rows)})


def build(module, samples, columns, by="", match=None, **names):
    view = View("chart", "access", "Title", columns=columns, derived=(RATIO,), by=by)
    info = ProbeInfo("p", "P", "a", "", (TABLE,), (view,))
    course = module.course(info, view)
    course.update(samples, match or {})
    return module.build(info, view, tuple(course.points), **names)


def values(samples, *columns, **options):
    return [line.values for line in build(chart, samples, columns, **options).lines]


class TestValues:
    def test_are_per_second_of_the_measured_interval(self):
        samples = [sample(1, (1, 10, 0, 0)), sample(2, (1, 10, 0, 0), end_s=3, dt_s=2)]
        assert values(samples, "hits") == [(10.0, 5.0)]

    def test_are_summed_over_rows(self):
        assert values([sample(1, (1, 10, 0, 0), (2, 5, 0, 0))], "hits") == [(15.0,)]

    def test_maxima_are_not_summed(self):
        assert values([sample(1, (1, 0, 0, 30), (2, 0, 0, 20))], "max_ns") == [(30,)]

    def test_a_share_is_that_of_the_sums(self):
        assert values([sample(1, (1, 90, 10, 0), (2, 0, 100, 0))], "ratio") == [(0.45,)]

    def test_a_share_of_nothing_is_unknown(self):
        assert values([sample(1)], "ratio") == [(None,)]

    def test_what_one_row_does_not_know_is_unknown_in_total(self):
        assert values([sample(1, (1, None, 0, 0), (2, 5, 0, 0))], "hits") == [(None,)]

    def test_an_interval_without_rows_is_0(self):
        assert values([sample(1)], "hits") == [(0.0,)]

    def test_a_match_leaves_the_other_rows_out(self):
        samples = [sample(1, (1, 10, 0, 0), (2, 5, 0, 0))]
        assert values(samples, "hits", match={"pid": 2}) == [(5.0,)]


class TestLines:
    def test_share_an_axis_so_other_kinds_are_left_out(self):
        drawn = build(chart, [sample(1, (1, 1, 2, 3))], ("hits", "max_ns", "misses"))
        assert [line.name for line in drawn.lines] == ["HITS", "MISSES"]

    def test_beyond_the_largest_are_one(self):
        rows = [(pid, pid, 0, 0) for pid in range(1, 9)]
        drawn = build(chart, [sample(1, *rows)], ("hits",), by="pid")
        assert [(line.name, line.now) for line in drawn.lines] == [
            ("pid 8", 8.0),
            ("pid 7", 7.0),
            ("pid 6", 6.0),
            ("others", 15.0),
        ]

    def test_of_the_collectors_others_are_among_the_others(self):
        rows = [(1, 5, 0, 0), (None, 7, 0, 0)]
        drawn = build(chart, [sample(1, *rows)], ("hits",), by="pid", names={1: "a\x07"})
        assert [(line.name, line.now) for line in drawn.lines] == [("a·[1]", 5.0), ("others", 7.0)]

    def test_are_not_joined_where_the_probe_did_not_run(self):
        drawn = build(chart, [sample(1), sample(2), sample(3, end_s=60)], ("hits",))
        assert drawn.gaps == {2}

    def test_count_time_back_from_the_newest(self):
        assert build(chart, [sample(1), sample(3)], ("hits",)).ages_s == (-2.0, 0.0)


class TestAxes:
    @pytest.mark.parametrize(
        ("peak", "kind", "top"),
        [
            (0, "count", 1.0),
            (7, "count", 8.0),
            (812, "count", 1000.0),
            (1024**2 * 3.5, "bytes", 1024**2 * 4.0),
            (0.3, "count", 0.3),
            (0.97, "ratio", 1.0),
            (0.04, "ratio", 0.04),
        ],
    )
    def test_end_at_a_round_number(self, peak, kind, top):
        assert chart.ceiling(peak, kind) == pytest.approx(top)

    @pytest.mark.parametrize("kind", ["count", "bytes", "ns", "ratio"])
    @pytest.mark.parametrize("peak", [1e-3, 0.5, 1, 9, 10, 11, 999, 1000, 1024, 1e6, 3.7e9, 1e15])
    def test_hold_their_peak(self, kind, peak):
        assert chart.ceiling(peak, kind) >= peak * (1 - 1e-6)

    @pytest.mark.parametrize("top", [1, 20_000, 1024**3, 0.02])
    @pytest.mark.parametrize("steps", [1, 2, 5])
    def test_have_no_more_ticks_than_asked_for(self, top, steps):
        ticks = chart.ticks(top, "count", steps)
        assert ticks[0] == 0
        assert len(ticks) <= steps + 1

    def test_of_time_count_back_from_now(self):
        assert chart.time_ticks(59, 3) == [(0.0, "now"), (-30.0, "-30s")]
        assert chart.time_ticks(600, 4)[-1] == (-600.0, "-10m")

    def test_of_time_hold_in_a_single_step(self):
        assert chart.time_ticks(0.5, 5) == [(0.0, "now")]


class TestStat:
    def test_is_the_newest_with_its_unit(self):
        samples = [sample(1, (1, 10, 0, 0)), sample(2, (1, 1250, 50, 0))]
        stats = build(stat, samples, ("hits", "ratio", "max_ns"))
        assert [(one.title, one.text) for one in stats] == [
            ("HITS", "1.25k/s"),
            ("HIT RATIO", "96.2%"),
            ("MAX", "0"),
        ]

    def test_that_is_unknown_is_a_dash(self):
        assert build(stat, [sample(1)], ("ratio",))[0].text == fmt.UNKNOWN

    def test_without_samples_is_a_dash(self):
        assert build(stat, [], ("hits",))[0].text == fmt.UNKNOWN

    def test_course_is_against_its_peak_newest_at_the_right(self):
        samples = [sample(n, (1, hits, 0, 0)) for n, hits in enumerate((0, 4, 8), 1)]
        assert build(stat, samples, ("hits",))[0].sparkline(5) == "  ▁▅█"

    def test_course_of_a_share_is_against_the_whole(self):
        samples = [sample(1, (1, 1, 1, 0)), sample(2, (1, 1, 0, 0))]
        assert build(stat, samples, ("ratio",))[0].sparkline(2) == "▅█"

    def test_course_is_blank_where_unknown(self):
        samples = [sample(1), sample(2, (1, 1, 0, 0))]
        assert build(stat, samples, ("ratio",))[0].sparkline(2) == " █"

    def test_course_shows_the_newest_where_there_is_no_room_for_all(self):
        samples = [sample(n, (1, hits, 0, 0)) for n, hits in enumerate((9, 0, 3), 1)]
        assert build(stat, samples, ("hits",))[0].sparkline(2) == "▁█"


def test_every_probe_that_draws_figures_has_them():
    drawn = [
        (probe, view)
        for probe in probes().values()
        for view in probe.views
        if view.kind in ("chart", "stat")
    ]
    assert drawn
    for probe, view in drawn:
        assert figures.columns(probe.info, view)


def test_a_view_without_figures_is_an_error():
    with pytest.raises(ValueError, match="no figures"):
        build(chart, [], ("pid",))
