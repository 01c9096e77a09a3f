"""What every view of a probe has to show of a store: what two stores are compared by."""

from typing import Any

from ebpftop.views import chart, heat, histogram, stat, table
from ebpftop.views.machine import machine
from ebpftop.views.quality import quality
from ebpftop.views.stacks import Window
from ebpftop.views.state import ViewState
from ebpftop.views.window import recent

LOOK_BACK_S = 10


class Models:
    """The views of all panes; they remember as much as those on a screen do."""

    def __init__(self):
        self._kept = {}

    def of(self, store):
        """Everything that could be seen, as plain values, by pane and view."""
        shown: dict[Any, Any] = {"header": machine(store), "cgroups": dict(store.cgroups)}
        for info in store.probes():
            status, sample = store.statuses.get(info.name), store.latest(info.name)
            shown[info.name] = quality(status, sample, 0), store.state(info.name)
            for position, view in enumerate(info.views):
                key = (info.name, position, view.kind)
                shown[key] = getattr(self, f"_{view.kind}")(key, info, view, store)
        return shown

    def _table(self, key, info, view, store):
        shape = table.Shape.of(info, view)
        sample = store.latest(info.name)
        made = table.build(shape, sample, ViewState(), store.processes, store.cgroups)
        rows = [*made.rows, *([made.others] if made.others else []), made.total]
        return [[made.text(row, column) for column in range(len(made.columns))] for row in rows]

    def _histogram(self, key, info, view, store):
        samples = recent(store.samples(info.name), LOOK_BACK_S)
        return histogram.build(histogram.Axes.of(info, view), samples, {})

    def _heat(self, key, info, view, store):
        axes = histogram.Axes.of(info, view)
        course = self._kept.setdefault(key, heat.course(axes))
        course.update(store.samples(info.name), {})
        return heat.build(axes, tuple(course.points))

    def _chart(self, key, info, view, store):
        course = self._kept.setdefault(key, chart.course(info, view))
        course.update(store.samples(info.name), {})
        return chart.build(info, view, tuple(course.points), store.names)

    def _stat(self, key, info, view, store):
        course = self._kept.setdefault(key, stat.course(info, view))
        course.update(store.samples(info.name), {})
        return stat.build(info, view, tuple(course.points))

    def _flame(self, key, info, view, store):
        window = self._kept.setdefault(key, Window(info, view))
        window.names = store.names
        window.update(store.samples(info.name), {})
        return _frames(window.tree.root), window.lasted, window.sleepers


def _frames(node):
    return (node.name, node.total, sorted(_frames(child) for child in node.children.values()))
