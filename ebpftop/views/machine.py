"""The figures of the header line: the host, and what ebpftop itself costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.views.store import HOST

if TYPE_CHECKING:
    from ebpftop.views.store import Store


@dataclass(frozen=True)
class Machine:
    """What is known of the host; None where it is not.

    Attributes:
        clock_ns: UTC at the end of the newest interval.
        cpu: share of all CPUs that was busy; `cpus` of each one.
        own: CPU time of the collector and of the BPF programs, as a share of one core.
        own_complete: False where the kernel keeps no statistics of BPF programs, so that `own`
            is the least that it can be.
    """

    host: str = ""
    kernel: str = ""
    clock_ns: int | None = None
    cpu: float | None = None
    cpus: tuple[float, ...] = ()
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None
    load1: float | None = None
    own: float | None = None
    own_complete: bool = True


def machine(store: Store) -> Machine:
    """The header's figures, from the newest sample of the host and of each running probe."""
    hello, sample = store.hello, store.host
    if hello is None:
        return Machine()
    if sample is None:
        return Machine(hello.host, hello.kernel, hello.wall_ns)
    row = _host_row(store)
    cpus = sample.tables.get("cpus", ())
    collector_ns = row.get("collector_cpu_ns")
    bpf, complete = bpf_share(store)
    own = None
    if collector_ns is not None and sample.dt_ns > 0:
        own = collector_ns / sample.dt_ns + bpf
    return Machine(
        hello.host,
        hello.kernel,
        sample.wall_ns,
        row.get("cpu"),
        tuple(busy for _, busy in cpus),
        row.get("memory_bytes"),
        row.get("memory_total_bytes"),
        row.get("load1"),
        own,
        complete,
    )


def bpf_share(store: Store) -> tuple[float, bool]:
    """Share of one core that the attached programs take, and whether that is all of it."""
    share, complete = 0.0, True
    for probe in store.probes():
        sample = store.latest(probe.name)
        if sample is None or store.state(probe.name) not in ("running", "degraded"):
            continue
        if sample.cost.run_ns is None:
            complete = False
        elif sample.dt_ns > 0:
            share += sample.cost.run_ns / sample.dt_ns
    return share, complete


def _host_row(store: Store) -> dict[str, Any]:
    assert store.hello is not None
    assert store.host is not None
    info = store.hello.probe(HOST)
    rows = store.host.tables.get(HOST)
    if info is None or not rows:
        return {}
    return dict(zip((column.name for column in info.table(HOST).columns), rows[0]))
