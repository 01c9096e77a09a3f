"""The command line. Each branch imports what it needs and nothing else."""

from __future__ import annotations

import argparse
import os
import sys

from ebpftop import __version__

DESCRIPTION = "A top-like terminal dashboard over eBPF."
EPILOG = "Exit status: 0 good, 1 failed, 2 bad usage."


def main(argv: list[str] | None = None) -> int:
    """Run `ebpftop`; returns the exit status: 0 good, 1 failed, 2 bad usage."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["collect"]:
        return collect(arguments[1:])
    options = _parser().parse_args(arguments)
    if options.command == "probes":
        from ebpftop.collector.survey import print_survey

        return print_survey(as_json=options.json)
    return dashboard(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ebpftop", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"ebpftop {__version__}")
    parser.add_argument(
        "-i", "--interval", type=float, default=1.0, metavar="S", help="seconds between samples"
    )
    parser.add_argument("--pane", metavar="NAME", help="probe to show first")
    parser.add_argument("--theme", metavar="NAME", help="colour theme")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("collect", help="write the records of the probes to standard output")
    probes = commands.add_parser("probes", help="what each probe can hang on here, and why")
    probes.add_argument("--json", action="store_true", help="for programs")
    return parser


def collect(arguments: list[str]) -> int:
    """Become the collector, under the Python that has bcc."""
    from ebpftop.paths import PACKAGE
    from ebpftop.sources.base import SourceError
    from ebpftop.sources.interpreter import collector_python

    try:
        python = collector_python()
    except SourceError as error:
        return fail(str(error))
    path = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    command = [python, "-m", "ebpftop.collector", *arguments]
    os.execve(python, command, {**os.environ, "PYTHONPATH": path})


def dashboard(options: argparse.Namespace) -> int:
    """The screen, over a collector of its own."""
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


def fail(message: str, status: int = 1) -> int:
    """One line for the user: what, why, what to do."""
    print(f"ebpftop: {message}", file=sys.stderr)
    return status
