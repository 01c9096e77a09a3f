"""perf_event_open(2) without a library: what runs a program at a clock, a kprobe, a tracepoint.

Source: include/uapi/linux/perf_event.h. Programs stay attached while a descriptor is open; at
kprobes and tracepoints they run on every CPU, whichever the event is on.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
from pathlib import Path

NR_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}.get(os.uname().machine, 298)

SOFTWARE, TRACEPOINT = 1, 2  # PERF_TYPE_…
CPU_CLOCK = 0  # PERF_COUNT_SW_CPU_CLOCK
FREQUENCY = 1 << 10  # the bit `freq` of the attributes
FD_CLOEXEC = 8
IOC_ENABLE, IOC_SET_BPF = 0x2400, 0x40042408
KPROBE_PMU = Path("/sys/bus/event_source/devices/kprobe/type")  # 4.17
RETURNS = 1  # in attr.config of a kprobe; its `format/retprobe` says config:0
TRACEFS = tuple(map(Path, ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")))

_open = ctypes.CDLL(None, use_errno=True)["syscall"]
_open.argtypes = [ctypes.c_long, ctypes.c_void_p, *[ctypes.c_int] * 3, ctypes.c_ulong]
_open.restype = ctypes.c_long


class PerfEventAttr(ctypes.Structure):
    """`struct perf_event_attr` of its first size (PERF_ATTR_SIZE_VER0)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_freq", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
    )


def open_cpu_clock(cpu: int, frequency: int, program_fd: int) -> int:
    """Run a program `frequency` times a second on a CPU while the descriptor is open.

    Raises OSError.
    """
    attr = PerfEventAttr(
        type=SOFTWARE,
        config=CPU_CLOCK,
        sample_freq=frequency,
        flags=FREQUENCY,
    )
    return open_perf_event(attr, cpu, program_fd)


def open_kprobe(symbol: str, returns: bool, program_fd: int = -1) -> int:
    """Run a program where a function begins, or where it `returns`, while the descriptor is open.

    It runs on every CPU, whichever the event is on. The kernel makes the probe for this descriptor
    alone: tracefs does not list it. Without a program it only shows that it can be done. Raises
    OSError.
    """
    name = ctypes.create_string_buffer(symbol.encode())
    attr = PerfEventAttr(
        type=int(KPROBE_PMU.read_text()),
        config=RETURNS if returns else 0,
        config1=ctypes.addressof(name),
    )
    return open_perf_event(attr, min(os.sched_getaffinity(0)), program_fd)


def has_tracepoint(name: str) -> bool:
    """Whether there is a tracepoint `category:name`; true where a user may not look."""
    try:
        return tracepoint_number(name) is not None
    except PermissionError:
        return True


def tracepoint_number(name: str) -> int | None:
    """The number of a tracepoint, `category:name`; None where tracefs does not show it.

    Raises PermissionError: only root sees tracefs.
    """
    where = Path("events", *name.split(":"), "id")
    for folder in TRACEFS:
        with contextlib.suppress(FileNotFoundError):
            return int((folder / where).read_text())
    return None


def open_tracepoint(name: str, program_fd: int) -> int:
    """Run a program at a tracepoint, `category:name`, while the returned descriptor is open.

    A program that returns 0 hides the event from every other user of perf. Raises OSError.
    """
    number = tracepoint_number(name)
    if number is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    attr = PerfEventAttr(type=TRACEPOINT, config=number)
    return open_perf_event(attr, min(os.sched_getaffinity(0)), program_fd)


def open_perf_event(attr: PerfEventAttr, cpu: int, program_fd: int) -> int:
    """Run a program, if any, at a perf event on a CPU while the descriptor is open.

    Raises OSError.
    """
    attr.size = ctypes.sizeof(attr)
    where = -1, cpu, -1, FD_CLOEXEC  # any process, this CPU, no group
    fd = int(_open(NR_PERF_EVENT_OPEN, ctypes.addressof(attr), *where))
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"perf event on CPU {cpu}")
    if program_fd < 0:
        return fd
    try:
        fcntl.ioctl(fd, IOC_SET_BPF, program_fd)
        fcntl.ioctl(fd, IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd
