"""A kernel without BTF: its headers tell its types, and what each probe counts is as exact.

BTF is hidden. The headers of the running kernel are needed: `run_in_kernel --headers` has them, and
where they are not installed all this is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from ebpftop.collector import header_files, headers
from ebpftop.collector.btf import HIDDEN, WITHOUT, Btf
from ebpftop.collector.cache import Cache
from ebpftop.collector.header_files import LOCAL, HeadersError
from tests.bpf import test_biotop, test_cachestat, test_offcputime, test_syscount, test_tcptop
from tests.bpf.conftest import PYTHON, ROOT
from tests.bpf.page_loads import MIB, Watch

pytestmark = pytest.mark.bpf

# Their fixtures, by the names under which they ask for each other.
on_disk = test_biotop.file
directory, file = test_cachestat.directory, test_cachestat.file
spawn, worker = test_offcputime.spawn, test_offcputime.worker


@pytest.fixture(scope="module", autouse=True)
def types():
    """What the headers tell: a minute where all is emulated, and kept from then on."""
    if os.geteuid() != 0:
        pytest.skip("needs root to load BPF programs")
    try:
        header_files.find(os.uname().release)
    except HeadersError as error:
        pytest.skip(f"this kernel: {error}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WITHOUT, HIDDEN)
        yield headers.running(Cache())


def told(btf, question):
    kind, name = question.split()
    return getattr(btf, {"enum": "enumerator"}.get(kind, kind))(name)


def said(*command: str):
    """What a command of ebpftop says as JSON, in the collector's Python and this one's cache."""
    done = subprocess.run(
        [PYTHON, "-m", "ebpftop", *command, "--json"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return json.loads(done.stdout)


def test_the_headers_tell_of_the_running_kernel_what_its_btf_tells(types, monkeypatch):
    monkeypatch.delenv(WITHOUT)
    btf = Btf()
    answers = {q: a for q, a in types.answers.items() if q.split()[1].split(".")[0] not in LOCAL}
    assert len(answers) > 100
    assert answers == {question: told(btf, question) for question in answers}


def test_probes_do_without_what_btf_alone_gives_and_say_so():
    found = {probe["probe"]: probe for probe in said("probes")}
    states = {name: probe["state"] for name, probe in found.items()}
    assert {name for name in states if states[name] == "unavailable"} == {"runqlen"}
    assert "no cfs_rq.rq" in found["runqlen"]["reason"]
    assert "CONFIG_DEBUG_INFO_BTF" in found["runqlen"]["hint"]
    assert not [hook for probe in found.values() for hook in probe["hooks"] if "entry:" in hook]


def test_the_doctor_names_the_headers_and_goes_on():
    report = said("doctor")
    assert report["headers"] == f"/lib/modules/{os.uname().release}/build"
    (problem,) = (p for p in report["problems"] if report["headers"] in p["why"])
    assert (problem["level"], "BTF" in problem["what"]) == ("warning", True)
    assert len(report["able"]) == len(report["probes"]) - 1


def test_disk_io_equals_diskstats(collect, on_disk):
    load = "direct 64k writes"
    session = collect("biotop")
    test_biotop.test_ios_and_bytes_equal_diskstats(session=session, file=on_disk, load=load)


def test_bytes_of_tcp_are_exact(collect):
    session = collect("tcptop")
    test_tcptop.test_bytes_are_exact(tcptop=session, family="v4", load="sendall to recv")


def test_pages_read_are_misses_and_then_hits(collect, file):
    watch = Watch(collect("cachestat", interval_s=0.1))

    def count(load):
        watch.begin()
        load()
        return watch.figures()

    test_cachestat.test_a_file_read_for_the_first_time_is_all_misses(count, file, size=MIB)
    test_cachestat.test_and_for_the_second_time_all_hits(count, file, size=MIB)
    assert not watch.lost()


def test_system_calls_and_errors_are_exact(collect):
    session = collect("syscount")
    test_syscount.test_calls_and_errors_of_four_threads_are_exact(session=session)


def test_sleeps_are_blocked_time(collect, worker):
    session = collect("offcputime", interval_s=0.3)
    test_offcputime.test_sleeps_are_blocked_time(session=session, worker=worker)
