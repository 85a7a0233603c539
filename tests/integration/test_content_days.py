"""Content that PostHog would throw away is not sent, and whoever sends is told so."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.asking import answer
from tests.posthog_screens import CONTENT
from tests.session_writer import SessionWriter, text, tool_call

BY_DEFAULT = {"POSTHOG_CONTENT_DAYS": ""}
LINE = "older than 30 days: numbers only, PostHog deletes content then"


@pytest.fixture
def sessions(tmp_path):
    """Write a session of last year, and one that began then and ended yesterday: 8 old events, 3 new ones."""
    now = datetime.now(UTC)
    old = SessionWriter(tmp_path / "sessions" / "old.jsonl", "old", start=now - timedelta(days=300))
    old.user("mark-old")
    old.assistant(text("mark-answer"), tool_call("c", "run", {"x": "mark-argument"}), stop="toolUse")
    old.result("c", "run", text("mark-error"), isError=True)
    old.assistant(text("mark-done"))
    both = SessionWriter(tmp_path / "sessions" / "both.jsonl", "both", start=now - timedelta(days=300))
    both.turn("mark-first", "mark-second")
    both.now = now - timedelta(days=1)
    both.turn("mark-third", "mark-fourth")
    return tmp_path / "sessions"


def test_preview_says_how_many_events_go_without_content(command, sessions):
    figures = command("preview", sessions, "--json", **BY_DEFAULT).json
    assert (figures["events"], figures["numbers_only"], figures["content_days"]) == (11, 8, 30)
    everything = command("preview", sessions, "--json", "--content-days", "all", **BY_DEFAULT).json
    assert (everything["numbers_only"], everything["content_days"]) == (0, None)
    assert figures["upload_bytes"] < everything["upload_bytes"]
    shown = command("preview", sessions, COLUMNS="120", **BY_DEFAULT)
    assert f"8 events are {LINE}" in shown.out
    assert LINE not in command("preview", sessions, "--content-days", "all").out
    assert "0.5 days" in command("preview", sessions, "--content-days", "0.5", COLUMNS="120").out


def test_what_is_too_old_is_sent_without_its_six_properties(command, server, sessions):
    done = command.send(server, sessions, **BY_DEFAULT)
    assert done.code == 0
    assert "older than 30 days" in done.out
    assert "8 of them: numbers only" in done.out
    limit = datetime.now(UTC) - timedelta(days=30)
    old = [e for e in server.accepted if datetime.fromisoformat(e["timestamp"]) < limit]
    assert len(old) == 8
    assert not [name for event in old for name in CONTENT if name in event["properties"]]
    (failed,) = (e["properties"] for e in old if e["properties"].get("$ai_span_type") == "tool")
    assert "mark-error" in failed["$ai_error"], "an error stays with PostHog for good"
    (asked,) = (e["properties"] for e in old if e["properties"].get("$ai_tool_call_count"))
    assert asked["$ai_tools_called"] == "run"
    assert asked["$ai_user_prompt"] == "mark-old"
    (call,) = (e for e in server.accepted if e not in old and e["event"] == "$ai_generation")
    told = [json.dumps(message) for message in call["properties"]["$ai_input"]]
    assert len(told) == 3, "what a young call was given is sent, however old it is"
    assert "mark-first" in told[0]


def test_a_file_gets_the_events_that_posthog_gets(command, server, sessions, tmp_path):
    command.send(server, sessions, **BY_DEFAULT)
    command("backfill", sessions, "--output", tmp_path / "out.jsonl", **BY_DEFAULT)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert {e["uuid"]: e for e in map(json.loads, lines)} == {e["uuid"]: e for e in server.accepted}


def test_watch_leaves_it_out_too(command, server, sessions):
    destination = command.destination(server) | BY_DEFAULT
    assert command("watch", sessions, "--once", "--backfill", **destination).code == 0
    kept = [e["properties"] for e in server.accepted if set(CONTENT) & set(e["properties"])]
    assert len(server.accepted) == 11
    assert [each["$ai_session_id"] for each in kept] == ["pi:both:2"] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_the_question_says_so(command, server, sessions):
    destination = command.destination(server) | BY_DEFAULT
    code, said = answer(command, "backfill", sessions, answers={"Send them? [y/N]": "n"}, **destination)
    assert (code, server.accepted) == (0, [])
    assert LINE in " ".join(said.split())
