from __future__ import annotations

import json
import os
import time

import pytest

from importer.settings import Settings
from importer.watch.tail import Tail
from parsers.records import Run, Trace
from tests.building import NOW_MS, built
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import recently

SMALL = next((SAMPLES / "0.73.1" / "retry").glob("*.jsonl"))
HOUR_MS = 3_600_000


def tail_of(path, **settings):
    return Tail(path, Settings(**{"content_days": None} | settings))


def encoded(tail, records):
    return {record.id: tail.build_event(record).encode() for record in records}


def ended(tail, settle_ms=0):
    return tail.finish(NOW_MS, settle_ms)


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.jsonl")), ids=lambda path: path.parent.name)
def test_the_events_are_byte_for_byte_those_of_a_backfill(path):
    tail = tail_of(path)
    events = encoded(tail, tail.read())
    assert events | encoded(tail, ended(tail)) == {event.uuid: event.encode() for event in built(path)}


def test_an_event_that_is_too_old_at_this_moment_goes_without_content(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "answer")
    tail = tail_of(story.path, content_days=30)
    told = encoded(tail, tail.read()) | encoded(tail, ended(tail))
    assert told == {event.uuid: event.encode() for event in built(story.path, content_days=30)}
    assert b"answer" not in b"".join(told.values())


def test_a_file_cut_at_any_byte_gives_the_same_records_once_the_rest_is_written(tmp_path):
    data, path = SMALL.read_bytes(), tmp_path / "s.jsonl"
    whole = [record.id for record in tail_of(SMALL).read()]
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        tail = tail_of(path)
        first = tail.read()
        assert tail.offset == data.rfind(b"\n", 0, cut) + 1, "a line counts when its newline is there"
        with path.open("ab") as file:
            file.write(data[cut:])
        assert [record.id for record in first + tail.read()] == whole
        assert tail.list_warnings() == []


def test_a_file_that_grows_byte_by_byte_gives_each_record_once(tmp_path):
    path = tmp_path / "s.jsonl"
    path.touch()
    tail, seen = tail_of(path), []
    with path.open("ab", buffering=0) as file:
        for byte in SMALL.read_bytes():
            file.write(bytes([byte]))
            seen += [record.id for record in tail.read()]
    assert seen == [record.id for record in tail_of(SMALL).read()]


def test_a_line_that_is_longer_than_a_block_waits_for_its_end(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    size = story.path.stat().st_size
    story.assistant(text("x" * 3_000_000))
    line = story.path.read_bytes()[size:]
    os.truncate(story.path, size)
    tail = tail_of(story.path)
    for part in (line[:1_500_000], line[1_500_000:-1]):
        story.raw(part)
        assert tail.read() == []
    story.raw(line[-1:])
    assert len(tail.read()) == 1


def test_a_file_of_several_blocks_is_read_at_once(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for number in range(40):
        story.turn(f"prompt {number}", "y" * 100_000)
    assert len(tail_of(story.path).read()) == 118
    assert tail_of(story.path).offset == 0


def rewritten_in_place(story):
    data = story.path.read_bytes()
    story.path.write_bytes(data.replace(b'"version": 3', b'"version":  3'))


def changed_in_its_head(story):
    data = story.path.read_bytes()
    story.path.write_bytes(data.replace(b'"version": 3', b'"version": 2'))


def shrunk(story):
    os.truncate(story.path, story.path.read_bytes().index(b"\n") + 1)


def replaced(story):
    other = story.path.with_suffix(".new")
    other.write_bytes(story.path.read_bytes())
    other.replace(story.path)


def changed_behind_its_head(story):
    data = story.path.read_bytes()
    story.path.write_bytes(data[:-40] + data[-40:].replace(b"stop", b"STOP"))


@pytest.mark.parametrize(
    "change", [rewritten_in_place, changed_in_its_head, shrunk, replaced, changed_behind_its_head]
)
def test_a_rewritten_file_is_read_again_from_its_start(tmp_path, change):
    story = SessionWriter(tmp_path / "s.jsonl")
    for number in range(5):
        story.turn(f"prompt {number}", "answer")
    tail = tail_of(story.path)
    assert len(tail.read()) == 13
    change(story)
    fresh = tail_of(story.path)
    assert [record.id for record in tail.read()] == [record.id for record in fresh.read()]
    assert tail.activity == fresh.activity
    assert tail.read() == []


def test_of_a_file_that_grew_only_the_new_lines_are_read(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    tail = tail_of(story.path)
    tail.read()
    story.turn("two", "2")
    assert [type(record).__name__ for record in tail.read()] == ["Run", "Trace", "Generation"]
    assert tail.read() == []


def test_a_deleted_file_still_gives_its_trace(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    tail = tail_of(story.path)
    tail.read()
    story.path.unlink()
    with pytest.raises(FileNotFoundError):
        tail.read()
    assert [(type(record).__name__, record.name) for record in ended(tail)] == [
        ("Run", "one"),
        ("Trace", "one"),
    ]


def test_a_run_ends_the_settle_time_after_its_final_stop(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", start=recently(seconds=1))
    story.turn("one", "1")
    tail = tail_of(story.path)
    tail.read()
    now_ms = round(time.time() * 1000)  # a second before the answer, as clocks may differ
    assert tail.finish(now_ms, 60_000) == []
    assert now_ms < tail.find_due_ms(now_ms, 60_000) <= now_ms + 62_000
    run, trace = tail.finish(tail.find_due_ms(now_ms, 60_000), 60_000)
    tail.settled |= {run.id, trace.id}
    assert tail.finish(now_ms + 10 * HOUR_MS, 60_000) == []
    assert tail.find_due_ms(now_ms + HOUR_MS, 60_000) is None


def test_a_run_without_a_final_stop_ends_after_a_day(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", start=recently(seconds=2))
    story.user("go")
    story.assistant(tool_call("c", "read", {}), stop="toolUse")
    tail = tail_of(story.path)
    tail.read()
    now_ms = round(time.time() * 1000)
    assert tail.finish(now_ms + HOUR_MS, 20_000) == []
    due_ms = tail.find_due_ms(now_ms + HOUR_MS, 20_000)
    assert now_ms + 23 * HOUR_MS < due_ms < now_ms + 25 * HOUR_MS
    assert [type(record).__name__ for record in tail.finish(due_ms, 20_000)] == ["Span", "Run", "Trace"]


def test_a_session_window_ends_after_its_pause(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", start=recently(seconds=2))
    story.turn("one", "1")
    tail = tail_of(story.path, trace_grouping="session", session_window_minutes=90)
    tail.read()
    now_ms = round(time.time() * 1000)
    due_ms = tail.find_due_ms(now_ms, 20_000)
    assert now_ms < due_ms < now_ms + 23_000
    (run,) = tail.finish(due_ms, 20_000)
    assert isinstance(run, Run)
    tail.settled.add(run.id)
    assert tail.finish(now_ms + HOUR_MS, 20_000) == []
    due_ms = tail.find_due_ms(now_ms + HOUR_MS, 20_000)
    assert now_ms + HOUR_MS < due_ms < now_ms + 2 * HOUR_MS
    (trace,) = tail.finish(due_ms, 20_000)
    assert isinstance(trace, Trace)


def test_a_prompt_without_an_answer_is_never_due(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("anybody?")
    tail = tail_of(story.path)
    tail.read()
    assert ended(tail) == []
    assert tail.find_due_ms(NOW_MS, 20_000) is None


def test_describe_gives_the_last_activity_and_the_totals(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", cwd="/home/dev/shop")
    story.user("the first prompt")
    story.assistant(tool_call("c", "bash", {}), stop="toolUse")
    story.result("c", "bash", text("ok"))
    story.assistant(text("done"))
    story.user("the second prompt")
    tail = tail_of(story.path)
    tail.read()
    shown = tail.describe()
    assert (shown.project, shown.model, shown.tool) == ("shop", "mock-1", "bash")
    assert (shown.prompt, shown.calls, shown.tokens) == ("the second prompt", 2, 240)
    assert shown.cost_usd == pytest.approx(2 * (100 * 3e-6 + 20 * 15e-6))
    assert shown.last_ms == story.path.stat().st_mtime_ns // 1_000_000


def test_a_warning_names_file_and_line(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.raw(b"no json\n")
    tail = tail_of(story.path)
    tail.read()
    assert tail.list_warnings() == [f"{story.path}:2: not JSON, line skipped"]


def test_a_project_name_in_the_settings_wins(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", cwd="/home/dev/shop")
    story.turn("one", "1")
    tail = tail_of(story.path, project_name="renamed")
    (event,) = [json.loads(tail.build_event(record).encode()) for record in tail.read()]
    assert event["properties"]["$ai_project_name"] == "renamed"
    assert tail.activity.project == "renamed"


def test_a_file_that_becomes_a_link_to_another_place_is_not_read(tmp_path):
    first, other = SessionWriter(tmp_path / "a.jsonl", "a"), SessionWriter(tmp_path / "b" / "b.jsonl", "b")
    first.turn("one", "two")
    other.turn("three", "four")
    tail = tail_of(first.path)
    tail.read()
    first.path.unlink()
    first.path.symlink_to(other.path)
    with pytest.raises(OSError, match="a link to another place"):
        tail.read()
