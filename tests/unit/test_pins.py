"""Pinned rows: where they are, and what they count for."""

import random

import pytest

from ebpftop.model import Sample
from ebpftop.views import difference, group, table
from ebpftop.views.scope import Names
from ebpftop.views.state import ViewState
from tests.unit import made

SEEDS = pytest.mark.parametrize("seed", range(12))


def pinned(info, view, seed, share=0.3, **state):
    """A table with some of its rows pinned, and the same without."""
    rng = random.Random(seed)
    (sample,) = made.samples(info, 1, seed)
    shape = table.Shape.of(info, view)
    plain = table.build(shape, sample, ViewState(**state))
    keys = [plain.key(row) for row in plain.rows]
    pins = tuple(rng.sample(keys, round(len(keys) * share)))
    return table.build(shape, sample, ViewState(pinned=pins, **state)), plain, pins


@made.views("table")
@SEEDS
def test_pinning_changes_the_order_and_nothing_else(info, view, seed):
    one, plain, _ = pinned(info, view, seed)
    assert sorted(map(repr, one.rows)) == sorted(map(repr, plain.rows))
    assert (one.total, one.others, one.matched) == (plain.total, plain.others, plain.matched)


@made.views("table")
@SEEDS
def test_pinned_rows_come_first_and_all_are_in_the_order_of_the_table(info, view, seed):
    one, plain, pins = pinned(info, view, seed)
    assert {one.key(row) for row in one.rows[: len(pins)]} == set(pins)
    in_order = [row for row in plain.rows if plain.key(row) in pins]
    assert list(one.rows[: len(pins)]) == in_order
    assert list(one.rows[len(pins) :]) == [row for row in plain.rows if row not in in_order]


INFO = made.INFOS["biotop"]
VIEW = next(view for view in INFO.views if view.kind == "table")
SHAPE = table.Shape.of(INFO, VIEW)


def row(pid, ios, op="read"):
    values = {"pid": pid, "cgroup": 1, "disk": "vda", "op": op, "ios": ios, "bytes": ios * 4096}
    return tuple(values.get(column.name, ios) for column in INFO.table("io").columns)


def view(rows, match=None, **state):
    sample = Sample("biotop", 1, 0, 0, made.SECOND, {"io": list(rows)})
    return table.build(SHAPE, sample, ViewState(**state), match=match or {})


def key(pid, op="read"):
    return (pid, 1, "vda", op)


def pids(shown):
    return [row[0] for row in shown.rows]


def texts(shown, row):
    columns = range(len(shown.columns))
    return {shown.columns[i].column.name: shown.text(row, i) for i in columns}


def test_a_pinned_row_that_is_not_there_keeps_its_names_and_has_no_figures():
    shown = view([row(1, 5), row(2, 9)], pinned=(key(7),))
    assert pids(shown) == [7, 2, 1]
    cells = texts(shown, shown.rows[0])
    assert (cells["pid"], cells["disk"], cells["op"]) == ("7", "vda", "read")
    assert {cells[name] for name in ("ios", "bytes")} == {"\N{EN DASH}"}


def test_a_pinned_row_that_is_not_there_is_not_counted():
    shown, plain = view([row(1, 5)], pinned=(key(7),)), view([row(1, 5)])
    assert (shown.total, shown.matched, shown.available) == (plain.total, 1, 1)
    assert not shown.has(key(7))
    assert shown.has(key(1))


def test_pins_that_are_not_there_come_after_those_that_are():
    shown = view([row(1, 5), row(2, 9)], pinned=(key(7), key(1)))
    assert pids(shown) == [1, 7, 2]


def test_a_filter_leaves_pinned_rows_and_does_not_count_them():
    shown = view([row(1, 5, "write"), row(2, 9), row(3, 4)], filter="write", pinned=(key(3),))
    assert pids(shown) == [3, 1]
    assert (shown.matched, shown.available) == (1, 3)
    assert shown.total == view([row(1, 5, "write")]).total


def test_the_selection_elsewhere_leaves_no_pinned_row_that_it_is_not_about():
    shown = view([row(1, 5), row(2, 9)], match={"pid": 2}, pinned=(key(1),))
    assert pids(shown) == [2]


def test_a_row_is_pinned_once_and_released_by_the_same_key():
    state = ViewState().with_pin(key(1)).with_pin(key(2))
    assert state.pinned == (key(1), key(2))
    assert state.with_pin(key(1)).pinned == (key(2),)


def test_pins_hold_in_a_grouped_table():
    info, grouped = group.regrouped(INFO, VIEW, "op")
    rows = [row(1, 5), row(2, 9, "write"), row(3, 1, "write")]
    sample = Sample("biotop", 1, 0, 0, made.SECOND, {"io": rows})
    folded = group.fold(sample, INFO.table("io"), "op", Names())
    shown = table.build(table.Shape.of(info, grouped), folded, ViewState(pinned=(("read",),)))
    assert [row[0] for row in shown.rows] == ["read", "write"]


def test_pins_hold_in_a_comparison_where_neither_side_needs_to_have_them():
    a, b = (
        Sample("biotop", 1, 0, 0, made.SECOND, {"io": rows})
        for rows in ([row(1, 5), row(2, 9)], [row(1, 50), row(2, 9)])
    )
    plain = difference.build(SHAPE, a, b, ViewState())
    shown = difference.build(SHAPE, a, b, ViewState(pinned=(key(2), key(7))))
    assert sorted(pids(shown)[:2]) == [2, 7]
    assert pids(shown)[2:] == [1]
    assert (shown.total, shown.matched) == (plain.total, 2)
    (gone,) = (row for row in shown.rows if row[0] == 7)
    assert shown.absent(gone) == "A and B"
