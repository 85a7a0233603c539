"""Faults around `watch`: torn writes, changed files, a PostHog that fails, signals, wrong usage."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time

import pytest

from importer.ledger.ledger import Ledger
from tests.command import SAMPLES, finish
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter, text
from tests.watching import NEVER_S, Watch, check, eventually, ids, imported, once, ready, recently

SMALL = next((SAMPLES / "0.73.1" / "retry").glob("*.jsonl"))


@pytest.fixture
def sessions(tmp_path):
    folder = tmp_path / "sessions"
    folder.mkdir()
    return folder


def test_a_session_written_byte_by_byte_arrives_as_a_backfill_would_send_it(command, server, sessions):
    with Watch(command, server, sessions, "--backfill", "--settle", NEVER_S):
        ready(server, sessions)
        with (sessions / SMALL.name).open("ab", buffering=0) as file:
            for byte in SMALL.read_bytes():
                file.write(bytes([byte]))
        eventually(lambda: calls(sessions) <= set(ids(server)), "all calls")
    assert once(command, server, sessions, "--backfill").code == 0
    check(server, sessions)


def calls(*paths):
    return {uuid for uuid, data in imported(*paths).items() if b'"event":"$ai_generation"' in data}


def test_a_torn_line_waits_for_its_rest_and_a_broken_line_is_skipped_with_a_warning(
    command, server, sessions
):
    with Watch(command, server, sessions, "--settle", NEVER_S) as watch:
        ready(server, sessions)
        before = len(ids(server))
        story = SessionWriter(sessions / "s.jsonl", start=recently())
        story.user("go")
        line = make_line(story, lambda: story.assistant(text("whole")))
        story.raw(line[:100])
        SessionWriter(sessions / "other.jsonl", "other", start=recently(minutes=40)).turn("o", "o")
        eventually(lambda: len(ids(server)) == before + 1, "the other session's call alone")
        story.raw(line[100:])
        eventually(lambda: len(ids(server)) == before + 2, "the completed line's call")
        story.raw(b'{"type":"message","id":"torn\n')
        story.turn("next", "one")
        eventually(lambda: len(ids(server, "trace")) >= 1, "the run before")
        finished = watch.stop()
    assert "s.jsonl:4: not JSON, line skipped" in finished.err
    assert finished.err.count("not JSON") == 1


def make_line(story, write):
    """Return the line that `write` would append to the session, without appending it."""
    path = story.path
    story.path = path.with_suffix(".scratch")
    write()
    line = story.path.read_bytes()
    story.path.unlink()
    story.path = path
    return line


def test_writers_that_append_to_different_files_and_to_the_same_file_lose_nothing(command, server, sessions):
    stories = [SessionWriter(sessions / f"{n}.jsonl", n, start=recently(hours=int(n))) for n in "123"]
    stories[2].path = stories[1].path  # continues the second session, from an entry of its own

    def write(story):
        for number in range(25):
            story.turn(f"prompt {number}", "answer")
            time.sleep(0.01)

    stories[2].entries = 1000
    with Watch(command, server, sessions, "--settle", NEVER_S):
        ready(server, sessions)
        writers = [threading.Thread(target=write, args=(story,)) for story in stories]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        eventually(lambda: calls(sessions) <= set(ids(server)), "all calls")
    assert len(calls(sessions)) == 75 + 2
    assert once(command, server, sessions).code == 0
    check(server, sessions)


def test_a_file_that_pi_migrates_in_place_sends_no_event_twice_and_is_read_on(command, server, sessions):
    modern = SessionWriter(sessions / "aside" / "s.txt", start=recently())
    for number in range(5):
        modern.turn(f"prompt {number}", "answer")
    path = sessions / "s.jsonl"
    old = [json.loads(line) for line in modern.path.read_bytes().splitlines()]
    for entry in old:
        for name in ("version", "id", "parentId") if entry["type"] != "session" else ("version",):
            entry.pop(name, None)
    with Watch(command, server, sessions):
        path.write_text("".join(json.dumps(entry) + "\n" for entry in old))
        eventually(lambda: len(ids(server)) == 15, "the old file's events")
        path.write_bytes(modern.path.read_bytes())
        modern.path.unlink()
        modern.path = path
        modern.turn("after", "the migration")
        eventually(lambda: len(ids(server)) == 18, "what came after")
    assert server.duplicates == 0
    check(server, sessions)


def test_a_file_that_shrinks_is_read_again_from_its_start(command, server, sessions):
    with Watch(command, server, sessions):
        story = SessionWriter(sessions / "s.jsonl", start=recently())
        story.turn("one", "1")
        size, last, now = story.path.stat().st_size, story.last, story.now
        story.turn("undone", "u")
        eventually(lambda: len(ids(server)) == 6, "both runs")
        os.truncate(story.path, size)
        story.last, story.now = last, now
        story.wait(minutes=5)
        story.turn("instead", "i")
        eventually(lambda: len(ids(server)) == 9, "the run after the cut")
    assert (server.duplicates, server.violations) == (0, [])
    assert imported(sessions).keys() <= set(ids(server))


def test_a_renamed_file_is_followed_under_its_new_name(command, server, sessions):
    with Watch(command, server, sessions, "-v") as watch:
        story = SessionWriter(sessions / "--a--" / "s.jsonl", start=recently())
        story.turn("one", "1")
        eventually(lambda: len(ids(server)) == 3, "the first run")
        story.path = story.path.rename(sessions / "renamed.jsonl")
        story.turn("two", "2")
        eventually(lambda: len(ids(server)) == 6, "the second run")
        finished = watch.stop()
    assert f"renamed to {story.path}" in finished.err
    assert server.duplicates == 0
    check(server, sessions)


def test_the_events_of_a_deleted_file_are_delivered_and_its_trace_too(command, server, sessions):
    with Watch(command, server, sessions, "--settle", 3):
        ready(server, sessions)
        story = SessionWriter(sessions / "s.jsonl", start=recently(seconds=1))
        story.turn("one", "1")
        expected = imported(sessions)
        eventually(lambda: len(ids(server, "generation")) == 3, "the call")
        story.path.unlink()
        eventually(lambda: set(ids(server)) == expected.keys(), "the trace of the deleted session")


def test_events_written_while_posthog_is_down_arrive_later_in_the_order_of_their_file(command, sessions):
    server = PostHogServer()
    address = server._server.server_address
    server._server.socket.close()  # nobody listens now
    stories = [SessionWriter(sessions / f"{n}.jsonl", n, start=recently(hours=int(n))) for n in "123"]
    with Watch(command, server, sessions) as watch:
        for story in stories:
            story.turn("while it is away", "x")
        eventually(lambda: last_error(command), "an error")
        assert "no answer" in last_error(command)
        assert watch.process.poll() is None
        for story in stories:
            story.turn("while it is still away", "y")
        server._server.socket = socket.create_server(address)
        server.faults = [Fault(503), Fault(429, {"Retry-After": "2"})]
        with server:
            for story in stories:
                story.turn("while it struggles", "z")
            eventually(lambda: len(ids(server)) == 27, "everything")
            finished = watch.stop()
    assert [request.status for request in server.requests[:3]] == [503, 429, 200]
    assert f"127.0.0.1:{address[1]}" in finished.err
    check(server, sessions)
    for story in stories:
        own = imported(story.path)
        assert [uuid for uuid in ids(server) if uuid in own] == list(own), "in the order of the file"


def last_error(command):
    with Ledger.open(command.ledger, read_only=True) as ledger:
        return next((known.last_error for known in ledger.describe()), None)


def test_a_signal_ends_the_watcher_within_seconds_even_while_posthog_is_down(command, sessions):
    SessionWriter(sessions / "s.jsonl", start=recently()).turn("one", "1")
    with PostHogServer() as failing, PostHogServer() as silent:
        failing.faults = [Fault(503)] * 50
        silent.faults = [Fault(delay_s=60)]
        watches = [
            Watch(command, server, sessions, "--state", command.home / str(number))
            for number, server in enumerate((failing, silent))
        ]
        eventually(lambda: failing.requests and silent.requests, "the first tries")
        began_s = time.monotonic()
        watches[0].process.send_signal(signal.SIGTERM)
        watches[1].process.send_signal(signal.SIGINT)
        for watch in watches:
            finished = finish(watch.process)
            assert time.monotonic() - began_s < 12
            assert finished.code == 0
            assert "3 events are not delivered yet; the next start sends what is left." in finished.err
        silent.stopping.set()
        for number, server in enumerate((failing, silent)):
            server.faults.clear()
            assert once(command, server, sessions, "--state", command.home / str(number)).code == 0
            assert set(ids(server)) == imported(sessions).keys()


def test_a_wrong_key_ends_the_watcher_with_one_line_without_the_key(command, server, sessions):
    SessionWriter(sessions / "s.jsonl", start=recently()).turn("one", "1")
    finished = finish(Watch(command, server, sessions, POSTHOG_API_KEY="phc_wrong").process)
    assert finished.code == 1
    assert len(finished.error_lines) == 1
    assert "401" in finished.err
    assert "phc_wrong" not in finished.err


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--state", ".."], {}, "is a folder"),
        ([], {"POSTHOG_API_KEY": ""}, "POSTHOG_API_KEY"),
        (["--backfill", "--new-only"], {}, "exclude each other"),
        (["--settle", "-1"], {}, "--settle"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(command, server, sessions, arguments, environment, says):
    finished = finish(Watch(command, server, sessions, *arguments, **environment).process)
    assert (finished.code, finished.out, len(finished.error_lines)) == (2, "", 1)
    assert says in finished.err


def test_a_watcher_that_is_switched_off_says_so(command, server, sessions):
    finished = finish(Watch(command, server, sessions, POSTHOG_ENABLED="false").process)
    assert (finished.code, len(finished.error_lines)) == (0, 1)
    assert "nothing is sent" in finished.err


@pytest.mark.parametrize(("flag", "lines"), [("-q", 0), (None, 1), ("-v", 2)])
def test_quiet_and_verbose_set_the_number_of_log_lines(command, server, sessions, flag, lines):
    story = SessionWriter(sessions / "s.jsonl", start=recently())
    story.user("one")
    story.assistant(text("1"))
    finished = once(command, server, sessions, "--settle", NEVER_S, *([flag] if flag else []))
    assert finished.code == 0
    assert len(finished.error_lines) == lines
    if lines:
        assert finished.error_lines[-1].endswith("delivered 1 event, 0 waiting")


def test_an_event_that_posthog_refuses_is_named_and_the_others_are_delivered(command, server, sessions):
    story = SessionWriter(sessions / "s.jsonl", start=recently())
    for number in range(4):
        story.turn(f"prompt {number}", "answer")
    bad = list(imported(sessions))[3]
    server.not_valid = {bad}
    with Watch(command, server, sessions) as watch:
        eventually(lambda: len(ids(server)) == 11, "all others")
        story.turn("later", "answer")
        eventually(lambda: len(ids(server)) >= 12, "what came later")
        finished = watch.stop()
    (line,) = [line for line in finished.error_lines if bad in line]
    assert "s.jsonl" in line
    assert "refused this event alone with 400" in line
    server.not_valid = set()
    assert once(command, server, sessions).code == 0
    check(server, sessions)


@pytest.mark.parametrize("status", [400, 403])
def test_a_server_that_refuses_everything_ends_the_watcher_with_one_line(command, server, sessions, status):
    SessionWriter(sessions / "s.jsonl", start=recently()).turn("one", "1")
    server.faults = [Fault(status)] * 100
    finished = finish(Watch(command, server, sessions).process)
    assert finished.code == 1
    (line,) = finished.error_lines
    assert f"answered {status}" in line


def test_an_event_that_had_to_be_cut_is_named(command, server, sessions):
    SessionWriter(sessions / "s.jsonl", start=recently()).turn("x" * 300_000, "y")
    server.max_ai_lane_event = 100_000
    finished = once(command, server, sessions)
    assert finished.code == 0
    (line,) = [line for line in finished.error_lines if "was cut to" in line]
    assert "s.jsonl" in line
