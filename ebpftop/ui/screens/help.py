"""The help page: the keys, and what the open pane's figures mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ebpftop.ui import actions
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from ebpftop.model import Column, ProbeInfo
    from ebpftop.ui.actions import Action

KEY_CELLS, NAME_CELLS = 9, 14
OF_VIEWS = (
    ("flame", "Keys of the flame view", actions.FLAME),
    ("histogram", "Keys of a histogram", actions.HISTOGRAM),
)


class HelpScreen(ModalScreen[None]):
    """Generated from the actions and from what the stream says of the probe."""

    BINDINGS = [
        Binding("escape,q,question_mark,f1,h,enter", "dismiss", "Close", show=False),
    ]

    def __init__(self, info: ProbeInfo | None) -> None:
        super().__init__()
        self._info = info

    def compose(self) -> ComposeResult:
        """One scrolling page."""
        with VerticalScroll(id="help") as page:
            page.border_title = "Help"
            page.border_subtitle = "↑↓ scroll · Esc closes"
            if self._info:
                yield Static(Content("\n").join(_about(self._info)))
            yield Static(Content("\n").join(_keys(self._info)))


def _keys(info: ProbeInfo | None) -> Iterator[Content]:
    kinds = {view.kind for view in info.views} if info else set()
    for kind, title, keys in OF_VIEWS:
        if kind in kinds:
            yield Content.styled(title, "bold $primary")
            yield from (_key(action.shown, _sentence(action)) for action in keys)
            yield Content("")
    yield Content.styled("Keys", "bold $primary")
    yield _key("1…9, 0", "Pane of that number")
    for action in (*actions.DASHBOARD, *actions.TABLE):
        yield _key(action.shown, _sentence(action))
    yield _key("Ctrl-P", "Palette of panes and actions")
    yield _key("Mouse", "Click on a heading sorts, on a row selects; the wheel scrolls")


def _sentence(action: Action) -> str:
    return f"{action.title}. {action.help}" if action.help else action.title


def _key(shown: str, title: str) -> Content:
    return Content.styled(fmt.fit(shown, KEY_CELLS), "$accent") + Content(title)


def _about(info: ProbeInfo) -> Iterator[Content]:
    yield Content.styled(fmt.clean(info.title), "bold $primary")
    yield Content(fmt.clean(f"Shows {info.purpose}."))
    if info.help:
        yield Content("")
        yield Content(fmt.clean(info.help))
    yield Content("")
    seen: set[str] = set()
    for view in info.views:
        table = {column.name: column for column in info.table(view.table).columns}
        derived = {column.name: column for column in view.derived}
        for name in view.columns or tuple(table):
            column = derived.get(name) or table.get(name)
            if column and column.help and column.title not in seen:
                seen.add(column.title)
                yield _column(column)
    if info.hooks:
        yield Content("")
        yield Content.styled("Hooks  ", "$accent") + Content(fmt.clean("; ".join(info.hooks)))
    yield Content("")


def _column(column: Column) -> Content:
    title = fmt.fit(fmt.clean(column.title), NAME_CELLS)
    return Content.styled(title, "$accent") + Content(fmt.clean(column.help))
