"""A busy machine for pictures and measurements: disk, TCP over loopback, page cache, system calls.

    python3 benchmarks/load.py [SECONDS] [KIND …]

Bounded in time, loopback only, files in a temporary folder that goes with it. Each worker is a
process with a name of its own, so that it can be found on the screen.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import mmap
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_NAME = 15
FILE_BYTES = 64 << 20


def disk_writer(folder: Path, until: float) -> None:
    """Small direct writes, each at a random place."""
    with contextlib.closing(mmap.mmap(-1, 4096)) as page:
        flags = os.O_RDWR | os.O_CREAT | os.O_DIRECT
        fd = os.open(folder / "direct", flags)
        os.ftruncate(fd, FILE_BYTES)
        while time.time() < until:
            for _ in range(64):
                os.pwrite(fd, page, random.randrange(FILE_BYTES >> 12) << 12)
            time.sleep(0.02)


def wal_writer(folder: Path, until: float) -> None:
    """Appends and waits for the disk each time, as a database does."""
    fd = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while time.time() < until:
        os.write(fd, os.urandom(3000))
        os.fdatasync(fd)
        time.sleep(0.01)


def scanner(folder: Path, until: float) -> None:
    """Reads a file again and again; every third time it is cold."""
    path = folder / "scanned"
    path.write_bytes(os.urandom(FILE_BYTES))
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    turn = 0
    while time.time() < until:
        if turn % 3 == 0:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        for offset in range(0, FILE_BYTES, 1 << 18):
            os.pread(fd, 1 << 18, offset)
        turn += 1
        time.sleep(0.1)


def talker(folder: Path, until: float) -> None:
    """A client and a server in one process each, over v4 and v6."""
    del folder
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = socket.create_server((address, 0), family=family)
        if os.fork() == 0:
            name_process("tcp-client")
            with (
                contextlib.suppress(OSError),
                socket.create_connection(server.getsockname()[:2]) as client,
            ):
                while time.time() < until:
                    client.sendall(bytes(random.randrange(100, 60000)))
                    client.recv(100)
                    time.sleep(0.002)
            os._exit(0)
        threading.Thread(target=answer, args=(server, until), daemon=True).start()
    time.sleep(max(0.0, until - time.time()))


def answer(server: socket.socket, until: float) -> None:
    """Reads what comes and answers with little."""
    connection, _ = server.accept()
    while time.time() < until and connection.recv(1 << 16):
        connection.sendall(bytes(100))


def stat_storm(folder: Path, until: float) -> None:
    """Asks for files, half of which are not there."""
    (folder / "there").touch()
    while time.time() < until:
        for name in ("there", "missing") * 50:
            with contextlib.suppress(FileNotFoundError):
                os.stat(folder / name)
        time.sleep(0.01)


def burner(folder: Path, until: float) -> None:
    """Keeps a CPU busy two thirds of the time."""
    del folder
    while time.time() < until:
        stop = time.time() + 0.02
        while time.time() < stop:
            pass
        time.sleep(0.01)


def lock_fight(folder: Path, until: float) -> None:
    """Four threads want one lock."""
    del folder
    lock = threading.Lock()

    def want() -> None:
        while time.time() < until:
            with lock:
                time.sleep(0.005)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


WORKERS: dict[str, Callable[[Path, float], None]] = {
    "disk-writer": disk_writer,
    "wal-writer": wal_writer,
    "scanner": scanner,
    "tcp-server": talker,
    "stat-storm": stat_storm,
    "burner": burner,
    "lock-fight": lock_fight,
}


def name_process(name: str) -> None:
    """Give the calling thread the name that the screen will show."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode(), 0, 0, 0)


def main() -> int:
    """Start the workers and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=10)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(WORKERS))
    options = parser.parse_args()
    until = time.time() + options.seconds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    children: list[int] = []
    with tempfile.TemporaryDirectory(prefix="ebpftop-load-", dir=Path.cwd()) as folder:
        try:
            for kind in options.kinds or WORKERS:
                child = os.fork()
                if child == 0:
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    name_process(kind)
                    with contextlib.suppress(OSError):  # a peer that ended first
                        WORKERS[kind](Path(folder), until)
                    os._exit(0)
                children.append(child)
            for child in children:
                os.waitpid(child, 0)
        except SystemExit:
            for child in children:
                os.kill(child, signal.SIGTERM)
                os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
