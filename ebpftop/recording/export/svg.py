"""A flame graph as one SVG file: a picture anywhere, and in a browser one to zoom and search.

It is drawn as on the screen, callers above what they call. Colours are those of the light theme;
frames of the same name have the same.
"""

from __future__ import annotations

import colorsys
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import tomllib

from ebpftop.paths import THEMES
from ebpftop.recording import when
from ebpftop.views import format as fmt
from ebpftop.views.flame import Tree, layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.stacks import Stacks
    from ebpftop.views.flame import Box, Layout, Node

THEME = "default-light.toml"
SCRIPT = Path(__file__).with_name("flame.js")
# In pixels. A cell of the layout is a tenth of one, and the least that is drawn.
WIDTH, MARGIN, ROW, LETTER, PADDING = 1200, 10, 17, 7.2, 3
TOP, BOTTOM = 74, 30
CELLS = 10
SHOWN_LETTERS = 3
# How far a name's colour may be from that of its kind.
HUE, LIGHTNESS = 0.045, 0.06


def export(stacks: Stacks, output: Output, path: str | None) -> None:
    """Write the picture."""
    tree = Tree()
    for (process, stack), weight in sorted(stacks.sums.items()):
        tree.add(process, stack, weight)
    file = output.text(path)
    file.writelines(line + "\n" for line in _picture(tree, stacks))


def _picture(tree: Tree, stacks: Stacks) -> Iterator[str]:
    drawn = layout(tree.root, WIDTH * CELLS, min_cells=1)
    height = TOP + ROW * len(drawn.rows) + BOTTOM
    colours = _colours()
    whole = WIDTH + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{height}"'
        f' viewBox="0 0 {whole} {height}">'
    )
    yield f"<style>{_style(colours)}</style>"
    yield f'<rect width="100%" height="100%" fill="{colours["background"]}"/>'
    yield from _words(drawn, stacks, height, whole)
    for depth, row in enumerate(drawn.rows):
        for box in row:
            if not box.merged:
                yield _frame(box, depth, tree.root, stacks, colours)
    values = {"MARGIN": MARGIN, "WIDTH": WIDTH, "LETTER": LETTER, "PADDING": PADDING}
    constants = "".join(f"const {name} = {value};\n" for name, value in values.items())
    yield f"<script><![CDATA[\n{constants}{SCRIPT.read_text()}]]></script>"
    yield "</svg>"


def _style(colours: Mapping[str, str]) -> str:
    text, paper = colours["flame-text"], colours["background"]
    return (
        f"text{{font:12px monospace;fill:{text}}} .title{{font-size:16px}}"
        f" .dim{{fill:{colours['secondary']}}} .button,.f{{cursor:pointer}}"
        f" .f text{{pointer-events:none}} .f:hover rect{{stroke:{text}}} .above{{opacity:.55}}"
        f" .found rect{{fill:{colours['series-4']}}} .found text{{fill:{paper}}}"
    )


def _words(drawn: Layout, stacks: Stacks, height: int, whole: int) -> Iterator[str]:
    """What is written around the frames."""
    first, last = (when.utc(wall_ns)[:19] + "Z" for wall_ns in stacks.wall_ns)
    weight = " + ".join(name.removesuffix("_ns") for name in stacks.weight)
    samples = f"{stacks.samples} samples that cover " if stacks.samples else "over "
    measured = " · ".join(
        (
            f"{_value(stacks, stacks.total)} {weight}",
            f"{samples}{fmt.ns(stacks.dt_ns)}",
            *stacks.remarks,
        )
    )
    shown = sum(not box.merged for row in drawn.rows for box in row) - 1
    missing = {
        f"frames narrower than {1 / CELLS} px, left out": _frames(drawn.zoom) - shown,
        "threads that slept throughout, left out": stacks.sleepers,
        "lost while measuring": stacks.lost,
    }
    lacking = " · ".join(f"{number} {what}" for what, number in missing.items() if number)
    title = f"{fmt.clean(stacks.host)} {fmt.clean(stacks.probe)}, {first} to {last}"
    yield f'<text class="title" x="{MARGIN}" y="24">{_safe(title)}</text>'
    yield f'<text class="dim" x="{MARGIN}" y="44">{_safe(measured)}</text>'
    yield f'<text class="dim" x="{MARGIN}" y="61">{_safe(lacking)}</text>'
    right = f'x="{whole - MARGIN}" text-anchor="end"'
    yield f'<text id="search" class="button dim" {right} y="24">search (/)</text>'
    yield f'<text id="reset" class="button dim" {right} y="44" visibility="hidden">all (Esc)</text>'
    yield f'<text id="said" x="{MARGIN}" y="{height - 10}"> </text>'
    yield f'<text id="matched" {right} y="{height - 10}"> </text>'


def _frame(box: Box, depth: int, root: Node, stacks: Stacks, colours: Mapping[str, str]) -> str:
    node, x, y = box.node, MARGIN + box.x / CELLS, TOP + depth * ROW
    name = fmt.clean(node.name) if depth else "all"
    share = fmt.ratio(node.total / root.total) if root.total else fmt.UNKNOWN
    said = f"{_value(stacks, node.total)} total · {_value(stacks, node.own)} own · {share} of all"
    width = box.width / CELLS
    letters = int((width - 2 * PADDING) / LETTER)
    label = ""
    if letters >= SHOWN_LETTERS:
        text = _safe(fmt.cut(name, letters))
        label = f'<text x="{x + PADDING:g}" y="{y + ROW - 5}">{text}</text>'
    return (
        f'<g class="f"><title>{_safe(name)}\n{_safe(said)}</title>'
        f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{ROW - 1}"'
        f' fill="{_colour(node, depth - stacks.grouped, colours)}"/>{label}</g>'
    )


def _value(stacks: Stacks, value: int) -> str:
    return fmt.FORMATS[stacks.kind](value)


def _safe(text: str) -> str:
    return escape(text, {'"': "&quot;"})


def _frames(node: Node) -> int:
    """How many frames there are below a node."""
    number, pending = 0, [node]
    while pending:
        node = pending.pop()
        number += len(node.grown) + (node.tail.count(";") + 1 if node.tail else 0)
        pending += node.grown.values()
    return number


def _colours() -> dict[str, str]:
    theme = tomllib.loads((THEMES / THEME).read_text(encoding="utf-8"))
    return {**{k: v for k, v in theme.items() if isinstance(v, str)}, **theme["variables"]}


def _colour(node: Node, depth: int, colours: Mapping[str, str]) -> str:
    """The colour of a frame; of those at depths below 1, which are none, that of their level."""
    if depth < 1:
        return colours["panel" if node.parent is None else "bar"]
    return _near(colours["flame-kernel" if node.kernel else "flame-user"], node.name)


@lru_cache(maxsize=65536)
def _near(colour: str, name: str) -> str:
    """A colour close to another, always the same one for a name."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    digest = zlib.crc32(name.encode(errors="surrogatepass"))
    hue += ((digest & 0xFFFF) / 0xFFFF - 0.5) * 2 * HUE
    lightness += ((digest >> 16) / 0xFFFF - 0.5) * 2 * LIGHTNESS
    made = colorsys.hls_to_rgb(hue % 1, min(0.95, max(0.1, lightness)), saturation)
    return "#" + "".join(f"{round(part * 255):02x}" for part in made)
