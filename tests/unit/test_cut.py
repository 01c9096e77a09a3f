"""`ebpftop cut`: an excerpt stands alone, holds what was asked for, and appears when whole."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ebpftop import stream
from ebpftop.commands import cut as command
from ebpftop.model import Hello, Process, Sample, Status, Tick
from ebpftop.recording import cut
from ebpftop.recording.container import zstd
from ebpftop.recording.reader import Recording
from ebpftop.recording.segment import FileChunk
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer
from tests.ui import scenes

pytestmark = pytest.mark.usefixtures("utc")

S = scenes.SECOND
TICKS = 200  # three chunks and a part
LATER = scenes.process(7777, "backup.sh", "/srv/backup.sh --to acme", "alice", "backup.service")


def story(ticks=TICKS, wall_ns=lambda seq: scenes.START_NS + seq * S):
    """Two probes; one more process from the hundredth second on, which only syscount sees."""
    yield from (scenes.hello(), scenes.running(scenes.BIOTOP), scenes.running(scenes.SYSCOUNT))
    yield from scenes.PEOPLE
    yield scenes.process(666, "unseen", "never in a row")
    for seq in range(1, ticks + 1):
        at = {"wall_ns": wall_ns(seq)}
        yield scenes.at("host", seq, scenes.host(seq).tables, **at)
        yield scenes.biotop(seq, **at)
        calls = scenes.syscount(seq).tables
        if seq == 100:
            yield LATER
        if seq >= 100:
            calls["calls"].append((7777, "read", seq, 1, 0))
        yield scenes.at("syscount", seq, calls, **at)
        yield Tick(wall_ns(seq), seq * S, S)


def record(path, records):
    writer = Writer(path)
    for each in records:
        writer.add(each)
    writer.close()
    return path


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A recording of 200 seconds from 14:13:21 on."""
    return record(str(tmp_path_factory.mktemp("box") / "box.ebt"), story())


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "out.ebt")


@pytest.fixture
def run(box, out, capsys):
    """`run("--from", "10:02")` gives exit status, output and errors."""

    def run(*options, file=box) -> tuple[int, str, str]:
        return command.main([file, "-o", out, *options]), *capsys.readouterr()

    return run


def all_of(path):
    tape = Recording(path)
    return list(tape.records(tape.overview.first, tape.overview.end - 1))


def lines(path, *kinds):
    """The records of some kinds, as lines that can be compared."""
    return [stream.encode(each) for each in all_of(path) if isinstance(each, kinds)]


def seqs(path, probe="biotop"):
    return [each.seq for each in all_of(path) if isinstance(each, Sample) and each.probe == probe]


def pids(path):
    return {each.pid for each in all_of(path) if isinstance(each, Process)}


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ((), 1, 200),
        (("--from", "14:14:00"), 40, 200),
        (("--to", "14:14:00"), 1, 40),
        (("--from", "14:14:00", "--to", "14:14:00"), 40, 40),
        (("--from", "-10s"), 190, 200),
        (("--from", "+59s", "--to", "+3s"), 60, 63),
        (("--from", "50%", "--to", "2026-09-21 14:16:10"), 101, 170),
    ],
)
def test_it_holds_the_intervals_that_ended_in_the_span(run, out, options, first, last):
    assert run(*options)[0] == 0
    assert seqs(out) == list(range(first, last + 1))


def test_samples_and_ticks_are_those_of_the_recording(run, box, out):
    run("--from", "+30s", "--to", "+100s")
    for kind in (Sample, Tick):
        whole = lines(box, kind)
        per_tick = len(whole) // TICKS
        assert lines(out, kind) == whole[30 * per_tick : 131 * per_tick]


def test_it_knows_who_its_rows_are_about_whenever_they_were_first_seen(run, out):
    run("--from", "+130s", "--to", "+1s")
    rows = [each for each in all_of(out) if isinstance(each, Sample) and each.probe != "host"]
    seen = {
        row[0] for each in rows for name in ("io", "calls") for row in each.tables.get(name, ())
    }
    assert seen == pids(out)
    assert 7777 in seen


def test_it_tells_of_nobody_else(run, out):
    run("--from", "+10s", "--to", "+20s")
    assert not pids(out) & {7777, 666}


def test_it_says_which_probes_ran_and_through_what(run, out):
    run("--from", "+130s")
    assert [s for s in all_of(out) if isinstance(s, Status)] == [
        scenes.running(scenes.BIOTOP),
        scenes.running(scenes.SYSCOUNT),
    ]


def test_one_probe_comes_with_the_hosts_figures_and_its_own_processes(run, out):
    run("--probe", "biotop", "--from", "+130s")
    assert {each.probe for each in all_of(out) if isinstance(each, Sample)} == {"biotop", "host"}
    (hello,) = (each for each in all_of(out) if isinstance(each, Hello))
    assert [probe.name for probe in hello.probes] == ["biotop", "host"]
    assert 7777 not in pids(out)


def test_a_clock_that_was_set_back_gives_both_runs_and_says_who_speaks_once(tmp_path, run, out):
    clock = lambda seq: scenes.START_NS + (seq if seq <= 100 else seq - 50) * S  # noqa: E731
    back = record(str(tmp_path / "back.ebt"), story(wall_ns=clock))
    run("--from", "14:14:20", "--to", "14:14:30", file=back)
    assert seqs(out) == [*range(60, 71), *range(110, 121)]
    assert len(lines(out, Hello)) == 1
    overview = Recording(out).overview
    assert [mark.kind for mark in overview.marks] == ["start", "clock", "gap"]


def test_it_says_what_is_in_it(run, out):
    status, said, errors = run("--from", "+30s", "--to", "+30s")
    assert (status, errors) == (0, "")
    assert said.startswith(f"{out}: 2026-09-21 14:13:51 to 2026-09-21 14:14:21, 31 intervals, ")


def test_only_its_owner_can_read_it(run, out):
    run()
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600


def test_a_file_that_is_there_is_replaced_only_by_force(run, out):
    Path(out).write_text("precious")
    status, _, errors = run()
    assert (status, Path(out).read_text()) == (1, "precious")
    assert errors == (f"ebpftop: {out} is there already; choose another name, or use --force\n")
    assert run("--force")[0] == 0
    assert len(seqs(out)) == TICKS


def test_the_recording_itself_is_never_replaced(run, box, capsys):
    before = Path(box).read_bytes()
    assert command.main([box, "-o", box, "--force"]) == 1
    assert "is the recording itself" in capsys.readouterr().err
    assert Path(box).read_bytes() == before


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RecordingError, OSError])
def test_what_is_not_whole_leaves_nothing(tmp_path, failure):
    def broken():
        yield from story(70)
        raise failure("no more")

    with pytest.raises((failure, RecordingError)):
        cut.write(str(tmp_path / "out.ebt"), broken(), ())
    assert os.listdir(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "out.ebt"

    def slow():
        yield from story(3)
        path.write_text("precious")

    with pytest.raises(RecordingError, match="is there already"):
        cut.write(str(path), slow(), ())
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["out.ebt"]


def test_a_folder_that_is_not_there_is_one_line(run, box, capsys):
    assert command.main([box, "-o", "/no/such/out.ebt"]) == 1
    errors = capsys.readouterr().err
    assert (errors.count("\n"), "/no/such/out.ebt" in errors) == (1, True)
    assert ".part" not in errors


def test_nothing_in_the_span_is_a_failure_that_says_what_there_is(run, out):
    status, _, errors = run("--from", "2025-01-01", "--to", "2025-01-02")
    assert (status, os.path.exists(out)) == (1, False)
    assert errors.endswith("; it goes from 2026-09-21 14:13:21 to 2026-09-21 14:16:40\n")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from", "noon"), "'noon' is no moment"),
        (("--probe", "nosuch"), "no probe named nosuch; there are biotop, syscount, "),
    ],
)
def test_bad_usage_says_what_there_is(run, out, options, says):
    status, _, errors = run(*options)
    assert (status, os.path.exists(out)) == (2, False)
    assert says in errors


def test_intervals_that_cannot_be_read_are_counted(tmp_path, box, run, out):
    data = bytearray(Path(box).read_bytes())
    chunk = Recording(box).chunks[1]
    assert isinstance(chunk, FileChunk)
    data[chunk.offset + (chunk.end - chunk.offset) // 2] ^= 1
    damaged = tmp_path / "damaged.ebt"
    damaged.write_bytes(data)
    status, _, errors = run(file=str(damaged))
    kept = seqs(out)
    assert status == 0
    assert {*range(1, 61), *range(121, 201)} <= {*kept} < {*range(1, 201)}
    assert errors == (
        f"ebpftop: {200 - len(kept)} of 200 intervals could not be read: see `ebpftop repair`\n"
    )


class TestAnonymous:
    def test_no_name_is_anywhere_in_the_file(self, run, out):
        run("--anonymise")
        with zstd.open(out) as opened:
            text = (opened.read() + Path(out).read_bytes()[:400]).decode(errors="replace")
        names = {"web-7", "amd64", "acme", "alice", "unseen"}
        for each in (*scenes.PEOPLE, LATER):
            names.update((each.comm, each.cmdline, each.user, each.unit))
        kept = {"", "root", "kworker/u8:2-writeback", "jbd2/nvme0n1p2-8"}
        for name in names - kept:
            assert json.dumps(name)[1:-1] not in text

    def test_figures_stay(self, run, box, out):
        def figures(path):
            return [
                [value for row in rows for value in row if isinstance(value, (int, float))]
                for each in all_of(path)
                if isinstance(each, Sample)
                for rows in each.tables.values()
            ]

        run("--anonymise")
        assert figures(out) == figures(box)

    def test_the_overview_of_the_recording_stays(self, run, box, out):
        run("--anonymise")
        before, after = Recording(box).overview, Recording(out).overview
        assert (after.wall_ns, after.loads) == (before.wall_ns, before.loads)
