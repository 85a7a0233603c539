"""An event that is too large for PostHog loses its oldest messages first, and never its identity."""

from __future__ import annotations

import json
import re

import pytest

from importer.build.trimming import EVENT_LIMIT, cut_strings
from tests.building import built
from tests.session_writer import SessionWriter, text, tool_call

LIMIT = 900 * 1024
MIB = 1024 * 1024
MARKER = re.compile(r"\[(\d+) older messages? left out by pi2posthog: .*\]")


def calls(path, **settings):
    return [event for event in built(path, **settings) if event.event == "$ai_generation"]


def marked(messages):
    """Return the messages that say how many were left out."""
    contents = [m["content"] for m in messages if isinstance(m["content"], str)]
    return [int(found[1]) for found in map(MARKER.fullmatch, contents) if found]


def check_identity(event, encoded):
    value = json.loads(encoded)
    whole = json.loads(event.head)
    for name in ("event", "distinct_id", "uuid", "timestamp"):
        assert value[name] == whole[name]
    for name, fact in whole["properties"].items():
        if isinstance(fact, int | float | None) or name.endswith("_id") or name == "$ai_model":
            assert value["properties"][name] == fact, name
    return value["properties"]


def many_large_messages(path, count=40, size=100_000):
    story = SessionWriter(path)
    story.message("system", content="You are pi.")
    for number in range(count):
        story.turn(f"<{number}>" + "p" * size, f"answer {number}")
    return story.path


def test_the_oldest_messages_go_first_and_one_marker_counts_them(tmp_path):
    *_, event = calls(many_large_messages(tmp_path / "s.jsonl"))
    encoded = event.encode()
    assert 0.85 * LIMIT < len(encoded) <= LIMIT == EVENT_LIMIT
    assert event.size == len(encoded)
    system, marker, *kept = check_identity(event, encoded)["$ai_input"]
    assert system == {"role": "system", "content": "You are pi."}
    (left_out,) = marked([marker])
    assert marked(kept) == []
    assert left_out + len(kept) == 79  # 40 prompts and 39 answers
    texts = [m["content"] if isinstance(m["content"], str) else m["content"][0]["text"] for m in kept]
    assert [t for t in texts if t.startswith("a")] == [f"answer {n}" for n in range(39)][-(len(kept) // 2) :]
    assert texts[-1] == "<39>" + "p" * 100_000, "what stays is whole"


@pytest.mark.parametrize("context", ["turn", "new"])
def test_the_count_leaves_out_what_the_context_never_held(tmp_path, context):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("before", "and after")
    story.user("go")
    for number in range(30 if context == "turn" else 1):
        requests = [tool_call(f"c{number}-{n}", "run", {}) for n in range(1 if context == "turn" else 30)]
        story.assistant(*requests, stop="toolUse")
        for request in requests:
            story.result(request["id"], "run", text("r" * 100_000))
    story.assistant(text("done"))
    *_, event = calls(story.path, input_context=context, max_attribute_length=200_000)
    kept = check_identity(event, event.encode())["$ai_input"]
    held = {"turn": 1 + 30 * 2, "new": 30}[context]
    (left_out,) = marked(kept)
    assert left_out + len(kept) - 1 == held
    assert len(event.encode()) <= LIMIT


def test_nothing_is_left_out_where_all_fits(tmp_path):
    *_, event = calls(many_large_messages(tmp_path / "s.jsonl", count=8))
    messages = json.loads(event.encode())["properties"]["$ai_input"]
    assert (len(messages), marked(messages)) == (16, [])


def test_a_single_giant_message_is_cut(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("before", "and after")
    story.turn("start" + "p" * 3 * MIB, "done")
    *_, event = calls(story.path)
    messages = check_identity(event, event.encode())["$ai_input"]
    assert len(event.encode()) <= LIMIT
    assert marked(messages) == [2]
    giant = messages[-1]["content"]
    assert giant.startswith("startppp")
    kept, cut = len(giant.partition("...")[0]), int(re.search(r"truncated (\d+) chars", giant)[1])
    assert kept > 100_000
    assert kept + cut == 5 + 3 * MIB


def test_a_giant_system_prompt_goes_before_the_conversation(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.message("system", content="s" * 2 * MIB)
    story.turn("one", "1")
    story.turn("two", "2")
    *_, event = calls(story.path)
    marker, *kept = check_identity(event, event.encode())["$ai_input"]
    assert marked([marker]) == [1]
    assert [message["role"] for message in kept] == ["user", "assistant", "user"]


def test_a_giant_answer_is_cut_and_the_question_stays(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("what is pi?", "3." + "1" * 4 * MIB)
    (event,) = calls(story.path)
    own = check_identity(event, event.encode())
    assert len(event.encode()) <= LIMIT
    assert own["$ai_input"][-1]["content"] == "what is pi?"
    assert own["$ai_output_choices"][0]["content"][0]["text"].startswith("3.11")


def test_giant_states_of_a_span_fit(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("go")
    story.assistant(tool_call("c", "run", {"body": "é" * MIB}), stop="toolUse")
    story.result("c", "run", text("ü" * MIB), isError=True)
    story.assistant(text("done"))
    for event in built(story.path, max_attribute_length=1_000_000_000):
        encoded = event.encode()
        assert len(encoded) == event.size <= LIMIT
        check_identity(event, encoded)


@pytest.mark.parametrize("limit", [512 * 1024, 64 * 1024, 16 * 1024])
@pytest.mark.parametrize("shape", ["many messages", "one message", "answer", "many tool calls"])
def test_trimmed_keeps_to_any_limit(tmp_path, limit, shape):
    story = SessionWriter(tmp_path / "s.jsonl")
    if shape == "many messages":
        many_large_messages(story.path, 30, 20_000)
    elif shape == "one message":
        story.turn("ü" * MIB, "done")
    elif shape == "answer":
        story.turn("go", "\n" * MIB)
    else:
        story.user("go")
        story.assistant(*(tool_call(f"c{n}", "run", {"n": n}) for n in range(9000)), stop="toolUse")
    distinct_id = "a-person-with-a-very-long-name-" * 3 + "@example.com"
    for event in built(story.path, distinct_id=distinct_id):
        encoded = event.trimmed(limit)
        assert len(encoded) <= limit
        assert json.loads(encoded)["distinct_id"] == distinct_id
        check_identity(event, encoded)


def test_an_event_of_endless_facts_fits_too(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("go", "gone", model="m" * 2 * MIB, responseId="r" * 2 * MIB)
    (event,) = calls(story.path)
    encoded = event.encode()
    assert len(encoded) <= LIMIT
    assert json.loads(encoded)["properties"]["$ai_input_tokens"] == 100


def test_cutting_leaves_an_event_that_fits_alone():
    event = json.dumps({"uuid": "u", "properties": {"$ai_input": ["a" * 100], "n": 1}}).encode()
    assert json.loads(cut_strings(event, 4096)) == json.loads(event)
