"""`ebpftop doctor`: what this machine offers, what is wrong, and the command that mends it."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from ebpftop.collector import diagnosis
from ebpftop.views.format import clean, fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpftop.collector.diagnosis import Facts
    from ebpftop.collector.doctor import Report
    from ebpftop.collector.survey import Finding

DESCRIPTION = (
    "What this machine offers to ebpftop, what is wrong first, and the command that mends it."
)
EPILOG = """\
As root it also loads a trivial program of each kind, attaches it and takes it off again, and
creates and reads maps: what the kernel says counts, not its version. Nothing is changed.
Exit status: 0 where at least one probe can run, as far as is known; 1 where none can."""
WIDTH, LABEL, STATE = 80, 12, 12
ROOTS_PATH = ("", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Colours of the terminal's own palette.
STYLES = {"error": "1;31", "warning": "1;33", "good": "1;32", "label": "1", "command": "36"}
STYLES_OF_STATES = {"full": "good", "degraded": "warning", "unavailable": "error"}
NAMES = 6
Line = tuple[str, str, str]  # style of the head, head, rest


def main(arguments: list[str]) -> int:
    """Print the report; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="ebpftop doctor",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    from ebpftop.collector.doctor import examine

    report = examine()
    if options.json:
        print(json.dumps(report.json(), indent=2))
    else:
        # Names may hold any character, where the output may know ASCII only.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        colours = (
            sys.stdout.isatty()
            and "NO_COLOR" not in os.environ
            and os.environ.get("TERM") != "dumb"
        )
        width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
        for line in lines(report, width):
            print(_painted(line) if colours else line[1] + line[2])
    return 0 if report.able else 1


def lines(report: Report, width: int = WIDTH) -> Iterator[Line]:
    """The report, what is wrong first."""
    yield _headline(report)
    yield from _problems(report, width)
    yield "", "", ""
    for label, text in _facts(report.facts):
        for number, part in enumerate(_wrap(text, width - LABEL)):
            yield "label", f"{'' if number else label:<{LABEL}}", part
    if report.unchecked:
        told = "; ".join(report.unchecked)
        if not report.facts.root:
            told += f": `{as_root(sys.argv[0])}` tells"
        for number, part in enumerate(_wrap(told, width - LABEL)):
            yield "warning", f"{'' if number else 'unchecked':<{LABEL}}", part
    room = width - LABEL - STATE
    for probe in report.probes:
        what = probe.reason if probe.state == "unavailable" else _hooks(probe, room)
        style = STYLES_OF_STATES[probe.state]
        head = f"{probe.probe:<{LABEL}}{probe.state:<{STATE}}"
        yield style, head, fit(clean(what), room).rstrip()


def as_root(program: str) -> str:
    """This command for root, whose PATH does not lead into virtual environments."""
    if os.path.basename(program) != "ebpftop" or os.path.dirname(program) in ROOTS_PATH:
        return "sudo ebpftop doctor"
    return f"sudo {shlex.quote(os.path.abspath(program))} doctor"


def _headline(report: Report) -> Line:
    able, all_of_them = len(report.able), len(report.probes)
    style = "good" if able == all_of_them else "warning" if able else "error"
    count = f"{able or 'none'} of {all_of_them} probes can run here"
    if able == all_of_them and able:
        count = f"all {able} probes can run here"
    if not report.facts.root:
        count += ", as far as a user can tell"
    wrong = len(report.problems)
    rest = f"{wrong} {'thing' if wrong == 1 else 'things'} to mend"
    if not wrong:
        rest = "nothing is wrong" if able else "it could not be found out why"
    return style, count, f"; {rest}"


def _problems(report: Report, width: int) -> Iterator[Line]:
    for problem in report.problems:
        yield "", "", ""
        head, *more = _wrap(f"{problem.level}: {problem.what}", width)
        cut = len(problem.level) + 1
        yield problem.level, head[:cut], head[cut:]
        for text in (*more, problem.why, problem.fix):
            for part in _wrap(text, width - 4):
                yield "", "", f"    {part}"
        if problem.command:  # never broken: it is there to be copied
            yield "command", f"    $ {problem.command}", ""


def _facts(facts: Facts) -> Iterator[tuple[str, str]]:
    kernel = facts.kernel
    yield "kernel", f"{kernel.release} {kernel.machine}, {kernel.distribution or 'unknown system'}"
    yield "config", _config(facts)
    yield "types", _types(facts)
    yield "lockdown", _lockdown(facts)
    yield "rights", _rights(facts)
    yield "settings", ", ".join(_settings(facts)) or "none can be read"
    yield "collector", _collector(facts)
    yield "tracefs", kernel.tracefs or "not mounted"
    yield "cgroups", _cgroups(facts)
    yield "containers", _containers(facts)
    if not facts.trials:
        has = {True: "there, not tried", False: "not in this kernel", None: "not known"}
        yield "kprobes", has[kernel.has_kprobes]
        return
    done = [trial.name for trial in facts.trials if trial.ok and not trial.name.endswith(" map")]
    maps = [trial.name[:-4] for trial in facts.trials if trial.ok and trial.name.endswith(" map")]
    done += [f"maps ({', '.join(maps)})"] if maps else []
    yield "works", ", ".join(done) or "nothing"
    needed = diagnosis.needed(facts)
    failed: dict[tuple[bool, str], list[str]] = {}
    for trial in facts.trials:
        if not trial.ok:
            failed.setdefault((trial.name in needed, trial.reason), []).append(trial.name)
    for (is_needed, reason), names in sorted(failed.items(), reverse=True):
        yield "fails" if is_needed else "not needed", f"{', '.join(names)}: {reason}"


def _config(facts: Facts) -> str:
    if not facts.kernel.config_file:
        return "cannot be read; nothing depends on it"
    off = [name for name, value in facts.kernel.config.items() if value == "n"]
    return f"{facts.kernel.config_file}: {'without ' + ', '.join(off) if off else 'all there'}"


def _types(facts: Facts) -> str:
    if facts.headers:
        return f"the kernel's headers ({facts.headers}); {facts.btf_error}"
    if facts.btf_error:
        return f"none: {facts.btf_error}, and {facts.headers_error}"
    return f"BTF, {(facts.kernel.btf_bytes or 0) / 1e6:.1f} MB; no kernel headers are needed"


def _lockdown(facts: Facts) -> str:
    known = facts.kernel.lockdown
    if known:
        return {"absent": "not in this kernel"}.get(known, known)
    if any(trial.name == "kernel reads" and trial.ok for trial in facts.trials):
        return "not known, but programs may read the kernel's memory"
    return "not known (/sys/kernel/security/lockdown)"


def _settings(facts: Facts) -> Iterator[str]:
    """Those that say something; the others are told as problems where they are wrong."""
    for name in ("perf_event_paranoid", "kptr_restrict", "unprivileged_bpf_disabled"):
        value = facts.settings[name]
        if value is not None:
            yield f"{name} {value}"


def _rights(facts: Facts) -> str:
    rights = facts.rights
    limit = rights.memlock_bytes
    memlock = "unlimited" if limit is None else f"{limit >> 10} kB"
    if limit is not None:
        counts = {True: "counted", False: "not counted", None: "may count"}[facts.memlock_counts]
        memlock += f" ({counts})"
    off = [name for name, held in rights.capabilities.items() if not held]
    who = f"user {rights.uid}"
    if facts.root:
        who = f"root without {', '.join(off)}" if off else "root, all capabilities"
    where = ", in a namespace of its own" if rights.own_processes or rights.own_users else ""
    return f"{who}{where}; memlock {memlock}"


def _collector(facts: Facts) -> str:
    chosen = next((p for p in facts.tools.pythons if p.path == facts.tools.collector), None)
    if chosen is None:
        seen = (f"{p.path}: {p.error or 'has bcc and psutil'}" for p in facts.tools.pythons)
        return "; ".join(seen) or "no Python was found"
    parts = {"bcc": chosen.bcc, "LLVM": chosen.llvm, "libbpf": chosen.libbpf}
    parts["psutil"] = chosen.psutil
    brought = ", ".join(f"{name} {version}" for name, version in parts.items() if version)
    return f"{chosen.path} {chosen.version}: {brought}"


def _cgroups(facts: Facts) -> str:
    layout = facts.cgroups
    if layout.layout == "none":
        return "none mounted"
    which = f"{layout.controller} (v1)" if layout.controller else "v2"
    return f"{layout.layout}; ebpftop reads {which} at {layout.mount}"


def _containers(facts: Facts) -> str:
    seen = facts.containers
    if not seen.runtimes:
        return "none seen"
    counts = ", ".join(f"{number} of {runtime}" for runtime, number in seen.runtimes.items())
    more = f" and {len(seen.names) - NAMES} more" if len(seen.names) > NAMES else ""
    return f"{counts}: {', '.join(seen.names[:NAMES])}{more}"


def _hooks(probe: Finding, cells: int) -> str:
    """As many hooks as there is room for."""
    names, kind = list[str](), ""
    for hook in probe.hooks:
        same = hook.split(":")[0] == kind
        kind = hook.split(":")[0]
        names.append(hook.split(":", 1)[-1] if same else hook)
    shown = ", ".join(names)
    for kept in range(len(names) - 1, 0, -1):
        if len(shown) <= cells:
            break
        shown = f"{', '.join(names[:kept])} and {len(names) - kept} more"
    return shown


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(clean(text), width, break_on_hyphens=False)


def _painted(line: Line) -> str:
    style, head, rest = line
    return f"\x1b[{STYLES[style]}m{head}\x1b[0m{rest}" if style else head + rest
