"""`ebpftop top`: the figures of the screen as lines, and what a script must be able to rely on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from ebpftop import registry, stream
from ebpftop.commands import top, with_moments
from ebpftop.model import Hello, Process, Sample, Status, Tick
from ebpftop.recording.writer import Writer

pytestmark = pytest.mark.usefixtures("utc")

SECOND = 1_000_000_000
START_NS = 1_790_000_000 * SECOND  # 2026-09-21 14:13:20 UTC
PROBES = tuple(probe.info for probe in registry.probes().values())
HELLO = Hello("web-7", "6.12.41", "b", 2, SECOND, START_NS, 0, PROBES)
IO = [
    (812, 3, "vda", "write", 20, 40_960, 8_000_000, 2_000_000, 900_000),
    (1204, 4, "vdb", "read", 10, 1_048_576, 1_000_000, 0, 300_000),
    (5, 4, "vda", "read", 2, 8192, 600_000, 0, 400_000),
]
OTHERS = (None, None, None, None, 7, 4096, 700_000, 0, 100_000)
LATENCY = [
    (812, "vda", "write", 16, 20),
    (5, "vda", "read", 18, 2),
    (1204, "vdb", "read", 16, 10),
]
PEOPLE = [
    Process(812, 1, "postgres", cmdline="postgres: writer", cgroup=3, unit="postgresql.service"),
    Process(1204, 2, "nginx", cmdline="nginx: worker", cgroup=4, unit="nginx.service"),
    Process(5, 3, "evil\x1b[31m\nname"),
]


def sample(seq=1, io=IO, **changes):
    at = {"wall_ns": START_NS + seq * SECOND, "mono_ns": seq * SECOND, "dt_ns": SECOND}
    return Sample("biotop", seq, tables={"io": io, "latency": LATENCY}, **{**at, **changes})


def whole(*samples):
    yield from (HELLO, Status("biotop", "running"), *PEOPLE)
    for one in samples or (sample(),):
        yield from (one, Tick(one.wall_ns, one.mono_ns, SECOND))


@pytest.fixture
def run(monkeypatch, capsys):
    """`run("biotop", "-", records=…)` gives exit status, output and errors."""

    def run(*arguments: str, records=None) -> tuple[Any, str, str]:
        lines = [stream.encode(record) + "\n" for record in records or list(whole())]
        data = "".join(lines).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            status = top.main(list(arguments))
        except SystemExit as ended:
            return ended.code, *capsys.readouterr()
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def recording(tmp_path):
    """A recording of ten samples, one a second; each reads one byte more than the one before."""
    path = tmp_path / "made.ebt"
    writer = Writer(str(path))
    for record in whole(
        *(sample(seq, [(5, 4, "vda", "read", 1, seq, 0, 0, 0)]) for seq in range(1, 11))
    ):
        writer.add(record)
    writer.close()
    return str(path)


def test_a_sample_is_a_heading_and_the_table_of_the_screen(run):
    status, said, errors = run("biotop", "-")
    assert (status, errors) == (0, "")
    assert said == (
        "2026-09-21 14:13:21  biotop  I/O by process, 1.00s, 3 rows\n"
        "    PID  COMMAND         DISK  OP       IO/s     B/s     AVG  QUEUED     MAX\n"
        "   1204  nginx           vdb   read       10   1.00M   100µs       0   300µs\n"
        "    812  postgres        vda   write      20   40.0K   400µs   100µs   900µs\n"
        "      5  evil·[31m·name  vda   read        2   8.00K   300µs       0   400µs\n"
        "\n"
    )


def test_what_was_lost_stands_in_the_heading(run):
    lossy = sample(lost={"rows beyond 16384": 12}, dt_ns=2 * SECOND)
    _, said, _ = run("biotop", "-", records=whole(lossy))
    heading = said.splitlines()[0]
    assert "lost 12: rows beyond 16384" in heading
    assert "interval 2.00s instead of 1.00s" in heading


def test_what_a_degraded_probe_does_not_see_stands_in_the_heading(run):
    news = Status("biotop", "degraded", reason="flushes are not seen")
    _, said, _ = run("biotop", "-", records=[HELLO, news, sample()])
    assert "degraded: flushes are not seen" in said.splitlines()[0]


def test_rates_are_per_second_whatever_the_interval(run):
    _, said, _ = run("biotop", "-", records=whole(sample(dt_ns=2 * SECOND)))
    assert " 512K " in said


@pytest.mark.parametrize(
    ("options", "pids"),
    [
        (("--sort", "ios"), [812, 1204, 5]),
        (("--sort", "ios", "--reverse"), [5, 1204, 812]),
        (("--sort", "avg_ns"), [812, 5, 1204]),
        (("--sort", "lat_ns"), [812, 1204, 5]),
        (("--sort", "command"), [5, 1204, 812]),
        (("--filter", "nginx"), [1204]),
        (("--filter", "writer"), [812]),
        (("--filter", "/^ *(5|812) /"), [812, 5]),
        (("--filter", "bytes > 10K and comm ~ n"), [1204]),
        (("--filter", "lat >= 300µs"), [812, 5]),
        (("--filter", "lat_ns > 1ms", "--sort", "lat_ns"), [812]),
        (("--rows", "1"), [1204]),
    ],
)
def test_rows_are_ordered_and_chosen_as_on_the_screen(run, options, pids):
    _, said, _ = run("biotop", "-", *options)
    assert [int(line.split()[0]) for line in said.splitlines()[2:] if line] == pids
    _, said, _ = run("biotop", "-", "--json", *options)
    assert [row["pid"] for row in json.loads(said)["rows"]] == pids


def test_a_column_that_the_screen_does_not_show_is_shown_when_it_orders(run):
    _, said, _ = run("biotop", "-", "--sort", "cgroup")
    assert said.splitlines()[1].endswith("CGROUP")
    assert said.splitlines()[2].endswith("nginx.service")


@pytest.mark.parametrize("by", ["op", "operation"])
def test_rows_are_grouped_as_on_the_screen(run, by):
    _, said, _ = run("biotop", "-", "--json", "--by", by)
    rows = json.loads(said)["rows"]
    assert sum(row["bytes"] for row in rows) == sum(row[5] for row in IO)
    assert {row["op"]: row["rows"] for row in rows} == Counter(row[3] for row in IO)


def test_rows_beyond_the_limit_are_counted(run):
    many = [(pid, 3, "vda", "read", 1, pid, 1, 1, 1) for pid in range(1, 51)]
    _, said, _ = run("biotop", "-", records=whole(sample(io=many)))
    assert (len(said.splitlines()), "20 of 50 rows" in said) == (23, True)
    _, said, _ = run("biotop", "-", "--rows", "0", records=whole(sample(io=many)))
    assert (len(said.splitlines()), "50 rows" in said) == (53, True)


def test_what_the_collector_folded_together_is_a_line_of_its_own(run):
    folded = sample(io=[*IO, OTHERS], truncated={"io": 40})
    _, said, _ = run("biotop", "-", records=whole(folded))
    assert said.splitlines()[-2].split() == ["40", "others", "7", "4.00K", "100µs", "0", "100µs"]


def test_another_table_of_the_pane(run):
    rows = {"calls": [], "errors": [(812, "read", "EAGAIN", 4)]}
    one = Sample("syscount", 1, START_NS, 1, SECOND, rows)
    _, said, _ = run("syscount", "-", "--table", "errors", records=[HELLO, *PEOPLE, one])
    assert said.splitlines()[2].split() == ["812", "postgres", "read", "EAGAIN", "4"]


def test_a_histogram_is_stars_for_each_of_its_series(run):
    _, said, _ = run("biotop", "-", "--table", "latency")
    assert said == (
        "2026-09-21 14:13:21  biotop  Latency, 1.00s\n"
        "vda\n"
        "65.5µs…131µs : 20       |****************************************|\n"
        " 131µs…262µs : 0        |                                        |\n"
        " 262µs…524µs : 2        |****                                    |\n"
        "vdb\n"
        "65.5µs…131µs : 10       |****************************************|\n"
        "p50 <131µs  p90 <131µs  p99 <524µs  max <524µs\n"
        "\n"
    )


def test_a_histogram_of_chosen_rows(run):
    _, said, _ = run("biotop", "-", "--table", "latency", "--filter", "vdb")
    assert "vda" not in said
    assert ": 10 " in said


def test_json_has_values_as_recorded_one_object_a_sample(run):
    folded = sample(2, [IO[0], OTHERS], truncated={"io": 40}, lost={"rows": 3})
    _, said, _ = run("biotop", "-", "--json", records=whole(sample(), folded))
    first, second = map(json.loads, said.splitlines())
    assert (len(first["rows"]), first["others"], first["folded"]) == (3, None, 0)
    assert second["rows"] == [
        {
            "pid": 812,
            "cgroup": 3,
            "disk": "vda",
            "op": "write",
            "ios": 20,
            "bytes": 40_960,
            "lat_ns": 8_000_000,
            "queue_ns": 2_000_000,
            "max_ns": 900_000,
            "command": "postgres",
            "cmdline": "postgres: writer",
            "cgroup_name": "postgresql.service",
            "avg_ns": 400_000,
            "wait_ns": 100_000,
        }
    ]
    assert (second["others"]["bytes"], second["others"]["pid"]) == (4096, None)
    del second["rows"], second["others"]
    assert second == {
        "wall_ns": START_NS + 2 * SECOND,
        "dt_ns": SECOND,
        "probe": "biotop",
        "table": "io",
        "available": 1,
        "folded": 40,
        "lost": {"rows": 3},
    }


def test_json_keeps_every_character_of_a_name_on_its_line(run):
    _, said, _ = run("biotop", "-", "--json", "--filter", "evil")
    assert json.loads(said)["rows"][0]["command"] == "evil\x1b[31m\nname"
    assert said.count("\n") == 1
    assert said.isascii()


def test_an_interval_without_rows_is_a_sample_all_the_same(run):
    _, said, _ = run("biotop", "-", records=whole(sample(io=[])))
    assert len(said.splitlines()) == 3
    _, said, _ = run("biotop", "-", "--json", records=whole(sample(io=[])))
    assert json.loads(said)["rows"] == []


def test_it_ends_after_so_many_samples(run):
    _, said, _ = run("biotop", "-", "-n", "2", records=whole(*map(sample, range(1, 6))))
    assert said.count("biotop") == 2


def test_columns_never_get_narrower(run):
    wide = [(1, 1, "a-disk-of-a-long-name", "read", 1, 1, 1, 1, 1)]
    _, said, _ = run("biotop", "-", records=whole(sample(1, [*IO, *wide]), sample(2)))
    first, second = (line for line in said.splitlines() if line.startswith("    PID"))
    assert first == second


def test_a_recording_is_printed_from_its_start(run, recording):
    status, said, _ = run("biotop", recording, "--json")
    assert status == 0
    assert [json.loads(line)["rows"][0]["bytes"] for line in said.splitlines()] == [*range(1, 11)]


@pytest.mark.parametrize(
    ("options", "bytes_"),
    [
        (("--at", "14:13:24"), [4]),
        (("--at", "14:13:24", "-n", "3"), [4, 5, 6]),
        (("--at", "-2s"), [8]),
        (("--at", "100%", "-n", "9"), [10]),
    ],
)
def test_a_recording_is_printed_from_a_moment(run, recording, options, bytes_):
    _, said, _ = run("biotop", recording, "--json", *options)
    assert [json.loads(line)["rows"][0]["bytes"] for line in said.splitlines()] == bytes_


def test_the_file_may_stand_after_the_options(run, recording):
    assert run("biotop", "--rows", "1", recording) == run("biotop", recording, "--rows", "1")


def test_the_lines_of_a_recording_are_a_stream_too(run, recording, monkeypatch, capsys):
    from ebpftop.recording.container import zstd

    with zstd.open(recording) as opened:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(opened.read())))
    assert top.main(["biotop", "-", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nosuch", "-"), "no probe named nosuch; there are biotop, "),
        (("host", "-"), "no probe named host; there are biotop, "),
        (("biotop", "-", "--table", "nosuch"), "biotop has no table nosuch; there are io, latency"),
        (("biotop", "-", "--sort", "nosuch"), "no column nosuch; there are pid, command, disk, op"),
        (("biotop", "-", "--table", "latency", "--sort", "count"), "latency is a histogram"),
        (("biotop", "-", "--filter", "/(/"), "--filter '/(/': at character 2: not a pattern"),
        (("biotop", "-", "--filter", "bytes >"), "at character 8: a value must stand after >"),
        (("biotop", "-", "--filter", "nginx siz > 1"), "at character 7: no column siz; there are"),
        (("biotop", "-", "--by", "cpu"), "table io has no cpu to group by; it has pid, command,"),
        (("biotop", "-", "-i", "1"), "--interval is for live samples"),
        (("biotop", "-i", "0"), "an interval is from 0.1 to 3600 seconds"),
        (("biotop", "-i", "nan"), "an interval is from 0.1 to 3600 seconds"),
        (("biotop", "--at", "10:02"), "--at is for recordings"),
        (("biotop", "-", "-n", "0"), "--count is 1 or more"),
        (("biotop", "-", "--rows", "-1"), "--rows is 0 or more"),
        ((), "NAME"),
    ],
)
def test_bad_usage_says_what_there_is(run, arguments, says):
    status, said, errors = run(*arguments)
    assert (status, said) == (2, "")
    assert says in errors


def test_a_wrong_filter_is_one_line_before_any_sample(run):
    _, said, errors = run("biotop", "-", "--filter", "a\nb >\n5")
    assert (said, len(errors.splitlines())) == ("", 1)


def test_a_histogram_is_filtered_by_the_bounds_of_its_slots(run):
    _, said, _ = run("biotop", "-", "--json", "--table", "latency", "--filter", "slot >= 100µs")
    assert [row["slot"] for row in json.loads(said)["rows"]] == [18]


def test_what_is_no_moment_is_bad_usage(run, recording):
    status, _, errors = run("biotop", recording, "--at", "noon")
    assert status == 2
    assert "'noon' is no moment" in errors


@pytest.mark.parametrize("state", ["failed", "unavailable"])
def test_a_probe_that_does_not_run_says_why_and_what_to_do(run, state):
    news = Status("biotop", state, reason="no block_io_start here", hint="a newer kernel has it")
    status, said, errors = run("biotop", "-", records=[HELLO, news])
    assert (status, said) == (1, "")
    assert errors == f"ebpftop: biotop {state}: no block_io_start here; a newer kernel has it\n"


def test_another_probes_failure_is_no_matter(run):
    news = Status("tcptop", "failed", reason="no")
    status, said, errors = run("biotop", "-", records=[HELLO, news, sample()])
    assert (status, errors, "3 rows" in said) == (0, "", True)


def test_a_stream_without_samples_of_the_probe_is_a_failure(run):
    status, said, errors = run("biotop", "-", records=[HELLO])
    assert (status, said) == (1, "")
    assert errors == "ebpftop: the stream has no samples of biotop there\n"


def test_what_is_no_stream_and_no_recording_is_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hello\n")))
    assert top.main(["biotop", "-"]) == 1
    (tmp_path / "x").write_text("hello")
    assert top.main(["biotop", str(tmp_path / "x")]) == 1
    errors = capsys.readouterr().err
    assert (errors.count("\n"), errors.count("ebpftop: ")) == (2, 2)


def test_moments_may_begin_with_a_minus():
    given = ["x", "--at", "-3m", "-n", "2", "--at", "10:02", "--rows", "-1"]
    joined = ["x", "--at=-3m", "-n", "2", "--at", "10:02", "--rows", "-1"]
    assert with_moments(given, "--at") == joined


def in_another_process(**pipes) -> tuple[int, str]:
    """Exit status of a run of its own, and what it said of failures."""
    code = (
        "import sys; from ebpftop.cli import main; status = main(['top', 'biotop', '-'])\n"
        "loaded = {m.split('.')[0] for m in sys.modules} & {'textual', 'rich', 'plotext', 'bcc'}\n"
        "sys.exit(f'loaded {loaded}' if loaded else status)"
    )
    lines = "".join(stream.encode(record) + "\n" for record in whole())
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, input=lines, text=True, stderr=subprocess.PIPE, **pipes)
    return ended.returncode, ended.stderr


def test_nothing_of_the_screen_is_loaded():
    assert in_another_process(stdout=subprocess.DEVNULL) == (0, "")


def test_a_reader_that_goes_away_ends_it_quietly():
    read_end, write_end = os.pipe()
    os.close(read_end)
    assert in_another_process(stdout=write_end) == (1, "")
    os.close(write_end)
