"""Which rows a table shows, in which order, and what its cells say."""

import pytest

from ebpftop.model import Column, ProbeInfo, Process, Sample, Table, View
from ebpftop.views import format as fmt
from ebpftop.views.state import ViewState
from ebpftop.views.table import Shape, build

SECOND = 1_000_000_000
IO = Table(
    "io",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("cgroup", "CGROUP", "id", "key", "cgroup"),
        Column("disk", "DISK", "label"),
        Column("ios", "IO/s", "count", "sum", rate=True),
        Column("lat_ns", "LAT", "ns", "sum"),
        Column("busy_ns", "BUSY", "ns", "sum", rate=True),
        Column("max_ns", "MAX", "ns", "max"),
    ),
)
AVERAGE = Column("avg_ns", "AVG", "ns", "sum", ratio=(("lat_ns",), ("ios",)))
COLUMNS = ("pid", "disk", "ios", "avg_ns", "busy_ns", "max_ns")
VIEW = View("table", "io", "I/O", COLUMNS, (AVERAGE,), sort="ios")
INFO = ProbeInfo("biotop", "Block I/O", "block", "", (IO,), (VIEW,))
SHAPE = Shape.of(INFO, VIEW)
ROWS = [
    (1, 9, "sda", 10, 1000, 500_000_000, 300),
    (2, 9, "sdb", 30, 6000, 0, 900),
    (3, 9, "sda", 20, 0, 250_000_000, 100),
]
OTHERS = (None, None, None, 5, 500, 0, 5000)
PEOPLE = {1: Process(1, 0, "init"), 2: Process(2, 0, "[/b]", cmdline="/usr/bin/b --deep")}


def sample(rows=ROWS, dt_ns=SECOND, truncated=0):
    return Sample("biotop", 1, 0, 0, dt_ns, {"io": list(rows)}, truncated={"io": truncated})


def view(rows=ROWS, state=None, match=None, **changes):
    made = sample(rows, **changes)
    return build(SHAPE, made, state or ViewState(), PEOPLE, {9: "web.service"}, match or {})


def column(name):
    return [shown.column.name for shown in SHAPE.columns].index(name)


def cells(made, name):
    return [made.text(row, column(name)) for row in made.rows]


def pids(made):
    return [row[0] for row in made.rows]


def test_a_command_column_follows_the_process_id():
    assert [shown.column.title for shown in SHAPE.columns][:3] == ["PID", "COMMAND", "DISK"]


def test_a_process_nobody_has_named_has_a_dash():
    assert cells(view(), "command") == ["[/b]", fmt.UNKNOWN, "init"]


def test_the_largest_is_on_top():
    assert pids(view()) == [2, 3, 1]


def test_reversed_the_smallest_is_on_top():
    assert pids(view(state=ViewState(reverse=True))) == [1, 3, 2]


def test_names_sort_from_a_to_z():
    made = view(state=ViewState(sort="disk"))
    assert cells(made, "disk") == ["sda", "sda", "sdb"]


def test_equal_rows_stand_in_the_order_of_their_keys_from_sample_to_sample():
    rows = [(pid, 9, "sda", 1, 1, 1, 1) for pid in (7, 3, 5)]
    assert pids(view(rows)) == pids(view(rows[::-1])) == [3, 5, 7]


def test_what_is_unknown_sorts_last_either_way():
    rows = [*ROWS, (4, 9, "sda", None, 1, 1, 1)]
    assert pids(view(rows))[-1] == 4
    assert pids(view(rows, ViewState(reverse=True)))[-1] == 4


def test_keys_of_two_types_do_not_stop_the_table():
    rows = [(1, 9, "sda", 1, 1, 1, 1), (2, 9, None, 1, 1, 1, 1), (1, None, "sda", 1, 1, 1, 1)]
    assert len(view(rows, ViewState(sort="disk")).rows) == 3


def test_a_column_that_is_gone_falls_back_to_the_views_own():
    assert pids(view(state=ViewState(sort="no_such"))) == [2, 3, 1]


def test_rates_divide_by_the_measured_interval():
    assert cells(view(dt_ns=2 * SECOND), "ios") == ["15", "10", "5"]


def test_time_per_time_is_a_share():
    assert cells(view(), "busy_ns") == ["0%", "25.0%", "50.0%"]


def test_an_average_divides_sums():
    assert cells(view(), "avg_ns") == ["200ns", "0", "100ns"]


def test_an_average_of_nothing_is_unknown():
    assert cells(view([(1, 9, "sda", 0, 0, 0, 0)]), "avg_ns") == [fmt.UNKNOWN]


def test_an_interval_of_no_length_gives_no_rates():
    assert set(cells(view(dt_ns=0), "ios")) == {fmt.UNKNOWN}


def test_a_cgroup_is_shown_by_its_name():
    shape = Shape.of(INFO, View("table", "io", "", ("cgroup", "ios")))
    made = build(shape, sample(), ViewState(), {}, {9: "web.service"})
    assert made.text(ROWS[0], 0) == "web.service"


def test_the_row_of_the_others_stands_apart():
    made = view([*ROWS, OTHERS], truncated=40)
    assert pids(made) == [2, 3, 1]
    assert (made.others, made.folded) == (OTHERS, 40)


def test_the_total_adds_all_rows_and_the_others():
    made = view([*ROWS, OTHERS])
    assert made.total == (None, None, None, 65, 7500, 750_000_000, 5000)


def test_the_total_of_an_average_is_the_average_of_all():
    made = view()
    assert made.text(made.total, column("avg_ns")) == "117ns"


def test_a_total_with_an_unknown_part_is_unknown():
    made = view([*ROWS, (4, 9, "sda", None, 1, 1, 1)])
    assert made.text(made.total, column("ios")) == fmt.UNKNOWN


def test_a_filter_looks_at_names_not_at_figures():
    assert pids(view(state=ViewState(filter="sdb"))) == [2]
    assert pids(view(state=ViewState(filter="900"))) == []


def test_a_filter_finds_a_process_by_name_and_by_command_line():
    assert pids(view(state=ViewState(filter="init"))) == [1]
    assert pids(view(state=ViewState(filter="--deep"))) == [2]


def test_a_filtered_table_counts_what_there_was_and_totals_what_there_is():
    made = view([*ROWS, OTHERS], ViewState(filter="sda"))
    assert (len(made.rows), made.available, made.others) == (2, 3, None)
    assert made.total[3] == 30


def test_a_wrong_pattern_shows_everything_and_says_why():
    made = view(state=ViewState(filter="/(/"))
    assert len(made.rows) == 3
    assert made.error


def test_a_selection_elsewhere_restricts_the_rows():
    assert pids(view(match={"disk": "sda"})) == [3, 1]


def test_a_selection_of_columns_that_are_not_here_restricts_nothing():
    assert len(view(match={"syscall": "read"}).rows) == 3


def test_a_row_is_found_by_its_key_wherever_it_is():
    made = view()
    key = made.key(ROWS[0])
    assert (key, made.position(key)) == ((1, 9, "sda"), 2)
    assert made.position((99, 9, "sda")) is None


def test_bars_are_measured_against_the_largest():
    made = view()
    assert [made.share(row) for row in made.rows] == pytest.approx([1, 2 / 3, 1 / 3])


def test_bars_of_shares_are_measured_against_the_whole():
    made = view(state=ViewState(sort="busy_ns"))
    assert made.share(made.rows[0]) == pytest.approx(0.5)


def test_a_probe_without_a_sample_gives_an_empty_table():
    made = build(SHAPE, None, ViewState())
    assert (list(made.rows), made.available) == ([], 0)
