"""PostHog's screens show each recorded trace with its own time, and a tree without loose ends."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from importer.deliver.backfill import Backfill
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from importer.watch.tail import Tail
from parsers.pi.runs import SETTLE_MS
from parsers.records import AnyRecord
from parsers.times import to_ms
from tests.building import NOW_MS
from tests.posthog_screens import Event, PostHogScreens
from tests.rig import Rig
from tests.session_writer import SessionWriter, text, tool_call, usage

ROOT = Path(__file__).parent
FOLDERS = {
    "samples": (ROOT.parent / "sample_sessions", "pi"),
    "subagents": (ROOT / "fixtures" / "subagents", "pi"),
    "extension": (ROOT / "fixtures" / "extension", "pi"),
    "fuzz": (ROOT / "fixtures" / "fuzz", "pi"),
    "omp": (ROOT / "fixtures" / "agents" / "omp", "omp"),
    "openclaw": (ROOT / "fixtures" / "agents" / "openclaw", "openclaw"),
}
TOLERANCE_S = 0.02
PARENT = "2025-03-01T10-00-00-000Z_aaaaaaaa-0000-7000-8000-000000000001"

groupings = pytest.mark.parametrize("grouping", ["message", "session"])
privacy = pytest.mark.parametrize("private", [False, True], ids=["open", "private"])
folders = pytest.mark.parametrize("name", FOLDERS)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write events to."""
    return tmp_path_factory.mktemp("screens") / "events.jsonl"


@lru_cache(maxsize=1)
def imported(folder: Path, origin: str, output: Path, **settings: Any) -> list[Event]:
    """Return the events of a backfill of a folder, as they are sent."""
    chosen = Settings(content_days=None, **settings)
    plan = make_plan(find_sessions([folder], origin), chosen, now_ms=NOW_MS, with_totals=True)
    output.unlink(missing_ok=True)
    Backfill(plan, chosen).write(output)
    return [json.loads(line) for line in output.read_bytes().splitlines()]


def own_events(events: list[Event]) -> dict[str, Event]:
    """Return the event of each trace that has one, by trace id."""
    return {each["properties"]["$ai_trace_id"]: each for each in events if each["event"] == "$ai_trace"}


def is_run(event: Event) -> bool:
    return event["properties"].get("$ai_span_type") == "agent"


@groupings
@privacy
@folders
def test_the_shown_time_of_a_trace_is_its_own(output: Path, name: str, grouping: str, private: bool) -> None:
    events = imported(*FOLDERS[name], output, trace_grouping=grouping, privacy_mode=private)
    screens, traces = PostHogScreens(events), own_events(events)
    assert traces
    wrong = {}
    for trace_id, trace in traces.items():
        shown_s, own_s = screens.trace_latency_s(trace_id), trace["properties"]["$ai_latency"] or 0
        if abs(shown_s - own_s) > TOLERANCE_S:
            wrong[trace_id] = (shown_s, own_s)
    assert wrong == {}


@groupings
@privacy
@folders
def test_runs_stand_at_the_top_and_nothing_hangs_loose(
    output: Path, name: str, grouping: str, private: bool
) -> None:
    events = imported(*FOLDERS[name], output, trace_grouping=grouping, privacy_mode=private)
    screens, traces = PostHogScreens(events), own_events(events)
    for trace_id in traces:
        assert screens.orphans(trace_id) == []
        tops = screens.tree(trace_id)
        assert tops
        below = [node.event for top in tops for child in top.children for node in child.walk()]
        assert not any(map(is_run, below))
        runs = [node.event for node in tops if is_run(node.event)]
        assert runs
        assert grouping == "session" or len(runs) == 1
        assert name == "fuzz" or len(runs) == len(tops), "only damage puts a span before a run's first call"


@groupings
def test_the_fixtures_hold_traces_of_subagents_whose_runs_have_the_time(output: Path, grouping: str) -> None:
    events = imported(*FOLDERS["subagents"], output, trace_grouping=grouping)
    traces = own_events(events)
    started = {trace_id for trace_id, each in traces.items() if "$ai_parent_id" in each["properties"]}
    assert len(started) >= 10
    assert len(started) < len(traces)
    for run in filter(is_run, events):
        assert ("$ai_latency" in run["properties"]) == (run["properties"]["$ai_trace_id"] in started)


def test_in_session_grouping_a_run_says_its_prompt_and_answer_and_nothing_in_privacy_mode(
    output: Path,
) -> None:
    said = list(filter(is_run, imported(*FOLDERS["samples"], output, trace_grouping="session")))
    assert all({"$ai_input_state", "$ai_output_state"} <= run["properties"].keys() for run in said)
    assert len({run["properties"]["$ai_span_name"] for run in said}) > 10
    hidden = imported(*FOLDERS["samples"], output, trace_grouping="session", privacy_mode=True)
    for run in filter(is_run, hidden):
        own = run["properties"]
        assert (own["$ai_span_name"], own["$ai_input_state"], own["$ai_output_state"]) == ("run", None, None)
    told = list(filter(is_run, imported(*FOLDERS["samples"], output, trace_grouping="message")))
    assert not any("$ai_input_state" in run["properties"] for run in told)


@groupings
@pytest.mark.parametrize("name", ["samples", "subagents"])
def test_a_watcher_sends_what_an_import_sends(tmp_path: Path, output: Path, name: str, grouping: str) -> None:
    folder, origin = FOLDERS[name]
    copy = shutil.copytree(folder, tmp_path / "sessions")
    expected = imported(copy, origin, output, trace_grouping=grouping)
    rig = Rig(copy, settle_ms=20_000, trace_grouping=grouping).pass_once()
    there = [json.loads(event.encode()) for event in rig.sender.taken.values()]
    by_id = {event["uuid"]: event for event in there}
    assert len(by_id) == len(there)
    assert by_id == {event["uuid"]: event for event in expected}


def write_slow_sessions(folder: Path) -> list[Path]:
    """Write a session with a subagent's; both pause so long within a window that their runs leave early."""
    parent = SessionWriter(folder / f"{PARENT}.jsonl", PARENT.partition("_")[2])
    parent.user("delegate it")
    parent.assistant(tool_call("c1", "subagent", {"agent": "helper", "task": "count"}), stop="toolUse")
    child = SessionWriter(
        folder / PARENT / "b491192f" / "run-0" / "session.jsonl",
        "bbbbbbbb-0000-7000-8000-000000000002",
        start=parent.now,
    )
    child.entry("session_info", name="subagent-helper-b491192f-1")
    child.turn("Task: count", "three")
    for story in (child, parent):
        story.wait(minutes=2)
        if story is parent:
            parent.result("c1", "subagent", text("three"), details={"mode": "single", "runId": "b491192f"})
            parent.assistant(text("done"))
        story.wait(minutes=2)
        story.entry(
            "compaction", summary="so far", tokensBefore=9, firstKeptEntryId="x", usage=usage(input=5)
        )
        story.wait(minutes=2)
        story.turn("and more", "no", stop="error", errorMessage="overloaded")
        story.wait(minutes=1)
        story.assistant(text("more"))
        story.wait(minutes=90)
        story.turn("the next day", "yes")
    return [parent.path, child.path]


@groupings
def test_sessions_that_are_followed_send_early_what_an_import_sends(
    tmp_path: Path, output: Path, grouping: str
) -> None:
    paths = write_slow_sessions(tmp_path)
    expected = {event["uuid"]: event for event in imported(tmp_path, "pi", output, trace_grouping=grouping)}
    sent: dict[str, Event] = {}
    for path in paths:
        own, early = follow(Tail(path, Settings(trace_grouping=grouping, content_days=None)), path)
        assert early >= 3
        sent |= own
    assert sent == expected
    screens, traces = PostHogScreens(list(sent.values())), own_events(list(sent.values()))
    for trace_id, trace in traces.items():
        shown_s = screens.trace_latency_s(trace_id)
        assert shown_s == pytest.approx(trace["properties"]["$ai_latency"], abs=TOLERANCE_S)
    assert any("$ai_parent_id" in trace["properties"] for trace in traces.values())


def follow(tail: Tail, path: Path) -> tuple[dict[str, Event], int]:
    """Follow a file that grows; return its events, and how many runs and traces ended before a later line.

    Each event leaves as soon as it may, by the clock of the session, and none with two envelopes.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"")
    events: dict[str, Event] = {}
    now_ms = early = 0

    def build(records: Sequence[AnyRecord]) -> None:
        for record in records:
            event = json.loads(tail.build_event(record).encode())
            assert events.setdefault(record.id, event) == event

    for line in lines:
        line_ms = max(now_ms, to_ms(json.loads(line).get("timestamp")) or 0)
        if now_ms and line_ms > now_ms:
            ended = tail.finish(line_ms - 1, SETTLE_MS)
            tail.settled.update(record.id for record in ended)
            early += len(ended)
            build(ended)
        now_ms = line_ms
        with path.open("ab") as file:
            file.write(line)
        os.utime(path, (now_ms / 1000, now_ms / 1000))
        build(tail.read())
    build(tail.finish(NOW_MS, SETTLE_MS))
    return events, early
