"""Rows as CSV, JSON lines and Parquet: those of the samples, each with what explains it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from ebpftop import registry
from ebpftop.collector import host
from ebpftop.commands import export
from ebpftop.model import Process, Sample
from ebpftop.recording import when
from ebpftop.recording.export import SAMPLES, Choice, ExportError, csvfile
from ebpftop.recording.export.output import Output
from ebpftop.recording.export.tables import TIMES, WHO, Tables
from tests.unit import exported
from tests.unit.exported import NAMES, READERS, START_NS, own, rows_of
from tests.unit.made import INFOS, SECOND

every_format = pytest.mark.parametrize("kind", READERS)


@pytest.fixture(scope="module")
def told():
    return exported.story()


@pytest.fixture(scope="module")
def out(told, tmp_path_factory):
    """Exports of the story by format, each made once."""
    folder = tmp_path_factory.mktemp("out")
    path = exported.record(folder / "box.ebt", told)
    for kind in READERS:
        assert export.main([path, "--format", kind, "-o", str(folder / kind)]) == 0
    return {kind: (lambda *of, kind=kind: READERS[kind](folder / kind, *of)) for kind in READERS}


@every_format
@pytest.mark.parametrize(("probe", "table"), exported.tables())
def test_rows_are_those_of_the_samples(told, out, kind, probe, table):
    wanted = rows_of(told, probe, table)
    assert wanted
    assert own(probe, table, out[kind](probe, table)) == wanted


@every_format
def test_each_row_says_when_how_long_and_where(told, out, kind):
    of = [s for s in told if isinstance(s, Sample) and s.probe == "biotop"]
    wanted = [(s.wall_ns, s.dt_ns, "box") for s in of for _ in s.tables["io"]]
    rows = out[kind]("biotop", "io")
    assert [(row["wall_ns"], row["dt_ns"], row["host"]) for row in rows] == wanted


@every_format
def test_the_time_is_that_of_the_clock(out, kind):
    for row in out[kind]("biotop", "io"):
        if kind == "parquet":
            moment = datetime.fromtimestamp(row["wall_ns"] // SECOND, timezone.utc)
            assert row["time"] == moment
        else:
            assert row["time"] == when.utc(row["wall_ns"])


@every_format
def test_names_come_through_as_they_are(out, kind):
    names = {row["pid"]: row["comm"] for row in out[kind]("syscount", "calls") if row["pid"]}
    assert len(names) == len(NAMES)
    assert names == dict(enumerate(NAMES, 1))


@every_format
def test_bytes_that_are_no_text_stay_distinct_and_the_file_stays_utf8(out, kind):
    lines = {row["cmdline"] for row in out[kind]("syscount", "calls") if row["pid"] == 2}
    assert lines == {"/srv/caf\\udce9 --name \\udcff\\udcfe"}


@every_format
def test_rows_of_the_others_have_no_keys_and_are_nobodys(told, out, kind):
    rows = [row for row in out[kind]("cachestat", "access") if row["pid"] is None]
    assert len(rows) == sum(row[0] is None for row in rows_of(told, "cachestat", "access")) > 0
    assert {row[name] for row in rows for name in (*WHO, "cgroup")} == {None}
    assert all(row["hits"] is not None for row in rows)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])  # CSV further down
def test_each_sample_says_what_it_lost_left_out_and_cost(told, out, kind):
    of = [s for s in told if isinstance(s, Sample) and s.probe == "tcptop"]
    rows = out[kind]("tcptop", SAMPLES)
    figures = [(row["seq"], row["lost"], row["left_out"], row["events"]) for row in rows]
    assert figures == [
        (s.seq, sum(s.lost.values()), sum(s.truncated.values()), s.cost.events) for s in of
    ]
    assert all(row["lost_why"] for row in rows)


def batches(records, choice=None):
    return list(Tables(choice or Choice(), when.utc).batches(records))


def comms(made, table="io"):
    """Names by sample, of process 1."""
    return [
        {row[len(TIMES)] for row in batch.rows}
        for batch in made
        if batch.sheet.name == f"biotop.{table}"
    ]


def io(seq, *rows, wall_ns=None):
    return Sample("biotop", seq, wall_ns or START_NS + seq, seq, SECOND, {"io": list(rows)})


def test_a_process_is_called_what_it_was_called_then():
    row = (1, 1, "vda", "read", 1, 1, 1, 1, 1)
    told = [
        exported.hello(),
        Process(1, 5, "sh"),
        io(1, row),
        Process(1, 5, "postgres"),
        io(2, row),
    ]
    assert comms(batches(told)) == [{"sh"}, {"postgres"}]


def test_after_a_reboot_nobody_is_known_by_an_old_id():
    row = (1, 1, "vda", "read", 1, 1, 1, 1, 1)
    told = [exported.hello(), Process(1, 5, "sh"), exported.hello(boot_id="next"), io(1, row)]
    assert comms(batches(told)) == [{None}]


def test_a_row_says_in_which_container_it_was():
    web = Process(1, 5, "nginx", cgroup=1, container="web-1", runtime="docker", pod="shop/web")
    told = [exported.hello(), web, io(1, (1, 1, "vda", "read", 1, 1, 1, 1, 1))]
    batch = next(batch for batch in batches(told) if batch.sheet.name == "biotop.io")
    row = dict(zip((name for name, _ in batch.sheet.columns), batch.rows[0]))
    assert (row["container"], row["runtime"], row["pod"]) == ("web-1", "docker", "shop/web")


def test_the_unit_is_that_of_the_cgroup_in_the_row():
    """A process that has moved is still charged to where it was when it did something."""
    there = Process(1, 5, "sh", cgroup=7, cgroup_path="/new", unit="new.service")
    told = [
        exported.hello(),
        Process(2, 6, "other", cgroup=6, cgroup_path="/old", unit="old.service"),
        there,
        io(1, *((1, cgroup, "vda", "read", 1, 1, 1, 1, 1) for cgroup in (7, 6, 99))),
    ]
    batch = next(batch for batch in batches(told) if batch.sheet.name == "biotop.io")
    names = [name for name, _ in batch.sheet.columns]
    at = names.index("unit"), names.index("cgroup_path")
    assert [tuple(row[i] for i in at) for row in batch.rows] == [
        ("new.service", "/new"),
        ("old.service", "/old"),
        (None, None),
    ]


def test_no_table_has_columns_by_the_names_of_those_in_front():
    reserved = {*TIMES, *WHO, "probe", "table", "date"}
    for probe in (*(probe.info for probe in registry.probes().values()), host.INFO):
        for table in probe.tables:
            assert table.name != SAMPLES
            assert not reserved & {column.name for column in table.columns}


def test_figures_of_a_host_have_their_types():
    sheet = {
        batch.sheet.name: batch.sheet
        for batch in batches(
            [
                replace(exported.hello(), probes=(host.INFO,)),
                Sample("host", 1, START_NS, 1, SECOND, {"host": [], "cpus": []}),
            ]
        )
    }["host.host"]
    types = dict(sheet.columns)
    assert (types["cpu"], types["load1"], types["memory_bytes"]) == ("float", "float", "int")


def test_tables_are_exported_also_where_they_are_empty():
    made = batches([exported.hello(), io(1)])
    assert [(b.sheet.name, len(b.rows)) for b in made] == [
        ("biotop.samples", 1),
        ("biotop.io", 0),
        ("biotop.latency", 0),
    ]


def test_rows_that_do_not_fit_their_columns_are_an_error():
    with pytest.raises(ExportError, match=r"rows of biotop\.io do not have the columns"):
        batches([exported.hello(), io(1, (1, 2))])


@pytest.mark.parametrize(
    "damage", [{"wall_ns": "now"}, {"lost": [1]}, {"dt_ns": None}, {"wall_ns": 10**40}]
)
def test_a_sample_of_the_wrong_types_is_an_error_in_one_line(damage):
    with pytest.raises(ExportError) as caught:
        batches([exported.hello(), replace(io(1), **damage)])
    assert "\n" not in str(caught.value)


def test_csv_quotes_what_must_be_quoted_and_no_more(tmp_path):
    told = [
        exported.hello(),
        *exported.people(),
        io(1, *((pid, 1, "vda", "read", 1, 1, 1, 1, 1) for pid in range(1, 9))),
    ]
    tables = Tables(Choice(("biotop",), "io"), when.utc)
    with Output() as output:
        csvfile.export(tables.batches(told), output, lambda _: str(tmp_path / "io.csv"))
    raw = (tmp_path / "io.csv").read_bytes()
    assert raw.count(b"\r") == 1
    assert b',"carriage\rreturn",' in raw
    assert b',"two\nlines",' in raw
    assert b',"comma, quote"" and \'tick\'",' in raw
    assert b',"=HYPERLINK(""http://x"")",' in raw
    assert ",semi;colon ünï,".encode() in raw
    assert raw.endswith(b"\n")


def test_csv_of_two_descriptions_of_a_table_is_refused(tmp_path):
    biotop = INFOS["biotop"]
    table = biotop.table("io")
    newer = replace(biotop, tables=(replace(table, columns=table.columns[:-1]),))
    told = [exported.hello(), io(1), replace(exported.hello(), probes=(newer,)), io(2)]
    tables = Tables(Choice(("biotop",), "io"), when.utc)
    with (
        pytest.raises(ExportError, match=r"columns of biotop\.io change within the recording"),
        Output() as output,
    ):
        csvfile.export(tables.batches(told), output, lambda _: str(tmp_path / "io.csv"))
    assert list(tmp_path.iterdir()) == []


def test_json_lines_are_in_the_order_of_time_with_probe_and_table_in_front(told, tmp_path):
    path = exported.record(tmp_path / "box.ebt", told)
    out = tmp_path / "out.jsonl"
    assert export.main([path, "-o", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {tuple(line)[:2] for line in lines} == {("probe", "table")}
    walls = [line["wall_ns"] for line in lines]
    assert walls == sorted(walls)


def test_csv_of_the_samples_is_text_a_person_can_read(told, tmp_path):
    path = exported.record(tmp_path / "box.ebt", told)
    out = tmp_path / "out.csv"
    arguments = ["--probe", "tcptop", "--table", SAMPLES, "-o", str(out)]
    assert export.main([path, *arguments]) == 0
    rows = list(csv.DictReader(out.open(newline="")))
    of = [s for s in told if isinstance(s, Sample) and s.probe == "tcptop"]
    assert [int(row["lost"]) for row in rows] == [sum(s.lost.values()) for s in of]
    assert any("full: " in row["lost_why"] for row in rows)
