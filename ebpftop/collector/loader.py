"""The loader: compiles probes, attaches them, hands their descriptors over, and leaves.

One process reads the kernel's types, chooses the hooks, and looks for programs that an earlier
start compiled; only if some are missing does it import bcc. Then it forks a child for each probe,
so that a compiler that dies takes one probe with it. With them go the 120 MB that LLVM took. They
leave by `os._exit`: BCC's atexit hook would detach what was just handed over.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ebpftop import registry
from ebpftop.collector import bpf, bytecode, cgroups, hooks, perf
from ebpftop.collector.bytecode import PROGRAM_TYPES, TRACING, Bytecode, BytecodeError
from ebpftop.collector.cache import Cache, file_name
from ebpftop.collector.environment import cpu_list
from ebpftop.collector.kernel_types import kernel_types
from ebpftop.collector.maps import MapShape
from ebpftop.collector.scope import SCOPE
from ebpftop.paths import HEADERS, PROBES

if TYPE_CHECKING:
    from ebpftop.collector.hooks import KernelTypes
    from ebpftop.probe import Hook, Probe

FDS_PER_MESSAGE = 200  # the kernel passes at most 253 (SCM_MAX_FD)
DETAIL_LINES = 20
LOCKDOWN = Path("/sys/kernel/security/lockdown")
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PLAIN = (0, 0)  # of programs that are not of type TRACING
ONLINE_CPUS = Path("/sys/devices/system/cpu/online")


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
Result = tuple[Loaded, list[int]]


@dataclasses.dataclass
class Order:
    """What a child is to do for a probe.

    Attributes:
        flags: for the compiler.
        hook_types: BTF id and way of attachment of each program of type TRACING.
        name: of the programs in the cache.
        kept: what the cache has of them.
    """

    probe: Probe
    plan: hooks.Plan
    flags: list[str]
    hook_types: dict[str, tuple[int, int]]
    name: str
    kept: Bytecode | None


def load_all(jobs: list[Job]) -> NoReturn:
    """Load each probe and send it through its channel, as many at a time as there are CPUs.

    Every channel is sent one `Loaded`, whatever happens to the child that does the work.
    """
    children: dict[int, tuple[Job, int]] = {}
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        cache = Cache()
        orders = _prepare([probe for probe, _ in jobs], cache)
        for job, order in zip(jobs, orders):
            if len(children) >= (os.cpu_count() or 1):
                _reap(children)
            log = os.memfd_create("ebpftop-log")
            pid = os.fork()
            if pid == 0:
                _child(job[1], order, cache, log)
            children[pid] = job, log
        while children:
            _reap(children)
    finally:
        os._exit(0)


def _prepare(probes: list[Probe], cache: Cache) -> list[Order | Loaded]:
    """What to do for each probe, or why nothing can be done; then what all compiles need."""
    try:
        kernel = kernel_types(cache)
    except hooks.UnavailableError as error:
        card = Loaded(False, unavailable=True, reason=error.reason, hint=error.hint)
        return [card] * len(probes)
    orders = [_order(probe, kernel, cache) for probe in probes]
    if any(isinstance(order, Order) and order.kept is None for order in orders):
        with contextlib.suppress(ImportError):
            import bcc  # noqa: F401
        cache.note_compiler()
        _shorten_kallsyms(kernel)
    return orders


def _order(probe: Probe, kernel: KernelTypes, cache: Cache) -> Order | Loaded:
    try:
        plan = hooks.plan(probe, kernel)
        flags = [*plan.flags, *cgroups.flags(kernel)]
    except hooks.UnavailableError as error:
        return Loaded(False, unavailable=True, reason=error.reason, hint=error.hint)
    except Exception as error:  # one probe's fault must not end the others
        return Loaded(False, reason=f"choosing its hooks failed: {error!r}")
    types = {hook.program: _hook_type(hook, kernel) for hook in plan.hooks if _is_tracing(hook)}
    used = [*map_names(probe), *(f"{hook.kind} {hook.program}" for hook in plan.hooks), str(types)]
    name = file_name(probe, [*flags, *used])
    return Order(probe, plan, flags, types, name, cache.find(name))


def _is_tracing(hook: Hook) -> bool:
    return hook.typed or hook.kind in ("fentry", "fexit")


def _hook_type(hook: Hook, kernel: KernelTypes) -> tuple[int, int]:
    find = kernel.tracepoint_id if hook.kind == "raw_tracepoint" else kernel.function_id
    return find(hook.target), hooks.ATTACH_TYPES[hook.kind]


def _child(channel: socket.socket, order: Order | Loaded, cache: Cache, log: int) -> NoReturn:
    """Load one probe. Clang and libbpf write to descriptor 2, so that becomes `log`."""
    status = 1
    try:
        os.dup2(log, 2)
        _send(channel, *(_load(order, cache, log) if isinstance(order, Order) else (order, [])))
        status = 0
    except BaseException as error:  # a traceback of the child would land on the user's screen
        os.write(log, f"the loader failed: {error!r}\n".encode())
    finally:
        os._exit(status)


def _reap(children: dict[int, tuple[Job, int]]) -> None:
    """Wait for a child; speak for it where it could not."""
    pid, status = os.wait()
    (_, channel), log = children.pop(pid)
    if status:
        code = os.waitstatus_to_exitcode(status)
        reason = f"the compiler ended without a word (status {code})"
        hint = "is there memory left? start the probe again; if it stays so, please report it"
        with contextlib.suppress(OSError):
            _send(channel, Loaded(False, reason=reason, hint=hint, detail=_tail(log)), [])
    channel.close()
    os.close(log)


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


def _load(order: Order, cache: Cache, log: int) -> Result:
    if order.kept is not None:
        try:
            return _attach_all(order, *bytecode.load(order.kept))
        except (OSError, BytecodeError):
            cache.drop(order.name)
    try:
        return _compile(order, cache)
    except Exception as error:  # bcc raises bare Exception
        detail = _tail(log)
        reason, hint = explain(order.probe, str(error), detail)
        return Loaded(False, reason=reason, hint=hint, detail=detail), []


def _shorten_kallsyms(kernel: KernelTypes) -> None:
    """Let this process, and no other, see a /proc/kallsyms of one line.

    For every compile BCC reads and sorts all 120,000 symbols to learn whether one is there
    (bpf_probe_read_kernel, 5.5): two thirds of its time. Where mounts are refused it stays slow.
    """
    if kernel.enumerator("bpf_func_id.BPF_FUNC_probe_read_kernel") is None:
        return
    libc = ctypes.CDLL(None)
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        return
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="ebpftop-") as symbols:
        symbols.write(b"ffffffff81000000 T bpf_probe_read_kernel\n")
        symbols.flush()
        libc.mount(symbols.name.encode(), b"/proc/kallsyms", None, MS_BIND, None)


def _compile(order: Order, cache: Cache) -> Result:
    os.environ["BCC_KERNEL_SOURCE"] = str(HEADERS)
    from bcc import BPF, __version__

    source = registry.source(order.probe)
    flags = [*order.flags, *dialect(__version__), f"-I{PROBES}", f"-I{source.parent}"]
    module = BPF(src_file=str(source), cflags=flags)
    types = {
        hook.program: TRACING if hook.typed else PROGRAM_TYPES[hook.kind]
        for hook in order.plan.hooks
    }
    programs = {name: _load_program(order, module, name, kind) for name, kind in types.items()}
    maps = {name: module[name].map_fd for name in map_names(order.probe)}
    result = _attach_all(order, maps, programs)
    # A probe that runs must not fail for what its next start would like to find.
    with contextlib.suppress(OSError, BytecodeError):
        codes = {
            name: (programs[name], kind, module.dump_func(name), *order.hook_types.get(name, PLAIN))
            for name, kind in types.items()
        }
        cache.keep(order.name, bytecode.take(codes, maps, *_terms(module)))
    return result


def dialect(version: str) -> list[str]:
    """Flags for what a BCC of that version does not know yet.

    `atomic_increment` came with 0.21. `increment` may lose one of two that come at once; it is
    used for what was lost alone.
    """
    numbers = re.match(r"(\d+)\.(\d+)", version)
    old = numbers is not None and (int(numbers[1]), int(numbers[2])) < (0, 21)
    return ["-Datomic_increment=increment"] if old else []


def _load_program(order: Order, module: Any, name: str, kind: int) -> int:
    """Descriptor of a compiled program; BCC does not load those of raw tracepoints with types."""
    if kind != TRACING:
        return int(module.load_func(name, kind).fd)
    code = module.dump_func(name)
    return bpf.load_program(name, kind, code, *_terms(module), *order.hook_types[name])


def _terms(module: Any) -> tuple[str, int]:
    """Licence and kernel version as BCC declared them to the kernel."""
    from bcc import lib

    licence = lib.bpf_module_license(module.module).decode()
    return licence, lib.bpf_module_kern_version(module.module)


def map_names(probe: Probe) -> list[str]:
    """The maps of a probe's C file that the collector reads or writes."""
    names = [SCOPE, *probe.state]
    for name, layout in probe.maps.items():
        names += [name + "_0", name + "_1"] if layout.double else [name]
    if any(layout.double for layout in probe.maps.values()):
        names.append("phase")
    return [*names, "lost"] if probe.lost else names


def _attach_all(order: Order, maps: dict[str, int], programs: dict[str, int]) -> Result:
    links: list[int] = []
    try:
        for hook in order.plan.hooks:
            links += _attach(hook, programs[hook.program])
        specs = [(name, bpf.map_spec(fd)) for name, fd in maps.items()]
    except BaseException:
        for fd in links:  # a second try must not run beside half of the first
            os.close(fd)
        raise
    loaded = Loaded(
        True,
        [str(hook) for hook in order.plan.hooks],
        list(order.plan.missing),
        [MapShape(name, *spec[1:5]) for name, spec in specs],
        list(programs),
        len(links),
    )
    return loaded, [*maps.values(), *programs.values(), *links]


def _attach(hook: Hook, program_fd: int) -> list[int]:
    """Attach one program; returns the descriptors that keep it attached."""
    if hook.kind == "perf_event":
        cpus = cpu_list(ONLINE_CPUS.read_text())
        return [perf.open_cpu_clock(cpu, hook.frequency, program_fd) for cpu in cpus]
    if hook.kind == "tracepoint":
        return [perf.open_tracepoint(hook.target, program_fd)]
    if hook.kind in ("kprobe", "kretprobe"):
        return [perf.open_kprobe(hook.target, hook.kind == "kretprobe", program_fd)]
    return [bpf.open_raw_tracepoint("" if _is_tracing(hook) else hook.target, program_fd)]


def _tail(log: int) -> str:
    """The last lines that were written to a loader's log."""
    size = os.fstat(log).st_size
    text = os.pread(log, 1 << 16, max(0, size - (1 << 16))).decode(errors="replace")
    return "\n".join(text.splitlines()[-DETAIL_LINES:])


def explain(probe: Probe, error: str, detail: str, lockdown: Path = LOCKDOWN) -> tuple[str, str]:
    """Reason and hint for what bcc or the kernel said when a probe was loaded."""
    if "super-user" in error or "Operation not permitted" in error + detail:
        if lockdown.exists() and "[confidentiality]" in lockdown.read_text():
            return (
                "kernel lockdown (confidentiality) lets no BPF program read kernel memory",
                "boot with lockdown=integrity or none",
            )
        return (
            "the kernel refused the program: no permission",
            "run as root; a container needs CAP_BPF, CAP_PERFMON, before 5.11 CAP_SYS_RESOURCE too",
        )
    if "Failed to compile" in error:
        return (
            f"{probe.area}/{probe.name}.c does not compile here",
            "please report the lines below, with the kernel's version and that of bcc",
        )
    if "No module named" in error:
        return (
            f"{sys.executable} has no bcc",
            "apt install python3-bpfcc (not PyPI's bcc, which is something else)",
        )
    return error or "the loader failed", "`ebpftop probes` lists what each probe needs"
