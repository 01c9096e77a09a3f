"""What a pane shows instead of figures while it has none: starting, failed, or not to be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ebpftop.model import ProbeInfo, Status

DETAIL_LINES = 12
NOT_THEN = "it was not running at this moment"
TITLES = {
    "idle": "not running",
    "starting": "starting",
    "failed": "failed",
    "unavailable": "not available on this machine",
}


class StatusCard(VerticalScroll):
    """A card in the middle of the pane: what, why, what to do, and what the compiler said."""

    _past = False

    def __init__(self) -> None:
        super().__init__(can_focus=False)
        self._card = Static(id="card")  # kept: it is drawn while children come, or go, too

    def compose(self) -> ComposeResult:
        """One text; the card's border says the state."""
        yield self._card

    def show(
        self,
        info: ProbeInfo,
        status: Status | None,
        starting: tuple[int, int],
        past: bool = False,
    ) -> None:
        """Draw the card of a probe.

        `starting` says which of how many is being compiled; `past`, that this was then, not now.
        """
        self._past = past
        state = status.state if status else "idle"
        card = self._card
        card.set_classes(f"card -{state}")
        card.border_title = Content(f"{info.title} · {TITLES.get(state, state)}")
        card.update(Content("\n\n").join(self._paragraphs(info, status, starting)))
        card.border_subtitle = (
            Content("Ctrl-R: try again")
            if state in ("failed", "unavailable") and not past
            else None
        )

    def _paragraphs(
        self, info: ProbeInfo, status: Status | None, starting: tuple[int, int]
    ) -> list[Content]:
        if status is None or status.state == "idle":
            return [
                Content(fmt.clean(f"Shows {info.purpose}.")),
                Content.styled(NOT_THEN if self._past else "waiting to be started", "$dim"),
            ]
        reason = fmt.clean(status.reason)
        if status.state == "starting":
            number, of = starting
            doing = f"{reason or 'starting'} {number}/{of} …"
            return [
                Content(fmt.clean(f"Shows {info.purpose}.")),
                Content.styled(doing, "bold $primary"),
            ]
        paragraphs = [Content.styled(reason or "no reason given", "bold")]
        if status.hint:
            hint = Content.styled("What to do: ", "$accent")
            paragraphs.append(hint + Content(fmt.clean(status.hint)))
        lines = [fmt.clean(line) for line in status.detail.splitlines() if line.strip()]
        if lines:
            paragraphs.append(Content.styled("\n".join(lines[-DETAIL_LINES:]), "$dim"))
        return paragraphs
