"""A line at the bottom of the screen that asks for one of a few things, each with its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding
from textual.screen import ModalScreen

from ebpftop.ui.widgets.line import Line, Piece
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from textual.app import ComposeResult
    from textual.events import Key

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Choice(NamedTuple):
    """One thing that can be chosen: what stands for it, and what it is called."""

    value: str
    title: str


class Choose(ModalScreen[str | None]):
    """Dismissed with the value that was chosen, or None."""

    BINDINGS = [
        Binding("escape", "dismiss", "Close", show=False),
        Binding("left,shift+tab", "move(-1)", "To the left", show=False),
        Binding("right,tab", "move(1)", "To the right", show=False),
        Binding("enter", "take", "Choose", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], current: str = "") -> None:
        """`current` is the value that holds now."""
        super().__init__()
        self._title = title
        self.choices = tuple(choices)
        values = [choice.value for choice in self.choices]
        self.at = values.index(current) if current in values else 0
        self.keys = letters([choice.title for choice in self.choices])

    def compose(self) -> ComposeResult:
        """One line."""
        yield ChoiceLine(self)

    @property
    def heading(self) -> str:
        """What is asked."""
        return self._title

    def on_key(self, event: Key) -> None:
        """A letter chooses."""
        if event.character in self.keys:
            event.stop()
            self.action_choose(self.keys.index(event.character))

    def action_choose(self, position: int) -> None:
        """Choose what stands at a position."""
        self.dismiss(self.choices[position].value)

    def action_move(self, step: int) -> None:
        """Mark the next."""
        self.at = (self.at + step) % len(self.choices)
        self.query_one(ChoiceLine).refresh()

    def action_take(self) -> None:
        """Choose what is marked."""
        self.action_choose(self.at)


class ChoiceLine(Line):
    """The choices, each with its key; they can be clicked."""

    COMPONENT_CLASSES = {"keys--key", "keys--action", "keys--current"}

    def __init__(self, asked: Choose) -> None:
        super().__init__()
        self._asked = asked

    def pieces(self, width: int) -> Iterator[Piece]:
        """Scrolled so far that the marked one is seen."""
        asked = self._asked
        parts = [(key, fmt.clean(choice.title)) for key, choice in zip(asked.keys, asked.choices)]
        room = width - fmt.width(asked.heading) - 4
        first = 0
        while sum(fmt.width(t) + 5 for _, t in parts[first : asked.at + 1]) > room:
            first += 1
        yield Piece(f" {asked.heading}  ", "keys--key")
        for position, (key, title) in enumerate(parts[first:], first):
            style = "keys--current" if position == asked.at else "keys--action"
            yield Piece(key, "keys--key", f"screen.choose({position})")
            yield Piece(f" {title} ", style, f"screen.choose({position})")
            yield Piece("  ")


def letters(titles: Sequence[str]) -> list[str]:
    """A letter for each title: one of its own where that is free."""
    taken: list[str] = []
    for title in titles:
        wanted = [*(c for c in title.lower() if c in LETTERS), *LETTERS]
        taken.append(next((c for c in wanted if c not in taken), ""))
    return taken
