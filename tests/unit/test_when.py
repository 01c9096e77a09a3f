"""Moments as people write them, in several time zones, and on the days when clocks are changed."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest

from ebpftop.recording import when
from ebpftop.recording.overview import Overview, Summary

S = 1_000_000_000
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S


def utc(text):
    """UTC in ns of `2026-11-19 10:02:07`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * S


FIRST, LAST = utc("2026-11-19 09:30:00"), utc("2026-11-19 11:00:00")


@pytest.fixture
def zone(monkeypatch):
    """Sets the local time zone of this process."""

    def change(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    change("UTC")
    yield change
    monkeypatch.undo()
    time.tzset()


def parse(text, first=FIRST, last=LAST, relative_to=None):
    relative_to = last if relative_to is None else relative_to
    return when.parse(text, wall_ns_first=first, wall_ns_last=last, relative_to_ns=relative_to)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10:02", "2026-11-19 10:02:00"),
        ("9:45", "2026-11-19 09:45:00"),
        ("10:02:07", "2026-11-19 10:02:07"),
        ("2026-11-19 10:02:07", "2026-11-19 10:02:07"),
        ("2026-11-19T10:02:07", "2026-11-19 10:02:07"),
        ("2026-11-19t10:02", "2026-11-19 10:02:00"),
        ("2026-11-19", "2026-11-19 00:00:00"),
        ("2026-11-18 23:59:59", "2026-11-18 23:59:59"),
        ("  10:02  ", "2026-11-19 10:02:00"),
    ],
)
def test_a_moment_on_the_clock(zone, text, moment):
    assert parse(text) == utc(moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-19T10:02:07Z", "2026-11-19 10:02:07"),
        ("2026-11-19 10:02:07 UTC", "2026-11-19 10:02:07"),
        ("2026-11-19T10:02:07+01:00", "2026-11-19 09:02:07"),
        ("2026-11-19T10:02:07-0330", "2026-11-19 13:32:07"),
        ("10:02Z", "2026-11-19 10:02:00"),
        ("19:32+09:00", "2026-11-19 10:32:00"),
    ],
)
def test_an_offset_outweighs_the_local_zone(zone, text, moment):
    zone("America/New_York")
    assert parse(text) == utc(moment)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Europe/Berlin", "11:02"),
        ("Asia/Kolkata", "15:32"),
        ("America/New_York", "05:02"),
        ("Pacific/Kiritimati", "2026-11-20 00:02"),
    ],
)
def test_without_an_offset_the_local_zone_is_meant(zone, name, text):
    zone(name)
    assert parse(text) == utc("2026-11-19 10:02:00")


def test_fractions_of_seconds_are_exact_to_the_nanosecond(zone):
    assert parse("2026-11-19 10:02:07.000000001") == utc("2026-11-19 10:02:07") + 1
    assert parse("10:02:07.5") == utc("2026-11-19 10:02:07") + S // 2


def test_what_utc_writes_is_read_as_the_same_moment(zone):
    zone("Asia/Kolkata")
    moment = FIRST + 123_456_789
    assert when.utc(moment) == "2026-11-19T09:30:00.123456789Z"
    assert parse(when.utc(moment)) == moment


@pytest.mark.parametrize(
    ("text", "distance"),
    [
        ("-3m", -3 * MINUTE),
        ("+30s", 30 * S),
        ("-1h30m", -90 * MINUTE),
        ("+1.5s", 3 * S // 2),
        ("-250ms", -S // 4),
        ("-2d", -2 * DAY),
        ("-1H", -HOUR),
    ],
)
def test_lengths_count_from_where_the_caller_says(zone, text, distance):
    assert parse(text, relative_to=FIRST + 7) == FIRST + 7 + distance


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("start", FIRST),
        ("END", LAST),
        ("now", LAST),
        ("0%", FIRST),
        ("50%", (FIRST + LAST) // 2),
        ("12.5%", FIRST + (LAST - FIRST) // 8),
        ("100%", LAST),
    ],
)
def test_places_in_the_recording(zone, text, moment):
    assert parse(text) == moment


def test_a_time_of_day_is_the_one_inside_a_recording_over_midnight(zone):
    first, last = utc("2026-11-19 22:00:00"), utc("2026-11-20 03:00:00")
    assert parse("23:30", first, last) == utc("2026-11-19 23:30:00")
    assert parse("01:00", first, last) == utc("2026-11-20 01:00:00")


def test_of_several_days_the_nearest_to_the_position_counts(zone):
    first, last = utc("2026-11-10 00:00:00"), utc("2026-11-20 00:00:00")
    here = utc("2026-11-14 23:00:00")
    assert parse("10:00", first, last, here) == utc("2026-11-15 10:00:00")
    assert parse("12:00", first, last, here) == utc("2026-11-14 12:00:00")


def test_a_time_of_day_outside_the_recording_is_the_nearest_to_it(zone):
    assert parse("09:00") == utc("2026-11-19 09:00:00")
    assert parse("12:00") == utc("2026-11-19 12:00:00")
    assert parse("23:00", utc("2026-11-19 00:10:00"), utc("2026-11-19 00:20:00")) == utc(
        "2026-11-18 23:00:00"
    )


def test_a_time_that_comes_twice_is_the_one_inside_the_recording(zone):
    """On 2026-10-25 Berlin has 02:30 at 00:30 UTC in summer time, and at 01:30 UTC in winter's."""
    zone("Europe/Berlin")
    summer, winter = utc("2026-10-25 00:30:00"), utc("2026-10-25 01:30:00")
    for text in ("02:30", "2026-10-25 02:30"):
        assert parse(text, summer - 20 * MINUTE, summer + 20 * MINUTE) == summer
        assert parse(text, winter - 20 * MINUTE, winter + 20 * MINUTE) == winter


def test_of_two_that_are_both_inside_the_nearer_to_the_position_counts(zone):
    zone("America/New_York")
    summer, winter = utc("2026-11-01 05:30:00"), utc("2026-11-01 06:30:00")
    around = (summer - HOUR, winter + HOUR)
    assert parse("01:30", *around, summer + MINUTE) == summer
    assert parse("01:30", *around, winter - MINUTE) == winter
    assert parse("2026-11-01T01:30:00-05:00", *around, summer) == winter


def test_a_time_that_the_clocks_skip_is_as_much_after_the_change(zone):
    """On 2026-03-29 Berlin goes from 02:00 to 03:00: 02:30 is 03:30, an hour and a half past 02."""
    zone("Europe/Berlin")
    first, last = utc("2026-03-29 00:00:00"), utc("2026-03-29 03:00:00")
    assert parse("02:30", first, last) == utc("2026-03-29 01:30:00")


def test_midnight_of_a_zone_that_is_west(zone):
    zone("America/New_York")
    assert parse("2026-11-19") == utc("2026-11-19 05:00:00")


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "10", "10:", "25:00", "10:60", "10:02:99", "10:02 PM", "\0"),
        *("2026-13-01", "2026-02-30 10:00", "0000-01-01", "2026-11-19 10:02:07 CET"),
        *("2026-11-19T10:02+99:00", "-", "+", "3m", "-3", "-3y", "-3m x", "101%", "-5%", "%"),
        "\N{ARABIC-INDIC DIGIT ONE}0:02",
    ],
)
def test_anything_else_is_one_sentence_that_says_what_is_known(zone, text):
    with pytest.raises(ValueError, match="is no moment; known are 10:02, ") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ends", [(0, 10**30), (-(10**30), 0)])
def test_clocks_that_no_calendar_holds_are_an_error_and_no_crash(zone, ends):
    with pytest.raises(ValueError, match="is no moment"):
        parse("10:02", *ends)


def test_an_excerpt_is_everything_unless_ends_are_given(zone):
    assert when.span("", "", wall_ns_first=FIRST, wall_ns_last=LAST) == (FIRST, LAST)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("-10m", "", ("2026-11-19 10:50:00", "2026-11-19 11:00:00")),
        ("+10m", "", ("2026-11-19 09:40:00", "2026-11-19 11:00:00")),
        ("", "+10m", ("2026-11-19 09:30:00", "2026-11-19 09:40:00")),
        ("10:00", "+30s", ("2026-11-19 10:00:00", "2026-11-19 10:00:30")),
        ("-10m", "-1m", ("2026-11-19 10:50:00", "2026-11-19 10:59:00")),
        ("50%", "end", ("2026-11-19 10:15:00", "2026-11-19 11:00:00")),
        ("10:00", "100%", ("2026-11-19 10:00:00", "2026-11-19 11:00:00")),
        ("10:00", "10:30", ("2026-11-19 10:00:00", "2026-11-19 10:30:00")),
        ("09:00", "12:00", ("2026-11-19 09:00:00", "2026-11-19 12:00:00")),
    ],
)
def test_lengths_count_from_the_end_that_they_look_away_from(zone, first, last, expected):
    ends = when.span(first, last, wall_ns_first=FIRST, wall_ns_last=LAST)
    assert ends == tuple(map(utc, expected))


def test_the_second_time_of_day_is_the_next_after_the_first(zone):
    days = {"wall_ns_first": utc("2026-11-10 12:00:00"), "wall_ns_last": utc("2026-11-15 22:30:00")}
    assert when.span("10:00", "23:00", **days) == (
        utc("2026-11-15 10:00:00"),
        utc("2026-11-15 23:00:00"),
    )
    assert when.span("22:00", "02:00", wall_ns_first=days["wall_ns_first"],
                     wall_ns_last=utc("2026-11-15 12:00:00")) == (
        utc("2026-11-14 22:00:00"),
        utc("2026-11-15 02:00:00"),
    )  # fmt: skip


def overview(*wall_s):
    made = Overview()
    wall = [second * S for second in wall_s]
    made.append(Summary(wall, list(range(0, len(wall) * S, S)), S))
    return made


def test_both_ends_of_a_span_belong_to_it():
    assert when.ticks(overview(10, 11, 12, 13), 11 * S, 12 * S) == [(1, 2)]


def test_a_span_between_two_ticks_is_empty():
    assert when.ticks(overview(10, 20), 11 * S, 19 * S) == []


def test_ticks_keep_their_numbers_where_older_ones_are_gone():
    ticks = overview(10, 11, 12, 13)
    ticks.forget(2)
    assert when.ticks(ticks, 0, 100 * S) == [(2, 3)]


def test_a_clock_that_was_set_back_makes_two_runs():
    assert when.ticks(overview(10, 11, 12, 10, 11, 12), 11 * S, 12 * S) == [(1, 2), (4, 5)]
