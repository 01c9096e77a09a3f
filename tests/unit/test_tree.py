"""The tree of cgroups: what is rolled up, in which order, and what its lines are called."""

import pytest

from ebpftop.model import Column, ProbeInfo, Process, Sample, View
from ebpftop.probe import cgroup, count, key, maximum_ns, ns, pid, table
from ebpftop.views import difference, tree
from ebpftop.views import format as fmt
from ebpftop.views import table as tables
from ebpftop.views.scope import UNKNOWN, Names
from ebpftop.views.state import ViewState

SECOND = 1_000_000_000
IO = table(
    "io",
    pid(),
    cgroup(),
    key("disk", role="disk"),
    count("ios"),
    ns("lat_ns"),
    maximum_ns("max_ns"),
)
AVERAGE = Column("avg_ns", "AVG", "ns", "sum", ratio=(("lat_ns",), ("ios",)))
VIEW = View("table", "io", "I/O", ("pid", "disk", "ios", "avg_ns", "max_ns"), (AVERAGE,), "ios")
INFO = ProbeInfo("biotop", "Block I/O", "block", "", (IO,), (VIEW,))
SHAPE = tables.Shape.of(*tree.regrouped(INFO, VIEW))
ID = "c0ffee" * 10 + "abcd"
PATHS = {
    1: "/",
    10: "/system.slice/nginx.service",
    11: "/system.slice/redis.service",
    12: f"/system.slice/docker-{ID}.scope",
    20: "/user.slice/user-1000.slice/session-3.scope",
}
PEOPLE = {
    1: Process(1, 0, "init", cgroup=1, cgroup_path="/"),
    5: Process(5, 0, "node", cgroup=12, cgroup_path=PATHS[12], container="web-1", runtime="docker"),
}
NAMES = Names(PEOPLE, {i: path.rpartition("/")[2] for i, path in PATHS.items()}, PATHS)
ROWS = [
    (1, 1, "sda", 1, 10, 3),
    (2, 10, "sda", 5, 50, 30),
    (2, 10, "sdb", 5, 10, 40),
    (3, 11, "sda", 20, 100, 9),
    (4, 10, "sda", 1, 1, 1),
    (5, 12, "sda", 2, 60, 90),
    (6, 20, "sda", 4, 4, 4),
]
STRAY = (9, 99, "sda", 7, 7, 7)
OTHERS = (None, None, None, 3, 30, 50)


def sample(rows=ROWS, dt_ns=SECOND, described=IO):
    return Sample("biotop", 1, 0, 0, dt_ns, {described.name: list(rows)}, truncated={"io": 2})


def view(rows=ROWS, names=NAMES, **state):
    made = ViewState(**state)
    folded = tree.fold(sample(rows), IO, names)
    unfiltered = ViewState(made.sort, made.reverse, pinned=made.pinned)
    return tree.arranged(tables.build(SHAPE, folded, unfiltered), made, names)


def comparison(a, b, names=NAMES):
    one, other = (tree.fold(sample(rows), IO, names) for rows in (a, b))
    return tree.arranged(difference.build(SHAPE, one, other, ViewState()), ViewState(), names)


def drawn(made):
    return [made.text(row, 0).rstrip() for row in made.rows]


def figures(made, path, *columns):
    row = next(row for row in made.rows if row[0] == path)
    names = [shown.column.name for shown in made.columns]
    return [made.text(row, names.index(name)) for name in columns]


def test_each_cgroup_is_below_its_parent_and_siblings_are_in_the_order_of_the_table():
    assert drawn(view()) == [
        "▾ /",
        "  ▾ system.slice",
        "      redis.service",
        "      nginx.service",
        "      web-1 (docker)",
        "    user.slice/user-1000.slice/session-3.scope",
    ]


def test_sums_add_up_over_all_below_and_maxima_compare():
    assert figures(view(), "/system.slice", "ios", "max_ns") == ["33", "90ns"]
    assert figures(view(), "/", "ios", "max_ns") == ["38", "90ns"]


def test_an_average_is_of_the_sums():
    assert figures(view(), "/system.slice", "avg_ns") == ["6.7ns"]


def test_a_process_counts_once_whatever_its_rows():
    made = view()
    assert figures(made, PATHS[10], "processes") == ["2"]
    assert figures(made, "/system.slice", "processes") == ["4"]


def test_a_process_that_moved_counts_once_where_both_are_in():
    made = view([(2, 10, "sda", 1, 1, 1), (2, 11, "sda", 1, 1, 1)])
    assert figures(made, PATHS[10], "processes") == ["1"]
    assert drawn(made)[1] == "  ▾ system.slice"
    assert figures(made, "/system.slice", "processes") == ["1"]


def test_what_is_unknown_below_is_unknown_above():
    made = view([*ROWS, (7, 11, "sda", None, 1, 1)])
    assert figures(made, "/", "ios") == [fmt.UNKNOWN]
    assert figures(made, PATHS[10], "ios") == ["11"]


def test_rows_of_unknown_cgroups_have_a_line_of_their_own():
    made = view([*ROWS, STRAY])
    assert drawn(made)[-1] == f"  {UNKNOWN}"
    assert figures(made, UNKNOWN, "ios") == ["7"]


def test_the_others_are_in_the_total_and_in_no_line():
    made = view([*ROWS, STRAY, OTHERS])
    assert (made.others[-3:], made.folded) == ((3, 30, 50), 2)
    assert figures(made, "/", "ios") == ["38"]
    assert made.total[-3:] == (48, 272, 90)


def test_a_table_that_knows_its_processes_only_has_a_tree():
    plain = table("plain", pid(), count("n"))
    info, shown = tree.regrouped(
        ProbeInfo("x", "", "", "", (plain,), (View("table", "plain", ""),)),
        View("table", "plain", ""),
    )
    folded = tree.fold(sample([(5, 4), (77, 1)], described=plain), plain, NAMES)
    made = tables.build(tables.Shape.of(info, shown), folded, ViewState())
    made = tree.arranged(made, ViewState(), NAMES)
    assert set(drawn(made)) == {"▾ /", "    system.slice/web-1 (docker)", f"  {UNKNOWN}"}


def test_a_table_without_cgroups_and_processes_has_no_tree():
    plain = table("plain", key("disk", role="disk"), count("n"))
    info = ProbeInfo("x", "", "", "", (plain,), ())
    with pytest.raises(ValueError, match="has no cgroup"):
        tree.regrouped(info, View("table", "plain", ""))


def test_a_cgroup_with_rows_of_its_own_does_not_share_a_line():
    paths = {1: "/a", 2: "/a/b", 3: "/a/b/c/d"}
    made = view([(1, i, "sda", 1, 1, 1) for i in (1, 3)], Names({}, {}, paths))
    assert drawn(made) == ["▾ /", "  ▾ a", "      b/c/d"]


def test_the_root_shares_no_line_so_that_the_tree_stays_where_it_is():
    assert drawn(view([(2, 10, "sda", 1, 1, 1)])) == ["▾ /", "    system.slice/nginx.service"]


def test_whichever_line_a_cgroup_shares_stands_for_it():
    made = view()
    assert made.tree.stands["/user.slice"] == PATHS[20]
    assert made.tree.stands[PATHS[20]] == PATHS[20]


def test_a_collapsed_cgroup_hides_what_is_below_and_keeps_its_figures():
    made = view(collapsed=frozenset({"/system.slice"}))
    assert drawn(made)[:2] == ["▾ /", "  ▸ system.slice"]
    assert len(made.rows) == 3
    assert figures(made, "/system.slice", "ios") == ["33"]
    assert made.total == view().total


def test_a_collapsed_line_stands_for_what_it_hides():
    made = view(collapsed=frozenset({"/"}))
    assert drawn(made) == ["▸ /"]
    assert set(made.tree.stands.values()) == {"/"}


def test_a_collapsed_cgroup_shares_no_line():
    made = view(collapsed=frozenset({"/user.slice"}))
    assert drawn(made)[-1] == "  ▸ user.slice"


def test_names_order_siblings_as_they_are_shown():
    made = view(sort="cgroup")
    assert [line.split()[0] for line in drawn(made)[2:5]] == [
        "nginx.service",
        "redis.service",
        "web-1",
    ]
    assert [line.split()[0] for line in drawn(view(sort="cgroup", reverse=True))[-3:]] == [
        "web-1",
        "redis.service",
        "nginx.service",
    ]


def test_a_filter_leaves_what_matches_and_all_above_it():
    made = view(filter="nginx")
    assert drawn(made) == ["▾ /", "  ▾ system.slice", "      nginx.service"]
    assert (made.matched, made.available) == (1, 8)


def test_the_total_of_a_filtered_tree_is_of_what_matches_each_once():
    assert view(filter="nginx").total[-3:] == (11, 61, 40)
    assert view(filter="slice").total[-3:] == (37, 225, 90)


def test_a_filter_finds_a_container_by_its_name_below_collapsed_lines_too():
    made = view(filter="web-1", collapsed=frozenset({"/"}))
    assert drawn(made)[-1] == "      web-1 (docker)"


def test_a_filter_can_ask_for_figures():
    assert drawn(view(filter="ios > 15"))[-1] == "      redis.service"


def test_a_wrong_filter_shows_the_whole_tree_and_says_why():
    made = view(filter="/(/")
    assert len(made.rows) == 6
    assert made.error


def test_a_pinned_cgroup_is_first_in_its_place():
    made = view(pinned=((PATHS[20],),))
    assert drawn(made)[1].strip() == "user.slice/user-1000.slice/session-3.scope"
    assert drawn(made)[2:] == drawn(view())[1:5]


def test_a_pinned_cgroup_without_rows_keeps_its_line_and_counts_nowhere():
    gone = "/system.slice/cron.service"
    made = view(pinned=((gone,),))
    assert drawn(made)[2] == "      cron.service"
    assert figures(made, gone, "ios", "processes") == [fmt.UNKNOWN] * 2
    assert (made.total, made.available) == (view().total, view().available)


def test_a_container_is_named_where_its_cgroup_is_not_further_down():
    inner = f"{PATHS[12]}/system.slice/cron.service"
    people = {5: Process(5, 0, "cron", cgroup_path=inner, container="web-1", runtime="docker")}
    made = view([(5, 30, "sda", 1, 1, 1)], Names(people, {}, {30: inner}))
    assert drawn(made) == ["▾ /", "    system.slice/web-1 (docker)/system.slice/cron.service"]


def test_a_pod_is_named_above_its_containers():
    above = "/kubepods.slice/kubepods-pod1f2a.slice"
    paths = {i: f"{above}/cri-containerd-{i}{ID[1:]}.scope" for i in (1, 2)}
    people = {
        i: Process(
            i, 0, "x", cgroup_path=path, container=f"c{i}", runtime="containerd", pod="shop/web"
        )
        for i, path in paths.items()
    }
    made = view([(i, i, "sda", 3 - i, 1, 1) for i in paths], Names(people, {}, paths))
    assert drawn(made) == [
        "▾ /",
        "  ▾ kubepods.slice/shop/web (pod)",
        "      c1 (containerd)",
        "      c2 (containerd)",
    ]


def test_a_hostile_name_is_plain_text():
    made = view([(1, 7, "sda", 1, 1, 1)], Names({}, {}, {7: "/a\x1b[31m"}))
    assert drawn(made)[1] == "    a·[31m"


def test_cgroups_may_be_nested_deeper_than_the_stack():
    path = "/a" * 1500
    rows = [(1, i, "sda", 1, 1, 1) for i in range(1, 1500)]
    names = Names({}, {}, {i: path[: 2 * i] for i in range(1, 1500)})
    assert len(view(rows, names).rows) == 1500


def test_a_comparison_rolls_up_each_side():
    made = comparison(ROWS, [*ROWS, (8, 11, "sda", 10, 5, 5)])
    assert figures(made, "/", "ios") == figures(made, PATHS[11], "ios") == ["+10"]
    assert figures(made, "/", "processes") == ["+1"]
    assert made.text(made.total, 2) == "+10"


def test_in_a_comparison_a_cgroup_that_one_side_has_counts_as_nothing_on_the_other():
    made = comparison(ROWS[:5], ROWS)
    assert figures(made, PATHS[20], "ios") == ["+4"]
    assert figures(made, "/", "ios") == ["+6"]


def test_in_a_comparison_a_cgroup_with_rows_of_its_own_on_one_side_has_a_line():
    names = Names({}, {}, {1: "/a", 2: "/a/b"})
    below = [(2, 2, "sda", 1, 1, 1)]
    made = comparison([(1, 1, "sda", 9, 9, 9), *below], below, names)
    assert drawn(made) == ["▾ /", "  ▾ a", "      b"]
