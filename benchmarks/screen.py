"""What the screen costs: memory, CPU and the time from a key to its paint, in a real terminal.

    sudo .venv/bin/python benchmarks/screen.py [SECONDS]

Runs the dashboard of a copy of this tree in a 200x50 pseudo-terminal, with one probe more: `flood`,
whose BPF program inserts about 100,000 map entries a second, so that the collector reads those and
the screen is sent 5,000 rows and the row of the others every second. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import select
import shutil
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, LINES = 200, 50
ARROW_DOWN, ARROW_UP = b"\x1b[B", b"\x1b[A"
PAINT_TIMEOUT_S = 2.0

FLOOD_PY = '''
"""A flood of map entries, to measure with."""
from ebpftop.probe import Layout, Probe, View, bytes_, cgroup, count, key, perf_event, pid, table
class Flood(Probe):
    """About 100,000 entries a second."""
    title = "Flood"; purpose = "to measure"; help = "to measure"
    tables = (table("rows", pid(), cgroup(), key("number", "NUMBER", "id"), key("name", "NAME"),
        count("ios", "IO/s"), bytes_("bytes", "B/s"), count("calls", "CALLS")),)
    views = (View("table", "rows", "Flood", sort="bytes"),)
    hooks = (perf_event("cpu-clock", "on_tick", 99),)
    maps = {"flood": Layout("II", values=3, who=True)}
    def read(self, maps, env):
        """Rows."""
        name = lambda k, cgroup: (k[0], cgroup, k[1], f"entry {k[1]}")
        return {"rows": env.rows("rows", maps["flood"].drain(), name, weight=(1,))}
'''
FLOOD_C = """
#include "common.h"
struct flood_key { u32 pid; u32 number; };
struct flood_value { struct who who; u64 ios; u64 bytes; u64 calls; };
BPF_HASH(flood, struct flood_key, struct flood_value, 131072);
BPF_ARRAY(next, u32, 1);
int on_tick(struct bpf_perf_event_data *ctx) {
  int zero = 0;
  u32 *number = next.lookup(&zero);
  if (!number) return 0;
  struct flood_value value = {};
  fill_who(&value.who, bpf_get_current_task());
  u32 first = *number;
  *number = (first + PER_TICK) % 99990;
  for (int i = 0; i < PER_TICK; i++) {
    struct flood_key key = {.pid = bpf_get_current_pid_tgid() >> 32};
    key.number = first + i;
    value.ios = i;
    value.bytes = key.number;  // the same order every second, so that the cursor stays put
    value.calls = 1;
    flood.update(&key, &value);
  }
  return 0;
}
"""


class Terminal:
    """A child in a pseudo-terminal, with the answers that Textual asks a terminal for."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(command[0], command)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.text = b""
        self.bytes = 0

    def read(self, seconds: float) -> bytes:
        """What arrives within a time, or earlier as soon as something does."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # how a pseudo-terminal says that its child has gone
            return b""
        if b"\x1b[?2026$p" in data:
            os.write(self._fd, b"\x1b[?2026;2$y")  # yes: synchronised output
        self.bytes += len(data)
        self.text = (self.text + data)[-(1 << 16) :]
        return data

    def read_for(self, seconds: float) -> None:
        """Read until a time is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def wait_for(self, text: bytes, seconds: float) -> bool:
        """Read until a text appears."""
        end = time.monotonic() + seconds
        while text not in self.text and time.monotonic() < end:
            self.read(0.1)
        return text in self.text

    def press(self, key: bytes) -> float | None:
        """Seconds from a key to the first byte painted; None where nothing was."""
        while self.read(0.0):
            pass
        start = time.perf_counter()
        os.write(self._fd, key)
        return time.perf_counter() - start if self.read(PAINT_TIMEOUT_S) else None

    def close(self) -> None:
        """Quit as a user does."""
        os.write(self._fd, b"q")
        self.read_for(0.5)
        os.close(self._fd)
        os.waitpid(self.pid, 0)


def tree_with_flood(folder: Path) -> None:
    """A copy of the project whose only probe is the flood."""
    for name in ("ebpftop", "themes"):
        shutil.copytree(ROOT / name, folder / name)
    area = folder / "probes" / "test"
    area.mkdir(parents=True)
    shutil.copy(ROOT / "probes" / "common.h", area.parent)
    area.joinpath("flood.py").write_text(FLOOD_PY)
    per_tick = 100_000 // (99 * (os.cpu_count() or 1))
    area.joinpath("flood.c").write_text(f"#define PER_TICK {per_tick}\n{FLOOD_C}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (not of its children)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


def collector_of(pid: int) -> int:
    """The child that is the collector."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def measure(terminal: Terminal, seconds: float) -> dict[str, str]:
    """Figures, asked for and measured."""
    if not terminal.wait_for(b"entry", 20):
        sys.exit(f"no rows on the screen: {terminal.text[-2000:]!r}")
    terminal.read_for(3)
    collector = collector_of(terminal.pid)
    before, collector_before = cpu_seconds(terminal.pid), cpu_seconds(collector)
    bytes_before, start = terminal.bytes, time.monotonic()
    terminal.read_for(seconds)
    took = time.monotonic() - start
    figures = {
        "screen RSS (<= 75 MB)": f"{rss_mb(terminal.pid):.0f} MB",
        "screen CPU, 5,000 rows a second (<= 2 %)": (
            f"{100 * (cpu_seconds(terminal.pid) - before) / took:.1f} %"
        ),
        "collector CPU, 100,000 entries a second": (
            f"{100 * (cpu_seconds(collector) - collector_before) / took:.1f} %"
        ),
        "collector RSS": f"{rss_mb(collector):.0f} MB",
        "bytes to the terminal": f"{(terminal.bytes - bytes_before) / took / 1000:.0f} kB/s",
    }
    times = sorted(key_times_ms(terminal, seconds * 2))
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
    figures["key to paint, p50"] = f"{p50:.1f} ms"
    figures[f"key to paint, p99 of {len(times)} (<= 30 ms)"] = f"{p99:.1f} ms"
    figures["key to paint, longest"] = f"{times[-1]:.1f} ms"
    return figures


def key_times_ms(terminal: Terminal, seconds: float) -> list[float]:
    """Milliseconds from key to paint, of keys that always move the cursor."""
    times = []
    terminal.press(ARROW_DOWN)  # the first one selects the first row
    row = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        terminal.read_for(random.uniform(0.02, 0.08))
        down = row == 0 or (row < 30 and random.random() < 0.5)
        row += 1 if down else -1
        took_s = terminal.press(ARROW_DOWN if down else ARROW_UP)
        if took_s is not None:
            times.append(took_s * 1e3)
    return times


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=10)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="ebpftop-screen-") as name:
        folder = Path(name)
        tree_with_flood(folder)
        terminal = Terminal([sys.executable, "-m", "ebpftop"], folder)
        try:
            figures = measure(terminal, seconds)
        finally:
            terminal.close()
    for what, figure in figures.items():
        print(f"| {what} | {figure} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
