"""Themes: ours, Textual's own, and files that are none."""

import re

import pytest
from textual.theme import BUILTIN_THEMES

from ebpftop.paths import PACKAGE, THEMES
from ebpftop.ui import themes
from tests.ui import scenes

OURS = [theme.name for theme in themes.load()[0]]


def test_the_themes_that_are_promised_are_there():
    assert {"default-dark", "default-light", "high-contrast"} <= set(OURS)
    assert themes.load()[1] == []


@pytest.mark.parametrize("name", sorted(BUILTIN_THEMES))
def test_every_variable_of_ours_follows_from_textuals_own_themes(name):
    assert themes.variables(BUILTIN_THEMES[name]).keys() == themes.ANSI.keys()


@pytest.mark.parametrize("name", ["nord", "textual-light", "ansi-dark"])
async def test_the_screen_can_be_drawn_in_a_theme_of_textuals(screen, name):
    async with screen(*scenes.opening(samples=2), theme=name) as s:
        assert s.app.theme == name
        await s.press("down", "question_mark")
        assert "Reverse the order" in s.text() or "Block I/O" in s.text()


async def test_c_takes_the_next_of_our_themes(screen):
    async with screen(*scenes.opening(samples=1)) as s:
        seen = []
        for _ in OURS:
            seen.append(s.app.theme)
            await s.press("C")
        assert seen == OURS
        assert s.app.theme == OURS[0]


async def test_a_theme_that_is_not_there_is_said_and_another_taken(screen):
    async with screen(*scenes.opening(samples=1), theme="no-[such]") as s:
        assert s.app.theme == themes.DEFAULT
        assert "no theme no-[such]" in s.text()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "Invalid value"),
        ('name = "x"\nprimary = "red"', "foreground"),
        ('name = "x"\nprimary = "no colour"\nforeground = "red"\nbackground = "blue"', "colour"),
        ('name = "x"\nprimary = "red"\ntypo = 1', "typo"),
        ('primary = "red"', "name"),
    ],
)
def test_a_bad_file_is_reported_and_the_others_are_loaded(tmp_path, text, reason):
    (tmp_path / "bad.toml").write_text(text)
    (tmp_path / "good.toml").write_text((THEMES / "default-dark.toml").read_text())
    loaded, bad = themes.load(tmp_path)
    assert [theme.name for theme in loaded] == ["default-dark"]
    assert bad[0].path.name == "bad.toml"
    assert reason in bad[0].reason.replace("color", "colour")


def test_colours_are_in_themes_only():
    files = [*PACKAGE.glob("ui/**/*.py"), *PACKAGE.glob("views/*.py"), *THEMES.glob("*.tcss")]
    found = [path.name for path in files if re.search(r"#[0-9a-fA-F]{6}\b", path.read_text())]
    assert files
    assert found == []
