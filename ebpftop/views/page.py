"""The page of a subject: who it is, and every probe's summary of it.

A profile is kept while the page is open: what was worked out of a sample serves for as long as
that sample is shown, and the courses of the figures outlive the samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from ebpftop.model import Hello, Process, Sample
from ebpftop.views import format as fmt
from ebpftop.views.captions import clock
from ebpftop.views.digest import Digest, Plan
from ebpftop.views.ranges import Span
from ebpftop.views.scope import Names, Narrowed, Narrowing, Scope, is_covered, position
from ebpftop.views.stat import Stat
from ebpftop.views.store import Store, remember, speaker
from ebpftop.views.subject import Fact, Moment, Seen, facts, presence, title
from ebpftop.views.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ebpftop.model import ProbeInfo, Record, Table
    from ebpftop.views.scope import Step

POINTS = 120
TABLES = 3
# Of an interval: a sample that is so much older than the newest is of another time.
STALE = 2.5
LEARNED = 4096
NOT_RUNNING = {"idle": "not running", "starting": "starting"}
NO_CARDS = ("running", "degraded")


@dataclass(frozen=True)
class Section:
    """The summary of one probe.

    Attributes:
        title: of its pane, safe to show.
        state: of the probe.
        note: why there is nothing to see, or what limits it; empty where nothing does.
        is_warning: whether figures are less than they should be.
        main: the course of its main figure up to the moment; None where it has none.
        text: that figure at the moment, or over the range; `peak` the highest of its course.
        tables: its tables in brief, the main one first.
        is_blank: whether there are no figures of the moment.
    """

    probe: str
    title: str
    state: str
    note: str
    is_warning: bool
    main: Stat | None
    text: str
    peak: str
    tables: tuple[Digest, ...]
    is_blank: bool


@dataclass(frozen=True)
class Page:
    """What is known of a subject at a moment.

    Attributes:
        title: who it is, safe to show.
        presence: whether it was seen in the newest samples; empty where it was.
        period: what time the figures are of, where that is not one interval.
    """

    title: str
    presence: str
    period: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class _Taken:
    """One probe at a moment: its sample, whole and as far as it is in scope."""

    info: ProbeInfo
    whole: Sample | None = None
    inside: Sample | None = None
    is_stale: bool = False
    is_covered: bool = True


class Profile:
    """All that a page needs to be drawn again and again.

    Attributes:
        step: who it is about.
        trail: the courses of the figures.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self._scope = Scope((step,))
        self.trail = Trail(self._scope)
        self._speaker: tuple[object, ...] = ()
        self._infos: dict[str, ProbeInfo] = {}
        self._plans: dict[str, tuple[ProbeInfo, tuple[Plan, ...]]] = {}
        self._narrows: dict[str, tuple[ProbeInfo, tuple[Table, ...]]] = {}
        self._narrowed: dict[str, tuple[ProbeInfo, Narrowed]] = {}
        self._learned: dict[int, Process] = {}
        self._paths: dict[int, str] = {}

    def learn(self, record: Record) -> None:
        """Take in a record of the time before, or of any other."""
        if isinstance(record, Hello):
            self._hear(record)
        elif isinstance(record, Process):
            remember(self._learned, record, LEARNED)
            if record.cgroup:
                self._paths[record.cgroup] = record.cgroup_path
        elif isinstance(record, Sample) and record.probe in self._infos:
            names = Names(self._learned, {}, self._paths)
            self.trail.add(self._infos[record.probe], record, names)

    def page(self, store: Store, sums: Mapping[str, Span | None] | None = None) -> Page:
        """The page as a store has it; of the probes in `sums`, of that time instead."""
        sums = sums or {}
        if store.hello:
            self._hear(store.hello)
        names = self._names(store)
        moment, newest = _moment(store)
        taken = [self._take(info, store, sums, names, newest) for info in store.probes()]
        for each in taken:
            if each.whole and not isinstance(each.whole, Span):
                self.trail.add(each.info, each.whole, names)
        self._keep_identity(names)
        seen = self._seen(taken, moment)
        spans = [each.whole for each in taken if isinstance(each.whole, Span)]
        return Page(
            title(self.step),
            presence(seen, moment),
            f"over {fmt.ns(max(span.dt_ns for span in spans))}" if spans else "",
            facts(self.step, names, seen, moment),
            tuple(self._section(each, store, names, moment) for each in taken),
        )

    def _hear(self, hello: Hello) -> None:
        """Where another collector speaks, what the one before said is of no use."""
        if speaker(hello) == self._speaker:
            return
        self._speaker = speaker(hello)
        self.trail = Trail(self._scope)
        self._infos = {info.name: info for info in hello.probes if info.views}

    def _names(self, store: Store) -> Names:
        """Who is who: the store knows best, but may have forgotten, or not have heard yet."""
        if self._learned.keys() <= store.processes.keys():
            return Names.of(store)
        processes = {**self._learned, **store.processes}
        return Names(processes, store.cgroups, {**self._paths, **store.paths})

    def _keep_identity(self, names: Names) -> None:
        """Keep who the process is and whom it descends from: other moments may not tell it."""
        number = self._scope.value("pid")
        for _ in range(LEARNED):
            known = names.processes.get(number)
            if known is None or self._learned.get(number) is known:
                return
            self._learned[number], number = known, known.ppid

    def _take(
        self,
        info: ProbeInfo,
        store: Store,
        sums: Mapping[str, Span | None],
        names: Names,
        newest_ns: int,
    ) -> _Taken:
        whole = sums[info.name] if info.name in sums else store.latest(info.name)
        if whole is None:
            return _Taken(info)
        if not is_covered(self._scope, whole.scope, names):
            return _Taken(info, whole, is_covered=False)
        known = self._narrowed.get(info.name)
        if known is None or known[0] is not info:
            known = self._narrowed[info.name] = info, Narrowed(info, self._scope)
        (inside,) = known[1].samples([whole], names)
        late_ns = newest_ns - whole.mono_ns
        is_stale = not isinstance(whole, Span) and late_ns > STALE * whole.dt_ns
        return _Taken(info, whole, inside, is_stale)

    def _seen(self, taken: Sequence[_Taken], moment: Moment) -> Seen:
        """Its processes and threads, from all tables that name them."""
        pids: set[int] = set()
        tids: set[int] = set()
        is_now = False
        for each in taken:
            if each.inside is None or each.is_stale:
                continue
            for table in self._telling(each.info):
                rows = each.inside.tables.get(table.name, ())
                if not rows:
                    continue
                is_now = True
                pid, tid = position(table, "pid"), position(table, "tid")
                if pid is not None:
                    pids.update(map(itemgetter(pid), rows))
                if tid is not None:
                    tids.update(map(itemgetter(tid), rows))
        return Seen(pids, tids, self.trail.last_seen(moment.mono_ns), is_now)

    def _section(self, each: _Taken, store: Store, names: Names, moment: Moment) -> Section:
        info, status, plans = (
            each.info,
            store.statuses.get(each.info.name),
            self._planned(each.info),
        )
        state = store.state(info.name)
        inside = None if each.is_stale else each.inside
        digests = tuple(plan.digest(inside, names) if inside else plan.empty() for plan in plans)
        main, peak = self._main(info, moment)
        return Section(
            info.name,
            fmt.clean(info.title),
            state,
            self._note(each, state, status.reason if status else ""),
            bool(each.whole and any(each.whole.lost.values())) or state == "degraded",
            main,
            dict(digests[0].figures).get(main.title, fmt.UNKNOWN) if main and digests else "",
            peak,
            digests,
            inside is None,
        )

    def _note(self, each: _Taken, state: str, reason: str) -> str:
        """The most important of what limits the figures."""
        whole = each.whole
        if not self._planned(each.info):
            return "knows nothing of that"
        if whole is None or each.is_stale:
            if state not in NO_CARDS:
                return fmt.clean(NOT_RUNNING.get(state, reason))
            return f"last measured {clock(whole.wall_ns)}" if whole else "measuring"
        if not each.is_covered:
            return "was counted for less"
        lost = sum(whole.lost.values())
        if lost:
            return f"lost {fmt.count(lost)}"
        if state == "degraded":
            return f"degraded: {fmt.clean(reason)}"
        shown = {plan.table.name for plan in self._planned(each.info)}
        left_out = sum(number for name, number in whole.truncated.items() if name in shown)
        return f"{fmt.count(left_out)} rows folded into others" if left_out else ""

    def _main(self, info: ProbeInfo, moment: Moment) -> tuple[Stat | None, str]:
        """The course of the main figure up to the moment, and its peak."""
        found = self.trail.main(info)
        if found is None or not self._planned(info):
            return None, ""
        column, kind = found[1].column, found[1].kind
        values = self.trail.values(info.name, moment.mono_ns, POINTS)
        peak = max((number for number in values if number is not None), default=None)
        heading = fmt.clean(column.title)
        return Stat(heading, column.kind, column.rate, values), fmt.FORMATS[kind](peak)

    def _planned(self, info: ProbeInfo) -> tuple[Plan, ...]:
        """The tables of a probe that can be narrowed: the main one, and those that have keys."""
        known = self._plans.get(info.name)
        if known is None or known[0] is not info:
            telling = self._telling(info)
            plans: list[Plan] = []
            for view in info.views:
                if view.kind == "table" and info.table(view.table) in telling:
                    plan = Plan.of(info, view, self._scope)
                    if not plans or plan.tells_more:
                        plans.append(plan)
            known = self._plans[info.name] = info, tuple(plans[:TABLES])
        return known[1]

    def _telling(self, info: ProbeInfo) -> tuple[Table, ...]:
        """The tables whose rows tell whether they are about the subject."""
        known = self._narrows.get(info.name)
        if known is None or known[0] is not info:
            nobody = Names()
            tables = (t for t in info.tables if Narrowing.of(t, self._scope, nobody).tests)
            known = self._narrows[info.name] = info, tuple(tables)
        return known[1]


def _moment(store: Store) -> tuple[Moment, int]:
    """The moment that a store is of, and the clock of its newest sample."""
    samples = [store.latest(info.name) for info in store.probes()]
    known = [sample for sample in (*samples, store.host) if sample]
    newest = max(known, key=lambda sample: sample.mono_ns, default=None)
    if newest:
        return Moment(newest.wall_ns, newest.mono_ns), newest.mono_ns
    hello = store.hello
    return (Moment(hello.wall_ns, hello.mono_ns) if hello else Moment(0, 0)), 0
