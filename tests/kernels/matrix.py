"""`make test-kernels`: the tests of BPF programs, on kernels of every generation.

    python -m tests.kernels.matrix                        the default kernels
    python -m tests.kernels.matrix 6.1 5.10:v1 newest     these; `:v1` and `:hybrid` are layouts
    python -m tests.kernels.matrix 6.1 --tests tests/bpf/test_biotop.py
    python -m tests.kernels.matrix 6.1 --exact           only what compares with a witness

A guest runs the tests from a copy of this folder (it may be edited meanwhile), with its .venv and
the machine's bcc; a disk of its own is /tmp (/dev/vda, ext4), a second /mnt/second (/dev/vdb).
Under emulation everything takes ten to thirty times as long: which tests run is said in
`expected.py`. Results, logs and the copy are in build/kernels, and the programs that were compiled,
for the next run to find where nothing has changed that they are compiled of (`collector/cache.py`).

Exit status 0 if nothing failed but what is expected to; also where kernels or QEMU cannot be had,
after a line that says so. 1 if anything else failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kernels import packages, run_in_kernel
from tests.kernels.emulator import emulator
from tests.kernels.expected import CGROUP_TESTS, EXACT, TESTS
from tests.kernels.guest import MOUNTS, SHARED
from tests.kernels.in_guest import PATH, read
from tests.kernels.report import Boot, as_json, text

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "kernels"
KERNELS = ("5.10", "6.1", "6.12", "newest", "5.10:v1", "6.1:hybrid")
COPIED = ("ebpftop", "probes", "themes", "packaging", "tests", "pyproject.toml")
RESULTS, PLANS = "results.jsonl", "probes.json"
SYSTEM_PYTHON = "/usr/bin/python3"  # that of the collector
COMPILED = "compiled"
PATIENCE_S = 120  # of tests that wait for something to be said; 60 outside

DISKS = f"""set -e
mke2fs -q -F -t ext4 /dev/vda
mke2fs -q -F -t ext4 /dev/vdb
mkdir -p /mnt/second
mount /dev/vda /tmp
mount /dev/vdb /mnt/second
chmod 1777 /tmp
export EBPFTOP_TEST_SECOND_DISK=/mnt/second {PATH}={SHARED}/{RESULTS}
"""
PYTEST = "-m pytest -p tests.kernels.in_guest -o cache_dir=/tmp/pytest -rA --tb=short"
PREPARE = f"""{DISKS}
export PYTHONDONTWRITEBYTECODE=1 EBPFTOP_TEST_PATIENCE_S={PATIENCE_S}
export EBPFTOP_TEST_CACHE={SHARED}/{COMPILED}
{sys.executable} -m ebpftop probes --json >{SHARED}/{PLANS} || true
"""


def with_attempts(tests: tuple[str, ...], python: str = sys.executable) -> str:
    """Shell text that runs tests, and those that fail up to three times more.

    A load of four threads says how long each must have waited; it cannot say that the machine had
    other things to do than to emulate its second CPU. What failed at first is told all the same.
    """
    run = f"{python} {PYTEST} {shlex.join(tests)}"
    return f"""status=0
{run} || status=$?
for attempt in 2 3 4; do
  [ $status = 1 ] || break
  status=0
  {run} --last-failed || status=$?
done
exit $status"""


@dataclass(frozen=True)
class Plan:
    """A guest to boot: a kernel that was fetched, a layout of cgroups, the tests to run."""

    kernel: packages.Kernel
    cgroups: str
    tests: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its results and its log go."""
        return BUILD / f"{self.kernel.release}-{self.cgroups}"

    def command(self, tree: Path, timeout_s: float) -> list[str]:
        """What boots it and runs its tests in `tree`; to be run in the repository's folder."""
        options = ("--cgroups", self.cgroups, "--disks", "2", "--timeout", f"{timeout_s:.0f}")
        runner = (sys.executable, "-m", run_in_kernel.__name__, *options, "--shared", self.folder)
        version = self.kernel.release.removesuffix(f"-{packages.FLAVOUR}")
        inside = ("--folder", str(tree))
        return [*map(str, runner), *inside, version, "--", PREPARE + with_attempts(self.tests)]


def plan(asked: str, tests: tuple[str, ...], folder: Path, update: bool) -> Plan | None:
    """What `6.1:hybrid` means, with the kernel fetched; says so if it cannot be had."""
    version, _, layout = asked.partition(":")
    chosen = tests or (CGROUP_TESTS if layout else TESTS)
    try:
        return Plan(packages.kernel(folder, version, update=update), layout or "v2", chosen)
    except packages.UnavailableError as error:
        print(f"SKIPPED kernel {asked}: {error}")
        return None


def copy_of_the_tree(folder: Path) -> None:
    """What the tests need of this one, in another; compiled, which takes long in a guest."""
    without = shutil.ignore_patterns("__pycache__", "__snapshots__", ".*")
    for path in map(ROOT.joinpath, COPIED):
        if path.is_dir():
            shutil.copytree(path, folder / path.name, ignore=without)
        else:
            shutil.copy(path, folder)
    for python in (sys.executable, SYSTEM_PYTHON):
        subprocess.run([python, "-m", "compileall", "-q", folder], check=True)


def plans_of(kernels: list[str], tests: tuple[str, ...], update: bool) -> list[Plan]:
    """What can be booted; of the rest, says why not."""
    try:
        if os.geteuid() != 0:
            raise packages.UnavailableError("root is needed to share this machine's files")
        folder = packages.cache()
        emulator(folder)
    except packages.UnavailableError as error:
        print(f"SKIPPED tests on other kernels: {error}")
        return []
    return [found for kernel in kernels if (found := plan(kernel, tests, folder, update))]


class Guests:
    """Boots guests, some at a time; none outlives it."""

    def __init__(self, tree: Path, timeout_s: float) -> None:
        self._tree, self._timeout_s = tree, timeout_s
        self._processes: list[subprocess.Popen[bytes]] = []

    def boot(self, wanted: Plan) -> Boot:
        """Run the tests of one guest; its output goes to `log` in its folder."""
        wanted.folder.mkdir(parents=True, exist_ok=True)
        for name in (RESULTS, PLANS):
            (wanted.folder / name).unlink(missing_ok=True)
        began = time.monotonic()
        with (wanted.folder / "log").open("wb") as log:
            command = wanted.command(self._tree, self._timeout_s)
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
            self._processes.append(process)
            status = process.wait()
        boot = Boot(
            wanted.kernel.release,
            wanted.cgroups,
            round(time.monotonic() - began, 1),
            cpu_seconds(wanted.folder / "log"),
            read(wanted.folder / RESULTS),
            plans_in(wanted.folder / PLANS),
            trouble(status, wanted.folder / "log"),
        )
        spent = f"{boot.seconds:.0f} s, {boot.cpu_seconds:.0f} s of a CPU"
        print(f"{boot.name}: {len(boot.results)} tests in {spent}", flush=True)
        return boot

    def boot_all(self, plans: list[Plan], together: int) -> list[Boot]:
        """The same for several, `together` of them at a time."""
        with ThreadPoolExecutor(together) as pool:
            try:
                return list(pool.map(self.boot, plans))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in self._processes:
                    process.terminate()
                raise


def plans_in(file: Path) -> list[dict[str, Any]]:
    """What `ebpftop probes` said in a guest; empty if it did not."""
    text = file.read_text() if file.exists() else ""
    return json.loads(text) if text else []


def cpu_seconds(log: Path) -> float:
    """What the runner says that a guest cost; of its last boot, if it was booted again."""
    said = re.findall(run_in_kernel.COST, log.read_text(errors="replace"))
    return float(said[-1]) if said else 0.0


def trouble(status: int, log: Path) -> str:
    """What a status says that is not in the results: pytest has 0 and 1 for tests that ran."""
    if status in (0, 1):
        return ""
    known = {
        run_in_kernel.TIMED_OUT: "the tests were not done in time",
        run_in_kernel.FROZE: "the guest did not come up, or froze",
        run_in_kernel.UNAVAILABLE: "the kernel or QEMU cannot be had",
    }
    return f"{known.get(status, f'ended with status {status}')}; see {log}"


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    parse = argparse.ArgumentParser(prog="matrix", description=(__doc__ or "").split("\n")[0])
    parse.add_argument("kernels", nargs="*", metavar="KERNEL[:LAYOUT]", help=" ".join(KERNELS))
    parse.add_argument("--tests", action="append", help="instead of those in expected.py")
    parse.add_argument("--exact", action="store_true", help="only those with a witness")
    parse.add_argument("--together", type=int, default=os.cpu_count() or 1, help="guests at a time")
    parse.add_argument("--timeout", type=float, default=1500, metavar="S", help="of a guest (1500)")
    parse.add_argument("--update", action="store_true", help="look for newer kernels than cached")
    asked = parse.parse_args(arguments)
    for kernel in asked.kernels:
        if kernel.partition(":")[2] not in ("", *MOUNTS):
            parse.error(f"{kernel}: the layouts are {', '.join(MOUNTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    tests = tuple(asked.tests or (EXACT if asked.exact else ()))
    plans = plans_of(asked.kernels or list(KERNELS), tests, asked.update)
    if not plans:
        return 0
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="tree-") as tree:
        copy_of_the_tree(Path(tree))
        boots = Guests(Path(tree), asked.timeout).boot_all(plans, asked.together)
    (BUILD / "results.json").write_text(json.dumps(as_json(boots), indent=1) + "\n")
    print(text(boots))
    return 0 if all(boot.good for boot in boots) else 1


if __name__ == "__main__":
    sys.exit(main())
