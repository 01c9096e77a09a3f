"""Which Pythons have the distribution's bcc and psutil, and which libbpf is installed.

Each Python is asked in a process of its own, from `/` and for no longer than some seconds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ebpftop.sources.base import SourceError
from ebpftop.sources.interpreter import candidates, collector_python

ANSWER_S = 20
LIBBPF = r"/libbpf\.so\.([\d.]+)$"
# Ubuntu 24.04 has its 18.1 as llvm-18/lib/libLLVM.so.1, Debian 12 14 as libLLVM-14.so.1.
LLVM = r"/llvm-?(\d+)/lib\w*/libLLVM|/libLLVM(?:-|\.so\.)(\d+(?:\.\d+)*)"
QUESTION = """
import json, sys
said = {"version": "%d.%d.%d" % sys.version_info[:3], "prefix": sys.prefix}
for name in ("psutil", "bcc"):
    try:
        module = __import__(name)
        said[name] = str(getattr(module, "__version__", "unknown"))
        if name == "bcc":
            said["is_bcc"] = hasattr(module, "BPF")
    except ModuleNotFoundError as error:
        said[name + "_error"] = "no " + str(error.name)
    except Exception as error:
        said[name + "_error"] = "%s: %s" % (type(error).__name__, error)
said["libraries"] = sorted({line.split()[-1] for line in open("/proc/self/maps") if "/" in line})
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Python:
    """One interpreter.

    Attributes:
        prefix: the environment that it is of.
        version: empty where it does not run.
        bcc, psutil: their versions; empty where it cannot import them.
        llvm, libbpf: versions of those that its libbcc is linked with; empty where built in.
        error: why it cannot run the collector; empty where it can.
    """

    path: str
    prefix: str = ""
    version: str = ""
    bcc: str = ""
    psutil: str = ""
    llvm: str = ""
    libbpf: str = ""
    error: str = ""


@dataclass(frozen=True)
class Tools:
    """What the collector runs on.

    Attributes:
        collector: path of the Python that it runs under; empty where there is none.
        error: why there is none.
        pythons: every Python that was asked.
    """

    collector: str
    error: str
    pythons: tuple[Python, ...]


def tools() -> Tools:
    """Ask the Python that the collector runs under, and this one; where there is none, all."""
    try:
        chosen, error = collector_python(), ""
        paths = [chosen, sys.executable]
    except SourceError as failure:
        chosen, error = "", str(failure)
        paths = [*filter(None, [os.environ.get("EBPFTOP_PYTHON")]), *candidates()]
    with ThreadPoolExecutor(len(paths)) as threads:
        answers = list(threads.map(ask, dict.fromkeys(paths)))
    pythons: dict[tuple[str, str], Python] = {}
    for python in answers:  # /usr/bin/python3 and python3.11 are one
        pythons.setdefault((python.prefix or python.path, python.version), python)
    return Tools(chosen, error, tuple(pythons.values()))


def ask(path: str) -> Python:
    """What one interpreter can import."""
    try:
        answer = subprocess.run(
            [path, "-c", QUESTION],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
        said = json.loads(answer.stdout)
    except subprocess.TimeoutExpired:
        return Python(path, error=f"did not answer in {ANSWER_S} s")
    except OSError as error:
        return Python(path, error=error.strerror or str(error))
    except ValueError:
        return Python(path, error="is no Python")
    return Python(
        path,
        said["prefix"],
        said["version"],
        said.get("bcc", ""),
        said.get("psutil", ""),
        _version(LLVM, said["libraries"]),
        _version(LIBBPF, said["libraries"]),
        _missing(said),
    )


def _version(pattern: str, libraries: list[str]) -> str:
    """The first that a pattern finds in the names of the libraries."""
    found = (re.search(pattern, path) for path in libraries)
    return next((match[match.lastindex or 0] for match in found if match), "")


def _missing(said: dict[str, str]) -> str:
    """Why it cannot run the collector."""
    if "bcc" in said and not said["is_bcc"]:
        return "its bcc is another package of that name (PyPI's)"
    errors = [said[f"{name}_error"] for name in ("bcc", "psutil") if name not in said]
    return ", ".join(errors)
