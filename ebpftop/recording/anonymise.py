"""A recording's names replaced, so that it can be given to others.

Only what is known to be harmless stays; every other text is replaced, also in tables of probes
that this module has never heard of (`Column.closed`). The same name becomes the same other one
wherever it occurs in an excerpt, and two names never become one. Replacements are numbered in the
order in which names come up, so nothing can be worked out from them; what they stand for is known
to the running program only, and gone when it ends.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, TypeVar

from ebpftop.model import Bye, Hello, Process, Sample, Status, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ebpftop.model import Column, Record, Row

    Replace = Callable[[str], str]

R = TypeVar("R", bound="Record")
WHAT_IT_DOES = (
    "Replaced, everywhere by the same: names of the host, of users, programs, units, cgroups,"
    " containers, pods and files, command lines, addresses, functions in programs, and every other"
    " text that is not known to be harmless. Loopback addresses stay; others stay IPv4 or IPv6, and"
    " of the link (169.254.x, fe80::), private (10.x, fd00::) or public (240.x, 2001:db8::)."
    " Kept: times, figures, process ids, ports, cgroup ids, user ids below 1000, which runtime"
    " runs a container, disks as the kernel names them, system calls, errors, functions of the"
    " kernel and of the C library, the kernel's usual threads and the number of its version. The"
    " reason for which a probe failed may quote files, so it is left out."
)

SYSTEM_UIDS = range(1000)
NOBODY = 65534
LEFT_OUT = "the reason was left out when the recording was made anonymous"
KERNEL_VERSION = re.compile(r"\d+(\.\d+)*")
# Hooks of these kinds name what the kernel has; others may name files.
KERNEL_HOOKS = ("raw_tp:", "kprobe:", "kretprobe:", "perf:")
DISK = r"((sd|vd|xvd|hd)[a-z]+|nvme\d+(c\d+)?n\d+|(dm-|md|sr|nbd|loop|ram|zram|mmcblk)\d+|\d+:\d+)"
KERNEL_DISK = re.compile(DISK)
KERNEL_THREAD = re.compile(
    r"kworker/[uR]?\d+:\d+[HI]*"
    r"([-+](events(_unbound|_long|_highpri|_freezable|_power_efficient)?|writeback|kblockd"
    r"|mm_percpu_wq|flush-\d+:\d+))?"
    r"|(ksoftirqd|migration|cpuhp|rcuc|rcuo[gps]|swapper)/\d+|(kswapd|kcompactd)\d+"
    r"|kthreadd|rcu_(sched|preempt|gp|par_gp|tasks_kthread)|kauditd|khungtaskd|khugepaged|ksmd"
    r"|oom_reaper|kdevtmpfs"
    rf"|(jbd2|xfsaild)/{DISK}(p?\d+)?(-\d+)?"
)
# Folders and cgroups that are everywhere (hier(7), systemd.special(7)).
EVERYWHERE = re.compile(
    "|bin|boot|dev|etc|home|lib|lib32|lib64|libexec|local|media|mnt|opt|proc|root|run|sbin|share"
    "|snap|srv|sys|tmp|usr|var"
    r"|init\.scope|(app|background|machine|session|system|user|-)\.slice"
)
RUNTIMES = frozenset(
    ("docker", "podman", "containerd", "cri-o", "lxc", "lxd", "incus", "systemd-nspawn", "libvirt")
)
SCOPES = ("pid", "cgroup")
UNIT_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".mount")
# What collector/stacks.py and offcputime put where frames are missing.
MARKS = frozenset(
    (
        "[unknown]",
        "[compiled code]",
        "[stack not kept]",
        "[no stack]",
        "[cut off]",
        "[no frame pointers]",
        "[new thread]",
        "[since before the start of this probe]",
    )
)
KERNEL_SUFFIX = "_[k]"
KERNEL_FRAME = re.compile(r"((?!\d|bpf_prog_)[\w.$]+|\[cut off\]|\[unknown\])_\[k\]", re.ASCII)
# Where threads begin, and where they wait: names that stand in every program's stacks.
C_LIBRARY = re.compile(
    r"(__GI_|__libc_|_)*"
    r"(start|main|start_main|start_main_impl|start_call_main|start_thread|clone|clone3"
    r"|clone_internal|poll|ppoll|select|pselect|epoll_wait|epoll_pwait|read|pread64|readv|write"
    r"|pwrite64|writev|recv|recvfrom|recvmsg|send|sendto|sendmsg|accept|accept4|connect|open|open64"
    r"|openat|close|fsync|fdatasync|nanosleep|clock_nanosleep|sleep|usleep|wait4|waitpid|waitid"
    r"|sigtimedwait|pause|ioctl|syscall|futex_abstimed_wait_common(64)?|lll_lock_wait"
    r"|pthread_(cond_wait|cond_timedwait|mutex_lock|join)|sem_wait)"
    r"(_nocancel|_cancel)?(@@?GLIBC_[\d.]+)?"
)
STACKS = 16_384
LINK4, PRIVATE4, PUBLIC4 = map(ipaddress.IPv4Address, ("169.254.0.0", "10.0.0.0", "240.0.0.0"))
LINK6, PRIVATE6, PUBLIC6 = map(ipaddress.IPv6Address, ("fe80::", "fd00::", "2001:db8::"))
SHARED4 = ipaddress.IPv4Network("100.64.0.0/10")  # RFC 6598: private, though not said to be


class Anonymiser:
    """Replaces the names in the records of one excerpt; `WHAT_IT_DOES` says which."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._stacks: dict[str, str] = {}
        self._columns: dict[tuple[str, str], list[Replace]] = {}
        # Records are made anew from the fields that are known here: one that is added to the
        # model later is left out, not let through.
        self._changes: dict[type, Callable[[Any], Any]] = {
            Hello: self._hello,
            Status: self._status,
            Process: self._process,
            Sample: self._sample,
            Tick: lambda tick: tick,
            Bye: lambda bye: bye,
        }

    def __call__(self, record: R) -> R:
        """The same record without its names; records must come in the order of the stream."""
        made: R = self._changes[type(record)](record)
        return made

    def _hello(self, hello: Hello) -> Hello:
        self._columns = {
            (probe.name, table.name): list(map(self._replacement, table.columns))
            for probe in hello.probes
            for table in probe.tables
        }
        version = KERNEL_VERSION.match(hello.kernel)
        return Hello(
            host=self._numbered("host", hello.host),
            kernel=version[0] if version else "",
            boot_id=self._numbered("boot", hello.boot_id),
            cpus=hello.cpus,
            interval_ns=hello.interval_ns,
            wall_ns=hello.wall_ns,
            mono_ns=hello.mono_ns,
            probes=hello.probes,
            machine=hello.machine,
        )

    def _status(self, status: Status) -> Status:
        # A degraded probe's reason is a sentence of the probe; that of a failure quotes errors.
        failed = status.state in ("failed", "unavailable") and status.reason
        return Status(
            status.probe,
            status.state,
            tuple(map(self._hook, status.hooks)),
            LEFT_OUT if failed else status.reason,
            status.hint,
        )

    def _process(self, process: Process) -> Process:
        return Process(
            pid=process.pid,
            start_ns=process.start_ns,
            comm=self._comm(process.comm),
            ppid=process.ppid,
            uid=self._uid(process.uid),
            user=process.user if process.user == "root" else self._numbered("user", process.user),
            exe=self._path(process.exe),
            cmdline=self._numbered("command", process.cmdline),
            cgroup=process.cgroup,
            cgroup_path=self._path(process.cgroup_path),
            unit=self._part(process.unit),
            container=self._name(process.container),
            runtime=self._runtime(process.runtime),
            pod=self._pod(process.pod),
        )

    def _sample(self, sample: Sample) -> Sample:
        return Sample(
            sample.probe,
            sample.seq,
            sample.wall_ns,
            sample.mono_ns,
            sample.dt_ns,
            {
                name: self._rows(rows, self._columns.get((sample.probe, name), ()))
                for name, rows in sample.tables.items()
            },
            sample.lost,
            sample.cost,
            sample.truncated,
            {kind: n for kind, n in sample.scope.items() if kind in SCOPES and isinstance(n, int)},
        )

    def _rows(self, rows: list[Row], columns: Sequence[Replace]) -> list[Row]:
        def value(replace: Replace, value: Any) -> Any:
            return value if value is None or isinstance(value, (int, float)) else replace(value)

        width = max(map(len, rows), default=0)
        columns = [*columns, *[self._name] * (width - len(columns))]
        return [tuple(map(value, columns, row)) for row in rows]

    def _replacement(self, column: Column) -> Replace:
        """What becomes of the texts of a column."""
        if column.kind == "stack":
            return self._stack
        if column.closed:
            return str
        if column.role == "disk":
            return self._disk
        if column.role in ("laddr", "raddr"):
            return self._address
        kind = column.role or column.name
        return lambda text: self._numbered(kind, text)

    def _numbered(self, kind: str, text: str) -> str:
        """`kind-7` for the seventh text of that kind; nothing stays nothing."""
        return f"{kind}-{self._number(kind, text)}" if text else ""

    def _number(self, kind: str, text: str) -> int:
        known = self._numbers.setdefault(kind, {})
        return known.setdefault(str(text), len(known) + 1)

    def _name(self, text: str) -> str:
        return self._numbered("name", text)

    def _comm(self, comm: str) -> str:
        return comm if KERNEL_THREAD.fullmatch(comm) else self._name(comm)

    def _uid(self, uid: int | None) -> int | None:
        if uid is None or uid in SYSTEM_UIDS or uid == NOBODY:
            return uid
        return SYSTEM_UIDS.stop - 1 + self._number("uid", str(uid))

    def _runtime(self, runtime: str) -> str:
        return runtime if runtime in RUNTIMES else self._numbered("runtime", runtime)

    def _pod(self, pod: str) -> str:
        """A uid, or namespace and name."""
        kinds = ("namespace", "pod") if "/" in pod else ("pod",)
        return "/".join(map(self._numbered, kinds, pod.split("/", 1)))

    def _hook(self, hook: str) -> str:
        return hook if hook.startswith(KERNEL_HOOKS) else self._numbered("hook", hook)

    def _disk(self, disk: str) -> str:
        return disk if KERNEL_DISK.fullmatch(disk) else self._numbered("disk", disk)

    def _path(self, path: str) -> str:
        return "/".join(map(self._part, path.split("/")))

    def _part(self, part: str) -> str:
        """One part of a path, or a unit: `nginx` and `nginx.service` stay alike."""
        if EVERYWHERE.fullmatch(part):
            return part
        suffix = next((suffix for suffix in UNIT_SUFFIXES if part.endswith(suffix)), "")
        return self._name(part.removesuffix(suffix)) + suffix

    def _stack(self, stack: str) -> str:
        known = self._stacks.get(stack)
        if known is None:
            if len(self._stacks) >= STACKS:
                self._stacks.clear()
            known = self._stacks[stack] = ";".join(map(self._frame, stack.split(";")))
        return known

    def _frame(self, frame: str) -> str:
        if frame in MARKS or KERNEL_FRAME.fullmatch(frame) or C_LIBRARY.fullmatch(frame):
            return frame
        suffix = KERNEL_SUFFIX if frame.endswith(KERNEL_SUFFIX) else ""
        return self._numbered("function", frame) + suffix

    def _address(self, text: str) -> str:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return self._numbered("address", text)
        if address.is_loopback or address.is_unspecified:
            return str(address)
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped:
                return f"::ffff:{self._address(str(address.ipv4_mapped))}"
            local = address.is_link_local, address in ipaddress.IPv6Network("fc00::/7")
            base: Any = LINK6 if local[0] else PRIVATE6 if local[1] else PUBLIC6
        elif address.is_link_local:
            base = LINK4
        else:
            base = PRIVATE4 if address.is_private or address in SHARED4 else PUBLIC4
        return str(base + self._number(str(base), str(address)))
