"""`ebpftop export -`: what comes through a pipe is written as it comes, to its end."""

from __future__ import annotations

import array
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from ebpftop import stream
from ebpftop.commands import export
from ebpftop.model import Sample
from ebpftop.recording.container import zstd
from tests.unit import exported
from tests.unit.exported import START_NS, rows_of
from tests.unit.made import SECOND

COMMAND = [sys.executable, "-m", "ebpftop", "export"]


@pytest.fixture(scope="module")
def told():
    return exported.story()


@pytest.fixture(scope="module")
def box(told, tmp_path_factory):
    return exported.record(tmp_path_factory.mktemp("box") / "box.ebt", told)


@pytest.fixture
def run(box, capfd):
    """`run("--format", "jsonl")` gives exit status, output and errors for the recording."""

    def run(*options):
        return export.main([box, *map(str, options)]), *capfd.readouterr()

    return run


def lines_of(told) -> list[bytes]:
    return [stream.encode(record).encode() + b"\n" for record in told]


def exporting(*options) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "-", *map(str, options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def piped(told, *options):
    with exporting(*options) as process:
        out, errors = process.communicate(b"".join(lines_of(told)))
    return process.returncode, out.decode(), errors.decode()


@pytest.mark.parametrize("kind", ["jsonl", "folded", "svg"])
def test_a_stream_gives_what_its_recording_gives(run, told, kind):
    assert piped(told, "--format", kind) == run("--format", kind)


def test_what_zstd_prints_of_a_recording_is_a_stream(run, box, tmp_path):
    plain = zstd.decompress(Path(box).read_bytes())
    with exporting("--format", "jsonl") as process:
        out, _ = process.communicate(plain)
    assert out.decode() == run("--format", "jsonl")[1]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_rows_come_out_as_they_go_in(told, kind):
    """Each sample is there before the next one is sent."""
    with exporting("--format", kind, "--probe", "biotop", "--table", "samples") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"".join(lines_of([exported.hello()])))
        header = kind == "csv"
        for seq in range(1, 4):
            sample = Sample("biotop", seq, START_NS + seq, seq, SECOND, {})
            process.stdin.write(b"".join(lines_of([sample])))
            process.stdin.flush()
            for _ in range(1 + header):
                assert select.select([process.stdout], [], [], 30)[0]
                line = os.read(process.stdout.fileno(), 10_000)
                if line.count(b"\n") == 2:
                    break
            header = False
            assert str(START_NS + seq).encode() in line
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_stream_is_written_to_its_end(tmp_path, told, number):
    path = tmp_path / "io.parquet"
    with exporting("--probe", "biotop", "--table", "io", "-o", path) as process:
        assert process.stdin
        process.stdin.write(b"".join(lines_of(told)))
        process.stdin.flush()
        part = next(iter(wait_for(lambda: list(tmp_path.iterdir()))))
        assert part.name.startswith(".io.parquet.")
        wait_for(lambda: is_empty(process.stdin))
        process.send_signal(number)
        assert process.wait() == 0
        process.stdin.close()
    assert pyarrow.parquet.read_table(path).num_rows == len(rows_of(told, "biotop", "io"))
    assert list(tmp_path.iterdir()) == [path]


def wait_for(look):
    """What is there at last; tests of this file wait for nothing else."""
    for _ in range(3000):
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it never came")


def is_empty(pipe) -> bool:
    """Whether all that was written has been read."""
    left = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, left)
    return left[0] == 0


def test_a_stream_that_breaks_off_keeps_what_came(told):
    whole = lines_of(told)
    with exporting("--format", "jsonl", "--probe", "biotop") as process:
        out, errors = process.communicate(b"".join(whole[:-2]) + whole[-2][:40])
    assert process.returncode == 1
    assert "ebpftop: not a line of JSON" in errors.decode()
    kept = [json.loads(line) for line in out.decode().splitlines()]
    assert {row["wall_ns"] for row in kept} == {
        s.wall_ns for s in told if isinstance(s, Sample) and s.probe == "biotop"
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "there is nothing on standard input"),
        (b"hello\n", "not a line of JSON; is this an ebpftop stream?"),
        (b'{"t":"tick","wall_ns":1,"mono_ns":1,"interval_ns":1}\n', "there is nothing on standard"),
    ],
)
def test_what_is_no_stream_is_one_line(given, said):
    with exporting("--format", "jsonl") as process:
        out, errors = process.communicate(given)
    assert (process.returncode, out) == (1, b"")
    assert errors.decode().startswith(f"ebpftop: {said}")
    assert errors.count(b"\n") == 1
