"""Which probes run: that of the open pane, for a while those before, all while it is recorded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from ebpftop.model import Command

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S = 30.0
ACTIVE = ("starting", "running", "degraded")


class Timer(Protocol):
    """What a clock hands out."""

    def stop(self) -> None:
        """Do not go off."""


class Demand:
    """Asks the collector to start a probe when its pane is shown, and to stop it later."""

    def __init__(
        self,
        send: Callable[[Command], None],
        state: Callable[[str], str],
        set_timer: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        """`state` tells the state of a probe, `set_timer` calls a function after some seconds."""
        self._send, self._state, self._set_timer = send, state, set_timer
        self._shown = ""
        self._timers: dict[str, Timer] = {}
        self._stopped: set[str] = set()
        self._held: tuple[str, ...] = ()

    def show(self, probe: str) -> None:
        """The pane of a probe is on the screen, and that of the one before is not."""
        if probe == self._shown:
            return
        left, self._shown = self._shown, probe
        if left:
            self._timers[left] = self._set_timer(GRACE_S, lambda: self._stop(left))
        timer = self._timers.pop(probe, None)
        if timer:
            timer.stop()
        if self._state(probe) == "idle" or probe in self._stopped:
            self.start(probe)

    def start(self, probe: str) -> None:
        """Start a probe, once more if it failed."""
        self._stopped.discard(probe)
        self._send(Command("start", probe))

    def hold(self, probes: tuple[str, ...]) -> None:
        """A recording wants these: start them, and stop none until `release`."""
        self._held = probes
        for probe in probes:
            if self._state(probe) == "idle" or probe in self._stopped:
                self.start(probe)

    def release(self) -> None:
        """The recording has ended: what is not on the screen is stopped after the usual time."""
        held, self._held = self._held, ()
        for probe in held:
            if probe != self._shown and probe not in self._timers:
                self._timers[probe] = self._set_timer(GRACE_S, partial(self._stop, probe))

    def _stop(self, probe: str) -> None:
        self._timers.pop(probe, None)
        if probe in self._held:
            return
        if self._state(probe) in ACTIVE:
            self._stopped.add(probe)
            self._send(Command("stop", probe))
