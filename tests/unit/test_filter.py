"""The filter: which rows words, patterns and comparisons leave."""

from operator import itemgetter

import pytest

from ebpftop.model import Sample
from ebpftop.views import difference
from ebpftop.views.filter import compile_filter
from ebpftop.views.group import fold, regrouped
from ebpftop.views.scope import Names
from ebpftop.views.state import ViewState
from ebpftop.views.table import Shape, build
from tests.unit.connections import (
    FIELDS,
    INFO,
    MIB,
    NAMES,
    PEOPLE,
    ROWS,
    SECOND,
    SHAPE,
    TABLE,
    VIEW,
)


def chosen(text):
    """The process ids of the rows that a filter leaves."""
    sample = Sample("tcptop", 1, 0, 0, 2 * SECOND, {"connections": ROWS})
    made = build(SHAPE, sample, ViewState(filter=text), PEOPLE, NAMES)
    assert not made.error, made.error
    return sorted(row[0] for row in made.rows)


@pytest.mark.parametrize("text", ["", "   ", "/", "//", '""', "not //", "// or nginx"])
def test_nothing_that_is_asked_filters_nothing(text):
    assert compile_filter(text, FIELDS) is None


# Words and patterns


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("nginx", [1]),
        ("SDA worker", [1]),
        (
            "worker SDA",
            [
                1,
            ],
        ),
        ("sd", [1, 2, 4]),
        ("10.0.0.1", [1]),
        ("[kworker/0:1]", [2]),
        ("libc.so.6", [2]),
        ("a-b", [2]),
        ("don't", [2]),
        ("vda1", [3]),
        ('"nginx: worker"', [1]),
        ("'worker nginx'", []),
        ('"and', []),
        ("443", [1]),
    ],
)
def test_words_must_all_be_there_in_any_case(text, pids):
    assert chosen(text) == pids


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.1:443", "[kworker/0:1]", "libc.so.6", "a-b", "--port=8080", "-Dx.y=z", "LANG=C"),
        *("foo(bar)", "operator()", ":)", "a->b", "x=>y", "std::vector<int>", "vector<int>", "C++"),
        *("vim notes~", "a|b", "a&b", "50%", "#1", "@reboot", "$HOME", "sleep in bed", "ip in ip6"),
        *("in", "and", "or", "AND", "android", "oracle", "notepad", "ok!", "x: y"),
        *("http://x?a=b&c=d", "[/b]", "{}", "a,b", "it's", "<none>", "..", "a..b", "=x", "~x"),
    ],
)
def test_what_is_no_operator_is_text(text):
    made = compile_filter(text, FIELDS, searched=itemgetter(0))
    assert made is not None
    assert made.error == ""
    assert made.matches((f"1 {text.upper()} 2",))
    assert made.matches((" ".join(reversed(text.split())),))
    assert not made.matches((text[:-1],))


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("/^(1|3) /", [1, 3]),
        ("/NGI", [1]),
        ("/usr/sbin", []),
        ("exe ~ /usr/sbin", [1]),
        ("exe ~ /usr/s.*/ worker", [1]),
        ("/nginx: w/ sda", [1]),
        (r"/kworker\/0/", [2]),
        ("(/nginx/ or /postgres/)", [1, 3]),
        ("/[/]0:/", [2]),
    ],
)
def test_a_pattern_stands_between_slashes_of_which_the_last_may_be_missing(text, pids):
    assert chosen(text) == pids


def test_a_pattern_is_tried_on_the_beginning_of_a_long_text_only():
    made = compile_filter("/x$/", FIELDS, searched=lambda row: "y" * row[0] + "x")
    assert made is not None
    assert made.matches((4000,))
    assert not made.matches((5000,))


# Comparisons


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("ios > 5", [2]),
        ("ios >= 5", [1, 2]),
        ("ios<50", [1, 3]),
        ("ios <= 5 and ios != 0", [1]),
        ("ios = 50", [2]),
        ("ios == 0.05k", [2]),
        ("bytes > 1MB", [2, 4]),
        ("bytes >= 1MB", [1, 2, 4]),
        ("bytes >= 1 MB", [1, 2, 4]),
        ("bytes >= 1m/s nginx", [1]),
        ("bytes >= 1024kB nginx", [1]),
        ("bytes >= 0.5MiB or bytes = 0", [1, 2, 3, 4]),
        ("bytes = 10485760", [2]),
        ("pid = 2", [2]),
        ("lport in (80, 22)", [2, 3, 4]),
        ("lport in 80,443", [1, 2, 4]),
        ("lport in 1..100", [2, 3, 4]),
        ("lport in (22, 400..500)", [1, 3]),
        ("lport not in 1..100", [1]),
    ],
)
def test_figures_are_meant_as_the_screen_shows_them(text, pids):
    assert chosen(text) == pids


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("avg > 1ms", [1]),
        ("avg >= 1ms", [1, 2]),
        ("avg_ns > 1000000", [1]),
        ("avg >= 0.001s", [1, 2]),
        ("avg = 20ms", [1]),
        ("avg in 500µs..2ms", [2]),
        ("avg in 500us..2ms", [2]),
        ("avg < 1m30s", [1, 2]),
        ("lat > 10ms", [1]),
        ("latency > 10ms", [1]),
        ("lat_ns > 150ms", [1]),
        ("lat_ns >= 100ms", [1, 2]),
    ],
)
def test_times_have_units_and_the_short_name_of_a_hidden_sum_is_the_average(text, pids):
    assert chosen(text) == pids


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("busy >= 50%", [1]),
        ("busy > 4.9%", [1, 3]),
        ("busy >= 0.05", [1, 3]),
        ("busy = 0", [2]),
        ("slot >= 1ms", [1, 3]),
        ("slot = 1.5ms", [1]),
        ("slot < 1s", [1, 2]),
        ("slot in 1µs..2µs", [2]),
    ],
)
def test_time_per_time_is_a_share_and_a_slot_is_its_lower_bound(text, pids):
    assert chosen(text) == pids


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("disk = sda", [1, 4]),
        ("DISK=SDA", [1, 4]),
        ("disk != sda", [2, 3]),
        ("disk ~ ^s", [1, 2, 4]),
        ("disk !~ ^s", [3]),
        ("disk ~ ^(sdb|vda1)$", [2, 3]),
        ("disk ~ /sdb|vd/", [2, 3]),
        ("disk in (sdb, vda1)", [2, 3]),
        ('disk in ("sdb")', [2]),
        ("disk not in (sdb, vda1)", [1, 4]),
        ("comm = nginx", [1]),
        ("command ~ ng", [1]),
        ("comm ~ k.*0:1", [2]),
        ('cmdline = "nginx: worker"', [1]),
        ("user=root or user=www-data", [1, 2]),
        ("uid = 33", [1]),
        ("ppid = 1", [2, 3]),
        ("exe ~ sbin", [1]),
        ("unit = nginx.service", [1]),
        ("container = db runtime = docker pod = a/b", [3]),
        ("cgroup in /system.slice", [1, 2]),
        ("cgroup in /system", []),
        ("cgroup = /system.slice/nginx.service", [1, 2]),
        ("cgroup ~ nginx", [1, 2]),
        ("cgroup = /docker/db", [3]),
        ("cgroup in (/docker, /system.slice/nginx.service)", [1, 2, 3]),
        ("pid ~ ^[12]", [1, 2]),
    ],
)
def test_texts_are_compared_whole_in_any_case(text, pids):
    assert chosen(text) == pids


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("raddr in 10.0.0.0/8", [1]),
        ("raddr in (10.0.0.0/8, fd00::/8)", [1, 2]),
        ("raddr in 10.0.0.7/24", [1]),
        ("raddr not in 0.0.0.0/0", [2]),
        ("raddr in 10.0.0.0..192.168.1.7", [1, 3, 4]),
        ("raddr = FD00:0::1", [2]),
        ("raddr in 10.0.0.1", [1]),
        ("raddr != 10.0.0.1", [2, 3, 4]),
        ("raddr ~ ^1", [1, 3, 4]),
    ],
)
def test_addresses_are_asked_for_by_network(text, pids):
    assert chosen(text) == pids


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("nginx or postgres", [1, 3]),
        ("nginx || postgres", [1, 3]),
        ("not nginx", [2, 3, 4]),
        ("!nginx", [2, 3, 4]),
        ("! not nginx", [1]),
        ("sd not ios > 5", [1, 4]),
        ("sd and worker or postgres", [1, 2, 3]),
        ("sd (nginx or postgres)", [1]),
        ("sd and(nginx or postgres)", [1]),
        ("not(nginx or postgres)", [2, 4]),
        ("(bytes>1MB)&&(sd)", [2, 4]),
        ("bytes>1MB&&sd", [2, 4]),
        ("bytes > 1MB AND comm ~ k OR disk = vda1", [2, 3]),
        ("((nginx))", [1]),
    ],
)
def test_and_binds_closer_than_or_and_not_closest(text, pids):
    assert chosen(text) == pids


def test_what_is_unknown_answers_to_no_comparison():
    for text in ("ios = 0", "ios != 0", "ios < 5", "ios >= 0", "ios in 0..99", "slot != 1ms"):
        assert 4 not in chosen(text)
    assert 4 not in chosen("user != root")
    assert 1 not in chosen("container != db")
    assert 4 in chosen("not ios >= 0")


def test_a_row_with_a_value_of_another_type_answers_to_no_comparison():
    made = compile_filter("ios > 1 or raddr in 10.0.0.0/8", FIELDS, lambda field: lambda row: "x")
    assert made is not None
    assert not made.matches(())


# Other tables


def ranges():
    """Two sums, of two seconds and of four, of the same rows; the first has grown tenfold."""
    a = Sample("tcptop", 1, 0, 0, 2 * SECOND, {"connections": ROWS})
    grown = [(*ROWS[0][:7], 40 * MIB, *ROWS[0][8:]), *ROWS[1:3]]
    return a, Sample("tcptop", 2, 0, 0, 4 * SECOND, {"connections": grown})


@pytest.mark.parametrize(
    ("text", "pids"),
    [
        ("bytes > 8MB", [1]),
        ("bytes < 0", [2, 4]),
        ("bytes < -4MB", [2]),
        ("bytes = 0 or disk = vda1", [3]),
        ("comm = nginx", [1]),
        ("cgroup = /docker/db", [3]),
        ("lat_ns < -20ms", [1, 2]),
    ],
)
def test_where_ranges_are_compared_figures_are_their_changes(text, pids):
    a, b = ranges()
    made = difference.build(SHAPE, a, b, ViewState(filter=text), PEOPLE, NAMES)
    assert not made.error
    assert sorted(row[0] for row in made.rows) == pids


@pytest.mark.parametrize(
    ("role", "text", "keys"),
    [
        ("command", "comm = nginx", ["nginx"]),
        ("command", "command ~ ^k and rows = 1", ["kworker/0:1"]),
        ("container", "container = db", ["db"]),
        ("disk", "bytes > 1MB", ["SDA", "sdb"]),
        ("cgroup", "cgroup in /docker", ["/docker/db"]),
    ],
)
def test_a_table_that_is_folded_is_asked_for_what_it_is_folded_by(role, text, keys):
    sample = Sample("tcptop", 1, 0, 0, 2 * SECOND, {"connections": ROWS})
    names = Names(PEOPLE, NAMES, {9: "/system.slice/nginx.service", 8: "/docker/db"})
    shape = Shape.of(*regrouped(INFO, VIEW, role))
    made = build(shape, fold(sample, TABLE, role, names), ViewState(filter=text), PEOPLE, NAMES)
    assert not made.error
    assert sorted(row[0] for row in made.rows) == keys


def test_the_row_of_the_others_is_left_out_as_nobody_knows_what_it_holds():
    others = (*[None] * 6, 9, 9, 9, 9, None)
    sample = Sample("tcptop", 1, 0, 0, 2 * SECOND, {"connections": [*ROWS, others]})
    assert build(SHAPE, sample, ViewState(filter="bytes > 0")).others is None
    assert build(SHAPE, sample, ViewState(filter="bytes >")).others == others
