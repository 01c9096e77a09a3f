"""The lines above and below a timeline: status, times and marks."""

import math

import pytest

from ebpftop.recording.overview import Overview
from ebpftop.views import captions
from ebpftop.views import format as fmt
from ebpftop.views.captions import Moment
from ebpftop.views.timeline import columns
from tests.unit.ticks import HOSTILE, PROBE, SECOND, START_NS, made_at_random, overview

pytestmark = pytest.mark.usefixtures("utc")

NAN = math.nan
LATER_NS = START_NS + 90 * 86_400 * SECOND


def shown(ticks, width):
    return columns(ticks, PROBE, width)


def below(ticks, width, **moment):
    return captions.below(ticks, shown(ticks, width), Moment(**moment))


def texts(labels):
    return [label.text.strip() for label in labels]


def line(labels, width):
    cells = [" "] * width
    for label in labels:
        cells[label.at : label.at + len(label.text)] = label.text
    return "".join(cells)


def status(ticks, width=200, now_ns=START_NS, **moment):
    left, right = captions.status(ticks, PROBE, shown(ticks, width), Moment(**moment), now_ns)
    return "".join(part.text for part in captions.fitted(left, right, width))


def test_without_ticks_there_is_nothing_but_a_word():
    ticks = Overview()
    assert shown(ticks, 80).spans == ()
    assert below(ticks, 80) == []
    assert status(ticks).strip() == "no ticks yet"


@pytest.mark.parametrize("seed", range(40))
def test_labels_neither_overlap_nor_leave_the_line(seed):
    ticks, r = made_at_random(seed)
    for width in (1, 9, 10, 40, 80, 200):
        ends = sorted(r.randrange(ticks.end) for _ in range(4))
        position = r.randrange(-5, ticks.end + 5)
        ranges = ((ends[0], ends[1]), (ends[2], ends[3]))
        free = 0
        for label in below(ticks, width, position=position, ranges=ranges):
            assert label.at >= free
            assert ticks.first <= label.tick or label.look in ("a", "b")
            free = label.at + fmt.width(label.text)
        assert free <= width


def test_marks_stand_below_their_columns():
    marks = [(200, "failed", PROBE, "refused"), (400, "clock", "", "went back")]
    ticks = overview([1.0] * 300 + [9.0] + [1.0] * 299, marks)
    drawn = shown(ticks, 100)
    glyphs = {label.text: label for label in below(ticks, 100) if len(label.text) == 1}
    for glyph, tick in (("✗", 200), ("◷", 400), ("▲", 300)):
        assert glyphs[glyph].tick == tick
        assert tick in drawn.spans[glyphs[glyph].at]


def test_a_failure_of_another_probe_is_not_marked():
    ticks = overview([1.0] * 100, marks=[(50, "failed", "tcptop", "refused")])
    assert "✗" not in texts(below(ticks, 80))
    assert "refused" not in status(ticks, position=50)


def test_the_first_start_is_usual_and_others_are_marked():
    marks = [(0, "start", "", "box"), (50, "start", "", "box again")]
    assert texts(below(overview([1.0] * 100, marks), 80)).count("»") == 1


def test_the_first_column_of_a_loss_is_marked_where_there_is_room():
    ticks = overview([1.0] * 100, lost=dict.fromkeys(range(40, 60), 1))
    assert [(label.at, label.tick) for label in below(ticks, 100) if label.text == "!"] == [
        (40, 40)
    ]


def test_times_of_begin_end_position_and_round_minutes_are_there():
    ticks = overview([1.0] * 600)
    labels = below(ticks, 120, position=299)
    assert line(labels, 120).split() == [
        "10:00:01", "╵10:02", "╵10:04", "10:05:00", "╵10:06", "╵10:08", "10:10:00",
    ]  # fmt: skip
    for label in labels:
        if label.text.startswith("╵"):
            assert clock(ticks, label.tick).startswith(label.text.strip("╵ "))


def clock(ticks, tick):
    return captions.clock(ticks.wall(tick))


def test_where_it_spans_days_there_are_dates():
    ticks = overview([1.0] * 2000)
    for position in range(2000):
        ticks.wall_ns[position] = START_NS + position * 60 * SECOND
    words = line(below(ticks, 120, position=300), 120)
    assert words.startswith(" 11-19 10:00 ")
    assert words.endswith(" 11-20 19:19 ")
    assert "╵11-20 " in words


def test_a_gap_says_how_long_it_was():
    ticks = overview([1.0] * 600, gaps={300: 299})
    assert "5m00s gap" in texts(below(ticks, 80, position=0))


def test_a_clock_that_was_set_back_gives_no_length():
    ticks = overview([1.0] * 100, gaps={50: -3600})
    assert f"{fmt.UNKNOWN} gap" in texts(below(ticks, 80))
    assert captions.length(ticks, 40, 60) == fmt.UNKNOWN
    assert f"  {fmt.UNKNOWN}  tick 41/100" in status(ticks, position=40)


def test_the_label_of_the_position_stays_beside_marks():
    ticks = overview([1.0] * 100, marks=[(50, "failed", "", "")])
    words = line(below(ticks, 100, position=51), 100)
    assert words[50] == "✗"
    assert words[52:].startswith(" 10:00:52 ")


def test_the_status_tells_the_moment_and_how_far_it_is_from_the_end():
    ticks = overview([4096.0] * 600, lost={299: 3})
    words = status(ticks, position=299, playing=True, speed=0.25, title="Block I/O", kind="bytes")
    assert words.split("  ")[:7] == [
        " ▶ ×0.25",  # noqa: RUF001
        "10:05:00", "-5m00s", "tick 300/600", "Block I/O", "4.00KB/s", "3 lost",
    ]  # fmt: skip


def test_the_date_is_told_when_it_is_not_today():
    assert " 2025-11-19 10:00:01 " in status(overview([1.0]), now_ns=LATER_NS)
    assert "2025" not in status(overview([1.0]))


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ({"playing": True}, " ▶  "),
        ({"playing": True, "speed": 60.0}, " ▶ ×60  "),  # noqa: RUF001
        ({"speed": 4.0}, " ‖ ×4  "),  # noqa: RUF001
        ({"following": True}, " ● following  "),
    ],
)
def test_the_status_begins_with_what_time_does(moment, words):
    assert status(overview([1.0] * 10), position=3, **moment).startswith(words)


def test_a_load_that_was_not_measured_is_no_0():
    assert "not measured" in status(overview([1.0, NAN, 1.0]), position=1)


def test_marks_are_told_as_text_that_is_safe():
    ticks = overview([1.0] * 10, marks=[(5, "failed", PROBE, HOSTILE)])
    assert "[/b]·[31m·red·" in status(ticks, position=5)


def test_ranges_say_how_long_they_are():
    ticks = overview([1.0] * 600)
    words = status(ticks, position=0, ranges=((10, 39), (100, 219)), hint="m begins anew")
    assert words.endswith("  A 30s    B 2m00s   m begins anew ")


def test_a_range_that_was_begun_reaches_to_the_position():
    ticks = overview([1.0] * 600)
    assert status(ticks, position=49, pending=20).endswith("  A … 30s  ")
    words = status(ticks, position=20, ranges=((0, 5),), pending=49)
    assert words.endswith("  A 6s    B … 30s  ")


def test_a_range_of_the_first_tick_is_an_interval_long():
    assert captions.length(overview([1.0] * 10), 0, 0) == "1s"
    assert captions.length(overview([1.0]), 0, 0) == fmt.UNKNOWN


def test_what_is_pointed_at_has_time_load_and_losses():
    ticks = overview([1.0] * 100 + [50.0] + [2.0] * 99, lost={100: 4}, gaps={150: 60})
    drawn = shown(ticks, 40)

    def told(column):
        parts = captions.pointed(ticks, PROBE, drawn, Moment(position=0), column)
        return [part.text.strip() for part in parts]

    assert told(drawn.between(100, 100).start) == ["10:01:41", "50/s", "4 lost"]
    gap = next(x for x, span in enumerate(drawn.spans) if not span)
    assert told(gap) == ["10:02:30 … 10:03:31", "nothing was measured"]


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_the_status_fits_and_what_matters_least_goes_first(width):
    marks = [(300, "failed", PROBE, "the verifier refused the program " * 5)]
    words = status(
        overview([5.0] * 600, marks, {300: 12}),
        width,
        LATER_NS,
        position=300,
        title="Block I/O",
        ranges=((0, 50), (60, 90)),
        hint="m begins anew, Esc drops",
    )
    assert fmt.width(words) == width
    assert "2025-11-19 10:05:01" in words
    assert ("A 51s" in words) == (width >= 80)
    assert ("hint" in words) is False


def test_the_position_of_a_tick_that_was_forgotten_is_the_oldest():
    ticks = overview([1.0] * 100)
    ticks.forget(50)
    assert "tick 1/50" in status(ticks, position=3)


def test_without_a_position_it_is_the_newest():
    assert "tick 10/10" in status(overview([1.0] * 10), position=None)
