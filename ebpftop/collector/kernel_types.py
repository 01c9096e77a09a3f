"""Who tells of the running kernel's types: its BTF, or where it has none its headers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpftop.collector import header_files, headers, kernel_facts
from ebpftop.collector.btf import Btf, BtfError
from ebpftop.collector.header_files import HeadersError
from ebpftop.collector.hooks import WITH_BTF, UnavailableError

if TYPE_CHECKING:
    from ebpftop.collector.cache import Cache
    from ebpftop.collector.hooks import KernelTypes


@dataclass(frozen=True)
class Told:
    """What was found.

    Attributes:
        types: None where nothing tells.
        btf_error: why BTF does not; empty where it does.
        headers: where the headers are that do.
        headers_error: why they do not, and `command`, which would bring those that do.
    """

    types: KernelTypes | None
    btf_error: str = ""
    headers: str = ""
    headers_error: str = ""
    command: str = ""


def told(cache: Cache) -> Told:
    """Ask BTF, then the headers.

    Those take seconds when they are first asked, and bcc; `cache` keeps what they said.
    """
    try:
        return Told(Btf())
    except BtfError as error:
        btf_error = str(error)
    try:
        found = headers.running(cache)
        return Told(found, btf_error, found.place)
    except HeadersError as error:
        kernel = kernel_facts.kernel()
        command = header_files.command(os.uname().release, kernel.id) if error.absent else ""
        return Told(None, btf_error, "", str(error), command)


def kernel_types(cache: Cache) -> KernelTypes:
    """What tells of the running kernel's types.

    Raises:
        UnavailableError: nothing does, and what would help.
    """
    found = told(cache)
    if found.types is None:
        hint = f"{found.command}, or {WITH_BTF}" if found.command else WITH_BTF
        raise UnavailableError(f"{found.btf_error}, and {found.headers_error}", hint)
    return found.types
