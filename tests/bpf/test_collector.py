"""The collector as a process: commands, endings, failures that stay where they are."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ebpftop.collector import bpf
from ebpftop.model import Bye, Sample
from tests.bpf.conftest import PATIENCE_S, PYTHON, ROOT

pytestmark = pytest.mark.bpf

PROG_GET_NEXT_ID = 11


def loaded_programs() -> set[int]:
    """Ids of all BPF programs in the kernel."""
    ids, attr = set(), (ctypes.c_uint32 * 3)(0)
    while bpf.call(PROG_GET_NEXT_ID, attr)[0] == 0:
        ids.add(int(attr[1]))
        attr[0] = attr[1]
    return ids


def wait_until(condition) -> None:
    """For what no record tells: the kernel frees programs when it gets to it."""
    for _ in range(PATIENCE_S * 50):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def collector(*arguments, **options) -> subprocess.CompletedProcess[str]:
    """Run a collector to its end."""
    return subprocess.run(
        [PYTHON, "-m", "ebpftop.collector", *arguments],
        cwd=options.pop("cwd", ROOT),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        **options,
    )


def statuses(output: str, probe: str) -> list[dict[str, str]]:
    records = map(json.loads, output.splitlines())
    return [r for r in records if r["t"] == "status" and r["probe"] == probe]


def test_input_closing_ends_it_in_good_order(collect):
    session = collect("biotop")
    session.close()
    assert session.process.returncode == 0
    assert isinstance(session.records[-1], Bye)


def test_nothing_stays_in_the_kernel_after_kill_9(collect):
    before = loaded_programs()
    session = collect("biotop")
    assert loaded_programs() - before
    session.process.send_signal(signal.SIGKILL)
    session.process.wait(PATIENCE_S)
    wait_until(lambda: not loaded_programs() - before)


def test_a_stopped_probe_is_detached_and_can_be_started_again(collect):
    before = loaded_programs()
    session = collect("biotop")
    session.send('{"verb":"stop","probe":"biotop"}')
    session.wait_for(lambda: session.statuses("biotop")[-1].state == "idle")
    wait_until(lambda: not loaded_programs() - before)
    session.send('{"verb":"start","probe":"biotop"}')
    session.wait_for(lambda: session.statuses("biotop")[-1].state == "running")
    session.settle("biotop")


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "[]",
        '{"verb":"reboot"}',
        '{"verb":"start","probe":"no such"}',
        '{"verb":"start","probe":7}',
        '{"verb":"interval","seconds":-1}',
        "\x00\xff",
    ],
)
def test_garbage_on_the_command_pipe_is_refused_and_everything_goes_on(collect, line):
    session = collect("biotop")
    session.send(line)
    session.wait_for(lambda: session.statuses(""))
    assert session.statuses("")[-1].reason.startswith("command refused: ")
    session.settle("biotop")


def test_the_interval_can_be_changed(collect):
    session = collect("biotop")
    session.send('{"verb":"interval","seconds":0.5}')
    session.settle("biotop", samples=3)
    assert session.samples("biotop")[-1].dt_ns > 400_000_000


def test_counts_end_it(collect):
    del collect  # only to skip without root
    result = collector("--probe", "biotop", "--interval", "0.1", "--count", "3")
    records = list(map(json.loads, result.stdout.splitlines()))
    assert [r["seq"] for r in records if r["t"] == "sample" and r["probe"] == "biotop"] == [1, 2, 3]
    assert records[-1] == {"t": "bye", "reason": "3 samples"}


def test_probes_may_be_named_one_by_one(collect):
    del collect  # only to skip without root
    arguments = ("--probe", "biotop", "--probe", "syscount", "--interval", "0.2", "--count", "2")
    records = [json.loads(line) for line in collector(*arguments).stdout.splitlines()]
    running = {r["probe"] for r in records if r["t"] == "status" and r["state"] == "running"}
    assert running == {"biotop", "syscount"}


def test_an_unknown_probe_is_bad_usage_in_one_line():
    result = collector("--probe", "nosuch")
    assert result.returncode == 2
    assert "no probe named nosuch; there are biotop" in result.stderr


def test_without_root_it_says_so_in_one_line(tmp_path):
    tree = copy_of_the_tree(tmp_path)
    result = collector("--probe", "biotop", cwd=tree, user="nobody", group="nogroup")
    assert result.returncode == 1
    assert result.stderr == "ebpftop collect: needs root to load BPF programs; use sudo\n"


def copy_of_the_tree(folder: Path) -> Path:
    for name in ("ebpftop", "probes"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    return folder


def test_a_probe_that_does_not_compile_fails_alone_and_says_why(collect, tmp_path):
    del collect
    tree = copy_of_the_tree(tmp_path)
    other = tree / "probes" / "block" / "broken.py"
    shutil.copy(tree / "probes" / "block" / "biotop.py", other)
    other.with_suffix(".c").write_text("this is no C\n")
    arguments = ("--probe", "broken", "biotop", "--interval", "0.2", "--count", "2")
    result = collector(*arguments, cwd=tree)
    last = statuses(result.stdout, "broken")[-1]
    assert last["state"] == "failed"
    assert last["reason"] == "block/broken.c does not compile here"
    assert "unknown type name 'this'" in last["detail"]
    assert statuses(result.stdout, "biotop")[-1]["state"] == "running"
    assert result.stderr == ""


def test_a_compiler_that_dies_takes_one_probe_with_it(collect, tmp_path):
    del collect
    tree = copy_of_the_tree(tmp_path)
    other = tree / "probes" / "block" / "deadly.py"
    shutil.copy(tree / "probes" / "block" / "biotop.py", other)
    text = other.with_name("biotop.c").read_text()
    # LLVM has no such instruction for BPF, and aborts instead of complaining.
    deadly = "u32 n = 0; return __sync_fetch_and_add(&n, 1);"
    other.with_suffix(".c").write_text(text + f"int die(void *ctx) {{ {deadly} }}\n")
    arguments = ("--probe", "deadly", "biotop", "--interval", "0.2", "--count", "2")
    result = collector(*arguments, cwd=tree)
    last = statuses(result.stdout, "deadly")[-1]
    assert last["reason"] == f"the compiler ended without a word (status -{int(signal.SIGABRT)})"
    assert "LLVM ERROR" in last["detail"]
    assert statuses(result.stdout, "biotop")[-1]["state"] == "running"


def test_a_probe_stopped_while_it_is_being_compiled_does_not_run(collect):
    before = loaded_programs()
    session = collect("biotop")
    session.send('{"verb":"stop","probe":"biotop"}')
    session.send('{"verb":"start","probe":"biotop"}')
    session.send('{"verb":"stop","probe":"biotop"}')
    session.wait_for(
        lambda: [s.state for s in session.statuses("biotop")][-2:] == ["starting", "idle"]
    )
    session.settle("host", samples=5)
    assert session.statuses("biotop")[-1].state == "idle"
    wait_until(lambda: not loaded_programs() - before)


def test_a_hook_that_the_kernel_lacks_makes_one_probe_unavailable(collect, tmp_path):
    del collect
    tree = copy_of_the_tree(tmp_path)
    path = tree / "probes" / "block" / "biotop.py"
    path.write_text(path.read_text().replace('"block_rq_issue"', '"no_such_tracepoint"'))
    result = collector("--probe", "biotop", "--interval", "0.1", "--count", "1", cwd=tree)
    last = statuses(result.stdout, "biotop")[-1]
    assert last["state"] == "unavailable"
    assert last["reason"] == "this kernel has no raw_tp:no_such_tracepoint"


def test_a_full_map_is_counted_and_not_silent(collect, tmp_path):
    del collect
    tree = copy_of_the_tree(tmp_path)
    source = tree / "probes" / "block" / "biotop.c"
    text = source.read_text()
    assert "DOUBLE_HASH(io, struct io_key, struct io_value, 16384)" in text
    source.write_text(text.replace("struct io_value, 16384)", "struct io_value, 1)"))
    load = subprocess.Popen(
        f"for i in 1 2 3 4 5 6 7 8 9; do dd if=/dev/zero of={tmp_path}/$i bs=4k count=8"
        " oflag=direct status=none; sleep 0.2; done",
        shell=True,
    )
    result = collector("--probe", "biotop", "--interval", "0.5", "--count", "3", cwd=tree)
    load.wait()
    samples = [r for r in map(json.loads, result.stdout.splitlines()) if r["t"] == "sample"]
    lost = [r["lost"] for r in samples if r["probe"] == "biotop"]
    assert any(reasons.get("rows beyond 16384", 0) > 0 for reasons in lost)


@pytest.mark.parametrize(
    ("hide", "reason"),
    [("/sys/kernel/btf", "the kernel has no BTF (/sys/kernel/btf/vmlinux)")],
)
def test_without_btf_every_probe_says_so(collect, hide, reason):
    del collect
    command = f"mount -t tmpfs none {hide} && exec {PYTHON} -m ebpftop.collector --count 1"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    last = statuses(result.stdout, "biotop")[-1]
    assert last["state"] == "unavailable"
    assert last["reason"].startswith(reason)


def test_tracefs_and_debugfs_are_not_needed(collect):
    del collect
    command = (
        "umount -l /sys/kernel/tracing /sys/kernel/debug 2>/dev/null;"
        f" exec {PYTHON} -m ebpftop.collector --probe biotop --interval 0.2 --count 1"
    )
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert statuses(result.stdout, "biotop")[-1]["state"] == "running"


def test_a_process_is_named_though_it_is_gone_before_anyone_looks(collect, tmp_path):
    session = collect("biotop")
    target = tmp_path / "file"
    done = subprocess.Popen(
        ["dd", "if=/dev/zero", f"of={target}", "bs=4k", "count=4", "oflag=direct"],
        stderr=subprocess.DEVNULL,
    )
    done.wait()
    session.settle("biotop")
    assert session.processes(done.pid)[-1].comm == "dd"


def test_the_host_is_sampled_without_any_probe(collect):
    session = collect()
    session.wait_for(lambda: len(session.samples("host")) >= 2)
    row = session.rows("host", "host")[-1]
    assert 0 <= row["cpu"] <= 1
    assert 0 < row["memory_bytes"] < row["memory_total_bytes"]
    assert isinstance(session.samples("host")[-1], Sample)
    assert len(session.rows("host", "cpus", since=1)) % (os.cpu_count() or 1) == 0
