"""Where pi also runs PostHog's own extension, nothing is sent unless the user wants that."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.asking import answer
from tests.session_writer import SessionWriter

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="this platform has no pseudo terminals")
ASKED = "Send all of it? [y/N]"
TURN_EVENTS = 3  # a turn: a generation, a run and a trace


@pytest.fixture
def sessions(tmp_path):
    SessionWriter(tmp_path / "sessions" / "s.jsonl", start=datetime.now(UTC) - timedelta(hours=1)).turn(
        "x", "y"
    )
    return tmp_path / "sessions"


@pytest.fixture(autouse=True)
def extension(command):
    """pi's settings name the extension."""
    path = command.home / ".pi" / "agent" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"packages": ["npm:@posthog/pi@0.1.1"]}), encoding="utf-8")
    return path


def test_preview_and_a_dry_run_warn_and_say_what_to_do(command, sessions):
    for arguments in (["preview"], ["preview"], ["backfill", "--dry-run"], ["preview", "--json"]):
        done = command(*arguments, sessions)
        assert done.code == 0
        (line,) = done.error_lines
        assert "npm:@posthog/pi@0.1.1" in line
        assert "counts twice" in line
        assert "--until the day it was installed" in line


def test_without_a_terminal_backfill_refuses_and_sends_nothing(command, server, sessions):
    for arguments in ([], ["--yes"]):
        done = command.send(server, sessions, *arguments)
        assert done.code == 2
        (line,) = done.error_lines
        assert "--beside-extension" in line
        assert "--until" in line
    assert server.requests == []


def test_beside_extension_sends_with_a_warning(command, server, sessions):
    done = command.send(server, sessions, "--beside-extension")
    assert done.code == 0
    assert len(server.accepted) == TURN_EVENTS
    assert "counts twice" in done.err


def test_who_follows_the_advice_and_says_until_when_is_not_asked(command, server, sessions):
    done = command.send(server, sessions, "--until", "2h")
    assert (done.code, server.accepted) == (0, [])
    assert "counts twice" in done.err


def test_what_is_written_to_a_file_is_not_refused(command, sessions, tmp_path):
    done = command("backfill", sessions, "--output", tmp_path / "events.jsonl")
    assert done.code == 0
    assert "counts twice" in done.err
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == TURN_EVENTS


@posix_only
@pytest.mark.parametrize(("said", "code", "sent"), [("n", 0, 0), ("y", 0, TURN_EVENTS)])
def test_at_a_terminal_backfill_asks(command, server, sessions, said, code, sent):
    answers = {ASKED: said} | ({"Send them? [y/N]": "y"} if said == "y" else {})
    done, text = answer(command, "backfill", sessions, answers=answers, **command.destination(server))
    assert (done, len(server.accepted)) == (code, sent)
    assert "counts twice" in text
    assert ("Nothing was sent." in text) == (said == "n")


@posix_only
def test_a_yes_to_sending_is_no_yes_to_counting_twice(command, server, sessions):
    arguments = ("backfill", sessions, "--yes")
    _, text = answer(command, *arguments, answers={ASKED: "n"}, **command.destination(server))
    assert "Nothing was sent." in text
    assert server.requests == []


def test_watch_refuses_unless_it_is_told_otherwise(command, server, sessions):
    for arguments in ([], ["--backfill"]):
        done = command("watch", sessions, "--once", *arguments, **command.destination(server))
        assert done.code == 2
        assert "--beside-extension" in done.error_lines[-1]
    assert server.requests == []
    arguments = ("--once", "--settle", "0", "--backfill", "--beside-extension")
    done = command("watch", sessions, *arguments, **command.destination(server))
    assert done.code == 0
    assert len(server.accepted) == TURN_EVENTS
    assert "counts twice" in done.err


def test_the_doctor_warns(command, server, sessions):
    done = command("doctor", sessions, "--json", **command.destination(server))
    (check,) = (check for check in done.json["checks"] if check["name"] == "extension")
    assert (check["section"], check["state"]) == ("sessions", "warning")
    assert "counts twice" in check["found"]
    assert "remove it" in check["advice"]


def test_another_agents_sessions_are_not_held_up(command, server, sessions):
    done = command.send(server, sessions, "--from", "omp")
    assert (done.code, "counts twice" in done.err) == (0, False)
    assert len(server.accepted) == TURN_EVENTS
    done = command("watch", sessions, "--once", "--from", "omp", **command.destination(server))
    assert done.code == 0
    done = command("doctor", sessions, "--json", "--from", "omp", **command.destination(server))
    assert "extension" not in {check["name"] for check in done.json["checks"]}
