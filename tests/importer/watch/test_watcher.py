from __future__ import annotations

import os
import time

import pytest

from importer.sessions.session_file import Skipped
from importer.watch import watcher as module
from tests.rig import Rig, write_session
from tests.session_writer import SessionWriter, text
from tests.watching import recently

RUN = ["generation", "span", "trace"]  # the events of a run with one answer


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.01)


def test_a_dropped_session_that_grows_sends_its_new_events_and_none_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    story = write_session(tmp_path / "s.jsonl", 2)
    rig = Rig(tmp_path)

    def script():
        while rig.watcher.tails or not rig.sender.taken:
            yield
        rig.sender.deliver()
        story.turn("more", "words")
        while len(rig.sender.taken) < 7:
            yield

    rig.run(script)
    assert rig.kinds() == [*RUN, *RUN, "generation"]


def test_the_trace_of_a_dropped_session_is_sent_when_its_run_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    rig = Rig(tmp_path, settle_ms=1500)
    write_session(tmp_path / "s.jsonl", start=recently(seconds=2))

    def script():
        while rig.watcher.tails or not rig.sender.taken:
            yield
        assert rig.kinds() == ["generation"]
        while len(rig.sender.taken) < 3:
            yield

    rig.run(script)
    assert rig.kinds() == RUN


def test_idle_sessions_are_dropped_beyond_the_limit_of_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_BYTES", 10_000)
    for number in range(9):
        story = write_session(tmp_path / f"{number}.jsonl", 10, start=recently(hours=number + 1))
        if number < 8:
            os.utime(story.path, (time.time() - 3600,) * 2)
    rig = Rig(tmp_path).pass_once()
    kept = [path.name for path in rig.watcher.tails]
    assert "8.jsonl" in kept, "somebody writes to it"
    assert 1 <= len(kept) <= 4
    assert len(rig.sender.taken) == 9 * 28


def test_a_renamed_session_is_read_on_and_not_from_its_start(tmp_path):
    story = write_session(tmp_path / "s.jsonl")
    rig = Rig(tmp_path)

    def script():
        while not rig.sender.taken:
            yield
        (tail,) = rig.watcher.tails.values()
        story.path = story.path.rename(tmp_path / "t.jsonl")
        story.turn("more", "words")
        while len(rig.sender.taken) < 4:
            yield
        assert rig.watcher.tails == {story.path: tail}, "it was not read again"

    rig.run(script)


def test_the_trace_of_a_settled_run_is_sent_once(tmp_path):
    story = write_session(tmp_path / "s.jsonl", 1)
    rig = Rig(tmp_path, settle_ms=0)

    def script():
        while rig.kinds() != RUN:
            yield
        (tail,) = rig.watcher.tails.values()
        assert tail.settled == tail.session.open_traces()
        for _ in range(5):
            yield
        story.turn("next", "one")
        while len(rig.sender.taken) < 6:
            yield
        assert rig.kinds() == RUN * 2

    rig.run(script)


def test_files_that_are_no_sessions_are_ignored_without_a_message(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "other.jsonl").write_text('{"recordType":"message"}\n')
    (tmp_path / "notes.txt").write_text("x")
    rig = Rig(tmp_path).pass_once()
    assert (rig.said, rig.watcher.tails) == ([], {})


def test_a_file_that_becomes_a_session_is_followed(tmp_path):
    path = tmp_path / "s.jsonl"
    path.touch()
    rig = Rig(tmp_path)

    def script():
        yield
        write_session(path)
        while not rig.sender.taken:
            yield

    rig.run(script)


def test_a_warning_is_said_once_however_often_a_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    story = write_session(tmp_path / "s.jsonl")
    story.raw(b"broken\n")
    rig = Rig(tmp_path)

    def script():
        for number in range(3):
            story.turn(f"run {number}", "answer")
            while rig.watcher.tails or len(rig.sender.taken) < 3 * number + 4:
                yield

    rig.run(script)
    assert rig.said == [f"{story.path}:4: not JSON, line skipped"]


def test_a_file_that_cannot_be_read_is_named_once_and_tried_again(tmp_path, monkeypatch):
    story = write_session(tmp_path / "s.jsonl")
    error = PermissionError(13, "Permission denied")
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_session_file", lambda path, agent: Skipped.unreadable(path, error))
        rig = Rig(tmp_path).pass_once().pass_once()
    assert rig.said == [f"{story.path}: cannot be read: Permission denied, tried again later"]
    assert rig.pass_once().kinds() == ["generation"]


def test_changes_that_no_observer_reports_are_found_by_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    monkeypatch.setattr(module.Changes, "on_any_event", lambda self, event: None)
    story = write_session(tmp_path / "s.jsonl")
    rig = Rig(tmp_path)

    def script():
        while not rig.sender.taken:
            yield
        story.turn("more", "words")
        while len(rig.sender.taken) < 4:
            yield
        write_session(tmp_path / "new" / "t.jsonl", start=recently())
        while len(rig.sender.taken) < 5:
            yield

    rig.run(script)


def test_a_stop_ends_the_reading_of_many_files(tmp_path):
    for number in range(50):
        write_session(tmp_path / f"{number}.jsonl", start=recently(hours=number))
    rig = Rig(tmp_path)
    rig.watcher.run(lambda: rig.watcher.stop())
    assert len(rig.watcher.tails) == 1


def test_a_run_with_an_error_counts_today(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", start=recently(seconds=1))
    story.user("go")
    story.assistant(text("x"), stop="error")
    rig = Rig(tmp_path).pass_once()
    assert rig.watcher.today.totals[:2] in {(1, 120), (0, 0)}  # midnight may come


def test_before_a_run_settles_its_unreported_lines_are_read(tmp_path):
    story = write_session(tmp_path / "s.jsonl", start=recently(seconds=10))
    rig = Rig(tmp_path, settle_ms=20_000).pass_once()
    story.turn("late", "answer")
    rig.watcher.settle(round(time.time() * 1000) + 60_000)
    assert rig.watcher.tails[story.path].offset == story.path.stat().st_size
    assert rig.kinds() == RUN * 2
