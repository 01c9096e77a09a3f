"""What a followed row is succeeded by."""

import pytest

from ebpftop.model import Column, ProbeInfo, Process, Sample, Table, View
from ebpftop.views import follow, group, table
from ebpftop.views.scope import Names
from ebpftop.views.state import ViewState

IO = Table(
    "io",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("cgroup", "CGROUP", "id", "key", "cgroup"),
        Column("disk", "DISK", "label", "key", "disk"),
        Column("ios", "IO/s", "count", "sum", rate=True),
    ),
)
VIEW = View("table", "io", "I/O", ("pid", "disk", "ios"), sort="ios")
INFO = ProbeInfo("biotop", "", "block", "", (IO,), (VIEW,))
SHAPE = table.Shape.of(INFO, VIEW)
OLD, SIBLING, NEW, NEWER, OTHER = 100, 101, 200, 201, 300
PEOPLE = {
    OLD: Process(OLD, 10, "nginx"),
    SIBLING: Process(SIBLING, 11, "nginx"),
    NEW: Process(NEW, 50, "nginx"),
    NEWER: Process(NEWER, 60, "nginx"),
    OTHER: Process(OTHER, 70, "redis"),
}
BEFORE = {pid: PEOPLE[pid] for pid in (OLD, SIBLING)}


def view(*pids, disk="sda", people=PEOPLE, pinned=()):
    rows = [(pid, pid, disk, 1) for pid in pids]
    sample = Sample("biotop", 1, 0, 0, 10**9, {"io": rows})
    return table.build(SHAPE, sample, ViewState(pinned=pinned), people)


def key(pid, disk="sda"):
    return (pid, pid, disk)


def following(pid=OLD, cursor=None):
    """What is set after following a row of two siblings has begun."""
    before = view(OLD, SIBLING, people=BEFORE)
    return follow.toggled(before, ViewState(cursor=cursor or key(pid)))


def goes_to(made, state=None):
    return follow.moved_on(made, state or following()).cursor


def test_as_long_as_its_row_is_there_it_stays():
    assert goes_to(view(OLD, NEW)) == key(OLD)


def test_when_its_row_is_gone_a_new_process_of_the_same_command_takes_over():
    assert goes_to(view(SIBLING, NEW, OTHER)) == key(NEW)


def test_of_several_the_newest_takes_over():
    assert goes_to(view(NEW, NEWER)) == key(NEWER)


def test_a_sibling_that_was_there_all_along_does_not():
    assert goes_to(view(SIBLING)) == key(OLD)


def test_another_command_does_not():
    assert goes_to(view(OTHER)) == key(OLD)


def test_a_process_nobody_has_named_does_not():
    assert goes_to(view(999)) == key(OLD)


def test_what_else_tells_rows_apart_must_be_the_same():
    assert goes_to(view(NEW, disk="sdb")) == key(OLD)


def test_the_one_that_took_over_can_be_succeeded_too():
    state = follow.moved_on(view(NEW), following())
    assert follow.moved_on(view(NEWER), state).cursor == key(NEWER)
    assert follow.moved_on(view(SIBLING), state).cursor == key(NEW)


def test_a_row_that_was_gone_already_is_succeeded_by_what_came_since():
    state = follow.toggled(view(NEW), ViewState(cursor=key(OLD)))
    assert goes_to(view(NEW), state) == key(NEW)


def test_a_pinned_row_without_figures_is_succeeded_all_the_same():
    assert goes_to(view(NEW, pinned=(key(OLD),))) == key(NEW)


def test_without_following_nothing_takes_over():
    assert goes_to(view(NEW), ViewState(cursor=key(OLD))) == key(OLD)


def test_following_goes_on_after_a_succession():
    assert follow.moved_on(view(NEW), following()).follow


def test_following_again_ends_it():
    assert not follow.toggled(view(OLD), following()).follow


def test_nothing_is_followed_where_nothing_is_selected():
    assert not follow.toggled(view(OLD), ViewState()).follow


def test_moving_the_cursor_ends_it():
    assert following().at(key(OLD)).follow
    assert not following().at(key(SIBLING)).follow


def test_it_is_called_by_its_command():
    assert follow.name(view(NEW), key(OLD)) == "nginx"
    assert follow.name(view(NEW), key(999)) == "999"


@pytest.mark.parametrize("role", ["disk", "command"])
def test_a_group_is_followed_and_has_no_successor(role):
    info, shown = group.regrouped(INFO, VIEW, role)
    names = Names(PEOPLE)
    rows = [(pid, pid, f"disk {pid}", 1) for pid in (OLD, OTHER)]
    sample = Sample("biotop", 1, 0, 0, 10**9, {"io": rows})
    folded = group.fold(sample, IO, role, names)
    made = table.build(table.Shape.of(info, shown), folded, ViewState(), PEOPLE)
    state = follow.toggled(made, ViewState(cursor=("gone",)))
    assert follow.moved_on(made, state).cursor == ("gone",)
    assert follow.name(made, ("gone",)) == "gone"
