"""Who a page is about: a process, or all those of a cgroup, a container, a command or a user."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpftop.views import cgroups
from ebpftop.views import format as fmt
from ebpftop.views.captions import clock
from ebpftop.views.scope import OF_PROCESS, Step, step
from ebpftop.views.window import process

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ebpftop.model import Process
    from ebpftop.views.scope import Names, Scope

ROLES = ("pid", *OF_PROCESS)
NS_PER_S = 1_000_000_000
LISTED = 8
PARENTS = 64
ARROW = " › "  # noqa: RUF001
SEPARATOR = " · "


@dataclass(frozen=True)
class Moment:
    """The moment that a page shows: UTC, and the clock that process starts are told by."""

    wall_ns: int
    mono_ns: int


@dataclass(frozen=True)
class Seen:
    """What the newest samples say of a subject.

    Attributes:
        pids: its processes that have a row; `tids` its threads, as far as they were told.
        last_ns: UTC of the newest sample with a row of it; None for none.
        is_now: whether one of the newest samples has one.
    """

    pids: AbstractSet[int] = frozenset()
    tids: AbstractSet[int] = frozenset()
    last_ns: int | None = None
    is_now: bool = False


@dataclass(frozen=True)
class Fact:
    """Something that is known, safe to show."""

    title: str
    text: str


def about(selected: Mapping[str, Any], scope: Scope, names: Names) -> Step | None:
    """Who the page is about that a selected row and a scope ask for; `selected` is by role.

    The row comes first: it is within the scope. None where neither names anybody.
    """
    for role in ROLES:
        value = selected.get(role)
        if role == "cgroup" and isinstance(value, int):
            value = names.paths.get(value)
        if value is not None:
            return step(role, value, names)
    for each in reversed(scope.steps):
        for role, value in each.terms:
            if role in ROLES:
                return Step(((role, value),), each.label)
    return None


def members(role: str, value: Any, processes: Iterable[Process]) -> list[Process]:
    """The processes that are meant."""
    if role == "pid":
        return [each for each in processes if each.pid == value]
    told = OF_PROCESS[role]
    if role == "cgroup":
        inside: dict[str, bool] = {}
        found = []
        for each in processes:
            path = each.cgroup_path
            if path not in inside:
                inside[path] = cgroups.is_within(path, value)
            if inside[path]:
                found.append(each)
        return found
    return [each for each in processes if told(each) == value]


def facts(about: Step, names: Names, seen: Seen, moment: Moment) -> tuple[Fact, ...]:
    """What is known of a subject, most important first."""
    ((role, value), *_) = about.terms
    if role == "pid":
        return tuple(_of_process(value, names, seen, moment))
    return tuple(_of_group(role, value, names, seen))


def title(about: Step) -> str:
    """Who a page is about, in a few words: `nginx[4242]`, `container web-1`."""
    ((role, _), *_) = about.terms
    return about.label if role in ("pid", "user") else f"{role} {about.label}"


def presence(seen: Seen, moment: Moment) -> str:
    """Whether the newest samples know it, and if not, which did."""
    if seen.is_now:
        return ""
    if seen.last_ns is None:
        return "not seen in what was measured"
    return f"not seen since {clock(seen.last_ns, moment.wall_ns)}"


def parents(pid: int, processes: Mapping[int, Process]) -> list[str]:
    """Those that a process descends from, the first of them first, as far as they are known.

    The one that is not known is named by its id; who is met again ends the chain.
    """
    chain: list[str] = []
    met = {pid}
    known = processes.get(pid)
    while known is not None and known.ppid and len(chain) < PARENTS:
        number = known.ppid
        if number in met:
            break
        met.add(number)
        known = processes.get(number)
        chain.append(process(number, {number: known.comm} if known else {}))
    return chain[::-1]


def _of_process(pid: int, names: Names, seen: Seen, moment: Moment) -> Iterable[Fact]:
    known = names.processes.get(pid)
    if known is None:
        yield Fact("command", "nothing is known of this process")
    else:
        yield Fact("command", _command(known))
        yield Fact("user", _joined((_user(known), started(known, moment))))
        yield Fact("cgroup", _joined((*_container([known]), known.cgroup_path or fmt.UNKNOWN)))
        chain = [*parents(pid, names.processes), process(pid, {pid: known.comm})]
        yield Fact("parents", ARROW.join(chain))
    if seen.tids:
        number = len(seen.tids)
        listed = " ".join(str(tid) for tid in sorted(seen.tids)[:LISTED])
        more = f" and {number - LISTED} more" if number > LISTED else ""
        yield Fact("threads", f"{number} seen: {listed}{more}")
    else:
        yield Fact("threads", "none seen in this time")


def _of_group(role: str, value: Any, names: Names, seen: Seen) -> Iterable[Fact]:
    group = members(role, value, names.processes.values())
    paths = sorted({each.cgroup_path for each in group if each.cgroup_path})
    if role == "cgroup":
        below = sum(path != value for path in paths)
        what = _count(below, "cgroup")
        own = f"{value} with {what} below it" if below else str(value)
        yield Fact("cgroup", _joined((*_container(group), own)))
    else:
        places = _listed([(path, 1) for path in paths], 3)
        yield Fact("cgroup", _joined((*_container(group), places or fmt.UNKNOWN)))
    now = [each for each in group if each.pid in seen.pids]
    figures = f"{len(now)} in the newest samples, {len(group)} known"
    users = Counter(each.user for each in now or group if each.user)
    yield Fact("processes", _joined((figures, *_of(users, "of "))))
    commands = Counter(each.comm for each in now or group)
    yield Fact("commands", _listed(commands.most_common(), LISTED) or fmt.UNKNOWN)
    if role != "cgroup":
        return
    inner = Counter(each.cgroup_path for each in now or group if each.cgroup_path != value)
    if inner:
        titles = cgroups.titles(names)
        named = [(cgroups.name(path, titles), number) for path, number in inner.most_common()]
        yield Fact("below it", _listed(named, LISTED))


def started(known: Process, moment: Moment) -> str:
    """When a process began, and how long that is ago."""
    age_ns = moment.mono_ns - known.start_ns
    if not known.start_ns or age_ns < 0:
        return ""
    at = time.localtime((moment.wall_ns - age_ns) // NS_PER_S)
    now = time.localtime(moment.wall_ns // NS_PER_S)
    form = "%H:%M:%S" if at[:3] == now[:3] else "%Y-%m-%d %H:%M:%S"
    return f"started {time.strftime(form, at)}, {fmt.ns(age_ns)} ago"


def _command(known: Process) -> str:
    """The command line, and the program where that does not begin with it."""
    line, program = known.cmdline, known.exe
    if not line:
        return _joined((program or known.comm,))
    first = line.partition(" ")[0]
    return _joined((line, program if program and first != program else ""))


def _user(known: Process) -> str:
    if known.uid is None:
        return known.user or fmt.UNKNOWN
    return f"{known.user} ({known.uid})" if known.user else f"uid {known.uid}"


def _container(group: Sequence[Process]) -> list[str]:
    """What the processes run in, where it is one thing."""
    texts = []
    containers = {(each.container, each.runtime) for each in group}
    if len(containers) == 1:
        ((name, runtime),) = containers
        if name:
            texts.append(f"container {name}" + (f" ({runtime})" if runtime else ""))
    pods = {each.pod for each in group}
    if len(pods) == 1 and (pod := next(iter(pods))):
        texts.append(f"pod {pod}")
    return texts


def _of(counted: Counter[str], before: str) -> list[str]:
    text = _listed([(name, 1) for name, _ in counted.most_common()], 3)
    return [before + text] if text else []


def _listed(counted: Sequence[tuple[str, int]], limit: int) -> str:
    """Names with their numbers, as many as may be listed: `postgres ×9, bash, 3 more`."""  # noqa: RUF002
    texts = [f"{name} ×{number}" if number > 1 else name for name, number in counted[:limit]]  # noqa: RUF001
    if len(counted) > limit:
        texts.append(f"{len(counted) - limit} more")
    return fmt.clean(", ".join(texts))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _joined(texts: Iterable[str]) -> str:
    return fmt.clean(SEPARATOR.join(filter(None, texts)))
