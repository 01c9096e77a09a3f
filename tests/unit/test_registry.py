"""Probes are found by their files, and described well enough for a screen that never sees them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ebpftop import registry
from ebpftop.probe import AllOf, FirstOf, Hook

PROBES = registry.probes()


def folder_with(tmp_path, text, c_file=True):
    area = tmp_path / "block"
    area.mkdir()
    (area / "made.py").write_text(text)
    if c_file:
        (area / "made.c").write_text("")
    return tmp_path


GOOD = """
from ebpftop.probe import Probe
class Made(Probe):
    title = "Made"; purpose = "to be found"; tables = views = hooks = ()
    def read(self, maps, env): return {}
"""


def test_a_pair_of_files_is_a_probe(tmp_path):
    found = registry.probes(folder_with(tmp_path, GOOD))
    assert [(probe.name, probe.area) for probe in found.values()] == [("made", "block")]


def test_a_descriptor_without_c_file_is_refused(tmp_path):
    with pytest.raises(registry.RegistryError, match=r"made.py: no made.c beside it"):
        registry.probes(folder_with(tmp_path, GOOD, c_file=False))


def test_a_descriptor_must_define_one_probe(tmp_path):
    with pytest.raises(registry.RegistryError, match="must define one Probe, defines 0"):
        registry.probes(folder_with(tmp_path, ""))


def hooks_of(probe) -> list[Hook]:
    found: list[Hook] = []
    for slot in probe.hooks:
        ways = slot.ways if isinstance(slot, FirstOf) else (slot,)
        for way in ways:
            found += way.hooks if isinstance(way, AllOf) else (way,)
    return found


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
class TestEveryProbe:
    def test_views_name_tables_and_columns_that_exist(self, probe):
        for view in probe.views:
            table = probe.info.table(view.table)
            names = {column.name for column in (*table.columns, *view.derived)}
            assert set(view.columns) <= names
            assert set(view.follow) <= {column.name for column in table.columns}
            assert view.sort in {"", *names}
            assert view.by in {"", *names}
            for column in view.derived:
                assert column.ratio is not None
                assert {*column.ratio[0], *column.ratio[1]} <= names

    def test_every_program_is_in_the_c_file(self, probe):
        text = registry.source(probe).read_text()
        for hook in hooks_of(probe):
            assert f"int {hook.program}(" in text, hook.program

    def test_every_reason_for_loss_is_counted_in_the_c_file(self, probe):
        text = registry.source(probe).read_text()
        for name in probe.lost:
            assert f"LOST_{name}" in text

    def test_the_c_file_says_what_it_is(self, probe):
        head = registry.source(probe).read_text().split("#include")[0]
        for part in ("Measures:", "Hooks:", "Cost:", "Blind spots:", "SPDX-License-Identifier:"):
            assert part in head, part

    def test_titles_fit_the_pane_strip(self, probe):
        assert 0 < len(probe.title) <= 16
        assert probe.purpose
        assert probe.help


def test_listing_the_probes_loads_neither_bcc_nor_the_screen():
    code = (
        "import sys; from ebpftop import registry; registry.probes();"
        "print([m for m in sys.modules if m.split('.')[0] in ('bcc', 'textual', 'rich', 'psutil')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_collector_loads_neither_bcc_nor_the_screen():
    code = (
        "import sys; import ebpftop.collector.__main__;"
        "print([m for m in sys.modules if m.split('.')[0] in ('bcc', 'textual', 'rich')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
