from __future__ import annotations

import os
import shutil

import pytest

from importer.discovery import find_sessions
from importer.facts import project_of
from importer.plan import Progress, Selection, make_plan
from importer.settings import Settings
from tests.building import NOW_MS, events
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, text, tool_call

FORKS = sorted((SAMPLES / "0.87.1" / "fork").glob("*.jsonl"))


def planned(*paths, selection=None, now_ms=NOW_MS, **settings):
    return make_plan(find_sessions(paths), Settings(**settings), selection or Selection(), now_ms=now_ms)


def test_every_event_of_the_samples_is_planned_once_with_its_size():
    plan = planned(SAMPLES)
    built = {e["uuid"] for path in SAMPLES.rglob("*.jsonl") for e in events(path)}
    assert {event.uuid for event in plan.events} == built
    assert len(plan.events) == len(built)
    for event in plan.events:
        assert event.full >= event.turn >= event.new > 0 or event.kind == "generation"
    assert plan.bytes_read == sum(path.stat().st_size for path in SAMPLES.rglob("*.jsonl"))


@pytest.mark.parametrize("name", sorted(os.listdir(SAMPLES / "0.87.1")))
def test_the_sizes_are_those_of_the_events(name):
    plan = planned(SAMPLES / "0.87.1" / name)
    for context in ("full", "turn", "new"):
        size = {}
        for path in (SAMPLES / "0.87.1" / name).glob("*.jsonl"):
            for event in make_sizes(path, context):
                size.setdefault(*event)
        assert {e.uuid: getattr(e, context) for e in plan.events} == size


def make_sizes(path, context):
    from tests.building import built

    return [(event.uuid, len(event.encode())) for event in built(path, input_context=context)]


def test_what_a_fork_copied_belongs_to_its_parent(tmp_path):
    plan = planned(FORKS[0].parent)
    assert [planned.file.path for planned in plan.files] == FORKS, "the parent comes first"
    parent, *children = (events(path) for path in FORKS)
    for event in plan.events:
        if event.uuid in {e["uuid"] for e in parent}:
            assert event.file == 0
    assert any({e["uuid"] for e in child} & {e["uuid"] for e in parent} for child in children)
    assert len(plan.generations) == len({e.uuid for e in plan.events if e.kind == "generation"})


def test_without_its_parent_a_fork_brings_the_copies(tmp_path):
    shutil.copy(FORKS[1], tmp_path)
    alone = planned(tmp_path)
    assert {event.uuid for event in alone.events} == {e["uuid"] for e in events(FORKS[1])}


def test_a_run_that_still_goes_on_has_no_trace_yet(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    story.user("two")
    story.assistant(tool_call("c", "run", {}), stop="toolUse")
    os.utime(story.path, (story.now.timestamp(), story.now.timestamp()))
    soon_ms = round(story.now.timestamp() * 1000) + 1000
    kinds = [event.kind for event in planned(tmp_path, now_ms=soon_ms).events]
    assert kinds == ["generation", "trace", "generation"]
    later = [event.kind for event in planned(tmp_path, now_ms=soon_ms + 25 * 3_600_000).events]
    assert sorted(later) == ["generation", "generation", "span", "trace", "trace"]


def test_a_period_takes_what_ended_in_it_and_keeps_the_traces_totals_whole(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    story.assistant(tool_call("c", "run", {}), stop="toolUse")
    cut_ms = round(story.now.timestamp() * 1000) + 1
    story.result("c", "run", text("ran"))
    story.assistant(text("done"))
    whole, late, early = (
        planned(tmp_path, selection=selection)
        for selection in (Selection(), Selection(since_ms=cut_ms), Selection(until_ms=cut_ms))
    )
    assert sorted(e.kind for e in late.events) == ["generation", "span", "trace"]
    assert [e.kind for e in early.events] == ["generation"]
    assert {e.uuid for e in late.events} | {e.uuid for e in early.events} == {e.uuid for e in whole.events}
    assert (len(late.generations), len(early.generations)) == (1, 1)
    assert [t.input_tokens for t in late.totals.values()] == [200]


@pytest.mark.parametrize(("wanted", "found"), [("shop", 1), ("sh*", 1), ("*", 2), ("none", 0), ("SHOP", 0)])
def test_a_project_is_chosen_by_name(tmp_path, wanted, found):
    SessionWriter(tmp_path / "a.jsonl", "a", cwd="/home/dev/work/shop").turn("x", "y")
    SessionWriter(tmp_path / "b.jsonl", "b", cwd="C:\\work\\bank").turn("x", "y")
    assert len(planned(tmp_path, selection=Selection(project=wanted)).files) == found


def test_a_projects_name_in_the_settings_does_not_hide_the_folders(tmp_path):
    SessionWriter(tmp_path / "a.jsonl", "a", cwd="/home/dev/work/shop").turn("x", "y")
    for wanted in ("shop", "renamed"):
        assert len(planned(tmp_path, selection=Selection(project=wanted), project_name="renamed").files) == 1


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("/home/dev/shop", "shop"),
        ("C:\\work\\shop", "shop"),
        ("/", "/"),
        (None, "unknown"),
        ("shop/", "shop"),
    ],
)
def test_a_project_is_named_after_the_last_part_of_its_folder(folder, project):
    assert project_of(folder) == project


def test_lines_that_come_while_it_is_read_wait_for_the_next_time(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    found = find_sessions([tmp_path])
    story.turn("two", "2")
    plan = make_plan(found, Settings(), now_ms=NOW_MS)
    assert [event.kind for event in plan.events] == ["generation", "trace"]


def test_a_file_that_vanished_is_reported_and_the_rest_is_planned(tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn("x", name)
    found = find_sessions([tmp_path])
    (tmp_path / "a.jsonl").unlink()
    plan = make_plan(found, Settings(), now_ms=NOW_MS)
    (skipped,) = plan.skipped
    assert (skipped.path.name, skipped.serious) == ("a.jsonl", True)
    assert len(plan.events) == 2


def test_progress_ends_at_all_files_and_bytes():
    seen: list[Progress] = []
    found = find_sessions([SAMPLES])
    plan = make_plan(found, Settings(), now_ms=NOW_MS, on_progress=seen.append)
    assert seen[-1] == (len(found.sessions), len(found.sessions), plan.bytes_read, plan.bytes_read)


def test_a_person_is_identified_once_and_first():
    plan = planned(SAMPLES, distinct_id="me@example.com")
    kinds = [event.kind for event in plan.events]
    assert kinds[0] == "identify"
    assert kinds.count("identify") == 1
    assert plan.events[0].end_ms == min(event.end_ms for event in plan.events)


def test_where_nothing_is_sent_nobody_is_identified(tmp_path):
    assert planned(tmp_path, distinct_id="me@example.com").events == []
