"""The README's table of probes by kernels, made of what the tests said there.

    python -m tests.kernels.exactness [FILE…]    print it, from build/kernels/results.json
    python -m tests.kernels.exactness --write    put it into the README, between its marks

A cell is `exact` where all tests of a probe passed on a kernel, but for those that are expected to
fail, whose reason is a note; and with which kind of hooks. What its pane says is a note, too.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ebpftop import registry
from tests.kernels.expected import expected
from tests.kernels.report import BAD

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "kernels" / "results.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- kernels: made by tests/kernels/exactness.py -->", "<!-- kernels end -->"
# Kinds of hooks that a reader may want to know of; what hangs on tracepoints alone says that.
KINDS = {"kprobe": "kprobes", "kretprobe": "kprobes", "fentry": "fentry", "fexit": "fentry"}
DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Boot = Mapping[str, Any]


def of_probe(test: str, probe: str) -> bool:
    """Whether a test is one of a probe: of tests/bpf/test_<probe>….py."""
    return bool(re.match(rf"tests/bpf/test_{probe}(_\w+)?\.py::", test))


class Notes:
    """Sentences below the table, each with its number."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def mark(self, sentence: str) -> str:
        """The raised number of a sentence."""
        if sentence not in self.sentences:
            self.sentences.append(sentence)
        return str(self.sentences.index(sentence) + 1).translate(DIGITS)


def cell(boot: Boot, probe: str, notes: Notes) -> str:
    """What is said of a probe on a kernel."""
    plan = next((found for found in boot["probes"] if found["probe"] == probe), None)
    tests = [result for result in boot["results"] if of_probe(result["test"], probe)]
    if plan is None or not any(test["outcome"] == "passed" for test in tests):
        return "not tested"
    if plan["state"] == "unavailable":
        return f"none{notes.mark(plan['reason'])}"
    bad = sum(test["verdict"] in BAD for test in tests)
    said = f"**{bad} of {len(tests)} fail**" if bad else "exact"
    kinds = [KINDS[kind] for hook in plan["hooks"] if (kind := hook.split(":")[0]) in KINDS]
    marks = [notes.mark(sentence) for sentence in plan["reason"].split("; ") if sentence]
    known = (expected(test["test"], boot["kernel"]) for test in tests)
    marks += [notes.mark(failure.reason) for failure in known if failure]
    return f"{said}, {kinds[0] if kinds else 'tracepoints'}{' '.join(dict.fromkeys(marks))}"


def version(boot: Boot) -> str:
    """`6.12` of `6.12.117+deb13-cloud-amd64`."""
    return ".".join(re.findall(r"\d+", boot["kernel"])[:2])


def table(boots: Sequence[Boot]) -> str:
    """The table and its notes, as Markdown; layouts of cgroups other than v2 are left out."""
    boots = sorted(
        (boot for boot in boots if boot["cgroups"] == "v2"),
        key=lambda boot: [int(number) for number in version(boot).split(".")],
    )
    notes = Notes()
    rows = [
        [probe.title, *(cell(boot, name, notes) for boot in boots)]
        for name, probe in registry.probes().items()
    ]
    passed = (sum(test["outcome"] == "passed" for test in boot["results"]) for boot in boots)
    rows.append(["tests that passed", *map(str, passed)])
    head = ["", *(f"{version(boot)}" for boot in boots)]
    lines = [head, ["---"] * len(head), *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    below = [f"{str(n).translate(DIGITS)} {said}" for n, said in enumerate(notes.sentences, 1)]
    return "\n\n".join([text, "  \n".join(below)]) if below else text


def block(readme: str) -> str:
    """What stands between the marks."""
    return readme.split(BEGIN)[1].split(END)[0].strip()


def main(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    parse = argparse.ArgumentParser(prog="exactness", description=(__doc__ or "").split("\n")[0])
    parse.add_argument("--write", action="store_true", help="put it into the README")
    parse.add_argument("results", nargs="*", type=Path, default=[RESULTS], metavar="FILE")
    asked = parse.parse_args(arguments)
    made = table([boot for file in asked.results for boot in json.loads(file.read_text())])
    if not asked.write:
        print(made)
        return 0
    readme = README.read_text()
    README.write_text(readme.replace(block(readme), made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
