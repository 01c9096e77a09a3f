"""Which Pythons have the distribution's bcc and psutil, and which libbpf reads the kernel's types.

Each Python is asked in a process of its own, from `/` and for no longer than some seconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ebpftop.sources.base import SourceError
from ebpftop.sources.interpreter import candidates, collector_python

ANSWER_S = 20
LIBBPF = ("libbpf.so.1", "libbpf.so.0")
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
        llvm: version of the LLVM that its libbcc is linked with; empty where that is built in.
        error: why it cannot run the collector; empty where it can.
    """

    path: str
    prefix: str = ""
    version: str = ""
    bcc: str = ""
    psutil: str = ""
    llvm: str = ""
    error: str = ""


@dataclass(frozen=True)
class Tools:
    """What the collector runs on.

    Attributes:
        collector: path of the Python that it runs under; empty where there is none.
        error: why there is none.
        pythons: every Python that was asked.
        libbpf: its version; empty where it is not installed.
    """

    collector: str
    error: str
    pythons: tuple[Python, ...]
    libbpf: str


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
    return Tools(chosen, error, tuple(pythons.values()), libbpf_version())


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
        _llvm(said["libraries"]),
        _missing(said),
    )


def libbpf_version() -> str:
    """Version of the libbpf that BCC brought; empty where there is none."""
    for name in LIBBPF:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        try:
            library.libbpf_version_string.restype = ctypes.c_char_p  # 0.6
            return str(library.libbpf_version_string().decode()).lstrip("v")
        except AttributeError:
            return _version_of_file()
    return ""


def _version_of_file() -> str:
    """The version in the name of the libbpf that this process has in memory."""
    try:
        maps = Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return "unknown"
    found = re.search(r"/libbpf\.so\.([\d.]+)$", maps, re.MULTILINE)
    return found[1] if found else "unknown"


def _llvm(libraries: list[str]) -> str:
    found = (re.search(r"/libLLVM[-.](?:so\.)?(\d[\d.]*\d|\d)", path) for path in libraries)
    return next((match[1] for match in found if match), "")


def _missing(said: dict[str, str]) -> str:
    """Why it cannot run the collector."""
    if "bcc" in said and not said["is_bcc"]:
        return "its bcc is another package of that name (PyPI's)"
    errors = [said[f"{name}_error"] for name in ("bcc", "psutil") if name not in said]
    return ", ".join(errors)
