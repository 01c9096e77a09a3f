"""What the kernel's headers say, for kernels without BTF: offsets, enumerators, prototypes.

Nothing is loaded for it, nor even compiled to the end. A C file of one line per question includes
the headers, and each line has an error whose message holds the answer:

    char (*a)[offsetof(struct bio, bi_next)] = 0.0;
        initializing 'char (*)[0]' with an expression of incompatible type 'double'
    double a = &trace_block_getrq;
        initializing 'double' with an expression of incompatible type 'void (*)(struct bio *)'

What the headers do not declare has another error, so one compile answers everything. An error in a
header itself would mean that the compiler reads it otherwise than the kernel's did; then nothing
is believed. The compiler is BCC's, in a process of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

from ebpftop import registry
from ebpftop.collector import cgroups, functions, header_files, hooks, perf
from ebpftop.collector.btf import GCC_NAMES
from ebpftop.collector.header_files import DECLARED, VARIABLE, Headers, HeadersError
from ebpftop.hook import AllOf, FirstOf, Hook, Members
from ebpftop.sources.base import SourceError
from ebpftop.sources.interpreter import collector_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ebpftop.collector.cache import Cache
    from ebpftop.probe import Probe

Answer = int | list[str] | None
Answers = dict[str, Answer]
PATIENCE_S = 300  # two seconds, but sixty where a processor is emulated
MAIN = "/virtual/main.c"  # what BCC calls the text it is given
# Helpers that take or give pointers with types, for which the kernel needs BTF itself.
NEED_BTF = frozenset(
    f"bpf_func_id.BPF_FUNC_{name}" for name in ("get_current_task_btf", "task_pt_regs")
)
# What is asked of every kernel elsewhere (loader, doctor).
ASKED_ELSEWHERE = (
    "bpf_func_id.BPF_FUNC_probe_read_kernel",
    "bpf_func_id.BPF_FUNC_ktime_get_coarse_ns",
)
FLAGS = (
    "-D_UAPI__LINUX_BPF_H__",  # else BCC's own bpf.h, newer or older, would be in place of it
    "-D__BPF_HELPERS_H",  # nor is there any need of BCC's helpers
    "-DCC_USING_FENTRY",  # as the kernel's Makefile has it; without, a header is an error
    "-D__counted_by__(member)=",  # says nothing of layout, and not all compilers accept it
    "-fms-extensions",  # since 6.19 structures are embedded in that way
    "-Wno-everything",
    "-Werror=missing-declarations",  # of a member that is dropped
    "-fno-spell-checking",  # else another declaration would be taken for what is not there
    "-fno-caret-diagnostics",
    "-ferror-limit=0",
)
COMPILE = """
import json, os, sys
asked = json.load(sys.stdin)
os.environ[asked["variable"]] = asked["folder"]
from bcc import BPF
BPF(text=asked["text"], cflags=asked["flags"])
"""
RECORD = "trace_event_raw_"  # how the structure of a tracepoint's record is called
BIAS = 1 << 32  # an array has no negative size
ERROR = re.compile(r"(\S.*?):(\d+):\d+: (?:fatal )?error: (.*)")
NUMBER = re.compile(r"initializing 'char \(\*\)\[(\d+)\]'")
PROTOTYPE = re.compile(r"incompatible type '[^()']*\(\*\)\((.*?)\)'")
QUALIFIERS = re.compile(r"\b(const|volatile|restrict)\b ?")


class HeaderTypes:
    """The types of a kernel as its headers declare them; see `hooks.KernelTypes`."""

    complete = False

    def __init__(
        self, ask: Callable[[list[str]], Answers], probes: Iterable[Probe], place: str = ""
    ) -> None:
        """Asks at once all that the probes need, for `answers`; may raise HeadersError.

        Args:
            ask: answers questions.
            probes: what is asked for.
            place: where the headers are.
        """
        self.place = place
        self._ask = ask
        self.answers = ask(sorted(set(questions(probes))))

    def tracepoint(self, name: str) -> list[str] | None:
        """Types of the arguments of a raw tracepoint, or None where there is no such one."""
        return self._types(f"tracepoint {name}")

    def offset(self, path: str) -> int | None:
        """Byte offset of `struct.member`, or None where no header has it."""
        return self._number(f"offset {path}")

    def enumerator(self, path: str) -> int | None:
        """Value of `enum.enumerator`, or None where no header has it."""
        return None if path in NEED_BTF else self._number(f"enum {path}")

    def function(self, name: str) -> list[str] | None:
        """Types of the arguments of a function, or None where no header declares it."""
        return self._types(f"function {name}")

    def function_id(self, name: str) -> int:  # noqa: ARG002
        """0: there are no ids without BTF."""
        return 0

    def tracepoint_id(self, name: str) -> int:  # noqa: ARG002
        """0: there are no ids without BTF."""
        return 0

    def _number(self, question: str) -> int | None:
        answer = self._answer(question)
        return answer if isinstance(answer, int) else None

    def _types(self, question: str) -> list[str] | None:
        answer = self._answer(question)
        return answer if isinstance(answer, list) else None

    def _answer(self, question: str) -> Answer:
        if question not in self.answers:
            self.answers.update(self._ask([question]))
        return self.answers[question]


def running(cache: Cache) -> HeaderTypes:
    """The types of the running kernel; raises HeadersError where its headers cannot tell them."""
    headers = header_files.find(os.uname().release)

    def ask(asked: list[str]) -> Answers:
        name = _file_name(headers, asked)
        answers = _decode(cache.read(name))
        if answers is None:
            answers = dict(map(_of_running, ask_compiler(headers, asked).items()))
            with contextlib.suppress(OSError):  # what the next start would like to find
                cache.write(name, _encode(answers))
        return answers

    return HeaderTypes(ask, registry.probes().values(), str(headers.build))


def _of_running(answered: tuple[str, Answer]) -> tuple[str, Answer]:
    """A question and its answer, if need be from the kernel itself.

    A header may declare a tracepoint that the kernel was built without. The structures of records
    are made by its macros where it is compiled; tracefs shows them.
    """
    question, answer = answered
    kind, _, name = question.partition(" ")
    if kind == "tracepoint" and answer is not None and not functions.can_watch(name):
        return question, None
    if kind == "offset" and name.startswith(RECORD):
        return question, offset_in_record(name)
    return answered


def offset_in_record(path: str) -> int | None:
    """Byte offset of `trace_event_raw_NAME.member`, or None where tracefs does not show it."""
    name, _, member = path[len(RECORD) :].partition(".")
    for folder in perf.TRACEFS:
        for file in folder.glob(f"events/*/{name}/format"):
            field = rf"\b{re.escape(member)}(?:\[.*\])?;\s*offset:(\d+);"
            found = re.search(field, file.read_text())
            return int(found[1]) if found else None
    return None


def questions(probes: Iterable[Probe]) -> Iterator[str]:
    """All that is asked of a kernel for some probes."""
    yield from _members({**hooks.COMMON_OFFSETS, **hooks.COMMON_OPTIONAL})
    for path in (*hooks.COMMON_ABILITIES.values(), *ASKED_ELSEWHERE):
        yield f"enum {path}"
    for controller in cgroups.CONTROLLERS:
        yield f"enum cgroup_subsys_id.{controller}_cgrp_id"
    for registers, result in functions.REGISTERS.values():
        yield from (f"offset pt_regs.{name.partition('+')[0]}" for name in (*registers, result))
    for probe in probes:
        yield from _members({**probe.offsets, **probe.optional_offsets})
        yield from (f"enum {path}" for path in probe.enums.values())
        for slot in probe.hooks:
            way = AllOf((slot,)) if isinstance(slot, Hook) else slot
            for each in way.ways if isinstance(way, FirstOf) else (way,):
                yield from _of_way(each)


def _of_way(way: AllOf) -> Iterator[str]:
    yield from _members(way.offsets)
    yield from (f"enum {path}" for path in way.enums.values())
    for hook in way.hooks:
        if hook.kind in hooks.FUNCTIONS:
            yield f"function {hook.target}"
        elif hook.kind == "raw_tracepoint":
            yield f"tracepoint {hook.target}"
        elif hook.kind == "tracepoint":
            yield from (f"offset {argument.partition('=')[2]}" for argument in hook.args)


def _members(members: Members) -> Iterator[str]:
    for paths in members.values():
        yield from (f"offset {path}" for path in ([paths] if isinstance(paths, str) else paths))


def ask_compiler(headers: Headers, asked: list[str]) -> Answers:
    """Answers to questions, by a compile.

    Raises:
        HeadersError: there is no compiler, or it does not understand the headers.
    """
    machine = os.uname().machine
    with headers.unpacked() as folders:
        source = folders.source.resolve()
        head, lines = c_text(folders, asked)
        compiler_types = source / "include/linux/compiler_types.h"  # the kernel's Makefile, too
        flags = [*FLAGS, *folders.flags(machine), "-include", str(compiler_types)]
        said = _compile("\n".join([*head, *lines, ""]), flags, str(source))
    return answers_in(said, asked, len(head) + 1)


def c_text(headers: Headers, asked: list[str]) -> tuple[list[str], list[str]]:
    """The lines of a C file that include the headers, and those that ask, one per question."""
    tracepoints = {name for kind, name in map(str.split, asked) if kind == "tracepoint"}
    events = header_files.events(headers, tracepoints)
    folder = headers.source / "include"
    files = (*DECLARED, *sorted(set(events.values())))
    includes = [f"#include <{name}>" for name in files if (folder / name).is_file()]
    head = ["#undef _UAPI__LINUX_BPF_H__", *includes]
    return head, [_line(number, *each.split()) for number, each in enumerate(asked)]


def _line(number: int, kind: str, name: str) -> str:
    if kind == "offset":
        structure, _, member = name.partition(".")
        what = structure if structure.endswith("_t") else f"struct {structure}"  # of a typedef
        return f"char (*a{number})[__builtin_offsetof({what}, {member})] = 0.0;"
    if kind == "enum":
        enum, _, enumerator = name.partition(".")
        # Its type has to be there, too: what is one in one version is a macro in another.
        return f"char (*a{number})[{BIAS} + (long){enumerator} + 0 * sizeof(enum {enum})] = 0.0;"
    return f"double a{number} = &{'trace_' if kind == 'tracepoint' else ''}{name};"


def _compile(text: str, flags: list[str], folder: str) -> str:
    """What clang says of a C text."""
    asked = {"text": text, "flags": flags, "folder": folder, "variable": VARIABLE}
    try:
        done = subprocess.run(
            [collector_python(), "-c", COMPILE],
            cwd="/",
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, SourceError, subprocess.TimeoutExpired) as error:
        raise HeadersError(f"its headers cannot be read: {error}") from None
    return done.stderr.decode(errors="replace")


def answers_in(said: str, asked: list[str], first_line: int) -> Answers:
    """The answers in what clang said of the lines that ask, of which the first is `first_line`.

    Raises:
        HeadersError: it said something of other lines, or nothing of one of these.
    """
    messages: list[list[str]] = [[] for _ in asked]
    for line in said.splitlines():
        error = ERROR.fullmatch(line)
        if not error:
            continue
        number = int(error[2]) - first_line
        if error[1] != MAIN or number not in range(len(asked)):
            raise HeadersError(f"bcc's compiler does not understand its headers: {line}")
        messages[number].append(error[3])
    if not all(messages):
        last = (said.splitlines() or ["nothing was said"])[-1]
        raise HeadersError(f"its headers cannot be read: {last}")
    return {
        question: _answer(question, texts[0]) if len(texts) == 1 else None
        for question, texts in zip(asked, messages)
    }


def _answer(question: str, message: str) -> Answer:
    number = NUMBER.search(message)
    if number:
        return int(number[1]) - (BIAS if question.startswith("enum ") else 0)
    prototype = PROTOTYPE.search(message)
    if not prototype or "(" in prototype[1]:
        return None
    arguments = QUALIFIERS.sub("", prototype[1])
    return [_as_gcc(name) for name in arguments.split(", ") if name not in ("", "void")]


def _as_gcc(name: str) -> str:
    base = name.rstrip("* ")
    return GCC_NAMES.get(base, base) + name[len(base) :]


def _file_name(headers: Headers, asked: list[str]) -> str:
    uname = os.uname()
    known = [uname.release, uname.version, uname.machine, headers.identity, *FLAGS, *DECLARED]
    digest = hashlib.sha256(json.dumps([known, asked]).encode())
    return f"headers-{digest.hexdigest()}"


def _encode(answers: Answers) -> bytes:
    """As a file: SHA-256 of the rest, JSON."""
    text = json.dumps(answers).encode()
    return hashlib.sha256(text).digest() + text


def _decode(data: bytes) -> Answers | None:
    digest, text = data[:32], data[32:]
    if hashlib.sha256(text).digest() != digest:
        return None
    answers: Answers = json.loads(text)
    return answers
