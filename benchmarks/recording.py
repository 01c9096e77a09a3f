"""What a recording takes: bytes and CPU time a tick, at three levels of compression.

    sudo .venv/bin/python benchmarks/recording.py [--seconds 130] [--processes 300]
    .venv/bin/python benchmarks/recording.py --stream FILE.jsonl

Runs `busy.py` under the collector with all probes, and atop beside it where that is installed; or
takes a stream that was kept. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ebpftop import stream  # noqa: E402
from ebpftop.model import Sample  # noqa: E402
from ebpftop.recording.writer import Writer  # noqa: E402

if TYPE_CHECKING:
    from ebpftop.model import Record


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=130)
    parser.add_argument("--processes", type=int, default=300)
    parser.add_argument("--stream", type=Path, help="a kept stream of `ebpftop collect`")
    options = parser.parse_args()
    print("| | rows a tick | kB a tick | MB an hour | CPU ms a tick |")
    print("|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="ebpftop-recording-", dir="/var/tmp") as folder:
        kept = options.stream or _capture(Path(folder), options.seconds, options.processes)
        with kept.open("rb") as lines:
            real = list(stream.records(lines))
        for level in (3, 6, 9):
            _measure(real, level, folder)
        atop = Path(folder) / "atop.raw"
        if atop.exists():
            samples = max(1, options.seconds - 1)
            size = atop.stat().st_size / samples
            print(f"| atop, same load | | {size / 1e3:.1f} | {size * 3.6e-3:.1f} | |")


def _measure(records: list[Record], level: int, folder: str) -> None:
    """Write them all, and tell what it took."""
    path = Path(folder) / "measured.ebt"
    path.unlink(missing_ok=True)
    writer = Writer(str(path), level=level)
    costs: list[float] = []
    spent = 0.0
    for record in records:
        before = time.process_time()
        ended = writer.add(record)
        spent += time.process_time() - before
        if ended:
            costs.append(spent * 1e3)
            spent = 0.0
    writer.close()
    ticks = len(costs)
    rows = sum(
        len(rows) for r in records if isinstance(r, Sample) for rows in r.tables.values()
    ) / max(1, ticks)
    size = writer.bytes / ticks
    cpu = f"{statistics.median(costs):.2f} (mean {statistics.mean(costs):.2f})"
    cells = (f"zstd {level}", f"{rows:,.0f}", f"{size / 1e3:.1f}", f"{size * 3.6e-3:.1f}", cpu)
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def _capture(folder: Path, seconds: int, processes: int) -> Path:
    """A stream of the real collector under the load, with atop beside it."""
    kept = folder / "stream.jsonl"
    busy = [str(ROOT / "benchmarks/busy.py"), str(seconds + 10), "--processes", str(processes)]
    load = subprocess.Popen([sys.executable, *busy])
    try:
        time.sleep(3)
        atop = shutil.which("atop")
        beside = (
            subprocess.Popen([atop, "-w", folder / "atop.raw", "1", str(seconds)]) if atop else None
        )
        command = ["/usr/bin/python3", "-m", "ebpftop.collector", "--count", str(seconds)]
        with kept.open("wb") as out:
            subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, check=True)
        if beside:
            beside.wait()
    finally:
        load.terminate()
        load.wait()
    return kept


if __name__ == "__main__":
    main()
