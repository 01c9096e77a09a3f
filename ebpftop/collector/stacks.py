"""Folded stacks: asks the symboliser for names, remembers them, and puts frames together.

The symboliser is a process of its own (`symboliser.py`), there while a probe that shows stacks
runs. It may be slow, or die: stacks are then shown with addresses, which is counted, and named in
a later interval.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
import time
from collections import OrderedDict
from itertools import chain, repeat
from typing import TYPE_CHECKING

from ebpftop.paths import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ebpftop.probe import Frames, StackKey

KERNEL = (-1, b"")
WAIT_S = 0.25  # an interval is not held up for longer
NEW_ADDRESSES = 2000  # named in one interval
NAMES_LIMIT = 20_000
FOLDED_LIMIT = 2500
STARTS = 2
KERNEL_SUFFIX = "_[k]"
UNKNOWN, COMPILED = "[unknown]", "[compiled code]"  # as in symboliser.py
NOT_KEPT = "[stack not kept]"
NO_STACK = "[no stack]"
NUMBER = "[0x"
CUT = "[cut off]"
NO_FRAME_POINTERS = "[no frame pointers]"
# A helper that does not answer for so long is given up, and so are those that it was asked about.
HANGS_S = 15.0
# Where programs and threads begin, so that a walk that comes there is whole: in glibc, musl and the
# dynamic linker; what a walk finds beyond these is left over from others.
BEGINNINGS = frozenset(
    (
        "_start",
        "_start_c",
        "_dl_start_user",
        "_dl_start",
        "__libc_start_call_main",
        "__libc_start_main",
        "__libc_start_main_impl",
        "libc_start_main_stage2",
        "start_thread",
        "clone",
        "__clone",
        "clone3",
        "__clone3",
        "__clone_internal",
        "__start_context",
    )
)
# What such a beginning calls, and Go's goroutines and threads.
ENTRIES = BEGINNINGS | {
    "main",
    "runtime.goexit",
    "runtime.goexit.abi0",
    "runtime.mstart",
    "runtime.mstart.abi0",
    "runtime.mcall",
    "runtime.rt0_go",
    "runtime.rt0_go.abi0",
    "runtime.systemstack_switch",
}
# The C library without names of its inner functions: where threads begin may be one of those.
C_LIBRARY = ("[libc.so", "[libc-", "[libpthread", "[ld-", "[ld.")
# What the tracepoint itself has put on the stack; how much varies with who else traces.
TRACING = ("bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_prog_")
TRACING_FRAMES = 6

START = struct.Struct("=Q")  # the first member of `struct who`

Process = tuple[int, bytes]
Request = tuple[int, int, int, list[int]]


class Names:
    """Names of a process's addresses; `frameless` are those that lose who called them."""

    def __init__(self, serial: int = 0) -> None:
        self.serial = serial
        self.texts: dict[int, str] = {}
        self.frameless: set[int] = set()

    def learn(self, addresses: list[int], texts: list[str], frameless: list[int]) -> None:
        """Take what the helper answered."""
        self.texts.update(zip(addresses, map(sys.intern, texts)))
        self.frameless.update(frameless)


class Helper:
    """The symboliser's process, and the socket to it."""

    def __init__(self) -> None:
        import subprocess  # 3 ms that only stacks cost

        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ebpftop.collector.symboliser"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=PACKAGE.parent,
            )
        self._input = b""

    def ask(self, requests: list[Request]) -> None:
        """Send requests; one batch at a time. Raises OSError where it has gone."""
        self._channel.sendall(json.dumps(requests).encode() + b"\n")

    def answer(self, wait_s: float) -> list[tuple[list[str], list[int]]] | None:
        """Names and frameless addresses, as in symboliser.py, or None if not there in time.

        Raises OSError where it has gone.
        """
        until_s = time.monotonic() + wait_s
        while not self._input.endswith(b"\n"):
            ready, _, _ = select.select([self._channel], [], [], max(0, until_s - time.monotonic()))
            if not ready:
                return None
            data = self._channel.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the symboliser went away")
            self._input += data
        answer: list[tuple[list[str], list[int]]] = json.loads(self._input)
        self._input = b""
        return answer

    def close(self) -> None:
        """End it and reap it."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


class Stacks:
    """What is known of stacks; holds the helper while any probe needs it."""

    def __init__(self, helper: Callable[[], Helper] = Helper) -> None:
        self._new_helper = helper
        self._users = 0
        self._forget()

    def open(self) -> None:
        """A probe that needs names has started."""
        self._users += 1
        if self._users == 1:
            self._start()

    def close(self) -> None:
        """Such a probe has ended; with the last the helper goes, and what is remembered."""
        self._users -= 1
        if self._users == 0:
            self._end()
            self._forget()

    def fold(
        self, stacks: Sequence[StackKey], frames: Callable[[int], Frames | None]
    ) -> tuple[list[str], int]:
        """Folded text of each stack, and how many addresses had to be shown as numbers."""
        fresh = {key: frames(key[2]) for key in stacks if key not in self._folded}
        self._learn(fresh)
        texts, numbers = [], 0
        for key in stacks:
            text = self._folded.pop(key, None)
            unnamed = 0
            if text is None:
                text, unnamed = self._put_together(key, fresh[key])
                numbers += unnamed
            texts.append(text)
            if not unnamed and text != NOT_KEPT:
                self._folded[key] = text  # at the end: the oldest are forgotten first
        self._shrink()
        return texts, numbers

    def _forget(self) -> None:
        self._helper: Helper | None = None
        self._starts = 0
        self._serial = 0
        self._kernel = Names()
        self._processes: OrderedDict[Process, Names] = OrderedDict()
        self._asked: list[tuple[Names, list[int]]] = []
        self._asked_s = 0.0
        self._folded: OrderedDict[StackKey, str] = OrderedDict()

    def _start(self) -> None:
        self._starts += 1
        if self._starts <= STARTS:
            with contextlib.suppress(OSError):
                self._helper = self._new_helper()

    def _end(self) -> None:
        if self._helper:
            self._helper.close()
        self._helper = None
        self._asked = []

    def _learn(self, fresh: dict[StackKey, Frames | None]) -> None:
        """Have the addresses named that are new, as many as time allows."""
        until_s = time.monotonic() + WAIT_S
        try:
            self._collect(until_s)
            if self._helper and not self._asked:
                self._ask(self._helper, fresh)
                self._collect(until_s)
        except (OSError, ValueError, TypeError):  # it died, hangs, or talks nonsense
            self._end()
            self._start()

    def _ask(self, helper: Helper, fresh: dict[StackKey, Frames | None]) -> None:
        wanted: dict[Process, set[int]] = {}
        room = NEW_ADDRESSES
        for (pid, who, _), frames in fresh.items():
            if frames is None or room <= 0:
                continue
            for process, addresses in (KERNEL, frames.kernel), ((pid, who), frames.user):
                unnamed = set(in_functions(addresses)).difference(self._known(process).texts)
                unnamed -= wanted.get(process, set())
                if unnamed:
                    wanted.setdefault(process, set()).update(unnamed)
                    room -= len(unnamed)
        if not wanted:
            return
        requests = []
        for process, unnamed in wanted.items():
            names = self._known(process)
            self._asked.append((names, list(unnamed)))
            requests.append((process[0], names.serial, _start_ns(process), self._asked[-1][1]))
        self._asked_s = time.monotonic()
        helper.ask(requests)

    def _collect(self, until_s: float) -> None:
        """Take the answer to what was asked, if it is there in time."""
        if not self._asked or not self._helper:
            return
        answer = self._helper.answer(max(0.0, until_s - time.monotonic()))
        if answer is None:
            if time.monotonic() - self._asked_s > HANGS_S:
                # A file system that does not answer, or a name made to take for ever.
                for names, addresses in self._asked:
                    names.learn(addresses, [f"[{address:#x}]" for address in addresses], [])
                raise TimeoutError("the symboliser hangs")
            return
        for (names, addresses), given in zip(self._asked, answer):
            names.learn(addresses, *given)
        self._asked = []

    def _known(self, process: Process) -> Names:
        """What is known of a process, which moves to the end of the queue."""
        if process == KERNEL:
            return self._kernel
        known = self._processes.pop(process, None)
        if known is None:
            self._serial += 1
            known = Names(self._serial)
        self._processes[process] = known
        return known

    def _shrink(self) -> None:
        while len(self._folded) > FOLDED_LIMIT:
            self._folded.popitem(last=False)
        number = sum(len(names.texts) for names in self._processes.values())
        while number > NAMES_LIMIT:
            _, names = self._processes.popitem(last=False)
            number -= len(names.texts)

    def _put_together(self, key: StackKey, frames: Frames | None) -> tuple[str, int]:
        """Folded text of a stack, and how many of its addresses have no name yet."""
        if frames is None:
            return NOT_KEPT, 0
        known = self._known(key[:2])
        kernel, user = in_functions(frames.kernel), in_functions(frames.user)
        kernel_names = _names(self._kernel, kernel, frames.kernel)
        user_names = _names(known, user, frames.user)
        unnamed = sum(a not in self._kernel.texts for a in kernel)
        unnamed += sum(a not in known.texts for a in user)
        frameless = [a in known.frameless for a in user]
        return folded(kernel_names, user_names, frames, frameless), unnamed


def _names(known: Names, functions: list[int], frames: Sequence[int]) -> list[str]:
    return [known.texts.get(f) or f"[{address:#x}]" for f, address in zip(functions, frames)]


def in_functions(addresses: Sequence[int]) -> list[int]:
    """Addresses within the functions of the frames, leaf first.

    All but the first are where a call returns to; if the call is the last thing in its function,
    that is where the next function begins.
    """
    return [*addresses[:1], *(max(0, address - 1) for address in addresses[1:])]


def _start_ns(process: Process) -> int:
    """When a process began, as the kernel saw it; 0 for not known."""
    who = process[1]
    return int(START.unpack_from(who)[0]) if len(who) >= START.size else 0


def whole(user: list[str], frameless: Sequence[bool], cut: bool) -> list[str]:
    """A program's frames, leaf first, with a mark wherever frames are missing.

    Code without frame pointers leaves that of who called it in its register, whom the walk then
    passes over; or it keeps other things there, at which the walk stops, or goes on through
    addresses that belong to no code.
    """
    if set(user) <= {UNKNOWN}:  # of a process that has gone, all are
        return [*user, CUT] if cut else user
    frames: list[str] = []
    arrived = False
    for name, loses_caller in zip(user, chain(frameless, repeat(False))):
        if arrived and frames[-1] in BEGINNINGS and name not in BEGINNINGS:
            return frames
        frames.append(name)
        arrived = arrived or name in ENTRIES
        if loses_caller and not arrived:
            frames.append(NO_FRAME_POINTERS)
    if cut:
        return [*frames, CUT]
    while frames[-1] in (UNKNOWN, NO_FRAME_POINTERS):
        frames.pop()
    arrived = arrived or (len(frames) > 1 and frames[-1].startswith((*C_LIBRARY, NUMBER)))
    return frames if arrived else [*frames, NO_FRAME_POINTERS]


def folded(
    kernel: list[str], user: list[str], frames: Frames, frameless: Sequence[bool] = ()
) -> str:
    """Text of a stack, root first, from the names of its frames, leaf first."""
    for position in reversed(range(min(TRACING_FRAMES, len(kernel)))):
        if kernel[position].startswith(TRACING):
            del kernel[: position + 1]
            break
    if frames.kernel_cut:
        kernel.append(CUT)
    program = whole(user, frameless, frames.user_cut)
    leaf_first = [name + KERNEL_SUFFIX for name in kernel] + program
    return ";".join(reversed(leaf_first)) or NO_STACK
