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
        time_bar: the same while there is a timeline.
        help: a sentence more, for the help page.
        first: whether the key is this action's before it is the focused view's.
    """

    name: str
    keys: str
    shown: str
    title: str
    bar: str = ""
    time_bar: str = ""
    help: str = ""
    first: bool = False


DASHBOARD = (
    Action(
        "open",
        "enter",
        "Enter",
        "Open the selected row",
        "open",
        "open",
        help="Chooses its process, then what is below: thread, peer, disk, call, stack. The choice"
        " holds on every pane and at every moment.",
    ),
    Action("back", "backspace", "Bksp", "Back to before the last Enter"),
    Action(
        "group",
        "g",
        "g",
        "Group the rows",
        "group",
        help="By process, command, container, cgroup, user, disk, peer … Totals stay as they are.",
    ),
    Action(
        "details",
        "d",
        "d",
        "Page of the selected process, or of the scope",
        "page",
        "page",
        help="Who it is, and what every probe says of it. Enter opens a probe's pane.",
    ),
    Action(
        "tree",
        "c",
        "c",
        "Tree of cgroups, or the rows again",
        "tree",
        help="Each line has the figures of its cgroup and all below it; Enter opens it.",
    ),
    Action(
        "follow",
        "F",
        "F",
        "Follow the selected row, or no more",
        help="It stays in sight wherever it goes; when its process is gone, a new one of the same"
        " command takes its place. Moving the selection ends it.",
    ),
    Action(
        "pin",
        "p",
        "p",
        "Pin the selected row to the top, or no more",
        help="A pinned row stays there whatever the order and the filter, also without figures.",
    ),
    Action("next_pane", "tab", "Tab", "Next pane"),
    Action("previous_pane", "shift+tab", "S-Tab", "Previous pane"),
    Action("next_view", "v", "v", "Next view of this pane", "view", "view"),
    Action("previous_view", "V", "V", "Previous view of this pane"),
    Action("sort_left", "less_than_sign", "<", "Sort by the column to the left"),
    Action("sort_right", "greater_than_sign", ">", "Sort by the column to the right"),
    Action("reverse", "R", "R", "Reverse the order"),
    Action(
        "filter",
        "slash",
        "/",
        "Filter rows",
        "filter",
        help="Words that a row's names must all contain, /pattern/, or comparisons of columns with"
        " values as they are shown: bytes > 1MB and (comm ~ nginx or not raddr in 10.0.0.0/8)."
        " Tab completes a name, Enter keeps the filter, Esc clears it.",
    ),
    Action(
        "clear",
        "escape",
        "Esc",
        "Clear the filter, the marked ranges, the last step, the selection",
    ),
    Action(
        "pause",
        "space",
        "Space",
        "Stop the display, or go on",
        "pause",
        "play",
        "Collection goes on meanwhile. Going on shows the newest; or, where another moment was"
        " chosen, plays from there.",
    ),
    Action("step(-1)", "T,left_square_bracket", "T [", "One tick back"),
    Action("step(1)", "t,right_square_bracket", "t ]", "One tick on"),
    Action(
        "jump",
        "b,j",
        "b j",
        "Go to a moment",
        time_bar="go to",
        help="A time of day (10:02), a date and time, so far from here (-3m, +30s), or a share"
        " of the whole (50%).",
    ),
    Action("first_tick", "home", "Home", "Go to the oldest", first=True),
    Action("last_tick", "end", "End", "Go to the newest, and stay with it", "", "now", first=True),
    Action(
        "mark",
        "m",
        "m",
        "Mark a range",
        time_bar="mark",
        help="Once where it begins, once where it ends: all views show the sum over it. A second"
        " range is compared with the first.",
    ),
    Action(
        "record",
        "r",
        "r",
        "Record to a file, or end that",
        "rec",
        help="The file is ebpftop-….ebt, where ebpftop was started.",
    ),
    Action("save", "exclamation_mark", "!", "Save the last 10 minutes to a file"),
    Action("faster", "plus,equals_sign", "+", "Shorter interval; faster where time is played"),
    Action("slower", "minus", "-", "Longer interval; slower where time is played"),
    Action("retry", "ctrl+r", "Ctrl-R", "Start a probe that failed once more"),
    Action("app.colours", "C", "C", "Next colour theme"),
    Action("help", "question_mark,f1,h", "?", "Help", "help", "help"),
    Action("app.quit", "q,f10,ctrl+c", "q", "Quit", "quit", "quit"),
)
FLAME = (
    Action("move('up')", "up", "↑", "Frame above, function above"),
    Action("move('down')", "down", "↓", "Largest frame below, function below"),
    Action("move('left')", "left", "←", "Frame to the left"),
    Action("move('right')", "right", "→", "Frame to the right"),
    Action("page(-1)", "pageup", "PgUp", "One page up"),
    Action("page(1)", "pagedown", "PgDn", "One page down"),
    Action(
        "zoom",
        "enter",
        "Enter",
        "Give the selected frame the whole width; of a function, find its frames",
    ),
    Action(
        "unzoom", "escape,backspace,u", "Esc", "End the search, leave the functions, then zoom out"
    ),
    Action(
        "group",
        "g",
        "g",
        "First level by process, name, thread, cgroup; or all together",
    ),
    Action(
        "turn",
        "o",
        "o",
        "Turn round: callers below what they call, or above it",
        help="Turned, the functions that were on top of the stacks come first.",
    ),
    Action("frames", "x", "x", "All frames, those of the kernel, or those of programs"),
    Action(
        "functions",
        "f",
        "f",
        "Functions with their own and total time, or the flame",
        help="Own is the time of stacks that end in it, total of all that hold it. Of what is"
        " zoomed into, where something is; the search chooses among them.",
    ),
    Action("sort(-1)", "less_than_sign", "<", "Sort functions by the column to the left"),
    Action("sort(1)", "greater_than_sign", ">", "Sort functions by the column to the right"),
    Action("sort(0)", "R", "R", "Reverse the order of the functions"),
    Action("weight", "w", "w", "Time blocked, time waiting for a CPU, or both"),
    Action("merge", "n", "n", "Processes of one name as one, or each"),
    Action("asleep", "i", "i", "Threads that slept throughout: show, or leave out"),
    Action(
        "save_as",
        "s",
        "s",
        "Save the flame as SVG, folded stacks or for speedscope",
        help="The whole of it, as it is shown, in a file where ebpftop was started.",
    ),
)
HISTOGRAM = (Action("turn", "o", "o", "Upright bars, or lines"),)
TABLE = (
    Action("move(-1)", "up", "↑", "One row up"),
    Action("move(1)", "down", "↓", "One row down"),
    Action("page(-1)", "pageup", "PgUp", "One page up"),
    Action("page(1)", "pagedown", "PgDn", "One page down"),
    Action("first", "home", "Home", "First row"),
    Action("last", "end", "End", "Last row"),
    Action("sideways(-1)", "left", "←", "Columns on the left; in a tree, fold the line, or go up"),
    Action("sideways(1)", "right", "→", "Columns on the right; in a tree, unfold the line"),
    Action("unfold", "asterisk", "*", "Unfold all lines of a tree"),
)


def bindings(actions: tuple[Action, ...]) -> list[BindingType]:
    """The key bindings of some actions, for a Textual class."""
    return [
        Binding(
            action.keys,
            action.name,
            action.title,
            show=False,
            key_display=action.shown,
            priority=action.first,
        )
        for action in actions
    ]


def pane_bindings() -> list[BindingType]:
    """The digits: each shows a pane."""
    return [
        Binding(digit, f"show_pane({position})", f"Pane {position + 1}", show=False)
        for position, digit in enumerate(PANE_KEYS)
    ]
