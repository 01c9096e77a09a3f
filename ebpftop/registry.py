"""Finds the probes: every `probes/<area>/<name>.py` that has a `.c` beside it.

The presence of the pair is the registration; there is no list to edit. Listing imports the
descriptors, which import nothing but `ebpftop.probe` and the standard library.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from types import GenericAlias
from typing import TYPE_CHECKING

from ebpftop.paths import PROBES
from ebpftop.probe import Probe

if TYPE_CHECKING:
    from pathlib import Path

ORDER = ("block", "net", "sched", "mm", "syscall")


class RegistryError(Exception):
    """A probe's files are not as they should be; the message names the file."""


@cache
def probes(folder: Path = PROBES) -> dict[str, Probe]:
    """Every probe by name, in menu order: by area, then by name.

    Raises:
        RegistryError: a descriptor without C file, without or with two `Probe` classes, or two
            probes of one name.
    """
    found: dict[str, Probe] = {}
    for path in sorted(folder.glob("*/*.py"), key=_menu_order):
        probe = load(path)
        if probe.name in found:
            raise RegistryError(f"{path}: a probe named {probe.name} exists already")
        found[probe.name] = probe
    return found


def load(path: Path) -> Probe:
    """The probe described by one Python file."""
    if not path.with_suffix(".c").is_file():
        raise RegistryError(f"{path}: no {path.stem}.c beside it")
    spec = importlib.util.spec_from_file_location(f"ebpftop_probe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RegistryError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and not isinstance(value, GenericAlias)  # `tuple[int, ...]`, in 3.10 a type as well
        and issubclass(value, Probe)
        and value is not Probe
    ]
    if len(classes) != 1:
        raise RegistryError(f"{path}: must define one Probe, defines {len(classes)}")
    return classes[0](path.stem, path.parent.name)


def source(probe: Probe, folder: Path = PROBES) -> Path:
    """The C file of a probe."""
    return folder / probe.area / f"{probe.name}.c"


def _menu_order(path: Path) -> tuple[int, str, str]:
    area = path.parent.name
    return (ORDER.index(area) if area in ORDER else len(ORDER), area, path.stem)
