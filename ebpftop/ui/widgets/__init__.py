"""The widgets, and which of them draws which kind of view."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ebpftop.ui.widgets.table import SampleTable

if TYPE_CHECKING:
    from ebpftop.model import ProbeInfo, View
    from ebpftop.ui.widgets.drawing import Drawing

# Imported when first drawn: plotext alone costs 24 ms of the start.
DRAWINGS = {
    "histogram": ("ebpftop.ui.widgets.histogram", "Histogram"),
    "heat": ("ebpftop.ui.widgets.heat", "HeatStrip"),
    "chart": ("ebpftop.ui.widgets.chart", "Chart"),
    "stat": ("ebpftop.ui.widgets.stat", "StatRow"),
    "flame": ("ebpftop.ui.widgets.flame", "Flame"),
}


def widget_for(info: ProbeInfo, view: View) -> SampleTable | Drawing | None:
    """The widget that draws a view; None for a kind that this version does not know."""
    if view.kind == "table":
        widget: SampleTable | Drawing = SampleTable(info, view)
    elif view.kind in DRAWINGS:
        module, name = DRAWINGS[view.kind]
        widget = getattr(import_module(module), name)(info, view)
    else:
        return None
    widget.add_class("view", f"view-{view.kind}")
    return widget
