"""A scope leaves what was chosen, on every table that can tell; a regrouping leaves every total."""

import random

import pytest

from ebpftop.commands.demo import RECORDING
from ebpftop.model import ProbeInfo, Process, Sample
from ebpftop.probe import cgroup, count, key, maximum_ns, ns, pid, table
from ebpftop.recording.reader import Recording
from ebpftop.views import cgroups, group, scope
from ebpftop.views.scope import Names, Narrowed, Narrowing, Scope, Step
from ebpftop.views.store import Store

IO = table(
    "io",
    pid(),
    cgroup(),
    key("disk", role="disk"),
    count("ios"),
    ns("lat_ns"),
    maximum_ns("max_ns"),
)
SLOTS = table("slots", key("disk", role="disk"), key("slot", kind="slot"), count("n"))
ROWS = [
    (1, 10, "sda", 5, 50, 30),
    (1, 10, "sdb", 1, 10, 10),
    (2, 11, "sda", 2, 20, 15),
    (3, 12, "sda", 4, None, 9),
    (9, 99, "sdb", 7, 70, 70),
    (None, None, None, 3, 30, 12),
]
TREE = ("/a/web-1", "/a/web-1/inner", "/ab")
PEOPLE = {
    1: Process(
        1,
        100,
        "nginx",
        user="www",
        cgroup=10,
        cgroup_path=TREE[0],
        container="web-1",
        runtime="docker",
    ),
    2: Process(
        2,
        100,
        "nginx",
        user="www",
        cgroup=11,
        cgroup_path=TREE[1],
        container="web-1",
        runtime="docker",
    ),
    3: Process(3, 100, "redis", user="redis", cgroup=12, cgroup_path=TREE[2]),
}
NAMES = Names(PEOPLE, {10: "web-1", 12: "redis.service"}, dict(zip((10, 11, 12), TREE)))


def within(role, value, rows=ROWS, described=IO):
    chosen = Scope((scope.step(role, value, NAMES),))
    return [row[0] for row in Narrowing.of(described, chosen, NAMES).rows(rows)]


def sample(rows=ROWS, **counted):
    return Sample("biotop", 1, 0, 0, 10**9, {"io": rows}, truncated={"io": 2}, scope=counted)


@pytest.mark.parametrize(
    ("role", "value", "left"),
    [
        ("pid", 1, [1, 1]),
        ("disk", "sdb", [1, 9]),
        ("command", "nginx", [1, 1, 2]),
        ("user", "redis", [3]),
        ("container", "web-1", [1, 1, 2]),
        ("container", scope.NONE, [3]),
        ("pid", 4711, []),
    ],
)
def test_a_step_leaves_the_rows_of_its_value(role, value, left):
    assert within(role, value) == left


def test_a_cgroup_covers_what_is_below_it_and_no_namesake():
    assert within("cgroup", "/a") == [1, 1, 2]
    assert within("cgroup", TREE[0]) == [1, 1, 2]
    assert within("cgroup", TREE[1]) == [2]
    assert within("cgroup", "/") == [1, 1, 2, 3]


def test_a_table_without_cgroups_knows_them_by_its_processes():
    plain = table("plain", pid(), count("n"))
    assert within("cgroup", "/a", [(1, 5), (3, 5), (9, 1)], plain) == [1]


def test_steps_add_up():
    chosen = Scope().then(scope.step("command", "nginx", NAMES), scope.step("disk", "sda", NAMES))
    assert [row[0] for row in Narrowing.of(IO, chosen, NAMES).rows(ROWS)] == [1, 2]


def test_a_table_that_cannot_tell_says_so_and_stays_whole():
    chosen = Scope((scope.step("pid", 1, NAMES), scope.step("disk", "sda", NAMES)))
    narrowing = Narrowing.of(SLOTS, chosen, NAMES)
    assert narrowing.remark == "not by process"
    assert narrowing.rows([("sda", 3, 1), ("sdb", 3, 1)]) == [("sda", 3, 1)]


@pytest.mark.parametrize(
    ("counted", "step", "holds"),
    [
        ({"pid": 1}, ("pid", 1), True),
        ({"pid": 2}, ("pid", 1), False),
        ({"pid": 2}, ("cgroup", "/a"), True),
        ({"pid": 3}, ("cgroup", "/a"), False),
        ({"cgroup": 11}, ("cgroup", TREE[0]), True),
        ({"cgroup": 10}, ("cgroup", TREE[1]), False),
        ({"cgroup": 10}, ("container", "web-1"), True),
        ({"cgroup": 11}, ("container", "web-1"), True),
        ({"cgroup": 12}, ("container", "web-1"), False),
        ({}, ("pid", 1), False),
    ],
)
def test_what_the_kernel_counted_alone_needs_no_column(counted, step, holds):
    narrowing = Narrowing.of(SLOTS, Scope((scope.step(step[0], step[1], NAMES),)), NAMES, counted)
    assert (narrowing.remark == "") == holds


@pytest.mark.parametrize(
    ("counted", "steps", "covered"),
    [
        ({}, [], True),
        ({"pid": 1}, [], False),
        ({"pid": 1}, [("pid", 1)], True),
        ({"pid": 1}, [("command", "nginx")], False),
        ({"pid": 1}, [("pid", 2)], False),
        ({"cgroup": 10}, [("cgroup", TREE[1])], True),
        ({"cgroup": 11}, [("cgroup", TREE[0])], False),
        ({"cgroup": 10}, [("pid", 2)], True),
        ({"cgroup": 10}, [("pid", 3)], False),
        ({"cgroup": 10}, [("container", "web-1")], True),
        ({"cgroup": 11}, [("container", "web-1")], False),
    ],
)
def test_a_sample_serves_a_scope_that_is_no_wider_than_what_was_counted(counted, steps, covered):
    chosen = Scope(tuple(scope.step(role, value, NAMES) for role, value in steps))
    assert scope.is_covered(chosen, counted, NAMES) == covered


def test_each_sample_is_narrowed_once():
    info = ProbeInfo("biotop", "", "", "", (IO,), ())
    narrowed = Narrowed(info, Scope((scope.step("pid", 2, NAMES),)))
    one, other = sample(), sample()
    first = narrowed.samples([one, other], NAMES)
    assert [made.tables["io"] for made in first] == [[ROWS[2]], [ROWS[2]]]
    again = narrowed.samples([other, sample()], NAMES)
    assert again[0] is first[1]


def test_opening_a_row_goes_from_the_process_to_what_is_below_it():
    selected = {"pid": 1, "cgroup": 10, "disk": "sda"}
    first = scope.next_step(IO, selected, Scope(), NAMES)
    assert first == Step((("pid", 1),), "")
    assert first.label == "nginx[1]"
    second = scope.next_step(IO, selected, Scope((first,)), NAMES)
    assert second == Step((("disk", "sda"),), "")
    assert scope.next_step(IO, selected, Scope((first, second)), NAMES) is None


def test_a_connection_is_one_step():
    names = ("laddr", "lport", "raddr", "rport")
    connections = table("connections", *(key(name, role=name) for name in names), count("n"))
    selected = dict(zip(names, ("10.0.0.1", 4000, "10.0.0.2", 443)))
    step = scope.next_step(connections, selected, Scope(), NAMES)
    assert step
    assert dict(step.terms) == selected
    assert step.label == "10.0.0.2:443"


def test_labels_are_safe_to_show():
    names = Names({7: Process(7, 1, "[/b]\x1b[2J\n")}, {}, {})
    assert scope.step("pid", 7, names).label.isprintable()
    assert scope.step("cgroup", "/x\x1b/y\n", names).label.isprintable()


def test_a_cgroup_is_called_by_its_container_or_unit_else_by_its_last_part():
    known = cgroups.titles(NAMES)
    assert [cgroups.name(path, known) for path in (TREE[0], TREE[1], "/a", "/")] == [
        *("web-1 (docker)", "inner", "a", "/")
    ]


# Regrouping


def test_rows_are_folded_sums_add_maxima_compare_and_unknown_stays_unknown():
    folded = group.fold(sample(), IO, "disk", NAMES).tables["io"]
    assert sorted(folded, key=str) == [
        ("sda", 3, 11, None, 30),
        ("sdb", 2, 8, 80, 70),
        (None, 2, 3, 30, 12),
    ]


def test_a_process_that_nobody_knows_is_a_group_of_its_own():
    rows = group.fold(sample(), IO, "container", NAMES).tables["io"]
    folded = {row[0]: row[1] for row in rows}
    assert folded == {"web-1": 3, scope.NONE: 1, scope.UNKNOWN: 1, None: 2}


def test_what_a_table_has_no_column_for_is_not_offered():
    assert group.groupings(SLOTS) == ["disk"]
    assert group.groupings(IO) == ["pid", "command", "container", "cgroup", "user", "disk"]


# Every pane of a real recording


@pytest.fixture(scope="module")
def demo():
    """What a real machine said, at five moments."""
    tape = Recording(str(RECORDING))
    moments = []
    for tick in range(10, len(tape.overview), 50):
        store = Store()
        for record in tape.records(tick, tick):
            store.add(record)
        moments.append(store)
    tape.close()
    return moments


def tables(store):
    for info in store.probes():
        newest = store.latest(info.name)
        for described in info.tables:
            if newest and newest.tables.get(described.name):
                yield info, described, newest


def totals(described, rows):
    """Each figure of all rows together."""
    figures = []
    for place, column in enumerate(described.columns):
        if column.fold != "key":
            values = [row[place] for row in rows]
            known = None not in values
            fold = sum if column.fold == "sum" else lambda all_: max(all_, default=0)
            figures.append(fold(values) if known else None)
    return figures


def test_totals_of_every_regrouping_are_those_of_the_rows(demo):
    checked = set()
    for store in demo:
        for info, described, newest in tables(store):
            for role in group.groupings(described):
                folded = group.fold(newest, described, role, Names.of(store)).tables
                rows = [row[2:] for row in folded[described.name]]
                columns = [column for column in described.columns if column.fold != "key"]
                expected = totals(described, newest.tables[described.name])
                assert totals(type(described)("", tuple(columns)), rows) == expected
                checked.add((info.name, described.name, role))
    assert len({probe for probe, _, _ in checked}) == 6
    assert len(checked) > 50


def test_a_scope_and_its_complement_add_up_to_the_whole(demo):
    chance, checked = random.Random(4), 0
    for store in demo:
        names = Names.of(store)
        for _, described, newest in tables(store):
            rows = newest.tables[described.name]
            for role in group.groupings(described):
                folded = group.fold(newest, described, role, names).tables[described.name]
                value = chance.choice(folded)[0]
                if value in (None, scope.UNKNOWN):
                    continue
                chosen = Scope((scope.step(role, value, names),))
                inside = Narrowing.of(described, chosen, names).rows(rows)
                kept = {id(row) for row in inside}
                outside = [row for row in rows if id(row) not in kept]
                assert inside
                both = [totals(described, part) for part in (inside, outside)]
                folds = [column.fold for column in described.columns if column.fold != "key"]
                whole = [
                    None if None in pair else (sum(pair) if fold == "sum" else max(pair))
                    for fold, pair in zip(folds, zip(*both))
                ]
                assert whole == totals(described, rows)
                checked += 1
    assert checked > 200
