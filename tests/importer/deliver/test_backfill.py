"""A plan delivered: to the loopback PostHog, or to a file."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from importer.deliver.backfill import Backfill
from importer.errors import DeliveryError, Pi2PosthogError
from importer.ledger.ledger import Ledger
from importer.plan.plan import Selection, make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS, events
from tests.command import SAMPLES
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter


@pytest.fixture
def server():
    with PostHogServer() as running:
        yield running
    assert running.violations == []
    assert running.dropped == []


def planned(path, settings, selection=None):
    return make_plan(
        find_sessions([path]), settings, selection or Selection(), now_ms=NOW_MS, with_totals=True
    )


def deliver(path, server, ledger_path, *, plan=None, **chosen):
    """Send what the ledger does not know; return what was done."""
    defaults = {"parallel": 1, "endpoint": "batch", "content_days": None}
    settings = Settings(host=server.url, **defaults | chosen)
    plan = plan or planned(path, settings)
    with Ledger.open(ledger_path) as ledger:
        destination = ledger.destination_id(server.url, server.api_key)
        plan.mark_delivered(lambda ids: ledger.known([destination], ids))
        work = Backfill(plan, settings)
        work.send(server.api_key, ledger)
    return work


@pytest.mark.parametrize("content_days", [None, 30])
def test_every_planned_event_arrives_as_it_was_built(server, tmp_path, content_days):
    """Also where content is too old to be kept, and so is not read at all."""
    work = deliver(SAMPLES, server, tmp_path / "l.db", content_days=content_days)
    files = SAMPLES.rglob("*.jsonl")
    expected = {e["uuid"]: e for path in files for e in events(path, content_days=content_days)}
    assert work.outcome.numbers_only == (0 if content_days is None else len(expected))
    for event in server.accepted:
        own = expected.pop(event["uuid"])
        if event["distinct_id"] == own["distinct_id"]:  # a copy in a fork names the fork's session
            assert event == own
    assert expected == {}
    outcome = work.outcome
    assert outcome.delivered == outcome.planned == len(server.accepted)
    assert (outcome.left, outcome.failed, outcome.already_delivered, outcome.notes) == (0, 0, 0, [])
    assert outcome.files == outcome.all_files == len(list(SAMPLES.rglob("*.jsonl")))
    assert outcome.bytes == pytest.approx(outcome.planned_bytes, rel=0.02)
    assert outcome.cost_usd == pytest.approx(
        sum(e["properties"].get("$ai_total_cost_usd", 0) for e in server.accepted if "gen" in e["event"])
    )


def test_a_second_run_asks_nothing_of_the_server(server, tmp_path):
    deliver(SAMPLES, server, tmp_path / "l.db")
    requests = len(server.requests)
    work = deliver(SAMPLES, server, tmp_path / "l.db")
    assert len(server.requests) == requests
    assert (work.outcome.planned, work.outcome.delivered) == (0, 0)
    assert work.outcome.already_delivered == len(server.accepted)


def test_the_ledger_knows_what_the_server_took_and_no_more(server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for number in range(700):
        story.turn(f"q{number}", "a")
    server.faults = [Fault(), Fault(), Fault(status=400)]
    with pytest.raises(DeliveryError):
        deliver(tmp_path, server, tmp_path / "l.db", input_context="new")
    with Ledger.open(tmp_path / "l.db", read_only=True) as ledger:
        assert ledger.count() == len(server.accepted) == 1000
    work = deliver(tmp_path, server, tmp_path / "l.db", input_context="new")
    assert work.outcome.already_delivered == 1000
    assert len(server.accepted) == 2100
    assert server.duplicates == 0


def test_another_project_or_host_gets_everything_again(server, tmp_path):
    with PostHogServer("phc_other") as other:
        for destination in (server, other):
            deliver(SAMPLES / "0.87.1" / "tools", destination, tmp_path / "l.db")
        assert {e["uuid"] for e in other.accepted} == {e["uuid"] for e in server.accepted} != set()


def test_a_file_that_grew_after_the_plan_delivers_what_was_planned(server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    plan = planned(tmp_path, Settings())
    story.turn("two", "2")
    work = deliver(tmp_path, server, tmp_path / "l.db", plan=plan)
    assert (work.outcome.delivered, work.outcome.left) == (3, 0)
    deliver(tmp_path, server, tmp_path / "l.db")
    assert (len(server.accepted), server.duplicates) == (6, 0)


def test_a_file_that_vanished_after_the_plan_is_left_and_noted(server, tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn(name, "y")
    plan = planned(tmp_path, Settings())
    (tmp_path / "a.jsonl").unlink()
    work = deliver(tmp_path, server, tmp_path / "l.db", plan=plan)
    assert (work.outcome.delivered, work.outcome.left) == (3, 3)
    (note,) = work.outcome.notes
    assert "a.jsonl" in note


def test_a_file_that_was_rewritten_after_the_plan_is_left_and_noted(server, tmp_path):
    SessionWriter(tmp_path / "a.jsonl", "a").turn("x", "y")
    plan = planned(tmp_path, Settings())
    (tmp_path / "a.jsonl").unlink()
    SessionWriter(tmp_path / "a.jsonl", "a").turn("x", "y", responseId="other")
    work = deliver(tmp_path, server, tmp_path / "l.db", plan=plan)
    assert work.outcome.left > 0
    assert "changed while it was read" in work.outcome.notes[0]
    deliver(tmp_path, server, tmp_path / "l.db")


def test_a_refused_event_is_counted_named_and_tried_again_later(tmp_path):
    SessionWriter(tmp_path / "s.jsonl").turn("x", "y" * 60_000)
    with PostHogServer(max_ai_event=3000) as small:
        work = deliver(tmp_path, small, tmp_path / "l.db", max_attribute_length=100)
        assert (work.outcome.failed, work.outcome.left, work.outcome.delivered) == (1, 0, 2)
        assert "$ai_generation" in work.outcome.notes[0]
        small.max_ai_event = 100_000
        assert deliver(tmp_path, small, tmp_path / "l.db").outcome.delivered == 1


def test_an_event_that_had_to_be_cut_is_delivered_and_named(tmp_path):
    SessionWriter(tmp_path / "s.jsonl").turn("x" * 300_000, "y")
    with PostHogServer(max_ai_event=100_000) as small:
        work = deliver(tmp_path, small, tmp_path / "l.db")
        assert (work.outcome.delivered, work.outcome.failed, work.outcome.counters.trimmed) == (3, 0, 1)
        (note,) = work.outcome.notes
        assert re.search(r"\$ai_generation .* was cut to \d+ bytes", note)
        assert small.violations == []


def test_the_watcher_sees_every_step_and_every_retry(server, tmp_path):
    server.faults = [Fault(status=503, headers={"Retry-After": "0"})]
    settings = Settings(host=server.url)
    seen = []
    with Ledger.open(tmp_path / "l.db") as ledger:
        work = Backfill(planned(SAMPLES, settings), settings)
        work.watch(lambda outcome: seen.append((outcome.delivered, outcome.error)))
        work.send(server.api_key, ledger)
    assert seen[0] == (0, "")
    assert any("answered 503" in error for _, error in seen)
    assert seen[-1] == (len(server.accepted), "")


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_a_file_gets_the_same_events_as_the_server(server, tmp_path, name):
    settings = Settings(host=server.url, distinct_id="me@example.com", content_days=None)
    plan = planned(SAMPLES, settings)
    work = Backfill(plan, settings)
    work.write(tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    lines = (gzip.decompress(raw) if name.endswith("gz") else raw).splitlines()
    deliver(SAMPLES, server, tmp_path / "l.db", distinct_id="me@example.com")
    by_uuid = {event["uuid"]: event for event in map(json.loads, lines)}
    assert by_uuid == {event["uuid"]: event for event in server.accepted}
    assert len(lines) == len(by_uuid) == work.outcome.delivered
    assert [path.name for path in tmp_path.glob("events*")] == [name], "no half of a file stays"


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    settings = Settings()
    work = Backfill(planned(SAMPLES, settings), settings)
    with pytest.raises(Pi2PosthogError, match="cannot write"):
        work.write(tmp_path / "none" / "events.jsonl")
    (tmp_path / "file").touch()
    with pytest.raises(Pi2PosthogError, match="cannot write"):
        work.write(tmp_path / "file" / "events.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
