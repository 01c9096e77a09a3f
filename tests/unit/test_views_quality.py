"""The line of quality and the figures of the header."""

from ebpftop.model import Column, Cost, Hello, ProbeInfo, Sample, Status, Table, View
from ebpftop.views.machine import bpf_share, machine
from ebpftop.views.quality import Part, hooks, quality
from ebpftop.views.store import Store

SECOND = 1_000_000_000
RUNNING = Status("biotop", "running", ("raw_tp:block_io_start", "raw_tp:block_rq_issue"))
HOST = ProbeInfo(
    "host",
    "Host",
    "host",
    "",
    (
        Table(
            "host",
            (Column("cpu", "", "ratio", "sum"), Column("collector_cpu_ns", "", "ns", "sum")),
        ),
    ),
    (),
)
BIOTOP = ProbeInfo("biotop", "", "block", "", (Table("t", ()),), (View("table", "t", ""),))


def sample(**changes):
    return Sample("biotop", 1, 0, 0, **{"dt_ns": SECOND, "tables": {}, **changes})


def texts(status, sample, level=None):
    parts = quality(status, sample, SECOND)
    return [part.text for part in parts if level is None or part.level == level]


def test_it_tells_rate_cost_per_event_and_share_of_a_core():
    parts = texts(RUNNING, sample(cost=Cost(40_000, 10_000_000)))
    assert parts[:3] == ["40.0k events/s", "250ns/event", "1.0% of a core"]


def test_no_events_have_no_cost_per_event():
    assert "–/event" in texts(RUNNING, sample(cost=Cost(0, 0)))  # noqa: RUF001


def test_without_statistics_the_cost_is_unknown_not_zero():
    assert texts(RUNNING, sample())[0].startswith("cost unknown")


def test_losses_come_first_with_their_reasons():
    parts = quality(RUNNING, sample(lost={"rows beyond 16384": 12}), SECOND)
    assert parts[0] == Part("lost 12: rows beyond 16384", "warning")


def test_nothing_lost_is_said_and_is_no_warning():
    assert "nothing lost" in texts(RUNNING, sample(lost={"rows": 0}), level="plain")


def test_a_stretched_interval_is_said():
    assert texts(RUNNING, sample(dt_ns=1_600_000_000), level="warning") == [
        "interval 1.60s instead of 1.00s"
    ]


def test_a_late_read_within_reason_is_not():
    assert texts(RUNNING, sample(dt_ns=1_100_000_000), level="warning") == []


def test_folded_rows_are_counted():
    assert "300 rows folded into others" in texts(RUNNING, sample(truncated={"a": 100, "b": 200}))


def test_a_degraded_probe_says_what_is_not_seen():
    status = Status("biotop", "degraded", (), "discards are not seen")
    assert texts(status, None) == ["degraded: discards are not seen"]


def test_hooks_are_grouped_by_kind():
    assert hooks((*RUNNING.hooks, "perf:cpu-clock@99")) == (
        "raw_tp: block_io_start, block_rq_issue  perf: cpu-clock@99"
    )


def store(*records):
    made = Store()
    made.add(Hello("box", "6.1", "0", 2, SECOND, 5, 0, (BIOTOP, HOST)))
    for record in records:
        made.add(record)
    return made


def host():
    return Sample("host", 1, 77, 0, SECOND, {"host": [(0.25, 20_000_000)]})


def test_before_the_first_record_nothing_is_known():
    assert machine(Store()).cpu is None


def test_the_header_takes_figures_by_name():
    made = machine(store(host()))
    assert (made.host, made.cpu, made.clock_ns, made.load1) == ("box", 0.25, 77, None)


def test_own_cost_is_the_collectors_and_that_of_running_programs():
    made = machine(store(host(), RUNNING, sample(cost=Cost(10, 30_000_000))))
    assert (made.own, made.own_complete) == (0.05, True)


def test_a_probe_that_stopped_costs_nothing():
    stopped = store(RUNNING, sample(cost=Cost(10, 30_000_000)), Status("biotop", "idle"))
    assert bpf_share(stopped) == (0.0, True)


def test_own_cost_without_statistics_is_known_to_be_incomplete():
    assert not machine(store(host(), RUNNING, sample())).own_complete
