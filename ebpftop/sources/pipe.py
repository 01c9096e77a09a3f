"""A stream from a pipe: `ssh box sudo ebpftop collect | ebpftop view -`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from ebpftop import stream
from ebpftop.recording.pack import Unpacker
from ebpftop.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ebpftop.model import Command, Record


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
        reader = asyncio.StreamReader(limit=stream.MAX_LINE_BYTES)
        unpacker = Unpacker()
        pipe = open(self._fd, "rb", buffering=0, closefd=False)  # noqa: SIM115, ASYNC230
        transport = None
        try:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe
            )
            while line := await reader.readline():
                if line.strip():
                    record = unpacker.record(line)
                    if record is not None:
                        yield record
        except stream.StreamError as error:
            raise SourceError(f"the stream cannot be read: {error}") from None
        except ValueError:  # asyncio takes pipes, sockets and terminals
            raise SourceError("standard input is a file; `ebpftop view FILE` shows one") from None
        finally:
            if transport:
                transport.close()

    def send(self, command: Command) -> None:
        """Nobody is asked."""

    def close(self) -> None:
        """Close the pipe."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
