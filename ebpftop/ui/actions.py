"""Every action of the user, once: its keys, what the key bar, the palette and the help say of it.

The keys are those that users of top, htop, atop and below know; `k` is left alone, because it
kills in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType

PANE_KEYS = "1234567890"


@dataclass(frozen=True)
class Action:
    """One thing that a key does.

    Attributes:
        name: the Textual action.
        keys: Textual's names of the keys, separated by commas.
        shown: the keys as the user knows them.
        title: what the palette and the help call it.
        bar: what the key bar calls it; empty where the bar does not show it.
        help: a sentence more, for the help page.
    """

    name: str
    keys: str
    shown: str
    title: str
    bar: str = ""
    help: str = ""


DASHBOARD = (
    Action("next_pane", "tab", "Tab", "Next pane"),
    Action("previous_pane", "shift+tab", "S-Tab", "Previous pane"),
    Action("next_view", "v", "v", "Next view of this pane", "view"),
    Action("previous_view", "V", "V", "Previous view of this pane"),
    Action("sort_left", "less_than_sign", "<", "Sort by the column to the left"),
    Action("sort_right", "greater_than_sign", ">", "Sort by the column to the right"),
    Action("reverse", "R", "R", "Reverse the order", "reverse"),
    Action(
        "filter",
        "slash",
        "/",
        "Filter rows",
        "filter",
        "Words that a row's names must all contain, or /pattern/. Enter keeps it, Esc clears it.",
    ),
    Action("clear", "escape", "Esc", "Clear the filter, then the selection"),
    Action(
        "pause",
        "space",
        "Space",
        "Pause or resume the display",
        "pause",
        "Collection goes on meanwhile; resuming shows the newest.",
    ),
    Action("faster", "plus,equals_sign", "+", "Shorter interval"),
    Action("slower", "minus", "-", "Longer interval"),
    Action("retry", "r", "r", "Start a probe that failed once more"),
    Action("app.colours", "c", "c", "Next colour theme"),
    Action("help", "question_mark,f1,h", "?", "Help", "help"),
    Action("app.quit", "q,f10,ctrl+c", "q", "Quit", "quit"),
)
FLAME = (
    Action("move('up')", "up", "↑", "Caller"),
    Action("move('down')", "down", "↓", "Largest callee"),
    Action("move('left')", "left", "←", "Frame to the left"),
    Action("move('right')", "right", "→", "Frame to the right"),
    Action("zoom", "enter", "Enter", "Give the selected frame the whole width"),
    Action("unzoom", "escape,backspace,u", "Esc", "End the search, then zoom out"),
    Action("weight", "w", "w", "Time blocked, time waiting for a CPU, or both"),
    Action("merge", "m", "m", "Processes of one name as one, or each"),
    Action("asleep", "i", "i", "Threads that slept throughout: show, or leave out"),
)
HISTOGRAM = (Action("turn", "b", "b", "Upright bars, or lines"),)
TABLE = (
    Action("move(-1)", "up", "↑", "One row up"),
    Action("move(1)", "down", "↓", "One row down"),
    Action("page(-1)", "pageup", "PgUp", "One page up"),
    Action("page(1)", "pagedown", "PgDn", "One page down"),
    Action("first", "home", "Home", "First row"),
    Action("last", "end", "End", "Last row"),
    Action("scroll_columns(-1)", "left", "←", "Scroll to the columns on the left"),
    Action("scroll_columns(1)", "right", "→", "Scroll to the columns on the right"),
)


def bindings(actions: tuple[Action, ...]) -> list[BindingType]:
    """The key bindings of some actions, for a Textual class."""
    return [
        Binding(action.keys, action.name, action.title, show=False, key_display=action.shown)
        for action in actions
    ]


def pane_bindings() -> list[BindingType]:
    """The digits: each shows a pane."""
    return [
        Binding(digit, f"show_pane({position})", f"Pane {position + 1}", show=False)
        for position, digit in enumerate(PANE_KEYS)
    ]
