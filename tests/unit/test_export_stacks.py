"""Stacks for other programs: what is added up, and that folded, speedscope and SVG all hold it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ebpftop.model import Process, Sample
from ebpftop.recording.export import ChoiceError, ExportError, folded, speedscope, svg
from ebpftop.recording.export.output import Output
from ebpftop.recording.export.stacks import Stacks, weight_of
from ebpftop.views.flame import KERNEL, Tree
from tests.unit import exported
from tests.unit.exported import START_NS, rows_of
from tests.unit.made import INFOS, SECOND

TABLE = INFOS["offcputime"].table("stacks")
PID, TID, STACK, BLOCKED, WAITING, COUNT = map(
    TABLE.index, ("pid", "tid", "stack", "blocked_ns", "waiting_ns", "count")
)


def row(pid, stack, blocked=0, waiting=0, count=1, tid=None):
    return (pid, tid or pid, 1, stack, blocked, waiting, count, 0)


def sample(seq, *rows, lost=None):
    wall_ns = START_NS + seq * SECOND
    return Sample("offcputime", seq, wall_ns, seq, SECOND, {"stacks": list(rows)}, lost or {})


def added(records, weight="", **options):
    stacks = Stacks("offcputime", TABLE, weight_of(TABLE, weight), **options)
    stacks.add(records)
    return stacks


def written(module, stacks, tmp_path) -> str:
    path = tmp_path / "out"
    with Output() as output:
        module.export(stacks, output, str(path))
    return str(path.read_text(encoding="utf-8"))


# -- what is added up --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "columns"), [("both", (BLOCKED, WAITING)), ("blocked", (BLOCKED,)),
                            ("waiting", (WAITING,)), ("", (BLOCKED, WAITING))],
)  # fmt: skip
def test_the_total_is_that_of_the_samples(weight, columns):
    told = exported.story(ticks=9)
    total = sum(row[i] for row in rows_of(told, "offcputime", "stacks") for i in columns)
    assert added(told, weight).total == total > 0


def test_the_same_stack_of_the_same_process_is_one():
    told = [
        exported.hello(),
        Process(1, 1, "sh"),
        sample(1, row(1, "a;b", 10), row(1, "a;b", 5, tid=9), row(1, "a;c", 1)),
        sample(2, row(1, "a;b", 100)),
    ]
    assert added(told).sums == {("sh[1]", "a;b"): 115, ("sh[1]", "a;c"): 1}


def test_processes_of_the_same_name_are_one_if_that_is_wanted():
    told = [
        exported.hello(),
        *(Process(pid, pid, "nginx") for pid in (1, 2)),
        sample(1, row(1, "a", 10), row(2, "a", 5)),
    ]
    assert added(told).sums == {("nginx[1]", "a"): 10, ("nginx[2]", "a"): 5}
    assert added(told, merge=True).sums == {("nginx", "a"): 15}


def test_the_others_together_and_unknown_processes_have_their_place():
    told = [exported.hello(), sample(1, (None,) * 4 + (7, 1, 0, 0), row(5, "", 3))]
    assert added(told).sums == {("others", ""): 8, ("pid 5", ""): 3}


def test_names_cannot_break_out_of_their_frame():
    told = [
        exported.hello(),
        Process(1, 1, "a;b\nc 9"),
        sample(1, row(1, "f\ng;\udcff h\u2028", 5)),
    ]
    assert added(told).sums == {("a:b·c 9[1]", "f·g;· h·"): 5}


def test_threads_that_slept_throughout_are_left_out_if_that_is_wanted():
    """One that runs later, or ran before, counts with all of its time, as in the flame view."""
    told = [
        exported.hello(),
        sample(1, row(1, "idle", 10, count=0), row(2, "late", 10, count=0), row(3, "w", 10)),
        sample(2, row(1, "idle", 10, count=0), row(2, "late", 10), row(3, "s", 10, count=0)),
        sample(3, row(1, "idle", 10, count=0), row(2, "late", 10, count=0)),
    ]
    assert added(told).total == 80
    stacks = added(told, awake=True)
    assert {stack: weight for (_, stack), weight in stacks.sums.items()} == {
        "late": 30,
        "w": 10,
        "s": 10,
    }
    assert stacks.sleepers == 1


def test_a_weight_that_a_table_does_not_have_is_refused():
    with pytest.raises(ChoiceError, match="no weight waiting"):
        weight_of(INFOS["biotop"].table("io"), "waiting")


def test_rows_that_do_not_fit_are_an_error():
    with pytest.raises(ExportError, match=r"offcputime\.stacks have the wrong columns"):
        added([exported.hello(), sample(1, (1, 2, 3))])


# -- the formats -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stacks():
    return added(exported.story(ticks=9))


def tree(stacks) -> Tree:
    made = Tree()
    for (process, stack), weight in stacks.sums.items():
        made.add(process, stack, weight)
    return made


def paths(node) -> dict[tuple[str, ...], tuple[int, int]]:
    """Total and own weight of every frame by its path."""
    found = {node.path: (node.total, node.own)}
    for child in node.children.values():
        found |= paths(child)
    return found


def test_folded_lines_parse_back_to_the_same_tree(stacks, tmp_path):
    read = Tree()
    for line in written(folded, stacks, tmp_path).splitlines():
        found = re.fullmatch(r"([^;]+)(?:;(.*))? (\d+)", line)
        assert found, line
        read.add(found[1], found[2] or "", int(found[3]))
    assert paths(read.root) == paths(tree(stacks).root)


def test_folded_kernel_frames_keep_their_mark(stacks, tmp_path):
    assert KERNEL + ";" in written(folded, stacks, tmp_path)


def test_speedscope_follows_the_rules_of_its_schema(stacks, tmp_path):
    """Those of https://www.speedscope.app/file-format-schema.json for a sampled profile."""
    whole = json.loads(written(speedscope, stacks, tmp_path))
    assert whole["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert set(whole) == {
        "$schema", "shared", "profiles", "name", "activeProfileIndex", "exporter"
    }  # fmt: skip
    frames = whole["shared"]["frames"]
    assert all(set(frame) == {"name"} and frame["name"] for frame in frames)
    (profile,) = whole["profiles"]
    assert set(profile) == {
        "type", "name", "unit", "startValue", "endValue", "samples", "weights"
    }  # fmt: skip
    assert (profile["type"], profile["unit"]) == ("sampled", "nanoseconds")
    assert len(profile["samples"]) == len(profile["weights"])
    assert all(0 <= index < len(frames) for stack in profile["samples"] for index in stack)
    assert profile["endValue"] - profile["startValue"] == sum(profile["weights"])


def test_speedscope_holds_the_same_stacks(stacks, tmp_path):
    whole = json.loads(written(speedscope, stacks, tmp_path))
    names = [frame["name"] for frame in whole["shared"]["frames"]]
    (profile,) = whole["profiles"]
    read = Tree()
    for stack, weight in zip(profile["samples"], profile["weights"]):
        process, *frames = (names[index] for index in stack)
        read.add(process, ";".join(frames), weight)
    assert paths(read.root) == paths(tree(stacks).root)


# -- the picture -------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def frames(text):
    """Depth, name, x, width, colour and label of each frame."""
    for g in ElementTree.fromstring(text).iter(f"{SVG}g"):
        rect, title, label = (g.find(f"{SVG}{tag}") for tag in ("rect", "title", "text"))
        assert rect is not None
        assert title is not None
        at = rect.attrib
        depth = (int(at["y"]) - svg.TOP) // svg.ROW
        x, width = (round(float(at[name]) * svg.CELLS) for name in ("x", "width"))
        name = (title.text or "").split("\n")[0]
        yield depth, name, x, width, at["fill"], label.text if label is not None else ""


STORY = (
    exported.hello(),
    Process(1, 1, "sh"),
    Process(2, 2, "db"),
    sample(
        1,
        row(1, "main;read;sys_read_[k];schedule_[k]", 500),
        row(1, "main;write;sys_write_[k];schedule_[k]", 250),
        row(2, "main;read;sys_read_[k]", 250),
    ),
    sample(2, row(2, "main;tiny", SECOND), lost={"full": 3}),
)
SIMPLE = added(STORY[:4])


def test_widths_are_times(tmp_path):
    drawn = {
        (depth, name): (x, width)
        for depth, name, x, width, *_ in frames(written(svg, SIMPLE, tmp_path))
        if depth < 4
    }
    left, whole = svg.MARGIN * svg.CELLS, svg.WIDTH * svg.CELLS
    assert drawn == {
        (0, "all"): (left, whole),
        (1, "sh[1]"): (left, whole * 3 // 4),
        (1, "db[2]"): (left + whole * 3 // 4, whole // 4),
        (2, "main"): (left + whole * 3 // 4, whole // 4),  # of db, which is drawn after sh's
        (3, "read"): (left + whole * 3 // 4, whole // 4),
        (3, "write"): (left + whole // 2, whole // 4),
    }


def test_every_frame_lies_within_its_caller(stacks, tmp_path):
    rows: dict[int, list[tuple[int, int]]] = {}
    for depth, _, x, width, *_ in frames(written(svg, stacks, tmp_path)):
        rows.setdefault(depth, []).append((x, x + width))
    for depth in range(1, len(rows)):
        assert all(
            any(low <= x and end <= high for low, high in rows[depth - 1]) for x, end in rows[depth]
        )
        assert all(a[1] <= b[0] for a, b in zip(sorted(rows[depth]), sorted(rows[depth])[1:]))


def test_a_name_has_one_colour_and_the_kernel_others(tmp_path):
    colours: dict[str, set[str]] = {}
    for depth, name, _, _, colour, _ in frames(written(svg, SIMPLE, tmp_path)):
        if depth > 1:
            colours.setdefault(name, set()).add(colour)
    assert all(len(of) == 1 for of in colours.values())
    kernel = {colour for name, of in colours.items() if name.endswith(KERNEL) for colour in of}
    user = {colour for name, of in colours.items() if not name.endswith(KERNEL) for colour in of}
    warmer = [int(colour[1:3], 16) - int(colour[5:7], 16) for colour in (*kernel, *user)]
    assert min(warmer[: len(kernel)]) > max(warmer[len(kernel) :])


def test_titles_say_name_time_and_share(tmp_path):
    assert "<title>sys_read_[k]\n500ns total · 0 own · 50.0% of all</title>" in written(
        svg, SIMPLE, tmp_path
    )


def test_what_is_too_narrow_is_left_out_and_counted(tmp_path):
    """Of a second, sh's 750 ns in 8 frames are no tenth of a pixel, nor are 2 frames of db's."""
    text = written(svg, added(STORY), tmp_path)
    assert [name for _, name, *_ in frames(text)] == ["all", "db[2]", "main", "tiny"]
    assert "10 frames narrower than 0.1 px, left out" in text


def test_it_says_what_it_is_of_and_what_was_lost(tmp_path):
    text = written(svg, added(STORY), tmp_path)
    assert "box offcputime, 2001-09-09T01:46:41Z to 2001-09-09T01:46:42Z" in text
    assert "1.00s blocked + waiting · 2 samples that cover 2.00s" in text
    assert "3 lost while measuring" in text


def test_nothing_is_fetched_from_anywhere(stacks, tmp_path):
    text = written(svg, stacks, tmp_path)
    addresses = [text for text in re.findall(r"https?://[^\"&]+", text) if text != "http://x"]
    assert addresses == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|@import|url\(|<image|<foreignObject|innerHTML|eval", text)


def test_hostile_names_are_text_and_nothing_else(tmp_path):
    names = ["</title><script>alert(1)</script>", "]]>", "\0\x1b\ufffe\udcff", "a\"b'c&amp", "<b>"]
    told = [
        exported.hello(host="<host>&\n"),
        Process(1, 1, names[0]),
        sample(1, row(1, ";".join(names), 5)),
    ]
    text = written(svg, added(told), tmp_path)
    shown = [name for _, name, *_ in frames(text)]
    assert shown[2:] == [names[0], names[1], "····", names[3], names[4]]
    assert len(list(ElementTree.fromstring(text).iter(f"{SVG}script"))) == 1


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="rsvg-convert is not installed")
def test_it_is_a_picture_without_a_browser(stacks, tmp_path):
    written(svg, stacks, tmp_path)
    made = subprocess.run(["rsvg-convert", str(tmp_path / "out")], capture_output=True)
    assert (made.returncode, made.stderr) == (0, b"")
    assert made.stdout.startswith(b"\x89PNG")


# -- its script --------------------------------------------------------------------------------

NODE = shutil.which("node")
with_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def played(stacks, tmp_path, *steps) -> list[Any]:
    """What the script draws after each step."""
    root = ElementTree.fromstring(written(svg, stacks, tmp_path))

    def plain(element):
        return {
            "tag": element.tag.removeprefix(SVG),
            "attributes": element.attrib,
            "text": element.text or "",
            "children": list(map(plain, element)),
        }

    script = root.find(f"{SVG}script")
    assert script is not None
    given = {"elements": plain(root), "script": script.text, "steps": steps}
    made = subprocess.run(
        [str(NODE), str(Path(__file__).with_name("flame_dom.js"))],
        input=json.dumps(given),
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    drawn: list[Any] = json.loads(made.stdout)
    return drawn


def widths(drawn):
    return {frame["name"]: round(frame["width"]) for frame in drawn["frames"]}


@with_node
def test_a_click_makes_a_frame_as_wide_as_the_picture(tmp_path):
    (drawn,) = played(SIMPLE, tmp_path, ("click", "write"))
    assert widths(drawn) == {
        "all": 1200,
        "sh[1]": 1200,
        "main": 1200,
        "write": 1200,
        "sys_write_[k]": 1200,
        "schedule_[k]": 1200,
    }
    above = [frame["name"] for frame in drawn["frames"] if "above" in frame["classes"]]
    assert above == ["all", "sh[1]", "main"]
    assert drawn["reset"] == "visible"


@with_node
def test_what_it_calls_keeps_its_share(tmp_path):
    (drawn,) = played(SIMPLE, tmp_path, ("click", "sh[1]"))
    assert widths(drawn) == {
        "all": 1200,
        "sh[1]": 1200,
        "main": 1200,
        "read": 800,
        "write": 400,
        "sys_read_[k]": 800,
        "sys_write_[k]": 400,
        "schedule_[k]": 400,
    }
    assert {f["name"]: f["x"] for f in drawn["frames"]}["write"] == svg.MARGIN + 800


@with_node
def test_escape_brings_everything_back(tmp_path):
    before, zoomed, after = played(
        SIMPLE, tmp_path, ("key", "Escape"), ("click", "write"), ("key", "Escape")
    )
    assert after == before != zoomed
    assert after["reset"] == "hidden"


@with_node
def test_a_search_marks_frames_and_counts_each_stack_once(tmp_path):
    (drawn,) = played(SIMPLE, tmp_path, ("search", "READ"))
    found = [frame["name"] for frame in drawn["frames"] if "found" in frame["classes"]]
    assert found == ["read", "read", "sys_read_[k]", "sys_read_[k]"]
    assert drawn["matched"] == "“read”: 75.0% of what is shown"


@with_node
def test_a_search_counts_what_the_zoom_shows(tmp_path):
    *_, drawn = played(SIMPLE, tmp_path, ("search", "read"), ("click", "sh[1]"))
    assert drawn["matched"] == "“read”: 66.7% of what is shown"


@with_node
def test_labels_are_cut_to_their_frames(tmp_path):
    told = [
        exported.hello(),
        sample(1, row(1, "a_long_name_of_a_function_" * 12, 1000), row(1, "short;x", 20_000)),
    ]
    before, zoomed = played(
        added(told), tmp_path, ("key", "Escape"), ("click", "a_long_name_of_a_function_" * 12)
    )
    for drawn in (before, zoomed):
        for frame in drawn["frames"]:
            room = frame["width"] - 2 * svg.PADDING
            assert len(frame["label"]) * svg.LETTER <= max(0, room)
    (label,) = (f["label"] for f in zoomed["frames"] if f["name"].startswith("a_long"))
    assert label.startswith("a_long_name_of_a_function_a_long")
    assert label.endswith("…")


@with_node
def test_the_mouse_tells_what_it_is_on(tmp_path):
    (drawn,) = played(SIMPLE, tmp_path, ("hover", "write"))
    assert drawn["said"] == "write: 250ns total · 0 own · 25.0% of all"
