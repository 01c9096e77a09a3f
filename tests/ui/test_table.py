"""The table under keys, mouse and hostile names."""

from rich.cells import cell_len

from ebpftop.views import format as fmt
from tests.ui import scenes


async def test_nothing_is_selected_at_first(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        assert s.table.state.cursor is None


async def test_the_first_step_selects_the_first_row(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("down")
        assert s.table.selection["pid"] == s.table.view.rows[0][0]


async def test_the_cursor_stays_on_its_row_when_rows_change_places(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("down", "down", "down")
        selected = s.table.selection
        await s.press("greater_than_sign")
        assert s.table.selection == selected
        rows = [
            (*row[:5], 1_000_000_000 - row[5], *row[6:]) for row in scenes.biotop().tables["io"]
        ]
        await s.feed(scenes.at("biotop", 2, {"io": rows, "latency": []}))
        assert s.table.selection == selected


async def test_the_selected_row_stays_in_sight_when_it_moves_away(screen):
    async with screen(*scenes.opening(), scenes.many(500), size=(80, 24)) as s:
        await s.press("down")
        pid = s.table.selection["pid"]
        await s.press("R")
        assert s.table.selection["pid"] == pid
        assert f" {pid} " in s.text(s.table)


async def test_a_row_that_is_gone_keeps_the_selection_and_says_so(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("down")
        await s.feed(scenes.at("biotop", 2, {"io": [], "latency": []}))
        assert "not in this interval" in s.text(s.table)
        await s.feed(scenes.biotop(3))
        assert "not in this interval" not in s.text(s.table)


async def test_end_and_home_go_to_the_last_and_the_first_row(screen):
    async with screen(*scenes.opening(), scenes.many(500)) as s:
        await s.press("end")
        assert s.table.view.position(s.table.state.cursor) == 499
        await s.press("home")
        assert s.table.view.position(s.table.state.cursor) == 0


async def test_a_page_is_what_is_seen_at_once(screen):
    async with screen(*scenes.opening(), scenes.many(500), size=(80, 24)) as s:
        await s.press("home", "pagedown")
        height = s.table.size.height - 3
        assert s.table.view.position(s.table.state.cursor) == height - 1


async def test_the_row_of_the_others_comes_last_with_how_many_they_are(screen):
    async with screen(*scenes.opening(), scenes.many(500)) as s:
        await s.press("end")
        s.table.scroll_end(animate=False)
        await s.settle()
        lines = s.text(s.table).splitlines()
        assert "123 others" in lines[-4]
        assert "total, 623 rows" in lines[-3]


async def test_keys_move_the_sorted_column(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("less_than_sign")
        assert "▼IO/s" in s.text(s.table)
        await s.press("greater_than_sign", "greater_than_sign")
        assert "▼AVG" in s.text(s.table)


async def test_r_turns_the_order_round(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        before = s.names()
        await s.press("R")
        assert s.names() == before[::-1]
        assert "▲B/s" in s.text(s.table)


async def test_a_click_on_a_heading_sorts_by_it_and_once_more_reverses(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        x = s.text(s.table).splitlines()[1].index("DISK")
        for mark in ("DISK▼", "DISK▲"):
            await s.pilot.click(s.table, offset=(x, 1))
            await s.settle()
            assert mark in s.text(s.table)


async def test_a_click_on_a_row_selects_it(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.pilot.click(s.table, offset=(20, 4))
        await s.settle()
        assert s.table.view.position(s.table.state.cursor) == 2


async def test_columns_that_do_not_fit_scroll_and_the_names_stay(screen):
    wide = scenes.at("biotop", 1, {"io": [(1204, 1, "d" * 40, "o" * 30, *[1] * 5)], "latency": []})
    async with screen(*scenes.opening(), wide, size=(80, 24)) as s:
        assert "MAX" not in s.text(s.table)
        assert "▸" in s.text(s.table)
        await s.press(*["right"] * 8)
        assert "MAX" in s.text(s.table)
        assert "◂" in s.text(s.table)
        assert "nginx" in s.text(s.table)


async def test_names_that_look_like_markup_are_just_names(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        assert "[/b]" in s.text(s.table)
        assert "[bold]not markup[/]" in s.text(s.table)


async def test_a_name_that_looks_like_markup_can_be_selected_and_filtered(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        await s.press("slash", "left_square_bracket", "slash", "b", "right_square_bracket")
        await s.press("enter", "down")
        assert s.names() == ["[/b]"]
        assert "5 [/b] · root · [bold]not markup[/]" in s.text(s.table).splitlines()[-2]


async def test_control_characters_never_reach_the_terminal(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        assert "evil·[31m·name" in s.text()
        assert s.text().replace("\n", "").isprintable()


async def test_wide_characters_take_two_cells(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        lines = s.text(s.table).splitlines()
        assert "データ収集" in s.text(s.table)
        assert {cell_len(line) for line in lines} == {s.table.region.width}


def test_our_width_of_a_cleaned_name_is_that_of_the_terminal_library():
    wrong = [
        code for code in range(0x110000) if fmt.width(c := fmt.clean(chr(code))) != cell_len(c)
    ]
    assert wrong == []


async def test_a_sample_without_rows_says_so(screen):
    async with screen(*scenes.opening(), scenes.at("biotop", 1, {"io": []})) as s:
        assert "nothing in this interval" in s.text(s.table)


async def test_before_the_first_sample_the_table_says_what_it_waits_for(screen):
    async with screen(*scenes.opening()) as s:
        assert "measuring the first interval" in s.text(s.table)
