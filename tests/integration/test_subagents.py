"""Sessions that real subagents left, of three extensions: their money counts once, and they hang together.

`tests/fixtures/subagents` holds what `tests/agent/subagents.py` had the real agent 0.87.1 write, and a
workflow in the background; `stats.json` what pi says the parents cost.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.watching import Watch, check, eventually, ids, once, ready

FIXTURES = Path(__file__).parent.parent / "fixtures" / "subagents"
FOLDERS = sorted(path for path in FIXTURES.iterdir() if path.is_dir())
NAMING = [folder for folder in FOLDERS if not folder.name.startswith("tintinweb")]
Event = dict[str, Any]


def name_of(folder: Path) -> str:
    return folder.name


def is_session(path: Path) -> bool:
    return bool(json.loads(path.read_bytes().splitlines()[0]).get("type") == "session")


def answers(path: Path) -> list[Event]:
    """The answers of the model in a session file, by their own times."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [m for line in lines if (m := line.get("message", {})).get("role") == "assistant"]


def spent(folder: Path) -> float:
    """What all answers cost, copies in forks counted once."""
    once = {m["responseId"]: m["usage"]["cost"]["total"] for f in sessions(folder) for m in answers(f)}
    return float(sum(once.values()))


def sessions(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.jsonl")) if is_session(path)]


def of_kind(found: list[Event], kind: str) -> list[Event]:
    return [event["properties"] for event in found if event["event"] == f"$ai_{kind}"]


@pytest.fixture
def written(command, tmp_path):
    """The events of a backfill of some paths."""

    def write(*paths: Path) -> list[Event]:
        output = tmp_path / "events.jsonl"
        done = command("backfill", *paths, "--output", output, "--force")
        assert done.code == 0, done.err
        return [json.loads(line) for line in output.read_bytes().splitlines()]

    return write


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_the_calls_of_parents_and_subagents_add_up_to_the_money_spent(written, folder):
    calls = of_kind(written(folder), "generation")
    assert sum(call["$ai_total_cost_usd"] for call in calls) == pytest.approx(spent(folder), rel=1e-9)
    assert {call.get("$ai_span_name") for call in calls} == {None}


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_transcripts_beside_the_sessions_are_not_counted(command, folder):
    figures = command("preview", folder, "--json").json
    litter = set(folder.rglob("*.jsonl")) - set(sessions(folder))
    assert figures["sessions"] == len(sessions(folder))
    assert {Path(skipped["path"]) for skipped in figures["skipped_files"]} == litter


@pytest.mark.parametrize("folder", NAMING, ids=name_of)
def test_every_subagent_hangs_below_a_tool_call_of_its_parent(written, folder):
    found = written(folder)
    tools = {
        span["$ai_span_id"]: span["$ai_session_id"]
        for span in of_kind(found, "span")
        if span["$ai_span_name"] == "subagent"
    }
    runs = [trace for trace in of_kind(found, "trace") if trace["$ai_agent_name"] != "shop"]
    assert len(runs) == len(sessions(folder)) - 1
    assert [tools[run["$ai_parent_id"]] for run in runs] == [run["$ai_parent_session_id"] for run in runs]
    mains = [trace for trace in of_kind(found, "trace") if trace["$ai_agent_name"] == "shop"]
    assert not any("$ai_parent_id" in trace or "$ai_parent_session_id" in trace for trace in mains)


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_file_imported_alone_gives_the_same_events(written, folder):
    everything = {event["uuid"]: event for event in written(folder)}
    for path in sessions(folder):
        alone = written(path)
        assert alone
        assert all(everything[event["uuid"]] == event for event in alone)


@pytest.mark.parametrize("stem", json.loads((FIXTURES / "stats.json").read_text()))
def test_what_pi_says_a_parent_cost_is_its_own_calls_and_what_its_tools_report(stem):
    """From 0.59 on, pi-subagents reports its subagents' usage, which their files hold: pi counts it, too."""
    stats = json.loads((FIXTURES / "stats.json").read_text())[stem]
    lines = [json.loads(line) for line in (FIXTURES / stem).read_bytes().splitlines()]
    reported = [m["usage"] for line in lines if "usage" in (m := line.get("message", {}))]
    assert sum(usage["cost"]["total"] for usage in reported) == pytest.approx(stats["cost"])


def as_written(folder: Path) -> list[tuple[Path, bytes, bool]]:
    """The lines of all sessions in the order of their writing, and whether each is its file's last."""
    found = []
    for path in sessions(folder):
        moment = ""
        lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines):
            moment = max(moment, json.loads(line)["timestamp"])  # what a fork copied comes with its header
            found.append((moment, path, line, number == len(lines) - 1))
    return [(path, line, is_last) for _, path, line, is_last in sorted(found, key=lambda each: each[0])]


def waits_for_a_tool(path: Path) -> bool:
    """Whether a session's last line asks for a tool."""
    last = json.loads(path.read_bytes().splitlines()[-1])
    return bool(last.get("message", {}).get("stopReason") == "toolUse")


@pytest.mark.parametrize("folder", NAMING, ids=name_of)
def test_what_arrives_live_is_what_a_later_backfill_sends(command, server, folder, tmp_path):
    """A subagent's trace leaves while its parent still waits for it."""
    copy = tmp_path / "sessions"
    copy.mkdir()
    with Watch(command, server, copy, "--backfill", "--settle", 3):
        ready(server, copy)
        for path, line, is_last in as_written(folder):
            target = copy / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab", buffering=0) as file:
                file.write(line)
            if is_last and target.parent != copy and waits_for_a_tool(next(copy.glob("*.jsonl"))):
                traces = len(ids(server, "trace"))
                eventually(lambda n=traces: len(ids(server, "trace")) > n, "the subagent's trace")
    assert once(command, server, copy, "--backfill").code == 0
    check(server, copy)
