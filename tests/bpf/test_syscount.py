"""System calls against loads that know what they call."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.bpf

THREADS = 4
CALLS = 100_000
FAILING = 1_000

# getpriority is called by nothing else in these processes; 99 is no kind of target.
CALLER = f"""
import ctypes, threading
libc = ctypes.CDLL(None)
def call():
    for number in range({CALLS // THREADS}):
        libc.getpriority(99 if number < {FAILING // THREADS} else 0, 0)
threads = [threading.Thread(target=call) for _ in range({THREADS})]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


class Load:
    """A Python process that runs a piece of code."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def let_go(self) -> None:
        """End its wait for input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> int:
        self.let_go()
        return self.process.wait()


@pytest.fixture(scope="module")
def session(collect_for_all):
    return collect_for_all("syscount")


def run(session, code):
    """Run a load to its end; its pid, when the samples hold all of it."""
    load = Load(code)
    load.let_go()
    assert load.process.wait() == 0
    session.settle("syscount")
    return load.pid


def calls(session, pid, syscall):
    return [
        row
        for row in session.rows("syscount", "calls")
        if (row["pid"], row["syscall"]) == (pid, syscall)
    ]


def total(session, pid, syscall, column="count"):
    return sum(row[column] for row in calls(session, pid, syscall))


def errors(session, pid, syscall):
    """Number of failures by error."""
    found: dict[str, int] = {}
    for row in session.rows("syscount", "errors"):
        if (row["pid"], row["syscall"]) == (pid, syscall):
            found[row["errno"]] = found.get(row["errno"], 0) + row["count"]
    return found


def in_flight(sample, pid):
    """Calls of a process that the sample says are going on, by name, with their age."""
    return {row[2]: row[3] for row in sample.tables["inflight"] if row[0] == pid}


def test_calls_and_errors_of_four_threads_are_exact(session):
    pid = run(session, CALLER)
    assert total(session, pid, "getpriority") == CALLS
    assert total(session, pid, "getpriority", "errors") == FAILING
    assert errors(session, pid, "getpriority") == {"EINVAL": FAILING}
    assert not session.lost("syscount")


def test_the_histogram_adds_up_to_the_calls(session):
    pid = run(session, CALLER)
    slots = [row for row in session.rows("syscount", "latency") if row["pid"] == pid]
    assert sum(row["count"] for row in slots if row["syscall"] == "getpriority") == CALLS


def test_the_time_of_a_call_is_at_least_what_it_slept(session):
    pid = run(session, "import select\nfor _ in range(10): select.select([], [], [], 0.02)")
    names = {row["syscall"] for row in session.rows("syscount", "calls") if row["pid"] == pid}
    (name,) = names & {"select", "pselect6"}
    assert total(session, pid, name) == 10
    assert total(session, pid, name, "total_ns") >= 10 * 20_000_000
    assert max(row["max_ns"] for row in calls(session, pid, name)) >= 20_000_000


def test_a_call_is_in_flight_until_it_ends(session):
    load = Load("import sys, time\nprint(time.monotonic_ns(), flush=True)\nsys.stdin.read()")
    before_ns = int(load.said())
    session.settle("syscount", 3)
    earlier, later = session.samples("syscount")[-2:]
    age_ns = in_flight(earlier, load.pid)["read"]
    assert age_ns <= earlier.mono_ns - before_ns
    assert in_flight(later, load.pid)["read"] - age_ns == later.mono_ns - earlier.mono_ns
    assert not [r for r in calls(session, load.pid, "read") if r["max_ns"] > age_ns]

    load.end()
    session.settle("syscount")
    assert not in_flight(session.samples("syscount")[-1], load.pid)
    assert max(row["max_ns"] for row in calls(session, load.pid, "read")) > age_ns


def test_calls_that_never_return_are_counted(session):
    until_alone = "import os\nwhile len(os.listdir('/proc/self/task')) > 1: pass"
    pid = run(session, CALLER + until_alone)
    assert total(session, pid, "exit") == THREADS
    assert total(session, pid, "exit_group") == 1


def test_a_fork_is_the_parents_call_alone(session):
    load = Load("""
import os
children = []
for _ in range(50):
    children.append(os.fork())
    if not children[-1]: os._exit(0)
    os.waitpid(children[-1], 0)
print(*children, flush=True)
""")
    family = {load.pid, *map(int, load.said().split())}
    load.end()
    session.settle("syscount")
    forks = [
        row
        for row in session.rows("syscount", "calls")
        if row["syscall"] in ("clone", "clone3", "fork") and row["pid"] in family
    ]
    assert {row["pid"] for row in forks} == {load.pid}
    assert sum(row["count"] for row in forks) == 50


def test_execve_of_a_second_thread_ends_under_the_id_of_the_first(session):
    load = Load("""
import os, sys, threading
code = "print('ready', flush=True); import sys; sys.stdin.read()"
exec_it = lambda: os.execv(sys.executable, [sys.executable, "-c", code])
thread = threading.Thread(target=exec_it)
thread.start()
thread.join()
""")
    assert load.said() == "ready"
    session.settle("syscount", 3)
    assert set(in_flight(session.samples("syscount")[-1], load.pid)) == {"read"}
    # One by the child of this test before it became Python, one by the thread.
    assert total(session, load.pid, "execve") == 2
    assert load.end() == 0


def test_what_a_signal_interrupts_is_listed_but_is_no_error(session):
    load = Load("""
import os, signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
print("ready", flush=True)
os.read(0, 1)
""")
    load.said()
    session.settle("syscount", 2)
    load.end()
    session.settle("syscount")
    interrupted = errors(session, load.pid, "read").get("ERESTARTSYS", 0)
    assert 0 < interrupted < total(session, load.pid, "read")
    assert total(session, load.pid, "rt_sigreturn") >= interrupted
    assert total(session, load.pid, "read", "errors") == 0
    assert total(session, load.pid, "rt_sigreturn", "errors") == 0
    assert errors(session, load.pid, "rt_sigreturn") == {}


# A hundred calls of number 20, which is getpid for 32-bit programs of both machines: by int 0x80,
# which 64-bit programs of x86 can do, too; by a 32-bit program, which arm64 needs.
GETPID_32 = {
    "x86_64": """
import ctypes, mmap, os
code = bytes.fromhex("b814000000 cd80 c3")  # mov eax, 20; int 0x80; ret
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
assert {call() for _ in range(100)} == {os.getpid()}
""",
    "aarch64": """
import os, struct
code = struct.pack(
    "<8I",
    0xe3a04064,  # mov r4, #100
    0xe3a07014,  # mov r7, #20
    0xef000000,  # svc 0
    0xe2544001,  # subs r4, r4, #1
    0x1afffffb,  # bne to the second
    0xe3a00000,  # mov r0, #0
    0xe3a07001,  # mov r7, #1 (exit)
    0xef000000,  # svc 0
)
ident, at, size = b"\\x7fELF" + bytes([1, 1, 1]), 1 << 16, 52 + 32 + len(code)
header = struct.pack(
    "<16sHHIIIIIHHHHHH", ident, 2, 40, 1, at + 84, 52, 0, 5 << 24, 52, 32, 1, 0, 0, 0
)
segment = struct.pack("<8I", 1, 0, at, at, size, size, 5, at)
program = os.memfd_create("getpid")
os.write(program, header + segment + code)
os.execve(program, ["getpid"], {})
""",
}
NUMBER_20 = {"x86_64": ("getpid/i386", "writev"), "aarch64": ("getpid/arm", "epoll_create1")}


@pytest.mark.skipif(platform.machine() not in GETPID_32, reason="a machine without 32-bit calls")
def test_a_32_bit_call_is_named_by_its_own_table(session):
    machine = platform.machine()
    load = Load(GETPID_32[machine])
    if load.end() != 0:
        pytest.skip("this kernel has no 32-bit calls (CONFIG_IA32_EMULATION, CONFIG_COMPAT)")
    session.settle("syscount")
    of_32, of_64 = NUMBER_20[machine]
    assert total(session, load.pid, of_32) == 100
    assert total(session, load.pid, of_64) == 0


def test_a_process_that_is_gone_is_still_named(session):
    pid = run(session, "")
    assert [process.comm for process in session.processes(pid)]
