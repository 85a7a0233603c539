"""`pi2posthog backfill`, as a user runs it, against the loopback PostHog."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import stat
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from tests.building import events
from tests.command import SAMPLES
from tests.posthog_server import Fault
from tests.session_writer import SessionWriter

FORKS = {v: sorted((SAMPLES / v / "fork").glob("*.jsonl")) for v in ("0.73.1", "0.87.1")}


def calls(accepted):
    return [event["properties"] for event in accepted if event["event"] == "$ai_generation"]


def test_all_samples_arrive_once_and_add_up_to_what_preview_showed(command, server):
    shown = command("preview", SAMPLES, "--json").json
    sent = command.send(server, SAMPLES, "--json")
    assert (sent.code, sent.err) == (0, "")
    assert sent.json["delivered"] == len(server.accepted) == shown["events"]
    assert (sent.json["already_delivered"], sent.json["failed"], sent.json["skipped_files"]) == (0, 0, [])
    assert {row["state"] for row in sent.json["groups"]} == {"delivered"}
    found = calls(server.accepted)
    for total, name in {
        "generations": None,
        "input_tokens": "$ai_input_tokens",
        "output_tokens": "$ai_output_tokens",
        "cache_read_tokens": "$ai_cache_read_input_tokens",
        "cache_write_tokens": "$ai_cache_creation_input_tokens",
        "cost_usd": "$ai_total_cost_usd",
    }.items():
        arrived = sum(call[name] for call in found) if name else len(found)
        assert shown[total] == sent.json[total] == pytest.approx(arrived), total
    traces = [e["properties"] for e in server.accepted if e["event"] == "$ai_trace"]
    assert sum(t["$ai_total_cost_usd"] for t in traces) == pytest.approx(shown["cost_usd"])
    sizes = sum(
        len(json.dumps(e, separators=(",", ":"), ensure_ascii=False).encode()) for e in server.accepted
    )
    assert sent.json["sent_bytes"] == pytest.approx(sizes, rel=0.001)
    assert sent.json["upload_bytes"] == shown["upload_bytes"] == pytest.approx(sizes, rel=0.02)

    again = command.send(server, SAMPLES, "--json")
    assert (again.code, again.json["delivered"]) == (0, 0)
    assert again.json["already_delivered"] == shown["events"]
    assert len(server.requests) == sent.json["requests"]


def test_requests_are_packed_and_carry_the_key_once(command, server):
    command.send(server, SAMPLES)
    for request in server.requests:
        assert (request.path, request.gzip, request.status) == ("/i/v0/ai/batch/", True, 200)
        body = json.loads(zlib.decompress(request.packed, 31))
        assert body["api_key"] == server.api_key
        assert "phc_test" not in json.dumps(body["batch"])
    assert server.connections == 1


def test_only_old_events_go_as_a_historical_migration(command, server, tmp_path):
    SessionWriter(tmp_path / "s" / "old.jsonl").turn("x", "y")
    command.send(server, tmp_path / "s")
    assert [request.historical for request in server.requests] == [True]


def test_the_ledger_is_private_and_holds_no_key(command, server):
    command.send(server, SAMPLES / "0.87.1" / "tools")
    assert stat.S_IMODE(command.ledger.stat().st_mode) == 0o600
    assert stat.S_IMODE(command.ledger.parent.stat().st_mode) == 0o700
    assert server.api_key.encode() not in command.ledger.read_bytes()
    with sqlite3.connect(command.ledger) as database:
        (count,) = database.execute("SELECT count(*) FROM delivered").fetchone()
    database.close()
    assert count == len(server.accepted)


def test_state_names_another_ledger(command, server, tmp_path):
    for _ in range(2):
        command.send(server, SAMPLES / "0.87.1" / "tools", "--state", tmp_path / "mine" / "l.db")
    assert (tmp_path / "mine" / "l.db").exists()
    assert not command.ledger.exists()
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_output_writes_what_the_server_would_get_and_leaves_the_ledger_alone(command, server, tmp_path, name):
    out = tmp_path / name
    out.touch()
    for _ in range(2):
        wrote = command("backfill", SAMPLES, "--output", out, "--force", "--json")
        assert (wrote.code, wrote.json["requests"]) == (0, 0)
    assert not command.ledger.exists()
    raw = out.read_bytes()
    lines = (gzip.decompress(raw) if name.endswith("gz") else raw).split(b"\n")
    assert lines.pop() == b""
    command.send(server, SAMPLES)
    assert {e["uuid"]: e for e in map(json.loads, lines)} == {e["uuid"]: e for e in server.accepted}
    assert len(lines) == len(server.accepted) == wrote.json["delivered"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["home", name])


def test_a_dry_run_is_a_preview(command, server):
    dry = command.send(server, SAMPLES, "--dry-run", "--json")
    assert (dry.code, server.requests) == (0, [])
    assert dry.json == command("preview", SAMPLES, "--json").json
    assert not command.ledger.exists()


def test_switched_off_it_says_so_and_sends_nothing(command, server):
    off = command.send(server, SAMPLES, POSTHOG_ENABLED="false")
    assert (off.code, server.requests, off.out) == (0, [], "")
    (line,) = off.error_lines
    assert "POSTHOG_ENABLED" in line
    told = command.send(server, SAMPLES, "--json", POSTHOG_ENABLED="0").json
    assert (told["delivered"], told["failed"]) == (0, 0)


def test_the_settings_file_is_read_and_the_environment_wins(command, server, tmp_path):
    SessionWriter(tmp_path / "s.jsonl").turn("x", "y")
    config = command.home / ".pi" / "agent" / "posthog.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"apiKey": server.api_key, "host": server.url, "projectName": "file"}))
    sent = command(
        "backfill", tmp_path / "s.jsonl", POSTHOG_AGENT_NAME="env", POSTHOG_TAGS="team:core,env:dev"
    )
    assert sent.code == 0
    assert len(server.accepted) == 3
    for event in server.accepted:
        own = event["properties"]
        assert (own["$ai_project_name"], own["$ai_agent_name"]) == ("file", "env")
        assert (own["team"], own["env"]) == ("core", "dev")


def test_a_person_is_identified_once_over_two_runs(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("x", "y")
    person = {"POSTHOG_DISTINCT_ID": "me@example.com"}
    command.send(server, story.path, **person)
    story.turn("more", "y")
    command.send(server, story.path, **person)
    assert {event["distinct_id"] for event in server.accepted} == {"me@example.com"}
    kinds = [event["event"] for event in server.accepted]
    assert kinds == ["$identify", *["$ai_generation", "$ai_span", "$ai_trace"] * 2]
    assert server.accepted[0]["properties"]["$set"] == {"email": "me@example.com"}
    assert server.duplicates == 0


def test_a_distinct_id_that_is_no_email_is_a_person_without_an_address(command, server):
    command.send(server, SAMPLES / "0.87.1" / "tools", POSTHOG_DISTINCT_ID="laptop")
    assert {event["distinct_id"] for event in server.accepted} == {"laptop"}
    first, *others = server.accepted
    assert (first["event"], first["properties"]["$set"]) == ("$identify", {})
    assert "$identify" not in {event["event"] for event in others}


def test_an_identify_event_is_not_dated_into_the_past_and_a_resend_has_its_time(command, server, tmp_path):
    """A project with "drop events older than" would drop it, and the person with it."""
    SessionWriter(tmp_path / "s.jsonl").turn("x", "y")
    person = {"POSTHOG_DISTINCT_ID": "me@example.com"}
    server.faults = [Fault(reset="after"), *[Fault(status=401)]]
    began = datetime.now(UTC) - timedelta(seconds=1)
    assert command.send(server, tmp_path / "s.jsonl", **person).code == 1
    assert command.send(server, tmp_path / "s.jsonl", **person).code == 0
    (identify,) = [event for event in server.accepted if event["event"] == "$identify"]
    assert began < datetime.fromisoformat(identify["timestamp"]) < datetime.now(UTC) + timedelta(seconds=1)
    assert server.duplicates == 1, "the second run sent the very same envelope"


def test_live_and_afterwards_a_person_is_the_same(command, server, tmp_path):
    SessionWriter(tmp_path / "s.jsonl", start=datetime.now(UTC) - timedelta(hours=1)).turn("x", "y")
    person = {"POSTHOG_DISTINCT_ID": "laptop"}
    live = command("watch", tmp_path, "--once", "--settle", "0", **command.destination(server), **person)
    assert live.code == 0
    assert server.accepted[0]["event"] == "$identify"
    taken = len(server.accepted)
    command.send(server, tmp_path, **person)
    assert [event["event"] for event in server.accepted].count("$identify") == 1
    assert (len(server.accepted), server.duplicates) == (taken, 0)


def test_an_id_that_posthog_refuses_is_an_error(command, server):
    for value in ("anonymous", "NULL", "0"):
        done = command.send(server, SAMPLES / "0.87.1" / "tools", POSTHOG_DISTINCT_ID=value)
        assert done.code == 2
        (line,) = done.error_lines
        assert "POSTHOG_DISTINCT_ID" in line
        assert value in line
    assert server.requests == []


def test_the_users_own_limits_of_events_and_bytes_hold(command, server, tmp_path):
    story = SessionWriter(tmp_path / "sessions" / "s.jsonl")
    for _ in range(4):
        story.turn("x" * 40_000, "y" * 40_000)
    limits = {"POSTHOG_MAX_EVENT_BYTES": "60000", "POSTHOG_TAGS": "env:dev"}
    config = command.home / ".pi" / "agent" / "posthog.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"tags": {"env": "file", "team": "core"}}))
    done = command.send(server, tmp_path / "sessions", "--max-mb-per-minute", "100", "--json", **limits)
    assert done.code == 0
    assert max(len(json.dumps(event).encode()) for event in server.accepted) <= 61_000
    assert done.json["trimmed"] > 0
    assert {(e["properties"]["env"], e["properties"]["team"]) for e in server.accepted} == {("dev", "core")}
    command("backfill", tmp_path / "sessions", "--output", tmp_path / "out.jsonl", **limits)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert max(map(len, lines)) <= 60_000
    assert len(lines) == len(server.accepted)
    wrong = command.send(server, tmp_path, "--max-mb-per-minute", "0")
    assert wrong.code == 2
    assert "--max-mb-per-minute" in wrong.err


def test_without_a_person_the_session_is_the_distinct_id(command, server):
    command.send(server, SAMPLES / "0.87.1" / "tools")
    for event in server.accepted:
        assert event["distinct_id"] == event["properties"]["$ai_session_id"]
        assert event["properties"]["$process_person_profile"] is False


@pytest.mark.parametrize("version", FORKS)
@pytest.mark.parametrize("order", ["parent first", "children first"])
def test_a_forks_calls_arrive_once_in_any_order(command, server, version, order):
    copies = [{e["uuid"] for e in events(path)} for path in FORKS[version]]
    assert copies[0] & copies[1], "the fork holds copies"
    parent, *children = FORKS[version]
    runs = [[parent], children] if order == "parent first" else [children, [parent]]
    for paths in runs:
        assert command.send(server, *paths).code == 0
    assert {event["uuid"] for event in server.accepted} == set().union(*copies)
    assert server.duplicates == 0


def test_a_fork_without_its_parent_sends_the_copied_calls(command, server, tmp_path):
    parent, *children = FORKS["0.87.1"]
    (tmp_path / "s").mkdir()
    for child in children:
        shutil.copy(child, tmp_path / "s")
    command.send(server, tmp_path / "s")
    assert {e["uuid"] for e in server.accepted} == {e["uuid"] for child in children for e in events(child)}
    shutil.copy(parent, tmp_path / "s")
    command.send(server, tmp_path / "s")
    assert len(server.accepted) == len({e["uuid"] for path in FORKS["0.87.1"] for e in events(path)})


def test_the_summary_and_progress_are_plain_lines_without_a_terminal(command, server):
    sent = command.send(server, SAMPLES)
    assert sent.err == ""
    assert "\x1b" not in sent.out
    assert f"{len(server.accepted)} events" in sent.out
