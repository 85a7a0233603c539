"""What PostHog's screens show of the samples and all fixtures, in both groupings (see `posthog_screens`)."""

from __future__ import annotations

import json
import math
import tempfile
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from importer.deliver.backfill import Backfill
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from parsers.pi.runs import Grouping
from tests.building import NOW_MS
from tests.command import SAMPLES
from tests.posthog_screens import CONTENT, Event, PostHogScreens, kept_content, takes_id, title

FIXTURES = Path(__file__).parent / "fixtures"
SOURCES = {
    "samples": (SAMPLES, "pi"),
    "extension": (FIXTURES / "extension", "pi"),
    "subagents": (FIXTURES / "subagents", "pi"),
    "omp": (FIXTURES / "agents" / "omp", "omp"),
    "openclaw": (FIXTURES / "agents" / "openclaw", "openclaw"),
}
PERSON = "ada@example.com"
DAY_MS = 24 * 3_600_000


class Import(NamedTuple):
    """What a backfill sent, and what PostHog shows of it."""

    events: list[Event]
    shown: PostHogScreens
    costs_usd: dict[str, float]


@cache
def imported(source: str, grouping: Grouping, now_ms: int = NOW_MS, days: float | None = None) -> Import:
    """The events of a backfill of a source at some moment, and the costs of each trace in its plan."""
    path, origin = SOURCES[source]
    settings = Settings(trace_grouping=grouping, distinct_id=PERSON, content_days=days)
    plan = make_plan(find_sessions([path], origin), settings, now_ms=now_ms, with_totals=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "events.jsonl")
        Backfill(plan, settings).write(out)
        sent = [json.loads(line) for line in out.read_text().splitlines()]
    calls = plan.frame[plan.frame["kind"] == "generation"]
    costs = calls.groupby("trace_id", observed=True)["cost_usd"].sum()
    return Import(sent, PostHogScreens(sent), costs.to_dict())


@pytest.fixture(params=list(product(SOURCES, get_args(Grouping))), ids="-".join)
def everything(request: pytest.FixtureRequest) -> Import:
    """All events of a source in a grouping, with their content."""
    return imported(*request.param)


def test_every_node_hangs_below_one_that_is_there(everything: Import) -> None:
    assert everything.shown.trace_ids
    for trace_id in everything.shown.trace_ids:
        assert everything.shown.orphans(trace_id) == []


def test_a_tree_holds_every_call_and_tool_of_its_trace_once(everything: Import) -> None:
    shown = everything.shown
    nodes = [
        node.event["uuid"]
        for trace_id in shown.trace_ids
        for top in shown.tree(trace_id)
        for node in top.walk()
    ]
    sent = [each["uuid"] for each in everything.events if each["event"] in ("$ai_generation", "$ai_span")]
    assert sorted(nodes) == sorted(sent)


def test_a_call_is_titled_by_its_model_and_other_work_by_what_it_is(everything: Import) -> None:
    for event in everything.events:
        own = event["properties"]
        if event["event"] == "$ai_generation" and own.get("$ai_span_name") is None:
            assert title(event) == f"{own['$ai_model']} ({own['$ai_provider']})"
        if event["event"] in ("$ai_generation", "$ai_span"):
            assert title(event) != "chat"
            assert "None" not in title(event)


def test_a_traces_cost_is_that_of_its_calls(everything: Import) -> None:
    for event in everything.events:
        if event["event"] == "$ai_trace":
            trace_id, own = event["properties"]["$ai_trace_id"], event["properties"]
            cost_usd = everything.shown.trace_cost_usd(trace_id)
            assert math.isclose(cost_usd, own["$ai_total_cost_usd"], abs_tol=1e-9)
            assert math.isclose(cost_usd, everything.costs_usd.get(trace_id, 0), abs_tol=1e-9)


def test_the_sessions_add_up_to_what_the_plan_says(everything: Import) -> None:
    shown = everything.shown
    cost_usd = sum(map(shown.session_cost_usd, shown.session_ids))
    assert math.isclose(cost_usd, sum(everything.costs_usd.values()), rel_tol=1e-9)
    for session_id in shown.session_ids:
        own = [e["properties"] for e in everything.events if e["event"] == "$ai_trace"]
        traces = [each for each in own if each["$ai_session_id"] == session_id]
        if len(traces) == len({e["$ai_trace_id"] for e in _of_session(everything, session_id)}):
            latency_s = sum(each["$ai_latency"] or 0 for each in traces)
            assert math.isclose(shown.session_latency_s(session_id), latency_s, abs_tol=1e-6)


def _of_session(everything: Import, session_id: str) -> list[dict[str, Any]]:
    own = (event["properties"] for event in everything.events)
    return [each for each in own if each.get("$ai_session_id") == session_id]


def test_a_tools_result_keeps_the_link_to_its_call(everything: Import) -> None:
    for event in everything.events:
        for message in event["properties"].get("$ai_input") or []:
            if message["role"] == "tool":
                assert message["tool_call_id"]
                assert isinstance(message["content"], str)


def test_no_choice_mixes_what_was_thought_with_what_was_said(everything: Import) -> None:
    for event in everything.events:
        choices = event["properties"].get("$ai_output_choices") or []
        kinds = [{part["type"] == "thinking" for part in choice["content"]} for choice in choices]
        assert all(len(each) == 1 for each in kinds) or kinds == [set()]


def test_tools_called_are_those_of_the_choices(everything: Import) -> None:
    for event in everything.events:
        own = event["properties"]
        if event["event"] == "$ai_generation":
            parts = [part for choice in own["$ai_output_choices"] or [] for part in choice["content"]]
            names = [part["function"]["name"] for part in parts if part["type"] == "function"]
            assert own["$ai_tools_called"] == ",".join(names)
            assert own["$ai_tool_call_count"] == len(names)


def test_there_is_a_person(everything: Import) -> None:
    ids = {event["distinct_id"] for event in everything.events}
    assert all(map(takes_id, ids))
    assert all(everything.shown.person(each) is not None for each in ids)


@pytest.mark.parametrize("grouping", get_args(Grouping))
@pytest.mark.parametrize("source", SOURCES)
def test_what_is_sent_is_kept_and_what_would_be_kept_is_sent(source: str, grouping: Grouping) -> None:
    """At a moment when half of the events are older than 30 days."""
    whole = imported(source, grouping).events
    ended_ms = sorted(map(_end_ms, (event for event in whole if event["event"] != "$identify")))
    now_ms = ended_ms[len(ended_ms) // 2] + 30 * DAY_MS - 1
    arrived = datetime.fromtimestamp(now_ms / 1000, UTC)
    half = {event["uuid"]: event for event in imported(source, grouping, now_ms, 30).events}
    old = 0
    for event in whole:
        uuid = event["uuid"]
        if event["event"] == "$identify" or uuid not in half:
            continue  # the run was not at its end by then
        kept = kept_content(event, arrived)
        sent = half[uuid]["properties"]
        assert {name: sent[name] for name in CONTENT if sent.get(name) is not None} == kept
        if _end_ms(event) < now_ms - 30 * DAY_MS:
            old += 1
            assert not set(CONTENT) & set(sent), "keys that are null weigh, too"
        rest = [{k: v for k, v in own.items() if k not in CONTENT} for own in (sent, event["properties"])]
        assert rest[0] == rest[1], "all else stays"
    assert 0 < old < len(half)


def _end_ms(event: Event) -> int:
    return round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)
