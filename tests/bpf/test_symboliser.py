"""The symboliser: real names for real addresses, and a process that leaves no trace."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ebpftop.collector import symboliser
from ebpftop.collector.stacks import Helper
from ebpftop.collector.symboliser import KERNEL, Symboliser, clean
from tests.bpf.conftest import PATIENCE_S

pytestmark = pytest.mark.bpf

PROBE = "offcputime"


@pytest.fixture(scope="module")
def names():
    return Symboliser().names


def name_of(names: Any, address: int, pid: int | None = None) -> str:
    (name,), _ = names(os.getpid() if pid is None else pid, 1, 0, [address])
    return str(name)


def address_of(library: str, symbol: str) -> int:
    function = getattr(ctypes.CDLL(library), symbol)
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def test_a_function_of_a_library_is_named(names):
    assert "getppid" in name_of(names, address_of("libc.so.6", "getppid") + 4)


def test_kernel_functions_are_named(names):
    lines = Path("/proc/kallsyms").read_text().splitlines()
    address = next(int(line.split()[0], 16) for line in lines if line.endswith(" T schedule"))
    if not address:
        pytest.skip("kernel addresses are hidden (kptr_restrict)")
    assert name_of(names, address + 5, KERNEL) == "schedule"


@pytest.mark.parametrize("pid", [KERNEL, os.getpid(), 4_000_000])
def test_an_address_in_nothing_is_unknown(names, pid):
    assert name_of(names, 0x10, pid) == "[unknown]"


@pytest.fixture
def mapped(tmp_path):
    """A file without symbols, three pages of it mapped to run from the second page on."""
    path = tmp_path / "code.bin"
    path.write_bytes(bytes(4 * mmap.PAGESIZE))
    with path.open("r+b") as file:
        flags, rights = mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        size, offset = 3 * mmap.PAGESIZE, mmap.PAGESIZE
        code = mmap.mmap(file.fileno(), size, flags, rights, offset=offset)
    handle = ctypes.c_char.from_buffer(code)
    yield path, ctypes.addressof(handle)
    del handle
    code.close()


def test_an_address_in_a_file_without_symbols_is_its_place_in_the_file(names, mapped):
    _, start = mapped
    wanted = f"[code.bin+{mmap.PAGESIZE + 7:#x}]"
    assert name_of(names, start + 7) == wanted


def test_a_file_that_was_deleted_is_still_named(names, mapped):
    path, start = mapped
    path.unlink()
    wanted = f"[code.bin+{mmap.PAGESIZE + 7:#x}]"
    assert name_of(names, start + 7) == wanted


def test_code_that_comes_after_the_first_question_is_found(names, request):
    assert "getppid" in name_of(names, address_of("libc.so.6", "getppid"))
    _, start = request.getfixturevalue("mapped")
    assert name_of(names, start).startswith("[code.bin+")


def test_memory_without_a_file_is_compiled_code(names):
    rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    code = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, rights)
    handle = ctypes.c_char.from_buffer(code)
    assert name_of(names, ctypes.addressof(handle)) == "[compiled code]"
    del handle
    code.close()


def test_what_is_held_of_files_is_bounded(monkeypatch):
    monkeypatch.setattr(symboliser, "IMAGES_BYTES", 0)
    names = Symboliser()
    libraries = {"libc.so.6": "getppid", "libm.so.6": "cos"}
    for library, function in (*libraries.items(), *libraries.items()):
        assert function in name_of(names.names, address_of(library, function))
        assert len(names._images) == 1


def test_functions_of_the_vdso_are_named(names):
    lines = Path("/proc/self/maps").read_text().splitlines()
    (start,) = [int(line.split("-")[0], 16) for line in lines if line.endswith("[vdso]")]
    symbols = [name_of(names, start + offset) for offset in range(0, 4096, 16)]
    assert any("gettime" in name for name in symbols)


def test_a_process_that_took_over_the_id_is_not_looked_at(names):
    address = address_of("libc.so.6", "getppid")
    began_ns = 1_000_000  # with the machine, long before this one
    (name,), _ = Symboliser().names(os.getpid(), 1, began_ns, [address])
    assert name == "[unknown]"


def test_a_process_that_has_gone_keeps_what_it_had_mapped():
    names = Symboliser().names
    functions = [address_of("libc.so.6", name) for name in ("getppid", "getuid")]
    with subprocess.Popen(["sleep", "1000"]) as process:
        wait_until(lambda: library_at(process.pid))
        here, there = library_at(os.getpid()), library_at(process.pid)
        getppid, getuid = (address - here + there for address in functions)
        assert "getppid" in name_of(names, getppid, process.pid)
        process.kill()
    assert gone(process.pid)
    assert "getuid" in name_of(names, getuid, process.pid)


def library_at(pid: int) -> int:
    """Where a process has mapped the code of the C library; 0 while it has not."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    found = [line for line in lines if "/libc.so" in line and "r-xp" in line]
    return int(found[0].split("-")[0], 16) if found else 0


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("do_work", "do_work"),
        ("a;b", "a:b"),
        ("two\nlines\x1b[31m", "two?lines?[31m"),
        ("right\u202eleft", "right?left"),
        ("x" * 1000, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_names_are_made_fit_for_a_folded_stack(raw, text):
    assert clean(raw) == text


# The process


@pytest.fixture
def helper() -> Iterator[Helper]:
    helper = Helper()
    yield helper
    helper.close()


def test_the_helper_answers_in_the_order_of_the_question(helper):
    own = os.getpid()
    addresses = [address_of("libc.so.6", name) for name in ("getppid", "getuid")]
    helper.ask([(own, 1, 0, addresses), (KERNEL, 0, 0, [0x10])])
    ((first, second), _), ((third,), _) = helper.answer(PATIENCE_S)
    assert "getppid" in first
    assert "getuid" in second
    assert third == "[unknown]"


def test_the_helper_says_nothing_on_its_own(helper):
    assert helper.answer(0.1) is None


def children(pid: int) -> dict[int, str]:
    """Command lines of the child processes; empty for one that is dead and not reaped."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ")
        found[int(child)] = command.decode()
    return found


def wait_until(condition: Any) -> None:
    for _ in range(PATIENCE_S * 50):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def helper_of(session: Any) -> int:
    """Process id of the symboliser that a collector has started."""

    def symbolisers() -> list[int]:
        found = children(session.process.pid).items()
        return [pid for pid, text in found if "symboliser" in text]

    wait_until(symbolisers)
    (pid,) = symbolisers()
    return pid


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def command(session: Any, verb: str) -> None:
    line = json.dumps({"verb": verb, "probe": PROBE}).encode() + b"\n"
    session.process.stdin.write(line)
    session.process.stdin.flush()


def test_it_runs_only_while_a_probe_needs_it(collect):
    session = collect(PROBE)
    helper_of(session)
    command(session, "stop")
    session.wait_for(lambda: session.statuses(PROBE)[-1].state == "idle")
    assert children(session.process.pid) == {}
    command(session, "start")
    session.wait_for(lambda: session.statuses(PROBE)[-1].state == "running")
    helper_of(session)


def test_a_probe_without_stacks_does_not_need_it(collect):
    session = collect("biotop")
    assert children(session.process.pid) == {}


def test_it_ends_with_the_collector_even_by_kill_9(collect):
    session = collect(PROBE)
    helper = helper_of(session)
    session.process.send_signal(signal.SIGKILL)
    session.process.wait(PATIENCE_S)
    wait_until(lambda: gone(helper))


def test_it_has_no_part_in_the_collectors_input_and_output(collect):
    session = collect(PROBE)
    theirs = {
        os.readlink(f"/proc/{helper_of(session)}/fd/{fd.name}")
        for fd in Path(f"/proc/{helper_of(session)}/fd").iterdir()
    }
    ours = {os.readlink(f"/proc/{session.process.pid}/fd/{fd}") for fd in (0, 1)}
    assert not theirs & ours


def test_when_it_dies_it_is_started_again_once_and_then_addresses_are_shown(collect):
    session = collect(PROBE)
    for _ in range(2):
        helper = helper_of(session)
        os.kill(helper, signal.SIGKILL)
        # It is missed as soon as a stack comes that is not known yet.
        asleep_anew(session)
        wait_until(lambda killed=helper: gone(killed))
    assert children(session.process.pid) == {}
    row = asleep_anew(session)
    assert any(frame.startswith("[0x") for frame in row["stack"].split(";"))
    assert [why for why in session.lost(PROBE) if "addresses shown as numbers" in why]
    assert session.statuses(PROBE)[-1].state == "running"


def asleep_anew(session: Any) -> dict[str, Any]:
    """A row of a process whose addresses nobody has asked for yet."""
    with subprocess.Popen(["sleep", "1000"]) as process:

        def rows() -> list[dict[str, Any]]:
            found = session.rows(PROBE, "stacks")
            return [r for r in found if r["pid"] == process.pid and r["blocked_ns"] > 100_000_000]

        session.wait_for(rows)
        process.kill()
        return rows()[-1]
