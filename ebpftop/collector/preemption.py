"""Keeps programs that count and the collector that reads out of each other's way.

Both may be stopped in the midst of it: a program where its CPU is taken from it, by an interrupt,
by the host of a virtual machine, and since Linux 7.0 by another thread; the collector anywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NR_MEMBARRIER = {"x86_64": 324, "aarch64": 283}.get(os.uname().machine, 324)
GLOBAL = 1  # MEMBARRIER_CMD_GLOBAL (4.3): synchronize_rcu(), kernel/sched/membarrier.c
# Where that is refused (nohz_full, a container's filter) or does nothing (on a single CPU): longer
# than a program is kept from a CPU that is not fought for.
OTHERWISE_S = 20e-3
REAL_TIME = os.sched_param(1)

_libc = ctypes.CDLL(None, use_errno=True)


def wait_for_programs() -> None:
    """Return when every program has ended that was at work at the time of the call.

    Each runs within an RCU read section, so this is a grace period: 5 to 15 ms asleep.
    """
    if os.cpu_count() == 1 or _libc.syscall(NR_MEMBARRIER, GLOBAL, 0, 0) != 0:
        time.sleep(OTHERWISE_S)


@contextlib.contextmanager
def unpreempted() -> Iterator[None]:
    """Run as a real-time thread, which no ordinary one takes the CPU from; where that is allowed.

    While a map is read, the kernel runs no program of tracepoints, kprobes and perf events on that
    CPU (bpf_disable_instrumentation, 5.7): should another thread get the CPU meanwhile, nothing of
    what it does would be counted.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, REAL_TIME)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
