"""Who a page is about, and what is known of them."""

import pytest

from ebpftop.views import format as fmt
from ebpftop.views.scope import Names, Scope, step
from ebpftop.views.subject import Moment, Seen, about, facts, parents
from tests.unit.pages import WALL_NS, S, names, page, process, sample, stream

pytestmark = pytest.mark.usefixtures("utc")


def told(step, known, seen=None, at_s=7200):
    moment = Moment(WALL_NS, at_s * S)
    return {fact.title: fact.text for fact in facts(step, known, seen or Seen(), moment)}


def of(pid, *processes, **more):
    return told(step("pid", pid, names(*processes)), names(*processes), **more)


# Who it is


def test_a_process_is_told_by_its_command_user_start_cgroup_and_parents():
    known = process(
        812, "worker", 80, cgroup=5, cgroup_path="/machine/web-1", container="web-1",
        runtime="docker", pod="shop/web",
    )  # fmt: skip
    found = of(812, known, process(80, "sshd"), process(1, "systemd", 0))
    assert found["command"] == "/usr/bin/worker -n 4"
    assert found["user"] == "web (1000) · started 12:26:52, 1h46m ago"
    assert found["cgroup"] == "container web-1 (docker) · pod shop/web · /machine/web-1"
    assert found["parents"] == "systemd[1] › sshd[80] › worker[812]"  # noqa: RUF001


def test_the_program_is_told_where_the_command_line_hides_it():
    found = of(812, process(812, cmdline="worker: idle"))
    assert found["command"] == "worker: idle · /usr/bin/worker"


def test_a_start_on_another_day_has_its_date():
    assert "started 2026-09-20 14:13:32" in of(812, process(812), at_s=812 + 86_388)["user"]


def test_a_start_that_cannot_be_is_not_told():
    assert of(812, process(812), at_s=1)["user"] == "web (1000)"


def test_nothing_is_made_up_of_a_process_that_is_not_known():
    assert of(812) == {
        "command": "nothing is known of this process",
        "threads": "none seen in this time",
    }


def test_the_chain_of_parents_ends_where_nothing_is_known():
    assert parents(9, names(process(9, ppid=8), process(8, "bash", 7)).processes) == [
        "pid 7",
        "bash[8]",
    ]


@pytest.mark.parametrize("ppid", [0, None, 9])
def test_who_has_no_parent_but_itself_has_none(ppid):
    assert parents(9, names(process(9, ppid=ppid)).processes) == []


def test_parents_in_a_circle_are_named_once():
    known = names(process(9, "a", 8), process(8, "b", 7), process(7, "c", 9)).processes
    assert parents(9, known) == ["c[7]", "b[8]"]


def test_threads_are_those_that_were_seen():
    assert of(812, process(812), seen=Seen(tids={3, 1}))["threads"] == "2 seen: 1 3"
    many = Seen(tids=set(range(100)))
    assert of(812, process(812), seen=many)["threads"].endswith("6 7 and 92 more")


def test_names_cannot_leave_their_line():
    evil = "\x1b[31m[/b]\nrm\u202e"
    known = process(812, evil, cmdline=evil, exe=evil, user=evil, cgroup_path=evil, container=evil)
    store = stream(known, sample("biotop", io=[{"pid": 812, "disk": evil, "op": evil, "ios": 1}]))
    made = page(store)
    texts = [made.title, *(fact.text for fact in made.facts)]
    texts += [text for each in made.sections for t in each.tables for row in t.rows for text in row]
    assert evil[5:9] in "".join(texts)
    assert all(text == fmt.clean(text) and text.isprintable() for text in texts)


def test_a_cgroup_is_told_by_its_processes_and_what_is_below():
    inside = [
        process(1, "nginx", cgroup_path="/web-1", container="web-1", runtime="podman"),
        process(2, "nginx", cgroup_path="/web-1/b", container="web-1", runtime="podman"),
        process(3, "cron", cgroup_path="/web-1/b", container="web-1", runtime="podman"),
        process(4, "other", cgroup_path="/web-12"),
    ]
    known = names(*inside)
    found = told(step("cgroup", "/web-1", known), known, Seen(pids={1, 2, 4}))
    assert found["cgroup"] == "container web-1 (podman) · /web-1 with 1 cgroup below it"
    assert found["processes"] == "2 in the newest samples, 3 known · of web"
    assert found["commands"] == "nginx ×2"  # noqa: RUF001
    assert found["below it"] == "b"


def test_a_command_is_told_by_where_it_runs():
    known = names(process(1, "nginx", cgroup_path="/a"), process(2, "nginx", cgroup_path="/b"))
    assert told(step("command", "nginx", known), known)["cgroup"] == "/a, /b"


# Whom the page is about


def test_the_selected_row_comes_before_the_scope():
    known = names(process(812, cgroup=5, cgroup_path="/a"))
    scope = Scope((step("cgroup", "/a", known),))
    assert about({"pid": 812}, scope, known) == step("pid", 812, known)
    assert about({}, scope, known) == step("cgroup", "/a", known)


def test_the_last_step_that_names_somebody_counts():
    known = names(process(812))
    steps = step("container", "web-1", known), step("pid", 812, known), step("disk", "vda", known)
    assert about({}, Scope(steps), known) == steps[1]


def test_a_cgroup_of_a_row_is_that_of_its_id():
    known = names(process(812, cgroup=5, cgroup_path="/a"))
    assert about({"cgroup": 5}, Scope(), known) == step("cgroup", "/a", known)


def test_a_row_that_names_nobody_has_no_page():
    assert about({"disk": "vda"}, Scope(), Names()) is None
