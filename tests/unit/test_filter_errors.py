"""What is said of a text that is no filter, and what one that is unfinished may become."""

import pytest

from ebpftop.model import Column, ProbeInfo, Table, View
from ebpftop.views.fields import Fields
from ebpftop.views.filter import compile_filter, completions
from ebpftop.views.table import Shape
from tests.unit.connections import FIELDS, ROWS


def wrong(text):
    """What is said of a text, the character it is about, and whether typing may mend it."""
    made = compile_filter(text, FIELDS)
    assert made is not None
    assert made.matches(ROWS[0]) or not made.error
    return made.error, made.position, made.unfinished


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
        ("/usr/bin/nginx and bytes > 1MB", 0, "this / is not closed"),
        ("exe ~ /usr/bin nginx", 6, "this / is not closed"),
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
