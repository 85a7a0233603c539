from __future__ import annotations

import json
import math
import time

import numpy as np
import pandas as pd
import pytest

from importer.plan.plan import make_plan
from importer.selection import EVERYTHING, Selection
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from importer.totals import COUNTS, SUMS, TraceTotals, totals, trace_totals
from tests.building import NOW_MS, events, events_of, totals_of
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


def planned(path, *, selection=EVERYTHING, **settings):
    found = find_sessions([path])
    return make_plan(found, Settings(**settings), selection, now_ms=NOW_MS, with_totals=True)


@pytest.mark.parametrize("name", sorted(name for name in STATS if name.startswith("0.87.1/")))
def test_the_frame_adds_up_to_what_pi_said(name):
    """0.87.1 counts every entry; the older one leaves out what was compacted away."""
    frame, said = planned(SAMPLES / name).frame, STATS[name]
    assert frame["cost_usd"].sum() == pytest.approx(said["cost"])
    for column, kind in zip(SUMS, ("input", "output", "cacheRead", "cacheWrite"), strict=False):
        assert frame[column].sum() == said["tokens"][kind], column
    calls = [each["properties"] for each in events(SAMPLES / name) if each["event"] == "$ai_generation"]
    chats = sum("$ai_span_name" not in call for call in calls)
    assert chats == said["assistantMessages"]


def test_a_tools_own_model_work_is_in_the_totals(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    story.assistant(tool_call("c", "expert", {}), stop="toolUse")
    story.result("c", "expert", text("well"), usage=usage(input=1000, output=7, cacheRead=5, cacheWrite=3))
    story.assistant(text("done"))
    plan = planned(story.path)
    (sums,) = totals_of(plan).values()
    assert sums[:4] == (1200, 47, 5, 3)
    assert sums.cost_usd == pytest.approx(plan.frame["cost_usd"].sum())
    assert [e.model for e in events_of(plan) if e.kind == "generation"] == ["mock-1", "(expert)", "mock-1"]
    sums = totals(plan.frame[plan.frame["kind"] == "generation"], "model")
    assert dict(zip(sums["model"], sums["input_tokens"], strict=True)) == {"mock-1": 200, "(expert)": 1000}


def test_only_the_first_call_of_a_prompt_counts_the_prompt(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    story.assistant(tool_call("c", "run", {}), stop="toolUse")
    story.result("c", "run", text("ran"))
    story.assistant(text("done"))
    story.user("again")
    story.assistant(text("done again"))
    sums = totals(planned(story.path).frame, "kind")
    prompts = dict(zip(sums["kind"], sums["prompts"], strict=True))
    assert prompts == {"generation": 2, "run": 0, "span": 0, "trace": 0}
    assert sums["generations"].sum() == 3


def frame_of(costs, **columns):
    return pd.DataFrame({"cost_usd": costs, **columns})


def test_no_generations_are_no_tokens_and_no_dollars():
    (sums,) = trace_totals(totals(planned(SAMPLES, selection=Selection(since_ms=2**60)).frame))
    assert sums == TraceTotals(0, 0, 0, 0, 0.0)
    assert [type(each) for each in sums] == [int] * 4 + [float]


def test_the_order_of_adding_never_shows():
    costs = np.random.default_rng(2).exponential(0.02, 2000).round(7)
    assert len({math.fsum(costs), sum(costs.tolist()), costs.sum(), costs[::-1].cumsum()[-1]}) > 1
    expected = round(math.fsum(costs), 12)
    for some in (costs, costs[::-1], np.sort(costs)):
        assert totals(frame_of(some))["cost_usd"].tolist() == [expected]
        mixed = frame_of(np.concatenate((some, some)), model=["a", "b"] * len(some)).sort_index()
        both = totals(mixed, "model")["cost_usd"]
        assert both.sum() == pytest.approx(2 * expected)
    halves = totals(frame_of(np.repeat(costs, 2), model=["a", "b"] * len(costs)), by="model")
    assert halves["cost_usd"].tolist() == [expected, expected]


def test_sums_beyond_64_bits_are_exact():
    most = 2**53 - 1
    frame = pd.DataFrame({"model": ["a", "b"] * 1500, "input_tokens": most, "output_tokens": 1})
    sums = totals(frame, "model")
    assert sums["input_tokens"].tolist() == [1500 * most, 1500 * most]
    assert 1500 * most > 2**63
    assert sums["output_tokens"].tolist() == [1500, 1500]
    assert totals(frame)["input_tokens"].tolist() == [3000 * most]


def test_groups_are_sorted_by_their_keys_and_count_each_kind():
    frame = planned(SAMPLES).frame
    sums = totals(frame, ["project", "model"])
    keys = list(zip(sums["project"], sums["model"], strict=True))
    assert keys == sorted(keys)
    assert sums["events"].sum() == len(frame)
    for name, kind in COUNTS.items():
        assert sums[name].sum() == (frame["kind"] == kind).sum()


def test_days_are_local_dates_of_the_end(monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        ended = pd.to_datetime(["2026-11-23T09:59:59Z", "2026-11-23T10:00:00Z"])
        sums = totals(frame_of([1.0, 2.0], ended_at=ended), by="day")
        assert sums[["day", "cost_usd"]].values.tolist() == [["2026-11-23", 1.0], ["2026-11-24", 2.0]]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_column_that_is_not_there_is_an_error():
    with pytest.raises(KeyError):
        totals(frame_of([1.0]), by="modle")


def test_what_two_files_hold_is_in_the_totals_of_the_first_only(tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn("same", "thing")
    plan = planned(tmp_path)
    (trace,) = (event for event in events_of(plan) if event.kind == "trace")
    assert {key: total.input_tokens for key, total in totals_of(plan).items()} == {(0, trace.uuid): 100}


def test_traces_of_different_files_are_kept_apart(tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn(f"prompt {name}", "thing")
    found = totals_of(planned(tmp_path))
    assert sorted(file for file, _ in found) == [0, 1]
    assert all(total.input_tokens == 100 for total in found.values())


@pytest.mark.parametrize("grouping", ["message", "session"])
def test_the_plans_totals_are_those_of_the_traces_that_it_sends(grouping):
    plan = planned(SAMPLES, trace_grouping=grouping)
    assert set(totals_of(plan)) == {(e.file, e.uuid) for e in events_of(plan) if e.kind == "trace"}
    for index, own in enumerate(plan.files):
        sent = {e["uuid"]: e["properties"] for e in events(own.file.path, trace_grouping=grouping)}
        for (file, trace_id), sums in totals_of(plan).items():
            if file == index:
                for total, name in zip(sums, NAMES, strict=True):
                    assert total == pytest.approx(sent[trace_id][name]), name


def test_without_being_asked_for_there_are_no_totals():
    plan = make_plan(find_sessions([SAMPLES]), Settings(), now_ms=NOW_MS)
    assert totals_of(plan) == {}
