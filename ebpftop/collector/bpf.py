"""bpf(2) without a library: batch reads, deletes, object info, run-time statistics.

Sources: include/uapi/linux/bpf.h (batch operations 5.6, BPF_ENABLE_STATS 5.8).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

NR_BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), 321)

MAP_LOOKUP_ELEM = 1
MAP_UPDATE_ELEM = 2
MAP_DELETE_ELEM = 3
OBJ_GET_INFO_BY_FD = 15
MAP_LOOKUP_BATCH = 24
MAP_LOOKUP_AND_DELETE_BATCH = 25
ENABLE_STATS = 32
NOEXIST = 1  # flag of MAP_UPDATE_ELEM

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
_libc.syscall.restype = ctypes.c_long


class BatchAttr(ctypes.Structure):
    """`union bpf_attr` of the batch commands."""

    _fields_ = (
        ("in_batch", ctypes.c_uint64),
        ("out_batch", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
        ("values", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("map_fd", ctypes.c_uint32),
        ("elem_flags", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class ElemAttr(ctypes.Structure):
    """`union bpf_attr` of the single-element commands."""

    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class InfoAttr(ctypes.Structure):
    """`union bpf_attr` of BPF_OBJ_GET_INFO_BY_FD."""

    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("len", ctypes.c_uint32),
        ("info", ctypes.c_uint64),
    )


def call(command: int, attr: ctypes.Structure | ctypes.Array[ctypes.c_uint32]) -> tuple[int, int]:
    """One bpf(2) call; returns its result and errno (0 where it succeeded)."""
    result = _libc.syscall(NR_BPF, command, ctypes.addressof(attr), ctypes.sizeof(attr))
    return result, ctypes.get_errno() if result < 0 else 0


def lookup(map_fd: int, key: bytes, value_size: int) -> bytes | None:
    """The value of one key, or None where there is none."""
    value = ctypes.create_string_buffer(value_size)
    buffer = ctypes.create_string_buffer(key, len(key))
    attr = ElemAttr(map_fd, 0, ctypes.addressof(buffer), ctypes.addressof(value), 0)
    result, error = call(MAP_LOOKUP_ELEM, attr)
    if result == 0:
        return value.raw
    if error == errno.ENOENT:
        return None
    raise OSError(error, os.strerror(error))


def update(map_fd: int, key: bytes, value: bytes, flags: int = 0) -> None:
    """Set the value of one key."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    buffer = ctypes.create_string_buffer(value, len(value))
    attr = ElemAttr(map_fd, 0, ctypes.addressof(key_buffer), ctypes.addressof(buffer), flags)
    result, error = call(MAP_UPDATE_ELEM, attr)
    if result != 0:
        raise OSError(error, os.strerror(error))


def add(map_fd: int, key: bytes, value: bytes) -> bool:
    """Set the value of one key that is not there; False where it is, or the map is full."""
    try:
        update(map_fd, key, value, NOEXIST)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.E2BIG):
            return False
        raise
    return True


def delete(map_fd: int, key: bytes) -> bool:
    """Delete one key; False where it was not there."""
    buffer = ctypes.create_string_buffer(key, len(key))
    result, error = call(MAP_DELETE_ELEM, ElemAttr(map_fd, 0, ctypes.addressof(buffer), 0, 0))
    if result == 0:
        return True
    if error == errno.ENOENT:
        return False
    raise OSError(error, os.strerror(error))


def enable_stats() -> int | None:
    """Keep run-time statistics of BPF programs while the returned descriptor is open.

    Costs about 50 ns per program run. None where the kernel (before 5.8) or its policy refuses.
    """
    fd, _ = call(ENABLE_STATS, (ctypes.c_uint32 * 1)(0))
    return fd if fd >= 0 else None


class _ProgramInfo(ctypes.Structure):
    """`struct bpf_prog_info` up to the run-time statistics."""

    _fields_ = (
        ("before", ctypes.c_uint8 * 192),
        ("run_time_ns", ctypes.c_uint64),
        ("run_cnt", ctypes.c_uint64),
    )


def program_runs(program_fd: int) -> tuple[int, int]:
    """Runs of a program and the nanoseconds they took, both since it was loaded."""
    info = _ProgramInfo()
    attr = InfoAttr(program_fd, ctypes.sizeof(info), ctypes.addressof(info))
    result, error = call(OBJ_GET_INFO_BY_FD, attr)
    if result != 0:
        raise OSError(error, os.strerror(error))
    return info.run_cnt, info.run_time_ns
