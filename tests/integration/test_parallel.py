"""A backfill with several requests at once, as by default: killed, interrupted, refused, slowed down."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from importer.ledger.ledger import Ledger
from tests.command import Command, finish
from tests.histories import started, wait_until, write_history
from tests.posthog_server import AI_PATH, Fault, PostHogServer
from tests.session_writer import SessionWriter

FILES, TURNS = 4, 300  # 3600 events: 8 requests
EVENTS = FILES * TURNS * 3
NEW = ("--input-context", "new")

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("history"), FILES, TURNS)


@pytest.fixture(scope="module")
def one_by_one(history, tmp_path_factory):
    """What a backfill with one request after the other leaves, the events by their id."""
    with PostHogServer() as server:
        command = Command(tmp_path_factory.mktemp("clean"))
        assert command.send(server, history, *NEW, "--parallel", "1", "--endpoint", "batch").code == 0
        return events(server)


def events(server):
    found = {event["uuid"]: event for event in server.accepted}
    assert len(found) == len(server.accepted)
    return found


def remembered(command):
    with Ledger.open(command.ledger, read_only=True) as ledger:
        return ledger.count()


def wait_until_quiet(server, quiet_s=0.7):
    """Wait until the server has taken nothing for a while: a busy machine is slow to read what was sent."""
    seen, since_s = -1, time.monotonic()
    while time.monotonic() - since_s < quiet_s:
        if (count := len(server.accepted)) != seen:
            seen, since_s = count, time.monotonic()
        time.sleep(0.02)


def test_several_requests_leave_what_one_after_the_other_does(command, server, history, one_by_one):
    server.faults = [Fault(delay_s=0.3), Fault(), Fault(status=503), Fault(reset="after"), Fault(delay_s=0.2)]
    done = command.send(server, history, *NEW, "--json")
    assert (done.code, done.json["delivered"], done.json["left"]) == (0, EVENTS, 0)
    assert events(server) == one_by_one
    assert {request.path for request in server.requests} == {AI_PATH}
    assert remembered(command) == EVENTS


@needs_signals
@pytest.mark.parametrize("requests", [1, 3, 6])
def test_a_killed_backfill_goes_on_where_it_stopped(command, server, history, one_by_one, requests):
    server.faults = [Fault(delay_s=0.1 * (number % 3)) for number in range(8)]
    process = started(command, server, history, *NEW)
    wait_until(lambda: len(server.requests) >= requests, process)
    process.kill()
    process.communicate()
    wait_until_quiet(server)  # what is under way arrives
    server.faults.clear()
    taken, known = len(server.accepted), remembered(command)
    assert known <= taken <= known + 4 * 500, "at most four batches are sent once more"
    again = command.send(server, history, *NEW, "--json")
    assert (again.code, again.json["already_delivered"]) == (0, known)
    assert events(server) == one_by_one
    assert server.duplicates == taken - known


@needs_signals
def test_when_the_command_is_killed_nothing_of_it_holds_the_ledger(command, server, tmp_path):
    history = write_history(tmp_path, 1, 4000)  # so much that its events are built in another process
    assert sum(path.stat().st_size for path in history.iterdir()) > 1_000_000
    server.faults = [Fault(delay_s=30)] * 8
    process = started(command, server, history, *NEW)
    wait_until(lambda: len(server.requests) >= 4, process)
    process.kill()
    process.communicate()
    server.stopping.set()
    server.faults.clear()
    again = command.send(server, history, *NEW, "--json")
    assert (again.code, again.json["left"]) == (0, 0)
    assert len(events(server)) == 4000 * 3


@needs_signals
def test_ctrl_c_waits_moments_for_answers_and_remembers_them(command, server, history, one_by_one):
    server.faults = [Fault(), Fault(delay_s=1.5), Fault(delay_s=30), Fault(503, {"Retry-After": "100"})]
    server.faults += [Fault(delay_s=30)] * 8
    process = started(command, server, history, *NEW)
    wait_until(lambda: len(server.requests) == 5, process)
    time.sleep(0.3)
    asked_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert time.monotonic() - asked_s < 5
    assert done.code == 1
    assert "run the same command again to go on" in done.error_lines[-1]
    assert len(server.accepted) == remembered(command) == 1000
    assert "1,000 events" in done.out
    server.stopping.set()
    time.sleep(0.2)
    server.faults.clear()
    again = command.send(server, history, *NEW, "--json")
    assert (again.code, again.json["already_delivered"]) == (0, 1000)
    assert events(server) == one_by_one


def test_a_refusal_stops_all_requests_and_what_was_taken_is_remembered(command, server, history, one_by_one):
    server.faults = [Fault(), Fault(delay_s=0.3), Fault(status=401), Fault(delay_s=0.3)]
    first = command.send(server, history, *NEW, "--json")
    assert first.code == 1
    assert "POSTHOG_API_KEY" in first.error_lines[-1]
    assert first.json["delivered"] == remembered(command) == len(server.accepted)
    assert first.json["left"] == EVENTS - first.json["delivered"]
    assert len(server.requests) <= 6
    second = command.send(server, history, *NEW, "--json")
    assert (second.code, second.json["already_delivered"]) == (0, first.json["delivered"])
    assert events(server) == one_by_one
    assert server.duplicates == 0


def test_an_older_server_gets_everything_at_batch(command, server, history, one_by_one):
    server.no_ai_lane = 404
    done = command.send(server, history, *NEW, "--json", POSTHOG_DISTINCT_ID="me@example.com")
    assert (done.code, done.json["left"], done.json["delivered"]) == (0, 0, EVENTS + 1)
    assert done.error_lines == []
    assert {event["uuid"] for event in server.accepted} > one_by_one.keys()
    other = command.send(server, history, "--endpoint", "ai", "--state", command.home / "other")
    (line,) = other.error_lines
    assert other.code == 1
    assert "POSTHOG_ENDPOINT" in line


def test_events_go_no_faster_than_asked_for(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for turn in range(14):
        story.turn(f"prompt {turn}", "answer")
    began_s = time.monotonic()
    done = command.send(server, story.path, "--max-events-per-minute", "300")
    assert done.code == 0
    assert time.monotonic() - began_s >= 12 / 270 * 60 * 0.9
    assert sorted(request.events for request in server.requests) == [12, 30]


def test_plain_http_to_another_machine_is_warned_of_once(command, server, tmp_path):
    SessionWriter(tmp_path / "s.jsonl").turn("x", "y")
    server.faults = [Fault(status=200, body=b'{"status":1}')]
    destination = {"POSTHOG_HOST": "http://posthog.invalid", "POSTHOG_API_KEY": "phc_test"}
    done = command("backfill", tmp_path, **destination, HTTP_PROXY=server.url, NO_PROXY="")
    assert done.code == 0
    (line,) = done.error_lines
    assert line.startswith("http://posthog.invalid is plain HTTP")
    assert server.requests[0].path == f"http://posthog.invalid{AI_PATH}"
