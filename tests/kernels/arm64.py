"""The tests of BPF programs on arm64, where all is emulated: an hour for a kernel on two CPUs.

    python -m tests.kernels.arm64
    python -m tests.kernels.arm64 6.1 --tests tests/bpf/test_tcptop.py
    python -m tests.kernels.arm64 6.12 --flavour arm64-16k --tests tests/bpf/test_cachestat.py

The guest has Debian's arm64 userland (`userland.py`), and its bcc and pytest. Before the tests it
runs `ebpftop doctor`, `ebpftop probes` and a collector of all probes, whose records are in
`collected.jsonl` beside the log. Exit status as of `matrix.py`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.kernels import packages, run_in_kernel
from tests.kernels.guest import SHARED
from tests.kernels.machine import ARM64, machine
from tests.kernels.matrix import COMPILED, DISKS, Guests, Plan, copy_of_the_tree, with_attempts
from tests.kernels.report import text
from tests.kernels.userland import headers, prepared

KERNEL, FLAVOUR = "6.12", "cloud-arm64"
# Those that compare with a witness; the others of matrix.py ask what does not depend on a machine.
PROBES = ("syscount", "tcptop", "biotop", "cachestat", "runqlen", "offcputime")
TESTS = tuple(f"tests/bpf/test_{probe}.py" for probe in PROBES)
PATIENCE_S = 300

# Python that nobody compiled, Debian's and ours, is compiled by what comes before the tests.
PREPARE = f"""{DISKS}
mkdir -p /srv
cp -a {SHARED}/tree /srv
cd /srv/tree
export PYTHONPYCACHEPREFIX={SHARED}/{COMPILED}/python
export EBPFTOP_CACHE={SHARED}/{COMPILED} EBPFTOP_TEST_CACHE={SHARED}/{COMPILED}
python3 -m ebpftop doctor || true
python3 -m ebpftop probes
python3 -m ebpftop.collector --count 2 >{SHARED}/collected.jsonl </dev/null
export EBPFTOP_TEST_PATIENCE_S={PATIENCE_S}
"""


@dataclass(frozen=True)
class OnArm64(Plan):
    """A guest of this machine."""

    flavour: str

    def command(self, tree: Path, timeout_s: float) -> list[str]:
        """What boots it and runs its tests in `tree`, which lies in its folder."""
        assert tree.parent == self.folder
        options = ("--flavour", self.flavour, "--disks", "2", "--timeout", f"{timeout_s:.0f}")
        runner = (sys.executable, "-m", run_in_kernel.__name__, *options)
        version = self.kernel.release.removesuffix(f"-{self.flavour}")
        inside = ("--shared", str(self.folder), version)
        return [*runner, *inside, "--", PREPARE + with_attempts(self.tests, "python3")]


def planned(version: str, flavour: str, tests: tuple[str, ...]) -> OnArm64 | None:
    """What to boot, with all that it takes fetched; says so if it cannot be had."""
    try:
        if os.geteuid() != 0:
            raise packages.UnavailableError("root is needed to share files with a guest")
        folder = packages.cache()
        prepared(folder, flavour)
        headers(folder)  # for test_arm64.py
        return OnArm64(packages.kernel(folder, version, flavour), "v2", tests, flavour)
    except packages.UnavailableError as error:
        print(f"SKIPPED tests on arm64: {error}")
        return None


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    parse = argparse.ArgumentParser(prog="arm64", description=(__doc__ or "").split("\n")[0])
    parse.add_argument("kernel", nargs="?", default=KERNEL, metavar="KERNEL", help=KERNEL)
    parse.add_argument("--flavour", default=FLAVOUR, help=f"{FLAVOUR} (default), arm64, arm64-16k")
    parse.add_argument("--tests", action="append", help="instead of the six probes'")
    parse.add_argument("--timeout", type=float, default=7200, metavar="S", help="in all (7200)")
    asked = parse.parse_args(arguments)
    if machine(asked.flavour) is not ARM64:
        parse.error(f"{asked.flavour} is not of arm64")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    plan = planned(asked.kernel, asked.flavour, tuple(asked.tests or TESTS))
    if plan is None:
        return 0
    tree = plan.folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    copy_of_the_tree(tree)
    (boot,) = Guests(tree, asked.timeout).boot_all([plan], 1)
    shutil.rmtree(tree)
    print(text([boot]))
    return 0 if boot.good else 1


if __name__ == "__main__":
    sys.exit(main())
