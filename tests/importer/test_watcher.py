from __future__ import annotations

import os
import shutil
import time

import pytest

from importer import watcher as module
from importer.discovery import Skipped
from importer.settings import Settings
from importer.watcher import Watcher, WatchOptions
from tests.building import built
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, text
from tests.watching import recently

FORKS = sorted((SAMPLES / "0.87.1" / "fork").glob("*.jsonl"))
NEVER_MS = 10**12


class Desk:
    """Stands for the sender: takes so many events, and is told when they are delivered."""

    def __init__(self, capacity=10**6):
        self.capacity = capacity
        self.taken = {}
        self.done = set()
        self.refusals = 0

    @property
    def waiting(self):
        return self.taken.keys() - self.done

    def deliver(self):
        self.done |= self.taken.keys()

    def offer(self, event, source_bytes):
        if event.uuid not in self.waiting and len(self.waiting) >= self.capacity:
            self.refusals += 1
            return False
        assert event.uuid not in self.done, "sent twice"
        self.taken.setdefault(event.uuid, event)
        return True

    def has_room(self, source_bytes):
        return len(self.waiting) <= self.capacity // 2

    def is_pending(self, uuid):
        return uuid in self.waiting

    def delivered(self, uuids):
        return self.done & set(uuids)

    def drain(self, timeout_s):
        self.deliver()
        return True

    def check(self):
        pass


class Rig:
    """A watcher and what it did; `run` follows a script: a generator that yields once a tick."""

    def __init__(self, *paths, capacity=10**6, since_ms=None, settle_ms=NEVER_MS, **settings):
        self.desk = Desk(capacity)
        self.said = []
        options = WatchOptions(since_ms, settle_ms)
        self.watcher = Watcher(paths, Settings(**settings), options, self.desk, self.said.append)

    def run(self, script):
        steps, deadline = script(), time.monotonic() + 60

        def tick():
            assert time.monotonic() < deadline, "the script did not come to its end"
            if next(steps, self) is self:
                self.watcher.stop()

        self.watcher.run(tick)

    def pass_once(self):
        self.watcher.run_once()
        return self

    def kinds(self):
        return [event.event.removeprefix("$ai_") for event in self.desk.taken.values()]

    def sources(self):
        return {event.source for event in self.desk.taken.values()}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.01)


def session(path, runs=1, **header):
    story = SessionWriter(path, header.pop("session_id", path.stem), **header)
    for number in range(runs):
        story.turn(f"{path.stem} {number}", "answer")
    return story


def test_a_queue_that_overflows_gets_everything_in_the_end_each_file_in_order(tmp_path):
    stories = [session(tmp_path / f"{n}.jsonl", 10, start=recently(hours=n)) for n in (3, 2, 1)]
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        stories[0].turn("while it is full", "yes")
        while len(rig.desk.taken) < 3 * 19 + 2:
            rig.desk.deliver()
            yield

    rig.run(script)
    assert rig.desk.refusals
    for story in stories:
        expected = [event.uuid for event in built(story.path)][:-1]  # the last run has not settled
        assert [uuid for uuid in rig.desk.taken if uuid in expected] == expected


def test_while_the_queue_is_full_nothing_is_read_again(tmp_path, monkeypatch):
    session(tmp_path / "s.jsonl", 10)
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        refused = rig.desk.refusals
        for _ in range(20):
            yield
        assert rig.desk.refusals == refused

    rig.run(script)
    assert len(rig.desk.taken) == 4


def test_after_an_overflow_a_forks_copies_are_still_its_parents(tmp_path):
    for path in FORKS:
        shutil.copy(path, tmp_path)
    rig = Rig(tmp_path, capacity=2, settle_ms=0)
    expected = {}
    for path in FORKS:
        for event in built(tmp_path / path.name):
            expected.setdefault(event.uuid, event.encode())

    def script():
        while len(rig.desk.taken) < len(expected):
            rig.desk.deliver()
            yield

    rig.run(script)
    assert {uuid: event.encode() for uuid, event in rig.desk.taken.items()} == expected


def test_a_refused_file_that_is_renamed_keeps_its_place(tmp_path):
    story = session(tmp_path / "s.jsonl", 10)
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        assert rig.desk.refusals
        story.path.rename(tmp_path / "t.jsonl")
        while len(rig.desk.taken) < 19:
            yield
            rig.desk.deliver()

    rig.run(script)
    assert not rig.said


def test_a_refused_file_that_is_deleted_is_named_and_holds_nobody_up(tmp_path):
    stories = [session(tmp_path / f"{n}.jsonl", 4, start=recently(hours=n)) for n in (2, 1)]
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        stories[0].path.unlink()
        while not {event.uuid for event in built(stories[1].path)[:-1]} <= rig.desk.taken.keys():
            rig.desk.deliver()
            yield

    rig.run(script)
    assert rig.said == [f"{stories[0].path}: deleted before all of it was delivered"]


def test_a_session_that_was_dropped_from_memory_sends_what_is_new_and_nothing_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    story = session(tmp_path / "s.jsonl", 2)
    rig = Rig(tmp_path)

    def script():
        while rig.watcher.tails or not rig.desk.taken:
            yield
        rig.desk.deliver()
        story.turn("more", "words")
        while len(rig.desk.taken) < 5:
            yield

    rig.run(script)
    assert rig.kinds() == ["generation", "trace", "generation", "trace", "generation"]


def test_a_dropped_sessions_trace_is_sent_when_its_run_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    rig = Rig(tmp_path, settle_ms=1500)
    session(tmp_path / "s.jsonl", start=recently(seconds=2))

    def script():
        while rig.watcher.tails or not rig.desk.taken:
            yield
        assert rig.kinds() == ["generation"]
        while len(rig.desk.taken) < 2:
            yield

    rig.run(script)
    assert rig.kinds() == ["generation", "trace"]


def test_sessions_that_nobody_writes_to_are_dropped_when_memory_is_short(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_BYTES", 10_000)
    for number in range(9):
        story = session(tmp_path / f"{number}.jsonl", 10, start=recently(hours=number + 1))
        if number < 8:
            os.utime(story.path, (time.time() - 3600,) * 2)
    rig = Rig(tmp_path).pass_once()
    kept = [path.name for path in rig.watcher.tails]
    assert "8.jsonl" in kept, "somebody writes to it"
    assert 1 <= len(kept) <= 4
    assert len(rig.desk.taken) == 9 * 19


def test_a_run_that_settled_is_sent_once(tmp_path):
    story = session(tmp_path / "s.jsonl", 1)
    rig = Rig(tmp_path, settle_ms=0)

    def script():
        while rig.kinds() != ["generation", "trace"]:
            yield
        for _ in range(5):
            yield
        story.turn("next", "one")
        while len(rig.desk.taken) < 4:
            yield

    rig.run(script)


def test_what_ended_before_the_start_is_left_out(tmp_path):
    old = session(tmp_path / "old.jsonl", start=recently(days=3))
    both = session(tmp_path / "both.jsonl", start=recently(days=2))
    both.wait(days=2, minutes=-30)
    both.turn("now", "n")
    os.utime(old.path, (time.time() - 3 * 24 * 3600,) * 2)
    since_ms = round((time.time() - 24 * 3600) * 1000)
    rig = Rig(tmp_path, since_ms=since_ms, settle_ms=0).pass_once()
    assert rig.kinds() == ["generation", "trace"]
    assert all(event.end_ms >= since_ms for event in rig.desk.taken.values())
    assert old.path not in rig.watcher.tails, "not even read"


def test_a_person_is_identified_once_before_the_first_event(tmp_path):
    session(tmp_path / "s.jsonl", 2)
    rig = Rig(tmp_path, distinct_id="me@example.com").pass_once()
    assert rig.kinds()[:2] == ["$identify", "generation"]
    again = Rig(tmp_path, distinct_id="me@example.com")
    again.desk.done = set(rig.desk.taken)
    SessionWriter(tmp_path / "t.jsonl", "t").turn("other", "o")
    assert again.pass_once().kinds() == ["generation"]


def test_what_is_no_session_is_passed_over_without_a_word(tmp_path):
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
        session(path)
        while not rig.desk.taken:
            yield

    rig.run(script)


def test_a_warning_is_said_once_however_often_a_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    story = session(tmp_path / "s.jsonl")
    story.raw(b"broken\n")
    rig = Rig(tmp_path)

    def script():
        for number in range(3):
            story.turn(f"run {number}", "answer")
            while rig.watcher.tails or len(rig.desk.taken) < 2 * number + 3:
                yield

    rig.run(script)
    assert rig.said == [f"{story.path}:4: not JSON, line skipped"]


def test_a_file_that_cannot_be_read_is_named_once_and_tried_again(tmp_path, monkeypatch):
    story = session(tmp_path / "s.jsonl")
    error = PermissionError(13, "Permission denied")
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_session_file", lambda path: Skipped.unreadable(path, error))
        rig = Rig(tmp_path).pass_once().pass_once()
    assert rig.said == [f"{story.path}: cannot be read: Permission denied, tried again later"]
    assert rig.pass_once().kinds() == ["generation"]


def test_changes_that_no_observer_saw_are_found_by_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    monkeypatch.setattr(module.Changes, "on_any_event", lambda self, event: None)
    story = session(tmp_path / "s.jsonl")
    rig = Rig(tmp_path)

    def script():
        while not rig.desk.taken:
            yield
        story.turn("more", "words")
        while len(rig.desk.taken) < 3:
            yield
        session(tmp_path / "new" / "t.jsonl", start=recently())
        while len(rig.desk.taken) < 4:
            yield

    rig.run(script)


def test_a_stop_is_heard_while_many_files_are_read(tmp_path):
    for number in range(50):
        session(tmp_path / f"{number}.jsonl", start=recently(hours=number))
    rig = Rig(tmp_path)
    rig.watcher.run(lambda: rig.watcher.stop())
    assert len(rig.watcher.tails) == 1


def test_a_run_with_an_error_counts_today(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", start=recently(seconds=1))
    story.user("go")
    story.assistant(text("x"), stop="error")
    rig = Rig(tmp_path).pass_once()
    assert (rig.watcher.today.calls, rig.watcher.today.tokens) in {(1, 120), (0, 0)}  # midnight may come
