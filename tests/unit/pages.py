"""Streams made by hand, with rows of the real probes, for the tests of pages."""

from dataclasses import replace

from ebpftop import registry
from ebpftop.model import Hello, Process, Row, Sample, Status
from ebpftop.views.page import Profile
from ebpftop.views.scope import Names, step
from ebpftop.views.store import Store

S = 1_000_000_000
WALL_NS = 1_790_000_000 * S  # 2026-09-21 14:13:20 UTC
PROBES = {name: probe.info for name, probe in registry.probes().items()}


def process(pid, comm="worker", ppid=1, **fields):
    made = Process(pid, pid * S, comm, ppid, 1000, "web", "/usr/bin/worker", "/usr/bin/worker -n 4")
    return replace(made, **fields)


def names(*processes):
    return Names(
        {each.pid: each for each in processes},
        {each.cgroup: each.unit for each in processes},
        {each.cgroup: each.cgroup_path for each in processes},
    )


def rows(probe, table, *made):
    """Rows with the columns that are named; keys are None else, and figures 0."""
    columns = PROBES[probe].table(table).columns
    blank = [None if column.fold == "key" else 0 for column in columns]
    return [
        tuple(row.get(c.name, empty) for c, empty in zip(columns, blank))
        for row in ([made] if isinstance(made, dict) else made)
    ]


def sample(probe, seq=1, **made):
    at_ns = seq * S
    filled: dict[str, list[Row]] = {table.name: [] for table in PROBES[probe].tables}
    filled |= {name: rows(probe, name, *each) for name, each in made.items()}
    return Sample(probe, seq, WALL_NS + at_ns, at_ns, S, filled)


def stream(*records, **hello):
    fields = {"mono_ns": 0, "probes": tuple(PROBES.values()), **hello}
    store = Store()
    store.add(Hello("box", "6.18", "boot", 4, S, WALL_NS, **fields))
    for name in PROBES:
        store.add(Status(name, "running"))
    for record in records:
        store.add(record)
    return store


def page(store, role="pid", value=812):
    return Profile(step(role, value, Names.of(store))).page(store)


def section(page, probe):
    return next(each for each in page.sections if each.probe == probe)
