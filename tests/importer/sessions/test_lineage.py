"""A subagent's session names its parent and hangs below the tool call that started it."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from importer.deliver.backfill import Backfill
from importer.deliver.building import Builder
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS
from tests.session_writer import SessionWriter, text, tool_call

PARENT = "2025-03-01T10-00-00-000Z_aaaaaaaa-0000-7000-8000-000000000001"
PARENT_ID = PARENT.partition("_")[2]
CHILD = "2025-03-01T10-00-02-500Z_bbbbbbbb-0000-7000-8000-000000000002.jsonl"
NAME = "subagent-helper-b491192f-1"
PLACES = {
    "a folder for the run": (f"{PARENT}/b491192f/run-0/session.jsonl", False),
    "the parent's forks": (f"{PARENT}/forks/{CHILD}", True),
    "beside the parent": (CHILD, True),
}


def delegating(path: Path, session_id: str = PARENT_ID, **header: Any) -> SessionWriter:
    """A session whose third line calls a subagent, at 10:00:02, and is still waiting for it."""
    parent = SessionWriter(path, session_id, **header)
    parent.user("delegate it")
    parent.assistant(tool_call("c1", "subagent", {"agent": "helper", "task": "count"}), stop="toolUse")
    return parent


def subagent(path: Path, parent: SessionWriter, *, named: str | None, name: str | None = NAME) -> None:
    """The subagent's session, begun half a second after it was called for."""
    header = {"parentSession": named} if named else {}
    child = SessionWriter(path, CHILD[25:-6], start=parent.now + timedelta(seconds=0.5), **header)
    if name:
        child.entry("session_info", name=name)
    child.turn("Task: count", "three")


def answered(parent: SessionWriter) -> None:
    """Give the parent the subagent's answer, and end its run."""
    parent.wait(seconds=10)
    parent.result("c1", "subagent", text("three"), details={"mode": "single", "runId": "b491192f"})
    parent.assistant(text("done"))


def sent(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """Return the events of a backfill of a folder."""
    chosen = Settings(**settings)
    plan = make_plan(find_sessions([folder]), chosen, now_ms=NOW_MS, with_totals=True)
    builder = Builder(chosen, plan.now_ms)
    return [json.loads(e.encode()) for e in Backfill(plan, chosen)._build_events(builder)]


def of_child(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the properties of the subagent's only generation, span (its run) or trace."""
    (one,) = [
        e["properties"]
        for e in found
        if e["event"] == f"$ai_{kind}" and e["properties"]["$ai_session_id"] == f"pi:{CHILD[25:-6]}"
    ]
    return dict(one)


def span_of_tool(found: list[dict[str, Any]]) -> str:
    (one,) = [e for e in found if e["properties"].get("$ai_span_name") == "subagent"]
    return str(one["properties"]["$ai_span_id"])


@pytest.mark.parametrize("place", PLACES)
def test_a_subagent_is_named_and_hangs_below_the_tool_call_that_started_it(tmp_path, place):
    where, is_named = PLACES[place]
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    subagent(tmp_path / where, parent, named=str(parent.path) if is_named else None)
    answered(parent)
    found = sent(tmp_path)
    for kind in ("generation", "span", "trace"):
        own = of_child(found, kind)
        assert own["$ai_agent_name"] == "shop/helper"
        assert own["$ai_parent_session_id"] == f"pi:{PARENT_ID}"
    assert of_child(found, "trace")["$ai_parent_id"] == span_of_tool(found)
    assert of_child(found, "trace")["$ai_span_name"] == "helper: Task: count"
    run, trace = of_child(found, "span"), of_child(found, "trace")
    assert of_child(found, "generation")["$ai_parent_id"] == run["$ai_span_id"]
    assert (run["$ai_parent_id"], run["$ai_latency"]) == (trace["$ai_trace_id"], trace["$ai_latency"])
    others = [e["properties"] for e in found if e["properties"]["$ai_session_id"] == f"pi:{PARENT_ID}"]
    assert {own["$ai_agent_name"] for own in others} == {"shop"}
    assert not any("$ai_parent_session_id" in own for own in others)


def test_the_result_of_the_tool_changes_nothing_of_the_subagents_events(tmp_path):
    """A live tail sends them before it."""
    where, _ = PLACES["a folder for the run"]
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    subagent(tmp_path / where, parent, named=None)
    before = [of_child(sent(tmp_path), kind) for kind in ("span", "trace")]
    answered(parent)
    assert [of_child(sent(tmp_path), kind) for kind in ("span", "trace")] == before


def test_a_subagents_file_alone_finds_its_parent_beside_it(tmp_path):
    where, _ = PLACES["a folder for the run"]
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    subagent(tmp_path / where, parent, named=None)
    answered(parent)
    everything = sent(tmp_path)
    assert of_child(sent(tmp_path / where), "trace") == of_child(everything, "trace")


@pytest.mark.parametrize("place", PLACES)
def test_without_its_parents_file_a_subagent_keeps_its_names(tmp_path, place):
    where, is_named = PLACES[place]
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    subagent(tmp_path / where, parent, named=str(parent.path) if is_named else None)
    parent.path.unlink()
    own = of_child(sent(tmp_path), "trace")
    assert (own["$ai_agent_name"], own["$ai_parent_session_id"]) == ("shop/helper", f"pi:{PARENT_ID}")
    assert "$ai_parent_id" not in own
    assert "$ai_latency" not in of_child(sent(tmp_path), "span")


def test_a_subagent_of_a_subagent_hangs_below_that(tmp_path):
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    boss = delegating(
        tmp_path / PARENT / "b491192f" / "run-0" / "session.jsonl",
        "cccccccc-0000-7000-8000-000000000003",
        start=parent.now + timedelta(seconds=0.5),
    )
    where = tmp_path / PARENT / "b491192f" / "run-0" / "session" / "0a0a0a0a" / "run-0" / "session.jsonl"
    subagent(where, boss, named=None)
    own = of_child(sent(tmp_path), "trace")
    assert own["$ai_parent_session_id"] == f"pi:{boss.session_id}"
    assert own["$ai_parent_id"] in {
        e["properties"]["$ai_span_id"]
        for e in sent(boss.path)
        if e["properties"].get("$ai_span_name") == "subagent"
    }


def test_a_person_who_goes_on_with_a_subagents_session_was_not_started_by_a_tool(tmp_path):
    where, _ = PLACES["a folder for the run"]
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    subagent(tmp_path / where, parent, named=None)
    answered(parent)
    child = SessionWriter(tmp_path / "later.jsonl", start=parent.now + timedelta(hours=1))
    child.turn("and the pears?", "four")
    with (tmp_path / where).open("ab") as file:
        file.writelines(child.path.read_bytes().splitlines(keepends=True)[1:])
    child.path.unlink()
    traces = [e["properties"] for e in sent(tmp_path / where) if e["event"] == "$ai_trace"]
    assert [("$ai_parent_id" in own) for own in traces] == [True, False]
    assert {own["$ai_agent_name"] for own in traces} == {"shop/helper"}


def test_a_fork_that_a_person_made_hangs_below_nothing(tmp_path):
    parent = delegating(tmp_path / f"{PARENT}.jsonl")  # killed while its tool ran
    copied = parent.path.read_bytes().splitlines(keepends=True)[1:]
    fork = SessionWriter(
        tmp_path / CHILD, CHILD[25:-6], start=parent.now + timedelta(hours=1), parentSession=str(parent.path)
    )
    fork.raw(b"".join(copied))
    fork.turn("go on here", "gladly")
    own = of_child(sent(tmp_path), "trace")
    assert own["$ai_parent_session_id"] == f"pi:{PARENT_ID}"
    assert own["$ai_agent_name"] == "shop"
    assert "$ai_parent_id" not in own


def test_a_setting_names_the_agent_and_the_subagent_stays_behind_it(tmp_path):
    where, _ = PLACES["a folder for the run"]
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    subagent(tmp_path / where, parent, named=None)
    assert of_child(sent(tmp_path, agent_name="bot"), "trace")["$ai_agent_name"] == "bot/helper"


def test_a_parent_that_a_header_names_outside_of_the_folder_is_not_opened(tmp_path):
    """A session file is data: a pipe would hang, another file is none of ours."""
    pipe = tmp_path / "elsewhere" / f"{PARENT}.jsonl"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    parent = delegating(tmp_path / "elsewhere" / "gone.jsonl")
    folder = tmp_path / "sessions"
    subagent(folder / CHILD, parent, named=str(pipe))
    own = of_child(sent(folder), "trace")
    assert own["$ai_parent_session_id"] == f"pi:{PARENT_ID}"
    assert "$ai_parent_id" not in own


def test_what_subagents_recorded_themselves_counts_once(tmp_path):
    """pi-subagents from 0.59 on gives its tool's result the usage of its subagents, too."""
    where, _ = PLACES["a folder for the run"]
    parent = delegating(tmp_path / f"{PARENT}.jsonl")
    subagent(tmp_path / where, parent, named=None)
    spent = {"input": 100, "output": 20, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 120}
    parent.result(
        "c1",
        "subagent",
        text("three"),
        usage={**spent, "cost": {"total": 0.0006}},
        details={"results": [{"sessionFile": str(tmp_path / where), "usage": spent | {"cost": 0.0006}}]},
    )
    parent.assistant(text("done"))
    calls = [e["properties"] for e in sent(tmp_path) if e["event"] == "$ai_generation"]
    assert [own.get("$ai_span_name") for own in calls] == [None] * 3
    assert sum(own["$ai_total_cost_usd"] for own in calls) == pytest.approx(3 * 0.0006)
