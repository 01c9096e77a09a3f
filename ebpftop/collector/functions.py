"""The kernel's functions as places to hook: what they are called, and whether they can be.

A compiler that specialises a static function keeps it as `name.isra.0` or `name.constprop.0`,
sometimes several times; together these are the function. `name.part.0` is not: it runs only when
its inlined head says so, and a count of it would be too low. Lists do not tell what the kernel
accepts (6.12 lists blk_account_io_start, and refuses it), so each hook is tried before it is
chosen; what was tried is gone when its descriptor is closed.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ebpftop.collector import bpf, perf
from ebpftop.collector.bytecode import PROGRAM_TYPES, TRACING

if TYPE_CHECKING:
    from ebpftop.collector.hooks import KernelTypes

KALLSYMS = Path("/proc/kallsyms")
NOTHING = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)  # r0 = 0; exit
NOT_ALLOWED = (errno.EPERM, errno.EACCES)
# Where a call's arguments and its result are, by the names that each architecture has for them.
REGISTERS = {
    "x86_64": (("di", "si", "dx", "cx", "r8", "r9"), "ax"),
    "aarch64": (tuple(f"regs+{8 * number}" for number in range(8)), "regs+0"),
}


@lru_cache(maxsize=64)
def entries(function: str, returns: bool = False) -> tuple[str, ...]:
    """The symbols at which kprobes (kretprobes if `returns`) see every call of a function.

    Empty where the kernel has no kprobes, no such function, or refuses one of them; and where two
    functions of one name cannot be told apart.
    """
    text = _symbols()
    pattern = rf" ({re.escape(function)}(?:\.isra\.\d+|\.constprop\.\d+)*)(?:\t.*)?$"
    found = [
        match[1]
        for match in re.finditer(pattern, text, re.MULTILINE)  # the literal first: it is quick
        if text[match.start() - 1] in "tT"
    ]
    if len(set(found)) < len(found):
        return ()
    return tuple(found) if all(_can_probe(symbol, returns) for symbol in found) else ()


@lru_cache(maxsize=64)
def can_trace(function_id: int, attach_type: int) -> bool:
    """Whether a program can be put at a function by a trampoline (fentry, fexit)."""
    bpf.lift_memory_limit()
    try:
        program = bpf.load_program(
            "try", TRACING, NOTHING, "GPL", 0, function_id, attach_type, False
        )
    except OSError as error:
        return _not_ours_to_try(error)
    try:
        os.close(bpf.open_raw_tracepoint("", program))
    except OSError as error:
        return _not_ours_to_try(error)
    finally:
        os.close(program)
    return True


@lru_cache(maxsize=64)
def can_watch(tracepoint: str) -> bool:
    """Whether the kernel was built with a raw tracepoint; true where nothing may be tried."""
    try:
        program = bpf.load_program(
            "try", PROGRAM_TYPES["raw_tracepoint"], NOTHING, "GPL", 0, log=False
        )
    except OSError:
        return True
    try:
        os.close(bpf.open_raw_tracepoint(tracepoint, program))
    except OSError as error:
        return error.errno != errno.ENOENT
    finally:
        os.close(program)
    return True


def register_flags(kernel: KernelTypes) -> list[str]:
    """Where `KARG` and `KRETURN` of common.h find what a function was given and what it gave."""
    machine = os.uname().machine
    arguments, result = REGISTERS.get(machine, ((), ""))
    names = {f"KARG{number}": register for number, register in enumerate(arguments)}
    flags = []
    for name, register in {**names, "KRETURN": result}.items():
        member, _, further = register.partition("+")
        offset = kernel.offset(f"pt_regs.{member}")
        if offset is not None:
            flags.append(f"-DOFF_{name}={offset + int(further or 0)}")
    return flags


@lru_cache(maxsize=1)
def _symbols() -> str:
    try:
        return KALLSYMS.read_text()
    except OSError:
        return ""


def _not_ours_to_try(error: OSError) -> bool:
    """Whether a user was refused; to root EPERM says that the kernel has no such thing."""
    return error.errno in NOT_ALLOWED and os.geteuid() != 0


def _can_probe(symbol: str, returns: bool) -> bool:
    try:
        os.close(perf.open_kprobe(symbol, returns))
    except OSError as error:
        return _not_ours_to_try(error)
    return True
