"""Privacy mode: no word of a session leaves the machine, or is shown; what it cost does, and is."""

from __future__ import annotations

import re
import zlib

import pytest

from tests.importer.build.test_secrets import IN_CONTEXT, TOKENS
from tests.session_writer import SessionWriter, image, text, thinking, tool_call, usage

MARKER = re.compile(r"mark-[a-z]+(?:-[a-z]+)*")


def marked_session(path):
    """A session in which every kind of content holds a marker of its own; returns all of them."""
    story = SessionWriter(path, cwd="/home/mark-folder/shop")
    tool = {"name": "run", "description": "mark-description", "parameters": {"title": "mark-schema"}}
    sections = {"preamble": "mark-system", "files": "mark-section"}
    story.message("system", content="mark-content", sections=sections, toolsAdded=[tool])
    story.entry("session_info", name="mark-name")
    story.user([text("mark-prompt"), image("bWFyaw==")])
    asked = tool_call("c", "run", {"path": "/home/mark-path", "mark-key": "mark-argument"})
    story.assistant(text("mark-answer"), thinking("mark-thinking"), asked, stop="toolUse")
    failed = {"isError": True, "details": {"diff": "mark-details"}, "usage": usage(input=70)}
    nested = {
        "calls": [
            {
                "id": "c/1",
                "name": "read",
                "arguments": {"p": "mark-nested"},
                "status": "error",
                "error": "mark-inner",
            }
        ]
    }
    story.result("c", "run", text("mark-result"), nestedCalls=nested, **failed)
    story.assistant(text("mark-failed"), stop="error", errorMessage="429 mark-error")
    story.message("bashExecution", command="mark-command", output="mark-output", exitCode=1)
    story.entry("custom_message", customType="note", content="mark-custom")
    story.message("custom", customType="note", content=[text("mark-message")])
    story.assistant(text("mark-again"), stop="deferred", rawStopReason="mark-raw")
    story.entry("compaction", summary="mark-compaction", firstKeptEntryId=None, tokensBefore=9)
    story.entry("compaction", summary="mark-summary", tokensBefore=9, usage=usage(input=50))
    story.entry("branch_summary", summary="mark-branch", fromId="00000003", usage=usage(input=30))
    story.turn("mark-second\nmark-line", "mark-done", stopReason="aborted")
    story.user("mark-third")
    story.assistant(tool_call("d", "run", {"x": "mark-open"}), stop="toolUse")
    story.user("mark-fourth")
    story.raw(b'{"type":"message","mark-torn')
    return set(MARKER.findall(story.path.read_text()))


@pytest.fixture
def told(tmp_path):
    markers = marked_session(tmp_path / "sessions" / "s.jsonl")
    assert len(markers) > 30
    return tmp_path / "sessions", markers


def bodies(server):
    return "".join(zlib.decompress(request.packed, 31).decode() for request in server.requests)


PRIVATE = {"POSTHOG_PRIVACY_MODE": "true"}


def test_no_word_leaves_the_machine_or_is_kept_or_shown(command, server, told):
    folder, markers = told
    shown = [command("preview", folder, *more, **PRIVATE) for more in ((), ("--json",), ("--by", "day"))]
    shown += [command.send(server, folder, **PRIVATE), command.send(server, folder, "--json", **PRIVATE)]
    assert all(each.code == 0 for each in shown)
    assert len(server.accepted) > 10
    kept = "".join(p.read_bytes().decode("latin-1") for p in command.ledger.parent.iterdir())
    screen = "".join(each.out + each.err for each in shown)
    assert "torn last line" in screen
    for place in (bodies(server), kept, screen):
        assert set(MARKER.findall(place)) & markers == set()
        assert "mark-" not in place
        assert "bWFyaw" not in place


def test_nor_into_a_file(command, told, tmp_path):
    folder, _ = told
    command("backfill", folder, "--output", tmp_path / "out.jsonl", **PRIVATE)
    assert "mark-" not in (tmp_path / "out.jsonl").read_text()


def test_without_privacy_mode_the_words_are_there(command, server, told):
    """So that the test above can fail: every marker that a model or PostHog has use for is sent."""
    folder, markers = told
    command.send(server, folder)
    never_sent = {"mark-folder", "mark-torn"}
    assert markers - set(MARKER.findall(bodies(server))) == never_sent | {"mark-fourth"}


def test_numbers_models_tool_names_and_stop_reasons_stay(command, server, told):
    folder, _ = told
    command.send(server, folder, **PRIVATE)
    kinds = {name: [] for name in ("$ai_generation", "$ai_span", "$ai_trace")}
    for event in server.accepted:
        kinds[event["event"]].append(event["properties"])
    calls = [
        (c.get("$ai_span_name", "chat"), c["$ai_stop_reason"], c["$ai_input_tokens"])
        for c in kinds["$ai_generation"]
    ]
    assert sorted(calls, key=str) == sorted(
        [
            ("chat", "tool_calls", 100),
            ("run", None, 70),
            ("chat", "error", 100),
            ("chat", "deferred", 100),
            ("compaction", None, 50),
            ("branch_summary", None, 30),
            ("chat", "stop", 100),
            ("chat", "tool_calls", 100),
        ],
        key=str,
    )
    for call in kinds["$ai_generation"]:
        for name in ("$ai_input", "$ai_output_choices", "$ai_error"):
            assert call[name] is None, name
        assert call.get("$ai_user_prompt") is None
        assert call["$ai_total_cost_usd"] > 0
        if "$ai_span_name" not in call:
            assert (call["$ai_model"], call["$ai_provider"]) == ("mock-1", "mock")
            assert call["$ai_tools"] == [{"type": "function", "function": {"name": "run"}}]
    assert {call["$ai_is_error"] for call in kinds["$ai_generation"]} == {True, False}
    assert {span["$ai_span_name"] for span in kinds["$ai_span"]} == {"run", "read", "user_bash", "compaction"}
    failed = [call for call in kinds["$ai_generation"] if call["$ai_is_error"]]
    assert [(c["$ai_error_normalized"], c["$ai_error_type"]) for c in failed] == [("HTTP 429", "http_429")]
    asked = sorted(
        (call["$ai_tools_called"], call["$ai_tool_call_count"]) for call in kinds["$ai_generation"]
    )
    assert asked == [("", 0)] * 6 + [("run", 1)] * 2
    runs = [span for span in kinds["$ai_span"] if span.get("$ai_span_type") == "agent"]
    assert {run["$ai_span_name"] for run in runs} == {"run"}
    assert not any("$ai_input_state" in run or "$ai_output_state" in run or run["$ai_error"] for run in runs)
    assert len(runs) == len(kinds["$ai_trace"])
    for span in kinds["$ai_span"]:
        if span in runs:
            continue
        if span["$ai_is_error"] and span["$ai_error"] is None:
            assert span["$ai_error_normalized"] == f"tool error: {span['$ai_span_name']}"
        assert span.get("$ai_error_type") == ("tool_error" if span["$ai_is_error"] else None)
        assert span["$ai_input_state"] is span["$ai_output_state"] is None
        assert span["$ai_error"] in (None, "no result: the run was aborted or crashed")
    for trace in kinds["$ai_trace"]:
        assert trace["$ai_input_state"] is trace["$ai_output_state"] is trace["$ai_error"] is None
        assert trace["$ai_span_name"] in (None, "compaction", "branch_summary", "chat")
        assert trace["$ai_total_input_tokens"] > 0


def test_the_ids_are_the_same_in_and_out_of_privacy_mode(command, told, tmp_path):
    folder, _ = told
    ids = []
    for number, environment in enumerate(({}, PRIVATE)):
        out = tmp_path / f"{number}.jsonl"
        command("backfill", folder, "--output", out, **environment)
        ids.append(re.findall(r'"uuid":"([^"]+)"', out.read_text()))
    assert ids[0] == ids[1]


def test_the_flag_does_it_too_and_wins(command, server, told):
    folder, _ = told
    command.send(server, folder, "--privacy-mode", POSTHOG_PRIVACY_MODE="false")
    assert "mark-" not in bodies(server)


SECRETS = {f"{kind}: {secret}": secret for kind, secret in TOKENS.items()}
SECRETS |= {
    marked.replace("«", "").replace("»", ""): marked.partition("«")[2].partition("»")[0]
    for marked in IN_CONTEXT
    if marked.startswith(("Authorization: B", "https://user", "export FOO_TOKEN=", "curl -u", '{"api_key"'))
}


def story_with_secrets(path, number, words):
    """A session that says the same in every place where words can stand."""
    told = f"so be it:\n{words}"
    story = SessionWriter(path, session_id=f"0195500a-0000-7000-8000-{number:012}")
    tool = {"name": "run", "description": told, "parameters": {"title": told}}
    story.message("system", content=told, sections={"preamble": told}, toolsAdded=[tool])
    story.entry("session_info", name=words)
    story.user([text(words)])
    story.assistant(text(told), thinking(told), tool_call("c", "run", {"command": told}), stop="toolUse")
    failed = {"isError": True, "details": {"diff": told}, "usage": usage(input=70)}
    story.result("c", "run", text(told), **failed)
    story.assistant(text(told), stop="error", errorMessage=told)
    story.message("bashExecution", command=told, output=told, exitCode=1)
    story.entry("custom_message", customType="note", content=told)
    story.entry("compaction", summary=told, tokensBefore=9, usage=usage(input=50))
    story.entry("branch_summary", summary=told, fromId="00000003", usage=usage(input=30))
    story.turn(words, told, stopReason="aborted")
    story.user(told)


def test_secrets_in_words_do_not_leave_unless_told_to(command, tmp_path):
    for number, words in enumerate(SECRETS):
        story_with_secrets(tmp_path / "sessions" / f"{number}.jsonl", number, words)
    written = []
    out = tmp_path / "out.jsonl"
    for length, masks in ((12_000, "true"), (30, "true"), (12_000, "false")):
        chosen = {"POSTHOG_MAX_ATTRIBUTE_LENGTH": str(length), "POSTHOG_REDACT_SECRETS": masks}
        assert command("backfill", tmp_path / "sessions", "--output", out, "--force", **chosen).code == 0
        written.append(out.read_text())
    masked, cut, unmasked = written
    for words, secret in SECRETS.items():
        assert secret not in masked, words
        assert secret[: max(6, len(secret) // 2)] not in cut, words
        assert unmasked.count(secret) > 20, words
    ids = [re.findall(r'"uuid":"([^"]+)"', text) for text in written]
    assert ids[0] == ids[1] == ids[2]
