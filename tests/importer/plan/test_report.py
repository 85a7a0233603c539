from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from importer.commands.request import GROUPINGS
from importer.plan.plan import Selection, make_plan
from importer.plan.report import make_report
from importer.selection import local_day
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS, events, events_of
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, text, tool_call

ADDED = ("prompts", "generations", "spans", "input_tokens", "output_tokens", "cache_read_tokens")
ADDED += ("cache_write_tokens", "cost_usd")
PROPERTIES = {
    "input_tokens": "$ai_input_tokens",
    "output_tokens": "$ai_output_tokens",
    "cache_read_tokens": "$ai_cache_read_input_tokens",
    "cache_write_tokens": "$ai_cache_creation_input_tokens",
    "cost_usd": "$ai_total_cost_usd",
}


def figures(path, by="session", selection=None, delivered=frozenset(), **settings):
    chosen, wanted = Settings(**{"content_days": None} | settings), selection or Selection()
    plan = make_plan(find_sessions([path]), chosen, wanted, now_ms=NOW_MS)
    plan.delivered[:] = [event.uuid in delivered for event in events_of(plan)]
    return make_report(plan, chosen, by, wanted), plan


@pytest.mark.parametrize("by", GROUPINGS)
def test_the_groups_add_up_to_the_totals(by):
    whole, _ = figures(SAMPLES, by, distinct_id="me@example.com")
    for name in ADDED:
        assert sum(row[name] for row in whole["groups"]) == pytest.approx(whole[name]), name
    assert whole["by"] == by
    assert whole["events"] == sum(whole[kind] for kind in ("generations", "spans", "runs", "traces")) + 1


def test_the_totals_count_what_the_plan_holds():
    whole, plan = figures(SAMPLES)
    assert whole["sessions"] == len(plan.files)
    kinds = Counter(event.kind for event in events_of(plan))
    for kind in ("generation", "span", "run", "trace"):
        assert whole[f"{kind}s"] == kinds[kind] > 0
    calls = {
        call["uuid"]: call["properties"]
        for path in SAMPLES.rglob("*.jsonl")
        for call in events(path)
        if call["event"] == "$ai_generation"
    }
    for name, sent in PROPERTIES.items():
        assert whole[name] == pytest.approx(sum(call[sent] for call in calls.values())), name
    sizes = whole["upload_bytes_by_input_context"]
    assert sizes == {c: plan.frame[c].sum() for c in ("full", "turn", "new")}
    assert whole["upload_bytes"] == sizes["full"] > sizes["turn"] > sizes["new"]
    assert figures(SAMPLES, input_context="new")[0]["upload_bytes"] == sizes["new"]


def test_events_that_are_too_old_for_content_are_counted_and_weigh_less():
    whole, plan = figures(SAMPLES, content_days=30, distinct_id="me@example.com")
    assert (whole["numbers_only"], whole["content_days"]) == (len(plan) - 1, 30), "but the person"
    assert len(set(whole["upload_bytes_by_input_context"].values())) == 1
    everything, _ = figures(SAMPLES)
    assert (everything["numbers_only"], everything["content_days"]) == (0, None)
    assert whole["upload_bytes"] < everything["upload_bytes"] / 2


def story(path, session_id="s1", **header):
    told = SessionWriter(path, session_id, **header)
    told.user("find it\nplease")
    told.assistant(tool_call("c", "run", {}), stop="toolUse")
    told.result("c", "run", text("ran"))
    told.assistant(text("found"), model="mock-2")
    return told


def test_a_session_is_described_for_a_person(tmp_path):
    told = story(tmp_path / "s.jsonl")
    told.entry("session_info", name="the search")
    (row,) = figures(tmp_path)[0]["groups"]
    assert {
        k: row[k] for k in ("session", "name", "first_prompt", "project", "started", "models", "path")
    } == {
        "session": "s1",
        "name": "the search",
        "first_prompt": "find it\nplease",
        "project": "shop",
        "started": "2025-03-01T10:00:01.500Z",
        "models": ["mock-1", "mock-2"],
        "path": str(told.path),
    }
    assert (row["prompts"], row["generations"], row["spans"], row["traces"]) == (1, 2, 1, 1)


def test_privacy_mode_shows_no_words_of_the_session(tmp_path):
    told = story(tmp_path / "s.jsonl")
    told.entry("session_info", name="the search")
    (row,) = figures(tmp_path, privacy_mode=True)[0]["groups"]
    assert (row["name"], row["first_prompt"]) == (None, None)


def test_sessions_stand_in_the_order_of_time(tmp_path):
    story(tmp_path / "b.jsonl", "first", start=datetime(2025, 1, 1, tzinfo=UTC))
    story(tmp_path / "a.jsonl", "second", start=datetime(2025, 2, 1, tzinfo=UTC))
    assert [row["session"] for row in figures(tmp_path)[0]["groups"]] == ["first", "second"]


def test_the_state_says_what_is_delivered(tmp_path):
    story(tmp_path / "s.jsonl")
    SessionWriter(tmp_path / "t.jsonl", "empty", start=datetime(2024, 1, 1, tzinfo=UTC))
    _, plan = figures(tmp_path)
    uuids = [event.uuid for event in events_of(plan)]
    for delivered, state in ((uuids[:0], "new"), (uuids[:1], "partly"), (uuids, "delivered")):
        shown, _ = figures(tmp_path, delivered=frozenset(delivered))
        assert [row["state"] for row in shown["groups"]] == ["empty", state]
        assert shown["already_delivered"] == len(delivered)


def test_by_model_has_a_row_for_each_and_leaves_traces_out(tmp_path):
    story(tmp_path / "s.jsonl")
    shown, _ = figures(tmp_path, "model")
    rows = {row["model"]: row for row in shown["groups"]}
    assert set(rows) == {"mock-1", "mock-2"}
    assert (rows["mock-1"]["spans"], rows["mock-2"]["spans"]) == (1, 0)
    assert [row["traces"] for row in rows.values()] == [0, 0]
    assert shown["traces"] == 1
    assert [row["sessions"] for row in rows.values()] == [1, 1]


def test_by_project_and_day_count_sessions(tmp_path):
    for number, project in enumerate(("shop", "shop", "bank")):
        start = datetime(2025, 3, 1 + number, 12, tzinfo=UTC)
        story(tmp_path / f"{number}.jsonl", f"s{number}", cwd=f"/home/dev/{project}", start=start)
    projects = {row["project"]: row["sessions"] for row in figures(tmp_path, "project")[0]["groups"]}
    assert projects == {"bank": 1, "shop": 2}
    days = [row["day"] for row in figures(tmp_path, "day")[0]["groups"]]
    assert len(days) == 3
    assert days == sorted(days)


def test_a_period_shows_only_the_sessions_with_something_in_it(tmp_path):
    story(tmp_path / "a.jsonl", "old", start=datetime(2025, 1, 1, tzinfo=UTC))
    story(tmp_path / "b.jsonl", "new", start=datetime(2025, 6, 1, tzinfo=UTC))
    since = Selection(since_ms=round(datetime(2025, 3, 1, tzinfo=UTC).timestamp() * 1000))
    shown, _ = figures(tmp_path, selection=since)
    assert shown["sessions"] == 1
    assert [row["session"] for row in shown["groups"]] == ["new"]


@pytest.mark.parametrize("by", GROUPINGS)
def test_nothing_found_is_all_zeros(tmp_path, by):
    shown, _ = figures(tmp_path, by)
    assert list(shown["groups"]) == []
    assert all(shown[name] == 0 for name in (*ADDED, "sessions", "events", "upload_bytes"))


def test_a_day_is_that_of_the_computers_own_clock():
    moment = datetime(2025, 3, 1, 23, 59, 59).astimezone()
    assert local_day(round(moment.timestamp() * 1000)) == "2025-03-01"


@pytest.mark.parametrize("by", GROUPINGS)
def test_dollars_are_a_fraction_and_counts_are_whole_even_of_nothing(tmp_path, by):
    for path, selection in ((tmp_path, None), (SAMPLES, None), (SAMPLES, Selection(since_ms=NOW_MS))):
        whole, _ = figures(path, by, selection)
        for row in (whole, *whole["groups"]):
            assert type(row["cost_usd"]) is float
            assert {type(row[name]) for name in ADDED if name != "cost_usd"} == {int}
