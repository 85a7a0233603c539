"""The official pi extension (0.1.1) and this importer, on the same session.

`tests/fixtures/extension/<pi version>/` holds what the extension sent while the real agent ran, and the
session file that the agent wrote in that run. What dashboards rely on must be
the same; what differs is listed here.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.building import events
from tests.command import Command

RECORDINGS = Path(__file__).parent.parent / "fixtures" / "extension"
VERSIONS = sorted(path.name for path in RECORDINGS.iterdir())
Event = dict[str, Any]

SAME = {
    "$ai_trace": {"$ai_is_error", "$ai_error"},
    "$ai_span": {"$ai_span_name", "$ai_input_state", "$ai_output_state", "$ai_is_error", "$ai_error"},
    "$ai_generation": {
        "$ai_model",
        "$ai_provider",
        "$ai_input_tokens",
        "$ai_output_tokens",
        "$ai_total_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "$ai_total_cost_usd",
        "$ai_output_cost_usd",
        "$ai_stop_reason",
        "$ai_is_error",
        "$ai_error",
        "$ai_user_prompt",
    },
}
SAME_EVERYWHERE = {"$ai_framework", "$ai_project_name", "$ai_agent_name"}
DIFFERENT = {
    "$ai_trace_id": "random at every run there, derived from the recorded call here",
    "$ai_span_id": "random at every run there, derived from the recorded call here",
    "$ai_session_id": "random there, pi's session id here",
    "$ai_parent_id": "null or the previous call there, the call that asked for the tool, or the run, here",
    "$ai_lib": "names this project",
    "$ai_lib_version": "names this project's version",
    "$ai_input": "null or with the answer in it there, what the model saw here",
    "$ai_output_choices": "text only there; tool calls, and thinking in a choice of its own, too, here",
    "$ai_latency": "includes the tools' run time there on the first call of a turn",
    "$ai_input_cost_usd": "without the cost of cached tokens there",
    "$ai_total_input_tokens": "null there where there are none, and compactions are not counted",
    "$ai_total_output_tokens": "null there where there are none, and compactions are not counted",
    "$lib": "posthog-node there",
    "$lib_version": "posthog-node's there",
    "$is_server": "set by posthog-node",
}
OWN_TRACES = "a run that went on after a compaction is one trace here, two there"


class Pair(NamedTuple):
    theirs: Event
    ours: Event

    @property
    def values(self) -> tuple[Event, Event]:
        return self.theirs["properties"], self.ours["properties"]


def ms(event: Event) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp() * 1000


@cache
def recorded(version: str) -> list[Event]:
    requests = json.loads((RECORDINGS / version / "extension.json").read_text())
    return [event for request in requests for event in request["batch"]]


@cache
def ours(version: str) -> list[Event]:
    return events(RECORDINGS / version / "session.jsonl")


def same_moment(theirs: Event, mine: Event) -> bool:
    """The extension notes a generation's end after its tools, and a span's when that tool ended."""
    if theirs["event"] == "$ai_span":
        given = theirs["properties"]["$ai_input_state"]
        return bool(given == mine["properties"]["$ai_input_state"])
    if mine["properties"]["$ai_latency"] is None:
        return False  # a compaction, which the extension does not see
    began = ms(theirs) - theirs["properties"]["$ai_latency"] * 1000
    own_began = ms(mine) - mine["properties"]["$ai_latency"] * 1000
    return abs(began - own_began) < 40  # calls are 60 ms and more apart


@cache
def pairs(version: str) -> list[Pair]:
    """Each event of the extension with ours of the same kind, name or model, and time."""
    found = []
    for theirs in recorded(version):
        names = ("$ai_span_name",) if theirs["event"] == "$ai_span" else ("$ai_model",)
        matching = [
            mine
            for mine in ours(version)
            if mine["event"] == theirs["event"]
            and (theirs["event"] == "$ai_trace" or all(_equal(theirs, mine, name) for name in names))
            and same_moment(theirs, mine)
        ]
        if not matching:
            assert theirs["event"] == "$ai_trace", theirs
            continue  # OWN_TRACES, asserted below
        assert len(matching) == 1, theirs
        found.append(Pair(theirs, matching[0]))
    return found


def _equal(theirs: Event, mine: Event, name: str) -> bool:
    return bool(theirs["properties"][name] == mine["properties"][name])


def of_kind(version: str, kind: str) -> list[Pair]:
    found = [pair for pair in pairs(version) if pair.theirs["event"] == kind]
    assert found
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_event_of_the_extension_has_one_of_ours(version):
    matched = {pair.ours["uuid"] for pair in pairs(version)}
    assert len(matched) == len(pairs(version))
    missing = len(recorded(version)) - len(matched)
    assert missing == (1 if version == "0.87.1" else 0), OWN_TRACES


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", SAME)
def test_what_dashboards_rely_on_is_the_same(version, kind):
    for theirs, mine in (pair.values for pair in of_kind(version, kind)):
        for name in SAME[kind] | SAME_EVERYWHERE:
            assert (name in mine) == (name in theirs), name
            if name == "$ai_error" and kind == "$ai_trace" and theirs.get(name) is None:
                continue
            assert mine.get(name) == theirs.get(name), name


@pytest.mark.parametrize("version", VERSIONS)
def test_every_property_of_the_extension_is_either_the_same_or_listed(version):
    for theirs in recorded(version):
        known = SAME[theirs["event"]] | SAME_EVERYWHERE | set(DIFFERENT) | {"$geoip_disable"}
        assert set(theirs["properties"]) <= known


@pytest.mark.parametrize("version", VERSIONS)
def test_every_property_of_the_extension_is_here_but_what_its_library_adds(version):
    for theirs, mine in (pair.values for pair in pairs(version)):
        assert set(theirs) - set(mine) <= {"$is_server"}


@pytest.mark.parametrize("version", VERSIONS)
def test_ids_differ_and_are_the_same_for_ever(version):
    for theirs, mine in (pair.values for pair in pairs(version)):
        assert theirs["$ai_trace_id"] != mine["$ai_trace_id"]
        assert theirs["$ai_session_id"] != mine["$ai_session_id"]
        assert theirs["$ai_lib"] == "@posthog/pi"
        assert mine["$ai_lib"] == mine["$lib"] == "pi2posthog"
        assert theirs["$lib"] == "posthog-node"
    assert events(RECORDINGS / version / "session.jsonl") == ours(version)


@pytest.mark.parametrize("version", VERSIONS)
def test_traces_group_the_same_calls(version):
    grouped: dict[str, set[str]] = {}
    for theirs, mine in (pair.values for pair in pairs(version)):
        grouped.setdefault(theirs["$ai_trace_id"], set()).add(mine["$ai_trace_id"])
    assert all(len(found) == 1 for found in grouped.values())
    merged = len(grouped) - len({next(iter(found)) for found in grouped.values()})
    assert merged == (1 if version == "0.87.1" else 0), OWN_TRACES


@pytest.mark.parametrize("version", VERSIONS)
def test_difference_a_spans_parent_is_the_call_that_asked_for_it(version):
    asked = {
        part["id"]: e["properties"]["$ai_span_id"]
        for e in ours(version)
        if e["event"] == "$ai_generation"
        for choice in e["properties"]["$ai_output_choices"]
        for part in choice["content"]
        if part["type"] == "function"
    }
    spans = [pair.values for pair in of_kind(version, "$ai_span")]
    assert {mine["$ai_parent_id"] for _, mine in spans} == set(asked.values())
    assert None in {theirs["$ai_parent_id"] for theirs, _ in spans}


@pytest.mark.parametrize("version", VERSIONS)
def test_difference_latency_is_the_model_call_alone(version):
    calls = [pair.values for pair in of_kind(version, "$ai_generation")]
    (first, own), *rest = calls
    assert first["$ai_latency"] > 0.4 > 0.2 > own["$ai_latency"], "bash slept for 0.4 s"
    for theirs, mine in rest:
        assert mine["$ai_latency"] == pytest.approx(theirs["$ai_latency"], abs=0.015)


@pytest.mark.parametrize("version", VERSIONS)
def test_difference_input_cost_holds_the_cost_of_cached_tokens(version):
    for theirs, mine in (pair.values for pair in of_kind(version, "$ai_generation")):
        total = mine["$ai_input_cost_usd"] + mine["$ai_output_cost_usd"]
        assert total == pytest.approx(mine["$ai_total_cost_usd"])
        cached = theirs["$ai_total_cost_usd"] - theirs["$ai_output_cost_usd"] - theirs["$ai_input_cost_usd"]
        assert mine["$ai_input_cost_usd"] == pytest.approx(theirs["$ai_input_cost_usd"] + cached)
        assert (cached > 1e-9) == (mine["cache_read_input_tokens"] > 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_difference_output_holds_thinking_and_tool_calls_beside_the_same_text(version):
    kinds = set()
    for theirs, mine in (pair.values for pair in of_kind(version, "$ai_generation")):
        (said,) = theirs["$ai_output_choices"]
        parts = [part for choice in mine["$ai_output_choices"] for part in choice["content"]]
        kinds |= {part["type"] for part in parts}
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        if mine["$ai_is_error"]:  # the extension repeats the error as the answer
            assert (text, said["content"]) == ("", mine["$ai_error"])
        else:
            assert {choice["role"] for choice in mine["$ai_output_choices"]} == {said["role"]}
            assert text == said["content"]
    assert kinds == {"text", "thinking", "function"}


@pytest.mark.parametrize("version", VERSIONS)
def test_difference_input_is_what_the_model_saw(version):
    conversations = []
    for theirs, mine in (pair.values for pair in of_kind(version, "$ai_generation")):
        given = [message["role"] for message in mine["$ai_input"]]
        conversations.append([role for role in given if role != "system"])
        assert given[-1] in ("user", "tool"), "never the answer itself"
        assert theirs["$ai_input"] is None or isinstance(theirs["$ai_input"], list)
    first, second, third, *_ = conversations
    assert first == ["user"]
    assert second == ["user", "assistant", "tool", "tool"]
    assert third == [*second, "assistant", "tool"]


@pytest.mark.parametrize("version", VERSIONS)
def test_difference_traces_have_zeros_and_count_compactions(version):
    for theirs, mine in (pair.values for pair in of_kind(version, "$ai_trace")):
        own = [
            e["properties"]
            for e in ours(version)
            if e["event"] == "$ai_generation" and e["properties"]["$ai_trace_id"] == mine["$ai_trace_id"]
        ]
        plain = sum(c["$ai_input_tokens"] for c in own if "$ai_span_name" not in c)
        assert mine["$ai_total_input_tokens"] == sum(c["$ai_input_tokens"] for c in own)
        if len(own) == plain or theirs["$ai_total_input_tokens"] is None:
            assert mine["$ai_total_input_tokens"] == 0
        elif all("$ai_span_name" not in c for c in own):
            assert mine["$ai_total_input_tokens"] == theirs["$ai_total_input_tokens"]
            assert mine["$ai_total_output_tokens"] == theirs["$ai_total_output_tokens"]
            assert mine["$ai_latency"] == pytest.approx(theirs["$ai_latency"], abs=0.03)
        else:
            assert mine["$ai_total_input_tokens"] > theirs["$ai_total_input_tokens"]


@pytest.mark.parametrize("version", VERSIONS)
def test_difference_what_the_extension_misses_is_captured(version):
    matched = {pair.ours["uuid"] for pair in pairs(version)}
    own = [e["properties"] for e in ours(version) if e["uuid"] not in matched]
    runs = [each["$ai_trace_id"] for each in own if each.get("$ai_span_type") == "agent"]
    assert runs == [e["properties"]["$ai_trace_id"] for e in ours(version) if e["event"] == "$ai_trace"]
    more = [each["$ai_span_name"] for each in own if each.get("$ai_span_type") != "agent"]
    assert more == (["user_bash", "compaction"] if version == "0.87.1" else ["user_bash"])


def test_the_command_line_writes_the_very_same_events(tmp_path):
    for version in VERSIONS:
        out = tmp_path / f"{version}.jsonl"
        done = Command(tmp_path / "home")("backfill", RECORDINGS / version / "session.jsonl", "--output", out)
        assert done.code == 0
        assert [json.loads(line) for line in out.read_text().split("\n")[:-1]] == ours(version)
