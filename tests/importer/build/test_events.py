"""Events have the documented properties, for a session that the real agent recorded."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from importer import __version__
from importer.build.person import make_identify_event
from importer.settings import Settings
from tests.building import events, properties
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, image, text, thinking, tool_call, usage

RECORDED = Path(__file__).parents[2] / "fixtures" / "extension" / "0.87.1" / "session.jsonl"
ALL_SAMPLES = sorted(SAMPLES.rglob("*.jsonl"))
SESSION = "pi:01a207f8-1f23-7259-a218-37282d2cd2d7"
SHARED = {
    "$ai_session_id": SESSION,
    "$ai_project_name": "shop",
    "$ai_agent_name": "shop",
    "$ai_framework": "pi",
    "$ai_lib": "pi2posthog",
    "$ai_lib_version": __version__,
    "$lib": "pi2posthog",
    "$lib_version": __version__,
    "$geoip_disable": True,
    "$ignore_sent_at": True,
    "$process_person_profile": False,
}
MISSING = "ENOENT: no such file or directory, access '/home/dev/work/shop/missing.txt'"
MISSING_STATE = '{"content":[{"type":"text","text":"' + MISSING + '"}],"details":{}}'


def test_a_generation_has_exactly_the_properties_of_the_contract():
    call, *_ = properties(RECORDED, "generation")
    (run,) = (run for run in properties(RECORDED, "run") if run["$ai_span_id"] == call["$ai_parent_id"])
    assert run["$ai_trace_id"] == run["$ai_parent_id"] == call["$ai_trace_id"]
    del call["$ai_trace_id"], call["$ai_parent_id"]
    uuid.UUID(call.pop("$ai_span_id"))
    given, tools = call.pop("$ai_input"), call.pop("$ai_tools")
    assert [message["role"] for message in given] == ["system", "user"]
    assert [tool["function"]["name"] for tool in tools] == ["read", "bash", "edit", "write"]
    assert call == SHARED | {
        "$ai_model": "mock-1",
        "$ai_provider": "mock",
        "$ai_response_model": None,
        "$ai_response_id": "chatcmpl-000001",
        "$ai_model_parameters": {"thinking_level": "medium"},
        "$ai_output_choices": [
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "let me look"},
                    _called("call_1_0", "bash", '{"command":"ls; sleep 0.4","api_key":"[REDACTED]"}'),
                    _called("call_1_1", "read", '{"path":"missing.txt"}'),
                ],
            }
        ],
        "$ai_tools_called": "bash,read",
        "$ai_tool_call_count": 2,
        "$ai_input_tokens": 400,
        "$ai_output_tokens": 40,
        "$ai_total_tokens": 540,
        "$ai_reasoning_tokens": 0,
        "$ai_cache_read_input_tokens": 100,
        "$ai_cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 0,
        "$ai_cache_reporting_exclusive": True,
        "$ai_latency": 0.084,  # written at :51.840, asked at :51.756
        "$ai_total_cost_usd": 0.0018300000000000002,
        "$ai_input_cost_usd": pytest.approx(0.00123),  # 0.0012 and 0.00003 for what was cached
        "$ai_output_cost_usd": 0.0006000000000000001,
        "$ai_cost_passthrough": True,
        "cost_basis": "list",
        "$ai_stop_reason": "tool_calls",
        "$ai_is_aborted": False,
        "$ai_is_error": False,
        "$ai_error": None,
        "$ai_user_prompt": "list the files, please",
    }


def test_a_span_has_exactly_the_properties_of_the_contract():
    call, *_ = properties(RECORDED, "generation")
    failed = next(span for span in properties(RECORDED, "span") if span["$ai_is_error"])
    uuid.UUID(failed.pop("$ai_span_id"))
    assert failed == SHARED | {
        "$ai_trace_id": call["$ai_trace_id"],
        "$ai_parent_id": call["$ai_span_id"],
        "$ai_span_name": "read",
        "$ai_span_type": "tool",
        "$ai_input_state": '{"path":"missing.txt"}',
        "$ai_output_state": MISSING_STATE,
        "$ai_latency": 0.415,
        "$ai_is_error": True,
        "$ai_error": MISSING_STATE,
        "$ai_error_type": "tool_error",
    }


def test_a_run_has_exactly_the_properties_of_the_contract():
    for grouping, has_states in (("message", False), ("session", True)):
        run, *_ = properties(RECORDED, "run", trace_grouping=grouping)
        assert run.pop("$ai_parent_id") == run.pop("$ai_trace_id")
        uuid.UUID(run.pop("$ai_span_id"))
        states = {name: run.pop(name) for name in ("$ai_input_state", "$ai_output_state") if name in run}
        assert bool(states) == has_states
        assert run == SHARED | {
            "$ai_span_name": "list the files, please",
            "$ai_span_type": "agent",
            "$ai_is_error": False,
            "$ai_error": None,
        }


def test_a_trace_has_exactly_the_properties_of_the_contract():
    call, *_ = properties(RECORDED, "generation")
    trace, failed, _ = properties(RECORDED, "trace")
    assert trace == SHARED | {
        "$ai_trace_id": call["$ai_trace_id"],
        "$ai_span_name": "list the files, please",
        "$ai_input_state": "list the files, please",
        "$ai_output_state": "two lines: alpha, beta",
        "$ai_latency": 0.67,
        "$ai_total_input_tokens": 1400,
        "$ai_total_output_tokens": 72,
        "$ai_total_cache_read_input_tokens": 100,
        "$ai_total_cache_creation_input_tokens": 0,
        "$ai_total_cost_usd": pytest.approx(0.00531),
        "$ai_is_error": False,
        "$ai_error": None,
    }
    assert (failed["$ai_is_error"], failed["$ai_error"]) == (True, '400: {"message":"boom","type":"mock"}')
    assert (failed["$ai_total_input_tokens"], failed["$ai_total_cost_usd"]) == (0, 0)


def test_an_event_ends_when_what_it_describes_ended():
    found = events(RECORDED)
    times = {event["uuid"]: event["timestamp"] for event in found}
    last_call: dict[str, str] = {}
    for event in found:
        if event["event"] == "$ai_generation":
            last_call[event["properties"]["$ai_trace_id"]] = event["timestamp"]
    assert last_call
    assert {trace: times[trace] for trace in last_call} == last_call
    assert [e["timestamp"] for e in found if e["event"] == "$ai_generation"] == [
        "2026-11-23T10:33:51.840Z",
        "2026-11-23T10:33:52.318Z",
        "2026-11-23T10:33:52.388Z",
        "2026-11-23T10:33:52.559Z",
        "2026-11-23T10:33:52.780Z",
        "2026-11-23T10:33:52.840Z",
        "2026-11-23T10:33:52.898Z",
    ]


@pytest.mark.parametrize("path", ALL_SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.stem[-4:]}")
def test_every_event_of_every_sample_is_well_formed(path):
    found = events(path)
    assert found
    spans = {e["properties"].get("$ai_span_id") for e in found} | {e["uuid"] for e in found}
    for event in found:
        own = event["properties"]
        assert set(event) == {"event", "distinct_id", "uuid", "timestamp", "properties"}
        assert uuid.UUID(event["uuid"]).version == 5
        assert re.fullmatch(r"[A-Za-z0-9_~.@()!':|-]+", own["$ai_trace_id"])
        assert datetime.fromisoformat(event["timestamp"]).utcoffset() == timedelta(0)
        assert event["distinct_id"] == own["$ai_session_id"]
        assert own.get("$ai_parent_id", own["$ai_trace_id"]) in spans | {own["$ai_trace_id"]}
        if own.get("$ai_span_type") == "agent":
            assert "$ai_latency" not in own
        else:
            assert own["$ai_latency"] is None or own["$ai_latency"] >= 0
        assert isinstance(own["$ai_is_error"], bool)
        for name, value in own.items():
            if name.endswith("_tokens"):
                assert value is None or type(value) is int, name
            if name.endswith("_usd"):
                assert isinstance(value, float | int), name
        if event["event"] == "$ai_generation":
            total = own["$ai_input_cost_usd"] + own["$ai_output_cost_usd"]
            assert total == pytest.approx(own["$ai_total_cost_usd"])


def test_tags_and_names_of_the_settings_stand_on_every_event():
    chosen: dict[str, Any] = {"tags": {"team": "core", "env": "dev"}, "project_name": "p", "agent_name": "a"}
    for event in events(RECORDED, **chosen):
        own = event["properties"]
        assert (own["team"], own["env"]) == ("core", "dev")
        assert (own["$ai_project_name"], own["$ai_agent_name"]) == ("p", "a")


def test_the_agent_is_named_after_the_project_unless_it_has_a_name():
    assert {e["properties"]["$ai_agent_name"] for e in events(RECORDED, project_name="p")} == {"p"}
    assert {e["properties"]["$ai_project_name"] for e in events(RECORDED, agent_name="a")} == {"shop"}


def test_a_tag_cannot_replace_what_was_recorded():
    tags = {"cache_read_input_tokens": "none"}
    assert properties(RECORDED, "generation", tags=tags)[0]["cache_read_input_tokens"] == 100


def test_a_distinct_id_stands_on_every_event_and_wants_a_person():
    for event in events(RECORDED, distinct_id="me@example.com"):
        assert event["distinct_id"] == "me@example.com"
        assert "$process_person_profile" not in event["properties"]


def test_a_pause_begins_the_next_window_of_a_session(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", "abc")
    story.turn("one", "1")
    story.wait(minutes=59)
    story.turn("two", "2")
    story.wait(minutes=61)
    story.turn("three", "3")
    sessions = [own["$ai_session_id"] for own in properties(story.path, "generation")]
    assert sessions == ["pi:abc", "pi:abc", "pi:abc:2"]
    found = events(story.path)
    assert {e["distinct_id"] for e in found} == {"pi:abc", "pi:abc:2"}
    longer = properties(story.path, "generation", session_window_minutes=90)
    assert {own["$ai_session_id"] for own in longer} == {"pi:abc"}


def test_session_grouping_makes_one_trace_of_a_window(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", "abc")
    story.turn("one", "1")
    story.turn("two", "2")
    story.wait(hours=2)
    story.turn("three", "3")
    first, second = properties(story.path, "trace", trace_grouping="session")
    assert (first["$ai_session_id"], first["$ai_total_input_tokens"]) == ("pi:abc", 200)
    assert (second["$ai_session_id"], second["$ai_total_input_tokens"]) == ("pi:abc:2", 100)
    assert (first["$ai_span_name"], first["$ai_output_state"]) == ("one", "2")


@pytest.mark.parametrize(
    ("stop", "sent", "aborted"),
    [
        ("stop", "stop", False),
        ("length", "length", False),
        ("toolUse", "tool_calls", False),
        ("aborted", "stop", True),
        ("error", "error", False),
        ("deferred", "deferred", False),
    ],
)
def test_stop_reasons_are_the_extensions_and_an_abort_can_be_told(tmp_path, stop, sent, aborted):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("go", "gone", stopReason=stop, errorMessage="it broke" if stop == "error" else None)
    (own,) = properties(story.path, "generation")
    assert (own["$ai_stop_reason"], own["$ai_is_aborted"]) == (sent, aborted)
    assert own["$ai_is_error"] is (stop == "error")
    assert own["$ai_error"] == ("it broke" if stop == "error" else None)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize(("said", "kind"), [("429 Rate limit", "HTTP 429"), ("it broke", "model error")])
def test_a_failed_call_its_run_and_its_trace_are_the_same_kind_of_error(tmp_path, said, kind, private):
    """Without its text, PostHog would call an error without a kind "Unknown error"."""
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("go", "gone", stopReason="error", errorMessage=said)
    told = [
        tuple(
            own.get(name) for name in ("$ai_is_error", "$ai_error", "$ai_error_type", "$ai_error_normalized")
        )
        for each in ("generation", "run", "trace")
        for own in properties(story.path, each, privacy_mode=private)
    ]
    own_type = kind.lower().replace(" ", "_")
    assert told == [(True, None, own_type, kind) if private else (True, said, own_type, None)] * 3


def test_what_pi_records_of_the_response_is_sent(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    spent = usage(input=7, output=5, cacheWrite=3) | {"reasoning": 2}
    story.turn("go", "gone", responseModel="mock-1-0301", thinkingLevel="high", usage=spent)
    (own,) = properties(story.path, "generation")
    assert own["$ai_response_model"] == "mock-1-0301"
    assert own["$ai_model_parameters"] == {"thinking_level": "high"}
    assert own["$ai_reasoning_tokens"] == 2
    assert own["$ai_cache_creation_input_tokens"] == own["cache_creation_input_tokens"] == 3
    assert own["$ai_total_tokens"] == 15


def test_thinking_and_images_are_parts_of_the_output_and_state(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("draw")
    story.assistant(thinking("hm"), tool_call("c", "draw", {"size": 3}), stop="toolUse")
    story.result("c", "draw", text("here"), image("iVBORw0KGgoAAAA"))
    story.assistant(text("done"))
    first, _ = properties(story.path, "generation")
    assert [choice["content"] for choice in first["$ai_output_choices"]] == [
        [{"type": "thinking", "thinking": "hm"}],
        [_called("c", "draw", '{"size":3}')],
    ]
    (span,) = properties(story.path, "span")
    assert span["$ai_output_state"] == (
        '{"content":[{"type":"text","text":"here"},{"type":"image","data":"[base64 image redacted]"}]}'
    )


def test_cache_writes_are_told_by_how_long_they_are_kept_where_pi_recorded_it(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    story.assistant(text("a"), usage=usage(cacheWrite=300) | {"cacheWrite1h": 200})
    story.assistant(text("b"), usage=usage(cacheWrite=300))
    told, silent = properties(story.path, "generation")
    names = ("$ai_cache_creation_5m_input_tokens", "$ai_cache_creation_1h_input_tokens")
    assert [told[name] for name in names] == [100, 200]
    assert told["$ai_cache_creation_input_tokens"] == 300
    assert silent.keys().isdisjoint(names)


def test_only_what_is_no_ordinary_call_has_a_title(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "answer")
    story.entry("compaction", summary="so far", tokensBefore=9, usage=usage(input=50))
    story.entry("compaction", summary="so far", tokensBefore=9)
    calls, spans = properties(story.path, "generation"), properties(story.path, "span")
    assert [(c.get("$ai_span_name"), c.get("$ai_span_type")) for c in calls] == [
        (None, None),
        ("compaction", "compaction"),
    ]
    assert [(s["$ai_span_name"], s["$ai_span_type"]) for s in spans] == [("compaction", "compaction")]


def test_an_email_as_distinct_id_makes_a_person_with_that_address():
    settings = Settings(distinct_id="me@example.com", tags={"team": "core"})
    event = make_identify_event(settings)
    assert event is not None
    assert (event.event, event.uuid) == ("$identify", "82795b41-6bbf-5e33-808b-006d42d2596a")
    assert b'"$set":{"email":"me@example.com"}' in event.encode()
    assert b'"team":"core"' in event.encode()
    assert make_identify_event(settings).encode() == event.encode()


def test_an_identify_event_has_the_time_that_it_is_given_and_the_same_uuid():
    settings = Settings(distinct_id="me@example.com")
    then, planned = make_identify_event(settings, 1_795_446_000_000), make_identify_event(settings)
    assert then.end_ms == 1_795_446_000_000
    assert b'"timestamp":"2026-11-23T' in then.encode()
    assert (then.uuid, then.size) == (planned.uuid, planned.size)


@pytest.mark.parametrize("distinct_id", ["me", "me@home", "@example.com", "a b@example.com", "me@."])
def test_any_other_distinct_id_makes_a_person_without_an_address(distinct_id):
    event = make_identify_event(Settings(distinct_id=distinct_id))
    assert json.loads(event.encode())["properties"]["$set"] == {}
    assert json.loads(event.encode())["distinct_id"] == distinct_id


def test_without_a_distinct_id_nobody_is_identified():
    assert make_identify_event(Settings()) is None


def _called(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function", "id": call_id, "function": {"name": name, "arguments": arguments}}
