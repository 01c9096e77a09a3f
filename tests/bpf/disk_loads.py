"""Loads on a disk with known figures: `python3 -m tests.bpf.disk_loads NAME FILE`."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# linux/aio_abi.h, and its system calls.
AIO_CALLS = {"x86_64": (206, 209, 208), "aarch64": (0, 2, 4)}
IO_SETUP, IO_SUBMIT, IO_GETEVENTS = AIO_CALLS[os.uname().machine]
PWRITE = 1
CALL, EVENT = "QIiHhIQQqQII", "QQqq"
BLOCK = 4096
BLOCKS = 16
FLUSHES = 20


def start(name: str, file: Path) -> subprocess.Popen[bytes]:
    """One of the loads in a process of its own."""
    command = ["/usr/bin/python3", "-m", "tests.bpf.disk_loads", name, str(file)]
    return subprocess.Popen(command, cwd=ROOT)


def backwards(file: str) -> None:
    """Submit writes at once, each in front of the one before it: they are merged at its front."""
    libc = ctypes.CDLL(None, use_errno=True)
    context = ctypes.c_ulong()
    assert libc.syscall(IO_SETUP, BLOCKS, ctypes.byref(context)) == 0
    memory = mmap.mmap(-1, BLOCKS * BLOCK)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fd = os.open(file, os.O_WRONLY | os.O_DIRECT)
    calls = []
    for at in reversed(range(0, BLOCKS * BLOCK, BLOCK)):
        call = struct.pack(CALL, 0, 0, 0, PWRITE, 0, fd, begin + at, BLOCK, at, 0, 0, 0)
        calls.append(ctypes.create_string_buffer(call))
    pointers = (ctypes.c_void_p * BLOCKS)(*map(ctypes.addressof, calls))
    assert libc.syscall(IO_SUBMIT, context, BLOCKS, pointers) == BLOCKS
    events = ctypes.create_string_buffer(struct.calcsize(EVENT) * BLOCKS)
    assert libc.syscall(IO_GETEVENTS, context, BLOCKS, BLOCKS, events, None) == BLOCKS
    assert all(size == BLOCK for _, _, size, _ in struct.iter_unpack(EVENT, events.raw))


def flushes(file: str) -> None:
    """Flush what the disk keeps in its cache, with nothing to be written before."""
    fd = os.open(file, os.O_RDONLY)
    for _ in range(FLUSHES):
        os.fdatasync(fd)


if __name__ == "__main__":
    {"backwards": backwards, "flushes": flushes}[sys.argv[1]](sys.argv[2])
