"""Live and replay are one path: what is seen of a stream is what is seen of its recording."""

import subprocess
import sys
from pathlib import Path

import pytest

from ebpftop import registry
from ebpftop.model import Tick
from ebpftop.recording.flight import FlightRecorder
from ebpftop.recording.reader import Recording
from ebpftop.recording.writer import Writer
from ebpftop.sources.player import Player
from ebpftop.views.store import Store
from tests.models import Models

pytestmark = pytest.mark.bpf
LOAD = Path(__file__).resolve().parents[2] / "benchmarks" / "load.py"
TICKS = 75


@pytest.fixture(scope="module")
def stream_of_a_busy_machine(collect_for_all):
    """Records of all six probes, more than a chunk of ticks, while the machine is at work."""
    probes = tuple(registry.probes())
    session = collect_for_all(*probes)
    with subprocess.Popen([sys.executable, LOAD, "60"], stdout=subprocess.DEVNULL) as load:
        session.wait_running(*probes)
        session.wait_for(lambda: sum(isinstance(r, Tick) for r in session.records) >= TICKS)
        load.terminate()
    return list(session.records)


@pytest.fixture(scope="module")
def live(stream_of_a_busy_machine):
    """What a live screen had to show at the end of each tick."""
    store, models, seen = Store(), Models(), []
    for record in stream_of_a_busy_machine:
        store.add(record)
        if isinstance(record, Tick):
            seen.append(models.of(store))
    return seen


def replayed(tape):
    player, models = Player(tape), Models()
    for tick in range(tape.overview.end):
        player.seek(tick)
        yield models.of(player.store)


def compare(tape, live):
    assert len(tape.overview) == len(live) >= TICKS
    for tick, (then, now) in enumerate(zip(live, replayed(tape))):
        for view, shown in then.items():
            assert now[view] == shown, f"{view} differs at tick {tick}"


def test_views_of_a_live_run_equal_those_of_the_replay_of_its_recording(
    stream_of_a_busy_machine, live, tmp_path
):
    writer = Writer(str(tmp_path / "run.ebt"))
    for record in stream_of_a_busy_machine:
        writer.add(record)
    writer.close()
    compare(Recording(writer.path), live)


def test_views_of_a_live_run_equal_those_of_its_rewind(stream_of_a_busy_machine, live):
    flight = FlightRecorder()
    for record in stream_of_a_busy_machine:
        flight.add(record)
    compare(flight, live)


def test_every_view_had_something_to_show(live):
    empty = [view for view, shown in live[-1].items() if not shown]
    assert not empty
