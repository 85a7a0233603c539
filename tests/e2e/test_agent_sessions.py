"""What the real agent writes, checked on a short scripted story with each version."""

from pathlib import Path
from typing import Any

import pytest

from tests.agent.mock_model import SCRIPT_ENDED, Step
from tests.agent.stage import Stage, written_at
from tests.e2e.conftest import Told
from tests.e2e.received import entries as lines


def messages(path: Path, role: str) -> list[dict[str, Any]]:
    return [e["message"] for e in lines(path) if e["type"] == "message" and e["message"]["role"] == role]


def the_only_file(stage: Stage) -> Path:
    (path,) = stage.sandbox.session_files()
    return path


def test_a_tool_loop_is_written_as_a_session(told: Told) -> None:
    stage = told("tools")
    path = the_only_file(stage)
    header, *entries = lines(path)
    assert header["type"] == "session"
    assert header["version"] == 3
    assert header["cwd"] == str(stage.sandbox.cwd)
    assert path.name.endswith(f"_{header['id']}.jsonl")
    assert [e["parentId"] for e in entries] == [None, *(e["id"] for e in entries[:-1])]
    stops = [m["stopReason"] for m in messages(path, "assistant")]
    assert stops == ["toolUse", "toolUse", "toolUse", "stop", "stop"]
    assert [r["isError"] for r in messages(path, "toolResult")] == [False, True, False, False]


def test_the_usage_in_the_file_adds_up_to_what_pi_says(told: Told) -> None:
    stage = told("tools")
    usages = [m["usage"] for m in messages(the_only_file(stage), "assistant")]
    (said,) = stage.stats.values()
    assert said["cost"] > 0
    assert said["cost"] == pytest.approx(sum(u["cost"]["total"] for u in usages))
    for name in ("input", "output", "cacheRead", "cacheWrite"):
        assert said["tokens"][name] == sum(u[name] for u in usages) > 0


def test_the_model_is_sent_what_the_file_holds(told: Told) -> None:
    stage = told("tools")
    path = the_only_file(stage)
    requests = stage.model.requests
    assert len(requests) == len(messages(path, "assistant"))
    names = {"toolResult": "tool"}
    held = [e["message"]["role"] for e in lines(path) if e["type"] == "message"]
    sent = [m["role"] for m in requests[-1]["messages"]]
    assert sent == ["system", *(names.get(role, role) for role in held[:-1] if role != "system")]


def test_a_fork_repeats_its_parents_entries(told: Told) -> None:
    stage = told("fork")
    parent, child, clone = stage.sandbox.session_files()
    before = lines(parent)[1:]
    for copy in (child, clone):
        header, *entries = lines(copy)
        assert header["parentSession"] == str(parent)
        shared = [e for e in entries if e in before]
        assert shared
        assert shared == before[: len(shared)]
        assert all(e["timestamp"] < header["timestamp"] for e in shared)
        assert len(entries) > len(shared)


def test_an_abandoned_branch_stays_in_the_file(told: Told) -> None:
    stage = told("branch")
    path = the_only_file(stage)
    parents = [e["parentId"] for e in lines(path)[1:]]
    assert len(set(parents)) < len(parents)
    (summary,) = [e for e in lines(path) if e["type"] == "branch_summary"]
    assert ("usage" in summary) == (stage.agent.version != "0.73.1")


def test_an_aborted_answer_is_kept_with_its_text(told: Told) -> None:
    stage = told("abort")
    aborted = [m for m in messages(the_only_file(stage), "assistant") if m["stopReason"] == "aborted"]
    assert aborted[0]["content"] == [{"type": "text", "text": "this answer never"}]


def test_a_queued_message_is_older_than_what_it_hangs_off(told: Told) -> None:
    stage = told("queue")
    entries = {e.get("id"): e for e in lines(the_only_file(stage))[1:]}
    queued = {}
    for entry in entries.values():
        message = entry.get("message", {})
        if message.get("role") == "user":
            before = entries[entry["parentId"]]
            # 0.87.1 writes its system message between a user's typing and the user's entry.
            while before.get("message", {}).get("role") == "system":
                before = entries[before["parentId"]]
            queued[message["content"][0]["text"]] = message["timestamp"] < written_at(before)
    assert queued == {
        "write a title": False,
        "in capitals": True,
        "and a subtitle": True,
        "that is all": False,
    }


def test_a_script_that_has_ended_is_an_error_in_the_session(stage: Stage) -> None:
    with stage.run() as pi:
        stage.model.then(Step("hello"))
        pi.prompt("hello")
        pi.prompt("one too many")
    last = messages(the_only_file(stage), "assistant")[-1]
    assert last["stopReason"] == "error"
    assert SCRIPT_ENDED in last["errorMessage"]
