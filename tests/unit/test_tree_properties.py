"""What holds for any tree of cgroups: totals stay, nothing counts twice, each cgroup has a line."""

import random

import pytest

from ebpftop.commands.demo import RECORDING
from ebpftop.recording.reader import Recording
from ebpftop.views import group, tree
from ebpftop.views import table as tables
from ebpftop.views.scope import UNKNOWN, Names
from ebpftop.views.state import ViewState
from ebpftop.views.store import Store
from tests.unit.test_tree import INFO, IO, OTHERS, VIEW, sample, view


def cases():
    for seed in range(30):
        rng = random.Random(seed)
        parts = "abcd"[: rng.randrange(1, 5)]
        paths = {
            i: "/" + "/".join(rng.choice(parts) for _ in range(rng.randrange(5)))
            for i in range(rng.randrange(1, 40))
        }
        rows = {
            (rng.randrange(1, 30), rng.randrange(50), rng.choice("xyz")): tuple(
                rng.choice((0, 1, rng.randrange(1000))) for _ in range(3)
            )
            for _ in range(rng.randrange(1, 150))
        }
        made = [(*key, *figures) for key, figures in rows.items()]
        yield pytest.param(
            seed, [*made, OTHERS][: None if seed % 2 else -1], Names({}, {}, paths), id=str(seed)
        )


any_tree = pytest.mark.parametrize(("seed", "rows", "names"), list(cases()))


@any_tree
def test_the_total_is_that_of_the_ungrouped_table(seed, rows, names):
    plain = tables.build(tables.Shape.of(INFO, VIEW), sample(rows), ViewState())
    made = view(rows, names, collapsed=some(seed, names))
    assert made.total[-3:] == plain.total[-3:]
    assert made.available == len({p for path in known(rows, names) for p in above(path)})


@any_tree
def test_the_topmost_lines_and_the_others_are_the_total(seed, rows, names):
    made = view(rows, names, collapsed=some(seed, names))
    roots = [row for row in made.rows if not made.tree.lines[row[0]].above]
    assert made.as_one(roots, made.others)[tree.OWN + 1 :] == made.total[tree.OWN + 1 :]


@any_tree
def test_no_line_is_more_than_the_one_above(seed, rows, names):
    made = view(rows, names, collapsed=some(seed, names))
    by_path = {row[0]: row for row in made.rows}
    for path, line in made.tree.lines.items():
        if line.above:
            assert all(a >= b for a, b in zip(by_path[line.above][2:], by_path[path][2:]))


@any_tree
def test_the_lines_below_one_and_its_own_rows_are_all_of_it(seed, rows, names):
    made = view(rows, names)
    folded = group.fold(sample(rows), IO, "cgroup", names).tables["io"]
    own = {path: figures for path, _, *figures in folded}
    for row in made.rows:
        inside = [r for r in made.rows if made.tree.lines[r[0]].above == row[0]]
        parts = [own.get(row[0], (0, 0, 0)), *(part[-3:] for part in inside)]
        ios, lat_ns, max_ns = zip(*parts)
        assert row[-3:] == (sum(ios), sum(lat_ns), max(max_ns))


@any_tree
def test_siblings_are_ordered_by_the_sorted_column(seed, rows, names):
    made = view(rows, names, sort="max_ns")
    lines = made.tree.lines
    for above in {line.above for line in lines.values()}:
        values = [row[-1] for row in made.rows if lines[row[0]].above == above]
        assert values == sorted(values, reverse=True)


@any_tree
def test_every_cgroup_has_one_line_that_stands_for_it(seed, rows, names):
    made = view(rows, names, collapsed=some(seed, names))
    assert made.tree.stands.keys() == {p for path in known(rows, names) for p in above(path)}
    assert list(made.tree.lines) == [row[0] for row in made.rows]
    assert set(made.tree.stands.values()) == set(made.tree.lines)


def test_the_totals_of_a_real_recording_stay_on_every_pane():
    tape = Recording(str(RECORDING))
    checked = set()
    for tick in range(10, len(tape.overview), 100):
        store = Store()
        for record in tape.records(tick, tick):
            store.add(record)
        for info in store.probes():
            newest = store.latest(info.name)
            for shown in info.views:
                described = info.table(shown.table)
                if shown.kind == "table" and newest and "cgroup" in group.groupings(described):
                    plain = tables.build(tables.Shape.of(info, shown), newest, ViewState())
                    shape = tables.Shape.of(*tree.regrouped(info, shown))
                    folded = tree.fold(newest, described, Names.of(store))
                    made = tables.build(shape, folded, ViewState())
                    made = tree.arranged(made, ViewState(), Names.of(store))
                    figures = sum(column.fold != "key" for column in described.columns)
                    assert made.total[-figures:] == plain.total[-figures:]
                    checked.add((info.name, shown.table))
    tape.close()
    assert len({probe for probe, _ in checked}) == 6


def some(seed, names):
    """A third of the cgroups."""
    paths = sorted({p for path in names.paths.values() for p in above(path)})
    return frozenset(random.Random(seed).sample(paths, len(paths) // 3))


def known(rows, names):
    return {names.paths.get(row[1]) or UNKNOWN for row in rows if row[0] is not None}


def above(path):
    parts = path.split("/")
    if parts[0]:
        return {path}
    return {path, *("/".join(parts[:end]) or "/" for end in range(1, len(parts)))}
