"""Page cache: loads of known pages, on the file system of the temporary directory."""

from __future__ import annotations

import mmap
import os
import random
import tempfile
import threading
from pathlib import Path

import pytest

from tests.bpf.page_loads import (
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


@pytest.fixture(scope="module")
def cachestat(collect_for_all):
    return collect_for_all("cachestat", interval_s=0.1)


@pytest.fixture
def count(cachestat):
    """`count(load)` runs a load and gives the figures of this process meanwhile."""
    watch = Watch(cachestat)

    def run(load):
        watch.begin()
        load()
        return watch.figures()

    yield run
    assert not watch.lost()


@pytest.fixture(scope="module")
def directory():
    with tempfile.TemporaryDirectory(prefix="ebpftop-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def file(directory):
    path = directory / "64m"
    path.write_bytes(os.urandom(64 * MIB))
    return path


@pytest.fixture(scope="module")
def small_files(directory):
    paths = [directory / f"small-{number}" for number in range(100)]
    for path in paths:
        path.write_text("ten bytes\n")
    return paths


def hits_and_misses(figures):
    return figures["hits"], figures["misses"]


SIZES = pytest.mark.parametrize("size", [PAGE, 128 * 1024, MIB, 64 * MIB])


@SIZES
def test_a_file_read_for_the_first_time_is_all_misses(count, file, size):
    forget(file)
    figures = count(lambda: read(file, size))
    assert hits_and_misses(figures) == (0, PAGES)
    assert figures["added"] == PAGES


@SIZES
def test_and_for_the_second_time_all_hits(count, file, size):
    figures = of_cached(count, lambda: read(file, MIB), lambda: read(file, size))
    assert hits_and_misses(figures) == (PAGES, 0)
    assert figures["added"] == 0


@pytest.mark.parametrize("hint", [os.POSIX_FADV_RANDOM, os.POSIX_FADV_NORMAL])
def test_a_thousand_random_reads_miss_once_and_hit_once(count, file, hint):
    # Pages far enough apart that reading ahead for one does not bring in another.
    places = [(page * PAGE, PAGE) for page in range(0, PAGES, PAGES // 1000)][:1000]
    random.Random(5).shuffle(places)
    forget(file)
    assert hits_and_misses(count(lambda: pread(file, places, hint))) == (0, 1000)
    again = of_cached(count, lambda: pread(file, places, hint), lambda: pread(file, places, hint))
    assert hits_and_misses(again) == (1000, 0)


def test_a_hundred_small_files_miss_once_and_hit_once(count, small_files):
    forget(*small_files)

    def read_all():
        for path in small_files:
            read(path, 128 * 1024)

    assert hits_and_misses(count(read_all)) == (0, 100)
    assert hits_and_misses(of_cached(count, read_all, read_all)) == (100, 0)


def test_reads_that_overlap_count_a_page_each_time(count, file):
    places = [(0, MIB), (MIB // 2, MIB // 2)]
    figures = of_cached(count, lambda: read(file, MIB), lambda: pread(file, places))
    assert hits_and_misses(figures) == (MIB * 3 // 2 // PAGE, 0)


def test_reads_of_part_of_a_page_count_the_page(count, file):
    places = [(100, 10), (PAGE - 5, 10)]
    figures = of_cached(count, lambda: read(file, MIB), lambda: pread(file, places))
    assert hits_and_misses(figures) == (3, 0)


@pytest.mark.parametrize("size", [128 * 1024, 64 * MIB])
@pytest.mark.parametrize(
    "cached",
    [range(0, PAGES, 100), range(PAGES // 2), range(PAGES - 1, PAGES)],
    ids=["every 100th", "first half", "last page"],
)
def test_what_is_partly_cached_is_partly_hits(count, file, cached, size):
    def prepare():
        forget(file)
        pread(file, [(page * PAGE, PAGE) for page in cached], os.POSIX_FADV_RANDOM)

    misses = PAGES - len(cached)
    figures = of_cached(count, prepare, lambda: read(file, size), misses)
    assert figures["misses"] == misses
    # Reads that wait for a page come back without an event now and then; where such a read began
    # is inferred, and a few hits beside its misses may not be seen.
    assert len(cached) - PAGES * 0.002 <= figures["hits"] <= len(cached)


def test_the_end_of_a_file_is_no_page(count, directory):
    path = directory / "whole pages"
    write(path, PAGE, 4)
    assert hits_and_misses(count(lambda: pread(path, [(4 * PAGE, PAGE)] * 3))) == (0, 0)


def test_a_cold_read_of_parts_of_two_pages_counts_both(count, file):
    places = [(page * PAGE + 100, PAGE) for page in range(0, PAGES, 32)]
    forget(file)
    figures = count(lambda: pread(file, places, os.POSIX_FADV_RANDOM))
    assert hits_and_misses(figures) == (0, 2 * len(places))


@pytest.mark.parametrize("start", [0, 100])
def test_sendfile_counts_each_page_once(count, file, start):
    def send():
        with opened(file) as source, opened("/dev/null", os.O_WRONLY) as sink:
            os.sendfile(sink.fileno(), source.fileno(), start, 64 * MIB)

    figures = of_cached(count, lambda: read(file, MIB), send)
    assert hits_and_misses(figures) == (PAGES, 0)


def test_two_threads_of_a_process_add_up(count, file):
    forget(file)
    half = 32 * MIB
    threads = [
        threading.Thread(
            target=pread,
            args=(file, [(start + at, MIB) for at in range(0, half, MIB)], os.POSIX_FADV_RANDOM),
        )
        for start in (0, half)
    ]

    def run():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert hits_and_misses(count(run)) == (0, PAGES)


@pytest.mark.parametrize(("size", "times"), [(MIB, 64), (PAGE, 2000)])
def test_new_pages_are_dirtied_and_neither_hit_nor_missed(count, directory, size, times):
    figures = count(lambda: write(directory / "new", size, times))
    assert figures["dirtied"] == size * times // PAGE
    assert hits_and_misses(figures) == (0, 0)


def test_what_was_just_written_is_read_as_hits(count, directory):
    path = directory / "written"

    def write_and_read():
        write(path, MIB, 16)
        read(path, MIB)

    figures = count(write_and_read)
    assert figures["dirtied"] == figures["hits"] == 16 * MIB // PAGE
    assert figures["misses"] == 0


def test_copying_a_file_misses_what_it_reads_and_dirties_what_it_writes(count, file, directory):
    forget(file)

    def copy():
        with opened(file) as source, opened(directory / "copy", os.O_WRONLY | os.O_CREAT) as sink:
            for _ in range(512):
                os.write(sink.fileno(), os.read(source.fileno(), 128 * 1024))

    figures = count(copy)
    assert hits_and_misses(figures) == (0, PAGES)
    assert figures["dirtied"] == PAGES
    assert figures["added"] == 2 * PAGES


def test_faults_that_wait_for_the_disk_are_major(count, file):
    forget(file)
    load = Mapped(file, 37 * PAGE, mmap.MADV_RANDOM)
    figures = count(load)
    touched = -(-PAGES // 37)
    assert figures["major_faults"] == touched == load.major
    assert figures["faults"] == touched  # although the kernel tries each of them twice
    assert figures["added"] == touched
    assert hits_and_misses(figures) == (0, 0)


def test_a_fault_counts_once_though_it_maps_many_pages(count, directory):
    path = directory / "mapped"  # too short for a huge page, whose fault nobody sees
    write(path, MIB, 1)
    load = Mapped(path, PAGE)
    figures = count(load)
    assert 1 <= figures["faults"] < MIB // PAGE
    # The kernel's count has the faults on Python's own memory in it, if there were any.
    assert load.faults - 3 <= figures["faults"] <= load.faults + 3
    assert figures["major_faults"] == 0


def test_metadata_is_apart(cachestat):
    cachestat.settle("cachestat")
    since = len(cachestat.samples("cachestat"))
    with tempfile.TemporaryDirectory(prefix="ebpftop-") as name:
        for number in range(200):
            (Path(name) / str(number)).touch()
        os.sync()
    cachestat.settle("cachestat")
    rows = cachestat.rows("cachestat", "access", since)
    assert sum(row["metadata_dirtied"] for row in rows) > 0
    mine = [row for row in rows if row["pid"] == os.getpid()]
    assert sum(row["dirtied"] for row in mine) == 0
