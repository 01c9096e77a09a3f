"""Perf maps: names of compiled code, from files that grow, are written over, and may be forged."""

from __future__ import annotations

import os
import random
import time

import pytest

from ebpftop.collector.symbols import perfmap
from ebpftop.collector.symbols.perfmap import PerfMap
from ebpftop.collector.symbols.process import Process


@pytest.fixture
def process(tmp_path):
    """This process, as one that has its perf map in the test's folder."""
    process = Process(os.getpid())
    process.users = (os.getuid(),)
    process.perf_map = str(tmp_path / "perf.map")
    process.start_s = time.time() - 10
    return process


@pytest.fixture
def path(tmp_path):
    return tmp_path / "perf.map"


def names(process, *addresses, of=None):
    return (of or PerfMap()).names(process, list(addresses))


def test_code_has_the_name_of_the_line_it_lies_in(process, path):
    path.write_text("1000 20 first\n1020 10 LazyCompile:~second /srv/app.js:3:1\n")
    assert names(process, 0xFFF, 0x1000, 0x101F, 0x1020, 0x102F, 0x1030) == {
        0x1000: "first",
        0x101F: "first",
        0x1020: "LazyCompile:~second /srv/app.js:3:1",
        0x102F: "LazyCompile:~second /srv/app.js:3:1",
    }


def test_numbers_may_be_written_with_0x(process, path):
    path.write_text("0x1000 0x20 [stub] name with spaces\n")
    assert names(process, 0x1001) == {0x1001: "[stub] name with spaces"}


@pytest.mark.parametrize(
    "lines",
    [
        "1000 20 old\n1000 20 new\n",
        "1000 100 old\n0ff0 20 new\n",
        "1008 4 old\n1000 100 new\n",
        "1000 100 old\n1008 8 new\n",
    ],
)
def test_where_code_was_replaced_the_later_line_is_true(process, path, lines):
    path.write_text(lines)
    assert names(process, 0x100A) == {0x100A: "new"}


def test_what_is_added_later_is_found(process, path):
    known = PerfMap()
    path.write_text("1000 20 first\n")
    assert names(process, 0x1004, 0x2004, of=known) == {0x1004: "first"}
    with path.open("a") as file:
        file.write("2000 20 sec")
        file.flush()
        assert names(process, 0x2004, of=known) == {}
        file.write("ond\n")
    assert names(process, 0x1004, 0x2004, of=known) == {0x1004: "first", 0x2004: "second"}


def test_a_map_that_was_begun_anew_is_read_anew(process, path):
    known = PerfMap()
    path.write_text("1000 20 first\n2000 20 second\n")
    assert names(process, 0x1004, of=known) == {0x1004: "first"}
    path.write_text("1000 20 anew\n")
    assert names(process, 0x1004, 0x2004, of=known) == {0x1004: "anew"}
    path.unlink()
    path.write_text("1000 20 again\n" * 9)
    assert names(process, 0x1004, of=known) == {0x1004: "again"}


def test_a_map_that_was_written_over_is_not_misread(process, path):
    known = PerfMap()
    path.write_text("1000 20 first\n2000 20 second\n")
    assert names(process, 0x2004, of=known) == {0x2004: "second"}
    path.write_text("5000 20 other\n6000 20 others\n7000 20 further\n")
    assert names(process, 0x2004, of=known) == {}
    assert names(process, 0x6004, of=known) == {0x6004: "others"}


def test_a_map_that_was_deleted_has_no_names(process, path):
    known = PerfMap()
    path.write_text("1000 20 first\n")
    assert names(process, 0x1004, of=known)
    path.unlink()
    assert names(process, 0x1004, of=known) == {}


# What is not believed


def test_a_map_from_before_the_process_is_somebody_elses(process, path):
    path.write_text("1000 20 first\n")
    os.utime(path, (process.start_s - 60, process.start_s - 60))
    assert names(process, 0x1004) == {}


def test_a_map_of_another_user_is_not_believed(process, path):
    path.write_text("1000 20 first\n")
    other = os.getuid() + 1
    if os.getuid() == 0:
        os.chown(path, other, other)
    else:
        process.users = (other,)
    assert names(process, 0x1004) == {}
    process.users = (path.stat().st_uid,)
    assert names(process, 0x1004) == {0x1004: "first"}


def test_a_link_is_not_followed(process, path, tmp_path):
    (tmp_path / "elsewhere").write_text("1000 20 first\n")
    path.symlink_to(tmp_path / "elsewhere")
    assert names(process, 0x1004) == {}


def test_a_pipe_is_not_waited_for(process, path):
    os.mkfifo(path)
    assert names(process, 0x1004) == {}


def test_a_folder_is_no_map(process, path):
    path.mkdir()
    assert names(process, 0x1004) == {}


# What is out of all measure


def test_of_a_large_map_what_was_written_last_is_read(process, path, monkeypatch):
    monkeypatch.setattr(perfmap, "READ_LIMIT", 1000)
    lines = [f"{0x1000 + 16 * n:x} 10 function_{n}\n" for n in range(1000)]
    path.write_text("".join(lines))
    assert names(process, 0x1000 + 16 * 999, 0x1000) == {0x1000 + 16 * 999: "function_999"}


def test_lines_beyond_the_limit_are_not_held(process, path, monkeypatch):
    monkeypatch.setattr(perfmap, "LINES_LIMIT", 100)
    monkeypatch.setattr(perfmap, "PIECE", 256)
    path.write_text("".join(f"{0x1000 + 16 * n:x} 10 f\n" for n in range(10_000)))
    known = PerfMap()
    assert names(process, 0x1000, of=known) == {0x1000: "f"}
    assert len(known._starts) < 200


def test_a_line_without_end_is_not_read_for_ever(process, path):
    path.write_bytes(b"1000 20 first\n" + b"x" * (3 << 20))
    assert names(process, 0x1004) == {0x1004: "first"}


@pytest.mark.parametrize(
    "line",
    [
        "1000 0 nothing",
        "1000 -20 negative",
        "-1000 20 negative",
        "1000 10000000000 long",
        "fffffffffffffffff 10 far",
        "1000 20",
        "1000",
        "",
        "zz 20 letters",
        "1000 " + "f" * 5000 + " digits",
    ],
)
def test_lines_that_make_no_sense_are_left_out(process, path, line):
    path.write_text(f"{line}\n2000 20 sense\n")
    assert names(process, 0x1004, 0x2004) == {0x2004: "sense"}


def test_maps_of_any_bytes_name_something_or_nothing(process, path):
    chance = random.Random(5)
    pieces = [
        b"1000 ",
        b"20 ",
        b"name\n",
        b"\n",
        b" ",
        b"ff" * 8,
        b"\0",
        b"-1 ",
        b"0x",
        b"\xff\xfe",
    ]
    known = PerfMap()
    for _ in range(2000):
        path.unlink(missing_ok=True)
        path.write_bytes(b"".join(chance.choices(pieces, k=chance.randrange(12))))
        found = names(process, 0x1004, 2**64 - 1, 0, of=known)
        assert all(isinstance(name, str) for name in found.values())
