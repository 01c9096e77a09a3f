"""A collector of our own: started with the rights it needs, read through pipes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from ebpftop import stream
from ebpftop.paths import PACKAGE
from ebpftop.sources.base import SourceError
from ebpftop.sources.interpreter import collector_python

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ebpftop.model import Command, Record

CLOSE_SECONDS = 3


class LiveSource:
    """Records of a collector on this machine.

    The process is started at once, so that it compiles while the screen is still being built.
    """

    live = True

    def __init__(self, interval_s: float = 1.0, probes: tuple[str, ...] = ()) -> None:
        """Start the collector; `probes` are started by it without being asked.

        Raises:
            SourceError: there is no Python with bcc, or no way to become root.
        """
        arguments = ["--interval", str(interval_s), "--probe", *probes]
        command = [*become_root(), collector_python(), "-m", "ebpftop.collector", *arguments]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as the source
        try:
            self._process = subprocess.Popen(
                command,
                cwd=PACKAGE.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
            )
        except OSError as error:
            raise SourceError(f"cannot start the collector: {error}") from None

    async def records(self) -> AsyncIterator[Record]:
        """The collector's records; raises SourceError where it ends without a farewell."""
        reader = asyncio.StreamReader(limit=stream.MAX_LINE_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._process.stdout
        )
        try:
            while line := await reader.readline():
                try:
                    record = stream.decode(line)
                except stream.StreamError as error:
                    raise SourceError(f"the collector's stream is damaged: {error}") from None
                if record is not None:
                    yield record
        finally:
            transport.close()
        status = await asyncio.to_thread(self._process.wait)
        if status != 0:
            raise SourceError(f"the collector died ({_ending(status)}){self._last_words()}")

    def send(self, command: Command) -> None:
        """Ask the collector for something; nothing happens where it has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(stream.encode_command(command).encode() + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Close the collector's input, which ends it; kill it if it does not listen."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(PermissionError):
                self._process.kill()

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def become_root() -> list[str]:
    """What to put in front of a command that needs root: nothing, or sudo.

    sudo asks for its password here, before anything else owns the terminal.

    Raises:
        SourceError: not root, and sudo is not there or refused.
    """
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        raise SourceError("needs root to load BPF programs, and there is no sudo: run it as root")
    if subprocess.run([sudo, "-v"], check=False).returncode != 0:
        raise SourceError("needs root to load BPF programs, and sudo refused")
    return [sudo, "--non-interactive", "--"]


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
