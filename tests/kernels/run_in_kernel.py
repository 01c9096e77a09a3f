"""Run a command under one of Debian's kernels, in QEMU.

    python -m tests.kernels.run_in_kernel 6.1 -- /usr/bin/python3 -m ebpftop probes
    python -m tests.kernels.run_in_kernel --cgroups v1 --headers 5.10 -- 'uname -r; mount'

    python -m tests.kernels.run_in_kernel --flavour cloud-arm64 6.1 -- uname -m

Software emulation: no KVM is needed, and everything takes ten to thirty times as long. See
`guest.py` for what the command finds there.

Needs root (for this machine's files), apt and dpkg. The exit status is the command's; 124 if it
was not done in time, 125 if the guest did not come up or froze, 126 if the kernel or QEMU cannot
be had.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

from tests.kernels import packages, qemu
from tests.kernels.emulator import Emulator
from tests.kernels.guest import MOUNTS, Guest
from tests.kernels.userland import prepared

COST = r"([0-9.]+) s of a CPU"
TIMED_OUT, FROZE, UNAVAILABLE = 124, 125, 126


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parse = argparse.ArgumentParser(
        prog="run_in_kernel", description=(__doc__ or "").split("\n")[0]
    )
    parse.add_argument("kernel", metavar="KERNEL", help="a version or how it begins: 5.10, 6.1")
    parse.add_argument("command", metavar="COMMAND", nargs="+", help="one word is a shell's line")
    parse.add_argument("--cgroups", choices=list(MOUNTS), default="v2", help="layout (v2)")
    parse.add_argument("--disks", type=int, default=1, help="scratch disks: /dev/vda … (1)")
    parse.add_argument("--folder", type=Path, help="where to run it (here; arm64: /)")
    parse.add_argument("--shared", type=Path, help="a folder the guest can write to, as /mnt/out")
    parse.add_argument("--headers", action="store_true", help="with the kernel's headers in place")
    parse.add_argument(
        "--flavour", default=packages.FLAVOUR, help="cloud-amd64 (default), amd64, cloud-arm64 …"
    )
    parse.add_argument("--memory", type=int, default=2048, metavar="MIB", help="memory (2048)")
    parse.add_argument("--timeout", type=float, default=300, metavar="S", help="in all (300)")
    parse.add_argument(
        "--retries", type=int, default=1, help="boots after a guest froze, or never came up (1)"
    )
    parse.add_argument("--update", action="store_true", help="look for a newer one than is cached")
    parse.add_argument("--append", default="", help="more parameters of the kernel")
    return parse


def say(text: str) -> None:
    """A line of the runner's own."""
    print(f"[{text}]", file=sys.stderr, flush=True)


def cost(seconds: float, cpu_s: float) -> str:
    """How long something took, and what of the machine."""
    return f"{seconds:.1f} s, {cpu_s:.1f} s of a CPU"


def once(guest: Guest, kernel: packages.Kernel, found: Emulator, timeout_s: float) -> qemu.Ending:
    """One boot, said in two lines."""
    out, err = sys.stdout.buffer, sys.stderr.buffer
    before = os.times()
    ending = qemu.run(guest, kernel, found, timeout_s, out, err)
    after = os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])  # of children that ended
    if ending.kind != "done":
        print(f"--- console\n{ending.console}\n---", file=sys.stderr)
    how = f"status {ending.status}" if ending.kind == "done" else ending.kind
    up = "never up" if ending.up_s is None else f"up after {ending.up_s:.1f} s"
    say(f"{kernel.release}: {up}, {how} after {cost(ending.seconds, cpu_s)}")
    return ending


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    asked = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = packages.cache()
    try:
        kernel = packages.kernel(folder, asked.kernel, asked.flavour, asked.headers, asked.update)
        found, root = prepared(folder, asked.flavour)
    except packages.UnavailableError as error:
        print(f"run_in_kernel: {error}", file=sys.stderr)
        return UNAVAILABLE
    guest = Guest(
        command=asked.command[0] if len(asked.command) == 1 else shlex.join(asked.command),
        folder=(asked.folder or (Path.cwd() if root == Path("/") else Path("/"))).absolute(),
        cgroups=asked.cgroups,
        disks=asked.disks,
        shared=asked.shared,
        memory_mib=asked.memory,
        parameters=asked.append,
        root=root,
    )
    for _ in range(asked.retries + 1):
        ending = once(guest, kernel, found, asked.timeout)
        if ending.kind != "frozen" and ending.up_s is not None:
            break
    if ending.status is not None:
        return ending.status
    return TIMED_OUT if ending.kind == "timeout" else FROZE


if __name__ == "__main__":
    sys.exit(main())
