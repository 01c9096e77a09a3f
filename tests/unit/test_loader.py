"""What a user is told when a probe cannot be loaded."""

from __future__ import annotations

import pytest

from ebpftop import registry
from ebpftop.collector.loader import dialect, explain

BIOTOP = registry.probes()["biotop"]


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        ("Failed to compile BPF module x", "block/biotop.c does not compile here", "report"),
        ("Need super-user privileges to run", "no permission", "run as root"),
        ("[Errno 1] Operation not permitted", "no permission", "CAP_BPF"),
        ("No module named 'bcc'", "has no bcc", "apt install python3-bpfcc"),
        ("something else", "something else", "ebpftop probes"),
        ("", "the loader failed", "ebpftop probes"),
    ],
)
def test_each_cause_has_its_remedy(tmp_path, error, reason, remedy):
    said, hint = explain(BIOTOP, error, "", lockdown=tmp_path / "none")
    assert reason in said
    assert remedy in hint


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("none integrity [confidentiality]\n", "kernel lockdown (confidentiality)"),
        ("none [integrity] confidentiality\n", "no permission"),
    ],
)
def test_lockdown_is_named_where_it_is_the_cause(tmp_path, state, reason):
    lockdown = tmp_path / "lockdown"
    lockdown.write_text(state)
    said, _ = explain(BIOTOP, "Operation not permitted", "", lockdown)
    assert reason in said


def test_a_map_that_is_refused_is_no_fault_of_the_source():
    """BCC makes maps while it compiles, and calls it a failed compile."""
    said, hint = explain(
        BIOTOP,
        "Failed to compile BPF module x",
        "could not open bpf map: lost, error: Operation not permitted",
    )
    assert "no permission" in said
    assert "CAP_BPF" in hint


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ("0.18.0", ["-Datomic_increment=increment"]),  # Ubuntu 22.04
        ("0.20.0", ["-Datomic_increment=increment"]),
        ("0.21.0", []),
        ("0.35.0+1234abc", []),
        ("1.0", []),
        ("EAD-NOTFOUND+GITDIR-N", []),  # of a build from a tree without tags
    ],
)
def test_an_older_bcc_gets_words_that_it_knows(version, flags):
    assert dialect(version) == flags
