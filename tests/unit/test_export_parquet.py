"""Parquet: types that depend on the description alone, and recordings that become one data set."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet
import pytest

from ebpftop.commands import export
from ebpftop.model import Sample
from ebpftop.recording.export import Choice, parquet
from ebpftop.recording.export.output import Output
from ebpftop.recording.export.tables import Tables
from tests.unit import exported
from tests.unit.exported import START_NS, rows_of
from tests.unit.made import INFOS, SECOND

DAY_NS = 86_400 * SECOND
MIDNIGHT_NS = (START_NS // DAY_NS + 1) * DAY_NS


def schema(path) -> dict[str, str]:
    return {field.name: str(field.type) for field in pyarrow.parquet.read_schema(path)}


def write(told, path, choice, partition=False) -> int:
    """Exports records to one file, or to a data set in a folder; returns the misfits."""
    tables = Tables(choice, parquet.microseconds)
    parts = parquet.Partition(str(path)).path
    with Output() as output:
        return parquet.export(
            tables.batches(told), output, parts if partition else lambda _: str(path), partition
        )


def io(seq, *rows, wall_ns=None):
    wall_ns = wall_ns or START_NS + seq * SECOND
    return Sample("biotop", seq, wall_ns, seq, SECOND, {"io": list(rows)})


ROW = (1, 1, "vda", "read", 1, 2, 3, 4, 5)
IO = Choice(("biotop",), "io")


def test_columns_have_types(tmp_path):
    write([exported.hello(), io(1, ROW)], tmp_path / "io.parquet", IO)
    assert schema(tmp_path / "io.parquet") == {
        "wall_ns": "int64",
        "time": "timestamp[us, tz=UTC]",
        "dt_ns": "int64",
        "host": "string",
        "comm": "string",
        "cmdline": "string",
        "user": "string",
        "container": "string",
        "runtime": "string",
        "pod": "string",
        "unit": "string",
        "cgroup_path": "string",
        "start_ns": "int64",
        "pid": "int64",
        "cgroup": "int64",
        "disk": "string",
        "op": "string",
        "ios": "int64",
        "bytes": "int64",
        "lat_ns": "int64",
        "queue_ns": "int64",
        "max_ns": "int64",
    }


@pytest.mark.parametrize("name", INFOS)
def test_types_are_the_same_whatever_the_rows_hold(tmp_path, name):
    """Rows without a single value must not make a column of another type."""
    for table in INFOS[name].tables:
        nothing = (None,) * len(table.columns)
        for path, rows in (("none", [nothing] * 3), ("empty", [])):
            sample = Sample(name, 1, START_NS, 1, SECOND, {table.name: rows})
            write([exported.hello(), sample], tmp_path / path, Choice((name,), table.name))
        write(exported.story(ticks=2), tmp_path / "full", Choice((name,), table.name))
        types = schema(tmp_path / "full")
        assert schema(tmp_path / "none") == schema(tmp_path / "empty") == types


def test_it_is_compressed_and_texts_are_in_a_dictionary(tmp_path):
    write(exported.story(), tmp_path / "io.parquet", IO)
    group = pyarrow.parquet.ParquetFile(tmp_path / "io.parquet").metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    texts = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
    assert texts
    assert all("RLE_DICTIONARY" in column.encodings for column in texts)


def test_row_groups_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_TOGETHER", 10)
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 100)
    told = [exported.hello(), *(io(seq, *[ROW] * 7) for seq in range(1, 101))]
    write(told, tmp_path / "io.parquet", IO)
    metadata = pyarrow.parquet.ParquetFile(tmp_path / "io.parquet").metadata
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sum(groups) == 700
    assert max(groups) <= 100 + 2 * 7  # rows are turned into columns 14 at a time
    assert len(groups) >= 6


def test_where_too_much_is_waiting_the_largest_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BYTES_WAITING", 20_000)
    monkeypatch.setattr(parquet, "ROWS_TOGETHER", 10)
    seen = []
    relieve = parquet._relieve

    def watch(parts):
        relieve(parts)
        seen.append(sum(part.waiting_bytes for part in parts))

    monkeypatch.setattr(parquet, "_relieve", watch)
    told = exported.story(ticks=60)
    write(told, tmp_path / "fleet", Choice(), partition=True)
    assert 10_000 < max(seen) <= 20_000


def test_values_of_another_type_are_left_out_and_counted(tmp_path):
    odd = (1 << 70, "x", 5, "read", 1.5, 2, 3, 4, -(1 << 63))
    misfits = write([exported.hello(), io(1, ROW, odd)], tmp_path / "io.parquet", IO)
    assert misfits == 4
    rows = pyarrow.parquet.read_table(tmp_path / "io.parquet").to_pylist()
    own = list(rows[1].values())[-9:]
    assert own == [None, None, None, "read", None, 2, 3, 4, -(1 << 63)]
    assert list(rows[0].values())[-9:] == list(ROW)


# -- a data set of a fleet ---------------------------------------------------------------------


def dataset(folder) -> Any:
    return pyarrow.dataset.dataset(folder, partitioning="hive")


def totals(rows, *by) -> dict[Any, int]:
    made: dict[Any, int] = {}
    for row in rows:
        key = tuple(row[name] for name in by)
        made[key] = made.get(key, 0) + row["bytes"]
    return made


def bytes_of(told) -> int:
    return sum(row[5] for row in rows_of(told, "biotop", "io"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Two hosts, the second one over midnight."""
    folder = tmp_path_factory.mktemp("fleet")
    stories = {
        "web/1": exported.story("web/1", seed=1),
        "web 2": exported.story("web 2", ticks=9, seed=2, start_ns=MIDNIGHT_NS - 5 * SECOND),
    }
    for number, told in enumerate(stories.values()):
        path = exported.record(folder / f"{number}.ebt", told)
        arguments = ["--format", "parquet", "--partition", "-o", str(folder / "set")]
        assert export.main([path, *arguments]) == 0
    return folder, stories


def test_recordings_of_several_hosts_are_one_data_set(fleet):
    folder, stories = fleet
    chosen = (pyarrow.dataset.field("probe") == "biotop") & (pyarrow.dataset.field("table") == "io")
    rows = dataset(folder / "set" / "probe=biotop" / "table=io").to_table().to_pylist()
    assert totals(rows, "host") == {(host,): bytes_of(told) for host, told in stories.items()}
    names = dataset(folder / "set").schema.names
    assert {"probe", "table", "host", "date"} <= set(names)
    assert dataset(folder / "set").filter(chosen).count_rows() == len(rows)


def test_days_are_folders_of_their_own(fleet):
    folder, stories = fleet
    found = dataset(folder / "set" / "probe=biotop" / "table=io")
    rows = found.to_table(filter=pyarrow.dataset.field("host") == "web 2").to_pylist()
    told = [s for s in stories["web 2"] if isinstance(s, Sample)]
    days = ("2001-09-09", "2001-09-10")
    of_day = [[s for s in told if (s.wall_ns >= MIDNIGHT_NS) == late] for late in (False, True)]
    assert totals(rows, "date") == {
        (day,): bytes_of(of) for day, of in zip(days, of_day, strict=True)
    }


def test_hosts_with_odd_names_stay_inside_the_folder(fleet):
    folder, _ = fleet
    hosts = {path.name for path in (folder / "set" / "probe=biotop" / "table=io").iterdir()}
    assert hosts == {"host=web%2F1", "host=web 2"}


def parts(folder) -> list[Path]:
    return sorted(Path(folder).rglob("*.parquet"))


def test_the_same_recording_again_replaces_its_own_files(tmp_path):
    told = exported.story(ticks=3)
    write(told, tmp_path, IO, partition=True)
    once = parts(tmp_path)
    write([*told, *exported.story(ticks=4)[-7:]], tmp_path, IO, partition=True)
    assert parts(tmp_path) == once
    assert len(once) == 1


@pytest.mark.parametrize(
    ("value", "kind", "fitting"),
    [
        (1 << 60, "float", float(1 << 60)),
        (0.5, "float", 0.5),
        (0.5, "int", None),
        (True, "int", None),
        ("5", "int", None),
        (5, "text", None),
        ("\ud800", "text", "\\ud800"),
        ([], "text", None),
    ],
)
def test_what_a_column_can_hold(value, kind, fitting):
    assert parquet.fit(value, kind) == fitting


@pytest.mark.parametrize(
    "other",
    [{"host": "other"}, {"boot_id": "next boot"}, {"start_ns": START_NS + 1}],
)
def test_another_recording_replaces_nothing(tmp_path, other):
    write(exported.story(ticks=2), tmp_path, IO, partition=True)
    write(exported.story(ticks=2, **other), tmp_path, IO, partition=True)
    assert len(parts(tmp_path)) == 2


def test_which_tables_are_chosen_does_not_change_the_names(tmp_path):
    write(exported.story(ticks=2), tmp_path, Choice(), partition=True)
    everything = parts(tmp_path)
    write(exported.story(ticks=2), tmp_path, IO, partition=True)
    assert parts(tmp_path) == everything


def test_a_clock_that_goes_back_over_midnight_loses_nothing(tmp_path):
    walls = [MIDNIGHT_NS - 1, MIDNIGHT_NS + 1, MIDNIGHT_NS - 1, MIDNIGHT_NS + 1]
    told = [exported.hello(), *(io(n, ROW, wall_ns=wall) for n, wall in enumerate(walls, 1))]
    write(told, tmp_path, IO, partition=True)
    assert dataset(tmp_path).count_rows() == 4


def test_a_failure_leaves_the_old_files_and_no_half_ones(tmp_path):
    told = exported.story(ticks=3)
    write(told, tmp_path, IO, partition=True)
    before = [path.read_bytes() for path in parts(tmp_path)]
    damaged = replace(io(9, ROW), tables={"io": [(1,)]})
    with pytest.raises(Exception, match="do not have the columns"):
        write([*told, damaged], tmp_path, IO, partition=True)
    assert [path.read_bytes() for path in parts(tmp_path)] == before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == parts(tmp_path)


def test_without_pyarrow_one_line_says_how_to_get_it(tmp_path):
    path = exported.record(tmp_path / "box.ebt", exported.story(ticks=1))
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from ebpftop.cli import main\n"
        "sys.exit(main(['export', *sys.argv[1:]]))"
    )
    arguments = [path, "--format", "parquet", "-o", str(tmp_path / "x")]
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr == "ebpftop: Parquet needs pyarrow: pip install 'ebpftop[parquet]'\n"
    assert not (tmp_path / "x").exists()
