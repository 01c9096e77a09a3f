"""The filter: words, patterns and comparisons, and what is said of a text that is none."""

from operator import itemgetter

import pytest

from ebpftop.model import Column, ProbeInfo, Process, Sample, Table, View
from ebpftop.views.fields import Fields
from ebpftop.views.filter import compile_filter, completions
from ebpftop.views.state import ViewState
from ebpftop.views.table import Shape, build

SECOND, MIB = 1_000_000_000, 1 << 20
TABLE = Table(
    "connections",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("cgroup", "CGROUP", "id", "key", "cgroup"),
        Column("disk", "DISK", "label", "key", "disk"),
        Column("raddr", "REMOTE", "label", "key", "raddr"),
        Column("lport", "PORT", "id", "key", "lport"),
        Column("rport", "PORT", "id", "key", "rport"),
        Column("ios", "IO/s", "count", "sum", rate=True),
        Column("bytes", "B/s", "bytes", "sum", rate=True),
        Column("lat_ns", "latency", "ns", "sum"),
        Column("busy_ns", "BUSY", "ns", "sum", rate=True),
        Column("slot", "time", "slot"),
    ),
)
AVERAGE = Column("avg_ns", "AVG", "ns", "sum", ratio=(("lat_ns",), ("ios",)))
SHOWN = ("pid", "disk", "raddr", "lport", "rport", "ios", "bytes", "avg_ns", "busy_ns")
VIEW = View("table", "connections", "Connections", SHOWN, (AVERAGE,), sort="ios")
INFO = ProbeInfo("tcptop", "", "net", "", (TABLE,), (VIEW,))
SHAPE = Shape.of(INFO, VIEW)
FIELDS = Fields(SHAPE)
# In two seconds: 5, 50, 0 and unknown IO/s; 1M, 10M, 0 and 3M B/s; 20ms, 1ms, nothing on average.
ROWS = [
    (1, 9, "sda", "10.0.0.1", 443, 50001, 10, 2 * MIB, 200_000_000, SECOND, 20),
    (2, 9, "sdb", "fd00::1", 80, 50002, 100, 20 * MIB, 100_000_000, 0, 10),
    (3, 8, "vda1", "192.168.1.7", 22, 50003, 0, 0, 0, SECOND // 10, 30),
    (4, 7, "SDA", "127.0.0.1", 80, 50004, None, 6 * MIB, 1, 1, None),
]
PEOPLE = {
    1: Process(
        *(1, 0, "nginx", 0, 33, "www-data", "/usr/sbin/nginx", "nginx: worker"),
        *(9, "/system.slice/nginx.service", "nginx.service"),
    ),
    2: Process(2, 0, "kworker/0:1", 1, 0, "root", cmdline="[kworker/0:1] libc.so.6 a-b don't"),
    3: Process(3, 0, "postgres", 1, 105, "postgres", container="db", runtime="docker", pod="a/b"),
}


def chosen(text):
    """The process ids of the rows that a filter leaves."""
    sample = Sample("tcptop", 1, 0, 0, 2 * SECOND, {"connections": ROWS})
    made = build(SHAPE, sample, ViewState(filter=text), PEOPLE, {9: "/system.slice/nginx.service"})
    assert not made.error, made.error
    return sorted(row[0] for row in made.rows)


def wrong(text):
    """What is said of a text, the character it is about, and whether typing may mend it."""
    made = compile_filter(text, FIELDS)
    assert made is not None
    assert made.matches(ROWS[0]) or not made.error
    return made.error, made.position, made.unfinished


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


# What is wrong


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("bytse > 1MB x", 0, "no column bytse; there are bytes, "),
        ("nginx bytse>1MB x", 6, "no column bytse"),
        ("foo in (a, b) x", 0, "no column foo"),
        ("foo in 10.0.0.0/8 x", 0, "no column foo"),
        ("port = 80 x", 0, "port is ambiguous: lport or rport"),
        ("> 5 x", 0, "a column must stand before >"),
        ('"a b" > 5 x', 6, "a column must stand before >"),
        ("bytes > 10ms x", 8, "10ms is not a size, like 10MB"),
        ("bytes > nginx x", 8, "nginx is not a size"),
        ("ios > 5kB x", 6, "5kB is not a number"),
        ("lat > 10 x", 6, "10 of which unit?"),
        ("lat > 10MB x", 6, "10MB is not a time, like 10ms"),
        ("slot > 10 x", 7, "10 of which unit?"),
        ("busy > 50 x", 7, "50 of which unit? shares are written with %"),
        ("lport in 1..x and y", 12, "x is not a number"),
        ("pid = 1k x", 6, "1k is not a number"),
        ("disk > 5 x", 5, "disk is text: compare it with"),
        ("bytes ~ 5 x", 6, "bytes is a figure: compare it with"),
        ("raddr > 10.0.0.1 x", 6, "raddr is text"),
        ("raddr = 10.0.0.0/8 x", 8, "10.0.0.0/8 is a network: ask for it with `in`"),
        ("raddr in 10.0.0/8 x", 9, "10.0.0/8 is not an address"),
        ("raddr in fd00::1..10.0.0.1 x", 9, "is not an address"),
        ("bytes =< 5 x", 6, "this is no operator; there are == != "),
        ("comm =~ x y", 5, "this is no operator"),
        ("a and or b", 6, "something must stand before or"),
        ("or b", 0, "something must stand before or"),
        ("a && && b", 5, "something must stand before &&"),
        ("a ) b", 2, "there is no ( for this )"),
        (") b", 0, "there is no ( for this )"),
        ("() b", 1, "there is nothing in these ()"),
        ("disk in (a b) c", 11, "a comma or ) must stand here"),
        ("disk in () c", 9, "a value must stand after in"),
        ("bytes > ) x", 8, "a value must stand after >"),
        ("/(/", 1, "not a pattern"),
        ("/a**/ x", 3, "not a pattern: multiple repeat"),
        ("disk ~ a** x", 9, "not a pattern"),
        ("/" + "a" * 1001 + "/ x", 1, "a pattern has at most 1000 characters"),
        ("(" * 41 + "a", 40, "too many parentheses in one another"),
        ("a " * 2001, 4000, "a filter has at most 4000 characters"),
    ],
)
def test_an_error_points_at_the_character(text, position, says):
    said, at, unfinished = wrong(text)
    assert said.startswith(says) or says in said
    assert (at, unfinished) == (position, False)


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("bytes >", 7, "a value must stand after >"),
        ("bytes > ", 8, "a value must stand after >"),
        ("comm ~", 6, "a value must stand after ~"),
        ("pid in", 6, "a value must stand after in"),
        ("disk in (", 9, "a value must stand after in"),
        ("disk in (sda", 8, "this ( is not closed"),
        ("disk in (sda,", 13, "a value must stand after in"),
        ("nginx and", 9, "something is to follow"),
        ("nginx or ", 9, "something is to follow"),
        ("not", 3, "something is to follow"),
        ("(nginx or redis", 0, "this ( is not closed"),
        ("lat > 10", 6, "10 of which unit?"),
        ("lat > 10x", 6, "10x is not a time"),
        ("raddr in 10.0.", 9, "10.0. is not an address"),
        ("/(", 1, "not a pattern"),
        ("comm ~ (", 7, "not a pattern"),
        ("nginx ) ", 6, "there is no ( for this )"),
    ],
)
def test_an_error_at_the_very_end_may_be_mended_by_typing_on(text, position, says):
    said, at, unfinished = wrong(text)
    assert said.startswith(says)
    assert (at, unfinished) == (position, True)


def test_an_unknown_column_is_told_the_nearest_first():
    said, *_ = wrong("bytse > 5 x")
    names = said.partition("there are ")[2].split(", ")
    assert names[0] == "bytes"
    assert set(names) >= {"pid", "disk", "ios", "avg", "busy", "lat", "comm", "user", "pod"}


def test_a_table_without_processes_knows_nothing_of_them():
    table = Table("latency", (Column("disk", "DISK", "label"), Column("count", "IOs", "count")))
    info = ProbeInfo("p", "", "block", "", (table,), ())
    fields = Fields(Shape.of(info, View("table", "latency", "")))
    assert fields.offered == ("disk", "count")
    assert not fields.knows("comm")


# Completion


@pytest.mark.parametrize(
    ("text", "start", "first"),
    [
        ("by", 0, "bytes"),
        ("nginx and co", 10, "comm"),
        ("(la", 1, "lat"),
        ("not us", 4, "user"),
        ("RAD", 0, "raddr"),
        ("a or b", 5, "bytes"),
        ("bytes > 5 d", 10, "disk"),
    ],
)
def test_the_last_word_may_become_the_name_of_a_column(text, start, first):
    at, names = completions(text, FIELDS)
    assert (at, names[0]) == (start, first)


@pytest.mark.parametrize(
    "text", ["", "by ", "comm ~ by", "/by", '"by', "bytes > by", "disk in (by", "xyz", "(lat)"]
)
def test_values_patterns_and_what_is_no_name_are_not_completed(text):
    assert completions(text, FIELDS)[1] == []


def test_a_name_that_is_whole_is_not_offered_but_longer_ones_are():
    names = completions("lat", FIELDS)[1]
    assert names == ["lat_ns", "latency"]
