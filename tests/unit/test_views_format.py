"""Figures as text: short, aligned, and a dash for what is not known."""

import pytest

from ebpftop.views import format as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01, "<0.1"),
        (0.4, "0.4"),
        (5.0, "5"),
        (37, "37"),
        (9999, "9999"),
        (10_000, "10.0k"),
        (999.6, "1.00k"),
        (99_950, "100k"),
        (1_234_567, "1.23M"),
        (-1500.0, "-1.50k"),
    ],
)
def test_a_count_has_three_digits_and_a_decimal_unit(value, text):
    assert fmt.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (512, "512"), (1023, "1023"), (1024, "1.00K"), (1536, "1.50K"), (1 << 30, "1.00G")],
)
def test_bytes_have_a_binary_unit(value, text):
    assert fmt.bytes_(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1ns"),
        (812, "812ns"),
        (999.6, "1.00µs"),
        (3_420, "3.42µs"),
        (12_100_000, "12.1ms"),
        (1_200_000_000, "1.20s"),
        (123_000_000_000, "2m03s"),
        (3_720_000_000_000, "1h02m"),
        (100_000_000_000_000, "1d03h"),
    ],
)
def test_a_time_takes_the_unit_of_its_size(value, text):
    assert fmt.ns(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0%"), (0.0001, "<0.1%"), (0.004, "0.4%"), (0.5, "50.0%"), (1.0, "100%"), (3.2, "320%")],
)
def test_a_share_is_a_percentage(value, text):
    assert fmt.ratio(value) == text


@pytest.mark.parametrize("kind", sorted(fmt.FORMATS))
def test_what_is_not_known_is_a_dash_and_never_zero(kind):
    assert fmt.FORMATS[kind](None) == fmt.UNKNOWN


@pytest.mark.parametrize("kind", ["count", "bytes", "ns", "ratio"])
def test_no_figure_is_wider_than_its_column(kind):
    values = [0.04 * 1.17**power for power in range(250)]
    widest = max(len(fmt.FORMATS[kind](value)) for value in values if value < 1e15)
    assert widest <= fmt.WIDTHS[kind] or kind == "ratio"


def test_a_slot_is_shown_by_its_bounds():
    assert fmt.slot(10) == "1.02µs…2.05µs"


def test_a_stack_begins_with_the_innermost_frame():
    assert fmt.stack("main;read;vfs_read_[k]") == "vfs_read_[k] ← read ← main"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("nginx", "nginx"),
        ("[/b]", "[/b]"),
        ("evil\x1b[31m\nname", "evil·[31m·name"),
        ("tab\there", "tab·here"),
        ("right\u202eleft", "right·left"),
        ("lone\ud800surrogate", "lone·surrogate"),
        ("e\u0301te\u0301", "été"),
        ("データ", "データ"),
    ],
)
def test_a_name_is_plain_text_whatever_it_holds(name, shown):
    assert fmt.clean(name) == shown


def test_a_cleaned_name_can_be_written_to_a_terminal():
    everything = "".join(map(chr, range(0x2000))) + "\ud800\udfff\u202e\u2028"
    cleaned = fmt.clean(everything)
    assert cleaned.isprintable()
    cleaned.encode()


def test_width_counts_cells():
    assert fmt.width("データ.db") == 9


@pytest.mark.parametrize("cells", range(12))
def test_fit_gives_exactly_the_cells_asked_for(cells):
    for text in ("", "abc", "データ収集", "a long command name"):
        assert fmt.width(fmt.fit(text, cells)) == cells


def test_what_is_cut_ends_in_an_ellipsis():
    assert fmt.cut("postgres", 5) == "post…"


def test_figures_are_padded_on_the_left():
    assert fmt.fit("12", 5, right=True) == "   12"
