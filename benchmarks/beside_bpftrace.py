"""ebpftop beside bpftrace, on one machine in one run: figures, cost per event, start-up, memory.

    sudo /usr/bin/python3 benchmarks/beside_bpftrace.py [--runs 5] [--starts 10] [PROBE …]

Figures and cost: a known load runs under our probe alone, under the bpftrace script of the same
aggregation (bpftrace/*.bt) alone, and under both at once, in turns. Costs are the kernel's
run-time statistics of all programs of each side, over the events of the load; what the rest of
the machine does meanwhile is in both. Start-up: from the start of the process to the moment when
all probes run, against a bpftrace for each probe, all started at once: once with the scripts of
the same aggregation, once with one-liners that do no more than count on the same tracepoints.
Loads are bounded and stay on this machine. Nothing is asserted; tables are Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.tools import Bpftrace, Ours, cost_of, resident_mb  # noqa: E402
from ebpftop import registry  # noqa: E402
from ebpftop.collector import bpf  # noqa: E402
from ebpftop.paths import HEADERS  # noqa: E402
from ebpftop.syscalls import call_name, error_name  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPTS = Path(__file__).with_name("bpftrace")
EVENTS = Path("/sys/kernel/tracing/events")
BCC_TOOL = """
from bcc import BPF
import time
b = BPF(text='''BPF_HASH(calls, u32);
RAW_TRACEPOINT_PROBE(sys_enter) {
  calls.atomic_increment(bpf_get_current_pid_tgid() >> 32);
  return 0;
}''')
print("ready", flush=True)
time.sleep(60)
"""
Figures = Counter[str]


# Loads: each runs in a process of its own and does exactly what its truth says.

READS, ROUNDS, CALLS, FAILURES = 3000, 30_000, 150_000, 1000
NO_FILE = 1 << 20


def read_disk() -> None:
    """Direct reads of 4 KiB, each of another place."""
    with tempfile.NamedTemporaryFile(dir=ROOT) as file, mmap.mmap(-1, 4096) as page:
        file.write(os.urandom(READS * 4096))
        file.flush()
        os.fsync(file.fileno())
        fd = os.open(file.name, os.O_RDONLY | os.O_DIRECT)
        for number in range(READS):
            os.preadv(fd, [page], (number * 7919 % READS) * 4096)
        os.close(fd)


def talk() -> None:
    """100 bytes at a time through a connection to itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        for _ in range(ROUNDS):
            client.send(bytes(100))
            server.recv(200)


def call() -> None:
    """System calls that do next to nothing, some of which fail."""
    for _ in range(CALLS):
        os.getppid()
    for _ in range(FAILURES):
        with contextlib.suppress(OSError):
            os.fchdir(NO_FILE)


def run(load: Callable[[], None]) -> int:
    """Run a load to its end; returns its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            load()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1] != 0:
        raise RuntimeError(f"{load.__name__} failed")
    return pid


def read_ours(ours: Ours, pid: int) -> Figures:
    """Reads as biotop tells them."""
    figures = Figures()
    for row in ours.rows("biotop", "io"):
        if row["pid"] == pid and row["op"] == "read":
            figures.update(IOs=row["ios"], bytes=row["bytes"])
    return figures


def read_theirs(theirs: Bpftrace, pid: int) -> Figures:
    """Reads as biotop.bt tells them."""
    figures = Figures()
    for key, value in theirs.of(pid, "@io"):
        if key[-1].startswith("R"):
            figures.update(IOs=value["count"], bytes=value["total"])
    return figures


def talk_ours(ours: Ours, pid: int) -> Figures:
    """Traffic as tcptop tells it."""
    figures = Figures()
    for row in ours.rows("tcptop", "connections"):
        if row["pid"] == pid:
            figures.update({"sends": row["tx_calls"], "sent": row["tx_bytes"]})
            figures.update({"receives": row["rx_calls"], "received": row["rx_bytes"]})
    return figures


def talk_theirs(theirs: Bpftrace, pid: int) -> Figures:
    """Traffic as tcptop.bt tells it."""
    figures = Figures()
    for _, value in theirs.of(pid, "@tx"):
        figures.update({"sends": value["count"], "sent": value["total"]})
    for _, value in theirs.of(pid, "@rx"):
        figures.update({"receives": value["count"], "received": value["total"]})
    return figures


def call_ours(ours: Ours, pid: int) -> Figures:
    """Calls as syscount tells them."""
    figures = Figures()
    for row in ours.rows("syscount", "calls"):
        if row["pid"] == pid and row["syscall"] in ("getppid", "fchdir"):
            figures[row["syscall"]] += row["count"]
    for row in ours.rows("syscount", "errors"):
        if row["pid"] == pid and row["syscall"] == "fchdir":
            figures[row["errno"]] += row["count"]
    return figures


def call_theirs(theirs: Bpftrace, pid: int) -> Figures:
    """Calls as syscount.bt tells them."""
    figures = Figures()
    for key, value in theirs.of(pid, "@calls"):
        name = call_name(platform.machine(), "native", int(key[-1]))
        if name in ("getppid", "fchdir"):
            figures[name] += value["count"]
    for key, value in theirs.of(pid, "@errors"):
        if call_name(platform.machine(), "native", int(key[1])) == "fchdir":
            figures[error_name(int(key[2]))] += value
    return figures


@dataclass(frozen=True)
class Comparison:
    """A load, what is true of it, and how to read both sides' figures of its process."""

    load: Callable[[], None]
    events: int
    event: str
    truth: dict[str, int]
    ours: Callable[[Ours, int], Figures]
    theirs: Callable[[Bpftrace, int], Figures]


COMPARISONS = {
    "biotop": Comparison(
        read_disk, READS, "IO", {"IOs": READS, "bytes": READS * 4096}, read_ours, read_theirs
    ),
    "tcptop": Comparison(
        talk,
        2 * ROUNDS,
        "send or receive",
        {"sends": ROUNDS, "sent": 100 * ROUNDS, "receives": ROUNDS, "received": 100 * ROUNDS},
        talk_ours,
        talk_theirs,
    ),
    "syscount": Comparison(
        call,
        CALLS + FAILURES,
        "call",
        {"getppid": CALLS, "fchdir": FAILURES, "EBADF": FAILURES},
        call_ours,
        call_theirs,
    ),
}


@dataclass
class Results:
    """What the runs of one comparison gave: ns per event, and whose figures were the truth."""

    alone: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "bpftrace": []})
    both: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "bpftrace": []})
    figures: dict[str, list[Figures]] = field(default_factory=lambda: {"ours": [], "bpftrace": []})


def measure(name: str, sides: tuple[str, ...], results: Results) -> None:
    """One run of a probe's load under the given sides, attached in that order."""
    comparison = COMPARISONS[name]
    tools: dict[str, Ours | Bpftrace] = {}
    with contextlib.ExitStack() as stack:
        for side in sides:
            tool = Ours(name) if side == "ours" else Bpftrace(str(SCRIPTS / f"{name}.bt"))
            stack.callback(tool.stop)
            tool.wait()
            tools[side] = tool
        before = {side: cost_of(tool.pid) for side, tool in tools.items()}
        pid = run(comparison.load)
        costs = {side: cost_of(tool.pid) - before[side] for side, tool in tools.items()}
        if isinstance(ours := tools.get("ours"), Ours):
            ours.settle()
    for side, tool in tools.items():
        where = results.alone if len(sides) == 1 else results.both
        where[side].append(costs[side].run_ns / comparison.events)
        if isinstance(tool, Ours):
            results.figures[side].append(comparison.ours(tool, pid))
        else:
            results.figures[side].append(comparison.theirs(tool, pid))


def compare(names: list[str], runs: int) -> None:
    """Print figures and costs of probes beside bpftrace's."""
    every: dict[str, Results] = {}
    for name in names:
        results = every[name] = Results()
        for number in range(runs):
            both = ("ours", "bpftrace") if number % 2 else ("bpftrace", "ours")
            for sides in (("ours",), ("bpftrace",), both):
                measure(name, sides, results)
                print(".", end="", file=sys.stderr, flush=True)
    print("\n| probe | figure | truth | ebpftop | bpftrace | runs exact: ebpftop, bpftrace |")
    print("|---|---|--:|--:|--:|---|")
    for name, results in every.items():
        truth, got = COMPARISONS[name].truth, results.figures
        exact = ", ".join(
            f"{sum(figures == Figures(truth) for figures in got[side])} of {len(got[side])}"
            for side in ("ours", "bpftrace")
        )
        for figure, value in truth.items():
            seen, theirs = got["ours"][-1][figure], got["bpftrace"][-1][figure]
            print(f"| {name} | {figure} | {value:,} | {seen:,} | {theirs:,} | {exact} |")
    print("\n| probe | ns per | | ebpftop | bpftrace | ratio |\n|---|---|---|--:|--:|--:|")
    for name, results in every.items():
        for label, costs in (("alone", results.alone), ("both at once", results.both)):
            a, b = (statistics.median(costs[side]) for side in ("ours", "bpftrace"))
            event = COMPARISONS[name].event
            print(f"| {name} | {event} | {label} | {a:.0f} | {b:.0f} | {a / b:.2f} |")


def counting_program(hooks: tuple[str, ...]) -> str:
    """The shortest bpftrace program on a probe's hooks."""
    places = []
    for hook in hooks:
        kind, _, target = hook.partition(":")
        if kind == "perf":
            places.append(f"profile:hz:{target.partition('@')[2]}")
        else:
            places += [f"tracepoint:{p.parent.name}:{target}" for p in EVENTS.glob(f"*/{target}")]
    return f"{', '.join(places)} {{ @[pid] = count(); }}"


def start_bpftrace(programs: list[list[str]]) -> tuple[float, float]:
    """Seconds until all are attached, and their memory together in MB."""
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        tools = [Bpftrace(*program) for program in programs]
        for tool in tools:
            stack.callback(tool.kill)
        for tool in tools:
            tool.wait()
        seconds = time.monotonic() - started
        return seconds, sum(resident_mb(tool.pid) for tool in tools)


def start_ours(probes: list[str]) -> tuple[Ours, float, float]:
    """The collector, ended, and in MB its memory and that of the processes that it keeps."""
    ours = Ours(*probes)
    with contextlib.ExitStack() as stack:
        stack.callback(ours.stop)
        ours.wait()
        ours.settle()
        children = Path(f"/proc/{ours.pid}/task/{ours.pid}/children").read_text().split()
        return ours, resident_mb(ours.pid), sum(resident_mb(int(child)) for child in children)


def start_bcc_tool() -> float:
    """Memory of the shortest BCC tool in MB, with our headers, as this kernel may have none."""
    process = subprocess.Popen(
        [sys.executable, "-c", BCC_TOOL],
        stdout=subprocess.PIPE,
        env={**os.environ, "BCC_KERNEL_SOURCE": str(HEADERS)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    memory = resident_mb(process.pid)
    process.kill()
    process.wait()
    return memory


def start_all(starts: int) -> None:
    """Print start-up and memory with all probes, beside a bpftrace for each."""
    probes = [name for name in registry.probes() if (SCRIPTS / f"{name}.bt").exists()]
    scripts = [[str(SCRIPTS / f"{name}.bt")] for name in probes]
    ours, *_ = start_ours(probes)  # warms the caches, as do these:
    counters = [["-e", counting_program(ours.statuses[name].hooks)] for name in probes]
    start_bpftrace(scripts), start_bpftrace(counters)
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for _ in range(starts):
        ours, own, helpers = start_ours(probes)
        seconds.setdefault("all", []).append(max(ours.running_s.values()))
        seconds.setdefault("first", []).append(min(ours.running_s.values()))
        memory.setdefault(f"the collector with {len(probes)} probes", []).append(own)
        memory.setdefault("the symboliser that it keeps beside it", []).append(helpers)
        for name, programs in (("scripts", scripts), ("counters", counters)):
            attached_s, size = start_bpftrace(programs)
            seconds.setdefault(name, []).append(attached_s)
            memory.setdefault(f"a bpftrace for each, {name}", []).append(size)
        print(".", end="", file=sys.stderr, flush=True)
    memory["the shortest BCC tool"] = [start_bcc_tool()]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"\n| start of {len(probes)} probes, median of {starts} | s | ebpftop is |\n|---|--:|--:|"
    )
    print(f"| ebpftop, all run | {median['all']:.2f} | |")
    print(f"| ebpftop, the first runs | {median['first']:.2f} | |")
    for name, label in (("scripts", "the same aggregation"), ("counters", "counting alone")):
        ratio = median["all"] / median[name]
        print(f"| bpftrace, {label} | {median[name]:.2f} | {ratio:.2f} of it |")
    print("\n| resident memory | MB |\n|---|--:|")
    for name, values in memory.items():
        print(f"| {name} | {statistics.median(values):.0f} |")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="of each comparison")
    parser.add_argument("--starts", type=int, default=10, help="0: no start-up comparison")
    parser.add_argument("probes", nargs="*", metavar="PROBE", help=", ".join(COMPARISONS))
    options = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("bpftrace"):
        parser.error("needs root and bpftrace")
    stats = bpf.enable_stats()
    names = [name for name in options.probes or COMPARISONS if name in registry.probes()]
    if options.runs:
        compare(names, options.runs)
    if options.starts:
        start_all(options.starts)
    if stats is not None:
        os.close(stats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
