"""bpf(2) without a library: maps, programs, batch reads, object info, run-time statistics.

Source: include/uapi/linux/bpf.h (batch operations 5.6, BPF_ENABLE_STATS 5.8).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
from typing import NamedTuple

NR_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, 321)

MAP_CREATE = 0
MAP_LOOKUP_ELEM = 1
MAP_UPDATE_ELEM = 2
MAP_DELETE_ELEM = 3
PROG_LOAD = 5
OBJ_GET_INFO_BY_FD = 15
RAW_TRACEPOINT_OPEN = 17
MAP_LOOKUP_BATCH = 24
MAP_LOOKUP_AND_DELETE_BATCH = 25
ENABLE_STATS = 32
ARRAY = 2  # BPF_MAP_TYPE_ARRAY
NOEXIST = 1  # flag of MAP_UPDATE_ELEM
TRACE_RAW_TP, TRACE_FENTRY, TRACE_FEXIT = 23, 24, 25  # BPF_TRACE_… of enum bpf_attach_type
VERIFIER_LOG_BYTES = 1 << 20


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


def lift_memory_limit() -> None:
    """Let this process, if it may, have all the maps and programs that it needs.

    Before 5.11 those of all of a user's processes count as locked memory together: where one of
    them has many, another is refused a first program, root with EPERM.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, 2 * (resource.RLIM_INFINITY,))


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


class MapSpec(NamedTuple):
    """What a map is created from, as the kernel tells it of one that exists."""

    name: str
    type: int
    key_bytes: int
    value_bytes: int
    max_entries: int
    flags: int


class _MapInfo(ctypes.Structure):
    """`struct bpf_map_info` up to the name (4.15)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    )


class _MapAttr(ctypes.Structure):
    """`union bpf_attr` of BPF_MAP_CREATE up to the name."""

    _fields_ = (
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("numa_node", ctypes.c_uint32),
        ("map_name", ctypes.c_char * 16),
    )


class _ProgramAttr(ctypes.Structure):
    """`union bpf_attr` of BPF_PROG_LOAD up to the type of what it is attached to (5.5)."""

    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("func_info", ctypes.c_uint64),
        ("func_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_uint64),
        ("line_info_cnt", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
    )


class _RawTracepointAttr(ctypes.Structure):
    """`union bpf_attr` of BPF_RAW_TRACEPOINT_OPEN."""

    _fields_ = (("name", ctypes.c_uint64), ("prog_fd", ctypes.c_uint32), ("pad", ctypes.c_uint32))


def map_spec(map_fd: int) -> MapSpec:
    """What an existing map was created from. Raises OSError."""
    info = _MapInfo()
    _get_info(map_fd, info)
    sizes = info.key_size, info.value_size, info.max_entries, info.map_flags
    return MapSpec(info.name.decode(), info.type, *sizes)


def create_map(spec: MapSpec) -> int:
    """Descriptor of a new map. Raises OSError."""
    sizes = spec.key_bytes, spec.value_bytes, spec.max_entries, spec.flags
    return _open(MAP_CREATE, _MapAttr(spec.type, *sizes, 0, 0, spec.name.encode()), spec.name)


def load_program(
    name: str,
    kind: int,
    code: bytes,
    licence: str,
    kernel_version: int,
    hook_type: int = 0,
    attach_type: int = TRACE_RAW_TP,
    log: bool = True,
) -> int:
    """Descriptor of a program that the verifier has passed.

    `hook_type` is the BTF id of a raw tracepoint's type, or with the `attach_type` TRACE_FENTRY or
    TRACE_FEXIT of a function, for a program of type TRACING. Raises OSError; what the verifier says
    goes to descriptor 2, unless `log` is false.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    terms = ctypes.create_string_buffer(licence.encode())
    attr = _ProgramAttr(
        prog_type=kind,
        insn_cnt=len(code) // 8,
        insns=ctypes.addressof(instructions),
        license=ctypes.addressof(terms),
        kern_version=kernel_version,
        prog_name=name.encode(),
        expected_attach_type=attach_type if hook_type else 0,
        attach_btf_id=hook_type,
    )
    fd, error = call(PROG_LOAD, attr)
    if fd >= 0:
        return fd
    if log:
        text = ctypes.create_string_buffer(VERIFIER_LOG_BYTES)
        attr.log_level, attr.log_size, attr.log_buf = 1, len(text), ctypes.addressof(text)
        call(PROG_LOAD, attr)
        os.write(2, text.value)
    raise OSError(error, os.strerror(error), name)


def open_raw_tracepoint(name: str, program_fd: int) -> int:
    """Attach a program; it stays attached while the returned descriptor is open.

    One of type TRACING knows its tracepoint: the name is empty then. Raises OSError.
    """
    text = ctypes.create_string_buffer(name.encode())
    attr = _RawTracepointAttr(ctypes.addressof(text) if name else 0, program_fd)
    return _open(RAW_TRACEPOINT_OPEN, attr, name)


def _open(command: int, attr: ctypes.Structure, name: str) -> int:
    fd, error = call(command, attr)
    if fd < 0:
        raise OSError(error, os.strerror(error), name)
    return fd


def _get_info(fd: int, info: ctypes.Structure) -> None:
    result, error = call(
        OBJ_GET_INFO_BY_FD, InfoAttr(fd, ctypes.sizeof(info), ctypes.addressof(info))
    )
    if result != 0:
        raise OSError(error, os.strerror(error))


class _ProgramInfo(ctypes.Structure):
    """`struct bpf_prog_info` up to the run-time statistics."""

    _fields_ = (
        ("before", ctypes.c_uint8 * 64),
        ("name", ctypes.c_char * 16),
        ("between", ctypes.c_uint8 * 112),
        ("run_time_ns", ctypes.c_uint64),
        ("run_cnt", ctypes.c_uint64),
        ("recursion_misses", ctypes.c_uint64),  # 5.12; before, 0
    )


class Runs(NamedTuple):
    """What a program did since it was loaded; the first two are 0 without statistics.

    Attributes:
        number: how often it ran.
        ns: nanoseconds that took.
        missed: how often it was left out, because a run of it (of a kprobe's or a tracepoint's
            program: of any such program) was interrupted on the same CPU.
    """

    number: int
    ns: int
    missed: int


def program_runs(program_fd: int) -> Runs:
    """Runs of a program. Raises OSError."""
    info = _ProgramInfo()
    _get_info(program_fd, info)
    return Runs(info.run_cnt, info.run_time_ns, info.recursion_misses)


def program_name(program_fd: int) -> str:
    """The name under which the kernel lists a program. Raises OSError."""
    info = _ProgramInfo()
    _get_info(program_fd, info)
    return str(info.name.decode())
