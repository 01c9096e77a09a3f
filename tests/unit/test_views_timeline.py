"""The timeline: which ticks share a column, what is seen of them, and what is written around."""

import math
import os
import random
import time
from typing import Any

import pytest

from ebpftop.recording.overview import Mark, Overview, Summary
from ebpftop.views import captions
from ebpftop.views import format as fmt
from ebpftop.views.captions import Moment
from ebpftop.views.timeline import Ticks, columns

SECOND = 1_000_000_000
START_NS = 1_763_546_400 * SECOND  # 2025-11-19 10:00:00 UTC
LATER_NS = START_NS + 90 * 86_400 * SECOND
NAN = math.nan
HOSTILE = "[/b]\x1b[31m\u202ered\n"
PROBE = "biotop"
SIZES = ((1, 1), (1, 80), (2, 80), (7, 80), (79, 80), (80, 80), (81, 80), (600, 80), (600, 200))


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    time.tzset()


def overview(loads, marks=(), lost=None, gaps=None, wall_ns=START_NS) -> Overview:
    """Ticks of a second with these loads; `gaps` are seconds more before some ticks."""
    made, summary = Overview(), Summary()
    for tick in range(len(loads)):
        wall_ns += SECOND + round((gaps or {}).get(tick, 0) * SECOND)
        summary.wall_ns.append(wall_ns)
    summary.mono_ns = list(summary.wall_ns)
    summary.loads[PROBE] = list(loads)
    summary.lost[PROBE] = dict(lost or {})
    gone: list[Any] = [(tick, "gap", "", "nothing was measured") for tick in gaps or {}]
    summary.marks = sorted([*gone, *marks])
    made.append(summary)
    return made


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


def made_at_random(seed):
    """Ticks as they can be: loads of any size, unknown ones, gaps, losses, failures."""
    r = random.Random(seed)
    number = r.choice((1, 2, 3, 10, 59, 100, 600, 2000))
    loads = [r.choice((0.0, NAN, r.random(), 10 ** r.uniform(0, 9))) for _ in range(number)]
    some = lambda share: [tick for tick in range(1, number) if r.random() < share]  # noqa: E731
    gaps = {tick: r.uniform(2, 90_000) for tick in some(r.choice((0, 0.01, 0.5)))}
    kinds = ("failed", "clock", "interval", "start", "damaged")
    marks = [(tick, r.choice(kinds), r.choice(("", PROBE, "x")), HOSTILE) for tick in some(0.02)]
    made = overview(loads, marks, dict.fromkeys(some(0.05), 3), gaps)
    made.forget(r.choice((0, number // 3)))
    return made, r


def test_an_overview_is_what_a_timeline_is_made_of():
    ticks: Ticks = Overview()
    assert columns(ticks, PROBE, 80).spans == ()


@pytest.mark.parametrize("seed", range(40))
def test_no_spike_is_lost_at_any_width(seed):
    ticks, r = made_at_random(seed)
    loads = list(ticks.loads[PROBE])
    drawn = shown(ticks, r.choice((1, 2, 17, 80, 200)))
    for span, peak, top in zip(drawn.spans, drawn.peaks, drawn.tops):
        known = [load for tick in span if not math.isnan(load := loads[tick - ticks.first])]
        assert peak == max(known, default=None)
        assert peak is None or ticks.load(PROBE, top) == peak
    every = [load for load in loads if not math.isnan(load)]
    assert drawn.peak == max(every, default=0.0)


@pytest.mark.parametrize("seed", range(40))
def test_every_tick_has_its_place_and_all_columns_are_used(seed):
    ticks, r = made_at_random(seed)
    width = r.choice((1, 2, 17, 80, 200))
    drawn = shown(ticks, width)
    assert len(drawn.spans) == width
    assert sorted({tick for span in drawn.spans for tick in span}) == [
        *range(ticks.first, ticks.end)
    ]
    starts = [span.start for span in drawn.spans]
    assert starts == sorted(starts)


@pytest.mark.parametrize(("number", "width"), SIZES)
def test_a_click_where_a_tick_is_finds_its_column_again(number, width):
    ticks = overview([float(tick % 7) for tick in range(number)], gaps={number // 2: 60})
    drawn = shown(ticks, width)
    for tick in range(number):
        for column in drawn.between(tick, tick):
            assert tick in drawn.spans[column]
            assert drawn.tick_at(column) in drawn.spans[column]
            if number <= width // 2:
                assert drawn.tick_at(column) == tick


def test_a_click_on_a_spike_goes_to_its_tick():
    ticks = overview([1.0] * 333 + [50.0] + [1.0] * 266)
    drawn = shown(ticks, 80)
    assert drawn.tick_at(drawn.between(333, 333).start) == 333


def test_a_click_beside_the_columns_is_at_the_end():
    drawn = shown(overview([1.0] * 600), 80)
    assert drawn.tick_at(-5) in drawn.spans[0]
    assert drawn.tick_at(500) in drawn.spans[-1]


def test_without_ticks_there_is_nothing_but_a_word():
    ticks = Overview()
    assert shown(ticks, 80).spans == ()
    assert below(ticks, 80) == []
    assert status(ticks).strip() == "no ticks yet"


def test_a_probe_that_was_never_measured_has_no_bars():
    ticks = overview([1.0] * 10)
    drawn = columns(ticks, "tcptop", 10)
    assert drawn.bars(1) == [" " * 10]


def test_a_single_tick_fills_the_width():
    drawn = shown(overview([5.0]), 10)
    assert drawn.bars(1) == ["█" * 10]


def test_ticks_that_were_forgotten_take_no_room():
    ticks = overview([9.0] * 100 + [1.0] * 100)
    ticks.forget(100)
    drawn = shown(ticks, 80)
    assert (drawn.spans[0].start, drawn.spans[-1].stop, drawn.peak) == (100, 200, 1.0)
    assert drawn.between(20, 60) == range(0)
    assert len(drawn.between(20, 120)) == len(drawn.between(100, 120))


def test_what_was_not_measured_differs_from_load_0_and_from_a_gap():
    ticks = overview([4.0, 0.0, NAN, 4.0], gaps={3: 600})
    drawn = shown(ticks, 9)
    assert drawn.looks() == ["bar"] * 2 + ["zero"] * 2 + ["none", "gap"] + ["bar"] * 3
    assert drawn.bars(1) == ["██▁▁ ┊███"]


def test_an_unknown_load_hides_none_beside_it():
    assert shown(overview([NAN, 5.0, NAN]), 1).peaks == (5.0,)
    assert shown(overview([5.0, NAN, NAN]), 1).peaks == (5.0,)


def test_the_smallest_load_is_seen_beside_the_largest():
    drawn = shown(overview([1e12, 0.001, 0.0]), 3)
    assert drawn.bars(1) == ["█▁▁"]
    assert drawn.looks() == ["bar", "bar", "zero"]


def test_an_endless_load_is_as_high_as_a_bar_can_be():
    assert shown(overview([math.inf, 1.0, math.inf]), 3).bars(1) == ["███"]


def test_higher_bars_have_more_steps_from_the_bottom_up():
    assert shown(overview([64.0, 25.0, 16.0, 1.0, 0.0]), 5).bars(2) == ["█▂   ", "███▂▁"]


def test_columns_with_losses_are_told_apart():
    ticks = overview([4.0, 4.0, 0.0, NAN], lost={1: 7, 3: 2})
    drawn = shown(ticks, 4)
    assert drawn.looks() == ["bar", "lost", "zero", "lost"]
    assert drawn.bars(1) == ["██▁!"]


def test_a_gap_has_one_column_however_long_it_was():
    ticks = overview([1.0] * 600, gaps={300: 86_400})
    assert shown(ticks, 80).looks().count("gap") == 1


def test_a_night_asleep_is_a_gap_and_a_small_step_of_the_clock_is_none():
    for step_s, number in ((30_000, 1), (3, 0)):
        ticks = overview([1.0] * 100, marks=[(50, "clock", "", "")])
        for position in range(50, 100):
            ticks.wall_ns[position] += step_s * SECOND
        assert shown(ticks, 80).looks().count("gap") == number


def test_of_too_many_gaps_the_longest_have_columns_and_all_have_marks():
    gaps = {tick: 10 + tick for tick in range(10, 600, 10)}
    ticks = overview([1.0] * 600, gaps=gaps)
    drawn = shown(ticks, 60)
    alone = {span.start for span in drawn.spans if not span}
    marked = {mark.tick for mark in drawn.marks.values()}
    assert alone == set(sorted(gaps)[-10:])
    assert all(tick in alone or any(tick in drawn.spans[x] for x in drawn.marks) for tick in gaps)
    assert marked.isdisjoint(alone)


def test_an_even_load_has_no_spikes():
    assert shown(overview([5.0, 6.0] * 300), 80).spikes == ()


def test_the_three_highest_spikes_are_found_each_once():
    loads = [1.0] * 600
    for tick, load in ((50, 20.0), (200, 90.0), (300, 40.0), (500, 60.0)):
        loads[tick : tick + 30] = [load - 1, *[load] * 28, load - 1]
    drawn = shown(overview(loads), 100)
    assert [drawn.tick_at(column) // 10 for column in drawn.spikes] == [20, 50, 30]


def test_a_tick_with_several_columns_is_one_spike():
    assert len(shown(overview([1.0, 1.0, 9.0, 1.0]), 80).spikes) == 1


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


def test_the_most_important_mark_of_a_column_is_the_one_that_is_seen():
    marks = [(40, "start", "", ""), (41, "failed", PROBE, ""), (42, "clock", "", "")]
    drawn = shown(overview([1.0] * 100, marks), 10)
    assert list(drawn.marks.values()) == [Mark(41, "failed", PROBE, "")]
