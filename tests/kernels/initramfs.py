"""The first file system of a guest: busybox, the modules it needs to see its root, two scripts."""

from __future__ import annotations

import lzma
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The last two are for what the disks are used for; ext4 asks for crc32c by a name of its own.
MODULES = ("virtio_pci", "virtio_blk", "virtiofs", "overlay", "crc32c_generic", "ext4")
FOLDER, PROGRAM, FILE = 0o40755, 0o100755, 0o100644
DEVICES = (("dev/console", 0o20600, (5, 1)), ("dev/null", 0o20666, (1, 3)))

# The root of the machine is read-only below; what the guest writes stays in its memory.
INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for m in $($B cat /lib/order); do $B insmod /lib/$m.ko || $B echo "insmod $m failed"; done
$B mount -t virtiofs -o ro root /ro || $B poweroff -f
$B mount -t tmpfs -o size=75% tmpfs /rw
$B mkdir -p /rw/upper /rw/work
$B mount -t overlay overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work /root ||
  $B poweroff -f
for d in proc sys dev; do $B mount --move /$d /root/$d; done
$B mount -t tmpfs run /root/run
$B cp $B /guest.sh /root/run/
exec $B switch_root /root /run/busybox sh /run/guest.sh
"""


def modules(folder: Path, wanted: Sequence[str]) -> list[tuple[str, bytes]]:
    """Names and contents of modules in the order they load in; those built in are left out.

    Args:
        folder: The kernel's `lib/modules/RELEASE`.
        wanted: Names; what they depend on comes before them.
    """
    files = {_name(path): path for path in folder.rglob("*.ko*")}
    builtin = {_name(Path(line)) for line in (folder / "modules.builtin").read_text().splitlines()}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name in builtin or name not in files:
            return
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in depends[1].decode().split(",") if depends else ():
            add(other.replace("-", "_"))
        found[name] = content

    for name in wanted:
        add(name)
    return list(found.items())


def _name(path: Path) -> str:
    return path.name.split(".")[0].replace("-", "_")


def archive(entries: Sequence[tuple[str, int, bytes | tuple[int, int]]]) -> bytes:
    """A cpio archive (`newc`) of names, modes, and contents or device numbers."""
    out = BytesIO()
    for inode, (name, mode, what) in enumerate((*entries, ("TRAILER!!!", 0, b"")), 1):
        content, device = (what, (0, 0)) if isinstance(what, bytes) else (b"", what)
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields))
        for part in (name.encode() + b"\0", content):
            out.write(part)
            out.write(bytes(-out.tell() % 4))
    return out.getvalue()


def initramfs(folder: Path, busybox: Path, script: str) -> bytes:
    """What QEMU hands to the kernel; `script` is run by busybox in the guest's root."""
    loaded = modules(folder, MODULES)
    entries: list[tuple[str, int, bytes | tuple[int, int]]] = [
        (name, FOLDER, b"") for name in ("bin", "proc", "sys", "dev", "lib", "ro", "rw", "root")
    ]
    entries += DEVICES
    entries.append(("bin/busybox", PROGRAM, busybox.read_bytes()))
    entries += [(f"lib/{name}.ko", FILE, content) for name, content in loaded]
    entries.append(("lib/order", FILE, "".join(f"{name}\n" for name, _ in loaded).encode()))
    entries += [("init", PROGRAM, INIT.encode()), ("guest.sh", FILE, script.encode())]
    return archive(entries)
