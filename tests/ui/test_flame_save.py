"""The flame as a file: SVG, folded stacks, or for speedscope."""

import json
from xml.etree import ElementTree

import pytest

from ebpftop.ui.screens.choose import Choose
from ebpftop.views.scope import Scope, Step
from tests.ui.drawings import driven, stacks
from tests.ui.test_flame import flame, hostile, hostile_stacks, text

on_flame = driven(flame, stacks, (110, 24))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def saved(pilot, *keys):
    """Press keys, and wait for the file."""
    await pilot.press(*keys)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def written(folder):
    (path,) = folder.iterdir()
    return path.name, path.read_text(encoding="utf-8")


def said(app):
    return [notification.message for notification in app._notifications]


@on_flame
async def test_s_asks_for_the_format(pilot, here):
    await pilot.press("s")
    await pilot.pause()
    assert isinstance(pilot.app.screen, Choose)
    line = next(line for line in text(pilot.app).splitlines() if "save as" in line)
    assert [choice.split() for choice in line.split("  ") if choice.strip()] == [
        ["save", "as"], ["s", "SVG"], ["f", "folded"], ["p", "speedscope"],
    ]  # fmt: skip
    await pilot.press("escape")
    assert list(here.iterdir()) == []


@on_flame
async def test_folded_stacks_are_those_that_are_shown(pilot, here):
    widget = pilot.app.widget
    await saved(pilot, "w", "n", "o", "s", "f")
    name, folded = written(here)
    assert name.startswith("ebpftop-web-7-drawn-")
    assert name.endswith(".folded")
    lines = dict(line.rsplit(" ", 1) for line in folded.splitlines())
    assert lines["kswapd0;schedule_[k];kswapd_try_to_sleep_[k];do_syscall_64_[k]"] == str(
        sum(row[4] for one in stacks() for row in one.tables["stacks"] if row[0] == 92)
    )
    assert sum(map(int, lines.values())) == widget.drawn.root.total
    assert said(pilot.app) == [f"the stacks are in {name}"]


@on_flame
async def test_a_file_holds_the_whole_also_where_something_is_zoomed_into(pilot, here):
    await saved(pilot, "down", "enter", "s", "f")
    assert "nginx[4711];_start" in written(here)[1]


@on_flame
async def test_speedscope_gets_a_profile(pilot, here):
    await saved(pilot, "g", "s", "p")
    name, content = written(here)
    assert name.endswith(".speedscope.json")
    profile = json.loads(content)["profiles"][0]
    assert sum(profile["weights"]) == pilot.app.widget.drawn.root.total
    assert "by process name" in profile["name"]


@on_flame
async def test_the_picture_says_what_it_is_of(pilot, here):
    widget = pilot.app.widget
    widget.remark = "not by disk"
    widget.show(stacks(), {"(scope)": Scope((Step((("cgroup", "/shop"),), "shop.service"),))})
    await saved(pilot, "g", "g", "g", "g", "s", "s")
    name, picture = written(here)
    assert name.endswith(".svg")
    texts = [each.text for each in ElementTree.fromstring(picture).iter() if each.text]
    (measured,) = [each for each in texts if "30 samples that cover 30.0s" in each]
    assert measured.endswith(" · shop.service · not by disk · all together")
    assert any(each.startswith("web-7 drawn, ") for each in texts)


@driven(hostile, hostile_stacks, (100, 12))
async def test_names_cannot_break_out_of_a_file(pilot, here):
    await saved(pilot, "s", "s")
    ElementTree.fromstring(written(here)[1])


@on_flame
async def test_what_cannot_be_written_is_said_in_one_line(pilot, here):
    here.chmod(0o500)
    pilot.app.widget.host = "x" * 60
    here.rmdir()
    await saved(pilot, "s", "f")
    (message,) = said(pilot.app)
    assert message == "cannot save the stacks: No such file or directory"


@on_flame
async def test_a_comparison_is_not_saved(pilot, here):
    a, b = stacks(2)
    pilot.app.widget.compare(a, b, {})
    await pilot.press("s")
    await pilot.pause()
    assert not isinstance(pilot.app.screen, Choose)
    assert said(pilot.app) == ["two ranges are compared: save one of them, without the other mark"]
