"""Records and lines: what goes out comes back, and what is not a record is refused in one line."""

from __future__ import annotations

import json

import pytest

from ebpftop import registry, stream
from ebpftop.model import Bye, Command, Cost, Hello, Process, Sample, Status

HELLO = Hello(
    host="box",
    kernel="6.18.0",
    boot_id="b",
    cpus=2,
    interval_ns=10**9,
    wall_ns=1,
    mono_ns=2,
    probes=tuple(probe.info for probe in registry.probes().values()),
    machine="x86_64",
)
SAMPLE = Sample(
    "biotop",
    7,
    3,
    4,
    10**9,
    {"io": [(1, 2, "vda", "read", 3, 4096, 5, 6, 7), (None,) * 4 + (1, 2, 3, 4, 5)]},
    {"full": 3},
    Cost(10, 20, 30),
    {"io": 9},
)


def fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "record",
    [
        HELLO,
        SAMPLE,
        Status("biotop", "failed", ("raw_tp:x",), "why", "what to do", "detail\nlines"),
        Process(1, 2, "[/b]\n\x1b", 3, 4, "root", "/bin/x", "x --y", 5, "/a", "a.service"),
        Bye("done"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_survives_the_line(record):
    line = stream.encode(record)
    assert "\n" not in line
    assert line.startswith('{"t":"')
    again = stream.decode(line)
    assert type(again) is type(record)
    assert fields(again) == fields(record)


def test_fields_of_the_future_are_passed_over():
    line = json.dumps({**json.loads(stream.encode(SAMPLE)), "colour": "blue"})
    assert fields(stream.decode(line)) == fields(SAMPLE)


def test_records_of_the_future_are_passed_over():
    assert stream.decode('{"t":"prophecy","says":1}') is None
    assert list(stream.records(['{"t":"prophecy"}', "", '{"t":"bye","reason":"x"}'])) == [Bye("x")]


def test_a_newer_format_is_refused_with_the_remedy():
    line = json.dumps({**json.loads(stream.encode(HELLO)), "version": 99})
    with pytest.raises(stream.StreamError, match=r"written by a newer ebpftop .* upgrade"):
        stream.decode(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "[]",
        "7",
        "{}",
        '{"t":7}',
        '{"t":"sample"}',
        '{"t":"sample","tables":[1]}',
        '{"t":"hello","format":"other"}',
        '{"t":"hello","format":"ebpftop","version":1,"probes":[{"name":1}]}',
        '{"t":"hello","format":"ebpftop","version":1,"probes":"x"}',
        "[" * 100_000,
        b"\xff\xfe",
    ],
    ids=range(13),
)
def test_what_is_no_record_is_refused(line):
    with pytest.raises(stream.StreamError):
        stream.decode(line)


@pytest.mark.parametrize(
    "command",
    [Command("start", "biotop"), Command("stop", "biotop"), Command("interval", seconds=0.5)],
)
def test_a_command_survives_the_line(command):
    assert stream.decode_command(stream.encode_command(command)) == command


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "{}",
        '{"verb":"rm"}',
        '{"verb":"start","probe":[]}',
        '{"verb":"interval","seconds":"1"}',
        '{"verb":"interval","seconds":true}',
    ],
)
def test_what_is_no_command_is_refused(line):
    with pytest.raises(stream.StreamError):
        stream.decode_command(line)


def test_a_line_of_a_recording_is_not_taken_for_rows():
    clocks = dict.fromkeys(("seq", "wall_ns", "mono_ns", "dt_ns"), 1)
    line = json.dumps({"t": "sample", "probe": "p", **clocks, "tables": {"io": {"pid": [1]}}})
    with pytest.raises(stream.StreamError, match="by column"):
        stream.decode(line)
