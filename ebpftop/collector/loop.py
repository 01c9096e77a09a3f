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
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ebpftop import registry, stream
from ebpftop.collector import bpf, host, loader
from ebpftop.collector import scope as scopes
from ebpftop.collector.cgroups import Paths
from ebpftop.collector.environment import Machine
from ebpftop.collector.identity import Identities
from ebpftop.collector.preemption import wait_for_programs
from ebpftop.collector.running import Running
from ebpftop.model import Bye, Command, Hello, Record, Sample, State, Status, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpftop.probe import Probe

ROW_LIMIT = 5000
NICE = 10
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 3600.0


class Collector:
    """Runs until told to end, until its input closes, or until `count` samples of each probe."""

    def __init__(self, output: BinaryIO, interval_s: float, count: int = 0) -> None:
        self.interval_ns = int(interval_s * 1e9)
        self._output = output
        self._count = count
        self._probes = registry.probes()
        self._cgroups = Paths()
        self._machine = Machine(Identities(self._cgroups.path, self._cgroups.of))
        self._scope = scopes.Scope()
        self._host: host.Host | None = None
        self._host_seq = 0
        self._host_before_ns = time.monotonic_ns()
        self._running: dict[str, Running] = {}
        self._loading: dict[str, socket.socket] = {}
        self._loaders: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._stats_fd = bpf.enable_stats()
        self._ended = ""
        self._input = b""

    def run(self, commands_fd: int | None, wanted: Iterable[str]) -> None:
        """Serve until the end; `commands_fd` closing is one."""
        self._write(self._hello())
        self._start(list(wanted))
        if commands_fd is not None:
            os.set_blocking(commands_fd, False)
            self._selector.register(commands_fd, selectors.EVENT_READ, self._on_command_input)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
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
        for pid in self._loaders:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._loaders.clear()

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

    def _start(self, names: list[str]) -> None:
        names = [name for name in names if name not in self._running and name not in self._loading]
        if not names:
            return
        pairs = [socket.socketpair() for _ in names]
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)  # so that its children can be killed with it
            for ours, _ in pairs:
                ours.close()
            theirs = (channel for _, channel in pairs)
            loader.load_all(list(zip((self._probes[name] for name in names), theirs)))
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # whoever of the two is first
        self._loaders.append(pid)
        for name, (ours, channel) in zip(names, pairs):
            channel.close()
            self._loading[name] = ours
            on_loaded = partial(self._on_loaded, self._probes[name])
            self._selector.register(ours, selectors.EVENT_READ, on_loaded)
        self._write(*(Status(name, "starting", reason="loading") for name in names))

    def _on_loaded(self, probe: Probe) -> None:
        channel = self._forget_loading(probe.name)
        received = loader.receive(channel)
        channel.close()
        if received is None:
            hint = "start the probe again; if it stays so, please report it"
            self._write(Status(probe.name, "failed", (), "the loader was killed", hint))
        else:
            self._write(self._take_over(probe, *received))

    def _forget_loading(self, name: str) -> socket.socket:
        channel = self._loading.pop(name)
        self._selector.unregister(channel)
        return channel

    def _reap_loaders(self) -> None:
        self._loaders = [pid for pid in self._loaders if os.waitpid(pid, os.WNOHANG)[0] == 0]

    def _take_over(self, probe: Probe, loaded: loader.Loaded, fds: list[int]) -> Status:
        if not loaded.ok:
            state: State = "unavailable" if loaded.unavailable else "failed"
            return Status(probe.name, state, (), loaded.reason, loaded.hint, loaded.detail)
        try:
            has_stats = self._stats_fd is not None
            running = Running(probe, loaded, fds, has_stats, self._machine, self._scope)
        except (ValueError, OSError) as error:
            for fd in fds:
                os.close(fd)
            return Status(probe.name, "failed", reason=str(error), hint="please report this")
        self._running[probe.name] = running
        return running.status

    def _stop(self, name: str) -> None:
        if name in self._loading:
            self._forget_loading(name).close()  # what is sent to nobody is detached
        if name in self._running:
            self._running.pop(name).close()
        self._write(Status(name, "idle"))

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
        if command.verb == "scope":
            try:
                self.narrow(command.pid, command.cgroup)
            except scopes.ScopeError as error:
                raise stream.StreamError(str(error)) from None
            return
        if command.probe not in self._probes:
            raise stream.StreamError(f"no probe named {command.probe!r}")
        if command.verb == "start":
            self._start([command.probe])
        else:
            self._stop(command.probe)

    def narrow(self, pid: int = 0, cgroup: int = 0) -> None:
        """Count one process or one cgroup alone from now on, or everything, in every probe.

        Raises:
            ScopeError: there is no such process id, or no such cgroup.
        """
        if pid:
            self._scope = scopes.of_process(pid)
        elif cgroup:
            path = self._cgroups.path(cgroup)
            self._scope = scopes.of_cgroup(cgroup, path, self._machine.hierarchy())
        else:
            self._scope = scopes.Scope()
        for name in list(self._running):
            self._narrow(name)

    def _narrow(self, name: str) -> None:
        try:
            self._running[name].narrow(self._scope)
        except OSError as error:
            self._write(self._give_up(name, f"narrowing it failed: {error!r}"))

    def _give_up(self, name: str, reason: str) -> Status:
        self._running.pop(name).close()
        return Status(name, "failed", reason=reason, hint="start it again; please report it")

    # Reading

    def _tick(self) -> None:
        self._reap_loaders()
        self._write(self._read_host())
        # What was attached a moment ago has its first interval next time.
        youngest_ns = time.monotonic_ns() - self.interval_ns // 4
        due = {name: of for name, of in self._running.items() if of.started_ns <= youngest_ns}
        turned = [running.turn() for running in due.values()]
        if any(turned):  # one wait for all
            wait_for_programs()
        for name, running in due.items():
            self._write(*self._read(name, running))
        self._write(Tick(time.time_ns(), time.monotonic_ns(), self.interval_ns))
        if self._count and self._all_counted():
            self.end(f"{self._count} samples")

    def _read(self, name: str, running: Running) -> list[Record]:
        try:
            sample = running.read(ROW_LIMIT)
        except Exception as error:  # one probe's fault must not end the others
            return [self._give_up(name, f"reading its maps failed: {error!r}")]
        return [*self._machine.identities.take_fresh(), sample]

    def _read_host(self) -> Sample:
        assert self._host is not None
        wall_ns, now_ns = time.time_ns(), time.monotonic_ns()
        dt_ns, self._host_before_ns = now_ns - self._host_before_ns, now_ns
        self._host_seq += 1
        tables = self._host.read(wall_ns)
        return Sample(host.NAME, self._host_seq, wall_ns, now_ns, dt_ns, tables)

    def _all_counted(self) -> bool:
        return not self._loading and all(r.samples >= self._count for r in self._running.values())
