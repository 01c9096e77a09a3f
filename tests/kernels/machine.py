"""The machines that are emulated: what Debian and QEMU call them, and their serial lines."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kernels.guest import SERIAL


@dataclass(frozen=True)
class Machine:
    """A kind of machine.

    Attributes:
        name: What Debian calls it; a kernel's flavour ends in it, or has it before a page's size.
        qemu: The program that emulates it, and `package` has it.
        arguments: Its CPU, and its serial lines: `ttyS0` and so on for the names in `SERIAL`.
        parameters: Of its kernel.
    """

    name: str
    qemu: str
    package: str
    arguments: tuple[str, ...]
    parameters: str


# All that can be emulated, but for what takes longer to emulate than it gains: a fifth level of
# page tables, checks at each way into the kernel, wide registers to save at each switch.
# Where others use the CPUs, a guest's timer seems broken to a kernel that checks it (5.10, 6.1).
AMD64 = Machine(
    "amd64",
    "qemu-system-x86_64",
    "qemu-system-x86",
    (
        *("-cpu", "max,la57=off,smap=off,smep=off,umip=off,pku=off,xsave=off,avx=off,avx2=off"),
        *(part for name in SERIAL for part in ("-device", f"isa-serial,chardev={name}")),
    ),
    "tsc=reliable no_timer_check unknown_nmi_panic",
)
# Likewise without signed pointers, of which each is a computation here, and large addresses, which
# 5.10 does not expect.
ARM64 = Machine(
    "arm64",
    "qemu-system-aarch64",
    "qemu-system-arm",
    (
        *("-machine", "virt,gic-version=3", "-cpu", "max,pauth=off,lpa2=off"),
        "-device",
        ",".join(("pci-serial-4x", *(f"chardev{n}={name}" for n, name in enumerate(SERIAL, 1)))),
    ),
    "",
)


def machine(flavour: str) -> Machine:
    """What a kernel's flavour runs on: `cloud-arm64`, `arm64-16k`, `amd64`."""
    return ARM64 if ARM64.name in flavour else AMD64
