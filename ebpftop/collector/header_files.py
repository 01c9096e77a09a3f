"""Where the running kernel's headers are, and which of them declare what probes ask for.

They are where BCC looks for them: the folder that BCC_KERNEL_SOURCE names, what the distribution's
package put below /lib/modules, or /sys/kernel/kheaders.tar.xz (5.2, CONFIG_IKHEADERS), which is
there when its module is loaded.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import re
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")
VARIABLE = "BCC_KERNEL_SOURCE"
ARCHIVE = "sys/kernel/kheaders.tar.xz"
# A header of the source, and what the build wrote.
SOURCE, CONFIG, RELEASE = (
    "include/linux/sched.h",
    "include/generated/autoconf.h",
    "include/generated/utsrelease.h",
)
# The order of structures' members is shuffled by a seed that headers do not tell.
SHUFFLED = re.compile(r"^#define CONFIG_(GCC_PLUGIN_)?RANDSTRUCT 1$", re.MULTILINE)
# Names of the kernel's folders for architectures.
ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64"}
EVENTS = "include/trace/events"  # where tracepoints are declared
# Headers in the order in which they are included, where they are there, and what they declare.
DECLARED = {
    "linux/sched.h": "task_struct",
    "linux/srcu.h": "class_srcu_fast_notrace_t",
    "linux/ptrace.h": "pt_regs",
    "linux/cgroup.h": "css_set cgroup_subsys_state cgroup cgroup_subsys_id",
    "linux/kernfs.h": "kernfs_node",
    "linux/xarray.h": "xa_node",
    "linux/mm.h": "vm_area_struct vm_fault filemap_fault filemap_map_pages",
    "linux/mm_types.h": "page folio",
    "linux/page-flags.h": "pageflags",
    "linux/uio.h": "iov_iter",
    "linux/fs.h": "inode file address_space kiocb generic_file_buffered_read filemap_splice_read",
    "linux/pagemap.h": "filemap_read",
    "linux/bio.h": "bio",
    "linux/blk_types.h": "req_op req_opf",
    "linux/genhd.h": "gendisk",  # before 5.18
    "linux/blkdev.h": "gendisk request request_queue block_device",
    "linux/blk-mq.h": "request",  # 5.16
    "linux/net.h": "socket",
    "net/sock.h": "sock sock_flags",
    "net/inet_sock.h": "inet_sock",
    "linux/tcp.h": "tcp_sock",
    "net/tcp.h": "tcp_splice_read",
    "net/inet_common.h": "inet_sendmsg inet_recvmsg inet_sendpage",
    "net/ipv6.h": "inet6_sendmsg inet6_recvmsg",
    "uapi/linux/bpf.h": "bpf_func_id",
}
# What the kernel's .c files, and headers beside them, have for themselves: no package has those.
LOCAL = frozenset({"rq", "cfs_rq", "mptcp_splice_read"})
# How each distribution (ID in /etc/os-release) has the headers of a kernel.
PACKAGES = {
    "debian": "apt install linux-headers-{release}",
    "ubuntu": "apt install linux-headers-{release}",
    "fedora": "dnf install kernel-devel-{release}",
    "rhel": "dnf install kernel-devel-{release}",
    "suse": "zypper install kernel-{flavour}-devel",
    "arch": "pacman -S linux-headers",
    "alpine": "apk add linux-{flavour}-dev",
}


class HeadersError(Exception):
    """There are no headers of this kernel, or none that tell the truth of it; one sentence.

    `absent` says that to install them would help.
    """

    def __init__(self, sentence: str, absent: bool = False) -> None:
        super().__init__(sentence)
        self.absent = absent


@dataclass(frozen=True)
class Headers:
    """A kernel's headers.

    Attributes:
        build: what was made when the kernel was built, or the archive that has everything.
        source: the others; the same folder where they are not kept apart.
    """

    build: Path
    source: Path

    @property
    def identity(self) -> str:
        """Changes when the headers do."""
        if self.build.is_file():
            return str(self.build)
        status = (self.build / CONFIG).stat()
        return f"{self.build.resolve()} {self.source.resolve()} {status.st_mtime_ns}"

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[Headers]:
        """The same as folders, for as long as they are looked at."""
        if not self.build.is_file():
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="ebpftop-headers-") as name:
            try:
                with tarfile.open(self.build) as archive:
                    archive.extractall(name)
                _check_layout(Path(name))
            except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
                raise HeadersError(f"{self.build} cannot be unpacked: {error}") from None
            yield Headers(Path(name), Path(name))

    def flags(self, machine: str) -> list[str]:
        """Where the compiler finds what is not in the source's folder."""
        if self.build == self.source:
            return []
        arch = f"arch/{ARCHITECTURES.get(machine, machine)}/include/generated"
        folders = (arch, f"{arch}/uapi", "include", "include/generated/uapi")
        return [f"-I{self.build.resolve()}/{folder}" for folder in folders]


def find(release: str, root: Path = ROOT) -> Headers:
    """The headers of the running kernel.

    Raises:
        HeadersError: there are none, or they are of another kernel.
    """
    modules = root / "lib/modules" / release
    named = os.environ.get(VARIABLE)
    for build in (*([Path(named)] if named else []), modules / "build"):
        if (build / CONFIG).is_file():
            source = build if (build / SOURCE).is_file() else modules / "source"
            if (source / SOURCE).is_file():
                _check_release(build, release)
                _check_layout(build)
                return Headers(build, source)
    archive = root / ARCHIVE
    if archive.is_file():
        return Headers(archive, archive)
    raise HeadersError("its headers are not installed", absent=True)


def _check_release(build: Path, release: str) -> None:
    told = ""
    with contextlib.suppress(OSError):
        told = (build / RELEASE).read_text(errors="replace")
    written = re.search(r'UTS_RELEASE\s+"(.*)"', told)
    if written and written[1] != release:
        raise HeadersError(f"the headers in {build} are those of {written[1]}", absent=True)


def _check_layout(build: Path) -> None:
    if SHUFFLED.search((build / CONFIG).read_text(errors="replace")):
        raise HeadersError("it was built with CONFIG_RANDSTRUCT, so its headers tell no offsets")


def command(release: str, distribution: tuple[str, ...], root: Path = ROOT) -> str:
    """What brings the headers of this kernel; empty where that is not known."""
    if next((root / "lib/modules" / release / "kernel/kernel").glob("kheaders.ko*"), None):
        return "modprobe kheaders"
    package = next((PACKAGES[name] for name in distribution if name in PACKAGES), "")
    return package.format(release=release, flavour=release.rpartition("-")[2])


def events(headers: Headers, tracepoints: set[str]) -> dict[str, str]:
    """Which header, as it is included, declares each of some tracepoints, if one does."""
    found: dict[str, str] = {}
    for path in sorted((headers.source / EVENTS).glob("*.h")):
        text = path.read_text(errors="replace")
        for name in tracepoints.intersection(re.findall(r"\b\w+(?=\s*,)", text)):
            found.setdefault(name, f"trace/events/{path.name}")
    return found
