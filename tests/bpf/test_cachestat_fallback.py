"""The ways in which kernels before 6.12 are watched, beside the best one that this kernel has."""

from __future__ import annotations

import mmap
import os
import random
import tempfile
from functools import partial
from pathlib import Path

import pytest

from ebpftop.collector.btf import WITHOUT
from tests.bpf.page_loads import (
    FIGURES,
    MIB,
    PAGE,
    PAGES,
    Mapped,
    Watch,
    forget,
    of_cached,
    opened,
    pread,
    read,
    write,
)

pytestmark = pytest.mark.bpf

TRACEPOINTS = "raw_tp:mm_filemap_get_pages,raw_tp:mm_filemap_fault,raw_tp:mm_filemap_map_pages"
FENTRIES = ",".join(
    f"fentry:{function}"
    for function in (
        "filemap_read",
        "generic_file_buffered_read",
        "filemap_fault",
        "filemap_map_pages",
    )
)
HIDDEN = {"fentry": TRACEPOINTS, "kprobe": f"{TRACEPOINTS},{FENTRIES}"}


@pytest.fixture(scope="module", params=HIDDEN)
def watches(request, collect_for_all):
    """The best way and another one, at the same time."""
    best = collect_for_all("cachestat", interval_s=0.3)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(WITHOUT, HIDDEN[request.param])
        other = collect_for_all("cachestat", interval_s=0.3)
    used = other.statuses("cachestat")[-1].hooks
    if used == best.statuses("cachestat")[-1].hooks:
        pytest.skip("the best that this kernel has")
    assert any(hook.startswith(f"{request.param}:") for hook in used)
    return Watch(best), Watch(other)


@pytest.fixture
def count(watches):
    """`count(load)` runs a load; the figures of both, which must agree.

    None where something was lost because the kernel left out programs, which is counted: since 7.0
    a thread may lose its CPU while it reads a map, and meanwhile no kprobe's program runs there.
    Here two collectors read.
    """

    def run(load):
        for watch in watches:
            watch.begin()
        load()
        best, other = (watch.figures() for watch in watches)
        spoilt = [watch.spoilt() for watch in watches]
        if any(spoilt):
            return None
        # Python's own memory may be mapped when one of them has begun and the other has not.
        assert other.pop("faults") == pytest.approx(best.pop("faults"), abs=3)
        assert other == best
        return other

    yield run
    assert [watch.lost() for watch in watches] == [set(), set()]


@pytest.fixture(scope="module")
def file():
    with tempfile.TemporaryDirectory(prefix="ebpftop-") as folder:
        path = Path(folder) / "64m"
        path.write_bytes(os.urandom(64 * MIB))
        yield path


def expected(**figures):
    return {**dict.fromkeys(set(FIGURES) - {"faults"}, 0), **figures}


def test_what_is_not_seen_is_said(watches):
    status = watches[1].session.statuses("cachestat")[-1]
    if any(hook.startswith("kretprobe:") for hook in status.hooks):
        assert status.state == "degraded"
        assert "not seen" in status.reason
    else:
        assert (status.state, status.reason) == ("running", "")


@pytest.mark.parametrize("size", [4096, 128 * 1024, 64 * MIB])
def test_a_file_read_twice(count, file, size):
    cold = of_cached(count, partial(forget, file), partial(read, file, size), misses=PAGES)
    assert cold == expected(misses=PAGES, added=PAGES)
    warm = of_cached(count, partial(read, file, MIB), partial(read, file, size))
    assert warm == expected(hits=PAGES)


def test_random_pages_read_twice(count, file):
    places = [(page * PAGE, PAGE) for page in range(0, PAGES, 16)][:1000]
    random.Random(5).shuffle(places)
    load = partial(pread, file, places, os.POSIX_FADV_RANDOM)
    cold = of_cached(count, partial(forget, file), load, misses=1000)
    assert cold == expected(misses=1000, added=1000)
    assert of_cached(count, load, load) == expected(hits=1000)


def test_half_of_a_file_cached(count, file):
    def prepare():
        forget(file)
        pread(file, [(page * PAGE, PAGE) for page in range(PAGES // 2)], os.POSIX_FADV_RANDOM)

    half = PAGES // 2
    figures = of_cached(count, prepare, partial(read, file, MIB), misses=half)
    assert figures == expected(hits=half, misses=half, added=half)


@pytest.mark.parametrize("start", [0, 100])
def test_sendfile(count, file, start):
    def send():
        with opened(file) as source, opened("/dev/null", os.O_WRONLY) as sink:
            os.sendfile(sink.fileno(), source.fileno(), start, 64 * MIB)

    figures = of_cached(count, partial(read, file, MIB), send)
    # From 100 on, what is asked for goes beyond the end: there 5.10 adds a page to find none.
    behind = min(figures["added"], 1 if start else 0)
    assert figures == expected(hits=PAGES, added=behind)


def test_writing_and_reading_it_back(count, file):
    path = file.with_name("written")

    def write_and_read():
        write(path, MIB, 16)
        read(path, MIB)

    pages = 16 * MIB // PAGE
    figures = of_cached(count, partial(path.unlink, missing_ok=True), write_and_read)
    assert figures == expected(hits=pages, dirtied=pages, added=pages)


def test_page_faults_that_wait_for_the_disk(count, file):
    load = Mapped(file, 37 * PAGE, mmap.MADV_RANDOM)
    touched = -(-PAGES // 37)
    figures = of_cached(count, partial(forget, file), load, misses=touched)
    assert figures == expected(major_faults=touched, added=touched)
