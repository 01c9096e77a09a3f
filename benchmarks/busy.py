"""A machine with many busy processes, for measuring recordings: 300 of them, by default.

    python3 benchmarks/busy.py [SECONDS] [--processes 300]

Compiles busy.c with the system's C compiler and runs it in a scratch folder of the working
directory, which should be on a real disk. Each process wakes several times a second and reads,
writes, talks TCP to itself, asks for what is not there, or waits for a lock.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).with_suffix(".c")
FRAME_POINTERS = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
FILE_BYTES = 16 << 20  # as in busy.c


@contextlib.contextmanager
def busy(seconds: float, processes: int = 300) -> Iterator[subprocess.Popen[bytes]]:
    """Run the load, for `seconds` or until the block is left."""
    with tempfile.TemporaryDirectory(prefix="ebpftop-busy-", dir=Path.cwd()) as folder:
        program = Path(folder) / "busy"
        subprocess.run(["cc", *FRAME_POINTERS, "-pthread", "-o", program, SOURCE], check=True)
        (Path(folder) / "cached").write_bytes(bytes(FILE_BYTES))
        (Path(folder) / "direct").write_bytes(bytes(FILE_BYTES))
        load = subprocess.Popen([program, str(seconds), str(processes)], cwd=folder)
        try:
            yield load
        finally:
            load.kill()  # its processes die with it
            load.wait()


def main() -> int:
    """Run the load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=10)
    parser.add_argument("--processes", type=int, default=300)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with busy(options.seconds, options.processes) as load:
        return load.wait()


if __name__ == "__main__":
    sys.exit(main())
