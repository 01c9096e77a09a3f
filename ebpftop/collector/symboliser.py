"""`python3 -m ebpftop.collector.symboliser`: the helper process that names addresses.

It may have to read large files, which the collector has no time for. It serves one socket, its
standard input, and ends when that closes, however the collector came to its end.

A request is a line of JSON, `[[pid, serial, start_ns, [address, ...]], ...]`, with pid -1 for the
kernel; the answer a line with `[[name, ...], [address, ...]]` for each: the names, and those of the
addresses where a walk along frame pointers passes over the caller. Names are never empty: an
address that has no name is `[module+0x1f]`, `[compiled code]` or `[unknown]`. A new serial means
that the process is another one than before, or runs another program.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from ebpftop.collector.symbols import files
from ebpftop.collector.symbols.image import Image, Name
from ebpftop.collector.symbols.kernel import Kernel
from ebpftop.collector.symbols.perfmap import PerfMap
from ebpftop.collector.symbols.process import VDSO, Mapping, Process

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from ebpftop.collector.symbols.files import Content

KERNEL = -1
UNKNOWN = "[unknown]"
COMPILED = "[compiled code]"
NAME_LIMIT = 200
PROCESSES = 64  # whose mappings are kept
IMAGES = 500
IMAGES_BYTES = 64 << 20
REFRESH_S = 5.0  # the kernel is asked for new modules at most so often
MEMORY_BYTES = 1 << 30  # a name may be made so that it takes all there is to write it out

Answer = tuple[list[str], list[int]]


class Symboliser:
    """Names addresses; keeps what it has read of the kernel, of files and of processes."""

    def __init__(self) -> None:
        """Reads the kernel's symbols, a fifth of a second, before anyone waits."""
        self._kernel = Kernel()
        self._kernel_read_s = time.monotonic()
        self._processes: OrderedDict[int, tuple[int, Process, PerfMap]] = OrderedDict()
        self._images: OrderedDict[Hashable, Image] = OrderedDict()

    def names(self, pid: int, serial: int, start_ns: int, addresses: list[int]) -> Answer:
        """A name for each address, and those whose callers a walk does not find."""
        if pid == KERNEL:
            return [self._kernel_name(address) for address in addresses], []
        process, perf_map = self._process(pid, serial)
        process.look(start_ns)
        found = self._of_files(process, addresses)
        left = [address for address in addresses if address not in found]
        inside = [address for address in left if process.mapping(address)]
        compiled = perf_map.names(process, inside) if inside else {}
        names = []
        for address in addresses:
            text = found[address].text if address in found else compiled.get(address, "")
            names.append(clean(text) or self._place(process, address))
        return names, [address for address, name in found.items() if name.frameless]

    def _kernel_name(self, address: int) -> str:
        name = self._kernel.name(address)
        now_s = time.monotonic()
        if not name and now_s - self._kernel_read_s >= REFRESH_S:
            self._kernel_read_s = now_s
            self._kernel.read()
            name = self._kernel.name(address)
        return clean(name) or UNKNOWN

    def _process(self, pid: int, serial: int) -> tuple[Process, PerfMap]:
        known = self._processes.pop(pid, None)
        if known is None or known[0] != serial:
            known = (serial, Process(pid), PerfMap())
        self._processes[pid] = known
        if len(self._processes) > PROCESSES:
            self._processes.popitem(last=False)
        return known[1:]

    def _of_files(self, process: Process, addresses: list[int]) -> dict[int, Name]:
        """Names from the files that a process has mapped."""
        parts: dict[Mapping, list[int]] = {}
        for address in addresses:
            mapping = process.mapping(address)
            if mapping and (mapping.inode or mapping.path == VDSO):
                parts.setdefault(mapping, []).append(address)
        found: dict[int, Name] = {}
        for mapping, inside in parts.items():
            with contextlib.suppress(OSError), self._opened(process, mapping) as (image, content):
                for address in inside:
                    offset = address - mapping.start + mapping.offset
                    name = image.name(image.address(offset), content)
                    if name:
                        found[address] = name
        return found

    @contextlib.contextmanager
    def _opened(self, process: Process, mapping: Mapping) -> Iterator[tuple[Image, Content]]:
        """The image behind a mapping, and its file. Raises OSError."""
        if mapping.path == VDSO:
            data = process.read_vdso(mapping)
            memory = files.Memory(data)
            yield self._image(data, memory, mapping, process), memory
            return
        with files.opened(process.open(mapping)) as file:
            yield self._image(file.identity, file, mapping, process), file

    def _image(
        self, identity: Hashable, content: Content, mapping: Mapping, process: Process
    ) -> Image:
        image = self._images.pop(identity, None)
        if image is None:
            image = Image(content, mapping.path, (process.open_path, files.place_here))
        self._images[identity] = image
        held = sum(each.held_bytes for each in self._images.values())
        while len(self._images) > 1 and (held > IMAGES_BYTES or len(self._images) > IMAGES):
            held -= self._images.popitem(last=False)[1].held_bytes
        return image

    def _place(self, process: Process, address: int) -> str:
        """Where an address is that has no name: in which file, and how far from its beginning."""
        mapping = process.mapping(address)
        if mapping is None:
            return UNKNOWN
        module = clean(mapping.file_name)
        if not module or not (mapping.inode or mapping.path.startswith("[v")):
            return COMPILED
        return f"[{module}+{address - mapping.start + mapping.offset:#x}]"


def clean(name: str) -> str:
    """A name that may stand in a folded stack: printable, without `;`, not endless."""
    text = "".join(c if c.isprintable() else "?" for c in name.strip()).replace(";", ":")
    return text if len(text) <= NAME_LIMIT else text[: NAME_LIMIT - 1] + "…"


def serve(channel: socket.socket, symboliser: Symboliser) -> None:
    """Answer each line of the channel until it closes."""
    for line in _lines(channel):
        answer = [symboliser.names(*request) for request in json.loads(line)]
        channel.sendall(json.dumps(answer).encode() + b"\n")


def _lines(channel: socket.socket) -> Iterator[bytes]:
    rest = b""
    while data := channel.recv(1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def main() -> None:
    """Serve standard input, which is a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is the collector's
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    channel = socket.socket(fileno=0)
    # The collector may go away before it has its answer.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(channel, Symboliser())


if __name__ == "__main__":
    main()
