"""The recording that comes with ebpftop: whole, small, and a story that can be found in it."""

import math
import re
import statistics
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest

from ebpftop.commands.demo import RECORDING
from ebpftop.model import Process, Sample
from ebpftop.recording.container import zstd
from ebpftop.recording.reader import Recording

PROBES = ("biotop", "tcptop", "offcputime", "runqlen", "cachestat", "syscount")
SECRETS = (b"/work/", b"/tmp/", b"process_api", b"sandbox", b"python", b'"host":"vm"')
REPLAY = """
import sys
from ebpftop.recording.container import zstd
from ebpftop.recording.reader import Recording
tape = Recording(sys.argv[1])
assert sum(1 for _ in tape.records(tape.overview.first, tape.overview.end)) > 1000
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@cache
def tape():
    return Recording(str(RECORDING))


@cache
def records():
    return list(tape().records(tape().overview.first, tape().overview.end))


@cache
def rows(probe, table):
    """All rows of a table, as dictionaries."""
    names = [column.name for column in tape().hello.probe(probe).table(table).columns]
    found = (record for record in records() if isinstance(record, Sample))
    return [
        dict(zip(names, row))
        for sample in found
        if sample.probe == probe
        for row in sample.tables[table]
    ]


def processes():
    return [record for record in records() if isinstance(record, Process)]


def seconds_of(tick):
    return (tape().overview.mono(tick) - tape().overview.mono(0)) / 1e9


def test_it_is_small_enough_to_ship():
    assert RECORDING.stat().st_size <= 2_000_000


def test_it_holds_four_minutes_without_gaps():
    assert 180 <= seconds_of(tape().overview.end - 1) <= 300
    assert not [mark for mark in tape().overview.marks if mark.kind not in ("start", "failed")]


def test_no_probe_failed_in_it():
    assert not [mark for mark in tape().overview.marks if mark.kind == "failed"]


@pytest.mark.parametrize("probe", PROBES)
def test_every_probe_was_read_in_nearly_every_tick(probe):
    loads = tape().overview.loads[probe]
    assert sum(not math.isnan(load) for load in loads) >= 0.98 * len(loads)


def test_it_has_connections_of_both_families():
    assert {row["family"] for row in rows("tcptop", "connections")} >= {"v4", "v6"}


def test_it_has_calls_that_fail_for_want_of_a_file_and_of_a_right():
    assert {row["errno"] for row in rows("syscount", "errors")} >= {"ENOENT", "EACCES"}


def test_it_has_hits_and_misses_of_the_page_cache():
    access = rows("cachestat", "access")
    assert sum(row["hits"] for row in access) > sum(row["misses"] for row in access) > 100_000


def test_its_processes_are_in_containers_and_units():
    assert {process.container for process in processes()} >= {"web-1", "db-1", "cache-1", "etl-1"}
    assert {process.unit for process in processes()} >= {"backup.service", "loadgen.service"}


def test_a_process_has_the_paths_of_a_host_of_its_own():
    found = {process.cgroup_path for process in processes() if process.comm == "backup"}
    assert found == {"/system.slice/backup.service"}
    (path,) = {process.cgroup_path for process in processes() if process.comm == "app"}
    assert re.fullmatch("/system.slice/docker-[0-9a-f]{64}.scope", path)


def test_runnable_threads_wait_for_a_cpu_in_it():
    assert any(row["length"] > 0 and row["hits"] for row in rows("runqlen", "queues"))


def test_threads_wait_for_a_lock_below_a_function_that_names_it():
    stacks = {row["stack"] for row in rows("offcputime", "stacks") if row["stack"]}
    assert any("lock_stock" in stack and "futex_wait" in stack for stack in stacks)


def test_block_io_has_a_spike_at_least_three_times_the_median():
    loads = tape().overview.loads["biotop"]
    assert max(loads) >= 3 * statistics.median(loads)


def incident():
    """First and last tick of the backup's I/O."""
    loads = tape().overview.loads["biotop"]
    high = [tick for tick, load in enumerate(loads) if load >= max(loads) / 2]
    return high[0], high[-1]


def of_ticks(probe, table, first, last):
    names = [column.name for column in tape().hello.probe(probe).table(table).columns]
    for record in tape().records(first, last):
        if isinstance(record, Sample) and record.probe == probe:
            yield from (dict(zip(names, row)) for row in record.tables[table])


def read_ns(comm, first, last):
    """How long a process's reads from the disk took on average."""
    pids = {process.pid for process in processes() if process.comm == comm}
    own = [
        row
        for row in of_ticks("biotop", "io", first, last)
        if row["pid"] in pids and row["op"] == "read"
    ]
    return sum(row["lat_ns"] for row in own) / sum(row["ios"] for row in own)


def lock_ns(first, last):
    """How long threads waited for the lock, by second."""
    waits = of_ticks("offcputime", "stacks", first, last)
    locks = (row for row in waits if row["stack"] and "lock_stock" in row["stack"])
    return sum(row["blocked_ns"] for row in locks) / (last - first + 1)


def test_the_spike_is_the_backup():
    first, last = incident()
    moved: Counter[int] = Counter()
    for row in of_ticks("biotop", "io", first, last):
        moved[row["pid"]] += row["bytes"]
    (backup,) = {process.pid for process in processes() if process.comm == "backup"}
    assert moved.most_common(1)[0][0] == backup


def test_reads_of_the_database_take_longer_in_the_incident():
    first, last = incident()
    assert read_ns("postgres", first, last) > 3 * read_ns("postgres", first - 30, first - 5)


def test_the_application_waits_longer_for_its_lock_in_the_incident():
    first, last = incident()
    assert lock_ns(first, last) > 1.5 * lock_ns(first - 30, first - 5)


def test_the_shop_answers_less_in_the_incident():
    first, last = incident()
    loads = tape().overview.loads["tcptop"]
    assert statistics.median(loads[first:last]) < 0.7 * statistics.median(loads[first - 30 : first])


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_in_it_tells_where_it_was_made(secret):
    assert secret not in plain()


@cache
def plain():
    """All of its bytes, decompressed frame by frame."""
    return zstd.decompress(RECORDING.read_bytes())


def test_reading_it_needs_neither_bpf_nor_a_screen():
    ran = subprocess.run(
        [sys.executable, "-c", REPLAY, RECORDING], capture_output=True, text=True, check=True
    )
    assert not {"bcc", "textual", "rich", "psutil"}.intersection(ran.stdout.split())
