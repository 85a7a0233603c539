from __future__ import annotations

import os
import shutil
from datetime import timedelta
from uuid import UUID

import pandas as pd
import pytest

from importer.build.facts import project_of
from importer.build.person import make_identify_event
from importer.plan.frame import Counted, build_frame, format_ids, pack_ids
from importer.plan.plan import find_event_ids, make_plan
from importer.plan.progress import Progress
from importer.selection import Selection
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from importer.totals import CONTEXTS
from parsers.counting.rows import GENERATION, ROW, CountedFile, CountedFiles
from tests.building import NOW_MS, built, events, events_of, totals_of
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, text, tool_call

FORKS = sorted((SAMPLES / "0.87.1" / "fork").glob("*.jsonl"))


def planned(*paths, selection=None, now_ms=NOW_MS, **settings):
    chosen = Settings(**{"content_days": None} | settings)
    return make_plan(find_sessions(paths), chosen, selection or Selection(), now_ms=now_ms, with_totals=True)


def test_every_event_of_the_samples_is_planned_once_with_what_it_is():
    plan = planned(SAMPLES)
    files = {path: events(path) for path in SAMPLES.rglob("*.jsonl")}
    built = {e["uuid"]: e for found in files.values() for e in found}
    told = events_of(plan)
    assert len(plan) == len(told) == len(built)
    assert {event.uuid for event in told} == set(built)
    kinds_of = {"generation": "$ai_generation", "span": "$ai_span", "run": "$ai_span", "trace": "$ai_trace"}
    for event in told:
        assert built[event.uuid]["event"] == kinds_of[event.kind]
        assert event.uuid in {e["uuid"] for e in files[plan.files[event.file].file.path]}
        if event.kind == "generation":
            assert event.model == (built[event.uuid]["properties"]["$ai_model"] or event.model)
    assert [event.file for event in told] == sorted(event.file for event in told)
    assert plan.bytes_read == sum(path.stat().st_size for path in SAMPLES.rglob("*.jsonl"))


def test_the_frame_has_a_row_an_event_with_what_it_is():
    plan = planned(SAMPLES)
    sent = {e["uuid"]: e for path in SAMPLES.rglob("*.jsonl") for e in events(path)}
    frame = plan.frame.assign(id=format_ids(plan.frame))
    assert not frame["id"].duplicated().any()
    for row in frame.itertuples():
        event = sent[row.id]
        assert row.trace_id == event["properties"]["$ai_trace_id"]
        assert f"{row.ended_at:%Y-%m-%dT%H:%M:%S}" == event["timestamp"][:19]
        assert row.project == event["properties"]["$ai_project_name"]
        assert row.session == plan.files[row.file].file.session_id
        latency_s = event["properties"].get("$ai_latency")
        assert (row.kind == "run") == (event["properties"].get("$ai_span_type") == "agent")
        if row.kind == "generation" and latency_s is not None and row.started_at is not pd.NaT:
            assert (row.ended_at - row.started_at).total_seconds() == pytest.approx(latency_s, abs=0.002)


FOLDERS = sorted(path.relative_to(SAMPLES).as_posix() for path in SAMPLES.glob("*/*/"))


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", FOLDERS)
def test_the_sizes_are_about_those_of_the_events(name, context):
    planned_bytes, exact = sizes(name, context)
    assert planned_bytes == pytest.approx(sum(exact), rel=0.05)
    assert abs(planned_bytes - sum(exact)) < 120 * len(exact)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("name", FOLDERS)
def test_the_sizes_without_content_are_about_those_of_the_events(name, private):
    chosen = {"content_days": 30.0, "privacy_mode": private}
    exact = {}
    for path in (SAMPLES / name).glob("*.jsonl"):
        for event in built(path, **chosen):
            exact.setdefault(event.uuid, event.size)
    rows = planned(SAMPLES / name, **chosen).frame
    assert (rows[list(CONTEXTS)].eq(rows["bare"], axis=0)).all(axis=None)
    assert rows["bare"].sum() == pytest.approx(sum(exact.values()), rel=0.05)
    for uuid, bare in zip(format_ids(rows), rows["bare"], strict=True):
        assert abs(bare - exact[uuid]) < 150


def test_content_goes_with_an_event_until_it_is_older_than_the_limit(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("old", "answer")
    first_ms = round(story.now.timestamp() * 1000)
    story.now += timedelta(days=3)
    story.turn("new", "answer")
    for more_ms, numbers_only in ((-1, 0), (0, 0), (1, 1)):
        now_ms = first_ms + 30 * 86_400_000 + more_ms
        plan = planned(tmp_path, now_ms=now_ms, content_days=30)
        calls = plan.frame[plan.frame["kind"] == "generation"]
        assert (calls["full"] == calls["bare"]).sum() == numbers_only
        assert plan.count_waiting().numbers_only == plan.numbers_only.sum()
        old, new = (calls.index[at] for at in (0, 1))
        assert (plan.has_content([old]), plan.has_content([new])) == (not numbers_only, True)
        assert plan.has_content([old, new])
    plan = planned(tmp_path, now_ms=first_ms, content_days=30)
    last_ms = plan.lasts_until_ms()
    assert last_ms is not None
    assert planned(tmp_path, now_ms=last_ms, content_days=30).numbers_only.sum() == 0
    assert planned(tmp_path, now_ms=last_ms + 1, content_days=30).numbers_only.any()
    assert planned(tmp_path, now_ms=NOW_MS, content_days=30).lasts_until_ms() is None
    assert planned(tmp_path, now_ms=NOW_MS).lasts_until_ms() is None


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_sizes_of_all_together_are_nearer_still(context):
    both = [sizes(name, context) for name in FOLDERS]
    assert sum(told for told, _ in both) == pytest.approx(sum(sum(exact) for _, exact in both), rel=0.015)


def sizes(name, context):
    """The bytes that a plan of some samples tells, and those that their events have."""
    exact = {}
    for path in (SAMPLES / name).glob("*.jsonl"):
        for event in built(path, input_context=context):
            exact.setdefault(event.uuid, len(event.encode()))
    return int(planned(SAMPLES / name).frame[context].sum()), list(exact.values())


def test_a_larger_context_takes_no_fewer_bytes_and_only_in_calls():
    rows = planned(SAMPLES).frame
    calls = rows["kind"] == "generation"
    assert (rows["full"] >= rows["turn"]).all()
    assert (rows["full"] >= rows["new"]).all()
    assert (rows["new"] > 0).all()
    assert (rows[~calls]["full"] == rows[~calls]["new"]).all()
    assert (rows[~calls]["full"] == rows[~calls]["turn"]).all()


def test_in_privacy_mode_every_context_takes_as_much():
    rows = planned(SAMPLES, privacy_mode=True).frame
    assert rows["full"].tolist() == rows["turn"].tolist() == rows["new"].tolist()
    exact = [len(event.encode()) for event in built(FORKS[0], privacy_mode=True)]
    told = planned(FORKS[0], privacy_mode=True).frame["full"].sum()
    assert abs(told - sum(exact)) < 150 * len(exact)


def test_what_a_fork_copied_belongs_to_its_parent(tmp_path):
    plan = planned(FORKS[0].parent)
    assert [planned.file.path for planned in plan.files] == FORKS, "the parent comes first"
    parent, *children = (events(path) for path in FORKS)
    for event in events_of(plan):
        if event.uuid in {e["uuid"] for e in parent}:
            assert event.file == 0
    assert any({e["uuid"] for e in child} & {e["uuid"] for e in parent} for child in children)
    calls = plan.frame[plan.frame["kind"] == "generation"]
    assert len(calls) == len({e.uuid for e in events_of(plan) if e.kind == "generation"})


def test_without_its_parent_a_fork_brings_the_copies(tmp_path):
    shutil.copy(FORKS[1], tmp_path)
    alone = planned(tmp_path)
    assert {event.uuid for event in events_of(alone)} == {e["uuid"] for e in events(FORKS[1])}


def test_a_run_that_still_goes_on_has_no_trace_yet(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    story.user("two")
    story.assistant(tool_call("c", "run", {}), stop="toolUse")
    os.utime(story.path, (story.now.timestamp(), story.now.timestamp()))
    soon_ms = round(story.now.timestamp() * 1000) + 1000
    kinds = [event.kind for event in events_of(planned(tmp_path, now_ms=soon_ms))]
    assert kinds == ["generation", "run", "trace", "generation"]
    later = [event.kind for event in events_of(planned(tmp_path, now_ms=soon_ms + 25 * 3_600_000))]
    assert sorted(later) == ["generation", "generation", "run", "run", "span", "trace", "trace"]


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
    assert sorted(e.kind for e in events_of(late)) == ["generation", "run", "span", "trace"]
    assert [e.kind for e in events_of(early)] == ["generation"]
    ids = [{e.uuid for e in events_of(plan)} for plan in (late, early, whole)]
    assert ids[0] | ids[1] == ids[2]
    assert [plan.frame["input_tokens"].sum() for plan in (whole, late, early)] == [200, 100, 100]
    assert [plan.frame["prompts"].sum() for plan in (whole, late, early)] == [1, 0, 1]
    assert [t.input_tokens for t in totals_of(late).values()] == [200]


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
    assert [event.kind for event in events_of(plan)] == ["generation", "run", "trace"]


def test_a_file_that_vanished_is_reported_and_the_rest_is_planned(tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn("x", name)
    found = find_sessions([tmp_path])
    (tmp_path / "a.jsonl").unlink()
    plan = make_plan(found, Settings(), now_ms=NOW_MS)
    (skipped,) = plan.skipped
    assert (skipped.path.name, skipped.serious) == ("a.jsonl", True)
    assert len(plan) == 3
    assert [planned.file.path.name for planned in plan.files] == ["b.jsonl"]
    assert [event.file for event in events_of(plan)] == [0, 0, 0]


def test_progress_ends_at_all_files_and_bytes():
    seen: list[Progress] = []
    found = find_sessions([SAMPLES])
    plan = make_plan(found, Settings(), now_ms=NOW_MS, on_progress=seen.append)
    count, size = len(found.sessions), plan.bytes_read
    assert seen[-1] == Progress(files=count, all_files=count, bytes_read=size, all_bytes=size)


def test_a_person_is_identified_once_and_first():
    plan = planned(SAMPLES, distinct_id="me@example.com")
    first, *others = events_of(plan)
    assert (first.kind, first.file) == ("identify", -1)
    assert first.uuid == make_identify_event(Settings(distinct_id="me@example.com")).uuid
    assert "identify" not in {event.kind for event in others}
    assert [event.uuid for event in others] == [event.uuid for event in events_of(planned(SAMPLES))]
    assert [event.kind for event in others] == [event.kind for event in events_of(planned(SAMPLES))]


def test_where_nothing_is_sent_nobody_is_identified(tmp_path):
    plan = planned(tmp_path, distinct_id="me@example.com")
    assert (len(plan), events_of(plan), len(plan.frame)) == (0, [], 0)


def test_what_is_delivered_is_asked_once_for_every_event():
    plan = planned(SAMPLES)
    asked = []
    done = set(pack_ids(plan.frame)[::3])

    def known(ids):
        asked.extend(ids)
        return done.intersection(ids)

    plan.mark_delivered(known)
    assert asked == [UUID(event.uuid).bytes for event in events_of(plan)]
    assert plan.delivered.tolist() == [index % 3 == 0 for index in range(len(plan))]
    plan.mark_delivered(lambda ids: set())
    assert not plan.delivered.any()


def test_what_waits_is_told_file_by_file():
    plan = planned(SAMPLES)
    plan.delivered[::3] = True
    told = dict(plan.find_wanted())
    expected = {}
    for index, event in enumerate(events_of(plan)):
        if index % 3:
            expected.setdefault(event.file, {})[event.uuid] = index
    assert told == expected
    waiting = plan.count_waiting()
    assert (waiting.events, waiting.files) == (sum(map(len, told.values())), len(told))


def test_what_is_delivered_while_the_files_are_told_changes_nothing_of_what_is_told():
    plan = planned(SAMPLES)
    files = plan.frame["file"].to_numpy()
    delivered_before = files == files[-1]
    plan.delivered[:] = delivered_before
    expected = dict(plan.find_wanted())
    told = {}
    for file, wanted in plan.find_wanted():
        assert file not in told
        told[file] = wanted
        plan.delivered[list(wanted.values())] = True
    assert told == expected
    assert plan.delivered.all()
    assert list(plan.find_wanted()) == []


def test_of_no_events_nothing_waits():
    plan = planned(SAMPLES, selection=Selection(since_ms=2**60))
    assert (len(plan), list(plan.find_wanted())) == (0, [])


def test_the_bytes_that_wait_are_those_of_the_events_that_wait():
    plan = planned(SAMPLES, distinct_id="me@example.com")
    assert plan.count_waiting().bytes_of == {name: plan.frame[name].sum() for name in CONTEXTS}
    assert plan.count_waiting().files == len({event.file for event in events_of(plan)} - {-1})
    plan.delivered[:] = True
    assert plan.count_waiting() == (0, 0, dict.fromkeys(CONTEXTS, 0), 0)
    plan.delivered[-2:] = False
    assert plan.count_waiting().bytes_of == {name: plan.frame[name][-2:].sum() for name in CONTEXTS}


@pytest.mark.parametrize("distinct_id", [None, "me@example.com"])
def test_the_ids_without_pandas_are_those_of_the_plan(tmp_path, distinct_id):
    """Forks whose parent still goes on included."""
    story = SessionWriter(tmp_path / "parent.jsonl", "parent")
    story.turn("one", "1")
    story.user("two")
    story.assistant(tool_call("c", "run", {}), stop="toolUse")
    now_ms = round(story.now.timestamp() * 1000) + 1000
    for path in (tmp_path / "parent.jsonl", *FORKS):
        os.utime(shutil.copy(path, tmp_path / f"copy of {path.name}"), (now_ms / 1000, now_ms / 1000))
    found, settings = find_sessions([tmp_path]), Settings(distinct_id=distinct_id)
    plan = make_plan(found, settings, now_ms=now_ms)
    assert find_event_ids(found, settings, now_ms=now_ms) == set(pack_ids(plan.frame))
    assert len(plan) > 3


def test_events_that_share_half_an_id_are_told_apart():
    rows = [(1, 1), (1, 2), (1, 1), (2, 1), (2, 1), (3, 3)]
    counted = CountedFiles([CountedFile(events=len(rows))])
    for high, low in rows:
        own = high.to_bytes(8) + low.to_bytes(8)
        counted.rows += ROW.pack(own, own, 5, 6, 1, 0, 0, 0, 0.5, 0, 1, 1, 1, 1, GENERATION, 0, 1)
    frame, _ = build_frame([Counted(counted, 0, counted.rows)], [("s", "p")], Selection())
    assert list(zip(frame["id_high"], frame["id_low"], strict=True)) == [(1, 1), (1, 2), (2, 1), (3, 3)]
    assert frame["trace_id"].tolist() == format_ids(frame)
