"""The command line: what is wrong is one line, and the exit status tells which sort of wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ebpftop.commands.demo import RECORDING
from ebpftop.commands.view import replay
from ebpftop.sources import interpreter


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "ebpftop", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_without_a_terminal_it_says_what_to_use_instead():
    result = run()
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "ebpftop: the dashboard needs a terminal; `ebpftop collect` writes to pipes and files\n"
    )


@pytest.mark.parametrize("arguments", [["--no-such"], ["nosuch"], ["-i", "x"], ["probes", "x"]])
def test_bad_usage_exits_with_2(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_no_bcc_anywhere_is_one_line_with_the_remedy():
    result = run("collect", EBPFTOP_PYTHON="/bin/false")
    assert result.returncode == 1
    assert result.stderr == ("ebpftop: EBPFTOP_PYTHON=/bin/false cannot import bcc and psutil\n")


def test_pypi_bcc_is_not_taken_for_the_real_one(tmp_path, monkeypatch):
    (tmp_path / "bcc.py").write_text("class Compiler: pass\n")
    (tmp_path / "psutil.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert not interpreter.has_bcc(sys.executable)


def test_probes_lists_every_probe_and_its_state():
    result = run("probes")
    assert result.stdout.startswith("biotop  ")
    assert result.stderr == ""


def test_a_pane_that_a_recording_does_not_have_is_said(capsys):
    assert replay(str(RECORDING), pane="nosuch") == 2
    assert "has no probe named nosuch; there are biotop" in capsys.readouterr().err
