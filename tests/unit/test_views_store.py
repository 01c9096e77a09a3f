"""The store: the newest of everything, and a history that stays within bounds."""

from ebpftop.model import Bye, Column, Hello, ProbeInfo, Process, Sample, Status, Table, View
from ebpftop.views import store as stores
from ebpftop.views.store import Store
from tests.ui import scenes

ROWS = Table("rows", (Column("pid", "PID", "id"),))
SLOTS = Table("slots", (Column("slot", "slot", "slot"),))
INFO = ProbeInfo(
    "biotop",
    "Block I/O",
    "block",
    "",
    (ROWS, SLOTS),
    (View("table", "rows", ""), View("heat", "slots", "")),
)
HOST = ProbeInfo("host", "Host", "host", "", (), ())
HELLO = Hello("box", "6.1", "0", 2, 1, 0, 0, (INFO, HOST))


def sample(seq, rows=1, slots=1):
    tables = {"rows": [(n,) for n in range(rows)], "slots": [(n,) for n in range(slots)]}
    return Sample("biotop", seq, seq, seq, 1, tables)


def filled(*records):
    store = Store()
    for record in (HELLO, *records):
        store.add(record)
    return store


def test_only_probes_with_views_have_a_pane():
    assert filled().probes() == (INFO,)


def test_the_newest_sample_is_whole():
    store = filled(sample(1), sample(2))
    assert store.latest("biotop").tables.keys() == {"rows", "slots"}


def test_older_samples_keep_what_is_drawn_over_time():
    store = filled(sample(1), sample(2))
    assert [s.tables.keys() for s in store.samples("biotop")] == [{"slots"}, {"rows", "slots"}]


def test_history_ends_after_so_many_samples(monkeypatch):
    monkeypatch.setattr(stores, "HISTORY_SAMPLES", 3)
    store = filled(*map(sample, range(1, 6)))
    assert [s.seq for s in store.samples("biotop")] == [3, 4, 5]


def test_history_ends_after_so_many_rows(monkeypatch):
    monkeypatch.setattr(stores, "HISTORY_ROWS", 25)
    store = filled(*(sample(seq, rows=1000, slots=10) for seq in range(1, 6)))
    assert [s.seq for s in store.samples("biotop")] == [3, 4, 5]


def test_a_sample_larger_than_the_limit_is_kept_while_it_is_the_newest(monkeypatch):
    monkeypatch.setattr(stores, "HISTORY_ROWS", 25)
    assert filled(sample(1, slots=1000)).latest("biotop").seq == 1


def test_the_host_is_kept_apart():
    host = Sample("host", 1, 0, 0, 1, {})
    store = filled(host)
    assert store.host is host
    assert store.latest("host") is None


def test_a_process_id_used_again_is_the_new_process():
    store = filled(Process(7, 1, "old"), Process(7, 2, "new"))
    assert store.processes[7].comm == store.names[7] == "new"


def test_the_process_heard_of_longest_ago_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(stores, "PROCESSES", 2)
    store = filled(Process(1, 1, "a"), Process(2, 1, "b"), Process(1, 1, "a2"), Process(3, 1, "c"))
    assert store.processes.keys() == store.names.keys() == {1, 3}


def test_a_cgroup_has_the_name_of_its_unit():
    store = filled(Process(1, 1, "a", cgroup=5, cgroup_path="/x/y.service", unit="y.service"))
    assert store.cgroups == {5: "y.service"}


def test_a_stack_that_comes_again_is_kept_once():
    table = Table("stacks", (Column("pid", "PID", "id"), Column("stack", "STACK", "stack")))
    info = ProbeInfo("p", "P", "a", "", (table,), (View("flame", "stacks", "Stacks"),))
    store = Store()
    store.add(scenes.hello((info,)))
    for seq in (1, 2):
        rows = [(1, "".join(["main;", "read"])), (None, None)]
        store.add(scenes.at("p", seq, {"stacks": rows}))
    before, latest = store.samples("p")
    assert latest.tables["stacks"] == [(1, "main;read"), (None, None)]
    assert before.tables["stacks"][0][1] is latest.tables["stacks"][0][1]


def test_compiling_counts_the_probes_that_were_started_together():
    store = filled(Status("a", "starting"), Status("b", "starting"), Status("c", "starting"))
    assert store.starting() == (1, 3)
    store.add(Status("b", "running"))
    assert store.starting() == (2, 3)


def test_a_probe_started_later_is_counted_anew():
    store = filled(Status("a", "starting"), Status("a", "running"), Status("b", "starting"))
    assert store.starting() == (1, 1)


def test_a_frozen_store_takes_no_part_in_what_comes():
    store = filled(sample(1), Process(1, 1, "a"))
    frozen = store.freeze()
    for record in (sample(2), Process(1, 2, "b"), Process(2, 1, "c")):
        store.add(record)
    assert frozen.latest("biotop").seq == 1
    assert frozen.latest("biotop").tables.keys() == {"rows", "slots"}
    assert frozen.names == {1: "a"}


def test_a_frozen_store_still_hears_how_probes_are():
    store = filled()
    frozen = store.freeze()
    store.add(Status("biotop", "failed"))
    assert frozen.state("biotop") == "failed"


def test_a_farewell_is_remembered():
    assert filled(Bye("SIGTERM")).bye == Bye("SIGTERM")
