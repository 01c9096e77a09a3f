"""The loader: compiles probes, attaches them, hands their descriptors over, and leaves.

One process imports bcc and reads the kernel's types, then forks a child for each probe, so that a
compiler that dies takes one probe with it. With them go the 120 MB that LLVM took. They leave by
`os._exit`: BCC's atexit hook would detach what was just handed over.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import socket
import sys
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from ebpftop import registry
from ebpftop.collector import cgroups, hooks
from ebpftop.collector.btf import Btf, BtfError
from ebpftop.collector.maps import MapShape
from ebpftop.paths import HEADERS, PROBES

if TYPE_CHECKING:
    from ebpftop.probe import Hook, Probe

FDS_PER_MESSAGE = 200  # the kernel passes at most 253 (SCM_MAX_FD)
DETAIL_LINES = 20
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PERF_TYPE_SOFTWARE = 1
PERF_SW_CPU_CLOCK = 0


@dataclasses.dataclass
class Loaded:
    """What the loader says of a probe; `fds` counts and orders the descriptors it sends.

    Attributes:
        ok: whether the probe runs; if not, `reason`, `hint` and `detail` say why.
        hooks: the hooks in use.
        missing: what is not seen with them.
        maps: shapes, one descriptor each.
        programs: names, one descriptor each.
        links: number of descriptors that keep the programs attached.
    """

    ok: bool
    hooks: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    maps: list[MapShape] = dataclasses.field(default_factory=list)
    programs: list[str] = dataclasses.field(default_factory=list)
    links: int = 0
    unavailable: bool = False
    reason: str = ""
    hint: str = ""
    detail: str = ""

    @property
    def fds(self) -> int:
        """Number of descriptors that follow."""
        return len(self.maps) + len(self.programs) + self.links


Job = tuple["Probe", socket.socket]


def load_all(jobs: list[Job]) -> NoReturn:
    """Load each probe and send it through its channel, as many at a time as there are CPUs.

    Every channel is sent one `Loaded`, whatever happens to the child that does the work.
    """
    children: dict[int, tuple[Job, BinaryIO]] = {}
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        kernel = _prepare()
        for job in jobs:
            if len(children) >= (os.cpu_count() or 1):
                _reap(children)
            log = tempfile.TemporaryFile()  # noqa: SIM115, closed when the child is reaped
            pid = os.fork()
            if pid == 0:
                _child(*job, kernel, log.fileno())
            children[pid] = job, log
        while children:
            _reap(children)
    finally:
        os._exit(0)


def _prepare() -> Btf | BtfError:
    """What all children need; an error is for each of them to report."""
    with contextlib.suppress(ImportError):
        import bcc  # noqa: F401
    try:
        btf = Btf()
    except BtfError as error:
        return error
    _shorten_kallsyms(btf)
    return btf


def _child(probe: Probe, channel: socket.socket, kernel: Btf | BtfError, log: int) -> NoReturn:
    """Load one probe. Clang and libbpf write to descriptor 2, so that becomes `log`."""
    status = 1
    try:
        os.dup2(log, 2)
        _send(channel, *_load(probe, kernel, log))
        status = 0
    except BaseException as error:  # a traceback of the child would land on the user's screen
        os.write(log, f"the loader failed: {error!r}\n".encode())
    finally:
        os._exit(status)


def _reap(children: dict[int, tuple[Job, BinaryIO]]) -> None:
    """Wait for a child; speak for it where it could not."""
    pid, status = os.wait()
    (_, channel), log = children.pop(pid)
    if status:
        code = os.waitstatus_to_exitcode(status)
        reason = f"the compiler ended without a word (status {code})"
        hint = "is there memory left? start the probe again; if it stays so, please report it"
        with contextlib.suppress(OSError):
            _send(channel, Loaded(False, reason=reason, hint=hint, detail=_tail(log.fileno())), [])
    channel.close()
    log.close()


def receive(channel: socket.socket) -> tuple[Loaded, list[int]] | None:
    """What was sent for one probe; None where the loader died before it could say anything."""
    data, fds = b"", list[int]()
    loaded: Loaded | None = None
    while loaded is None or len(fds) < loaded.fds:
        # The stream may glue the text to the first message that carries descriptors.
        more, more_fds, _, _ = socket.recv_fds(channel, 1 << 16, FDS_PER_MESSAGE)
        if not more:
            return None
        data, fds = data + more, fds + more_fds
        length = int.from_bytes(data[:4], "little")
        if loaded is None and len(data) >= 4 + length:
            fields = json.loads(data[4 : 4 + length])
            loaded = Loaded(**{**fields, "maps": [MapShape(**shape) for shape in fields["maps"]]})
    return loaded, fds


def _send(channel: socket.socket, loaded: Loaded, fds: list[int]) -> None:
    text = json.dumps(dataclasses.asdict(loaded)).encode()
    channel.sendall(len(text).to_bytes(4, "little") + text)
    for start in range(0, len(fds), FDS_PER_MESSAGE):
        socket.send_fds(channel, [b"+"], fds[start : start + FDS_PER_MESSAGE])


def _load(probe: Probe, kernel: Btf | BtfError, log: int) -> tuple[Loaded, list[int]]:
    if isinstance(kernel, BtfError):
        hint = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"
        return Loaded(False, unavailable=True, reason=str(kernel), hint=hint), []
    try:
        plan = hooks.plan(probe, kernel)
        flags = [*plan.flags, *cgroups.flags(kernel)]
    except hooks.UnavailableError as error:
        return Loaded(False, unavailable=True, reason=error.reason, hint=error.hint), []
    try:
        return _compile(probe, plan, flags)
    except Exception as error:  # bcc raises bare Exception
        detail = _tail(log)
        reason, hint = _explain(probe, str(error), detail)
        return Loaded(False, reason=reason, hint=hint, detail=detail), []


def _shorten_kallsyms(btf: Btf) -> None:
    """Let this process, and no other, see a /proc/kallsyms of one line.

    For every compile BCC reads and sorts all 120,000 symbols to learn whether one is there
    (bpf_probe_read_kernel, 5.5): two thirds of its time. Where mounts are refused it stays slow.
    """
    if btf.enumerator("bpf_func_id.BPF_FUNC_probe_read_kernel") is None:
        return
    libc = ctypes.CDLL(None)
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        return
    with tempfile.NamedTemporaryFile(prefix="ebpftop-") as symbols:
        symbols.write(b"ffffffff81000000 T bpf_probe_read_kernel\n")
        symbols.flush()
        libc.mount(symbols.name.encode(), b"/proc/kallsyms", None, MS_BIND, None)


def _compile(probe: Probe, plan: hooks.Plan, flags: list[str]) -> tuple[Loaded, list[int]]:
    os.environ["BCC_KERNEL_SOURCE"] = str(HEADERS)
    from bcc import BPF

    source = registry.source(probe)
    module = BPF(src_file=str(source), cflags=[*flags, f"-I{PROBES}", f"-I{source.parent}"])
    links: list[int] = []
    for hook in plan.hooks:
        links += _attach(module, hook)
    names = map_names(probe)
    tables = [module[name] for name in names]
    programs = {hook.program: module.funcs[hook.program.encode()].fd for hook in plan.hooks}
    loaded = Loaded(
        True,
        [str(hook) for hook in plan.hooks],
        list(plan.missing),
        [_shape(name, table) for name, table in zip(names, tables)],
        list(programs),
        len(links),
    )
    return loaded, [*(table.map_fd for table in tables), *programs.values(), *links]


def map_names(probe: Probe) -> list[str]:
    """The maps of a probe's C file that the collector reads or writes."""
    names: list[str] = []
    for name, layout in probe.maps.items():
        names += [name + "_0", name + "_1"] if layout.double else [name]
    if any(layout.double for layout in probe.maps.values()):
        names.append("phase")
    return [*names, "lost"] if probe.lost else names


def _shape(name: str, table: Any) -> MapShape:
    return MapShape(
        name,
        table.ttype,
        ctypes.sizeof(table.Key),
        ctypes.sizeof(table.Leaf),
        table.max_entries,
    )


def _attach(module: Any, hook: Hook) -> list[int]:
    """Attach one program; returns the descriptors that keep it attached."""
    from bcc import BPF

    if hook.kind == "raw_tracepoint":
        module.attach_raw_tracepoint(hook.target.encode(), hook.program.encode())
        return [module.raw_tracepoint_fds[hook.target.encode()]]
    if hook.kind == "perf_event":
        module.load_func(hook.program, BPF.PERF_EVENT)
        module.attach_perf_event(
            ev_type=PERF_TYPE_SOFTWARE,
            ev_config=PERF_SW_CPU_CLOCK,
            fn_name=hook.program,
            sample_freq=hook.frequency,
        )
        return list(module.open_perf_events[(PERF_TYPE_SOFTWARE, PERF_SW_CPU_CLOCK)].values())
    attach = module.attach_kprobe if hook.kind == "kprobe" else module.attach_kretprobe
    attach(event=hook.target, fn_name=hook.program)
    return [fd for fds in module.kprobe_fds.values() for fd in fds.values()][-1:]


def _tail(log: int) -> str:
    """The last lines that were written to a loader's log."""
    size = os.fstat(log).st_size
    text = os.pread(log, 1 << 16, max(0, size - (1 << 16))).decode(errors="replace")
    return "\n".join(text.splitlines()[-DETAIL_LINES:])


def _explain(probe: Probe, error: str, detail: str) -> tuple[str, str]:
    """Reason and hint for what bcc raised."""
    if "Failed to compile" in error:
        return (
            f"{probe.area}/{probe.name}.c does not compile here",
            "please report the lines below, with the kernel's version and that of bcc",
        )
    if "super-user" in error or "Operation not permitted" in error or "EPERM" in detail:
        return (
            "the kernel refused the program: no permission",
            "run as root; in a container add CAP_BPF and CAP_PERFMON; check kernel lockdown",
        )
    if "No module named" in error:
        return (
            f"{sys.executable} has no bcc",
            "apt install python3-bpfcc (not PyPI's bcc, which is something else)",
        )
    return error or "the loader failed", "`ebpftop probes` lists what each probe needs"
