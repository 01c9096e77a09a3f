"""Which views share the screen, and how wide columns are."""

import pytest

from ebpftop.model import Column, ProbeInfo, Sample, Table, View, ViewKind
from ebpftop.views import columns
from ebpftop.views.layout import Arrangement, arrange
from ebpftop.views.state import ViewState
from ebpftop.views.table import Shape, build

KINDS: tuple[ViewKind, ...] = ("table", "histogram", "heat")


@pytest.mark.parametrize("size", [(80, 20), (200, 20), (90, 60)])
def test_where_there_is_little_room_one_view_has_it_all(size):
    columns, rows = size
    assert arrange(columns, rows, KINDS, 0) == Arrangement(0)


def test_a_wide_screen_has_the_others_beside():
    assert arrange(200, 46, KINDS, 0) == Arrangement(0, "beside", (1, 2))


def test_a_tall_screen_has_the_others_below():
    assert arrange(120, 36, KINDS, 0) == Arrangement(0, "below", (1, 2))


def test_the_view_that_was_chosen_has_the_big_tile():
    assert arrange(200, 46, KINDS, 2) == Arrangement(2, "beside", (0, 1))


def test_a_flame_has_the_whole_width():
    assert arrange(200, 46, ("flame", "table"), 0).place == "below"


def test_no_more_others_than_there_is_room_for():
    assert len(arrange(200, 30, ["table"] * 9, 0).others) == 3


INFO = ProbeInfo(
    "p",
    "",
    "",
    "",
    (
        Table(
            "t",
            (
                Column("pid", "PID", "id", "key", "pid"),
                Column("disk", "DISK", "label"),
                Column("ios", "IO/s", "count", "sum"),
            ),
        ),
    ),
    (View("table", "t", ""),),
)
SHAPE = Shape.of(INFO, INFO.views[0])


def table(*disks):
    rows = [(pid, disk, 1) for pid, disk in enumerate(disks)]
    return build(SHAPE, Sample("p", 1, 0, 0, 1, {"t": rows}), ViewState())


def placed(view, room):
    return columns.place(view.columns, columns.natural(view, 0, 50), room)


def test_a_name_has_the_width_of_the_longest_that_is_shown():
    assert columns.natural(table("sda", "nvme0n1p1"), 0, 50)[2] == 9


def test_a_column_never_gets_narrower_while_it_is_looked_at():
    before = columns.natural(table("nvme0n1p1"), 0, 50)
    assert columns.natural(table("sda"), 0, 50, before) == before


def test_the_command_takes_what_is_left_over():
    narrow, wide = placed(table("sda"), 60), placed(table("sda"), 70)
    assert wide.widths[1] - narrow.widths[1] == 10


def test_gaps_shrink_before_columns_are_pushed_out():
    assert placed(table("sda"), 60).gap == 2
    assert placed(table("sda"), 35).gap == 1


def test_a_cell_belongs_to_its_column_and_the_gap_after_it():
    places = placed(table("sda"), 60)
    starts = [sum(places.widths[:n]) + places.gap * n for n in range(4)]
    assert [places.at(x) for x in starts] == [0, 1, 2, 3]
    assert places.at(starts[1] - 1) == 0
    assert places.at(places.total) is None
