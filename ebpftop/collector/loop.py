"""The collector's loop: starts and stops probes on command, reads them on time, writes the stream.

One thread, one selector. A probe that fails takes nothing else with it; a pipe that is full blocks
the loop, and the next interval is simply measured longer.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ebpftop import registry, stream
from ebpftop.collector import bpf, host, loader
from ebpftop.collector.cgroups import Paths
from ebpftop.collector.environment import Machine
from ebpftop.collector.identity import Identities
from ebpftop.collector.running import Running
from ebpftop.model import Bye, Command, Hello, Record, Sample, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.probe import Probe

ROW_LIMIT = 5000
NICE = 10
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 3600.0


class Loading(NamedTuple):
    """A loader child at work: its process, our end of its channel, what it writes to fd 2."""

    pid: int
    channel: socket.socket
    log: BinaryIO

    def wait(self) -> int:
        """Reap the child and close what leads to it; returns its exit code or minus its signal."""
        _, status = os.waitpid(self.pid, 0)
        self.channel.close()
        self.log.close()
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End the child."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()


class Collector:
    """Runs until told to end, until its input closes, or until `count` samples of each probe."""

    def __init__(self, output: BinaryIO, interval_s: float, count: int = 0) -> None:
        self.interval_ns = int(interval_s * 1e9)
        self._output = output
        self._count = count
        self._probes = registry.probes()
        self._machine = Machine(Identities(Paths().path))
        self._host: host.Host | None = None
        self._host_seq = 0
        self._host_before_ns = time.monotonic_ns()
        self._running: dict[str, Running] = {}
        self._waiting: deque[str] = deque()
        self._loading: dict[str, Loading] = {}
        self._selector = selectors.DefaultSelector()
        self._stats_fd = bpf.enable_stats()
        self._ended = ""
        self._input = b""

    def run(self, commands_fd: int | None, wanted: Iterable[str]) -> None:
        """Serve until the end; `commands_fd` closing is one."""
        self._write(self._hello())
        for name in wanted:
            self._start(name)
        if commands_fd is not None:
            os.set_blocking(commands_fd, False)
            self._selector.register(commands_fd, selectors.EVENT_READ, self._on_command_input)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda signum, _: self.end(signal.Signals(signum).name))
        self._host = host.Host()
        with contextlib.suppress(OSError):
            os.nice(NICE)
        due_ns = time.monotonic_ns() + self.interval_ns
        while not self._ended:
            timeout_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
            for key, _ in self._selector.select(timeout_s):
                key.data()
            now_ns = time.monotonic_ns()
            if now_ns >= due_ns and not self._ended:
                self._tick()
                due_ns = max(due_ns + self.interval_ns, now_ns + self.interval_ns // 2)
        self._write(Bye(self._ended))
        self.close()

    def end(self, reason: str) -> None:
        """Leave the loop after what is under way."""
        self._ended = self._ended or reason

    def close(self) -> None:
        """Detach everything."""
        for running in self._running.values():
            running.close()
        self._running.clear()
        for loading in self._loading.values():
            loading.kill()
        self._loading.clear()

    def _hello(self) -> Hello:
        uname = os.uname()
        return Hello(
            host=uname.nodename,
            kernel=uname.release,
            boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            cpus=os.cpu_count() or 1,
            interval_ns=self.interval_ns,
            wall_ns=time.time_ns(),
            mono_ns=time.monotonic_ns(),
            probes=(*(probe.info for probe in self._probes.values()), host.INFO),
            machine=uname.machine,
        )

    def _write(self, *records: Record) -> None:
        lines = "".join(stream.encode(record) + "\n" for record in records)
        try:
            self._output.write(lines.encode())
            self._output.flush()
        except BrokenPipeError:
            self.end("the reader went away")

    # Starting and stopping

    def _start(self, name: str) -> None:
        if name in self._running or name in self._loading or name in self._waiting:
            return
        self._waiting.append(name)
        self._write(Status(name, "starting", reason="waiting for a compiler"))
        self._load_next()

    def _load_next(self) -> None:
        while self._waiting and len(self._loading) < max(2, os.cpu_count() or 1):
            name = self._waiting.popleft()
            self._fork_loader(self._probes[name])

    def _fork_loader(self, probe: Probe) -> None:
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115, closed when the child is reaped
        pid = os.fork()
        if pid == 0:
            ours.close()
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, 0, 0)
            loader.child(probe, theirs, log.fileno())
        theirs.close()
        self._loading[probe.name] = Loading(pid, ours, log)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_loaded(probe))
        self._write(Status(probe.name, "starting", reason="compiling"))

    def _on_loaded(self, probe: Probe) -> None:
        loading = self._loading.pop(probe.name)
        self._selector.unregister(loading.channel)
        received = loader.receive(loading.channel)
        detail = "" if received else loader.tail(loading.log.fileno())
        code = loading.wait()
        if received is None:
            reason = f"the compiler ended without a word (status {code})"
            hint = "is there memory left? start the probe again; if it stays so, please report it"
            self._write(Status(probe.name, "failed", (), reason, hint, detail))
        else:
            self._write(self._take_over(probe, *received))
        self._load_next()

    def _take_over(self, probe: Probe, loaded: loader.Loaded, fds: list[int]) -> Status:
        if not loaded.ok:
            state: State = "unavailable" if loaded.unavailable else "failed"
            return Status(probe.name, state, (), loaded.reason, loaded.hint, loaded.detail)
        try:
            has_stats = self._stats_fd is not None
            running = Running(probe, loaded, fds, has_stats, self._machine)
        except (ValueError, OSError) as error:
            for fd in fds:
                os.close(fd)
            return Status(probe.name, "failed", reason=str(error), hint="please report this")
        self._running[probe.name] = running
        return running.status

    def _stop(self, name: str) -> None:
        if name in self._waiting:
            self._waiting.remove(name)
        if name in self._loading:
            loading = self._loading.pop(name)
            self._selector.unregister(loading.channel)
            loading.kill()
        if name in self._running:
            self._running.pop(name).close()
        self._write(Status(name, "idle"))
        self._load_next()

    # Commands

    def _on_command_input(self) -> None:
        try:
            data = os.read(0, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self.end("input closed")
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._obey(line)

    def _obey(self, line: bytes) -> None:
        try:
            command = stream.decode_command(line)
            self._carry_out(command)
        except stream.StreamError as error:
            self._write(Status("", "failed", reason=f"command refused: {error}"))

    def _carry_out(self, command: Command) -> None:
        if command.verb == "interval":
            if not MIN_INTERVAL_S <= command.seconds <= MAX_INTERVAL_S:
                raise stream.StreamError("an interval is from 0.1 to 3600 seconds")
            self.interval_ns = int(command.seconds * 1e9)
            return
        if command.probe not in self._probes:
            raise stream.StreamError(f"no probe named {command.probe!r}")
        (self._start if command.verb == "start" else self._stop)(command.probe)

    # Reading

    def _tick(self) -> None:
        self._write(self._read_host())
        for name, running in list(self._running.items()):
            age_ns = time.monotonic_ns() - running.started_ns
            if age_ns < self.interval_ns // 4:
                continue  # attached a moment ago: its first interval is the next one
            self._write(*self._read(name, running))
        if self._count and self._all_counted():
            self.end(f"{self._count} samples")

    def _read(self, name: str, running: Running) -> list[Record]:
        try:
            sample = running.read(ROW_LIMIT)
        except Exception as error:  # one probe's fault must not end the others
            self._running.pop(name).close()
            reason = f"reading its maps failed: {error!r}"
            return [Status(name, "failed", reason=reason, hint="start it again; please report it")]
        return [*self._machine.identities.take_fresh(), sample]

    def _read_host(self) -> Sample:
        assert self._host is not None
        wall_ns, now_ns = time.time_ns(), time.monotonic_ns()
        dt_ns, self._host_before_ns = now_ns - self._host_before_ns, now_ns
        self._host_seq += 1
        tables = self._host.read(wall_ns)
        return Sample(host.NAME, self._host_seq, wall_ns, now_ns, dt_ns, tables)

    def _all_counted(self) -> bool:
        busy = self._waiting or self._loading
        return not busy and all(r.samples >= self._count for r in self._running.values())
