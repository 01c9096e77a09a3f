"""Where an export goes: standard output, or files that appear when they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from types import TracebackType

STDOUT = 1


class Output:
    """Opens what an export writes.

    Files are written under another name beside their own and take its place at the end, so that a
    failure leaves what was there. What is no plain file (a pipe, /dev/stdout), and what comes from
    a stream that may never end, is written in place. Text is UTF-8; bytes of names that are no
    UTF-8 become a backslash and a number.
    """

    def __init__(self, live: bool = False) -> None:
        """With `live`, text goes where it belongs line by line."""
        self.live = live
        self._files: list[tuple[IO[Any], str, str]] = []

    def __enter__(self) -> Output:
        """Nothing is opened yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the files in their places, or remove them where the export has failed."""
        try:
            while kind is None and self._files:
                self.finish(self._files[0][0])
        finally:
            for file, temporary, path in self._files:
                _abandon(file)
                if temporary != path:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary)

    def text(self, path: str | None) -> IO[str]:
        """A text file, or standard output for None."""
        return self._open(path, live=self.live)

    def binary(self, path: str) -> IO[bytes]:
        """A file for bytes; `finish` it, or leave that to the end."""
        return self._open(path, binary=True)

    def finish(self, file: IO[Any]) -> None:
        """Close one file and put it in its place."""
        position = next(i for i, opened in enumerate(self._files) if opened[0] is file)
        _, temporary, path = self._files[position]
        file.flush()
        file.close()
        if temporary != path:
            os.replace(temporary, path)
        del self._files[position]

    def _open(self, path: str | None, live: bool = False, binary: bool = False) -> IO[Any]:
        name: str | int = STDOUT
        temporary = path = os.path.realpath(path) if path is not None else ""
        if path:
            if os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            folder, base = os.path.split(path)
            os.makedirs(folder, exist_ok=True)
            if not live and _is_plain(path):
                temporary = os.path.join(folder, f".{base}.{os.getpid()}.part")
            name = temporary
        file: IO[Any]
        if binary:
            file = open(name, "wb")  # noqa: SIM115
        else:
            file = open(  # noqa: SIM115
                name,
                "w",
                encoding="utf-8",
                errors="backslashreplace",
                newline="",
                closefd=bool(path),
            )
        self._files.append((file, temporary, path))
        return file


def in_file_name(text: str) -> str:
    """A name from a recording as part of a path, as Hive and its readers write it."""
    return quote(text.encode(errors="surrogatepass"), safe=" ") or "_"


def _is_plain(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


def _abandon(file: IO[Any]) -> None:
    """Close a file that could not be written; what it still holds goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, file.fileno())
        os.close(null)
    with contextlib.suppress(OSError):
        file.close()
