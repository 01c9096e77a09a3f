"""The scope: what the user has chosen to look at, step by step, on every pane and at every moment.

A step names values by their role (`pid`, `disk`, …), so that it holds wherever a table has such a
column. Who a process is leads further: a table that has process ids can be narrowed to a command, a
user, a container or a cgroup and all below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ebpftop.views import cgroups
from ebpftop.views import format as fmt
from ebpftop.views.cgroups import is_within
from ebpftop.views.window import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ebpftop.model import Column, ProbeInfo, Process, Row, Sample, Table
    from ebpftop.views.store import Store

STACK = "stack"
UNKNOWN, NONE = "(unknown)", "(none)"  # groups of rows of which nothing is known, or nothing true
# What can be told of a process, and so of each row that has a process id.
OF_PROCESS: dict[str, Callable[[Process], Any]] = {
    "command": lambda process: process.comm,
    "user": lambda process: process.user,
    "container": lambda process: process.container,
    "cgroup": lambda process: process.cgroup_path,
}
# Values that one step chooses together, from the widest step to the narrowest.
TOGETHER = (
    ("pid",),
    ("tid",),
    ("laddr", "lport", "raddr", "rport"),
    ("disk",),
    ("op",),
    ("cpu",),
    ("syscall",),
    (STACK,),
)
NOUNS = {"pid": "process", "tid": "thread", "raddr": "peer", "laddr": "address", "op": "operation"}


@dataclass(frozen=True)
class Names:
    """Who the ids in the rows are.

    Attributes:
        processes: identities by process id.
        cgroups: what a cgroup is called, by its id; `paths` where it is.
    """

    processes: Mapping[int, Process] = field(default_factory=dict)
    cgroups: Mapping[int, str] = field(default_factory=dict)
    paths: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, *stores: Store) -> Names:
        """What some stores know; the last one knows best."""
        if len(stores) == 1:
            return cls(stores[0].processes, stores[0].cgroups, stores[0].paths)
        return cls(
            {pid: each for store in stores for pid, each in store.processes.items()},
            {number: name for store in stores for number, name in store.cgroups.items()},
            {number: path for store in stores for number, path in store.paths.items()},
        )


@dataclass(frozen=True)
class Step:
    """One choice.

    Attributes:
        terms: the roles and their values; a cgroup's value is its path, and it covers all below.
        label: how the breadcrumb calls it, safe to show.
    """

    terms: tuple[tuple[str, Any], ...]
    label: str = field(compare=False)


@dataclass(frozen=True)
class Scope:
    """The steps that were taken, the widest first; with none of them, everything."""

    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self.steps)

    def then(self, *steps: Step) -> Scope:
        """The scope with steps more."""
        return Scope((*self.steps, *steps))

    def value(self, role: str) -> Any:
        """The value that was chosen last for a role; None where there is none."""
        terms = (term for step in reversed(self.steps) for term in step.terms)
        return next((value for each, value in terms if each == role), None)


@dataclass(frozen=True)
class Narrowing:
    """A scope as it holds for one table.

    Attributes:
        tests: positions in a row, and the values that may stand there.
        ignored: roles of steps that this table knows nothing of.
    """

    tests: tuple[tuple[int, AbstractSet[Any]], ...]
    ignored: tuple[str, ...]

    @classmethod
    def of(
        cls, table: Table, scope: Scope, names: Names, counted: Mapping[str, int] | None = None
    ) -> Narrowing:
        """How to narrow a table; `counted` is what the kernel has narrowed it to already."""
        tests, ignored = [], []
        for step in scope.steps:
            found = [_test(table, role, value, names) for role, value in step.terms]
            tests += [test for test in found if test]
            if not any(found) and not _is_counted(step, counted or {}, names):
                ignored.append(step.terms[0][0])
        return cls(tuple(tests), tuple(dict.fromkeys(ignored)))

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """The rows within; the row of the others, whose keys are None, is in no scope."""
        tests = self.tests
        if len(tests) == 1:  # nearly always, and it takes half the time
            ((position, allowed),) = tests
            return [row for row in rows if row[position] in allowed]
        return [row for row in rows if all(row[i] in allowed for i, allowed in tests)]

    @property
    def remark(self) -> str:
        """What does not hold here, for a heading: `not by process`; empty where all does."""
        return (
            f"not by {' or '.join(NOUNS.get(r, r) for r in self.ignored)}" if self.ignored else ""
        )


def narrowed(sample: Sample, info: ProbeInfo, scope: Scope, names: Names) -> Sample:
    """The rows of a sample that a scope leaves; a table that cannot be narrowed stays whole."""
    tables = dict(sample.tables)
    for table in info.tables:
        narrowing = Narrowing.of(table, scope, names, sample.scope)
        if table.name in tables and narrowing.tests:
            tables[table.name] = narrowing.rows(tables[table.name])
    return replace(sample, tables=tables)


class Narrowed:
    """The samples of a probe in a scope; each is worked out once."""

    def __init__(self, info: ProbeInfo, scope: Scope) -> None:
        self._info = info
        self.scope = scope
        self._made: dict[int, tuple[Sample, Sample]] = {}

    def samples(self, samples: Sequence[Sample], names: Names) -> list[Sample]:
        """Each sample as far as it is in scope."""
        made = {}
        for sample in samples:
            known = self._made.get(id(sample))
            if known is None or known[0] is not sample:
                known = sample, narrowed(sample, self._info, self.scope, names)
            made[id(sample)] = known
        self._made = made
        return [inside for _, inside in made.values()]


def next_step(table: Table, selected: Mapping[str, Any], scope: Scope, names: Names) -> Step | None:
    """What opening a row chooses: the widest of its values that is not chosen yet.

    `selected` has the row's key columns, by name. None where all of them are chosen.
    """
    values = {}
    for column in table.columns:
        if selected.get(column.name) is not None:
            values[role_of(column)] = selected[column.name]
    chosen = {role for step in scope.steps for role, _ in step.terms}
    for roles in TOGETHER:
        terms = tuple((role, values[role]) for role in roles if role in values)
        if terms and not chosen.issuperset(role for role, _ in terms):
            return Step(terms, label(terms, names))
    return None


def is_covered(scope: Scope, counted: Mapping[str, int], names: Names) -> bool:
    """Whether a sample holds all of a scope, given what the kernel had narrowed it to."""
    if not counted:
        return True
    if "pid" in counted:
        return bool(scope.value("pid") == counted["pid"])
    path = names.paths.get(counted.get("cgroup", 0), "")
    process = names.processes.get(scope.value("pid"))
    places = (cgroup_of(scope, names), process.cgroup_path if process else "")
    return bool(path) and any(is_within(place, path) for place in places if place)


def cgroup_of(scope: Scope, names: Names) -> str:
    """The path of the cgroup, or of the one container, that was chosen; empty where there is none.

    Containers of one name have a cgroup each: then there is no one to name.
    """
    if scope.value("cgroup"):
        return str(scope.value("cgroup"))
    name = scope.value("container")
    known = (process for process in names.processes.values() if name)
    paths = {cgroups.container_path(process) for process in known if process.container == name}
    return paths.pop() if len(paths) == 1 else ""


def step(role: str, value: Any, names: Names) -> Step:
    """The choice of one value, as groupings have it."""
    if role == "container" and value == NONE:
        return Step(((role, ""),), "no container")
    terms = ((role, value),)
    return Step(terms, label(terms, names))


def label(terms: Sequence[tuple[str, Any]], names: Names) -> str:
    """A choice in words, safe to show: `nginx[4242]`, `web-1`, `10.0.0.1:443`."""
    values = dict(terms)
    role, value = terms[0]
    if role == "pid":
        comms = {value: names.processes[value].comm} if value in names.processes else {}
        return process(value, comms)
    if role == "cgroup":
        return cgroups.name(value, cgroups.titles(names))
    if "raddr" in values:
        return fmt.clean(f"{values['raddr']}:{values.get('rport', '')}")
    if role == STACK:
        return fmt.clean(str(value).rpartition(";")[2].removesuffix("_[k]"))
    if role in ("tid", "cpu", "user"):
        return f"{role} {fmt.label(value)}"
    return fmt.clean(fmt.label(value))


def role_of(column: Column) -> str:
    """What the values of a key column stand for; empty for a figure."""
    if column.fold != "key":
        return ""
    return STACK if column.kind == STACK else column.role or column.name


def position(table: Table, role: str) -> int | None:
    """Where the value of a role stands in the rows of a table; None where it does not."""
    places = (place for place, column in enumerate(table.columns) if role_of(column) == role)
    return next(places, None)


def _test(table: Table, role: str, value: Any, names: Names) -> tuple[int, AbstractSet[Any]] | None:
    """Where to look in a row, and for what; None where the table cannot tell."""
    own, pid = position(table, role), position(table, "pid")
    if role == "cgroup" and own is not None:
        return own, {number for number, path in names.paths.items() if is_within(path, value)}
    if own is not None:
        return own, {value}
    told = OF_PROCESS.get(role)
    if told is None or pid is None:
        return None
    if role == "cgroup":
        return pid, {p for p, each in names.processes.items() if is_within(told(each), value)}
    return pid, {p for p, each in names.processes.items() if told(each) == value}


def _is_counted(step: Step, counted: Mapping[str, int], names: Names) -> bool:
    """Whether the kernel counted nothing but what a step chooses."""
    roles = dict(step.terms)
    pid, cgroup = counted.get("pid"), counted.get("cgroup")
    path = names.paths.get(cgroup, "") if cgroup else ""
    if pid is not None:
        if "pid" in roles:
            return bool(pid == roles["pid"])
        who = names.processes.get(pid)
        path = who.cgroup_path if who else ""
    above = cgroup_of(Scope((step,)), names)
    return bool(path and above) and is_within(path, above)
