"""`ebpftop`: the screen, over a collector of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ebpftop.commands import fail

if TYPE_CHECKING:
    import argparse


def show(options: argparse.Namespace) -> int:
    """Run the dashboard until the user quits; returns the exit status."""
    from ebpftop.sources.base import SourceError
    from ebpftop.sources.live import LiveSource

    if not sys.stdout.isatty():
        return fail("the dashboard needs a terminal; `ebpftop collect` writes to pipes and files")
    if not 0.1 <= options.interval <= 3600:
        return fail("an interval is from 0.1 to 3600 seconds", status=2)
    first = (options.pane,) if options.pane else ()
    unknown = unknown_probe(options.pane) if options.pane else ""
    if unknown:
        return fail(unknown, status=2)
    try:
        source = LiveSource(options.interval, first)
    except SourceError as error:
        return fail(str(error))
    try:
        drop_privileges()
        from ebpftop.ui.app import run

        return run(source, theme=options.theme, first_pane=options.pane)
    finally:
        source.close()


def unknown_probe(name: str) -> str:
    """Empty where there is a probe of that name, else what to say."""
    from ebpftop.registry import probes

    known = probes()
    return "" if name in known else f"no probe named {name}; there are {', '.join(known)}"


def drop_privileges() -> None:
    """Under sudo, go back to the user: only the collector needs root, and it runs by now."""
    user_id, group_id = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() != 0 or not user_id or not group_id or user_id == "0":
        return
    import pwd

    try:
        user = pwd.getpwuid(int(user_id))
    except (KeyError, ValueError):
        return
    os.initgroups(user.pw_name, int(group_id))
    os.setgid(int(group_id))
    os.setuid(user.pw_uid)
    os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
