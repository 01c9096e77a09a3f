"""What the running kernel lets be done, found out by doing it: one trivial program of each kind.

Versions do not tell: distributions port features back, and lockdown, a container, or a build
without kprobes take them away. A program of two instructions is loaded, attached, and at once taken
off again; maps as large as the probes' are created, and one is read in a batch. Everything is held
by descriptors alone, so that nothing is left in the kernel even where this process is killed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop.collector import bpf, perf
from ebpftop.collector.btf import Btf, BtfError
from ebpftop.collector.bytecode import PROGRAM_TYPES, TRACING
from ebpftop.collector.environment import cpu_list

if TYPE_CHECKING:
    from collections.abc import Callable

PROBE_READ_KERNEL = 113  # enum bpf_func_id (5.5)
FREQUENCY = 99
# BPF_MAP_TYPE_ of the maps that the probes have, and as many entries as theirs.
MAPS = {
    "hash": (1, 32768),
    "array": (2, 32768),
    "per-CPU array": (6, 16),
    "LRU hash": (9, 32768),
}
VALUE_BYTES = 64
SWITCH = "sched_switch"  # runs all the time, so that a program there is met by real events
EXEC = "sched:sched_process_exec"
FUNCTION = "vfs_fsync"  # in every kernel, exported, and seldom called
ONLINE_CPUS = Path("/sys/devices/system/cpu/online")


@dataclass(frozen=True)
class Trial:
    """What became of one attempt.

    Attributes:
        name: what was tried, as in `KINDS`.
        ok: whether the kernel did it.
        errno: what the kernel said; 0 where it did it, or was not asked.
        reason: why not, in one sentence.
    """

    name: str
    ok: bool
    errno: int = 0
    reason: str = ""


class _AbsentError(Exception):
    """What is needed for the attempt is not there; one sentence."""


def run() -> list[Trial]:
    """One trial of each kind; needs root to mean anything.

    The limit on locked memory, which maps count against before 5.11, is lifted meanwhile if that
    is allowed: so does the collector.
    """
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    bpf.lift_memory_limit()
    try:
        return [_try(name, attempt) for name, attempt in KINDS.items()]
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def _try(name: str, attempt: Callable[[], None]) -> Trial:
    try:
        attempt()
    except _AbsentError as error:
        return Trial(name, ok=False, reason=str(error))
    except OSError as error:
        return Trial(name, ok=False, errno=error.errno or errno.EIO)
    return Trial(name, ok=True)


def returning(value: int) -> bytes:
    """A program that returns a value: `r0 = value; exit`."""
    return struct.pack("<BBhiBBhi", 0xB7, 0, 0, value, 0x95, 0, 0, 0)


# A classic tracepoint, kprobe or perf event is hidden from everybody else where a program returns
# 0, and a program of type fentry may return nothing else (verifier).
SEEN, DONE = returning(1), returning(0)


# bpf_probe_read_kernel(r10 - 8, 8, 0), which is not there under lockdown (confidentiality).
READING = struct.pack(
    "<" + 6 * "BBhi",
    *(0xBF, 0xA1, 0, 0),  # r1 = r10
    *(0x07, 0x01, 0, -8),  # r1 += -8
    *(0xB7, 0x02, 0, 8),  # r2 = 8
    *(0xB7, 0x03, 0, 0),  # r3 = 0
    *(0x85, 0x00, 0, PROBE_READ_KERNEL),
    *(0x95, 0x00, 0, 0),
)


def _load(kind: int, code: bytes = SEEN, hook_type: int = 0, attach: int = bpf.TRACE_RAW_TP) -> int:
    return bpf.load_program("doctor", kind, code, "GPL", 0, hook_type, attach, log=False)


def _attached(program: int, attach: Callable[[int], int]) -> None:
    """Attach a program, and take everything away again."""
    try:
        os.close(attach(program))
    finally:
        os.close(program)


def _raw_tracepoint() -> None:
    program = _load(PROGRAM_TYPES["raw_tracepoint"])
    _attached(program, lambda fd: bpf.open_raw_tracepoint(SWITCH, fd))


def _typed_raw_tracepoint() -> None:
    program = _load(TRACING, hook_type=_types().tracepoint_id(SWITCH))
    _attached(program, lambda fd: bpf.open_raw_tracepoint("", fd))


def _kernel_reads() -> None:
    os.close(_load(PROGRAM_TYPES["raw_tracepoint"], READING))


def _perf_event() -> None:
    cpu = cpu_list(ONLINE_CPUS.read_text())[0]
    program = _load(PROGRAM_TYPES["perf_event"])
    _attached(program, lambda fd: perf.open_cpu_clock(cpu, FREQUENCY, fd))


def _tracepoint() -> None:
    if perf.tracepoint_number(EXEC) is None:
        raise _AbsentError("tracefs is not mounted, or has no events")
    _attached(_load(PROGRAM_TYPES["tracepoint"]), lambda fd: perf.open_tracepoint(EXEC, fd))


def _kprobe() -> None:
    if not perf.KPROBE_PMU.exists():
        raise _AbsentError("this kernel has no kprobes")
    _attached(
        _load(PROGRAM_TYPES["kprobe"]),
        lambda fd: perf.open_kprobe(FUNCTION, returns=False, program_fd=fd),
    )


def _fentry() -> None:
    function = _types().function_id(FUNCTION)
    if not function:
        raise _AbsentError(f"the kernel's types do not tell of {FUNCTION}")
    program = _load(TRACING, DONE, function, bpf.TRACE_FENTRY)
    _attached(program, lambda fd: bpf.open_raw_tracepoint("", fd))


def _map(kind: int, entries: int) -> None:
    os.close(bpf.create_map(bpf.MapSpec("doctor", kind, 4, VALUE_BYTES, entries, 0)))


def _batch() -> None:
    """Read and delete the entries of a map in one call (5.6)."""
    fd = bpf.create_map(bpf.MapSpec("doctor", MAPS["hash"][0], 4, 8, 4, 0))
    try:
        bpf.update(fd, bytes(4), bytes(8))
        keys, values = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
        out = ctypes.c_uint64()
        where = ctypes.addressof(out), ctypes.addressof(keys), ctypes.addressof(values)
        attr = bpf.BatchAttr(0, *where, count=4, map_fd=fd)
        result, error = bpf.call(bpf.MAP_LOOKUP_AND_DELETE_BATCH, attr)
        # ENOENT means that there were no more than these.
        if (result < 0 and error != errno.ENOENT) or attr.count != 1:
            raise OSError(error, os.strerror(error))
    finally:
        os.close(fd)


def _statistics() -> None:
    fd = bpf.enable_stats()
    if fd is None:
        raise _AbsentError("refused (before 5.8, or no CAP_SYS_ADMIN); no cost per event")
    os.close(fd)


def _types() -> Btf:
    try:
        return Btf()
    except BtfError as error:
        raise _AbsentError(str(error)) from None


KINDS: dict[str, Callable[[], None]] = {
    "raw tracepoint": _raw_tracepoint,
    "typed raw tracepoint": _typed_raw_tracepoint,
    "kernel reads": _kernel_reads,
    "perf event": _perf_event,
    "tracepoint": _tracepoint,
    "kprobe": _kprobe,
    "fentry": _fentry,
    **{f"{name} map": partial(_map, *sizes) for name, sizes in MAPS.items()},
    "batch reads": _batch,
    "statistics": _statistics,
}
