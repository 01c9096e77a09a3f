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
import sys
import time
from collections import OrderedDict
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
UNKNOWN = "[unknown]"  # as in symboliser.py
NOT_KEPT = "[stack not kept]"
NO_STACK = "[no stack]"
CUT = "[cut off]"
NO_FRAME_POINTERS = "[no frame pointers]"
# Where threads begin: a stack of one of these alone is whole.
ENTRIES = ("_start", "clone", "__clone", "clone3", "__clone3")
# What the tracepoint itself has put on the stack; how much varies with who else traces.
TRACING = ("bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_prog_")
TRACING_FRAMES = 6

Process = tuple[int, bytes]
Names = dict[int, str]


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

    def ask(self, requests: list[tuple[int, int, list[int]]]) -> None:
        """Send requests; one batch at a time. Raises OSError where it has gone."""
        self._channel.sendall(json.dumps(requests).encode() + b"\n")

    def answer(self, wait_s: float) -> list[list[str]] | None:
        """The names asked for, or None if they are not there in time.

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
        answer: list[list[str]] = json.loads(self._input)
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
        self._kernel: Names = {}
        self._processes: OrderedDict[Process, tuple[int, Names]] = OrderedDict()
        self._asked: list[tuple[Names, list[int]]] = []
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
        except (OSError, ValueError):  # it died, or talks nonsense
            self._end()
            self._start()

    def _ask(self, helper: Helper, fresh: dict[StackKey, Frames | None]) -> None:
        wanted: dict[Process, set[int]] = {}
        room = NEW_ADDRESSES
        for (pid, who, _), frames in fresh.items():
            if frames is None or room <= 0:
                continue
            for process, addresses in (KERNEL, frames.kernel), ((pid, who), frames.user):
                unnamed = set(addresses).difference(self._known(process)[1])
                unnamed -= wanted.get(process, set())
                if unnamed:
                    wanted.setdefault(process, set()).update(unnamed)
                    room -= len(unnamed)
        if not wanted:
            return
        requests = []
        for process, unnamed in wanted.items():
            serial, names = self._known(process)
            self._asked.append((names, list(unnamed)))
            requests.append((process[0], serial, self._asked[-1][1]))
        helper.ask(requests)

    def _collect(self, until_s: float) -> None:
        """Take the answer to what was asked, if it is there in time."""
        if not self._asked or not self._helper:
            return
        answer = self._helper.answer(max(0.0, until_s - time.monotonic()))
        if answer is None:
            return
        for (names, addresses), given in zip(self._asked, answer):
            names.update(zip(addresses, map(sys.intern, given)))
        self._asked = []

    def _known(self, process: Process) -> tuple[int, Names]:
        """Serial number and names of a process, which moves to the end of the queue."""
        if process == KERNEL:
            return 0, self._kernel
        known = self._processes.pop(process, None)
        if known is None:
            self._serial += 1
            known = (self._serial, {})
        self._processes[process] = known
        return known

    def _shrink(self) -> None:
        while len(self._folded) > FOLDED_LIMIT:
            self._folded.popitem(last=False)
        number = sum(len(names) for _, names in self._processes.values())
        while number > NAMES_LIMIT:
            _, (_, names) = self._processes.popitem(last=False)
            number -= len(names)

    def _put_together(self, key: StackKey, frames: Frames | None) -> tuple[str, int]:
        """Folded text of a stack, and how many of its addresses have no name yet."""
        if frames is None:
            return NOT_KEPT, 0
        _, names = self._known(key[:2])
        unnamed = sum(address not in self._kernel for address in frames.kernel)
        unnamed += sum(address not in names for address in frames.user)
        kernel = [self._kernel.get(a) or f"[{a:#x}]" for a in frames.kernel]
        user = [names.get(a) or f"[{a:#x}]" for a in frames.user]
        return folded(kernel, user, frames), unnamed


def is_broken(user: list[str]) -> bool:
    """Whether a program's frames, leaf first, end where the walk failed, not where threads begin.

    Code without frame pointers keeps other things in that register: the walk then stops at once, or
    goes on through addresses that belong to no code.
    """
    if len(user) == 1:
        return user[0] not in (*ENTRIES, UNKNOWN)
    return bool(user) and user[-1] == UNKNOWN and set(user) != {UNKNOWN}


def folded(kernel: list[str], user: list[str], frames: Frames) -> str:
    """Text of a stack, root first, from the names of its frames, leaf first."""
    for position in reversed(range(min(TRACING_FRAMES, len(kernel)))):
        if kernel[position].startswith(TRACING):
            del kernel[: position + 1]
            break
    if frames.kernel_cut:
        kernel.append(CUT)
    if frames.user_cut:
        user.append(CUT)
    elif is_broken(user):
        while user[-1] == UNKNOWN:
            user.pop()
        user.append(NO_FRAME_POINTERS)
    leaf_first = [name + KERNEL_SUFFIX for name in kernel] + user
    return ";".join(reversed(leaf_first)) or NO_STACK
