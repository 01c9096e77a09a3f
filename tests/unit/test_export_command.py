"""`ebpftop export`: what is chosen, where it goes, and one line for whatever is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest

from ebpftop.commands import export
from ebpftop.model import Record, Sample, Tick
from ebpftop.recording import when
from ebpftop.recording.export import Choice
from ebpftop.recording.export.tables import Tables
from tests.unit import exported
from tests.unit.exported import START_NS, rows_of
from tests.unit.made import SECOND

pytestmark = pytest.mark.usefixtures("utc")

TICKS = 20
COMMAND = [sys.executable, "-m", "ebpftop", "export"]


@pytest.fixture(autouse=True)
def _signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def told():
    """Twenty seconds of all probes but tcptop, from 01:46:41 on."""
    return exported.story(
        ticks=TICKS, probes=("biotop", "offcputime", "runqlen", "cachestat", "syscount")
    )


@pytest.fixture(scope="module")
def box(told, tmp_path_factory):
    return exported.record(tmp_path_factory.mktemp("box") / "box.ebt", told)


@pytest.fixture
def run(box, capfd):
    """`run("--format", "csv")` gives exit status, output and errors."""

    def run(*options, file=box):
        return export.main([file, *map(str, options)]), *capfd.readouterr()

    return run


def csv_rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def walls(text):
    """Seconds from the start at which there are rows."""
    return sorted({(int(row["wall_ns"]) - START_NS) / SECOND for row in csv_rows(text)})


# -- which tables ------------------------------------------------------------------------------


def test_one_table_goes_to_standard_output(run, told):
    status, out, _ = run("--format", "csv", "--probe", "syscount", "--table", "errors")
    assert status == 0
    assert len(csv_rows(out)) == len(rows_of(told, "syscount", "errors"))


def test_a_probe_alone_means_its_first_table(run):
    first = run("--format", "csv", "--probe", "biotop")
    assert first[:2] == run("--format", "csv", "--probe", "biotop", "--table", "io")[:2]


def test_where_it_could_be_several_it_says_which(run):
    status, out, errors = run("--format", "csv")
    assert (status, out) == (2, "")
    assert errors.startswith("ebpftop: one table goes to one file or pipe: choose it with --probe")
    assert "biotop.io, biotop.latency, biotop.samples, offcputime.stacks" in errors
    assert "tcptop" not in errors  # it has no samples


def test_a_folder_has_a_file_for_each_table(run, tmp_path):
    assert run("--format", "csv", "-o", tmp_path / "out")[0] == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"biotop.io.csv", "biotop.latency.csv", "biotop.samples.csv"} <= names
    assert not any(name.startswith("tcptop") for name in names)


def test_json_lines_hold_the_probes_that_are_chosen(run):
    for chosen in (["--probe", "biotop", "cachestat"], ["--probe=biotop", "--probe=cachestat"]):
        _, out, _ = run("--format", "jsonl", *chosen)
        assert {json.loads(line)["probe"] for line in out.splitlines()} == {"biotop", "cachestat"}


def test_a_table_can_be_that_of_several_probes(run):
    _, out, _ = run("--format", "jsonl", "--table", "latency")
    tables = {(line["probe"], line["table"]) for line in map(json.loads, out.splitlines())}
    assert tables == {("biotop", "latency"), ("syscount", "latency")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--probe", "nosuch"], "no probe named nosuch; there are biotop, tcptop, "),
        (["--table", "nosuch"], "no table named nosuch; there are biotop.io, "),
        (["--probe", "biotop", "--table", "calls"], "no table named calls; there are biotop.io, "),
    ],
)
def test_a_name_that_is_none_is_bad_usage(run, options, said):
    status, out, errors = run("--format", "jsonl", *options)
    assert (status, out) == (2, "")
    assert errors.startswith(f"ebpftop: {said}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("kind", ["folded", "speedscope", "svg"])
def test_a_probe_without_stacks_is_bad_usage_where_stacks_are_drawn(run, kind):
    status, out, errors = run("--format", kind, "--probe", "biotop")
    assert (status, out) == (2, "")
    assert errors == (
        "ebpftop: one table of stacks is drawn, and those with stacks are: offcputime.stacks\n"
    )


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_probe_that_was_not_recorded_is_a_failure(run, kind):
    status, out, errors = run("--format", kind, "--probe", "tcptop")
    assert (status, out) == (1, "")
    assert errors == (
        "ebpftop: no samples of tcptop in that time; there are those of"
        " biotop, offcputime, runqlen, cachestat, syscount\n"
    )


def test_what_there_is_of_several_probes_is_written_all_the_same(run):
    status, out, errors = run("--format", "jsonl", "--probe", "tcptop", "biotop")
    assert status == 1
    assert "no samples of tcptop" in errors
    assert {json.loads(line)["probe"] for line in out.splitlines()} == {"biotop"}


# -- which time --------------------------------------------------------------------------------

IO = ("--format", "csv", "--probe", "biotop", "--table", "samples")


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        ([], range(1, 21)),
        (["--from", "01:46:45", "--to", "01:46:47"], range(5, 8)),
        (["--from", "01:46:44.5", "--to", "01:46:47.5"], range(5, 8)),
        (["--from", "2001-09-09 01:46:45", "--to", "+2s"], range(5, 8)),
        (["--from", "-3s"], range(17, 21)),
        (["--to=-15s"], range(1, 6)),
        (["--from", "-5s", "--to", "-3s"], range(15, 18)),
    ],
)
def test_the_ticks_of_a_span_are_those_that_end_in_it(run, span, seconds):
    status, out, _ = run(*IO, *span)
    assert (status, walls(out)) == (0, list(seconds))


def test_a_clock_that_was_set_back_gives_both_times(tmp_path, run):
    told: list[Record] = [exported.hello()]
    for seq, at in enumerate((1, 2, 3, 4, 2, 3, 4, 5), 1):
        now = START_NS + at * SECOND
        told += [Sample("biotop", seq, now, seq * SECOND, SECOND, {}), Tick(now, seq, SECOND)]
    box = exported.record(tmp_path / "back.ebt", told)
    _, out, _ = run(*IO, "--from", "01:46:42", "--to", "01:46:43", file=box)
    assert [row["seq"] for row in csv_rows(out)] == ["2", "3", "5", "6"]


def test_a_span_without_a_tick_says_from_when_to_when_there_are_some(run):
    status, out, errors = run(*IO, "--from", "03:00", "--to", "04:00")
    assert (status, out) == (1, "")
    assert errors == (
        "ebpftop: nothing was recorded from 2001-09-09 03:00:00 to 2001-09-09 04:00:00;"
        " it goes from 2001-09-09 01:46:41 to 2001-09-09 01:47:00\n"
    )


def test_no_moment_is_bad_usage(run):
    status, _, errors = run(*IO, "--from", "teatime")
    assert status == 2
    assert errors.startswith("ebpftop: 'teatime' is no moment; known are 10:02, ")


@pytest.mark.parametrize("kind", ["folded", "speedscope", "svg"])
def test_stacks_are_those_of_the_span(run, told, kind):
    _, whole, _ = run("--format", kind)
    _, part, _ = run("--format", kind, "--from", "50%")
    assert whole != part
    if kind == "folded":
        late = [s for s in told if isinstance(s, Sample) and s.wall_ns > START_NS + 10.5 * SECOND]
        total = sum(row[4] + row[5] for row in rows_of(late, "offcputime", "stacks"))
        assert sum(int(line.rsplit(" ", 1)[1]) for line in part.splitlines()) == total


def test_one_tick_is_held_at_a_time():
    """From a stream without an end, what is asked for is there."""

    def endless():
        yield exported.hello()
        for seq in count(1):
            yield Sample("biotop", seq, START_NS + seq, seq, SECOND, {})

    batches = Tables(Choice(("biotop",), "io"), when.utc).batches(endless())
    assert len(list(islice(batches, 1000))) == 1000


# -- where it goes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["x.csv", "x.jsonl", "x.parquet", "x.folded", "x.speedscope.json", "x.svg"]
)
def test_the_name_of_the_file_says_the_format(run, tmp_path, name):
    chosen = ["--probe", "offcputime"]
    assert run(*chosen, "-o", tmp_path / name)[0] == 0
    kind = name.removeprefix("x.").removesuffix(".json")
    assert run(*chosen, "--format", kind, "-o", tmp_path / "again" / name)[0] == 0
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_file_that_is_there_is_replaced(run, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("old " * 10_000)
    assert run(*IO, "-o", path)[0] == 0
    assert path.read_text() == run(*IO)[1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(run, tmp_path):
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert run(*IO, "-o", tmp_path / "link.csv")[0] == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == run(*IO)[1]


def test_a_failure_leaves_the_old_file(tmp_path, run):
    damaged = replace(
        next(s for s in exported.story() if isinstance(s, Sample)), tables={"io": [(1,)]}
    )
    box = exported.record(tmp_path / "bad.ebt", [exported.hello(), damaged, Tick(START_NS, 1, 1)])
    path = tmp_path / "x.csv"
    path.write_text("old")
    status, _, errors = run("--probe", "biotop", "-o", path, file=box)
    assert (status, errors) == (
        1,
        "ebpftop: rows of biotop.io do not have the columns they should\n",
    )
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.ebt", "x.csv"]


@pytest.mark.parametrize("name", ["box.csv", "box.csv.1"])
def test_the_recording_itself_is_not_overwritten(run, tmp_path, told, name):
    paths = [exported.record(tmp_path / of, told) for of in ("box.csv", "box.csv.1")]
    before = [Path(path).read_bytes() for path in paths]
    status, _, errors = run(*IO, "-o", tmp_path / name, file=paths[0])
    assert (status, errors.count("\n")) == (2, 1)
    assert "is the recording itself; name another file with -o" in errors
    assert [Path(path).read_bytes() for path in paths] == before


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "folded", "speedscope", "svg"])
def test_a_full_disk_is_one_line(box, kind):
    command = [*COMMAND, box, "--format", kind, "--probe", "offcputime", "-o", "/dev/full"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1:] == [
        "ebpftop: cannot write /dev/full: No space left on device"
    ]
    assert "Traceback" not in result.stderr


def test_a_full_disk_behind_standard_output_is_one_line(box):
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*COMMAND, box, *IO], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (result.returncode, result.stderr) == (
        1,
        "ebpftop: cannot write standard output: No space left on device\n",
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "folded"])
def test_a_reader_that_has_seen_enough_is_no_error(box, kind):
    read, write = os.pipe()
    os.close(read)
    command = [*COMMAND, box, "--format", kind, "--probe", "offcputime"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_a_folder_where_a_file_should_go_is_one_line(run, tmp_path):
    status, _, errors = run("--format", "svg", "-o", tmp_path)
    assert (status, errors) == (1, f"ebpftop: cannot write {tmp_path}: Is a directory\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "which --format? There are csv, jsonl, parquet, folded, speedscope, svg"),
        (["-o", "x.txt"], "which --format? There are csv, "),
        (["--format", "parquet"], "Parquet is files: name a folder, or FILE.parquet, with -o"),
        (["--format", "csv", "-o", "x", "--partition"], "--partition is for --format parquet"),
        (["-o", "x.parquet", "--partition"], "--partition is for --format parquet"),
        (["--format", "csv", "--weight", "both"], "--weight, --merge and --awake are for folded"),
        (["--format", "jsonl", "--merge"], "--weight, --merge and --awake are for folded"),
    ],
)
def test_what_does_not_go_together_is_bad_usage(run, options, said):
    status, out, errors = run(*options)
    assert (status, out) == (2, "")
    assert errors.startswith(f"ebpftop: {said}")


def test_an_unknown_format_is_bad_usage(box, capfd):
    with pytest.raises(SystemExit) as caught:
        export.main([box, "--format", "xml"])
    assert caught.value.code == 2
    said = capfd.readouterr().err.replace("'", "")  # which Python leaves out since 3.12
    assert "choose from csv, jsonl, parquet" in said


def test_a_file_that_is_not_there_is_one_line(run):
    status, _, errors = run("--format", "jsonl", file="/no/such.ebt")
    assert (status, errors.count("\n")) == (1, 1)


def test_losses_are_told(run, told):
    _, _, errors = run("--format", "folded")
    lost = sum(
        sum(s.lost.values()) for s in told if isinstance(s, Sample) and s.probe == "offcputime"
    )
    assert errors == (
        f"ebpftop: lost while recording, and in no row: offcputime {lost};"
        " the table `samples` says why\n"
    )


def test_intervals_that_cannot_be_read_are_told(run, told, tmp_path):
    path = Path(exported.record(tmp_path / "bad.ebt", told))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    status, out, errors = run(*IO, file=str(path))
    read = len(walls(out))
    assert status == 0
    assert 0 < read < TICKS
    assert f"ebpftop: {TICKS - read} intervals could not be read: see `ebpftop repair`\n" in errors


def test_it_needs_neither_the_screen_nor_bcc(box):
    program = (
        "import sys; from ebpftop.cli import main; status = main(sys.argv[1:])\n"
        "bad = {'textual', 'rich', 'plotext', 'bcc', 'psutil', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else status)"
    )
    arguments = ["export", box, "--format", "svg"]
    result = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True)
    assert result.returncode == 0, result.stderr


def test_a_stream_has_no_end_to_count_from(run):
    status, _, errors = run("--format", "csv", "--from", "-3m", file="-")
    assert (status, errors.count("\n")) == (2, 1)
