"""The page of a process, or of a group of them: what each probe says of it."""

import random
from dataclasses import replace

import pytest

from ebpftop.model import Status
from ebpftop.views import format as fmt
from ebpftop.views import table as tables
from ebpftop.views.digest import GAP, TOP, Plan, endpoints, reason, widths
from ebpftop.views.page import Profile
from ebpftop.views.scope import Names, Scope, narrowed, step
from ebpftop.views.state import ViewState
from ebpftop.views.store import Store
from ebpftop.views.trail import Trail
from tests import story
from tests.unit.pages import PROBES, WALL_NS, S, page, process, rows, sample, section, stream

pytestmark = pytest.mark.usefixtures("utc")


# The sections


def test_every_probe_of_the_stream_has_a_section():
    assert [each.probe for each in page(stream()).sections] == list(PROBES)


def test_the_top_three_rows_lack_what_the_page_says():
    io = [{"pid": 812, "disk": f"sd{n}", "op": "read", "ios": 1, "bytes": n} for n in range(6)]
    io.append({"pid": 7, "disk": "sdz", "op": "read", "bytes": 99})
    (table,) = section(page(stream(sample("biotop", io=io))), "biotop").tables
    assert [shown.column.name for shown in table.columns][:3] == ["disk", "op", "ios"]
    assert [row[0] for row in table.rows] == ["sd5", "sd4", "sd3"]
    assert table.number == 6


def test_a_group_tells_whose_its_rows_are():
    known = process(812, "nginx", cgroup=5, cgroup_path="/a")
    io = [{"pid": 812, "cgroup": 5, "disk": "vda", "op": "read", "ios": 1}]
    made = page(stream(known, sample("biotop", io=io)), "cgroup", "/a")
    (table,) = section(made, "biotop").tables
    assert table.rows[0][:3] == ("nginx[812]", "vda", "read")


def test_threads_in_one_stack_are_one_row():
    stacks = [
        {"pid": 812, "tid": tid, "stack": "main;work", "blocked_ns": tid * 1000, "max_ns": tid}
        for tid in (1, 2)
    ]
    (table,) = section(page(stream(sample("offcputime", stacks=stacks))), "offcputime").tables
    titles = [shown.column.name for shown in table.columns]
    (row,) = table.rows
    assert dict(zip(titles, row))["stack"] == "work ← main"
    assert dict(zip(titles, row))["blocked_ns"] == "3.00µs"
    assert dict(zip(titles, row))["max_ns"] == "2ns"


def test_threads_are_counted_from_all_tables():
    stacks = [{"pid": 812, "tid": tid, "stack": "main"} for tid in (812, 813)]
    calls = [{"pid": 812, "tid": 814, "syscall": "read", "age_ns": 5}]
    made = page(stream(sample("offcputime", stacks=stacks), sample("syscount", inflight=calls)))
    assert made.facts[-1].text == "3 seen: 812 813 814"


def test_one_row_without_keys_is_told_as_figures():
    made = page(stream(sample("cachestat", access=[{"pid": 812, "hits": 30, "misses": 10}])))
    (table,) = section(made, "cachestat").tables
    assert not table.keyed
    assert dict(table.figures)["HIT"] == "75.0%"


def test_errors_are_told_by_call_and_name():
    errors = [{"pid": 812, "syscall": "openat", "errno": "ENOENT", "count": 7}]
    _, failed, _ = section(page(stream(sample("syscount", errors=errors))), "syscount").tables
    assert failed.rows == (("openat", "ENOENT", "7"),)


def test_a_connection_is_told_by_the_service_at_either_end():
    pairs = [("10.0.0.7", 5432, 40_000 + n) for n in range(3)]
    pairs += [(f"10.0.0.{n}", 50_000 + n, 80) for n in range(3)]
    made = rows(
        "tcptop",
        "connections",
        *({"raddr": raddr, "rport": rport, "lport": lport} for raddr, rport, lport in pairs),
        {"raddr": "::1", "rport": 5432, "lport": 1},
    )
    assert endpoints(PROBES["tcptop"].table("connections"), made) == [
        *["10.0.0.7:5432"] * 3,
        *(f"10.0.0.{n} → :80" for n in range(3)),
        "[::1]:5432",
    ]


def test_connections_to_one_service_are_one_row():
    made = [
        {"pid": 812, "raddr": "10.0.0.7", "rport": 5432, "lport": n, "rx_bytes": 100}
        for n in range(5)
    ]
    (table,) = section(page(stream(sample("tcptop", connections=made))), "tcptop").tables
    assert table.rows[0][:2] == ("10.0.0.7:5432", "500")


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("main;read_[k];io_schedule_[k];schedule_[k];__schedule_[k]", "io_schedule ← read ← main"),
        ("main;preempt_schedule_[k]", "main"),
        ("schedule_[k]", "schedule"),
        ("", fmt.UNKNOWN),
        (None, fmt.UNKNOWN),
    ],
)
def test_a_stack_is_told_from_the_frame_on_that_says_why(stack, said):
    assert reason(stack) == said


@pytest.mark.parametrize("role", ["pid", "cgroup"])
def test_figures_are_those_of_the_pane(demo, role):
    pid, first, last = demo.lived("postgres")
    store = demo.at((first + last) // 2)
    known = Names.of(store)
    value = pid if role == "pid" else known.processes[pid].cgroup_path
    scope = Scope((step(role, value, known),))
    compared = 0
    for info in store.probes():
        for view in (view for view in info.views if view.kind == "table"):
            plan = Plan.of(info, view, scope)
            inside = narrowed(store.latest(info.name), info, scope, known)
            made = plan.digest(inside, known)
            shape = tables.Shape.of(info, view)
            pane = tables.build(shape, inside, ViewState(), known.processes, known.cgroups)
            if not plan.folds:
                assert made.number == len(pane.rows)
                figures = [i for i, c in enumerate(pane.columns) if c.measured]
                top = [[pane.text(row, i) for i in figures] for row in pane.rows[:TOP]]
                mine = [i for i, c in enumerate(made.columns) if c.measured]
                assert [[row[i] for i in mine] for row in made.rows] == top
                compared += len(top)
            totals = dict(made.figures)
            for i, shown in enumerate(pane.columns):
                if shown.measured and pane.rows:
                    assert totals[shown.column.title] == pane.text(pane.total, i)
                    compared += 1
    assert compared > 20


def test_a_probe_that_failed_says_why():
    store = stream(Status("biotop", "failed", reason="no such tracepoint"))
    found = section(page(store), "biotop")
    assert (found.note, found.is_blank) == ("no such tracepoint", True)


def test_a_probe_that_does_not_run_says_so():
    found = section(page(stream(Status("biotop", "idle"))), "biotop")
    assert (found.note, found.text) == ("not running", fmt.UNKNOWN)


def test_rows_of_an_earlier_time_are_not_shown_as_those_of_now():
    io = [{"pid": 812, "disk": "vda", "op": "read", "ios": 1}]
    store = stream(sample("biotop", 1, io=io), sample("cachestat", 9))
    found = section(page(store), "biotop")
    assert (found.is_blank, found.note) == (True, "last measured 14:13:21")


def test_what_was_lost_is_said():
    found = section(page(stream(replace(sample("biotop"), lost={"rows": 12}))), "biotop")
    assert (found.note, found.is_warning) == ("lost 12", True)


def test_what_the_kernel_counted_of_another_is_not_taken_for_nothing():
    found = section(page(stream(replace(sample("biotop"), scope={"pid": 7}))), "biotop")
    assert (found.note, found.is_blank, found.main.values) == ("was counted for less", True, ())


# While it is there, and afterwards


def test_who_exited_still_has_a_page(demo):
    pid, _, last = demo.lived("backup")
    store = demo.at(last + 20)
    profile = Profile(step("pid", pid, Names.of(store)))
    for record in demo.tape.records(last - 30, last + 20):
        profile.learn(record)
    made = profile.page(store)
    assert made.title == f"backup[{pid}]"
    assert made.presence.startswith("not seen since ")
    assert any("/backup" in fact.text for fact in made.facts)
    assert max(filter(None, section(made, "biotop").main.values)) > 1e6


def test_who_it_was_is_kept_where_a_moment_does_not_tell_it(demo):
    pid, first, last = demo.lived("backup")
    store = demo.at((first + last) // 2)
    profile = Profile(step("pid", pid, Names.of(store)))
    before = profile.page(store)
    assert before.presence == ""
    after = profile.page(demo.at(first - 20))
    assert after.facts[0] == before.facts[0]
    assert after.presence == "not seen in what was measured"


def test_another_collector_knows_nothing_of_this_one(demo):
    profile = Profile(step("pid", 1, Names()))
    for tick in (5, 6, 60):
        before = profile.page(demo.at(tick))
    profile.page(stream(mono_ns=7))
    after = profile.page(demo.at(60))
    assert len(section(before, "biotop").main.values) > 50
    assert len(section(after, "biotop").main.values) == 1


# Courses


def trail_of(*samples, pid=812):
    trail = Trail(Scope((step("pid", pid, Names()),)))
    for each in samples:
        trail.add(PROBES[each.probe], each, Names())
    return trail


def io(seq, number, **changes):
    made = [{"pid": 812, "disk": "vda", "op": "read", "bytes": number}] if number else []
    return replace(sample("biotop", seq, io=made), **changes)


def test_a_course_has_a_figure_an_interval():
    assert trail_of(io(1, 5), io(2, 0), io(3, 7)).values("biotop", 3 * S, 9) == (5, 0, 7)


def test_a_course_may_be_told_in_any_order_and_twice():
    trail = trail_of(io(3, 7), io(1, 5), io(2, 6), io(1, 5))
    assert trail.values("biotop", 3 * S, 9) == (5, 6, 7)


def test_a_course_ends_at_the_moment_and_has_the_newest_figures():
    trail = trail_of(*(io(seq, seq) for seq in range(1, 9)))
    assert trail.values("biotop", 6 * S, 3) == (4, 5, 6)


def test_intervals_that_were_not_measured_are_unknown():
    trail = trail_of(io(1, 5), io(4, 7))
    assert trail.values("biotop", 6 * S, 9) == (5, None, None, 7, None, None)


def test_what_may_be_among_the_others_is_unknown():
    trail = trail_of(io(1, 0, truncated={"io": 9}), io(2, 5, truncated={"io": 9}))
    assert trail.values("biotop", 2 * S, 9) == (None, 5)


def test_rows_that_were_forgotten_are_not_nothing():
    trail = trail_of(io(1, 5, tables={"latency": []}), io(2, 6))
    assert trail.values("biotop", 2 * S, 9) == (6,)


def test_the_last_that_was_seen_is_known():
    trail = trail_of(io(1, 5), io(2, 5), io(3, 0))
    assert trail.last_seen(3 * S) == WALL_NS + 2 * S
    assert trail.last_seen(1 * S) == WALL_NS + 1 * S
    assert trail.last_seen(0) is None


# Columns


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("seed", range(5))
def test_columns_fit_their_room(probe, seed):
    rng = random.Random(seed)
    for view in (view for view in PROBES[probe].views if view.kind == "table"):
        digest = Plan.of(PROBES[probe], view, Scope((step("user", "web", Names()),))).empty()
        texts = tuple("x" * rng.randrange(40) for _ in digest.columns)
        digest = replace(digest, rows=(texts,))
        for room in range(1, 160):
            cells = [each for each in widths(digest, room) if each]
            assert sum(cells) + GAP * (len(cells) - 1) <= room
            if room >= 80:
                assert widths(digest, room)[digest.sort]


class Demo:
    """The demo recording, and the store of any of its moments."""

    def __init__(self, tape):
        self.tape = tape

    def at(self, tick):
        store = Store()
        for record in self.tape.records(tick, tick):
            store.add(record)
        return store

    def lived(self, comm):
        return story.lived(self.tape, comm)


@pytest.fixture
def demo():
    tape = story.demo()
    yield Demo(tape)
    tape.close()
