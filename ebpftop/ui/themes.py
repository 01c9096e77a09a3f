"""Themes: every colour is in `themes/*.toml`, or follows from a theme's base colours.

Textual's own themes know nothing of heat, bars and flames; `variables` derives those from the
colours that every theme has, so that nord or gruvbox work as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import tomllib
from textual.color import Color, ColorParseError
from textual.theme import Theme

from ebpftop.paths import THEMES

if TYPE_CHECKING:
    from pathlib import Path, PurePath

DEFAULT = "default-dark"
HEAT_LEVELS = 5
BLUE = 0.58  # hue; what shrank has the strength of what grew
STYLE_FILES: list[str | PurePath] = [THEMES / "app.tcss", THEMES / "widgets.tcss"]
# For Textual's two themes that leave every colour to the terminal: nothing can be blended there.
ANSI = {
    "dim": "ansi_bright_black",
    "name": "ansi_default",
    "bar": "ansi_blue",
    "heat-0": "ansi_bright_black",
    "heat-1": "ansi_blue",
    "heat-2": "ansi_cyan",
    "heat-3": "ansi_yellow",
    "heat-4": "ansi_red",
    "flame-kernel": "ansi_yellow",
    "flame-user": "ansi_green",
    "flame-text": "ansi_black",
    "series-1": "ansi_cyan",
    "series-2": "ansi_yellow",
    "series-3": "ansi_green",
    "series-4": "ansi_magenta",
    "lost": "ansi_yellow",
    "grew": "ansi_bright_red",
    "grew-bar": "ansi_red",
    "shrank": "ansi_bright_blue",
    "shrank-bar": "ansi_blue",
    "live": "ansi_green",
    "paused": "ansi_yellow",
}
_FIELDS = {field.name for field in fields(Theme)}


@dataclass(frozen=True)
class BadTheme:
    """A theme file that could not be used, and why in one line."""

    path: Path
    reason: str


def load(folder: Path = THEMES) -> tuple[list[Theme], list[BadTheme]]:
    """The themes of a folder by file name, and the files that are none."""
    read = [_read(path) for path in sorted(folder.glob("*.toml"))]
    themes = [theme for theme in read if isinstance(theme, Theme)]
    return themes, [theme for theme in read if isinstance(theme, BadTheme)]


def variables(theme: Theme) -> dict[str, str]:
    """The variables of our own style sheets, from the base colours of a theme."""
    if theme.ansi:
        return dict(ANSI)
    base = theme.to_color_system().generate()

    def color(name: str) -> Color:
        return Color.parse(base[name])

    background, foreground, primary = color("background"), color("foreground"), color("primary")
    grew = color("error")
    shrank = Color.from_hsl(BLUE, *grew.hsl[1:])
    derived = {
        "dim": background.blend(foreground, 0.5),
        "name": foreground,
        "bar": background.blend(primary, 0.3),
        "heat-0": background.blend(primary, 0.15),
        "heat-1": background.blend(primary, 0.45),
        "heat-2": primary,
        "heat-3": color("warning"),
        "heat-4": color("error"),
        "flame-kernel": color("warning"),
        "flame-user": background.blend(color("success"), 0.75),
        "flame-text": background,
        "series-1": primary,
        "series-2": color("accent"),
        "series-3": color("success"),
        "series-4": color("secondary"),
        "lost": color("warning"),
        "grew": grew,
        "grew-bar": background.blend(grew, 0.3),
        "shrank": shrank,
        "shrank-bar": background.blend(shrank, 0.3),
        "live": color("success"),
        "paused": color("warning"),
    }
    return {name: value.css for name, value in derived.items()}


def _read(path: Path) -> Theme | BadTheme:
    try:
        return _theme(tomllib.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        return BadTheme(path, str(error))


def _theme(content: dict[str, object]) -> Theme:
    unknown = content.keys() - _FIELDS
    if unknown:
        raise ValueError(f"unknown entries: {', '.join(sorted(unknown))}")
    theme = Theme(**content)  # type: ignore[arg-type]
    for name in ("primary", "foreground", "background"):
        if getattr(theme, name) is None:
            raise ValueError(f"no colour named {name}")
    try:
        theme.to_color_system().generate()
    except ColorParseError as error:
        raise ValueError(str(error)) from None
    return theme
