"""`ebpftop record` as a process of its own, fed through its standard input."""

import contextlib
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from ebpftop import stream
from ebpftop.commands import record
from ebpftop.model import Bye, Process, Sample, Status
from ebpftop.recording.reader import Recording
from ebpftop.recording.tape import RecordingError
from ebpftop.recording.writer import write_all
from tests.ui import scenes

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30
NOBODY = 65534
END = Bye("end")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def round_of(seq):
    return [scenes.host(seq), scenes.biotop(seq), scenes.tick(seq)]


def lines(records):
    return "".join(stream.encode(each) + "\n" for each in records).encode()


def story(ticks, *more):
    opening = [scenes.hello(), scenes.running(scenes.BIOTOP), *scenes.PEOPLE]
    return [*opening, *more, *(each for seq in range(1, ticks + 1) for each in round_of(seq))]


class Recorder:
    """A process that records what it is told; forked, so that it need not import everything."""

    def __init__(self, folder, *arguments, stdin=None, stderr=None, ignored=(), **environment):
        given, self.stdin = os.pipe()
        self.stdout, printed = os.pipe()
        self.stderr, said = os.pipe()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            fds = (given if stdin is None else stdin, printed, said if stderr is None else stderr)
            be_recorder(folder, ["-", *map(str, arguments)], fds, ignored, environment)
        for fd in (given, printed, said):
            os.close(fd)

    def say(self, *records):
        write_all(self.stdin, lines(records))

    def signal(self, number):
        os.kill(self.pid, number)

    def end(self, number=None):
        """Send a signal, if any, and close its input; returns its exit status and what it said."""
        if number:
            self.signal(number)
        os.close(self.stdin)
        with open(self.stdout) as stdout, open(self.stderr) as stderr:
            output, errors = stdout.read(), stderr.read()
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status, output, errors


def be_recorder(folder, arguments, fds, ignored, environment):
    """Never returns."""
    status = 99
    try:
        for fd, name in enumerate(fds):
            os.dup2(name, fd)
        os.closerange(3, 256)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", 1)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        os.environ.update(environment)
        os.chdir(folder)
        status = record.main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@contextlib.contextmanager
def running(folder, *arguments, **how):
    """A recorder that does not outlive the test."""
    recorder = Recorder(folder, *arguments, **how)
    try:
        yield recorder
    finally:
        if recorder.status is None:
            recorder.end(signal.SIGKILL)


def run(folder, records, *arguments, **how):
    """Record a whole stream in a folder; returns exit status, standard output and error."""
    with running(folder, *arguments, **how) as recorder:
        given = records if isinstance(records, bytes) else lines(records)
        with contextlib.suppress(BrokenPipeError):  # it had to give up
            write_all(recorder.stdin, given)
        return recorder.end()


def until(condition):
    """Wait until it holds; returns what it gave."""
    for _ in range(PATIENCE_S * 200):
        with contextlib.suppress(RecordingError, FileNotFoundError):
            if met := condition():
                return met
        time.sleep(0.005)
    raise AssertionError("waited in vain")


def read(path):
    """All records of a recording, and whether it was closed in good order."""
    with contextlib.closing(Recording(str(path))) as tape:
        records = list(tape.records(0, tape.overview.end - 1))
        return records, tape.segments[-1].indexed


def but_processes(records):
    """All but identities, which are said again in each chunk."""
    return [record for record in records if not isinstance(record, Process)]


def seqs(path):
    return [r.seq for r in read(path)[0] if isinstance(r, Sample) and r.probe == "biotop"]


# What is recorded


def test_what_came_in_is_what_can_be_read(tmp_path):
    told = [*story(70), END]
    assert run(tmp_path, told, "-o", "x.ebt") == (0, "", "")
    records, in_good_order = read(tmp_path / "x.ebt")
    assert lines(but_processes(records)) == lines(but_processes(told))
    assert in_good_order


def test_every_tick_is_in_the_file_at_once(tmp_path):
    with running(tmp_path, "-o", "x.ebt") as recorder:
        recorder.say(*story(0))
        for seq in (1, 2, 3):
            recorder.say(*round_of(seq))
            assert until(lambda seq=seq: seqs(tmp_path / "x.ebt") == list(range(1, seq + 1)))


def test_only_its_owner_can_read_it(tmp_path):
    run(tmp_path, [*story(1), END], "-o", "x.ebt")
    assert stat.S_IMODE((tmp_path / "x.ebt").stat().st_mode) == 0o600


@as_root
def test_under_sudo_it_belongs_to_the_user(tmp_path, nobodys):
    with running(tmp_path, "-o", "x.ebt", **nobodys) as recorder:
        recorder.say(*story(1))
        owner = until(lambda: seqs(tmp_path / "x.ebt") and (tmp_path / "x.ebt").stat())
        assert (owner.st_uid, owner.st_gid) == (NOBODY, NOBODY)
        status = Path(f"/proc/{recorder.pid}/status").read_text()
    assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n" in status


@pytest.fixture
def nobodys(tmp_path):
    """What sudo says when nobody has called it; the folder is theirs."""
    os.chown(tmp_path, NOBODY, NOBODY)
    for folder in tmp_path.parents[:2]:
        os.chmod(folder, 0o711)
    return {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}


def test_without_a_name_it_is_named_after_the_host_and_the_moment(tmp_path):
    run(tmp_path, [scenes.hello(host="../web 7"), *story(1)[1:], END])
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"ebpftop-\.\.-web-7-\d{8}-\d{6}\.ebt", path.name)
    assert seqs(path) == [1]


# How it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(tmp_path, number):
    path = tmp_path / "x.ebt"
    with running(tmp_path, "-o", path) as recorder:
        recorder.say(*story(3), scenes.biotop(4))
        until(lambda: seqs(path) == [1, 2, 3])
        assert recorder.end(number) == (0, "", "")
    records, in_good_order = read(path)
    assert isinstance(records[-1], Bye)
    assert records[-1].reason == number.name
    assert in_good_order


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    """As nohup asks for."""
    path = tmp_path / "x.ebt"
    with running(tmp_path, "-o", path, ignored=[signal.SIGHUP]) as recorder:
        recorder.say(*story(1))
        until(lambda: seqs(path))
        recorder.signal(signal.SIGHUP)
        recorder.say(*round_of(2))
        until(lambda: seqs(path) == [1, 2])
        assert recorder.end(signal.SIGTERM)[0] == 0


def test_it_ends_after_its_duration(tmp_path):
    with running(tmp_path, "-o", "x.ebt", "--duration", "0.2") as recorder:
        recorder.say(*story(2))
        until(lambda: read(tmp_path / "x.ebt")[1])
        assert recorder.end() == (0, "", "")
    assert seqs(tmp_path / "x.ebt") == [1, 2]


def test_a_stream_that_breaks_off_is_said_and_what_came_is_kept(tmp_path):
    assert run(tmp_path, story(3), "-o", "x.ebt") == (
        1,
        "",
        "ebpftop: the stream broke off: its collector was killed, or the connection went\n",
    )
    records, in_good_order = read(tmp_path / "x.ebt")
    assert len(records) == len(story(3))
    assert in_good_order


@pytest.mark.parametrize("given", [b"", b"garbage\n", b'{"t":"hello"}\n'])
def test_what_is_no_stream_leaves_no_file(tmp_path, given):
    status, _, said = run(tmp_path, given, "-o", "x.ebt")
    assert status == 1
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


# What cannot be written


def refusal(folder, *arguments, **how):
    """The one line that is said where a recording cannot begin."""
    status, _, said = run(folder, [*story(1), END], *arguments, **how)
    assert status == 1
    (line,) = said.splitlines()
    return line


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    (tmp_path / "x.ebt").write_text("evidence")
    assert refusal(tmp_path, "-o", "x.ebt") == (
        "ebpftop: x.ebt is there already; choose another name, or move it away"
    )
    assert (tmp_path / "x.ebt").read_text() == "evidence"


def test_two_recorders_on_one_file_are_refused(tmp_path):
    with running(tmp_path, "-o", "x.ebt", "--keep", "1h") as recorder:
        recorder.say(*story(1))
        until(lambda: seqs(tmp_path / "x.ebt"))
        expected = "ebpftop: x.ebt is being written by another recorder; choose another name"
        assert refusal(tmp_path, "-o", "x.ebt") == expected
        assert refusal(tmp_path, "-o", "x.ebt", "--keep", "1h") == expected


@pytest.mark.parametrize("limits", [(), ("--keep", "1h")])
def test_a_folder_that_is_not_there_is_named(tmp_path, limits):
    assert refusal(tmp_path, "-o", "no/x.ebt", *limits) == (
        "ebpftop: no/x.ebt: there is no folder no; make it first"
    )


@pytest.mark.parametrize("limits", [(), ("--keep", "1h")])
def test_a_folder_is_no_file(tmp_path, limits):
    (tmp_path / "x.ebt").mkdir()
    assert refusal(tmp_path, "-o", "x.ebt", *limits).startswith("ebpftop: x.ebt is there")


@as_root
def test_a_folder_that_may_not_be_written_is_said(tmp_path, nobodys):
    assert refusal(tmp_path, "-o", "/proc/x.ebt").startswith("ebpftop: /proc/x.ebt: ")
    tmp_path.chmod(0o500)
    assert refusal(tmp_path, "-o", "x.ebt", **nobodys) == (
        f"ebpftop: x.ebt: no permission to write there as user {NOBODY}; record elsewhere"
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256K."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "ebpftop-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no mounts here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def noise(ticks):
    """A stream that does not compress well, as that of a busy machine."""
    for each in story(ticks):
        if isinstance(each, Sample) and each.probe == "biotop":
            io = [(pid, 1, os.urandom(8).hex(), "read", 1, 1, 1, 1, 1) for pid in range(200)]
            each.tables["io"] = io
        yield each


@pytest.mark.parametrize("folder_is_full", [False, True])
def test_on_a_full_disk_what_was_written_stays_readable(small_disk, folder_is_full):
    if folder_is_full:
        (small_disk / "other").write_bytes(bytes(220 << 10))
    assert run(small_disk, noise(200), "-o", "x.ebt") == (
        1,
        "",
        "ebpftop: x.ebt: the disk is full; what was recorded before can be read\n",
    )
    kept = seqs(small_disk / "x.ebt")
    assert kept == list(range(1, len(kept) + 1))
    assert kept


def test_on_a_full_disk_a_recording_with_limits_gives_up_its_oldest_files(small_disk):
    assert run(small_disk, [*noise(200), END], "-o", "x.ebt", "--max-size", "400K") == (
        0,
        "",
        "ebpftop: the disk is full: x.ebt.1 is deleted to go on\n",
    )
    kept = seqs(small_disk / "x.ebt")
    assert kept == list(range(kept[0], 201))


@as_root
def test_a_read_only_file_system_is_said(small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert refusal(tmp_path, "-o", small_disk / "x.ebt") == (
        f"ebpftop: {small_disk}/x.ebt: this file system is read-only; record elsewhere"
    )


# Space


def test_the_files_of_a_set_are_read_as_one(tmp_path):
    assert run(tmp_path, [*noise(60), END], "-o", "x.ebt", "--max-size", "200K")[0] == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) > 3
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200 << 10
    kept = seqs(tmp_path / "x.ebt")
    assert kept == list(range(kept[0], 61))


def test_started_again_it_goes_on_also_after_it_was_killed(tmp_path):
    path = tmp_path / "x.ebt"
    with running(tmp_path, "-o", "x.ebt", "--keep", "1h") as recorder:
        recorder.say(*story(3))
        until(lambda: seqs(path) == [1, 2, 3])
        recorder.end(signal.SIGKILL)
    assert run(tmp_path, [*story(2), END], "-o", "x.ebt", "--keep", "1h")[0] == 0
    assert seqs(path) == [1, 2, 3, 1, 2]


# SIGUSR1


def save(recorder, folder, newest):
    """Ask for a file until all that was sent is in it; returns its path."""
    until(lambda: catches(recorder.pid, signal.SIGUSR1))

    def saved():
        recorder.signal(signal.SIGUSR1)
        time.sleep(0.02)
        return next((path for path in folder.iterdir() if seqs(path)[-1] == newest), None)

    return until(saved)


def catches(pid, number):
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> number - 1 & 1


def test_the_flight_recorder_writes_nothing_until_it_is_asked(tmp_path):
    assert run(tmp_path, [*story(5), END], "--flight", "-o", "incident.ebt") == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_the_flight_recorder_saves_a_new_file_each_time_and_prints_its_name(tmp_path):
    with running(tmp_path, "--flight", "-o", "incident.ebt") as recorder:
        recorder.say(*story(5))
        first = save(recorder, tmp_path, 5)
        recorder.say(*round_of(6))
        save(recorder, tmp_path, 6)
        status, output, _ = recorder.end(signal.SIGTERM)
    assert status == 0
    assert seqs(first) == [1, 2, 3, 4, 5]
    assert sorted(output.split()) == sorted(path.name for path in tmp_path.iterdir())
    for name in output.split():
        assert re.fullmatch(r"incident-\d{8}-\d{6}(-\d+)?\.ebt", name)


def test_the_flight_recorder_holds_the_last_minutes(tmp_path):
    with running(tmp_path, "--flight", "--minutes", "2") as recorder:
        recorder.say(*story(400))
        kept = seqs(save(recorder, tmp_path, 400))
    assert 120 <= len(kept) <= 120 + 60
    assert kept == list(range(kept[0], 401))


def test_a_flight_that_cannot_be_saved_goes_on(tmp_path):
    with running(tmp_path, "--flight", "-o", "no/x.ebt") as recorder:
        recorder.say(*story(2))
        until(lambda: catches(recorder.pid, signal.SIGUSR1))
        said = ""
        while not re.search(r"ebpftop: no/x-.*: there is no folder no; make it first\n", said):
            recorder.signal(signal.SIGUSR1)
            said = os.read(recorder.stderr, 4096).decode()
        assert recorder.end(signal.SIGTERM)[0] == 0


def test_without_flight_it_ends_the_chunk(tmp_path):
    """So that all that was recorded so far is on the disk."""
    path = tmp_path / "x.ebt"
    with running(tmp_path, "-o", path) as recorder:
        recorder.say(*story(3))
        until(lambda: seqs(path) == [1, 2, 3])
        before = path.stat().st_size
        recorder.signal(signal.SIGUSR1)
        until(lambda: path.stat().st_size > before)
        recorder.say(*round_of(4), *round_of(5))
        until(lambda: seqs(path) == [1, 2, 3, 4, 5])
        assert recorder.end(signal.SIGTERM)[0] == 0
    with contextlib.closing(Recording(str(path))) as tape:
        assert len(tape.chunks) == 2


# What the user hears


def test_a_probe_that_does_not_run_is_said_once(tmp_path):
    bad = Status("tcptop", "unavailable", reason="no \x1b[31mhook", hint="boot another kernel")
    status, _, said = run(tmp_path, [*story(1, bad, bad), bad, END], "-o", "x.ebt")
    assert status == 0
    assert said == "ebpftop: tcptop unavailable: no ·[31mhook; boot another kernel\n"


def test_on_a_terminal_it_says_how_it_goes(tmp_path):
    screen, terminal = pty.openpty()
    with running(tmp_path, "-o", "x.ebt", stderr=terminal) as recorder:
        os.close(terminal)
        recorder.say(*story(2))
        text = b""
        while b"probes" not in text:
            text += os.read(screen, 4096)
    os.close(screen)
    assert re.search(rb"recording x\.ebt: [\d.]+K?, .*, 1 probes", text)


# Usage


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("24h", 86_400), ("7d", 604_800), ("1.5h", 5400)],
)
def test_times(text, seconds):
    assert record._parser().parse_args(["--keep", text]).keep == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("100000", 100_000), ("500K", 512_000), ("64M", 64 << 20), ("1G", 1 << 30), ("1.5M", 3 << 19)],
)
def test_sizes(text, size):
    assert record._parser().parse_args(["--max-size", text]).max_size == size


@pytest.mark.parametrize(
    "arguments",
    [
        ("FILE",),
        ("-", "--probe", "biotop"),
        ("-", "-i", "2"),
        ("-o", "-"),
        ("-i", "0"),
        ("-i", "nan"),
        ("--max-size", "10K"),
        ("--max-size", "1X"),
        ("--max-size", "0"),
        ("--max-size", "1e9"),
        ("--keep", "5s"),
        ("--keep", "-5m"),
        ("--duration", "0"),
        ("--duration", "soon"),
        ("--flight", "--keep", "1h"),
        ("--minutes", "5"),
        ("--flight", "--minutes", "0"),
        ("--probe", "nosuch"),
    ],
)
def test_bad_usage_is_said_before_anything_happens(arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        sys.exit(record.main([*arguments]))
    assert ending.value.code == 2
    assert re.match("(usage: .*error|ebpftop): ", capsys.readouterr().err, re.DOTALL)


def test_the_command_of_the_systemd_unit_is_one():
    unit = (ROOT / "packaging" / "ebpftop-record.service").read_text()
    commands = re.findall(
        r"^#?\s*ExecStart=/usr/local/bin/ebpftop record (.*)$", unit, re.MULTILINE
    )
    assert len(commands) == 2
    for arguments in commands:
        options = record._parser().parse_args(arguments.split())
        assert not record._wrong(options)


def test_options_may_stand_before_the_stream_and_probes_be_named_one_by_one():
    options = record._parser().parse_intermixed_args(["--duration", "3s", "-"])
    assert (options.source, options.duration) == ("-", 3)
    options = record._parser().parse_intermixed_args(["--probe", "biotop", "--probe", "tcptop"])
    assert options.probe == ["biotop", "tcptop"]


def test_standard_input_must_be_a_pipe(tmp_path):
    (tmp_path / "stream").write_bytes(lines(story(1)))
    for name in (tmp_path / "stream", os.devnull):
        with open(name) as file:
            said = refusal(tmp_path, stdin=file.fileno())
        assert said == "ebpftop: `record -` reads a pipe: ebpftop collect | ebpftop record -"


def test_it_needs_no_screen(tmp_path):
    """So that it stays small."""
    code = (
        "import sys; from ebpftop.commands import record; record.main(['-', '-o', 'x.ebt']);"
        "print({'textual', 'rich', 'plotext', 'bcc', 'psutil', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        input=lines([*story(1), END]),
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (result.stdout, result.stderr) == (b"set()\n", b"")
