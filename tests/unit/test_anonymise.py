"""Made anonymous: no name gets out, and everything that was to be seen is still to be seen."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

from ebpftop import registry, stream
from ebpftop.collector import host, stacks
from ebpftop.model import (
    Bye,
    Column,
    Hello,
    ProbeInfo,
    Process,
    Record,
    Sample,
    Status,
    Table,
    Tick,
)
from ebpftop.recording import anonymise
from ebpftop.recording.anonymise import Anonymiser

PROBES = (*(probe.info for probe in registry.probes().values()), host.INFO)
KERNEL_STACK = ["do_syscall_64_[k]", "do_sys_poll_[k]", "schedule_[k]"]
CLOSED = {
    "op": "read",
    "family": "v4",
    "proto": "tcp",
    "syscall": "openat/i386",
    "errno": "ENOENT",
}
HELLO = Hello("h", "6.18.0", "b", 2, 10**9, 1, 2, PROBES, "x86_64")


class Secrets:
    """Random names, each remembered."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.given: set[str] = set()

    def name(self) -> str:
        return self.note("".join(self.random.choices(string.ascii_letters + "é本", k=9)))

    def note(self, text: str) -> str:
        self.given.add(text)
        return text

    def address(self) -> str:
        number = self.random.getrandbits(16)
        return self.note(
            self.random.choice(
                [
                    f"192.168.{number >> 8}.{100 + number % 100}",
                    f"93.184.{number >> 8}.{100 + number % 100}",
                    f"2a02:{number:x}::abcd",
                    f"fdab:{number:x}::abcd",
                    f"fe80::abcd:{number:x}",
                ]
            )
        )

    def stack(self) -> str:
        return ";".join(["main", self.name(), f"{self.name()}(int, char*)", *KERNEL_STACK])

    def value(self, column: Column) -> object:
        if column.closed:
            return CLOSED[column.name]
        if column.kind == "stack":
            return self.stack()
        if column.role in ("laddr", "raddr"):
            return self.address()
        if column.kind == "label" or self.random.random() < 0.1:
            return self.name()
        return self.random.randrange(2**40)

    def rows(self, table: Table) -> list[tuple[object, ...]]:
        return [tuple(map(self.value, table.columns)) for _ in range(8)]


def everything(secrets: Secrets) -> list[Record]:
    """A record of each kind with names wherever a record can hold one."""
    name, path = secrets.name, lambda: f"/home/{secrets.name()}/{secrets.name()}"
    records: list[Record] = [
        Hello(name(), f"6.12.41-{name()}", name(), 2, 10**9, 1, 2, PROBES, "x86_64"),
        Status("biotop", "failed", (f"uprobe:{path()}",), f"no {path()}", "", f"at {path()}"),
        Tick(5, 6, 10**9),
        Bye("SIGTERM"),
    ]
    for pid in range(100, 120):
        slice_ = f"/system.slice/{name()}.service"
        command = f"{path()} --token={name()}"
        process = (pid, 7, name(), 1, 4000 + pid, name(), path(), command, 9, slice_)
        container = (f"{name()}@{name()}.service", name(), name(), f"{name()}/{name()}")
        records.append(Process(*process, *container))
    for info in PROBES:
        tables = {table.name: secrets.rows(table) for table in info.tables}
        tables["not described"] = [(name(), 1, [name()])]
        records.append(Sample(info.name, 1, 3, 4, 10**9, tables))
    return records


def row_of(info: ProbeInfo, table: str, **values: object) -> Sample:
    row = tuple(values.get(column.name, 1) for column in info.table(table).columns)
    return Sample(info.name, 1, 0, 0, 10**9, {table: [row]})


def anonymous(info: ProbeInfo, table: str, name: str, *values: object) -> list[Any]:
    """What becomes of some values of a column."""
    change = Anonymiser()
    change(HELLO)
    position = info.table(table).index(name)
    return [
        change(row_of(info, table, **{name: value})).tables[table][0][position] for value in values
    ]


def info_of(name: str) -> ProbeInfo:
    return next(info for info in PROBES if info.name == name)


@pytest.mark.parametrize("seed", range(5))
def test_no_name_is_anywhere_in_what_comes_out(seed):
    secrets, change = Secrets(seed), Anonymiser()
    lines = [stream.encode(change(record)) for record in everything(secrets)]
    assert len(secrets.given) > 200
    text = "\n".join(lines).casefold()
    for secret in secrets.given:
        for spelled in (secret, json.dumps(secret)[1:-1]):
            assert spelled.casefold() not in text


def test_figures_and_times_and_the_number_of_rows_stay():
    secrets, change = Secrets(1), Anonymiser()
    for record in everything(secrets):
        if not isinstance(record, Sample):
            change(record)
            continue
        made = change(record)
        assert (made.seq, made.wall_ns, made.dt_ns) == (record.seq, record.wall_ns, record.dt_ns)
        for table, rows in record.tables.items():
            for before, after in zip(rows, made.tables[table], strict=True):
                kept = [v for v in before if isinstance(v, (int, float))]
                assert [v for v in after if isinstance(v, (int, float))] == kept


def test_losses_costs_and_the_row_of_the_others_stay():
    others = (None,) * 4 + (1, 2, 3, 4, 5)
    sample = Sample("biotop", 1, 0, 0, 10**9, {"io": [others]}, {"full": 3}, truncated={"io": 9})
    change = Anonymiser()
    change(HELLO)
    made = change(sample)
    assert (made.tables["io"], made.lost, made.truncated) == ([others], {"full": 3}, {"io": 9})


def test_the_same_name_becomes_the_same_and_another_another():
    change = Anonymiser()
    one, other, again = (
        change(Process(pid, 1, comm)).comm
        for pid, comm in [(1, "nginx"), (2, "redis"), (3, "nginx")]
    )
    assert one == again != other


def test_a_program_its_file_and_its_unit_stay_alike():
    made = Anonymiser()(
        Process(
            1,
            1,
            "nginx",
            exe="/usr/sbin/nginx",
            cgroup_path="/system.slice/nginx.service",
            unit="nginx.service",
        )
    )
    assert made.comm == "name-1"
    assert made.exe == "/usr/sbin/name-1"
    assert made.cgroup_path == "/system.slice/name-1.service"
    assert made.unit == "name-1.service"


def test_containers_and_pods_are_found_again_and_their_runtimes_stay():
    change = Anonymiser()
    one, other, uid = (
        change(Process(pid, 1, "x", container=container, runtime=runtime, pod=pod))
        for pid, container, runtime, pod in [
            (1, "web", "containerd", "acme/web-7f9c"),
            (2, "db", "containerd", "acme/db-0"),
            (3, "web", "acmevisor", "0d9d0d7e"),
        ]
    )
    assert one.container == uid.container != other.container
    assert (one.runtime, uid.runtime) == ("containerd", "runtime-1")
    assert (one.pod, other.pod, uid.pod) == ("namespace-1/pod-1", "namespace-1/pod-2", "pod-3")


def test_a_container_and_the_cgroup_that_is_named_after_it_stay_alike():
    made = Anonymiser()(Process(1, 1, "x", cgroup_path="/lxc/web", container="web"))
    assert made.cgroup_path.endswith(f"/{made.container}")


@pytest.mark.parametrize("scope", [{}, {"pid": 4242}, {"cgroup": 811}])
def test_what_was_counted_alone_stays_said(scope):
    assert Anonymiser()(Sample("biotop", 1, 0, 0, 10**9, {}, scope=scope)).scope == scope


def test_what_was_not_known_stays_unknown():
    process = Process(1, 2, "")
    assert Anonymiser()(process) == process


@pytest.mark.parametrize(
    "comm",
    [
        "kworker/u8:2-writeback",
        "kworker/0:1H-kblockd",
        "kworker/R-acme",
        "ksoftirqd/0",
        "jbd2/nvme0n1p2-8",
        "jbd2/vda1-8",
        "kworker/u8:2-acme_wq",
    ],
)
def test_the_kernels_usual_threads_keep_their_names(comm):
    made = Anonymiser()(Process(1, 1, comm))
    assert (made.comm == comm) is ("acme" not in comm)


def test_root_and_the_systems_users_stay_and_people_get_other_numbers():
    change = Anonymiser()
    root, daemon, person, nobody = (
        change(Process(1, 1, "x", uid=uid, user=user))
        for uid, user in [(0, "root"), (33, "www-data"), (41_234, "alice"), (65_534, "nobody")]
    )
    assert (root.uid, root.user) == (0, "root")
    assert (daemon.uid, daemon.user) == (33, "user-1")
    assert (person.uid, person.user) == (1000, "user-2")
    assert nobody.uid == 65_534


@pytest.mark.parametrize(
    ("address", "becomes"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0.0.0.0", "0.0.0.0"),
        ("192.168.7.9", "10.0.0.1"),
        ("100.64.3.4", "10.0.0.1"),
        ("169.254.7.9", "169.254.0.1"),
        ("93.184.216.34", "240.0.0.1"),
        ("fdab::7", "fd00::1"),
        ("fe80::aa%eth0", "fe80::1"),
        ("2606:2800::7", "2001:db8::1"),
        ("::ffff:93.184.216.34", "::ffff:240.0.0.1"),
        ("not an address", "address-1"),
    ],
)
def test_an_address_stays_of_its_family_and_of_its_kind(address, becomes):
    assert anonymous(info_of("tcptop"), "connections", "raddr", address) == [becomes]


def test_both_ends_of_a_connection_are_told_apart_and_found_again():
    change = Anonymiser()
    change(HELLO)
    info = info_of("tcptop")
    there, back = (
        change(row_of(info, "connections", laddr=laddr, raddr=raddr)).tables["connections"][0]
        for laddr, raddr in [("192.168.0.5", "192.168.0.6"), ("192.168.0.6", "192.168.0.5")]
    )
    laddr, raddr = (info.table("connections").index(name) for name in ("laddr", "raddr"))
    assert (there[laddr], there[raddr]) == (back[raddr], back[laddr]) == ("10.0.0.1", "10.0.0.2")


def test_disks_keep_the_names_that_the_kernel_gives():
    names = ["sda", "nvme0n1", "dm-3", "md127", "259:7", "acme-backup"]
    made = anonymous(info_of("biotop"), "io", "disk", *names)
    assert made == [*names[:-1], "disk-1"]


def test_names_of_calls_and_errors_stay():
    assert anonymous(info_of("syscount"), "errors", "errno", "ENOENT") == ["ENOENT"]
    assert anonymous(info_of("syscount"), "errors", "syscall", "openat") == ["openat"]


def test_a_column_that_does_not_say_what_it_holds_is_replaced():
    table = Table("t", (Column("pid", "PID", "id"), Column("tenant", "TENANT", "label")))
    change = Anonymiser()
    change(Hello("h", "6", "b", 1, 1, 1, 1, (ProbeInfo("new", "New", "x", "", (table,), ()),)))
    made = change(Sample("new", 1, 0, 0, 1, {"t": [(7, "acme"), (8, "acme"), (9, "umbrella")]}))
    assert made.tables["t"] == [(7, "tenant-1"), (8, "tenant-1"), (9, "tenant-2")]


def test_a_stack_keeps_its_shape_its_kernel_part_and_the_c_librarys():
    one = "main;AcmeServe;__poll;do_sys_poll_[k]"
    other = "main;AcmeServe;AcmeParse;[no frame pointers]"
    assert anonymous(info_of("offcputime"), "stacks", "stack", one, other, None) == [
        "main;function-1;__poll;do_sys_poll_[k]",
        "main;function-1;function-2;[no frame pointers]",
        None,
    ]


@pytest.mark.parametrize(
    "frame",
    [
        "[acme+0x1f]_[k]",
        "bpf_prog_6deef7357e7b4530_acme_[k]",
        "main@acme",
        "[acme+0x2a]",
        "acme::poll",
        "[acme]",
    ],
)
def test_a_frame_that_may_name_a_product_is_replaced(frame):
    (made,) = anonymous(info_of("offcputime"), "stacks", "stack", frame)
    assert "acme" not in made
    assert made.endswith("_[k]") is frame.endswith("_[k]")


def test_what_stands_for_missing_frames_is_known():
    marks = {
        *(stacks.UNKNOWN, stacks.NOT_KEPT, stacks.NO_STACK, stacks.CUT),
        *(stacks.NO_FRAME_POINTERS, stacks.COMPILED),
    }
    offcputime = registry.source(registry.probes()["offcputime"]).with_suffix(".py").read_text()
    assert anonymise.MARKS.issuperset(marks)
    for mark in anonymise.MARKS.difference(marks):
        assert f'"{mark}"' in offcputime


def test_a_degraded_probe_says_why_and_a_failed_one_does_not():
    degraded = Status("tcptop", "degraded", ("raw_tp:x",), "splice() is not seen", "", "")
    failed = Status("tcptop", "failed", (), "FileNotFoundError('/srv/acme')", "start it again", "…")
    change = Anonymiser()
    assert change(degraded) == degraded
    assert change(failed) == Status("tcptop", "failed", (), anonymise.LEFT_OUT, "start it again")


def test_the_descriptions_of_the_probes_stay():
    made = Anonymiser()(HELLO)
    assert (made.probes, made.cpus, made.machine) == (HELLO.probes, 2, "x86_64")
