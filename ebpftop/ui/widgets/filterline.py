"""The line where the filter is typed; below it, the names it may go on with, or what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.suggester import Suggester
from textual.widgets import Input, Static

from ebpftop.ui.widgets.line import Line, Piece
from ebpftop.views import format as fmt
from ebpftop.views.fields import Fields
from ebpftop.views.filter import compile_filter, completions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from ebpftop.views.filter import Filter
    from ebpftop.views.table import Shape

EXAMPLES = ("words", "/pattern/")
COMPARISONS = {
    "bytes": "> 1MB",
    "ns": "> 10ms",
    "ratio": "> 5%",
    "count": "> 100",
    "label": "~ abc",
}
JOINTS = "and or not ( )"
PLACEHOLDERS = {True: "words, /pattern/, or comparisons", False: "text to search for"}
CARET = "^"
GAP = "  "


class FilterInput(Input):
    """The text, which Tab completes."""

    BINDINGS = [Binding("tab", "complete", "Complete the name of a column", show=False)]

    def __init__(self) -> None:
        super().__init__(id="filter", compact=True, suggester=_Names(self))
        self.fields: Fields | None = None

    def names(self) -> tuple[int, list[str]]:
        """Where the last word begins, and the names that it may become, the best first."""
        if self.fields is None or not self.cursor_at_end:
            return len(self.value), []
        return completions(self.value, self.fields)

    def completed(self) -> str:
        """The text with its last word as the best name, its letters as typed; else empty."""
        start, names = self.names()
        return self.value + names[0][len(self.value) - start :] if names else ""

    def action_complete(self) -> None:
        """Take the best name for the last word; the key is never that of the next pane here."""
        completed = self.completed()
        if completed:
            self.value = completed
            self.cursor_position = len(completed)


class _Names(Suggester):
    """Shows the best completion behind the text; the right arrow takes it."""

    def __init__(self, line: FilterInput) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._line = line

    async def get_suggestion(self, value: str) -> str | None:
        """The text with its last word completed; None where there is nothing to complete."""
        completed = self._line.completed()
        return completed if completed.startswith(value) else None


class FilterLine(Vertical):
    """The text and its hint."""

    def __init__(self) -> None:
        super().__init__()
        self.input = FilterInput()
        self.hint = _Hint(self.input)

    def compose(self) -> ComposeResult:
        """The text, and what is said of it below."""
        with Horizontal(classes="typed"):
            yield Static("filter")
            yield self.input
        yield self.hint

    def on_mount(self) -> None:
        """The mark of an error stays below its character, whatever moves."""
        for moves in ("value", "scroll_x", "cursor_position", "size"):
            self.watch(self.input, moves, self._changed, init=False)

    def open(self, text: str, shape: Shape | None) -> None:
        """Take the keys; `shape` is that of the rows that are filtered, None where text is sought.

        It is called on while hidden, too.
        """
        self.input.fields = Fields(shape) if shape else None
        self.input.placeholder = PLACEHOLDERS[shape is not None]
        self.input.value = text
        self.input.focus()
        self.hint.insist(False)

    def is_filter(self) -> bool:
        """Whether what is typed is a filter; if not, the error is said in its colour."""
        wrong = self.hint.wrong is not None
        self.hint.insist(wrong)
        return not wrong

    def _changed(self) -> None:
        self.hint.insist(False)


class _Hint(Line):
    """What may be typed next; where there is an error, a mark below its character, and the error.

    What typing on may mend is dim, so that it does not cry before one has finished.
    """

    COMPONENT_CLASSES = {"filter--dim", "filter--name", "filter--error"}

    def __init__(self, line: FilterInput) -> None:
        super().__init__()
        self._line = line
        self._insisting = False

    @property
    def wrong(self) -> Filter | None:
        """The filter, if it is in error."""
        fields = self._line.fields
        made = compile_filter(self._line.value, fields) if fields else None
        return made if made and made.error else None

    def insist(self, insisting: bool) -> None:
        """Draw anew; an unfinished text is an error like others if that is insisted on."""
        self._insisting = insisting
        self.refresh()

    def pieces(self, width: int) -> Iterator[Piece]:
        """The error, or names, or examples."""
        wrong, (_, names) = self.wrong, self._line.names()
        indent = max(0, self._line.content_region.x - self.content_region.x)
        if wrong and not (names and wrong.unfinished and not self._insisting):
            dim = wrong.unfinished and not self._insisting
            before = fmt.width(fmt.clean(self._line.value[: wrong.position]))
            at = indent + before - self._line.scroll_offset.x
            style = "filter--dim" if dim else "filter--error"
            start, text = marked(fmt.clean(wrong.error), at, width)
            yield Piece(" " * start)
            yield Piece(text, style)
            return
        yield Piece(" " * indent)
        if names:
            yield Piece("Tab ", "filter--dim")
            for name in names:
                yield Piece(name + GAP, "filter--name")
        elif self._line.fields:
            yield Piece(GAP.join(_examples(self._line.fields)), "filter--dim")


def _examples(fields: Fields) -> Iterator[str]:
    """What may be typed: words, a pattern, and a comparison of the first column of each kind."""
    yield from EXAMPLES
    kinds = dict(COMPARISONS)
    for name in fields.offered:
        comparison = kinds.pop(fields.find(name).kind, None)
        if comparison:
            yield f"{name} {comparison}"
    yield JOINTS


def marked(message: str, at: int, width: int) -> tuple[int, str]:
    """A mark at a cell and a message on its side with more room: where that begins, and its text.

    `width` is that of the line.
    """
    at = min(max(0, at), width - 1)
    if fmt.width(message) + 1 < width - at or at < width / 2:
        return at, f"{CARET} {message}"
    text = f"{fmt.cut(message, at - 1)} {CARET}"
    return at + 1 - fmt.width(text), text
