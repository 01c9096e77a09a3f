"""Which probes run: the open pane's, and for a while those of the panes before it."""

from ebpftop.model import Command
from ebpftop.ui.demand import GRACE_S, Demand


class Clock:
    """Timers that go off when the test says so."""

    def __init__(self):
        self.timers = []

    def set_timer(self, seconds, call):
        self.timers.append(Timer(seconds, call))
        return self.timers[-1]

    def pass_grace(self):
        due, self.timers = self.timers, []
        for timer in due:
            if not timer.stopped:
                timer.call()


class Timer:
    def __init__(self, seconds, call):
        self.seconds, self.call, self.stopped = seconds, call, False

    def stop(self):
        self.stopped = True


class Room:
    """A demand, with a collector that does as it is told."""

    def __init__(self):
        self.sent, self.states, self.clock = [], {}, Clock()
        self.demand = Demand(self.send, self.state, self.clock.set_timer)

    def send(self, command):
        self.sent.append((command.verb, command.probe))
        self.states[command.probe] = "running" if command.verb == "start" else "idle"

    def state(self, probe):
        return self.states.get(probe, "idle")


def test_a_pane_that_is_shown_has_its_probe_started():
    room = Room()
    room.demand.show("biotop")
    assert room.sent == [("start", "biotop")]


def test_a_probe_that_runs_already_is_left_alone():
    room = Room()
    room.states["biotop"] = "starting"
    room.demand.show("biotop")
    assert room.sent == []


def test_a_pane_that_was_left_keeps_its_probe_for_a_while():
    room = Room()
    room.demand.show("biotop")
    room.demand.show("tcptop")
    assert room.sent == [("start", "biotop"), ("start", "tcptop")]
    assert [timer.seconds for timer in room.clock.timers] == [GRACE_S]


def test_then_the_probe_is_stopped():
    room = Room()
    room.demand.show("biotop")
    room.demand.show("tcptop")
    room.clock.pass_grace()
    assert room.sent[-1] == ("stop", "biotop")


def test_who_comes_back_in_time_finds_it_running():
    room = Room()
    for probe in ("biotop", "tcptop", "biotop"):
        room.demand.show(probe)
    room.clock.pass_grace()
    assert ("stop", "biotop") not in room.sent
    assert room.sent.count(("start", "biotop")) == 1


def test_who_comes_back_late_has_it_started_again():
    room = Room()
    room.demand.show("biotop")
    room.demand.show("tcptop")
    room.clock.pass_grace()
    room.demand.show("biotop")
    assert room.sent[-1] == ("start", "biotop")


def test_it_is_started_again_even_before_the_collector_said_that_it_stopped():
    room = Room()
    room.demand.show("biotop")
    room.demand.show("tcptop")
    room.clock.pass_grace()
    room.states["biotop"] = "running"  # the status of the stop is still under way
    room.demand.show("biotop")
    assert room.sent[-1] == ("start", "biotop")


def test_a_probe_that_failed_is_not_started_again_unasked():
    room = Room()
    room.states["biotop"] = "failed"
    room.demand.show("biotop")
    assert room.sent == []


def test_a_probe_that_failed_is_not_stopped():
    room = Room()
    room.demand.show("biotop")
    room.states["biotop"] = "failed"
    room.demand.show("tcptop")
    room.clock.pass_grace()
    assert ("stop", "biotop") not in room.sent


def test_commands_are_the_streams_own():
    sent: list[Command] = []
    Demand(sent.append, lambda _: "idle", Clock().set_timer).show("biotop")
    assert sent == [Command("start", "biotop")]


def test_a_recording_has_all_probes_started():
    room = Room()
    room.demand.show("biotop")
    room.demand.hold(("biotop", "tcptop"))
    assert room.sent == [("start", "biotop"), ("start", "tcptop")]


def test_while_it_is_recorded_no_probe_is_stopped():
    room = Room()
    for probe in ("biotop", "tcptop"):
        room.demand.show(probe)
    room.demand.hold(("biotop", "tcptop", "runqlen"))
    room.clock.pass_grace()
    assert not [sent for sent in room.sent if sent[0] == "stop"]


def test_after_a_recording_what_is_not_shown_is_stopped():
    room = Room()
    room.demand.show("biotop")
    room.demand.hold(("biotop", "tcptop"))
    room.demand.release()
    room.clock.pass_grace()
    assert room.sent[-1] == ("stop", "tcptop")
    assert ("stop", "biotop") not in room.sent


def test_a_probe_that_failed_is_not_started_by_a_recording():
    room = Room()
    room.states["tcptop"] = "failed"
    room.demand.hold(("tcptop",))
    assert room.sent == []
