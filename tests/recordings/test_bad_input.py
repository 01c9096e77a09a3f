"""What is no recording, or cannot be read, is refused in one line: what it is, and what to do."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import signal

import pytest

from ebpftop import stream
from ebpftop.commands import cut, export, repair, top
from ebpftop.model import Hello
from ebpftop.recording.container import (
    HEADER_MAGIC,
    Header,
    encode_header,
    skippable,
    zstd,
)
from ebpftop.recording.reader import Recording
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import Writer
from tests.recordings import written

NOBODY = 65534
NEWER = skippable(HEADER_MAGIC, json.dumps({**Header("id").__dict__, "version": 2}).encode())
LINES = "".join(written.line(record) + "\n" for record in written.small_stream(3)).encode()
BAD = {
    "an empty file": (b"", "is empty: nothing was recorded, or not yet"),
    "text": (b"once upon a time\n" * 99, "is not a recording of ebpftop"),
    "one byte": (b"(", "is not a recording of ebpftop"),
    "zeros": (bytes(9999), "is not a recording of ebpftop"),
    "a picture": (
        b"\x89PNG\r\n\x1a\n" + bytes(99),
        "is not a recording of ebpftop: it is a picture",
    ),
    "a program": (b"\x7fELF" + bytes(99), "is not a recording of ebpftop: it is a program"),
    "gzip": (gzip.compress(LINES), "compressed by gzip; if a recording is in there, `gunzip` it"),
    "xz": (lzma.compress(LINES), "compressed by xz; if a recording is in there, `unxz` it"),
    "zstd": (zstd.compress(LINES), "compressed by zstd, but not by `ebpftop record`"),
    "a stream": (LINES, "it is a stream: `ebpftop view - <` it"),
    "the frame of another program": (
        HEADER_MAGIC + b"\4\0\0\0abcd" + zstd.compress(LINES),
        "is not a recording of ebpftop",
    ),
    "a newer format": (
        NEWER,
        "was written by a newer ebpftop (recording version 2, this one reads",
    ),
}
NOTHING = {
    "a header": encode_header(Header("id")),
    "half a header": encode_header(Header("id"))[:40],
    "a header and half a chunk": encode_header(Header("id")) + zstd.compress(b"x" * 999)[:9],
}
COMMANDS = {
    "export": lambda path, out: export.main([path, "-o", out]),
    "cut": lambda path, out: cut.main([path, "-o", out]),
    "repair": lambda path, out: repair.main([path, "-o", out]),
    "top": lambda path, _: top.main(["biotop", path]),
    "top --at": lambda path, _: top.main(["biotop", path, "--at", "50%"]),
    "export --from": lambda path, out: export.main([path, "-o", out, "--from", "50%"]),
}


@pytest.fixture(autouse=True)
def _handlers():
    """Commands change what a request to terminate does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def refusal(path):
    """What is said of a file."""
    with pytest.raises(RecordingError) as caught:
        Recording(str(path))
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said
    return said


@pytest.mark.parametrize(("data", "why"), BAD.values(), ids=BAD)
def test_what_is_no_recording_is_named_for_what_it_is(tmp_path, data, why):
    path = tmp_path / "x.ebt"
    path.write_bytes(data)
    assert why in refusal(path)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("what", [*BAD, *NOTHING])
def test_every_command_says_so_in_one_line(tmp_path, capsys, command, what):
    path = tmp_path / "x.ebt"
    path.write_bytes(BAD[what][0] if what in BAD else NOTHING[what])
    assert command(str(path), str(tmp_path / "out.csv")) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ebpftop: ")
    assert said.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["x.ebt"]


@pytest.mark.parametrize("data", NOTHING.values(), ids=NOTHING)
def test_one_that_ends_before_its_first_tick_has_no_ticks(tmp_path, data):
    """A recorder may still be about to write the first, so this is no failure yet."""
    (tmp_path / "x.ebt").write_bytes(data)
    tape = Recording(str(tmp_path / "x.ebt"))
    assert len(tape.overview) == 0
    assert list(tape.records(0, 99)) == []
    assert not tape.growing
    tape.close()


def test_a_file_that_is_not_there(tmp_path):
    assert "there is no file" in refusal(tmp_path / "x.ebt")


def test_a_directory(tmp_path):
    assert "is a directory; name the file of a recording in it" in refusal(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.ebt")
    assert "is not a file; a stream is shown by `ebpftop view -" in refusal(tmp_path / "x.ebt")


def test_a_file_of_somebody_else(tmp_path):
    path = tmp_path / "x.ebt"
    path.write_bytes(b"")
    path.chmod(0)
    is_root = os.geteuid() == 0
    os.seteuid(NOBODY if is_root else os.geteuid())
    try:
        assert "cannot be read by user" in refusal(path)
    finally:
        os.seteuid(0 if is_root else os.geteuid())


def test_a_loop_of_links(tmp_path):
    (tmp_path / "x.ebt").symlink_to("x.ebt")
    assert "cannot be opened" in refusal(tmp_path / "x.ebt")


def test_one_of_another_architecture_is_read_as_any_other(tmp_path):
    told = list(written.small_stream(3))
    told[0] = written.hello(machine="aarch64")
    found = written.Written.of(told, tmp_path / "x.ebt")
    tape = Recording(str(tmp_path / "x.ebt"))
    assert tape.segments[0].header is not None
    assert tape.segments[0].header.machine == "aarch64"
    assert isinstance(tape.hello, Hello)
    assert tape.hello.machine == "aarch64"
    assert set(written.lines(tape.records(0, 2))) == found.lines
    tape.close()


def test_a_stream_whose_format_is_newer_is_refused_when_it_is_recorded(tmp_path):
    line = json.dumps({**json.loads(written.line(written.hello())), "version": 99})
    with pytest.raises(stream.StreamError, match="written by a newer ebpftop"):
        stream.decode(line)


def test_of_a_set_the_files_that_can_be_read_are_shown(tmp_path):
    """A recorder that is killed in the wrong moment leaves an empty file behind."""
    found = written.Written.of(written.small_stream(5), tmp_path / "x.ebt.1")
    (tmp_path / "x.ebt.2").write_bytes(b"not ours")
    (tmp_path / "x.ebt").write_bytes(b"")
    tape = Recording(str(tmp_path / "x.ebt"))
    assert set(written.lines(tape.records(0, 9))) == found.lines
    tape.close()


def test_names_like_those_of_a_set_are_told_from_them(tmp_path):
    found = written.Written.of(written.small_stream(5), tmp_path / "x.ebt")
    for name in ("x.ebt.²", "x.ebt.1.gz", "x.ebt.bak", "x.ebt.", "y.ebt.1"):
        (tmp_path / name).write_bytes(b"")
    assert set(written.read(tmp_path / "x.ebt")) == found.lines


def test_a_recording_of_no_hello_is_read(tmp_path):
    """Somebody joined a stream after its beginning."""
    writer = Writer(str(tmp_path / "x.ebt"))
    for record in list(written.small_stream(3))[1:]:
        writer.add(record)
    writer.close()
    tape = Recording(str(tmp_path / "x.ebt"))
    assert tape.hello is None
    assert len(list(written.rounds(tape.records(0, 2)))) == 3
    tape.close()
