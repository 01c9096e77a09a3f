"""The filter: all words, or one pattern."""

import pytest

from ebpftop.views.filter import compile_filter


def matches(text, row):
    chosen = compile_filter(text)
    assert chosen is not None
    return chosen.matches(row)


@pytest.mark.parametrize("text", ["", "   ", "/", "//"])
def test_nothing_typed_filters_nothing(text):
    assert compile_filter(text) is None


def test_all_words_must_be_there_in_any_order_and_case():
    assert matches("SDA nginx", "812 nginx sda read")
    assert not matches("sdb nginx", "812 nginx sda read")


def test_a_pattern_stands_between_slashes():
    assert matches("/^(nginx|redis)/", "redis-server")
    assert not matches("/^nginx/", "812 nginx")


def test_a_pattern_works_before_its_closing_slash_is_typed():
    assert matches("/ngi", "nginx")


def test_a_wrong_pattern_says_so_and_hides_nothing():
    chosen = compile_filter("/(/")
    assert chosen is not None
    assert chosen.error.startswith("not a pattern")
    assert chosen.matches("anything")


def test_brackets_outside_a_pattern_are_just_brackets():
    assert matches("[/b]", "5 [/b] sda")
