"""Where the package's own files are, in a checkout and in an installed wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def _beside_or_inside(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


PROBES = _beside_or_inside("probes")
THEMES = _beside_or_inside("themes")
HEADERS = PACKAGE / "collector" / "include"
