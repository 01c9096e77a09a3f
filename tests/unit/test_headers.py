"""What headers tell of a kernel's types: made-up headers, read by BCC's own compiler."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from ebpftop import registry
from ebpftop.collector import header_files, headers
from ebpftop.collector.btf import Btf
from ebpftop.collector.cache import Cache
from ebpftop.collector.header_files import DECLARED, LOCAL, Headers, HeadersError
from ebpftop.collector.headers import HeaderTypes, answers_in, ask_compiler, questions
from ebpftop.sources.base import SourceError
from ebpftop.sources.interpreter import collector_python

RELEASE = "6.1.0-9-amd64"
# Those that are tried without BTF. Another runs there if what it reads is in `DECLARED`, too.
PROBES = ("biotop", "tcptop", "offcputime", "runqlen", "cachestat", "syscount")
SCHED = """
#include <generated/autoconf.h>
struct tag { long before; };
typedef struct { char pad[3]; short lock; } class_made_t;
struct task_struct {
  char comm[16];
  struct tag;
  union { int tgid; long wide; };
  struct { char first, second; } inner;
#ifdef CONFIG_SMP
  long cpu;
#endif
  unsigned flag : 3;
};
struct rq;
enum mood { BAD = -1, GOOD = 7 };
#define AS_A_MACRO 5
typedef _Bool bool;
typedef unsigned long size_t;
extern long reads(const struct rq *queue, size_t size, unsigned long long *const position);
extern void calls(int (*back)(void *, int), int number);
extern void nothing(void);
"""
EVENTS = """
static inline void trace_made(bool preempt, struct task_struct *prev, long nr) {}
TRACE_EVENT(made, prototype);
DEFINE_EVENT(class, made_too, prototype);
"""
ASKED = {
    "offset task_struct.comm": 0,
    "offset task_struct.before": 16,
    "offset task_struct.tgid": 24,
    "offset task_struct.inner.second": 33,
    "offset task_struct.cpu": 40,
    "offset task_struct.flag": None,
    "offset task_struct.gone": None,
    "offset rq.nr_running": None,
    "offset nowhere.nothing": None,
    "offset class_made_t.lock": 4,
    "enum mood.BAD": -1,
    "enum mood.GOOD": 7,
    "enum gone.GOOD": None,
    "enum mood.AS_GONE": None,
    "enum gone.AS_A_MACRO": None,
    "function reads": ["struct rq *", "size_t", "long long unsigned int *"],
    "function nothing": [],
    "function calls": None,
    "function call": None,
    "tracepoint made": ["bool", "struct task_struct *", "long int"],
    "tracepoint made_up": None,
}


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"include/{name.replace('__', '/')}.h"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def kernel(tmp_path):
    """The headers of a kernel, in the two folders in which Debian has them."""
    modules = tmp_path / "lib/modules" / RELEASE
    source, build = modules / "source", modules / "build"
    events = "#define TRACE_EVENT(...)\n#define DEFINE_EVENT(...)\n" + EVENTS
    _write(source, linux__kconfig="", linux__compiler_types="", linux__sched=SCHED)
    _write(source, trace__events__made=events)
    _write(build, generated__autoconf="#define CONFIG_SMP 1\n")
    _write(build, generated__utsrelease=f'#define UTS_RELEASE "{RELEASE}"\n')
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def _no_other_headers():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(header_files.VARIABLE, raising=False)
        yield


@pytest.fixture(scope="module")
def compiler():
    """The compiler that is in bcc."""
    try:
        return collector_python()
    except SourceError as error:
        pytest.skip(str(error))


# The questions


def test_every_question_is_answered_by_one_compile(compiler, kernel):
    assert ask_compiler(header_files.find(RELEASE, kernel), list(ASKED)) == ASKED


def test_an_archive_tells_what_folders_tell(compiler, kernel, tmp_path):
    found = header_files.find(RELEASE, kernel)
    path = tmp_path / "sys/kernel/kheaders.tar.xz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as archive:
        for part in (found.source, found.build):
            archive.add(part, ".")
    for folder in ("build", "source"):
        (kernel / "lib/modules" / RELEASE / folder).rename(tmp_path / folder)
    packed = header_files.find(RELEASE, kernel)
    assert packed == Headers(path, path)
    assert ask_compiler(packed, list(ASKED)) == ASKED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#error too new", "too new"),
        ("struct a { struct never b; };", "incomplete type"),
        ("struct a { int; };", "does not declare anything"),
        ("#include <linux/gone.h>", "file not found"),
    ],
)
def test_nothing_is_believed_of_headers_that_the_compiler_does_not_understand(
    compiler, kernel, text, message
):
    found = header_files.find(RELEASE, kernel)
    _write(found.source, linux__fs=text)
    with pytest.raises(HeadersError, match=message):
        ask_compiler(found, ["offset task_struct.comm"])


def test_bcc_s_own_list_of_helpers_is_not_taken_for_the_kernel_s(compiler, kernel):
    found = header_files.find(RELEASE, kernel)
    text = "#ifndef _UAPI__LINUX_BPF_H__\nenum bpf_func_id { BPF_FUNC_unspec, BPF_FUNC_old };\n"
    _write(found.source, uapi__linux__bpf=f"{text}#endif\n")
    asked = {"enum bpf_func_id.BPF_FUNC_old": 1, "enum bpf_func_id.BPF_FUNC_ktime_get_ns": None}
    assert ask_compiler(found, list(asked)) == asked


def test_a_compiler_that_ends_early_has_not_answered():
    said = "/virtual/main.c:2:7: error: initializing 'char (*)[8]' with an expression of …\nKilled"
    with pytest.raises(HeadersError, match="Killed"):
        answers_in(said, ["offset a.b", "offset a.c"], 2)


def test_all_that_the_probes_ask_is_asked_at_once():
    rounds = []

    def ask(asked):
        rounds.append(asked)
        return dict.fromkeys(asked)

    types = HeaderTypes(ask, registry.probes().values())
    assert len(rounds) == 1
    for probe in registry.probes().values():
        for question in questions([probe]):
            kind, name = question.split()
            assert getattr(types, {"enum": "enumerator"}.get(kind, kind))(name) is None
    assert len(rounds) == 1
    assert types.offset("else.where") is None
    assert rounds[1:] == [["offset else.where"]]


def test_what_needs_btf_itself_is_not_there_without():
    types = HeaderTypes(lambda asked: dict.fromkeys(asked, 1), ())
    assert types.enumerator("bpf_func_id.BPF_FUNC_get_current_task_btf") is None
    assert types.enumerator("bpf_func_id.BPF_FUNC_kptr_xchg") == 1
    assert (types.function_id("vfs_fsync"), types.tracepoint_id("sched_switch")) == (0, 0)
    assert not types.complete


@pytest.mark.parametrize("name", PROBES)
def test_some_header_is_known_for_every_name_that_a_probe_has(name):
    declared = {name for names in DECLARED.values() for name in names.split()}
    for question in questions([registry.probes()[name]]):
        kind, name = question.split()
        owner = name.split(".")[0]
        if kind != "tracepoint" and not owner.startswith(headers.RECORD):
            assert owner in declared | LOCAL, question


# Where they are


def test_headers_are_found_in_two_folders_or_in_one(kernel):
    modules = kernel / "lib/modules" / RELEASE
    assert header_files.find(RELEASE, kernel) == Headers(modules / "build", modules / "source")
    _write(modules / "build", linux__sched=SCHED)
    assert header_files.find(RELEASE, kernel) == Headers(modules / "build", modules / "build")


def test_the_folder_that_bcc_is_told_of_comes_first(kernel, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    _write(mine, linux__sched=SCHED, generated__autoconf="")
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(mine))
    assert header_files.find(RELEASE, kernel) == Headers(mine, mine)


def test_headers_of_another_kernel_are_refused(kernel):
    build = kernel / "lib/modules" / RELEASE / "build"
    _write(build, generated__utsrelease='#define UTS_RELEASE "6.1.0-8-amd64"\n')
    with pytest.raises(HeadersError, match=r"are those of 6\.1\.0-8-amd64"):
        header_files.find(RELEASE, kernel)


@pytest.mark.parametrize("option", ["GCC_PLUGIN_RANDSTRUCT", "RANDSTRUCT"])
def test_a_kernel_whose_members_are_shuffled_is_refused(kernel, option):
    build = kernel / "lib/modules" / RELEASE / "build"
    _write(build, generated__autoconf=f"#define CONFIG_A 1\n#define CONFIG_{option} 1\n")
    with pytest.raises(HeadersError, match="RANDSTRUCT"):
        header_files.find(RELEASE, kernel)
    _write(build, generated__autoconf="#define CONFIG_RANDSTRUCT_NONE 1\n")
    header_files.find(RELEASE, kernel)


def test_without_headers_the_command_is_told_that_brings_them(tmp_path):
    with pytest.raises(HeadersError, match="not installed"):
        header_files.find(RELEASE, tmp_path)
    debian = header_files.command(RELEASE, ("debian",), tmp_path)
    assert debian == f"apt install linux-headers-{RELEASE}"
    alpine = header_files.command("6.6.31-0-lts", ("alpine",), tmp_path)
    assert alpine == "apk add linux-lts-dev"
    assert header_files.command(RELEASE, ("nixos",), tmp_path) == ""
    module = tmp_path / "lib/modules" / RELEASE / "kernel/kernel/kheaders.ko.xz"
    module.parent.mkdir(parents=True)
    module.touch()
    assert header_files.command(RELEASE, ("debian",), tmp_path) == "modprobe kheaders"


# What is kept


@pytest.fixture
def asked(kernel, tmp_path, monkeypatch):
    """The running kernel's headers are those made up; what the compiler was asked."""
    found = header_files.find(RELEASE, kernel)
    rounds: list[list[str]] = []

    def answer(_, asked):
        rounds.append(asked)
        return {question: len(question) for question in asked}

    monkeypatch.setenv("EBPFTOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(header_files, "find", lambda release: found)
    monkeypatch.setattr(headers, "ask_compiler", answer)
    return rounds


def test_answers_are_kept_until_the_headers_change(asked, kernel):
    first = headers.running(Cache())
    second = headers.running(Cache())
    assert len(asked) == 1
    path = "task_struct.comm"
    assert first.offset(path) == second.offset(path) == len(f"offset {path}")
    _write(kernel / "lib/modules" / RELEASE / "build", generated__autoconf="#define CONFIG_B 1\n")
    headers.running(Cache())
    assert len(asked) == 2


def test_answers_that_were_damaged_are_asked_for_again(asked, tmp_path):
    headers.running(Cache())
    (kept,) = (tmp_path / "cache").iterdir()
    data = kept.read_bytes()
    kept.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    headers.running(Cache())
    assert len(asked) == 2


def test_types_have_one_name_whichever_compiler_the_kernel_was_built_with():
    class Clang(Btf):
        def __init__(self):
            pass

        def _head(self, type_id):
            return 0, 1, 0

        def _text(self, offset):
            return "unsigned long"

    assert Clang().spell(1) == "long unsigned int"
