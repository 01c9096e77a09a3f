"""`python3 -m ebpftop.collector`: the collector as its own process; see `ebpftop collect`."""

from __future__ import annotations

import argparse
import os
import stat
import sys

from ebpftop import registry
from ebpftop.collector import cgroups
from ebpftop.collector.loop import MAX_INTERVAL_S, MIN_INTERVAL_S, Collector
from ebpftop.collector.scope import ScopeError


def main(argv: list[str] | None = None) -> int:
    """Run the collector; exit status 0 good, 1 failed, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="ebpftop collect", description=__doc__)
    add = parser.add_argument
    add("--probe", action="extend", nargs="*", metavar="NAME", help="start these (default: all)")
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N samples")
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--scope-pid", type=int, default=0, metavar="PID", help="one process alone")
    scope.add_argument(
        "--scope-cgroup", metavar="CGROUP", help="one cgroup and all below it, by its path or id"
    )
    options = parser.parse_args(argv)
    known = registry.probes()
    wanted = list(known) if options.probe is None else options.probe
    for name in wanted:
        if name not in known:
            parser.error(f"no probe named {name}; there are {', '.join(known)}")
    if not MIN_INTERVAL_S <= options.interval <= MAX_INTERVAL_S:
        parser.error("an interval is from 0.1 to 3600 seconds")
    if os.geteuid() != 0:
        print("ebpftop collect: needs root to load BPF programs; use sudo", file=sys.stderr)
        return 1
    collector = Collector(sys.stdout.buffer, options.interval, options.count)
    try:
        cgroup = _cgroup(options.scope_cgroup) if options.scope_cgroup else 0
        collector.narrow(options.scope_pid, cgroup)
    except ScopeError as error:
        parser.error(str(error))
    collector.run(_commands_fd(), wanted)
    return 0


def _cgroup(text: str) -> int:
    """The id of a cgroup that is given by id or by path."""
    if text.isdecimal() and int(text):
        return int(text)
    tree = cgroups.hierarchy()
    try:
        return os.stat(f"{tree.mount}/{text.lstrip('/')}" if tree else "").st_ino
    except OSError:
        raise ScopeError(f"no cgroup has the path {text}") from None


def _commands_fd() -> int | None:
    """Standard input, unless it is /dev/null: cron and systemd mean no end by that."""
    try:
        status = os.fstat(0)
    except OSError:
        return None
    is_null = stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)
    return None if is_null else 0


if __name__ == "__main__":
    sys.exit(main())
