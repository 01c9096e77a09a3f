"""A guest in QEMU, by software emulation: started, watched, ended."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from tests.kernels.guest import SERIAL, Guest
from tests.kernels.initramfs import initramfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernels.emulator import Emulator
    from tests.kernels.packages import Kernel

BOOT_S = 180  # until a guest says that it is up
FROZEN_S = 60  # without a word since then; it speaks every two seconds
PARAMETERS = "console=ttyS0 quiet panic=-1 mitigations=off"
STATUS = re.compile(r"(?m)^status (\d+)\n")
CONSOLE_CHARS = 6000


@dataclass(frozen=True)
class Ending:
    """How a guest ended.

    Attributes:
        kind: `done` is the only one in which the command came to its end; `stopped` is a panic.
        status: The command's; None unless it is done.
        up_s: From the start to the first word; None if there was none.
        seconds: From start to end.
        console: The end of what the kernel said.
    """

    kind: Literal["done", "timeout", "frozen", "stopped"]
    status: int | None
    up_s: float | None
    seconds: float
    console: str


def run(
    guest: Guest,
    kernel: Kernel,
    emulator: Emulator,
    timeout_s: float,
    out: BinaryIO,
    err: BinaryIO,
) -> Ending:
    """Boot a guest, pass on what its command says, and tell how it ended."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ebpftop-guest-")))
        arguments = [*emulator.qemu, *_machine(guest, emulator, folder)]
        shares = {"root": guest.root} | ({"shared": guest.shared} if guest.shared else {})
        for tag, path in shares.items():
            cached = "always" if tag == "root" else "none"
            end = stack.enter_context(_shared(emulator, folder / tag, path, cached))
            arguments += ["-chardev", f"socket,id={tag},path={end}"]
            arguments += ["-device", f"vhost-user-fs-pci,queue-size=1024,chardev={tag},tag={tag}"]
        first = initramfs(kernel.modules, Path(emulator.busybox), guest.script(kernel))
        (folder / "initrd").write_bytes(first)
        parameters = f"{PARAMETERS} {emulator.machine.parameters} {guest.parameters}"
        arguments += ["-kernel", str(kernel.image), "-initrd", str(folder / "initrd")]
        arguments += ["-append", parameters]
        process = stack.enter_context(_running(arguments, emulator))
        return _Watch(process, folder, out, err).until_it_ends(timeout_s)


def _machine(guest: Guest, emulator: Emulator, folder: Path) -> list[str]:
    """Arguments for CPUs, memory, serial lines and disks."""
    memory = f"{guest.memory_mib}M"
    arguments = [
        *("-accel", "tcg,thread=multi", "-smp", str(emulator.cpus)),
        *("-m", memory, "-numa", "node,memdev=memory"),
        *("-object", f"memory-backend-memfd,id=memory,size={memory},share=on"),
        *("-display", "none", "-no-reboot", "-nodefaults", "-nic", "none"),
        *("-monitor", f"unix:{folder}/monitor,server=on,wait=off"),
    ]
    for name in SERIAL:
        arguments += ["-chardev", f"file,id={name},path={folder / name}"]
    arguments += emulator.machine.arguments
    for number in range(guest.disks):
        path = folder / f"disk{number}"
        with path.open("wb") as disk:
            disk.truncate(guest.disk_mib << 20)
        arguments += ["-drive", f"file={path},if=virtio,format=raw,cache=unsafe,discard=unmap"]
    return arguments


@contextmanager
def _running(
    arguments: list[str], emulator: Emulator, log: BinaryIO | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block at the latest."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(arguments, env=emulator.environment, stdin=nothing, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _shared(emulator: Emulator, end: Path, path: Path, cached: str) -> Iterator[Path]:
    """A folder that is served to the guest; the socket that QEMU is to speak to."""
    options = f"source={path.absolute()},sandbox=chroot,cache={cached},log_level=err"
    command = [emulator.virtiofsd, f"--socket-path={end}", "-o", options]
    # It complains of each guest that goes; what matters, a guest without a root says itself.
    with end.with_suffix(".log").open("wb") as log, _running(command, emulator, log) as process:
        while not end.exists() and process.poll() is None:
            time.sleep(0.02)
        yield end


class _Watch:
    """Reads what a guest writes to its serial lines, which are files here."""

    def __init__(
        self, process: subprocess.Popen[bytes], folder: Path, out: BinaryIO, err: BinaryIO
    ) -> None:
        self._process, self._folder = process, folder
        self._began = time.monotonic()
        self._up_s: float | None = None
        self._sinks = {"out": out, "err": err}
        self._passed = dict.fromkeys(self._sinks, 0)

    def until_it_ends(self, timeout_s: float) -> Ending:
        """Wait for a status, an ending without one, or a reason to give up."""
        kind = self._wait(timeout_s)
        match = STATUS.search(self._said("control"))
        if match:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)  # it powers off
        elif kind != "stopped":
            self._ask_for_stacks()
        self._pass_on()
        return Ending(
            "done" if match else kind,
            int(match[1]) if match else None,
            self._up_s,
            time.monotonic() - self._began,
            self._said("console")[-CONSOLE_CHARS:],
        )

    def _wait(self, timeout_s: float) -> Literal["timeout", "frozen", "stopped"]:
        said, spoke = "", self._began
        while True:
            ended = self._process.poll() is not None
            now = time.monotonic()
            self._pass_on()
            control = self._said("control")
            if control != said:
                said, spoke = control, now
                self._up_s = self._up_s or now - self._began
            if ended or STATUS.search(said):
                return "stopped"
            if now - spoke > (FROZEN_S if said else BOOT_S):
                return "frozen"
            if now - self._began > timeout_s:
                return "timeout"
            time.sleep(0.05)

    def _said(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _pass_on(self) -> None:
        for name, sink in self._sinks.items():
            with suppress(FileNotFoundError), (self._folder / name).open("rb") as file:
                file.seek(self._passed[name])
                if said := file.read():
                    self._passed[name] += len(said)
                    sink.write(said)
                    sink.flush()

    def _ask_for_stacks(self) -> None:
        """On an NMI a kernel that froze prints its stacks (unknown_nmi_panic)."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(2)
            monitor.connect(f"{self._folder}/monitor")
            monitor.recv(4096)
            monitor.sendall(b"nmi\n")
            time.sleep(2)
