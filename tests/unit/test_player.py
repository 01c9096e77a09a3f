"""A player stands at any moment of a tape, and knows what a live screen knew then."""

from dataclasses import replace

import pytest

from ebpftop.model import Status, Tick
from ebpftop.recording.flight import FlightRecorder
from ebpftop.sources import player as players
from ebpftop.sources.player import Player
from ebpftop.views.store import Store
from tests.ui import scenes

TICKS = 200
S = scenes.SECOND


def story(ticks=TICKS):
    """What a collector says: one probe runs throughout, the other fails half way."""
    yield from (scenes.hello(), scenes.running(scenes.BIOTOP), scenes.running(scenes.SYSCOUNT))
    yield from scenes.PEOPLE
    for seq in range(1, ticks + 1):
        yield scenes.host(seq)
        yield scenes.biotop(seq)
        if seq < ticks // 2:
            yield scenes.syscount(seq)
        elif seq == ticks // 2:
            yield Status("syscount", "failed", reason="a map went away")
        yield scenes.tick(seq)


@pytest.fixture
def tape():
    flight = FlightRecorder()
    for record in story():
        flight.add(record)
    return flight


@pytest.fixture
def player(tape):
    player = Player(tape)
    player.watch("biotop")
    return player


def newest(player, probe="biotop"):
    return player.store.latest(probe).seq


def tables(store):
    return store.latest("biotop").tables


def test_it_stands_nowhere_until_it_is_sent_somewhere(player):
    assert player.position is None


@pytest.mark.parametrize("at", [0, 1, 59, 60, 61, 119, 120, 199])
def test_it_shows_the_sample_of_the_moment(player, at):
    player.seek(at)
    assert (player.position, newest(player)) == (at, at + 1)


def test_it_stays_within_the_tape(player):
    player.seek(10_000)
    assert player.position == TICKS - 1
    player.step(-10_000)
    assert player.position == 0


def test_a_status_is_that_of_the_moment(player):
    player.seek(150)
    assert player.store.state("syscount") == "failed"
    player.seek(50)
    assert player.store.state("syscount") == "running"
    player.seek(TICKS // 2 - 1)
    assert player.store.state("syscount") == "failed"


def test_who_a_pid_is_is_known_in_every_chunk(player):
    for at in (5, 70, 130, 199):
        player.seek(at)
        assert player.store.processes[9004].comm == "fio"


def test_all_probes_have_the_sample_of_the_moment(player):
    player.seek(80)
    assert newest(player, "syscount") == 81
    assert player.store.host.seq == 81


def seqs(player, probe="biotop"):
    return [sample.seq for sample in player.store.samples(probe)]


def deepen(player, *ticks):
    for _ in player.deepen(*ticks):
        pass


def test_a_jump_reads_that_one_tick(player):
    player.seek(150)
    assert seqs(player) == [151]


def test_the_time_before_is_read_for_the_pane_that_is_open(player):
    player.seek(150)
    deepen(player, 32)
    assert seqs(player) == list(range(120, 152))
    assert seqs(player, "syscount") == []


def test_another_pane_gets_its_past_when_it_is_opened(player):
    player.seek(80)
    deepen(player)
    player.watch("syscount")
    deepen(player)
    assert seqs(player, "syscount") == list(range(1, 82))
    assert player.position == 80


def test_charts_get_the_whole_past(player):
    player.seek(190)
    deepen(player)
    assert seqs(player) == list(range(1, 192))


def test_a_step_back_keeps_the_past_that_was_read(player):
    player.seek(190)
    deepen(player)
    player.step(-5)
    assert seqs(player) == list(range(1, 187))
    assert tables(player.store) == scenes.biotop(186).tables


def test_a_step_back_from_a_parked_store_keeps_its_past(player):
    live = Store()
    for record in story():
        live.add(record)
    player.park(live.freeze())
    player.step(-1)
    assert seqs(player) == list(range(1, TICKS))


def test_what_was_played_meanwhile_follows_the_past_that_was_read(player):
    player.seek(100)
    work = player.deepen()
    next(work)
    player.step(1)
    for _ in work:
        pass
    assert seqs(player) == list(range(1, 103))


def two_runs():
    """A recorder that was started again, an hour later, and knows another column."""
    flight = FlightRecorder()
    first = scenes.hello()
    flight.add(first)
    flight.add(scenes.running(scenes.BIOTOP))
    for seq in (1, 2, 3):
        flight.add(scenes.biotop(seq))
        flight.add(scenes.tick(seq))
    flight.add(replace(first, wall_ns=first.wall_ns + 1, mono_ns=first.mono_ns + 1))
    for seq in (3601, 3602):
        flight.add(scenes.biotop(seq))
        flight.add(scenes.tick(seq))
    return Player(flight)


def test_the_past_does_not_reach_into_the_run_of_another_collector():
    player = two_runs()
    player.watch("biotop")
    player.seek(4)
    deepen(player)
    assert seqs(player) == [3601, 3602]


def test_what_is_played_into_the_run_of_another_collector_begins_anew():
    player = two_runs()
    player.watch("biotop")
    player.seek(2)
    deepen(player)
    player.step(1)
    assert seqs(player) == [3601]
    assert player.store.statuses == {}


def test_a_move_meanwhile_makes_the_past_of_no_use(player):
    player.seek(190)
    work = player.deepen()
    next(work)
    player.seek(20)
    for _ in work:
        pass
    assert newest(player) == 21


def test_stepping_on_is_what_a_live_screen_saw(player):
    player.seek(0)
    live = Store()
    at = 0
    for record in story():
        live.add(record)
        if isinstance(record, Tick):
            if at:
                player.step(1)
            assert tables(player.store) == tables(live)
            assert player.store.statuses == live.statuses
            assert player.store.processes == live.processes
            at += 1


def test_time_passes_at_the_speed_of_the_recording(player):
    player.seek(0)
    player.toggle()
    assert not player.advance(0.9)
    assert player.advance(0.2)
    assert player.position == 1


def test_faster_shows_more_ticks_in_the_same_time(player):
    player.seek(0)
    player.toggle()
    for _ in range(len(players.SPEEDS)):
        player.change_speed(1)
    assert player.speed == 60
    player.advance(1.05)
    assert player.position == 63


def test_slower_shows_fewer(player):
    player.seek(0)
    player.toggle()
    for _ in range(len(players.SPEEDS)):
        player.change_speed(-1)
    assert player.speed == 0.25
    player.advance(3.9)
    assert player.position == 0
    player.advance(0.2)
    assert player.position == 1


def test_time_stands_still_until_it_is_played(player):
    player.seek(5)
    assert not player.advance(100)


def test_a_gap_is_not_waited_for():
    flight = FlightRecorder()
    flight.add(scenes.hello())
    for seq in (1, 2, 5_000, 5_001):
        flight.add(scenes.biotop(seq))
        flight.add(scenes.tick(seq))
    player = Player(flight)
    player.seek(0)
    player.toggle()
    player.advance(1 + players.LONGEST_WAIT_S + 0.1)
    assert player.position == 2


def test_a_clock_that_was_set_back_is_played_on():
    flight = FlightRecorder()
    flight.add(scenes.hello())
    for seq in range(1, 6):
        back = 3_600 * S if seq > 2 else 0
        flight.add(scenes.biotop(seq))
        flight.add(scenes.tick(seq, wall_ns=scenes.START_NS + seq * S - back))
    player = Player(flight)
    player.seek(0)
    player.toggle()
    player.advance(10)
    assert player.position == 4


def test_at_the_end_of_a_loop_it_begins_again(tape):
    player = Player(tape, loop=True)
    player.seek(TICKS - 2)
    player.toggle()
    player.advance(1.05)
    assert (player.position, player.playing) == (0, True)


def test_a_parked_store_goes_on_when_a_tick_is_added(player, tape):
    live = Store()
    for record in story():
        live.add(record)
    player.park(live.freeze())
    assert player.position == TICKS - 1
    for record in (scenes.biotop(TICKS + 1), scenes.tick(TICKS + 1)):
        tape.add(record)
        live.add(record)
    player.step(1)
    assert newest(player) == TICKS + 1


def test_every_tick_that_is_added_is_shown(player, tape):
    player.seek(TICKS - 1)
    for seq in range(TICKS + 1, TICKS + 5):
        tape.add(scenes.biotop(seq))
        tape.add(scenes.tick(seq))
        player.step(1)
        assert (newest(player), player.position) == (seq, seq - 1)


def test_a_flight_recorder_that_forgets_is_still_played(player, tape):
    tape._span_ns = 60 * S
    player.seek(0)
    for seq in range(TICKS + 1, TICKS + 200):
        tape.add(scenes.biotop(seq))
        tape.add(scenes.tick(seq))
    assert tape.overview.first > 0
    player.step(1)
    assert player.position >= tape.overview.first
    assert newest(player) == player.position + 1
