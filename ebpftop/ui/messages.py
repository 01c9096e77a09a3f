"""What the parts of the screen tell each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from ebpftop.ui.widgets.table import SampleTable


class SampleArrived(Message, bubble=False):
    """There is something newer to draw; posted to the pane, which asks the store for it."""

    def can_replace(self, message: Message) -> bool:
        """One drawing serves for all that came while the pane was busy."""
        return isinstance(message, SampleArrived)


class RowSelected(Message):
    """The selection of a table moved to another row, or was cleared."""

    def __init__(self, table: SampleTable) -> None:
        self.table = table
        super().__init__()

    @property
    def control(self) -> SampleTable:
        """The table."""
        return self.table
