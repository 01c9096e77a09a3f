"""Names of user frames, of real programs that sleep below functions of known names."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ebpftop.collector.symboliser import Symboliser

pytestmark = pytest.mark.bpf

PROGRAMS = Path(__file__).parent / "programs"
FRAMES = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
CHAIN = ["main", "outer", "middle", "inner"]
ASLEEP = re.compile(r"(nanosleep|pipe_read)_\[k\]")
BROKEN = "[no frame pointers]"
Run = Callable[..., "subprocess.Popen[bytes]"]


class Sleepers:
    """Starts programs and tells the user frames below which they sleep, root first."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._programs: list[subprocess.Popen[bytes]] = []

    def start(self, *command: Any, **options: Any) -> subprocess.Popen[bytes]:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, **options}
        self._programs.append(subprocess.Popen([*map(str, command)], **options))
        return self._programs[-1]

    def stacks(self, pid: int, since: int = 0) -> list[list[str]]:
        found = []
        for row in self._session.rows("offcputime", "stacks", since):
            frames = row["stack"].split(";") if row["pid"] == pid else []
            if any(frame.startswith("[0x") for frame in frames):
                continue  # not named in time
            if any(ASLEEP.search(frame) for frame in frames) and row["blocked_ns"] > 50_000_000:
                found.append([frame for frame in frames if not frame.endswith("_[k]")])
        return found

    def seen(self, pid: int, function: str) -> list[str]:
        """The user frames of a thread that sleeps below a function."""

        def stacks() -> list[list[str]]:
            return [s for s in self.stacks(pid) if any(function in frame for frame in s)]

        try:
            self._session.wait_for(stacks)
        except AssertionError as error:
            rows = self._session.rows("offcputime", "stacks")
            last = [row for row in rows if row["pid"] == pid][-3:]
            lost = self._session.lost("offcputime")
            raise AssertionError(f"no sleep below {function} in {last}; lost: {lost}") from error
        return stacks()[-1]

    def asleep(self, pid: int) -> list[str]:
        """The user frames of a program that has one thread."""
        return self.seen(pid, "")

    def of(self, *command: Any, **options: Any) -> list[str]:
        return self.asleep(self.start(*command, **options).pid)

    def settle(self) -> None:
        self._session.settle("offcputime")

    def end(self) -> None:
        for program in self._programs:
            program.kill()
            program.wait()
            with contextlib.suppress(OSError):
                os.unlink(f"/tmp/perf-{program.pid}.map")


@pytest.fixture(scope="module")
def session(collect_for_all: Any) -> Any:
    return collect_for_all("offcputime")


@pytest.fixture
def sleepers(session: Any) -> Iterator[Sleepers]:
    sleepers = Sleepers(session)
    yield sleepers
    sleepers.end()


def tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def compiled(folder: Path, source: str, *flags: Any, name: str = "program") -> Path:
    compiler = tool("g++" if source.endswith(".cpp") else "gcc")
    target = folder / name
    command = [compiler, *FRAMES, "-o", target, PROGRAMS / source, *flags]
    subprocess.run([*map(str, command)], check=True)
    return target


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """`build("chain.c", "-DSLEEP")` compiles a program of the folder `programs`."""

    def build(source: str, *flags: Any, name: str = "program") -> Path:
        return compiled(tmp_path, source, *flags, name=name)

    return build


def wait_for_library(process: subprocess.Popen[bytes], library: Path) -> None:
    """Wait until a process has mapped a library, so that the file may go."""
    while library.name not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None, "it has died"
        time.sleep(0.01)


def ends(stack: list[str], *frames: str) -> bool:
    return stack[-len(frames) :] == [*frames]


# Kinds of executables


@pytest.mark.parametrize(
    "flags",
    [["-no-pie"], ["-pie", "-fPIE"], ["-static"], ["-static-pie"], ["-Wl,-z,noseparate-code"]],
)
def test_functions_of_a_program_are_named(sleepers, build, flags):
    assert ends(sleepers.of(build("chain.c", *flags)), *CHAIN)


def test_functions_of_a_32_bit_program_are_named(sleepers, build):
    try:
        program = build("chain.c", "-m32", "-static", "-DSLEEP")
    except subprocess.CalledProcessError:
        pytest.skip("no 32-bit C library")
    assert "outer" in sleepers.of(program)


def test_a_return_into_the_next_function_is_of_the_one_that_called(sleepers, build):
    stack = sleepers.of(build("last_call.c"))
    assert ends(stack, "main", "never_returns", "asleep_for_ever")


def test_a_signal_handler_returns_into_the_c_library(sleepers, build):
    """Which has no frame there: the walk passes over the function that was interrupted."""
    stack = sleepers.of(build("handler.c", "-static"))
    assert ends(stack, "main", BROKEN, "__restore_rt", "handler")


# Shared libraries


def test_functions_of_a_library_that_is_linked_are_named(sleepers, build, tmp_path):
    library = build("library.c", "-shared", "-fPIC", name="libinner.so")
    stack = sleepers.of(build("chain.c", "-DLINKED", library, f"-Wl,-rpath,{tmp_path}"))
    assert ends(stack, *CHAIN, "hidden")


def test_functions_of_a_library_that_is_loaded_later_are_named(sleepers, build):
    library = build("library.c", "-shared", "-fPIC", name="libinner.so")
    assert ends(sleepers.of(build("chain.c", "-DDLOPEN"), library), *CHAIN, "hidden")


def test_a_library_whose_code_lies_elsewhere_than_in_its_file(sleepers, build):
    place = ["-Wl,-Ttext-segment=0x7000000"]
    library = build("library.c", "-shared", "-fPIC", *place, name="libinner.so")
    assert ends(sleepers.of(build("chain.c", "-DDLOPEN"), library), *CHAIN, "hidden")


# Files that are no longer what they were


def test_a_program_that_was_deleted(sleepers, build):
    program = build("chain.c")
    process = sleepers.start(program)
    program.unlink()
    assert ends(sleepers.asleep(process.pid), *CHAIN)


def test_a_library_that_was_upgraded_while_it_ran(sleepers, build, tmp_path):
    library = build("library.c", "-shared", "-fPIC", "-DNAME=old", name="libinner.so")
    loader = build("chain.c", "-DDLOPEN")
    first = sleepers.start(loader, library)
    assert ends(sleepers.asleep(first.pid), *CHAIN, "old")
    # Its functions lie elsewhere now.
    padding = "-Wl,--section-start=.text=0x5000"
    upgrade = build("library.c", "-shared", "-fPIC", "-DNAME=new", padding, name="upgrade.so")
    upgrade.rename(library)
    second = sleepers.start(loader, library)
    assert ends(sleepers.asleep(second.pid), *CHAIN, "new")
    late = sleepers.start(loader, library)
    wait_for_library(late, library)
    library.unlink()
    assert ends(sleepers.asleep(late.pid), *CHAIN, "new")


def test_a_library_that_was_replaced_before_anyone_asked(sleepers, build):
    library = build("library.c", "-shared", "-fPIC", "-DNAME=old", name="libinner.so")
    padding = "-Wl,--section-start=.text=0x5000"
    upgrade = build("library.c", "-shared", "-fPIC", "-DNAME=new", padding, name="upgrade.so")
    process = sleepers.start(build("chain.c", "-DDLOPEN"), library)
    wait_for_library(process, library)
    upgrade.rename(library)
    assert ends(sleepers.asleep(process.pid), *CHAIN, "old")


def test_a_program_that_is_in_memory_only(sleepers, build):
    program = build("chain.c")
    code = (
        "import os, sys; fd = os.memfd_create('program'); "
        "os.write(fd, open(sys.argv[1], 'rb').read()); os.execv(f'/proc/self/fd/{fd}', ['program'])"
    )
    process = sleepers.start(sys.executable, "-c", code, program)
    assert ends(sleepers.seen(process.pid, "inner"), *CHAIN)


# Other mount namespaces


def test_a_program_in_another_mount_namespace(sleepers, build, tmp_path):
    program = build("chain.c")
    place = tmp_path / "place"
    place.mkdir()
    script = 'mount -t tmpfs none "$1" && cp "$2" "$1/program" && exec "$1/program"'
    process = sleepers.start(tool("unshare"), "-m", "sh", "-c", script, "sh", place, program)
    assert ends(sleepers.seen(process.pid, "inner"), *CHAIN)


def test_a_program_below_another_root(sleepers, build, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    build("chain.c", "-static", name="root/program")
    assert ends(sleepers.of(tool("chroot"), root, "/program"), *CHAIN)


# Programs that were stripped


def stripped(program: Path, *flags: str) -> Path:
    """The symbols of a program, in a file beside it; the program keeps none."""
    symbols = program.with_suffix(".debug")
    subprocess.run([tool("objcopy"), "--only-keep-debug", program, symbols], check=True)
    subprocess.run([tool("strip"), *flags, program], check=True)
    return symbols


def test_functions_that_a_program_exports_are_named_when_it_is_stripped(sleepers, build):
    program = build("chain.c", "-rdynamic")
    stripped(program)
    stack = sleepers.of(program)
    assert ends(stack, stack[-4], "outer", stack[-2], stack[-1])
    assert stack[-1].startswith("[program+0x")


def test_symbols_in_a_file_that_the_program_names(sleepers, build):
    program = build("chain.c", "-Wl,--build-id=none")
    symbols = stripped(program)
    subprocess.run([tool("objcopy"), f"--add-gnu-debuglink={symbols}", program], check=True)
    assert ends(sleepers.of(program), *CHAIN)


def test_symbols_of_another_build_are_not_used(sleepers, build):
    program = build("chain.c", "-Wl,--build-id=none")
    symbols = stripped(program)
    subprocess.run([tool("objcopy"), f"--add-gnu-debuglink={symbols}", program], check=True)
    stripped(build("chain.c", "-DSLEEP", name="other")).rename(symbols)
    stack = sleepers.of(program)
    assert stack[-1].startswith("[program+0x")


def test_symbols_found_by_build_id_below_the_root_of_the_process(sleepers, build, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    program = build("chain.c", "-static", f"-Wl,--build-id=0x{'ab' * 20}", name="root/program")
    folder = root / "usr/lib/debug/.build-id/ab"
    folder.mkdir(parents=True)
    stripped(program).rename(folder / ("ab" * 19 + ".debug"))
    assert ends(sleepers.of(tool("chroot"), root, "/program"), *CHAIN)


def test_symbols_packed_into_the_program(sleepers, build, tmp_path):
    program = build("chain.c", "-rdynamic")
    symbols = stripped(program)
    keep = tmp_path / "keep"
    keep.write_text("main\nmiddle\ninner\n")
    small = tmp_path / "small"
    command = [tool("objcopy"), "-S", "--remove-section=.comment", f"--keep-symbols={keep}"]
    subprocess.run([*command, symbols, small], check=True)
    subprocess.run([tool("xz"), small], check=True)
    section = f".gnu_debugdata={small}.xz"
    subprocess.run([tool("objcopy"), "--add-section", section, program], check=True)
    assert ends(sleepers.of(program), *CHAIN)


# Other languages


def test_cpp_names_are_written_as_in_the_source(sleepers, build):
    assert ends(
        sleepers.of(build("chain.cpp")),
        "main",
        "shop::Basket::operator<(shop::Basket const&) const",
        "shop::Basket::operator<(shop::Basket const&) const"
        "::{lambda(int)#1}::operator()(int) const",
        "shop::Basket::Basket(int)",
        "shop::Shelf<std::pair<int, char> >::sort("
        "std::vector<std::pair<int, char>, std::allocator<std::pair<int, char> > > const&)",
    )


@pytest.mark.parametrize(
    ("mangling", "names"),
    [
        (
            "legacy",
            [
                "chain::main",
                "chain::call",
                "chain::main::{{closure}}",
                "chain::inside::generic",
                "<chain::Queue<T> as chain::Wait>::wait",
            ],
        ),
        (
            "v0",
            [
                "chain::main",
                "chain::call::<chain::main::{closure#0}>",
                "chain::main::{closure#0}",
                "chain::inside::generic::<chain::Queue<u8>>",
                "<chain::Queue<u8> as chain::Wait>::wait",
            ],
        ),
    ],
)
def test_rust_names_are_written_as_in_the_source(sleepers, tmp_path, mangling, names):
    program = tmp_path / "chain"
    flags = ["-Copt-level=1", "-Cforce-frame-pointers=yes"]
    if mangling == "v0":
        flags.append("-Csymbol-mangling-version=v0")
    source = str(PROGRAMS / "chain.rs")
    result = subprocess.run([tool("rustc"), *flags, "-o", program, source], capture_output=True)
    if result.returncode or (b"_ZN5chain" in program.read_bytes()) != (mangling == "legacy"):
        pytest.skip("this compiler does not know this way to mangle")
    assert ends(sleepers.of(program), *names)


# Code that is compiled while a program runs


@pytest.fixture
def jit(build):
    return build("jit.c")


def test_compiled_code_has_the_names_of_its_perf_map(sleepers, jit):
    process = sleepers.start(jit)
    assert ends(sleepers.seen(process.pid, "blocked"), "run", "compiled_1", "blocked")


def test_code_compiled_later_is_found_in_the_perf_map(sleepers, jit):
    process = sleepers.start(jit, "compiled_%d", bufsize=0)
    sleepers.seen(process.pid, "compiled_1")
    for number in (2, 3):
        assert process.stdin is not None
        process.stdin.write(b"\n")
        sleepers.seen(process.pid, f"compiled_{number}")


def test_a_perf_map_of_another_pid_and_mount_namespace(sleepers, jit, tmp_path):
    script = 'mount -t tmpfs none /tmp && exec "$0" "contained_%d"'
    folder = tmp_path / "jit"
    shutil.copy(jit, f"/var/tmp/jit-{os.getpid()}")
    folder = Path(f"/var/tmp/jit-{os.getpid()}")
    try:
        command = [tool("unshare"), "--mount", "--pid", "--fork", "sh", "-c", script, folder]
        outside = sleepers.start(*command)
        inside = child_of(outside.pid)
        assert ends(sleepers.seen(inside, "blocked"), "run", "contained_1", "blocked")
    finally:
        with contextlib.suppress(OSError, UnboundLocalError):
            os.kill(inside, 9)
        folder.unlink()


def child_of(pid: int) -> int:
    children: list[str] = []
    while not children:
        time.sleep(0.01)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


def test_a_perf_map_of_somebody_else_is_not_believed(sleepers, jit, tmp_path):
    nobody = 65534
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path("/tmp"):
            break
        folder.chmod(0o755)
    # The program's own map, then given to another user; those of its user and of root count.
    process = sleepers.start(jit, "forged_%d", preexec_fn=os.setpgrp)
    while not Path(f"/tmp/perf-{process.pid}.map").exists():
        assert process.poll() is None
        time.sleep(0.001)
    os.chown(f"/tmp/perf-{process.pid}.map", nobody, nobody)
    stack = sleepers.seen(process.pid, "blocked")
    assert not [frame for frame in stack if "forged" in frame]


def test_functions_of_node_have_the_names_of_the_source(sleepers, tmp_path, session):
    script = tmp_path / "spin.js"
    script.write_text("function spinning() { for (;;) { JSON.stringify([1]); } }\nspinning();\n")
    process = sleepers.start(tool("node"), "--perf-basic-prof", "--no-opt", script)

    def frames() -> list[str]:
        rows = session.rows("offcputime", "stacks")
        return [f for r in rows if r["pid"] == process.pid for f in r["stack"].split(";")]

    session.wait_for(lambda: [frame for frame in frames() if "spinning" in frame])


def test_functions_of_python_have_the_names_of_the_source(sleepers):
    """By their addresses: the stacks of most builds of Python have no frame pointers."""
    code = "def waiting(): input()\nwaiting()"
    process = sleepers.start(python_with_perf_maps(), "-X", "perf", "-c", code)
    path = Path(f"/tmp/perf-{process.pid}.map")
    while not path.exists() or "py::waiting:" not in path.read_text():
        time.sleep(0.05)
        assert process.poll() is None
    (line,) = [line for line in path.read_text().splitlines() if "py::waiting:" in line]
    start, size, _ = line.split(" ", 2)
    addresses = [int(start, 16), int(start, 16) + int(size, 16) - 1]
    names, _ = Symboliser().names(process.pid, 1, 0, addresses)
    assert names == ["py::waiting:<string>"] * 2


def python_with_perf_maps() -> str:
    """CPython 3.12 or newer, built for processors and systems that it writes perf maps on."""
    installed = Path.home().glob(".pyenv/versions/3.1[2-9].*/bin/python")
    for name in (*(f"python3.{minor}" for minor in range(12, 20)), *map(str, installed)):
        program = shutil.which(name)
        check = (
            "import os, sys; sys.activate_stack_trampoline('perf');"
            "os.unlink(f'/tmp/perf-{os.getpid()}.map')"
        )
        if program and not subprocess.run([program, "-c", check], capture_output=True).returncode:
            return program
    pytest.skip("no Python that writes perf maps")


# Where frame pointers are missing


def test_a_stack_of_a_program_with_frame_pointers_is_whole(sleepers, build):
    stack = sleepers.of(build("chain.c"))
    assert BROKEN not in stack


def test_a_stack_of_a_thread_is_whole(sleepers, build):
    process = sleepers.start(build("chain.c", "-DTHREAD"))
    stack = sleepers.seen(process.pid, "outer")
    assert ends(stack, *CHAIN[1:])
    assert BROKEN not in stack


def test_it_is_said_where_the_c_library_passes_over_who_called_it(sleepers, build):
    """On distributions that build it without; elsewhere the chain is whole."""
    stack = sleepers.of(build("chain.c", "-DREAD"))
    if "inner" in stack:
        assert BROKEN not in stack
    else:
        assert stack[-3:-1] == ["middle", BROKEN]


def test_it_is_said_where_the_c_library_ends_the_walk(sleepers, build):
    stack = sleepers.of(build("chain.c", "-DSLEEP"))
    assert (stack[0] == BROKEN) != ("inner" in stack)


def test_it_is_said_where_a_program_is_compiled_without(sleepers, build):
    stack = sleepers.of(build("chain.c", "-O2", "-fomit-frame-pointer"))
    assert BROKEN in stack
