"""Histograms and heat: bounds, percentiles, folding, and that nothing is counted twice or lost."""

import pytest

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.registry import probes
from ebpftop.views import heat, histogram
from ebpftop.views.histogram import Axes, folded, percentile
from ebpftop.views.window import Course, described, recent

SECOND = 1_000_000_000
LATENCY = Table(
    "latency",
    (
        Column("disk", "DISK", "label"),
        Column("slot", "latency", "slot"),
        Column("count", "IOs", "count", "sum"),
    ),
)
QUEUES = Table(
    "queues",
    (
        Column("cpu", "CPU", "id", "key", "cpu"),
        Column("length", "length", "count"),
        Column("hits", "samples", "count", "sum"),
    ),
)


def axes(table=LATENCY, by=""):
    view = View("histogram", table.name, "Title", by=by)
    return Axes.of(ProbeInfo("p", "P", "a", "", (table,), (view,)), view)


def sample(*rows, seq=1, end_s=None, dt_s=1.0, table="latency"):
    end = round((seq if end_s is None else end_s) * SECOND)
    return Sample("p", seq, end, end, round(dt_s * SECOND), {table: list(rows)})


def built(*rows, by="", match=None):
    return histogram.build(axes(by=by), [sample(*rows)], match or {})


class TestBuckets:
    def test_slot_n_is_labelled_from_two_to_the_n_to_twice_that(self):
        assert axes().label(14) == "16.4µs…32.8µs"
        assert axes().label(0) == "1ns…2ns"

    def test_queue_lengths_0_and_1_say_what_they_mean(self):
        assert [axes(QUEUES).label(n) for n in range(3)] == ["idle", "1 running", "2"]

    def test_gaps_between_buckets_are_rows_too(self):
        whole = built(("vda", 10, 5), ("vda", 13, 1))
        assert [bar.counts for bar in whole.bars((whole.sum,), 20)] == [(5,), (0,), (0,), (1,)]

    def test_tails_are_folded_into_the_rows_at_the_ends(self):
        whole = built(*(("vda", slot, 1) for slot in range(4, 24)), ("vda", 12, 1000))
        bars = whole.bars((whole.sum,), 5)
        assert len(bars) == 5
        assert sum(bar.counts[0] for bar in bars) == whole.sum.total
        assert bars[0].label.startswith("< ")
        assert bars[-1].label.startswith("≥ ")

    def test_the_thinner_tail_is_folded_first(self):
        assert folded({1: 1, 2: 1, 3: 9, 4: 9, 5: 9}, range(1, 6), 3) == (3, 5)

    def test_one_row_is_enough_for_everything(self):
        whole = built(("vda", 3, 2), ("vda", 5, 3), ("vda", 7, 2))
        assert [bar.counts for bar in whole.bars((whole.sum,), 1)] == [(7,)]

    @pytest.mark.parametrize("rows", [0, -3])
    def test_no_room_is_no_rows(self, rows):
        whole = built(("vda", 3, 2))
        assert whole.bars((whole.sum,), rows) == ()


class TestPercentiles:
    def test_are_the_bucket_in_which_the_share_is_reached(self):
        counts = {10: 50, 11: 40, 20: 10}
        assert percentile(counts, 0.5) == 10
        assert percentile(counts, 0.51) == 11
        assert percentile(counts, 0.9) == 11
        assert percentile(counts, 0.91) == 20

    def test_skip_buckets_without_counts(self):
        assert percentile({1: 0, 2: 4}, 0.0) == 2

    def test_of_nothing_are_an_error(self):
        with pytest.raises(ValueError, match="nothing"):
            percentile({}, 0.5)

    def test_of_slots_are_given_as_upper_bounds(self):
        assert built(("vda", 14, 99), ("vda", 20, 1)).summary() == [
            "p50 <32.8µs",
            "p90 <32.8µs",
            "p99 <32.8µs",
            "max <2.10ms",
        ]

    def test_of_an_empty_histogram_are_left_out(self):
        assert built().summary() == []


class TestSeries:
    def test_add_up_to_the_sum(self):
        whole = built(("vda", 10, 5), ("sdb", 10, 2), ("sdb", 11, 1), by="disk")
        assert [(one.name, one.total) for one in whole.series] == [("sdb", 3), ("vda", 5)]
        assert whole.sum.counts == {10: 7, 11: 1}

    def test_named_by_numbers_are_in_their_order(self):
        rows = [(cpu, 0, 1) for cpu in (10, 9, 2)]
        whole = histogram.build(axes(QUEUES, "cpu"), [sample(*rows, table="queues")], {})
        assert [one.name for one in whole.series] == ["cpu 2", "cpu 9", "cpu 10"]

    def test_names_are_made_safe(self):
        whole = built(("\x1b[31m[/b]", 10, 1), by="disk")
        assert whole.series[0].name == "·[31m[/b]"

    def test_a_match_leaves_the_other_rows_out(self):
        assert built(("vda", 10, 5), ("sdb", 10, 2), match={"disk": "sdb"}).sum.total == 2

    def test_a_name_that_the_table_lacks_restricts_nothing(self):
        assert built(("vda", 10, 5), match={"pid": 3}).sum.total == 5

    def test_rows_folded_by_the_collector_are_owned_up_to(self):
        whole = built(("vda", 10, 5), (None, None, 7))
        assert whole.sum.total == 5
        assert whole.summary()[-1] == "7 in no bucket"


class TestTime:
    def test_only_the_last_seconds_count(self):
        samples = [sample(("vda", 10, 1), seq=n) for n in range(1, 31)]
        assert [one.seq for one in recent(samples, 10)] == list(range(21, 31))

    def test_the_newest_sample_counts_however_long_it_took(self):
        assert len(recent([sample(seq=1), sample(seq=2, end_s=60, dt_s=59)], 10)) == 1

    def test_no_samples_are_none(self):
        assert recent([], 10) == []


class TestCourse:
    def course(self, limit=10):
        return Course(LATENCY, lambda one, rows: sum(row[2] for row in rows), limit)

    def test_outlives_the_rows(self):
        course = self.course()
        first, second = sample(("vda", 1, 5)), sample(("vda", 1, 6), seq=2)
        course.update([first], {})
        course.update([sample(), second], {})
        assert [point.value for point in course.points] == [5, 6]

    def test_outlives_the_samples(self):
        course = self.course()
        samples = [sample(("vda", 1, n), seq=n) for n in range(1, 6)]
        for last in range(1, 6):
            course.update(samples[max(0, last - 2) : last], {})
        assert [point.value for point in course.points] == [1, 2, 3, 4, 5]

    def test_keeps_as_many_as_asked_for(self):
        course = self.course(limit=2)
        course.update([sample(("vda", 1, n), seq=n) for n in range(1, 6)], {})
        assert [point.value for point in course.points] == [4, 5]

    def test_of_another_selection_starts_anew(self):
        course, rows = self.course(), (("vda", 1, 5), ("sdb", 1, 2))
        course.update([sample(*rows)], {})
        course.update([sample(*rows)], {"disk": "sdb"})
        assert [point.value for point in course.points] == [2]

    def test_of_another_history_starts_anew(self):
        course = self.course()
        course.update([sample(("vda", 1, 5), seq=9)], {})
        course.update([sample(("vda", 1, 2), seq=3)], {})
        assert [point.value for point in course.points] == [2]


def test_a_selection_is_described_with_the_name_of_its_process():
    table = Table("t", (Column("pid", "PID", "id"), Column("op", "OP", "label")))
    assert described(table, {"pid": 7, "op": "read"}, {7: "[x]\n"}) == "[x]·[7] read"
    assert described(table, {"pid": 8}) == "pid 8"


def test_every_probe_that_draws_buckets_has_them():
    drawn = [
        (probe, view)
        for probe in probes().values()
        for view in probe.views
        if view.kind in ("histogram", "heat")
    ]
    assert drawn
    for probe, view in drawn:
        assert Axes.of(probe.info, view).count


def test_a_table_without_buckets_is_an_error():
    table = Table("t", (Column("disk", "DISK", "label"), Column("ios", "IOs", "count", "sum")))
    with pytest.raises(ValueError, match="no buckets"):
        axes(table)


def heated(*samples, **match):
    course = heat.course(axes())
    course.update(samples, match)
    return heat.build(axes(), tuple(course.points))


class TestHeat:
    def test_goes_by_the_logarithm_of_the_rate(self):
        assert [heat.level(rate, 1e6 - 1, 6) for rate in (0, 9, 99, 999, 1e6 - 1)] == [
            0,
            1,
            2,
            3,
            6,
        ]

    def test_of_the_least_rate_is_seen(self):
        assert heat.level(0.01, 1e9, 10) == 1

    def test_of_a_late_sample_is_that_of_its_rate(self):
        samples = [sample(("vda", 10, 8)), sample(("vda", 10, 80), seq=2, end_s=11, dt_s=10)]
        drawn = heated(*samples)
        assert [column and column.value for column in drawn.columns] == [{10: 8.0}, {10: 8.0}]

    def test_draws_the_newest_columns_where_there_is_no_room_for_all(self):
        drawn = heated(*(sample(("vda", 10, n), seq=i) for i, n in enumerate((9, 9, 3, 1000))))
        assert drawn.grid(drawn.buckets(1), 2, 3) == [[1, 3]]

    def test_shows_where_the_probe_did_not_run(self):
        samples = [sample(("vda", 10, 1)), sample(("vda", 10, 1), seq=2, end_s=30)]
        drawn = heated(*samples)
        assert drawn.grid(drawn.buckets(4), 10, 5) == [[5, -1, 5]]

    def test_folds_what_lies_beyond_the_rows(self):
        rows = [("vda", slot, 1) for slot in range(10, 20)] + [("vda", 14, 100)]
        drawn = heated(sample(*rows))
        buckets = drawn.buckets(2)
        assert len(buckets) == 4
        assert 14 in buckets
        assert all(row[0] > 0 for row in drawn.grid(buckets, 10, 5))

    def test_of_nothing_has_no_buckets(self):
        assert not heated(sample()).buckets(10)

    def test_knows_how_old_a_column_is(self):
        drawn = heated(*(sample(seq=n) for n in (1, 2, 3)))
        assert [drawn.age_s(back) for back in range(3)] == [0.0, 1.0, 2.0]
