"""Waits until no BPF program is at work that began before.

A program that was sent to another map may still be writing to the old one: where it was
interrupted, where its virtual CPU was taken away in between, and, since Linux 7.0, where its thread
was preempted. Each runs within an RCU read section, so that their end is the end of a grace period:
5 to 15 ms asleep, and no CPU time.
"""

from __future__ import annotations

import ctypes
import os
import time

NR_MEMBARRIER = {"x86_64": 324, "aarch64": 283}.get(os.uname().machine, 324)
GLOBAL = 1  # MEMBARRIER_CMD_GLOBAL (4.3): synchronize_rcu(), kernel/sched/membarrier.c
# Where that is refused (nohz_full, a container's filter) or does nothing (on a single CPU): longer
# than a program is kept from a CPU that is not fought for.
OTHERWISE_S = 20e-3

_libc = ctypes.CDLL(None, use_errno=True)


def wait_for_programs() -> None:
    """Return when every program has ended that was at work at the time of the call."""
    if os.cpu_count() == 1 or _libc.syscall(NR_MEMBARRIER, GLOBAL, 0, 0) != 0:
        time.sleep(OTHERWISE_S)
