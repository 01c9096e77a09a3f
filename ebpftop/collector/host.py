"""Figures of the host itself, from psutil, as a probe of the stream that needs no BPF."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from ebpftop.model import Column, ProbeInfo, Row
from ebpftop.probe import bytes_, count, gauge, key, ns, table

NAME = "host"

HOST = table(
    "host",
    gauge(Column("cpu", "CPU", "ratio", "sum", help="share of all CPUs that was not idle")),
    gauge(bytes_("memory_bytes", "memory", rate=False, help="total less available")),
    gauge(bytes_("memory_total_bytes", "memory total", rate=False)),
    gauge(bytes_("swap_bytes", "swap", rate=False)),
    gauge(bytes_("swap_total_bytes", "swap total", rate=False)),
    gauge(Column("load1", "load 1m", "label", "sum")),
    gauge(Column("load5", "load 5m", "label", "sum")),
    gauge(Column("load15", "load 15m", "label", "sum")),
    gauge(count("processes", "processes", rate=False)),
    gauge(count("uptime_s", "uptime", rate=False)),
    ns("collector_cpu_ns", "collector CPU", rate=True),
    gauge(bytes_("collector_rss_bytes", "collector memory", rate=False)),
)
CPUS = table("cpus", key("cpu", "CPU", "id", "cpu"), gauge(Column("busy", "busy", "ratio", "sum")))

INFO = ProbeInfo(NAME, "Host", "host", "CPU, memory and load of the host", (HOST, CPUS), ())


class Host:
    """Reads the host's figures; CPU shares are since the last read."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._boot_s = psutil.boot_time()
        self._self_ns = _self_cpu_ns()
        psutil.cpu_percent(percpu=True)

    def read(self, wall_ns: int) -> dict[str, list[Row]]:
        """Rows of the tables `host` and `cpus`."""
        psutil = self._psutil
        busy = [value / 100 for value in psutil.cpu_percent(percpu=True)]
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        self_ns = _self_cpu_ns()
        row = (
            round(sum(busy) / max(1, len(busy)), 4),
            memory.total - memory.available,
            memory.total,
            swap.used,
            swap.total,
            *(round(load, 2) for load in os.getloadavg()),
            _processes(),
            int(wall_ns / 1e9 - self._boot_s),
            self_ns - self._self_ns,
            _rss_bytes(),
        )
        self._self_ns = self_ns
        return {"host": [row], "cpus": list(enumerate(busy))}


def _self_cpu_ns() -> int:
    """CPU time of the collector, its loader children and its helpers that have ended."""
    used = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        used += usage.ru_utime + usage.ru_stime
    return int(used * 1e9)


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _processes() -> int:
    return sum(1 for name in os.listdir("/proc") if name.isdigit())
