"""Which tests run in guests, and what is known to fail there: the only place where either is said.

A test is left out, or allowed to fail, by its name and with a reason. An expected failure that
passes is an error, too, unless it fails only sometimes: the list may not outlive its reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

# What differs from kernel to kernel: hooks, structures, counts. Left out is what does not (the
# cache of compiled programs, `record`, `top`, symbols of user programs), and costs minutes there.
TESTS = (
    "tests/bpf/test_biotop.py",
    "tests/bpf/test_biotop_fallback.py",
    "tests/bpf/test_disks.py",
    "tests/bpf/test_tcptop.py",
    "tests/bpf/test_tcptop_ways.py",
    "tests/bpf/test_cachestat.py",
    "tests/bpf/test_cachestat_fallback.py",
    "tests/bpf/test_syscount.py",
    "tests/bpf/test_syscount_ways.py",
    "tests/bpf/test_offcputime.py",
    "tests/bpf/test_runqlen.py",
    "tests/bpf/test_scope.py",
)
# Those that compare a probe with a witness: what `make test` takes the time for.
EXACT = tuple(
    f"tests/bpf/test_{probe}.py"
    for probe in ("biotop", "tcptop", "cachestat", "syscount", "offcputime", "runqlen")
)
# Where the layout of cgroups is not the usual one, only what looks at cgroups.
CGROUP_TESTS = ("tests/bpf/test_scope.py", "tests/bpf/test_containers.py")


@dataclass(frozen=True)
class Left:
    """Tests that mean nothing in a guest. `tests` is a pattern of node ids, as in a shell."""

    tests: str
    reason: str


@dataclass(frozen=True)
class Failure:
    """Tests that fail on some kernels: beginnings of versions, or patterns of releases.

    `sometimes` if not always.
    """

    tests: str
    kernels: tuple[str, ...]
    reason: str
    sometimes: bool = False

    def covers(self, test: str, kernel: str) -> bool:
        """Whether it speaks of this test on this kernel (its release)."""
        return fnmatchcase(test, self.tests) and any(
            kernel.startswith((f"{known}.", f"{known}-")) or fnmatchcase(kernel, known)
            for known in self.kernels
        )


LEFT_OUT = (
    Left(
        "tests/bpf/test_containers.py::test_processes_in_a_container_are_said_with_its_name*",
        "what a runtime calls a container is not the kernel's; its daemons take minutes here",
    ),
    Left(
        "tests/bpf/test_scope.py::test_a_scope_that_cannot_be_*",
        "what is no scope is refused before any kernel is asked",
    ),
)
FAILURES: tuple[Failure, ...] = (
    Failure(
        "tests/bpf/test_tcptop.py::test_mptcp_counts_the_application_s_bytes_once*",
        ("5.10.*-arm64", "6.1.*-arm64"),
        "arm64 has no fentry before 6.4, and kprobes do not see what MPTCP receives",
    ),
    Failure(
        "tests/bpf/test_scope.py::test_widened_again_*[[]offcputime]",
        ("6.12", "7.2"),
        "stacks of the whole machine have no names in time: what names them is emulated, too",
        sometimes=True,
    ),
)


def left_out(test: str) -> str:
    """Why a test is not run in guests; empty if it is."""
    return next((left.reason for left in LEFT_OUT if fnmatchcase(test, left.tests)), "")


def expected(test: str, kernel: str) -> Failure | None:
    """What is known of a test's failing on a kernel."""
    return next((failure for failure in FAILURES if failure.covers(test, kernel)), None)
