"""What the tests said on each kernel, judged: as tables, and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from tests.kernels.expected import expected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.kernels.in_guest import Result

Verdict = Literal["passed", "skipped", "failed", "expected", "no longer fails"]
BAD: tuple[Verdict, ...] = ("failed", "no longer fails")
WHY_CHARS = 160


@dataclass(frozen=True)
class Boot:
    """One guest: a kernel, a layout of cgroups, and what its tests said.

    Attributes:
        kernel: The release, such as `6.1.0-56-cloud-amd64`.
        seconds: From start to end.
        cpu_seconds: Of this machine's CPUs; what it takes on any machine of its kind.
        probes: What each probe hangs on there, as `ebpftop probes --json` says it.
        trouble: Why its tests did not come to their end; empty if they did.
    """

    kernel: str
    cgroups: str
    seconds: float
    cpu_seconds: float
    results: list[Result] = field(default_factory=list)
    probes: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""

    @property
    def name(self) -> str:
        """Version and layout: `6.1.0-56 v2`."""
        return f"{self.kernel.removesuffix('-amd64').removesuffix('-cloud')} {self.cgroups}"

    def verdict(self, result: Result) -> Verdict:
        """What an outcome means on this kernel."""
        known = expected(result.test, self.kernel)
        if result.outcome == "failed":
            return "expected" if known else "failed"
        if known and result.outcome == "passed" and not known.sometimes:
            return "no longer fails"
        return result.outcome

    def counts(self, file: str = "") -> Counter[Verdict]:
        """How many tests got which verdict; of one file, if one is named."""
        return Counter(self.verdict(r) for r in self.results if not file or file_of(r) == file)

    @property
    def good(self) -> bool:
        """Whether nothing happened that was not expected, and something was tested."""
        return not self.trouble and bool(self.results) and not any(map(self.counts().get, BAD))


def file_of(result: Result) -> str:
    """`tcptop` of a test in tests/bpf/test_tcptop.py."""
    return PurePath(result.test.split("::")[0]).stem.removeprefix("test_")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


def text(boots: Sequence[Boot]) -> str:
    """The report: kernel by file, then each failure, then why tests were skipped."""
    files = list(dict.fromkeys(file_of(r) for boot in boots for r in boot.results))
    rows = [["passed/failed/skipped", *files, "all", "seconds", "of a CPU"]]
    for boot in boots:
        cells = [_cell(boot.counts(file)) for file in (*files, "")]
        rows.append([boot.name, *cells, f"{boot.seconds:.0f}", f"{boot.cpu_seconds:.0f}"])
    lines = [table(rows)]
    for boot in boots:
        if boot.trouble:
            lines.append(f"{boot.name}: {boot.trouble}")
        for result in boot.results:
            verdict = boot.verdict(result)
            if verdict in (*BAD, "expected"):
                known = expected(result.test, boot.kernel)
                reason = known.reason if known else result.why
                lines.append(f"{boot.name}: {verdict}: {result.test}: {reason[:WHY_CHARS]}")
            elif result.attempt > 1:
                how = f"{result.outcome} at attempt {result.attempt}"
                lines.append(f"{boot.name}: {how}: {result.test}: {result.before[:WHY_CHARS]}")
        skipped = Counter(
            (file_of(r), r.why[:WHY_CHARS]) for r in boot.results if r.outcome == "skipped"
        )
        lines += [f"{boot.name}: {n} skipped in {f}: {why}" for (f, why), n in skipped.items()]
    return "\n".join(lines)


def _cell(counts: Counter[Verdict]) -> str:
    failed = sum(counts[verdict] for verdict in (*BAD, "expected"))
    if not counts:
        return "-"
    return f"{counts['passed']}/{failed}/{counts['skipped']}"


def as_json(boots: Sequence[Boot]) -> list[dict[str, Any]]:
    """The same for programs: a boot each, with the verdict of each test."""
    return [
        {
            **asdict(boot),
            "good": boot.good,
            "results": [{**asdict(r), "verdict": boot.verdict(r)} for r in boot.results],
        }
        for boot in boots
    ]
