"""What a guest is like: its command, its disks, its cgroups, and the script that prepares it.

A guest sees this machine's root read-only under an overlay in memory, so it has the same programs
at the same paths; one of another architecture has a root of its own (`userland.py`). Nothing that
it writes is kept, except in a folder that is shared with it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.kernels.packages import Kernel

Cgroups = Literal["v2", "v1", "hybrid"]
SHARED = "/mnt/out"
SERIAL = ("console", "out", "err", "control")  # ttyS0 … ttyS3

# As systemd joins them; what a kernel lacks is left out.
CONTROLLERS = (
    "cpu,cpuacct blkio memory devices freezer net_cls,net_prio perf_event pids cpuset"
    " hugetlb rdma misc"
)
V1 = f"""$B mount -t tmpfs cgroups /sys/fs/cgroup
for c in {CONTROLLERS}; do
  $B mkdir /sys/fs/cgroup/$c
  $B mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c 2>/dev/null || $B rmdir /sys/fs/cgroup/$c
done"""
MOUNTS: dict[Cgroups, str] = {
    "v2": "$B mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    "v1": V1,
    "hybrid": V1
    + """
$B mkdir /sys/fs/cgroup/unified
$B mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified""",
}

SCRIPT = r"""B=/run/busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=dumb LANG=C.UTF-8
$B mkdir -p /dev/pts /dev/shm /run/lock
$B mount -t devpts devpts /dev/pts
$B mount -t tmpfs shm /dev/shm
{cgroups}
$B mount -t bpf bpf /sys/fs/bpf
$B mount -t debugfs debugfs /sys/kernel/debug
$B mount -t tracefs tracefs /sys/kernel/tracing
$B ln -sf /proc/self/fd /dev/fd
$B ln -sf /proc/self/fd/0 /dev/stdin
$B ln -sf /proc/self/fd/1 /dev/stdout
$B ln -sf /proc/self/fd/2 /dev/stderr
$B ifconfig lo 127.0.0.1 up
$B hostname guest
for t in 1 2 3; do $B stty -F /dev/ttyS$t raw -echo; done
V=$($B uname -r)
$B rm -rf /lib/modules/$V
$B mkdir -p /lib/modules/$V
for f in {modules}/*; do $B ln -s $f /lib/modules/$V/; done
{headers}
{shared}
cd {folder}
(while :; do read up idle </proc/uptime; echo "up $up" >/dev/ttyS3; $B sleep 2; done) &
/bin/sh -c {command} >/dev/ttyS1 2>/dev/ttyS2 </dev/null
status=$?
$B sync
echo "status $status" >/dev/ttyS3
$B poweroff -f
"""
HEADERS = r"""$B mkdir -p /usr/src
for f in {headers}/usr/src/linux-headers-*; do
  $B rm -rf /usr/src/$($B basename $f)
  $B ln -s $f /usr/src/
done
$B rm -f /lib/modules/$V/build /lib/modules/$V/source
$B ln -s /usr/src/linux-headers-$V /lib/modules/$V/build
$B ln -s /usr/src/linux-headers-*-common /lib/modules/$V/source"""
SHARE = f"$B mkdir -p {SHARED}; $B mount -t virtiofs shared {SHARED}"


@dataclass(frozen=True)
class Guest:
    """One guest.

    Attributes:
        command: For the machine's /bin/sh.
        folder: Where it is run; the same path as outside.
        cgroups: The layout of /sys/fs/cgroup.
        disks: How many scratch disks: /dev/vda, /dev/vdb … of `disk_mib` each, empty.
        shared: A folder of this machine that the guest can write to, as /mnt/out.
        memory_mib: Memory, which also holds what it writes to its root.
        parameters: More parameters of the kernel.
        root: A folder of this machine that is its root.
    """

    command: str
    folder: Path = Path("/")
    cgroups: Cgroups = "v2"
    disks: int = 1
    disk_mib: int = 4096
    shared: Path | None = None
    memory_mib: int = 2048
    parameters: str = ""
    root: Path = Path("/")

    def script(self, kernel: Kernel) -> str:
        """What is run as the guest's first process, once its root is in place."""
        headers = kernel.headers and HEADERS.format(headers=shlex.quote(str(kernel.headers)))
        return SCRIPT.format(
            cgroups=MOUNTS[self.cgroups],
            modules=shlex.quote(str(kernel.modules)),
            headers=headers or "",
            shared=SHARE if self.shared else "",
            folder=shlex.quote(str(self.folder)),
            command=shlex.quote(self.command),
        )
