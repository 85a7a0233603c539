from __future__ import annotations

import json
import math

import numpy as np
import pytest

from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from importer.totals import SUMS, Sums, TraceTotals, added
from tests.building import NOW_MS, events, rows_of, totals_of
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, text, tool_call, usage

STATS = json.loads((SAMPLES / "stats.json").read_text())
NAMES = {
    "$ai_total_input_tokens": "$ai_input_tokens",
    "$ai_total_output_tokens": "$ai_output_tokens",
    "$ai_total_cache_read_input_tokens": "$ai_cache_read_input_tokens",
    "$ai_total_cache_creation_input_tokens": "$ai_cache_creation_input_tokens",
    "$ai_total_cost_usd": "$ai_total_cost_usd",
}


@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("name", sorted(STATS))
def test_a_traces_totals_are_the_sums_over_its_generations(name, grouping):
    found = events(SAMPLES / name, trace_grouping=grouping)
    traces = {e["uuid"]: e["properties"] for e in found if e["event"] == "$ai_trace"}
    calls = [e["properties"] for e in found if e["event"] == "$ai_generation"]
    assert {call["$ai_trace_id"] for call in calls} == set(traces)
    for trace_id, trace in traces.items():
        own = [call for call in calls if call["$ai_trace_id"] == trace_id]
        for total, part in NAMES.items():
            assert trace[total] == pytest.approx(sum(call[part] for call in own)), total


def planned(path, **settings):
    return make_plan(find_sessions([path]), Settings(**settings), now_ms=NOW_MS, with_totals=True)


@pytest.mark.parametrize("name", sorted(name for name in STATS if name.startswith("0.87.1/")))
def test_the_frame_adds_up_to_what_pi_said(name):
    """0.87.1 counts every entry; the older one leaves out what was compacted away."""
    frame, said = rows_of(planned(SAMPLES / name)), STATS[name]
    assert frame["cost_usd"].sum() == pytest.approx(said["cost"])
    for column, kind in zip(SUMS, ("input", "output", "cacheRead", "cacheWrite"), strict=False):
        assert frame[column].sum() == said["tokens"][kind], column
    chats = sum(1 for call in events(SAMPLES / name) if call["properties"].get("$ai_span_name") == "chat")
    assert chats == said["assistantMessages"]


def test_a_tools_own_model_work_is_in_the_totals(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    story.assistant(tool_call("c", "expert", {}), stop="toolUse")
    story.result("c", "expert", text("well"), usage=usage(input=1000, output=7, cacheRead=5, cacheWrite=3))
    story.assistant(text("done"))
    plan = planned(story.path)
    (totals,) = totals_of(plan).values()
    assert totals[:4] == (1200, 47, 5, 3)
    assert totals.cost_usd == pytest.approx(rows_of(plan)["cost_usd"].sum())
    assert [e.model for e in plan.events if e.kind == "generation"] == ["mock-1", "(expert)", "mock-1"]
    by_model = (
        rows_of(plan)[rows_of(plan)["kind"] == "generation"].set_index("model")["input_tokens"].to_dict()
    )
    assert by_model == {"mock-1": 200, "(expert)": 1000}


def test_only_the_first_call_of_a_prompt_counts_the_prompt(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    story.assistant(tool_call("c", "run", {}), stop="toolUse")
    story.result("c", "run", text("ran"))
    story.assistant(text("done"))
    story.user("again")
    story.assistant(text("done again"))
    rows = rows_of(planned(story.path))
    assert dict(zip(rows["kind"], rows["prompts"], strict=True)) == {"generation": 2, "span": 0, "trace": 0}
    assert rows[rows["kind"] == "generation"]["events"].tolist() == [3]


def test_no_generations_are_no_tokens_and_no_dollars():
    assert Sums().totals == TraceTotals(0, 0, 0, 0, 0.0)


def test_dollars_are_added_in_the_same_way_for_ever():
    """To the last digit: events that were sent before, when numpy did it, must stay what they are."""
    costs = np.random.default_rng(2).exponential(0.02, 2000).round(7)
    lengths = [*range(1, 300), 500, 1000, 1999, 2000]
    for length in lengths:
        own = costs[-length:]
        assert added(own.tolist()) == np.add.reduceat(own, [0])[0], length
    assert any(added(costs[:length].tolist()) != math.fsum(costs[:length]) for length in lengths)
    assert [added(()), added([0.1])] == [0.0, 0.1]


def test_what_two_files_hold_is_in_the_totals_of_the_first_only(tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn("same", "thing")
    plan = planned(tmp_path)
    (trace,) = (event for event in plan.events if event.kind == "trace")
    assert {key: total.input_tokens for key, total in totals_of(plan).items()} == {(0, trace.uuid): 100}


def test_traces_of_different_files_are_kept_apart(tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn(f"prompt {name}", "thing")
    totals = totals_of(planned(tmp_path))
    assert sorted(file for file, _ in totals) == [0, 1]
    assert all(total.input_tokens == 100 for total in totals.values())


@pytest.mark.parametrize("grouping", ["message", "session"])
def test_the_plans_totals_are_those_of_the_traces_that_it_sends(grouping):
    plan = planned(SAMPLES, trace_grouping=grouping)
    assert set(totals_of(plan)) == {(e.file, e.uuid) for e in plan.events if e.kind == "trace"}
    for index, own in enumerate(plan.files):
        sent = {e["uuid"]: e["properties"] for e in events(own.file.path, trace_grouping=grouping)}
        for (file, trace_id), totals in totals_of(plan).items():
            if file == index:
                for total, name in zip(totals, NAMES, strict=True):
                    assert total == pytest.approx(sent[trace_id][name]), name


def test_without_being_asked_for_there_are_no_totals():
    plan = make_plan(find_sessions([SAMPLES]), Settings(), now_ms=NOW_MS)
    assert totals_of(plan) == {}
