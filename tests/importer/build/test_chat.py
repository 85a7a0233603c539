"""What models saw and said is encoded once, and spliced into every input that holds it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.building import built, properties
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, image, text, tool_call

CONTEXTS = ("full", "turn", "new")
ALL_SAMPLES = sorted(SAMPLES.rglob("*.jsonl"))


def words(message):
    content = message["content"]
    return content if isinstance(content, str) else "|".join(part["text"] for part in content)


@pytest.mark.parametrize("path", ALL_SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.stem[-4:]}")
def test_the_size_is_that_of_the_bytes_in_every_context(path):
    for context in CONTEXTS:
        for event in built(path, input_context=context):
            encoded = event.encode()
            assert event.size == len(encoded)
            assert msgspec.json.encode(json.loads(encoded)), "the splice is valid JSON"


MESSAGES = st.one_of(
    st.tuples(st.just("user"), st.text(max_size=30)),
    st.tuples(st.just("answer"), st.text(max_size=30)),
    st.tuples(st.just("tool"), st.text(max_size=30)),
    st.tuples(st.just("image"), st.just("QUJD")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MESSAGES, max_size=12), st.sampled_from(CONTEXTS), st.integers(1, 40))
def test_the_size_is_that_of_the_bytes_for_any_conversation(tmp_path_factory, messages, context, cut_at):
    story = SessionWriter(tmp_path_factory.mktemp("any") / "s.jsonl")
    for number, (kind, words) in enumerate(messages):
        if kind == "user":
            story.user(words)
        elif kind == "image":
            story.user([text(words), image(words)])
        elif kind == "answer":
            story.assistant(text(words))
        else:
            story.assistant(tool_call(f"c{number}", "run", {"words": words}), stop="toolUse")
            story.result(f"c{number}", "run", text(words))
    for event in built(story.path, input_context=context, max_attribute_length=cut_at):
        encoded = event.encode()
        assert event.size == len(encoded)
        own = json.loads(encoded)["properties"]
        if event.event == "$ai_generation":
            assert isinstance(own["$ai_input"], list)


@pytest.mark.parametrize("path", ALL_SAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.stem[-4:]}")
def test_an_input_is_a_conversation_in_openais_format(path):
    for call in properties(path, "generation"):
        asked: list[str] = []
        for message in call["$ai_input"] or []:
            assert message["role"] in ("system", "user", "assistant", "tool")
            if message["role"] == "tool":
                assert message["tool_call_id"] in asked, "a result follows the call that asked for it"
            for request in message.get("tool_calls", []):
                assert request["type"] == "function"
                assert isinstance(json.loads(request["function"]["arguments"]), dict)
                asked.append(request["id"])
            if not isinstance(message["content"], str | None):
                assert {part["type"] for part in message["content"]} <= {"text", "image_url"}
        roles = [message["role"] for message in call["$ai_input"] or []]
        assert "system" not in roles[1:]


def story_of_two_runs(path):
    story = SessionWriter(path)
    story.message("system", content="", sections={"preamble": "You are pi."}, toolsAdded=[TOOL])
    story.turn("one", "1")
    story.user("two")
    story.assistant(text("looking"), tool_call("c", "run", {"n": 2}), stop="toolUse")
    story.result("c", "run", text("two of them"))
    story.assistant(text("2"))
    return story


TOOL = {"name": "run", "description": "Runs.", "parameters": {"type": "object"}, "hidden": "x"}


def test_each_context_holds_what_it_says(tmp_path):
    story = story_of_two_runs(tmp_path / "s.jsonl")
    full, turn, new = (
        [
            [(m["role"], words(m)) for m in call["$ai_input"]]
            for call in properties(story.path, "generation", input_context=context)
        ]
        for context in CONTEXTS
    )
    system, one, two = ("system", "You are pi."), ("user", "one"), ("user", "two")
    answer, looking, result = ("assistant", "1"), ("assistant", "looking"), ("tool", "two of them")
    assert full == [[system, one], [system, one, answer, two], [system, one, answer, two, looking, result]]
    assert turn == [[one], [two], [two, looking, result]]
    assert new == [[one], [two], [result]]


def test_tool_calls_keep_the_ids_that_their_results_name(tmp_path):
    story = story_of_two_runs(tmp_path / "s.jsonl")
    *_, last = properties(story.path, "generation")
    assert last["$ai_input"][4:] == [
        {
            "role": "assistant",
            "content": "looking",
            "tool_calls": [
                {"type": "function", "id": "c", "function": {"name": "run", "arguments": '{"n":2}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "two of them"},
    ]


def test_the_tools_are_in_openais_format(tmp_path):
    story = story_of_two_runs(tmp_path / "s.jsonl")
    described = {"name": "run", "description": "Runs.", "parameters": {"type": "object"}}
    for call in properties(story.path, "generation"):
        assert call["$ai_tools"] == [{"type": "function", "function": described}]
    for call in properties(story.path, "generation", privacy_mode=True):
        assert call["$ai_tools"] == [{"type": "function", "function": {"name": "run"}}]


def test_where_pi_recorded_no_prompt_there_is_no_system_message(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    (call,) = properties(story.path, "generation")
    assert [message["role"] for message in call["$ai_input"]] == ["user"]
    assert call["$ai_tools"] is None


def test_a_call_that_was_given_nothing_has_an_empty_input(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.assistant(text("hello?"))
    (event, *_) = [e for e in built(story.path) if e.event == "$ai_generation"]
    assert json.loads(event.encode())["properties"]["$ai_input"] == []
    assert event.size == len(event.encode())


def test_unusual_characters_survive_the_splice(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    odd = 'quote " backslash \\ line\u2028\u2029 nul \0 tab \t emoji \U0001f600 end'
    story.turn(odd, odd)
    story.turn("again", "done")
    *_, last = properties(story.path, "generation")
    assert [words(message) for message in last["$ai_input"]] == [odd, odd, "again"]


def test_an_image_in_a_prompt_or_result_is_a_placeholder(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user([text("what is it?"), image("QUJDREVGRw==")])
    story.assistant(tool_call("c", "look", {}), stop="toolUse")
    story.result("c", "look", text("seen"), image("QUJDREVGRw=="))
    story.assistant(text("a cat"))
    *_, last = properties(story.path, "generation")
    placeholder = {"type": "image_url", "image_url": {"url": "[base64 image redacted]"}}
    assert last["$ai_input"][0]["content"] == [text("what is it?"), placeholder]
    result = {"role": "tool", "tool_call_id": "c", "content": "seen\n[base64 image redacted]"}
    assert last["$ai_input"][2] == result, "one string, or PostHog drops the call's id"
    assert b"QUJDREVGRw" not in b"".join(event.encode() for event in built(story.path))


def test_secrets_are_masked_in_every_message_the_prompt_and_the_tools(tmp_path):
    secret = "ghp" + "_" + "a1" * 18
    story = SessionWriter(tmp_path / "s.jsonl")
    tool = {"name": "run", "description": f"Runs {secret}.", "parameters": {"token": {"default": secret}}}
    story.message("system", content="", sections={"preamble": f"Use {secret}."}, toolsAdded=[tool])
    story.user(f"my key is {secret}")
    story.assistant(
        text(f"yours is {secret}"), tool_call("c", "run", {"x": f"echo {secret}"}), stop="toolUse"
    )
    story.result("c", "run", text(secret))
    story.assistant(text("done"))
    for chosen in (True, False):
        shown = "[REDACTED]" if chosen else secret
        *_, call = properties(story.path, "generation", redact_secrets=chosen)
        system, user, answer, result = call["$ai_input"]
        assert system["content"] == f"Use {shown}."
        assert words(user) == f"my key is {shown}"
        assert answer["content"] == f"yours is {shown}"
        assert answer["tool_calls"][0]["function"]["arguments"] == f'{{"x":"echo {shown}"}}'
        assert result["content"] == shown
        function = call["$ai_tools"][0]["function"]
        assert function["description"] == f"Runs {shown}."
        assert function["parameters"] == {"token": {"default": shown}}
