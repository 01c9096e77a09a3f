"""Who answers for the types of the running kernel: its BTF, or where it has none its headers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpftop.collector import header_files, headers, kernel_facts
from ebpftop.collector.btf import Btf, BtfError
from ebpftop.collector.header_files import HeadersError
from ebpftop.collector.hooks import WITH_BTF, UnavailableError

if TYPE_CHECKING:
    from ebpftop.collector.cache import Cache
    from ebpftop.collector.hooks import KernelTypes


def kernel_types(cache: Cache) -> KernelTypes:
    """What tells of the running kernel's types.

    Headers take seconds when they are first asked, and bcc; `cache` keeps what they said.

    Raises:
        UnavailableError: nothing does, and what would help.
    """
    try:
        return Btf()
    except BtfError as error:
        without = str(error)
    try:
        return headers.running(cache)
    except HeadersError as error:
        kernel = kernel_facts.kernel()
        command = header_files.command(os.uname().release, kernel.id)
        hint = f"{command}, or {WITH_BTF}" if command else f"install them, or {WITH_BTF}"
        raise UnavailableError(f"{without}, and {error}", hint) from None
