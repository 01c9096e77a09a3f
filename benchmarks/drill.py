"""How long the screen takes from Enter to the new view, and from g to groups, with 5,000 rows.

    .venv/bin/python benchmarks/drill.py [TIMES]

Plays a made-up recording of 5,000 rows a tick (500 processes, ten system calls each) in a 200x50
pseudo-terminal, stopped, and opens, goes back and groups again and again. Told is when the new
total below the table was painted, and when the last byte came before a pause of 40 ms (scrollbars
come and go a frame or two later). Nothing is asserted.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.screen import ARROW_DOWN, Terminal  # noqa: E402
from ebpftop import registry  # noqa: E402
from ebpftop.model import Hello, Process, Row, Sample, Status, Tick  # noqa: E402
from ebpftop.recording.writer import Writer  # noqa: E402

PROCESSES, CALLS, TICKS = 500, 10, 30
NS_PER_S = 1_000_000_000
QUIET_S = 0.04
ENTER, BACKSPACE = b"\r", b"\x7f"


def write(path: Path) -> None:
    """A recording of the system calls of many processes."""
    chance = random.Random(5)
    info = registry.probes()["syscount"].info
    writer = Writer(str(path))
    start_ns = 1_790_000_000 * NS_PER_S
    writer.add(Hello("box", "6.18", "boot", 4, NS_PER_S, start_ns, 0, (info,)))
    writer.add(Status("syscount", "running"))
    for pid in range(1000, 1000 + PROCESSES):
        path_of = f"/system.slice/service-{pid % 20}.service"
        writer.add(
            Process(
                *(pid, pid, f"worker-{pid % 50}", 1, 0, "root", "", f"/usr/bin/worker {pid}"),
                *(pid % 20, path_of, f"service-{pid % 20}.service"),
            )
        )
    for seq in range(1, TICKS + 1):
        now_ns = seq * NS_PER_S
        calls: list[Row] = []
        latency: list[Row] = []
        for pid in range(1000, 1000 + PROCESSES):
            for call in range(CALLS):
                number = chance.randrange(1, 10_000)
                row = (pid, pid % 20, f"call{call}", number, number * 900, 9000, number // 100)
                calls.append(row)
            latency.append((pid, "call0", chance.randrange(8, 20), 100))
        tables: dict[str, list[Row]] = {
            "calls": calls,
            "latency": latency,
            "errors": [],
            "inflight": [],
        }
        writer.add(Sample("syscount", seq, start_ns + now_ns, now_ns, NS_PER_S, tables))
        writer.add(Tick(start_ns + now_ns, now_ns, NS_PER_S))
    writer.close()


def paint_ms(terminal: Terminal, key: bytes, text: bytes) -> tuple[float, float]:
    """Milliseconds from a key until a text is painted, and until the last of it is."""
    while terminal.read(QUIET_S):
        pass
    terminal.text = b""
    start = last = time.perf_counter()
    there = None
    terminal.press(key)
    while True:
        now = time.perf_counter()
        if there is None and text in terminal.text:
            there = now
        if not terminal.read(QUIET_S):
            return ((there or now) - start) * 1e3, (last - start) * 1e3
        last = time.perf_counter()


def main() -> int:
    """Measure and print a table."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    steps = (
        ("Enter: one process of 500", ENTER, b"total, 10 rows"),
        ("Enter: one call of it", ENTER, b"total, 1 row"),
        ("Backspace: the process", BACKSPACE, b"total, 10 rows"),
        ("Backspace: everything", BACKSPACE, b"total, 5000 rows"),
    )
    groups = (("g: by command", b"c", b"total, 50 rows"), ("g: each row", b"e", b"total, 5000"))
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="ebpftop-drill-") as name:
        path = Path(name) / "many.ebt"
        write(path)
        terminal = Terminal([sys.executable, "-m", "ebpftop", "view", str(path)], ROOT)
        try:
            if not terminal.wait_for(b"syscount", 20):
                sys.exit("no rows on the screen")
            for key in (b" ", b"b", b"5", b"0", b"%", ENTER, ARROW_DOWN):
                terminal.press(key)
                terminal.read_for(0.5)
            for _ in range(times):
                for what, key, text in steps:
                    found.setdefault(what, []).append(paint_ms(terminal, key, text))
                    terminal.press(ARROW_DOWN)
                for what, letter, text in groups:
                    terminal.press(b"g")
                    found.setdefault(what, []).append(paint_ms(terminal, letter, text))
        finally:
            terminal.close()
    print("| ms, median (longest) | new total painted | all painted |\n|---|--:|--:|")
    for what, each in found.items():
        firsts, lasts = zip(*each)
        figures = (f"{statistics.median(part):.1f} ({max(part):.1f})" for part in (firsts, lasts))
        print(f"| {what} | {' | '.join(figures)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
