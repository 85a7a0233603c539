"""An answer with status 200 that is not PostHog's loses nothing: it is said, and all goes again later."""

from __future__ import annotations

import pytest

from importer.ledger.ledger import Ledger
from tests.command import finish
from tests.histories import wait_until
from tests.posthog_server import Fault
from tests.session_writer import SessionWriter

BLOCKED = Fault(status=200, body=b'{"error": "blocked: tracker"}')


@pytest.fixture
def sessions(tmp_path):
    SessionWriter(tmp_path / "sessions" / "s.jsonl").turn("prompt-mark", "answer")
    return tmp_path / "sessions"


def test_backfill_names_the_host_and_what_it_said_and_the_next_run_sends_all(command, server, sessions):
    server.faults = [BLOCKED] * 6
    done = command.send(server, sessions)
    assert done.code == 1
    assert f"{server.url} answered 200, but not as PostHog does" in done.error_lines[-1]
    assert "it said: blocked: tracker" in done.error_lines[-1]
    assert "prompt-mark" not in done.out + done.err
    with Ledger.open(command.ledger, read_only=True) as ledger:
        assert ledger.count() == 0
    assert command.send(server, sessions).code == 0
    assert (len(server.accepted), server.duplicates) == (3, 0)


def test_watch_waits_until_the_answer_is_posthogs(command, server, sessions):
    server.faults = [BLOCKED, Fault(status=507), Fault(status=522), Fault(status=425)]
    process = command.start(
        "watch", sessions, "--backfill", "--settle", "0", "--once", **command.destination(server)
    )
    wait_until(lambda: len(server.accepted) == 3, process)
    done = finish(process)
    assert done.code == 0
    assert server.duplicates == 0


def test_the_doctor_knows_posthog_from_a_proxy(command, server, sessions):
    server.faults = [BLOCKED]
    done = command("doctor", sessions, "--json", **command.destination(server))
    (check,) = (check for check in done.json["checks"] if check["name"] == "reachable")
    assert check["state"] == "problem"
