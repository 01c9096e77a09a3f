"""`ebpftop probes`: what each probe can hang on here, and why."""

from __future__ import annotations

import argparse


def main(arguments: list[str]) -> int:
    """Print the list; returns the exit status."""
    parser = argparse.ArgumentParser(prog="ebpftop probes", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    from ebpftop.collector.survey import print_survey

    return print_survey(as_json=options.json)
