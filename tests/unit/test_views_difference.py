"""What two ranges differ by: B less A, as each would show it alone."""

import pytest

from ebpftop.model import Column, ProbeInfo, Sample, Table, View
from ebpftop.views import format as fmt
from ebpftop.views import table as tables
from ebpftop.views.difference import MINUS, build, comparable, step, title, unmeasured, written
from ebpftop.views.state import ViewState
from ebpftop.views.table import Shape
from tests.unit.made import INFOS, SECOND, two, views

STATE = ViewState()


def values(made):
    """Every figure by row and column; the others and the total too."""
    rows = [*made.rows, made.total, *([made.others] if made.others else [])]
    return {
        (made.key(row), i): made.value(row, i)
        for row in rows
        for i, shown in enumerate(made.columns)
        if shown.measured
    }


@views("table")
class TestOfEveryTable:
    def test_nothing_differs_from_itself(self, info, view):
        a, _ = two(info)
        made = build(Shape.of(info, view), a, a, STATE)
        assert made.rows
        assert {value for value in values(made).values() if value is not None} == {0}

    def test_turned_round_every_change_is_the_opposite(self, info, view):
        a, b = two(info)
        shape = Shape.of(info, view)
        there, back = values(build(shape, a, b, STATE)), values(build(shape, b, a, STATE))
        assert back == {at: None if value is None else -value for at, value in there.items()}
        assert any(there.values())

    def test_every_row_of_either_is_there_once(self, info, view):
        a, b = two(info)
        shape = Shape.of(info, view)
        made = build(shape, a, b, STATE)
        alone = [tables.build(shape, sample, STATE) for sample in (a, b)]
        assert sorted(map(made.key, made.rows), key=repr) == sorted(
            {one.key(row) for one in alone for row in one.rows}, key=repr
        )
        assert (made.others is None) == all(one.others is None for one in alone)

    def test_a_figure_is_what_b_shows_less_what_a_shows(self, info, view):
        a, b = two(info)
        shape = Shape.of(info, view)
        made = build(shape, a, b, STATE)
        seconds = [sample.dt_ns / SECOND for sample in (a, b)]
        alone = [tables.build(shape, sample, STATE) for sample in (a, b)]
        shown = [{one.key(row): row for row in (*one.rows, one.total)} for one in alone]
        for row in (*made.rows, made.total):
            for i, column in enumerate(made.columns):
                if not column.measured:
                    continue
                sides = []
                for one, rows, time in zip(alone, shown, seconds):
                    side = rows.get(made.key(row))
                    value = one.value(side, i) if side else None
                    sides.append(value / time if value and column.per_second else value or 0)
                assert (made.value(row, i) or 0) == pytest.approx(sides[1] - sides[0])

    def test_changes_that_add_up_total_what_their_rows_do(self, info, view):
        a, b = two(info)
        made = build(Shape.of(info, view), a, b, STATE)
        every = [*made.rows, *([made.others] if made.others else [])]
        for i, shown in enumerate(made.columns):
            column = shown.column
            if shown.position is not None and column.fold == "sum" and not column.gauge:
                summed = sum(made.value(row, i) for row in every)
                assert summed == pytest.approx(made.value(made.total, i), abs=1e-3)

    def test_the_largest_change_is_on_top(self, info, view):
        a, b = two(info)
        made = build(Shape.of(info, view), a, b, STATE)
        sizes = [made.value(row, made.sort) for row in made.rows]
        sizes = [abs(size) for size in sizes if size is not None]
        assert sizes == sorted(sizes, reverse=True)


IO = Table(
    "io",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("disk", "DISK", "label"),
        Column("ios", "IO/s", "count", "sum", rate=True),
        Column("lat_ns", "LATENCY", "ns", "sum"),
        Column("hits", "HITS", "count", "sum"),
        Column("max_ns", "MAX", "ns", "max"),
    ),
)
AVERAGE = Column("avg_ns", "AVG", "ns", "sum", ratio=(("lat_ns",), ("ios",)))
SHARE = Column("share", "HIT", "ratio", "sum", ratio=(("hits",), ("ios",)))
VIEW = View("table", "io", "I/O", derived=(AVERAGE, SHARE), sort="ios")
INFO = ProbeInfo("p", "P", "a", "", (IO,), (VIEW,))
SHAPE = Shape.of(INFO, VIEW)


def span(seconds, *rows, truncated=0):
    tables = {"io": list(rows)}
    return Sample("p", 1, 0, 0, seconds * SECOND, tables, truncated={"io": truncated})


def view(a, b, state=STATE, **arguments):
    return build(SHAPE, a, b, state, **arguments)


def cell(made, row, name):
    return made.text(row, [shown.column.name for shown in made.columns].index(name))


def test_ranges_of_different_length_compare_per_second():
    made = view(span(10, (1, "a", 50, 0, 0, 0)), span(20, (1, "a", 300, 0, 0, 0)))
    assert cell(made, made.rows[0], "ios") == "+10"


def test_a_total_compares_per_second_and_its_heading_says_so():
    made = view(span(10, (1, "a", 1, 4_000, 0, 0)), span(20, (1, "a", 1, 2_000, 0, 0)))
    assert cell(made, made.rows[0], "lat_ns") == f"{MINUS}300ns"
    assert [shown.column.title for shown in made.columns if shown.per_second] == [
        "LATENCY/s",
        "HITS/s",
    ]


def test_averages_are_computed_on_each_side():
    made = view(span(1, (1, "a", 10, 1_000, 0, 0)), span(1, (1, "a", 30, 6_000, 0, 0)))
    assert cell(made, made.rows[0], "avg_ns") == "+100ns"


def test_shares_differ_by_percentage_points():
    made = view(span(1, (1, "a", 100, 0, 50, 0)), span(1, (1, "a", 100, 0, 30, 0)))
    assert cell(made, made.rows[0], "share") == f"{MINUS}20.0pp"


def test_maxima_are_compared_as_they_are():
    made = view(span(10, (1, "a", 1, 0, 0, 500)), span(20, (1, "a", 1, 0, 0, 900)))
    assert cell(made, made.rows[0], "max_ns") == "+400ns"


class TestARowOfOneSide:
    NEW = (span(1), span(1, (1, "a", 40, 4_000, 0, 700)))

    def test_counts_as_nothing_on_the_other(self):
        made = view(*self.NEW)
        assert cell(made, made.rows[0], "ios") == "+40"

    def test_has_an_average_that_came_or_went(self):
        made, back = view(*self.NEW), view(*self.NEW[::-1])
        assert cell(made, made.rows[0], "avg_ns") == "→100ns"
        assert cell(back, back.rows[0], "avg_ns") == "100ns→"

    def test_has_a_maximum_that_came_or_went(self):
        made, back = view(*self.NEW), view(*self.NEW[::-1])
        assert cell(made, made.rows[0], "max_ns") == "→700ns"
        assert cell(back, back.rows[0], "max_ns") == "700ns→"

    def test_says_which_side_does_not_have_it(self):
        made, back = view(*self.NEW), view(*self.NEW[::-1])
        assert (made.absent(made.rows[0]), back.absent(back.rows[0])) == ("A", "B")

    def test_keeps_its_key(self):
        made, back = view(*self.NEW), view(*self.NEW[::-1])
        assert made.key(made.rows[0]) == back.key(back.rows[0]) == (1, "a")

    def test_sorts_by_the_size_of_what_came_or_went(self):
        a = span(1, (1, "a", 1, 900, 0, 0), (2, "a", 1, 100, 0, 0))
        b = span(1, (2, "a", 1, 200, 0, 0), (3, "a", 1, 500, 0, 0))
        made = view(a, b, ViewState(sort="avg_ns"))
        assert [made.key(row)[0] for row in made.rows] == [1, 3, 2]


A = span(1, (1, "sda", 10, 0, 0, 0), (2, "sdb", 50, 0, 0, 0), (3, "sda", 20, 0, 0, 0))
B = span(1, (1, "sda", 40, 0, 0, 0), (2, "sdb", 10, 0, 0, 0), (3, "sda", 20, 0, 0, 0))


def pids(made):
    return [made.key(row)[0] for row in made.rows]


def test_reversed_it_goes_from_what_shrank_most_to_what_grew_most():
    assert pids(view(A, B)) == [2, 1, 3]
    assert pids(view(A, B, ViewState(reverse=True))) == [2, 3, 1]


def test_names_sort_from_a_to_z():
    assert pids(view(A, B, ViewState(sort="disk"))) == [1, 3, 2]
    assert pids(view(A, B, ViewState(sort="disk", reverse=True))) == [2, 1, 3]


def test_a_filter_keeps_its_rows_and_their_total():
    made = view(A, B, ViewState(filter="sda"))
    assert (pids(made), made.available) == ([1, 3], 3)
    assert cell(made, made.total, "ios") == "+30"


def test_a_selection_elsewhere_restricts_both_sides():
    assert pids(view(A, B, match={"disk": "sdb"})) == [2]


def test_the_others_are_compared_and_are_part_of_the_total():
    others = [(None, None, n, 0, 0, 0) for n in (5, 25)]
    a = span(1, (1, "a", 1, 0, 0, 0), others[0], truncated=7)
    b = span(1, (1, "a", 1, 0, 0, 0), others[1], truncated=9)
    made = view(a, b)
    assert (cell(made, made.others, "ios"), made.folded) == ("+20", 9)
    assert cell(made, made.total, "ios") == "+20"


def test_a_side_without_rows_has_no_average_in_total():
    made = view(span(1), B)
    assert cell(made, made.total, "ios") == "+70"
    assert cell(made, made.total, "max_ns") == "→0"


def test_a_bar_is_measured_against_the_largest_change():
    made = view(A, B)
    assert [made.share(row) for row in made.rows] == [1.0, 0.75, 0.0]


def test_both_sides_can_be_told():
    made = view(A, B)
    assert made.sides(made.rows[0], made.sort) == (50, 10)


@pytest.mark.parametrize(
    ("kind", "a", "b", "text"),
    [
        ("count", 0, 1_250_000, "+1.25M"),
        ("count", 340, 0, f"{MINUS}340"),
        ("count", 7, 7, "0"),
        ("bytes", 0, 4096, "+4.00K"),
        ("ns", 2e9, 1e9, f"{MINUS}1.00s"),
        ("ratio", 0.5, 0.875, "+37.5pp"),
        ("ratio", 0.5, 0.5, "0"),
        ("ns", None, 5, "→5ns"),
        ("ns", 5, None, "5ns→"),
        ("ratio", None, 0.5, "→50.0%"),
        ("ns", None, None, fmt.UNKNOWN),
    ],
)
def test_a_change_has_its_sign(kind, a, b, text):
    assert written(kind, a, b) == text


@pytest.mark.parametrize(
    ("grown", "expected"), [(0, 0), (0.5, 0), (-1, 1), (10, 2), (-50, 3), (100, 4), (900, 5)]
)
def test_a_larger_part_of_the_whole_is_coloured_more_strongly(grown, expected):
    assert step(grown, 1000) == expected


def test_headings_tell_both_ranges():
    assert title(span(303), span(120)) == "A 5m03s → B 2m00s"


def test_a_table_that_does_not_add_up_is_compared_as_it_ended():
    inflight = INFOS["syscount"].table("inflight")
    assert title(span(303), span(120), inflight) == "at the end of A → at that of B"


def test_a_range_without_a_sample_is_named():
    assert unmeasured(None, span(1)) == "nothing was measured in A"
    assert unmeasured(None, None) == "nothing was measured here"
    assert unmeasured(span(1), span(1)) == ""


def test_columns_that_are_rates_or_averages_stay_as_they_are():
    kept = [shown for shown in SHAPE.columns if shown.column.name in ("ios", "avg_ns", "max_ns")]
    assert [comparable(shown) for shown in kept] == kept
