"""Preview and backfill on a real Dask cluster: the same events as on one machine, and one ledger."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from importer.ledger.ledger import Ledger
from tests.command import ROOT, SAMPLES, Command, finish
from tests.dask_cluster import dask_cluster
from tests.histories import wait_until, write_history
from tests.posthog_server import Fault, PostHogServer
from tests.pricing import write_calls, write_models

FILES, TURNS = 48, 100
EVENTS = FILES * TURNS * 3  # a turn: a generation, a run and a trace
NEW = ("--input-context", "new")

# Dask's scheduler logs this if it sends an event to a client that a test has just killed.
CLIENT_GONE = re.compile(
    r"^.* distributed\.scheduler - CRITICAL - Closed comm .* while trying to write .*\n"
    r"Traceback \(most recent call last\):\n(?:  .*distributed.*\n    .*\n)+"
    r"distributed\.comm\.core\.CommClosedError: Comm <TCP \(closed\) Scheduler->Client .*> "
    r"already closed\.\n",
    re.MULTILINE,
)

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with dask_cluster(tmp_path_factory.mktemp("cluster"), workers=4) as running:
        yield running
        log = running.log.read_text()
        for secret in ("phc_test", "prompt 1"):
            assert secret not in log
        assert "Traceback" not in CLIENT_GONE.sub("", log)


@pytest.fixture
def small_cluster(tmp_path):
    with dask_cluster(tmp_path, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Write sessions that are large enough for several tasks."""
    folder = write_history(tmp_path_factory.mktemp("history"), FILES, TURNS)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"answer", b"answer " + b"words " * 150))
    return folder


@pytest.fixture(scope="module")
def on_one_machine(history, tmp_path_factory):
    """The events of a backfill by this machine alone, by id."""
    with PostHogServer() as server:
        command = Command(tmp_path_factory.mktemp("alone"))
        assert command.send(server, history, *NEW).code == 0
        return events(server)


def events(server):
    found = {event["uuid"]: event for event in server.accepted}
    assert len(found) == len(server.accepted)
    return found


def remembered(command):
    with Ledger.open(command.ledger, read_only=True) as ledger:
        return ledger.count()


def start(command, server, history, cluster, *options):
    return command.start(
        "backfill", history, *NEW, "--scheduler", cluster.address, *options, **command.destination(server)
    )


def slow(seconds, requests=200):
    return [Fault(delay_s=seconds) for _ in range(requests)]


def test_preview_on_the_cluster_shows_the_same_as_on_one_machine(command, cluster):
    there = command("preview", SAMPLES, "--json", "--scheduler", cluster.address)
    assert there.code == 0
    assert there.json == command("preview", SAMPLES, "--json").json


def test_events_that_are_too_old_go_without_content_from_there_too(command, cluster, server):
    days = ("--content-days", "0.001", "--json")
    done = command.send(server, SAMPLES, *days, "--scheduler", cluster.address)
    assert (done.code, done.json["numbers_only"]) == (0, len(server.accepted))
    with PostHogServer() as other:
        command.send(other, SAMPLES, *days, "--state", command.home / "other")
        assert events(server) == events(other)
    assert not any("$ai_input" in event["properties"] for event in server.accepted)


def test_the_sample_sessions_and_the_identify_event_arrive_byte_for_byte_the_same(command, cluster, server):
    person = ("--distinct-id", "me@example.com", "--json")
    began = datetime.now(UTC) - timedelta(milliseconds=1)
    done = command.send(server, SAMPLES, *person, "--scheduler", cluster.address)
    assert (done.code, done.json["delivered"]) == (0, len(server.accepted))
    assert server.accepted[0]["event"] == "$identify"
    with PostHogServer() as other:
        alone = command.send(other, SAMPLES, *person, "--state", command.home / "other")
        there, here = events(server), events(other)
    for found in (there, here):
        (identify,) = (event for event in found.values() if event["event"] == "$identify")
        dated = datetime.fromisoformat(identify.pop("timestamp"))
        assert began < dated < datetime.now(UTC), "each ledger dates it when it sends it first"
    assert there == here
    for figure in ("sent_bytes", "cost_usd", "groups", "warnings", "notes", "failed", "left"):
        assert done.json.get(figure) == alone.json.get(figure)


def test_workers_price_calls_as_this_machine_does(command, cluster, server):
    """They have no models.json: its prices come with the settings."""
    path = write_calls(command.home / "sessions" / "s.jsonl").path
    write_models(command.home / ".pi" / "agent")
    done = command.send(server, path, "--json", "--scheduler", cluster.address)
    assert done.json["cost_by_basis"]["estimated"]["calls"] == 3
    with PostHogServer() as other:
        alone = command.send(other, path, "--json", "--state", command.home / "other")
        assert events(server) == events(other)
    for figure in ("cost_by_basis", "unpriced", "cost_usd", "groups"):
        assert done.json[figure] == alone.json[figure]


def test_many_sessions_arrive_byte_for_byte_the_same(command, cluster, server, history, on_one_machine):
    done = finish(start(command, server, history, cluster, "--json"))
    assert (done.code, done.json["delivered"], done.json["left"]) == (0, EVENTS, 0)
    assert events(server) == on_one_machine
    assert server.duplicates == 0
    assert remembered(command) == EVENTS
    assert done.json["requests"] == len(server.requests)


@needs_signals
def test_after_a_worker_is_killed_only_its_running_requests_arrive_twice(
    command, cluster, server, history, on_one_machine
):
    server.faults = slow(0.1)
    process = start(command, server, history, cluster, "--json")
    wait_until(lambda: len(server.accepted) > EVENTS // 4, process)
    before = len(server.requests)
    cluster.kill_worker()
    killed = finish(process)
    assert before < len(server.requests)
    assert (killed.code, killed.json["delivered"], killed.json["left"]) == (0, EVENTS, 0)
    assert events(server) == on_one_machine
    assert server.duplicates <= 4 * 500, "the worker had at most four requests under way"
    assert remembered(command) == EVENTS
    requests = len(server.requests)
    again = finish(start(command, server, history, cluster, "--json"))
    assert (again.code, again.json["already_delivered"]) == (0, EVENTS)
    assert len(server.requests) == requests


@needs_signals
def test_ctrl_c_stops_the_workers_and_the_ledger_has_what_was_acknowledged(
    command, cluster, server, history, on_one_machine
):
    server.faults = slow(0.5)  # shorter, and all is sent before Ctrl-C arrives on a busy machine
    process = start(command, server, history, cluster)
    wait_until(lambda: remembered(command) > 0, process)
    asked_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert time.monotonic() - asked_s < 3
    assert done.code == 1
    assert "run the same command again to go on" in done.error_lines[-1]
    known, requests = remembered(command), len(server.requests)
    time.sleep(0.5)
    assert len(server.requests) <= requests, "no worker goes on"
    assert known == len(server.accepted) < EVENTS
    server.faults.clear()
    again = finish(start(command, server, history, cluster, "--json"))
    assert (again.code, again.json["already_delivered"]) == (0, known)
    assert events(server) == on_one_machine
    assert server.duplicates == 0


@needs_signals
def test_when_the_command_is_killed_the_workers_stop_and_the_next_run_continues(
    command, cluster, server, history, on_one_machine
):
    server.faults = slow(0.4)
    process = start(command, server, history, cluster)
    wait_until(lambda: remembered(command) > 0, process)
    process.kill()
    process.communicate()
    time.sleep(1.0)
    taken, known = len(server.accepted), remembered(command)
    assert known <= taken < EVENTS
    time.sleep(0.5)
    assert len(server.accepted) == taken
    server.faults.clear()
    again = finish(start(command, server, history, cluster, "--json"))
    assert (again.code, again.json["already_delivered"]) == (0, known)
    assert events(server) == on_one_machine


def test_a_refusal_ends_the_backfill_with_one_line_and_the_ledger_has_what_was_taken(
    command, cluster, server, history
):
    server.faults = [Fault(), Fault(delay_s=0.2), Fault(status=401), *slow(0.2)]
    done = finish(start(command, server, history, cluster, "--json"))
    assert done.code == 1
    (line,) = done.error_lines
    assert "POSTHOG_API_KEY" in line
    assert done.json["delivered"] == remembered(command) == len(server.accepted)
    assert done.json["left"] == EVENTS - done.json["delivered"]


def test_max_events_per_minute_holds_for_all_workers_together(command, cluster, server, tmp_path):
    write_history(tmp_path / "few", files=1, turns=20)
    began_s = time.monotonic()
    options = ("--scheduler", cluster.address, "--max-events-per-minute", "2400")
    assert command.send(server, tmp_path / "few", *options).code == 0
    assert len(server.accepted) == 60
    assert time.monotonic() - began_s >= 60 / (2400 / 4 / 60) * 0.9, "one of four workers had it"


def test_max_mb_per_minute_holds_for_all_workers_together(command, cluster, server, tmp_path):
    write_history(tmp_path / "few", files=1, turns=10)
    began_s = time.monotonic()
    options = ("--scheduler", cluster.address, "--max-mb-per-minute", "4", *NEW)
    assert command.send(server, tmp_path / "few", *options).code == 0
    assert len(server.accepted) == 30
    size = sum(request.raw_size for request in server.requests)
    assert time.monotonic() - began_s >= size / (500_000 / 60) * 0.9, "one of four workers had a megabyte"


@needs_signals
def test_a_scheduler_that_dies_ends_the_backfill_with_one_line(command, small_cluster, server, history):
    server.faults = slow(0.2)
    process = start(command, server, history, small_cluster)
    wait_until(lambda: server.accepted, process)
    os.killpg(small_cluster.process.pid, signal.SIGKILL)
    done = finish(process)
    assert done.code == 1
    assert "was lost; nothing delivered so far is lost" in done.error_lines[-1]
    assert remembered(command) <= len(server.accepted)


def test_an_address_without_a_scheduler_ends_with_one_line(command):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for address, says in {
        f"tcp://127.0.0.1:{port}": "no Dask scheduler answers",
        "10.0.0.1": "is no address like tcp://HOST:PORT",
        "tls://127.0.0.1:1": "needs certificates",
    }.items():
        done = command("preview", SAMPLES, "--scheduler", address)
        assert (done.code, len(done.error_lines)) == (2, 1)
        assert says in done.err


def test_without_dask_one_line_says_what_to_install(command, tmp_path):
    (tmp_path / "distributed.py").write_text("raise ImportError")
    done = command(
        "preview", SAMPLES, "--scheduler", "tcp://127.0.0.1:1", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"
    )
    assert (done.code, len(done.error_lines)) == (2, 1)
    assert "pip install 'pi2posthog[dask]'" in done.err


def test_workers_with_another_version_end_with_one_line(command, tmp_path):
    other = tmp_path / "pi2posthog-99.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pi2posthog\nVersion: 99.9\n")
    with dask_cluster(tmp_path, workers=1, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}") as cluster:
        done = command("preview", SAMPLES, "--scheduler", cluster.address)
    assert (done.code, len(done.error_lines)) == (2, 1)
    assert "has pi2posthog 99.9, this machine" in done.err


def test_output_and_scheduler_exclude_each_other(command, tmp_path):
    done = command("backfill", SAMPLES, "--output", tmp_path / "o.jsonl", "--scheduler", "tcp://127.0.0.1:1")
    assert (done.code, len(done.error_lines)) == (2, 1)
    assert "exclude each other" in done.err
