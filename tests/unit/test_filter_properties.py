"""What holds for every filter: against rows and expressions made by chance, from fixed seeds."""

import random
import re

from ebpftop.model import Column, ProbeInfo, Process, Sample, Table, View
from ebpftop.views import format as fmt
from ebpftop.views.fields import Fields
from ebpftop.views.filter import compile_filter, completions
from ebpftop.views.state import ViewState
from ebpftop.views.table import Shape, build

KIB, MIB = 1 << 10, 1 << 20
INTERVAL_NS = 2_000_000_000
TABLE = Table(
    "io",
    (
        Column("pid", "PID", "id", "key", "pid"),
        Column("disk", "DISK", "label", "key", "disk"),
        Column("bytes", "B/s", "bytes", "sum", rate=True),
        Column("count", "COUNT", "count", "sum"),
        Column("max_ns", "MAX", "ns", "max"),
    ),
)
VIEW = View("table", "io", "I/O")
SHAPE = Shape.of(ProbeInfo("io", "", "block", "", (TABLE,), (VIEW,)), VIEW)
VIEW_OF_ALL = View("table", "t", "")
FIELDS = Fields(SHAPE)
PEOPLE = {pid: Process(pid, 0, comm) for pid, comm in enumerate(("nginx", "redis", "java"))}
DISKS = ("sda", "sdb", "vda1", "nvme0n1")
# Texts of values in order, and what they are worth as rows have them.
SIZES = {"0": 0, "1000": 2000, "1K": 2 * KIB, "1.5kB": 3 * KIB, "1MB": 2 * MIB, "2 MiB": 4 * MIB}
COUNTS = {"0": 0, "7": 7, "1k": 1000, "1.5k": 1500, "2M": 2_000_000}
TIMES = {"0": 0, "5ns": 5, "3µs": 3000, "2ms": 2_000_000, "1.5s": 1_500_000_000, "1m": 60 * 10**9}
FIGURES = {"bytes": SIZES, "B/s": SIZES, "count": COUNTS, "max": TIMES, "max_ns": TIMES}
POSITIONS = {"bytes": 2, "B/s": 2, "count": 3, "max": 4, "max_ns": 4}
ORDERS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def rows(rng, number, unknown=False):
    """Rows with the values that expressions name, and with others; sometimes with unknown ones."""
    values = (SIZES, COUNTS, TIMES)
    chosen = []
    for pid in range(number):
        figures = [rng.choice([*known.values(), rng.randrange(10**7)]) for known in values]
        if unknown:
            figures = [None if rng.random() < 0.2 else figure for figure in figures]
        chosen.append((pid % 3, rng.choice(DISKS), *figures))
    return chosen


def expression(rng, depth=3):
    """A text, and the plain function that says what it means of a row."""
    if depth == 0 or rng.random() < 0.3:
        return rng.choice((figure, inside, text, word))(rng)
    one, means_one = expression(rng, depth - 1)
    other, means_other = expression(rng, depth - 1)
    kind = rng.choice(("and", "or", "not"))
    if kind == "not":
        return f"{rng.choice(('not ', 'NOT', '!'))}({one})", lambda row: not means_one(row)
    if kind == "or":
        joint = rng.choice((" or ", "or", " || ", "||", " OR "))
        return f"(({one}){joint}({other}))", lambda row: means_one(row) or means_other(row)
    joint = rng.choice((" and ", "and", " && ", "&&", " ", ""))
    return f"({one}){joint}({other})", lambda row: means_one(row) and means_other(row)


def figure(rng):
    name, symbol, gap = rng.choice(list(FIGURES)), rng.choice(list(ORDERS)), rng.choice(("", " "))
    written, worth = rng.choice(list(FIGURES[name].items()))
    order, position = ORDERS[symbol], POSITIONS[name]
    return (
        f"{name}{gap}{symbol}{gap}{written}",
        lambda row: row[position] is not None and order(row[position], worth),
    )


def inside(rng):
    name = rng.choice(list(FIGURES))
    ends = sorted(rng.sample(list(FIGURES[name].items()), 2), key=lambda item: item[1])
    (first, low), (last, high) = ((text.replace(" ", ""), worth) for text, worth in ends)
    position = POSITIONS[name]
    return (
        f"{name} in {first}..{last}",
        lambda row: row[position] is not None and low <= row[position] <= high,
    )


def text(rng):
    disks = rng.sample(DISKS, 2)
    shape = rng.randrange(4)
    if shape == 0:
        return f"disk in ({disks[0].upper()}, {disks[1]})", lambda row: row[1] in disks
    if shape == 1:
        return f"DISK != {disks[0]}", lambda row: row[1] != disks[0]
    if shape == 2:
        return "disk ~ ^(s|v)d.$", lambda row: re.search("^(s|v)d.$", row[1]) is not None
    return "comm = Redis", lambda row: row[0] == 1


def word(rng):
    part = rng.choice(("sd", "1", "NGINX", "a", "zzz"))
    return part, lambda row: part.lower() in f"{row[0]} {PEOPLE[row[0]].comm} {row[1]}".lower()


def passed(filter_text, given):
    """The rows that a filter leaves, as a table has them."""
    sample = Sample("io", 1, 0, 0, INTERVAL_NS, {"io": given})
    view = build(SHAPE, sample, ViewState(filter=filter_text), PEOPLE)
    assert not view.error, f"{filter_text}: {view.error}"
    return sorted(view.rows, key=repr)


def test_every_expression_means_what_it_plainly_says():
    rng = random.Random(4)
    for _ in range(600):
        given = rows(rng, 25, unknown=True)
        written, means = expression(rng)
        assert passed(written, given) == sorted(filter(means, given), key=repr), written


def test_a_filter_and_its_opposite_part_the_rows():
    rng = random.Random(5)
    for _ in range(200):
        given = rows(rng, 25)
        written, _ = expression(rng)
        both = [*passed(written, given), *passed(f"not ({written})", given)]
        assert sorted(both, key=repr) == sorted(given, key=repr), written


def test_opposite_operators_part_the_rows_whose_value_is_known():
    rng = random.Random(6)
    given = rows(rng, 200, unknown=True)
    for name, known in FIGURES.items():
        for value in known:
            for one, other in (("<", ">="), (">", "<="), ("=", "!=")):
                both = [row for op in (one, other) for row in passed(f"{name} {op} {value}", given)]
                expected = [row for row in given if row[POSITIONS[name]] is not None]
                assert sorted(both, key=repr) == sorted(expected, key=repr)


def test_what_a_cell_shows_is_a_value_near_its_own():
    columns = tuple(Column(kind, kind, kind, "sum") for kind in ("bytes", "count", "ns", "ratio"))
    fields = Fields(Shape.of(ProbeInfo("p", "", "", "", (Table("t", columns),), ()), VIEW_OF_ALL))
    rng = random.Random(7)
    for column in columns:
        for _ in range(500):
            value = 10 ** rng.uniform(-2, 3) if column.kind == "ratio" else 10 ** rng.uniform(0, 15)
            shown = fmt.FORMATS[column.kind](value)
            for symbol, near in (("<", 0.95 * value), (">", 1.05 * value)):
                asked = compile_filter(f"{column.name} {symbol} {shown}", fields, always(near))
                assert asked is not None
                assert not asked.error, f"{shown}: {asked.error}"
                assert asked.matches(()), f"{value} is shown as {shown}"


def always(value):
    """Every field of every row has this value."""
    return lambda _field: lambda _row: value


PIECES = (
    *("and", "or", "not", "in", "!", "(", ")", "&&", "||", "/", '"', "'", ",", "..", " ", "  "),
    *("=", "==", "!=", "<", "<=", ">", ">=", "~", "!~", "bytes", "count", "max", "pid", "disk"),
    *("comm", "user", "B/s", "nosuch", "1MB", "10ms", "5%", "1e999", "-1", "10.0.0.0/8", "::1"),
    *("sda", "nginx", "[a", "(?P<", "*", "a{99999999999}", "\\", "\x00", "é", "\u0663", "\udcff"),
)


def test_no_text_at_all_raises():
    rng = random.Random(8)
    row = (0, "sda", 1, 2, 3)
    for _ in range(20_000):
        pieces = rng.choices(PIECES, k=rng.randrange(1, 12))
        written = rng.choice(("", " ")).join(pieces)
        asked = compile_filter(
            written, FIELDS, lambda field: lambda row: row[POSITIONS.get(field.name, 0)]
        )
        if asked is not None:
            assert asked.matches(row) in (True, False), written
            assert 0 <= asked.position <= len(written)
        start, names = completions(written, FIELDS)
        assert 0 <= start <= len(written)
        assert all(name.startswith(written[start:].casefold()) for name in names)


def test_no_characters_raise_either():
    rng = random.Random(9)
    characters = [
        chr(number) for number in (*range(32, 127), 0, 9, 10, 0xB5, 0x3BC, 0x661, 0x1F600)
    ]
    for _ in range(5000):
        written = "".join(rng.choices(characters, k=rng.randrange(40)))
        asked = compile_filter(written, FIELDS)
        assert asked is None or asked.error or asked.matches(()) in (True, False)
