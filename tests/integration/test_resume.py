"""A backfill that is killed, interrupted or cut off: run again, it goes on, and nothing arrives twice."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.asking import answer
from tests.command import finish
from tests.histories import started, wait_until, write_history
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter

FILES, TURNS = 4, 200  # 2400 events: 5 requests
EVENTS = FILES * TURNS * 3
NEW = ("--input-context", "new", "--parallel", "1")

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("history"), FILES, TURNS)


@pytest.fixture(scope="module")
def clean_run(history, tmp_path_factory):
    """The envelopes of a backfill that nothing disturbs."""
    from tests.command import Command

    with PostHogServer() as server:
        Command(tmp_path_factory.mktemp("clean")).send(server, history, *NEW)
        return envelopes(server)


def envelopes(server):
    found = {(e["uuid"], e["timestamp"], e["distinct_id"], e["event"]) for e in server.accepted}
    assert len(found) == len(server.accepted)
    return found


@needs_signals
@pytest.mark.parametrize(
    "moment",
    ["first request under way", "just taken", "third request under way", "answer lost"],
)
def test_a_killed_backfill_goes_on_where_it_stopped(command, server, history, clean_run, moment):
    slow = Fault(delay_s=0.2)
    if moment == "answer lost":
        server.faults = [Fault(), Fault(reset="after")]
    else:
        server.faults = [slow, slow, Fault(delay_s=0.5)]
    process = started(command, server, history, *NEW)
    reached = {
        "first request under way": lambda: len(server.requests) == 1,
        "just taken": lambda: len(server.accepted) >= 500,
        "third request under way": lambda: len(server.requests) == 3,
        "answer lost": lambda: len(server.accepted) >= 1000,
    }[moment]
    wait_until(reached, process)
    process.kill()
    process.communicate()
    time.sleep(1.0 if slow in server.faults or moment.endswith("way") else 0.05)  # what is under way arrives
    server.faults.clear()
    taken = len(server.accepted)
    assert taken < EVENTS

    again = command.send(server, history, *NEW, "--json")
    assert again.code == 0
    assert envelopes(server) == clean_run
    assert len(clean_run) == EVENTS
    known = again.json["already_delivered"]
    assert taken - 500 <= known <= taken, "at most the batch under way is sent once more"
    assert known + again.json["delivered"] == EVENTS
    assert server.duplicates == taken - known
    (line,) = again.error_lines
    assert "500 events may have arrived without an answer" in line, "what was under way at the kill"
    assert "count it twice for 30 days" in line
    assert "may have arrived" not in command.send(server, history, *NEW).err, "all of it is known now"


@needs_signals
@pytest.mark.parametrize("waiting", ["for an answer", "for the next try"])
def test_ctrl_c_ends_at_once_keeps_what_was_delivered_and_says_how_to_go_on(
    command, server, history, clean_run, waiting
):
    if waiting == "for an answer":
        server.faults = [Fault(), Fault(), Fault(delay_s=20)]
    else:
        server.faults = [Fault(), Fault(), Fault(status=503, headers={"Retry-After": "100"})]
    process = started(command, server, history, *NEW)
    wait_until(lambda: len(server.requests) == 3, process)
    time.sleep(0.2)
    asked_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert time.monotonic() - asked_s < 1.5
    assert done.code == 1
    *before, last = done.error_lines
    assert "run the same command again to go on" in last
    assert ("500 events may have arrived without an answer" in last) == (waiting == "for an answer")
    assert all("next try in" in line for line in before)
    assert "1,000 events" in done.out

    server.faults.clear()
    again = command.send(server, history, *NEW, "--json")
    assert (again.code, again.json["already_delivered"]) == (0, 1000)
    assert ("An earlier run was stopped" in again.err) == (waiting == "for an answer")
    assert envelopes(server) >= clean_run


@needs_signals
def test_ctrl_c_while_reading_is_one_line_too(command, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for turn in range(20):
        story.turn("p" * 1000, f"{turn}")
    entries = story.path.read_bytes().split(b"\n", 1)[1]
    for copy in range(1000):  # the same entries under other ids: seconds of reading
        story.raw(entries.replace(b'"id": "0', f'"id": "{copy:x}-'.encode()))
    process = command.start("preview", tmp_path / "s.jsonl")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 1
    (line,) = done.error_lines
    assert "Interrupted" in line


def test_a_server_that_goes_away_leaves_the_rest_for_the_next_time(command, server, history, clean_run):
    server.faults = [Fault(), Fault(), Fault(status=401)]
    first = command.send(server, history, *NEW, "--json")
    assert (first.code, first.json["delivered"], first.json["left"]) == (1, 1000, EVENTS - 1000)
    second = command.send(server, history, *NEW, "--json")
    assert (second.code, second.json["delivered"]) == (0, EVENTS - 1000)
    assert envelopes(server) == clean_run
    assert server.duplicates == 0
    assert (first.json["unanswered"], second.json["unanswered"]) == (0, 0)
    assert "may have arrived" not in first.err + second.err


def test_an_answer_that_is_lost_is_told_at_the_end(command, server, history, clean_run):
    server.faults = [Fault(reset="after")]
    done = command.send(server, history, *NEW)
    assert done.code == 0
    assert "500 events may have arrived without an answer" in done.error_lines[-1]
    assert "without answer" in done.out
    assert envelopes(server) == clean_run


@needs_signals
@pytest.mark.parametrize("recent", [True, False])
def test_the_first_question_warns_of_copies_that_the_trace_screens_would_count(
    command, server, tmp_path, recent
):
    start = datetime.now(UTC) - timedelta(days=1 if recent else 60)
    story = SessionWriter(tmp_path / "s" / "s.jsonl", start=start)
    story.turn("x", "y")
    destination = command.destination(server)
    asked = {"Send them? [y/N]": "y"}
    code, text = answer(command, "backfill", story.path, answers=asked, **destination)
    assert (code, len(server.accepted)) == (0, 3)
    assert ("never sent to http://127" in text) == recent
    assert ("3 events of the last 30 days twice" in text) == recent
    story.turn("more", "y")
    code, text = answer(command, "backfill", story.path, answers=asked, **destination)
    assert (code, len(server.accepted)) == (0, 6)
    assert "never sent" not in text, "this ledger knows the destination now"


def test_two_at_once_do_not_send_the_same(command, server, history):
    server.faults = [Fault(delay_s=1.5)]
    process = started(command, server, history, *NEW)
    wait_until(lambda: len(server.requests) == 1, process)
    second = command.send(server, history, *NEW)
    assert second.code == 2
    (line,) = second.error_lines
    assert f"in use by process {process.pid}" in line
    assert finish(process).code == 0
    assert server.duplicates == 0


def test_what_pi_wrote_meanwhile_is_the_next_runs_work(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for turn in range(2):
        story.turn(f"prompt {turn}", "answer")
        done = command.send(server, story.path, "--json")
        assert (done.json["delivered"], done.json["already_delivered"]) == (3, 3 * turn)
    assert server.duplicates == 0
