"""Lines as pi, its forks, other versions, editors and crashes leave them."""

import json
import time
from typing import Any

import pytest

from parsers.pi import entries as e
from parsers.pi.decoding import BadLineError, decode_line
from parsers.pi.messages import join_text

HEAD = {"id": "a1", "parentId": None, "timestamp": "2026-01-02T03:04:05.678Z"}


def decode(**entry: Any) -> tuple[Any, tuple[str, ...]]:
    return decode_line(json.dumps(entry).encode())


def decode_message(**message: Any) -> tuple[Any, tuple[str, ...]]:
    entry, dropped = decode(type="message", **HEAD, message=message)
    return entry.message, dropped


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("model_change", {"provider": "p", "modelId": "m"}, e.ModelChange(provider="p", model_id="m")),
        ("thinking_level_change", {"thinkingLevel": "high"}, e.ThinkingLevelChange(thinking_level="high")),
        (
            "usage",
            {"kind": "cache_warm", "provider": "p", "model": "m", "usage": {"cacheRead": 7}},
            e.UsageEntry(kind="cache_warm", provider="p", model="m", usage=e.UsageBlock(cache_read=7)),
        ),
        (
            "compaction",
            {"summary": "so far", "firstKeptEntryId": "b2", "tokensBefore": 9, "details": {"readFiles": []}},
            e.Compaction(summary="so far", first_kept_entry_id="b2", tokens_before=9),
        ),
        ("compaction", {"firstKeptEntryIndex": 3}, e.Compaction(first_kept_entry_index=3)),
        (
            "compaction",
            {"systemMessage": {"role": "system", "sections": {"cwd": "/x"}}},
            e.Compaction(system_message=e.SystemMessage(sections={"cwd": "/x"})),
        ),
        (
            "branch_summary",
            {"summary": "left", "fromId": "c3"},
            e.BranchSummary(summary="left", from_id="c3"),
        ),
        ("context_edit", {"targetId": "c3", "replacement": None}, e.ContextEdit(target_id="c3")),
        (
            "context_edit",
            {"targetId": "c3", "replacement": {"content": "short"}},
            e.ContextEdit(target_id="c3", replacement=e.Replacement("short")),
        ),
        (
            "custom_message",
            {"customType": "note", "content": "psst", "display": False},
            e.CustomMessageEntry(custom_type="note", content="psst"),
        ),
        ("custom", {"customType": "state", "data": {"n": [1, 2]}}, e.Custom()),
        ("label", {"targetId": "c3", "label": "here"}, e.Label()),
        ("session_info", {"name": "shop"}, e.SessionInfo(name="shop")),
    ],
)
def test_every_entry_type_is_read(kind: str, fields: dict[str, Any], expected: e.Entry) -> None:
    entry, dropped = decode(type=kind, **HEAD, **fields)
    expected.id, expected.parent_id, expected.timestamp = "a1", None, HEAD["timestamp"]
    assert (entry, dropped) == (expected, ())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"role": "system", "sections": {"a": "x", "b": None}},
            e.SystemMessage(sections={"a": "x", "b": None}),
        ),
        ({"role": "user", "content": "hi", "timestamp": 5}, e.UserMessage("hi", 5)),
        (
            {"role": "assistant", "content": [], "responseModel": "m-2", "stopReason": "deferred"},
            e.AssistantMessage([], response_model="m-2", stop_reason="deferred"),
        ),
        (
            {"role": "toolResult", "toolCallId": "c", "toolName": "bash", "content": [], "isError": True},
            e.ToolResultMessage("c", "bash", [], is_error=True),
        ),
        (
            {"role": "bashExecution", "command": "ls", "exitCode": 1, "excludeFromContext": True},
            e.BashExecutionMessage("ls", exit_code=1, exclude_from_context=True),
        ),
        ({"role": "custom", "customType": "note", "content": "x"}, e.CustomMessage("note", "x")),
        ({"role": "hookMessage", "customType": "note", "content": "x"}, e.HookMessage("note", "x")),
    ],
)
def test_every_role_is_read(message: dict[str, Any], expected: e.Message) -> None:
    assert decode_message(**message) == (expected, ())


def test_the_header_of_every_version_is_read() -> None:
    assert decode(type="session", id="s", provider="p", modelId="m", branchedFrom="/old.jsonl")[
        0
    ] == e.SessionHeader(id="s", version=1, provider="p", model_id="m", branched_from="/old.jsonl")
    assert decode(type="session", version=3, id="s", parentSession="/old.jsonl", cwd="/x")[
        0
    ] == e.SessionHeader(id="s", version=3, parent_session="/old.jsonl", cwd="/x")


def test_an_entry_of_version_1_has_no_place_in_a_tree() -> None:
    entry, _ = decode(
        type="message", timestamp="2026-01-02T03:04:05.678Z", message={"role": "user", "content": "hi"}
    )
    assert entry.id is None
    assert entry.parent_id is not None
    assert entry.message.content == "hi"


def test_an_unknown_entry_type_keeps_its_place_in_the_tree() -> None:
    fields = {"type": "mood", **HEAD, "mood": {"deep": [1]}, "message": "not one"}
    entry, dropped = decode(**fields)
    assert entry == e.UnknownEntry("mood", "a1", None, HEAD["timestamp"], fields)
    assert dropped == ()


def test_an_unknown_role_and_unknown_blocks_are_no_error() -> None:
    fields = {"role": "oracle", "content": 5, "timestamp": 7}
    assert decode_message(**fields) == (e.UnknownMessage("oracle", 7, fields), ())
    message, dropped = decode_message(
        role="assistant", content=[{"type": "hologram", "depth": 3}, {"text": "x"}]
    )
    assert [block.type for block in message.content] == ["hologram", ""]
    assert dropped == ()


def test_unknown_fields_are_ignored() -> None:
    message, dropped = decode_message(role="user", content="hi", mood="fine")
    assert (message, dropped) == (e.UserMessage("hi"), ())


def test_media_is_not_even_read() -> None:
    message, _ = decode_message(
        role="user", content=[{"type": "image", "data": "SECRET", "mimeType": "image/png"}]
    )
    assert "SECRET" not in repr(message)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"model": 5}, "message.model"),
        ({"usage": "much"}, "message.usage"),
        ({"usage": {"input": "12", "output": 3}}, "message.usage.input"),
        ({"usage": {"output": 3, "cost": {"total": []}}}, "message.usage.cost.total"),
        ({"content": 7}, "message.content"),
        ({"content": [{"type": "text", "text": "kept"}, 7]}, "message.content[1]"),
        (
            {"content": [{"type": "text", "text": "kept"}, {"type": "toolCall", "id": 5}]},
            "message.content[1].id",
        ),
        ({"timestamp": {}}, "message.timestamp"),
        ({"stopReason": ["stop"]}, "message.stopReason"),
    ],
)
def test_a_wrong_type_costs_only_its_own_field(wrong: dict[str, Any], name: str) -> None:
    good = {
        "role": "assistant",
        "provider": "p",
        "content": [{"type": "text", "text": "kept"}],
        "usage": {"output": 3},
    }
    message, dropped = decode_message(**(good | wrong))
    assert dropped == (name,)
    assert message.provider == "p"
    if "usage" not in wrong or isinstance(wrong["usage"], dict):
        assert message.usage.output == 3
    if not isinstance(wrong.get("content"), int):
        assert join_text(message.content) == "kept"


def test_wrong_types_outside_the_message_leave_the_message() -> None:
    entry, dropped = decode(
        type="message", id=5, parentId=[], timestamp={}, message={"role": "user", "content": "hi"}
    )
    assert set(dropped) == {"id", "parentId", "timestamp"}
    assert entry.message == e.UserMessage("hi")


@pytest.mark.parametrize("message", [None, "hi", 5, []])
def test_a_message_that_is_none_leaves_the_entry(message: Any) -> None:
    entry, dropped = decode(type="message", **HEAD, message=message)
    assert (entry.id, entry.message) == ("a1", None)
    assert dropped in ((), ("message",))


def test_a_section_of_a_wrong_type_leaves_the_other_sections() -> None:
    message, dropped = decode_message(role="system", sections={"a": "x", "b": 5})
    assert (message.sections, dropped) == ({"a": "x"}, ("message.sections.b",))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_number_that_is_none_costs_only_its_own_field(number: bytes) -> None:
    line = b'{"type":"usage","id":"a1","usage":{"input":' + number + b',"output":3},"kind":"k"}'
    entry, dropped = decode_line(line)
    assert isinstance(entry, e.UsageEntry)
    assert entry.usage == e.UsageBlock(output=3)
    assert dropped == ("usage.input",)


def test_invalid_utf8_becomes_the_replacement_character() -> None:
    entry, dropped = decode_line(b'{"type":"session_info","name":"caf\xe9 \xf0\x9f\x98"}')
    assert (entry, dropped) == (e.SessionInfo(name="caf\ufffd \ufffd"), ())


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\ude00 tail", "\ufffd tail"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d", r"\ud83d"),
        (rb"\\\ud83d", "\\\ufffd"),
        (rb"\\\\\uD83D\uDE00\uDE00", "\\\\\U0001f600\ufffd"),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(escaped: bytes, name: str) -> None:
    entry, _ = decode_line(b'{"type":"session_info","name":"' + escaped + b'"}')
    assert entry == e.SessionInfo(name=name)


def test_half_a_surrogate_pair_beside_a_wrong_type_is_replaced_too() -> None:
    line = rb'{"type":"message","id":7,"message":{"role":"user","content":"a \ud83d b"}}'
    entry, dropped = decode_line(line)
    assert isinstance(entry, e.MessageEntry)
    assert entry.message == e.UserMessage("a \ufffd b")
    assert dropped == ("id",)


def test_white_space_line_ends_and_nul_padding_are_passed_over() -> None:
    padded = b'\0\0 \t{"type":"session_info","name":"x"} \r\n\0'
    assert decode_line(padded).line == e.SessionInfo(name="x")


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b'{"type":"session_info","na',
        b'{"type":"session_info","name":"a\0b"}',
        b"[]",
        b"5",
        b"null",
        b'"session_info"',
        b"{}",
        b'{"type":5}',
        b'{"type":"label"}{"type":"label"}',
        b"\0\0\0",
        b"\xff\xfe",
        b"",
    ],
)
def test_a_line_without_an_entry_is_said_to_be_bad(line: bytes) -> None:
    with pytest.raises(BadLineError):
        decode_line(line)


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_a_nesting_bomb_is_a_bad_line(bracket: bytes) -> None:
    with pytest.raises(BadLineError):
        decode_line(b'{"type":"custom","data":' + bracket * 1_000_000)


def test_a_line_of_50_mb_takes_seconds_not_minutes() -> None:
    body = b"0123456789abcde\\n" * (50_000_000 // 17)
    line = b'{"type":"message","message":{"role":"user","content":"' + body + b'"}}'
    began = time.perf_counter()
    entry, _ = decode_line(line)
    assert isinstance(entry, e.MessageEntry)
    assert len(join_text(entry.message.content)) == len(body) - body.count(b"\\n")
    with pytest.raises(BadLineError):
        decode_line(line[:-1])
    assert time.perf_counter() - began < 20
