from __future__ import annotations

import os
import shutil
import time

import pytest

from importer.watch import watcher as module
from tests.building import built
from tests.command import SAMPLES
from tests.rig import Rig, write_session
from tests.session_writer import SessionWriter
from tests.watching import recently

FORKS = sorted((SAMPLES / "0.87.1" / "fork").glob("*.jsonl"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.01)


def test_after_an_overflow_all_events_arrive_in_the_order_of_each_file(tmp_path):
    stories = [write_session(tmp_path / f"{n}.jsonl", 10, start=recently(hours=n)) for n in (3, 2, 1)]
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        stories[0].turn("while it is full", "yes")
        while len(rig.sender.taken) < 3 * 28 + 3:
            rig.sender.deliver()
            yield

    rig.run(script)
    assert rig.sender.refusals
    for story in stories:
        expected = [event.uuid for event in built(story.path)][:-2]  # the last run has not settled
        assert [uuid for uuid in rig.sender.taken if uuid in expected] == expected


def test_while_the_queue_is_full_nothing_is_read_again(tmp_path, monkeypatch):
    write_session(tmp_path / "s.jsonl", 10)
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        refused = rig.sender.refusals
        for _ in range(20):
            yield
        assert rig.sender.refusals == refused

    rig.run(script)
    assert len(rig.sender.taken) == 4


def test_after_an_overflow_the_events_of_a_forks_copies_are_still_those_of_its_parent(tmp_path):
    for path in FORKS:
        shutil.copy(path, tmp_path)
    rig = Rig(tmp_path, capacity=2, settle_ms=0)
    expected = {}
    for path in FORKS:
        for event in built(tmp_path / path.name):
            expected.setdefault(event.uuid, event.encode())

    def script():
        while len(rig.sender.taken) < len(expected):
            rig.sender.deliver()
            yield

    rig.run(script)
    assert {uuid: event.encode() for uuid, event in rig.sender.taken.items()} == expected


def test_after_an_overflow_the_traces_of_dropped_sessions_are_sent_too(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_BYTES", 0)
    for number in range(1, 9):
        story = write_session(tmp_path / f"{number}.jsonl", 2, start=recently(hours=number))
        os.utime(story.path, (story.now.timestamp(),) * 2)
    rig = Rig(tmp_path, capacity=6, settle_ms=0)

    def script():
        for _ in range(8):  # ticks: all files are read once
            yield
        assert rig.sender.refusals
        while len(rig.sender.taken) < 8 * 6:
            rig.sender.deliver()
            yield

    rig.run(script)


def test_a_refused_file_that_is_renamed_keeps_its_place(tmp_path):
    story = write_session(tmp_path / "s.jsonl", 10)
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        assert rig.sender.refusals
        story.path.rename(tmp_path / "t.jsonl")
        while len(rig.sender.taken) < 28:
            yield
            rig.sender.deliver()

    rig.run(script)
    assert not rig.said


def test_a_refused_file_that_is_deleted_is_named_and_does_not_delay_the_others(tmp_path):
    stories = [write_session(tmp_path / f"{n}.jsonl", 4, start=recently(hours=n)) for n in (2, 1)]
    rig = Rig(tmp_path, capacity=4)

    def script():
        yield
        stories[0].path.unlink()
        while not {event.uuid for event in built(stories[1].path)[:-2]} <= rig.sender.taken.keys():
            rig.sender.deliver()
            yield

    rig.run(script)
    assert rig.said == [f"{stories[0].path}: deleted before all of it was delivered"]


def test_events_that_ended_before_the_start_are_left_out(tmp_path):
    old = write_session(tmp_path / "old.jsonl", start=recently(days=3))
    both = write_session(tmp_path / "both.jsonl", start=recently(days=2))
    both.wait(days=2, minutes=-30)
    both.turn("now", "n")
    os.utime(old.path, (time.time() - 3 * 24 * 3600,) * 2)
    since_ms = round((time.time() - 24 * 3600) * 1000)
    rig = Rig(tmp_path, since_ms=since_ms, settle_ms=0).pass_once()
    assert rig.kinds() == ["generation", "span", "trace"]
    assert all(event.end_ms >= since_ms for event in rig.sender.taken.values())
    assert old.path not in rig.watcher.tails, "not even read"


def test_the_identify_event_goes_once_before_all_others(tmp_path):
    write_session(tmp_path / "s.jsonl", 2)
    rig = Rig(tmp_path, distinct_id="me@example.com").pass_once()
    assert rig.kinds()[:2] == ["$identify", "generation"]
    again = Rig(tmp_path, distinct_id="me@example.com")
    again.sender.done = set(rig.sender.taken)
    SessionWriter(tmp_path / "t.jsonl", "t").turn("other", "o")
    assert again.pass_once().kinds() == ["generation"]
