"""The timeline: which ticks share a column, and what is seen of them."""

import math

import pytest

from ebpftop.recording.overview import Mark, Overview
from ebpftop.views.timeline import Ticks, columns
from tests.unit.ticks import PROBE, SECOND, made_at_random, overview

NAN = math.nan
SIZES = ((1, 1), (1, 80), (2, 80), (7, 80), (79, 80), (80, 80), (81, 80), (600, 80), (600, 200))


def shown(ticks, width):
    return columns(ticks, PROBE, width)


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
    assert shown(overview([64.0, 26.0, 16.0, 1.0, 0.0]), 5).bars(2) == ["█▃   ", "███▂▁"]


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


def test_the_most_important_mark_of_a_column_is_the_one_that_is_seen():
    marks = [(40, "start", "", ""), (41, "failed", PROBE, ""), (42, "clock", "", "")]
    drawn = shown(overview([1.0] * 100, marks), 10)
    assert list(drawn.marks.values()) == [Mark(41, "failed", PROBE, "")]
