"""The line where the filter is typed: names to go on with, and errors below their character."""

import pytest

from ebpftop import registry
from ebpftop.ui.widgets.filterline import FilterLine, marked
from tests.ui import scenes

KEYS = {" ": "space", ">": "greater_than_sign", "~": "tilde", "(": "left_parenthesis", "/": "slash"}


def typed(text):
    """The keys that open the line and type a text into it."""
    return ["slash", *(KEYS.get(character, character) for character in text)]


def line(s):
    return s.app.screen.query_one(FilterLine)


def lines(s):
    """The text that is typed, and the hint below it, as they are on the screen."""
    return s.text(line(s)).splitlines()


def style(s):
    """The style of the hint's text."""
    return [piece.style for piece in line(s).hint.pieces(120) if piece.style]


async def test_a_comparison_filters_rows_while_it_is_typed(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("comm ~ ^(nginx|post)"))
        assert set(s.names()) == {"nginx", "postgres"}
        await s.press("enter")
        assert not s.dashboard.has_class("-filtering")
        assert set(s.names()) == {"nginx", "postgres"}


async def test_before_anything_is_typed_it_says_what_may_be(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("slash")
        for text in ("words", "/pattern/", "bytes > 1MB", "avg > 10ms", "and or not"):
            assert text in lines(s)[1]


async def test_names_that_begin_so_stand_below_and_the_first_behind_the_text(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("nginx co"))
        assert lines(s)[0].endswith("nginx comm")
        for name in ("comm", "container", "command"):
            assert name in lines(s)[1]


@pytest.mark.parametrize("key", ["tab", "right"])
async def test_tab_or_the_right_arrow_take_the_name(screen, key):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("nginx or by"))
        await s.press(key)
        assert line(s).input.value == "nginx or bytes"
        assert s.dashboard.pane.info.name == "biotop"
        await s.press("x")
        assert line(s).input.value == "nginx or bytesx"


async def test_tab_does_nothing_where_there_is_no_name(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("xyz"), "tab")
        assert line(s).input.value == "xyz"
        assert s.dashboard.has_class("-filtering")
        assert s.dashboard.pane.info.name == "biotop"


async def test_an_error_is_marked_below_its_character(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("lat > 10x nginx"))
        text, hint = lines(s)
        assert hint.index("^") == text.index("10x")
        assert "10x is not a time" in hint
        assert style(s) == ["filter--error"]
        assert len(s.names()) == 11


async def test_what_is_unfinished_is_said_dimly_and_hides_nothing(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("bytes >"))
        text, hint = lines(s)
        assert hint.index("^") == text.index(">") + 1
        assert style(s) == ["filter--dim"]
        assert len(s.names()) == 11


async def test_enter_keeps_the_line_open_for_as_long_as_there_is_an_error(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("bytes >"), "enter")
        assert s.dashboard.has_class("-filtering")
        assert style(s) == ["filter--error"]
        await s.press("1")
        assert "^" not in lines(s)[1]
        await s.press("enter")
        assert not s.dashboard.has_class("-filtering")
        assert s.table.filtered == "bytes >1"


async def test_the_mark_stays_below_its_character_when_a_long_text_scrolls(screen):
    async with screen(*scenes.opening(samples=1), size=(80, 24)) as s:
        await s.press(*typed("x" * 90 + " lat > 10x a"))
        text, hint = lines(s)
        assert hint.index("^") == text.index("10x")


async def test_a_filter_is_completed_by_the_columns_of_its_own_pane(screen):
    start = [*scenes.opening(samples=1), scenes.running(scenes.SYSCOUNT), scenes.syscount()]
    async with screen(*start) as s:
        await s.press("2", *typed("sysc"))
        assert "syscall" in lines(s)[1]
        await s.press("escape", "1", *typed("sysc"))
        assert "syscall" not in lines(s)[1]


async def test_in_a_flame_it_is_text_that_is_searched_for(screen):
    flame = registry.probes()["offcputime"].info
    row = (7, 7, 0, "main;wait;bytes >_[k]", 600, 0, 3, 200)
    start = [scenes.hello((flame, scenes.HOST)), scenes.running(flame)]
    async with screen(*start, scenes.at("offcputime", 1, {"stacks": [row]})) as s:
        await s.press(*typed("bytes >"))
        assert lines(s)[1:] in ([""], [])
        assert "“bytes >” 100%" in s.text()
        await s.press("enter")
        assert not s.dashboard.has_class("-filtering")


async def test_escape_forgets_an_unfinished_filter(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("bytes >"), "escape")
        assert s.table.filtered == ""
        assert not s.dashboard.has_class("-filtering")


async def test_a_name_that_looks_like_markup_does_not_harm_the_hint(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press(*typed("lat > [/b] a"))
        assert "[/b] is not a time" in lines(s)[1]


@pytest.mark.parametrize(
    ("at", "start", "text"),
    [
        (0, 0, "^ wrong here"),
        (7, 7, "^ wrong here"),
        (8, 8, "^ wrong here"),
        (15, 4, "wrong here ^"),
        (99, 8, "wrong here ^"),
        (-5, 0, "^ wrong here"),
    ],
)
def test_a_message_stands_on_the_side_with_more_room(at, start, text):
    assert marked("wrong here", at, 20) == (start, text)
