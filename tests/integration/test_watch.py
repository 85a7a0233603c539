"""`pi2posthog watch` as a user runs it: a process of its own, real files, a PostHog on the loopback."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from tests.command import SAMPLES, finish
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import NEVER_S, Watch, check, eventually, ids, imported, once, ready, recently, sent

TOOLS = next((SAMPLES / "0.87.1" / "tools").glob("*.jsonl"))
FORKS = sorted((SAMPLES / "0.87.1" / "fork").glob("*.jsonl"))


@pytest.fixture
def sessions(tmp_path):
    folder = tmp_path / "sessions"
    folder.mkdir()
    return folder


def generations(sessions):
    return {uuid for uuid, data in imported(sessions).items() if b'"event":"$ai_generation"' in data}


def test_every_sample_session_that_grows_line_by_line_arrives_as_a_backfill_would_send_it(
    command, server, sessions
):
    paths = sorted(SAMPLES.rglob("*.jsonl"))
    with Watch(command, server, sessions, "--backfill", "--settle", NEVER_S):
        ready(server, sessions)
        for source in paths:
            with (sessions / source.name).open("ab", buffering=0) as file:
                for line in source.read_bytes().splitlines(keepends=True):
                    file.write(line)
                    time.sleep(0.002)
        eventually(lambda: set(ids(server, "generation")) == generations(sessions), "all calls")
    assert once(command, server, sessions, "--backfill").code == 0
    check(server, sessions)


def test_a_fork_that_appears_while_its_parent_is_watched_delivers_no_call_twice(command, server, sessions):
    with Watch(command, server, sessions, "--backfill"):
        ready(server, sessions)
        for path in FORKS:
            shutil.copy(path, sessions)
            eventually(lambda: set(ids(server)) == imported(sessions).keys(), f"everything of {path.name}")
    assert server.duplicates == 0
    check(server, sessions)


def test_a_trace_is_sent_only_after_the_settle_time(command, server, sessions):
    with Watch(command, server, sessions, "--settle", 3):
        ready(server, sessions)
        story = SessionWriter(sessions / "now.jsonl", "now", start=recently(seconds=2))
        story.turn("go", "gone")
        ended_s = story.now.timestamp()
        call, run, trace = imported(story.path)
        eventually(lambda: call in ids(server), "the call")
        eventually(lambda: {run, trace} <= set(ids(server)), "the run and its trace")
        assert time.time() >= ended_s + 3


def test_a_trace_is_sent_when_the_next_run_begins(command, server, sessions):
    with Watch(command, server, sessions, "--settle", NEVER_S):
        story = SessionWriter(sessions / "s.jsonl", start=recently())
        story.turn("one", "1")
        eventually(lambda: len(ids(server, "generation")) == 1, "the first call")
        assert not ids(server, "trace")
        story.user("two")
        eventually(lambda: len(ids(server, "trace")) == 1, "the first trace")


def test_a_run_that_continues_after_its_trace_was_sent_delivers_its_calls_and_no_second_trace(
    command, server, sessions
):
    with Watch(command, server, sessions, "--settle", 0):
        story = SessionWriter(sessions / "s.jsonl", start=recently())
        story.user("go")
        story.assistant(stop="error", errorMessage="overloaded")
        eventually(lambda: ids(server, "trace"), "the trace")
        story.assistant(text("done"))
        story.user("next")
        eventually(lambda: len(ids(server, "generation")) == 2, "the retry")
        story.assistant(text("next one"))
        eventually(lambda: len(ids(server, "trace")) == 2, "the second run's trace")
    calls = [e["properties"]["$ai_trace_id"] for e in server.accepted if e["event"] == "$ai_generation"]
    assert calls[0] == calls[1] != calls[2]
    assert server.violations == []


def test_by_default_events_that_ended_over_a_day_ago_are_left_to_backfill(command, server, sessions):
    SessionWriter(sessions / "old.jsonl", "old", start=recently(hours=30)).turn("old", "o")
    resumed = SessionWriter(sessions / "resumed.jsonl", "resumed", start=recently(hours=26))
    resumed.turn("yesterday", "y")
    resumed.wait(hours=25)
    resumed.turn("today", "t")
    SessionWriter(sessions / "new.jsonl", "new", start=recently()).turn("new", "n")
    os.utime(sessions / "old.jsonl", (time.time() - 30 * 3600,) * 2)
    with Watch(command, server, sessions):
        eventually(lambda: len(ids(server, "trace")) == 2, "what is new")
    prompts = {e["properties"].get("$ai_user_prompt") for e in server.accepted} - {None}
    assert prompts == {"today", "new"}
    assert command.send(server, sessions).code == 0
    check(server, sessions)


def test_backfill_delivers_all_history_first(command, server, sessions):
    SessionWriter(sessions / "old.jsonl", "old", start=recently(days=30)).turn("old", "o")
    with Watch(command, server, sessions, "--backfill") as watch:
        eventually(lambda: len(ids(server)) == 3, "the history")
        SessionWriter(sessions / "new.jsonl", "new", start=recently()).turn("new", "n")
        eventually(lambda: len(ids(server)) == 6, "what is new")
        assert watch.process.poll() is None
    check(server, sessions)


def test_new_only_leaves_out_events_from_before_the_start(command, server, sessions):
    before = SessionWriter(sessions / "s.jsonl", start=recently())
    before.turn("before", "b")
    with Watch(command, server, sessions, "--new-only"):
        eventually(lambda: command.ledger.exists(), "the ledger")
        before.wait(hours=1)
        before.turn("after", "a")
        eventually(lambda: len(ids(server, "generation")) == 1, "the new call")
    assert [e["properties"]["$ai_user_prompt"] for e in server.accepted] == ["after"]


def test_sessions_in_a_folder_that_is_created_later_are_delivered(command, server, tmp_path):
    sessions = tmp_path / "later" / "sessions"
    with Watch(command, server, sessions):
        eventually(lambda: command.ledger.exists(), "the ledger")
        SessionWriter(sessions / "--p--" / "s.jsonl", start=recently()).turn("hello", "hi")
        eventually(lambda: len(ids(server)) == 3, "its events")


def test_pis_own_folder_is_watched_by_default(command, server):
    with Watch(command, server):
        eventually(lambda: command.ledger.exists(), "the ledger")
        folder = command.home / ".pi" / "agent" / "sessions" / "--p--"
        SessionWriter(folder / "s.jsonl", start=recently()).turn("hello", "hi")
        eventually(lambda: len(ids(server)) == 3, "its events")


def test_sessions_in_a_folder_that_is_moved_in_are_delivered(command, server, sessions, tmp_path):
    with Watch(command, server, sessions):
        ready(server, sessions)
        aside = SessionWriter(tmp_path / "aside" / "s.jsonl", start=recently())
        aside.turn("moved in", "ok")
        (tmp_path / "aside").rename(sessions / "--p--")
        eventually(lambda: len(ids(server, "generation")) == 3, "the folder's session")
        aside.path = sessions / "--p--" / "s.jsonl"
        aside.turn("and on", "ok")
        eventually(lambda: len(ids(server, "generation")) == 4, "what was appended")


def test_polling_finds_new_sessions(command, server, sessions):
    with Watch(command, server, sessions, "--poll", "-v") as watch:
        eventually(lambda: command.ledger.exists(), "the ledger")
        SessionWriter(sessions / "--p--" / "s.jsonl", start=recently()).turn("hello", "hi")
        eventually(lambda: len(ids(server)) == 3, "its events")
        assert "observing: polling" in watch.stop().err


def test_one_pass_delivers_all_events_and_ends_and_a_second_pass_sends_nothing(command, server, sessions):
    story = SessionWriter(sessions / "s.jsonl", start=recently())
    story.turn("one", "1")
    story.user("two")
    story.assistant(tool_call("c", "read", {}), stop="toolUse")
    first = once(command, server, sessions)
    assert (first.code, first.out) == (0, "")
    kinds = [e["event"].removeprefix("$ai_") for e in server.accepted]
    assert kinds == ["generation", "span", "trace", "generation"]
    requests = len(server.requests)
    assert once(command, server, sessions).code == 0
    assert len(server.requests) == requests, "the second pass has nothing to send"


def test_a_second_watcher_names_the_process_that_holds_the_ledger(command, server, sessions):
    with Watch(command, server, sessions) as first:
        ready(server, sessions)
        second = finish(Watch(command, server, sessions).process)
        assert second.code == 2
        assert len(second.error_lines) == 1
        assert f"process {first.process.pid}" in second.err
        assert (
            finish(Watch(command, server, sessions, "--state", command.home / "other", "--once").process).code
            == 0
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_a_signal_the_watcher_delivers_its_queue_and_ends_with_0(command, server, sessions, number):
    with Watch(command, server, sessions) as watch:
        ready(server, sessions)
        SessionWriter(sessions / "last.jsonl", "last", start=recently()).turn("last", "words")
        finished = watch.stop(number)
        assert finished.code == 0
        assert "Traceback" not in finished.err
    assert len(sent(server)) == len(server.accepted)


def test_privacy_mode_shows_and_sends_no_prompt(command, server, sessions):
    with Watch(command, server, sessions, "--privacy-mode", "-v") as watch:
        story = SessionWriter(sessions / "s.jsonl", start=recently())
        story.user("my secret prompt")
        story.raw(b'{"my secret prompt": torn\n')
        story.assistant(text("my secret answer"), stop="error", errorMessage="my secret error")
        eventually(lambda: len(ids(server)) == 3, "the events")
        finished = watch.stop()
    assert "s.jsonl:3: not JSON" in finished.err
    assert "secret" not in finished.err + finished.out
    assert not any(b"secret" in data for data in sent(server).values())
    check(server, sessions, privacy_mode=True)
