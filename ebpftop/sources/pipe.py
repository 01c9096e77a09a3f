"""A stream from a pipe: `ssh box sudo ebpftop collect | ebpftop view -`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from typing import TYPE_CHECKING

from ebpftop import stream
from ebpftop.recording.pack import Unpacker
from ebpftop.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ebpftop.model import Command, Record


FILE_BYTES = 1 << 20


class PipeSource:
    """Records of a stream that somebody else writes; it takes no commands.

    The lines of a recording (`zstd -dc FILE`) are read as well.
    """

    live = False

    def __init__(self, fd: int) -> None:
        """`fd` is the end of the pipe to read; it is closed with the source."""
        self._fd = fd

    @classmethod
    def from_stdin(cls) -> PipeSource:
        """Take standard input for the stream, and the terminal for the keys instead.

        Raises:
            SourceError: there is no terminal.
        """
        fd = os.dup(0)
        try:
            terminal = os.open("/dev/tty", os.O_RDWR)
        except OSError:
            os.close(fd)
            raise SourceError(
                "the stream comes from standard input, but there is no terminal"
            ) from None
        os.dup2(terminal, 0)
        os.close(terminal)
        return cls(fd)

    async def records(self) -> AsyncIterator[Record]:
        """The records; raises SourceError for what is no stream."""
        unpacker = Unpacker()
        is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        try:
            async for line in self._file_lines() if is_file else self._pipe_lines():
                if line.strip():
                    record = unpacker.record(line)
                    if record is not None:
                        yield record
        except stream.StreamError as error:
            raise SourceError(f"the stream cannot be read: {error}") from None

    async def _pipe_lines(self) -> AsyncIterator[bytes]:
        reader = asyncio.StreamReader(limit=stream.MAX_LINE_BYTES)
        pipe = open(self._fd, "rb", buffering=0, closefd=False)  # noqa: SIM115, ASYNC230
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while line := await reader.readline():
                yield line
        finally:
            transport.close()

    async def _file_lines(self) -> AsyncIterator[bytes]:
        """Lines of a file, for which asyncio does not wait."""
        with open(self._fd, "rb", closefd=False) as file:  # noqa: ASYNC230
            while lines := await asyncio.to_thread(file.readlines, FILE_BYTES):
                for line in lines:
                    yield line

    def send(self, command: Command) -> None:
        """Nobody is asked."""

    def close(self) -> None:
        """Close the pipe."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
