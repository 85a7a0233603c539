"""`$ai_input` against the requests that the model really received, call by call, in every story."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.agent.corners import corners_of
from tests.agent.install import VERSIONS, Agent
from tests.agent.stage import Stage
from tests.agent.stories import stories_of
from tests.e2e.conftest import Told
from tests.e2e.differences import KNOWN_DIFFERENCES, Difference, differences
from tests.e2e.received import in_order

Call = tuple[dict[str, Any], dict[str, Any]]

each_story = pytest.mark.parametrize(
    ("agent", "story"),
    [(version, story) for version in VERSIONS for story in stories_of(version) + corners_of(version)],
    indirect=["agent"],
)
each_difference = pytest.mark.parametrize(
    ("agent", "difference"),
    [(version, known) for known in KNOWN_DIFFERENCES for version in known.versions],
    ids=lambda value: getattr(value, "name", value),
    indirect=["agent"],
)
since_summaries_cost = pytest.mark.parametrize(
    ("agent", "story"),
    [("0.87.1", story) for story in ("compaction", "overflow", "rewind", "branch", "detour")],
    indirect=["agent"],
)

# Of the conversation that a summary is of, what pi leaves out.
NOT_IN_THE_TRANSCRIPT = {
    # The prompt that the user went back to, to write it anew; the file does not say that it was one.
    "branch": {"make a plan"},
    "detour": {"No result provided"},
}


def calls(stage: Stage) -> Iterator[Call]:
    """Every call of the conversation and the request that it was; fails if one of either is left over."""
    generations = in_order(stage, "generation")
    chats = [g for g in generations if "$ai_span_name" not in g]
    requests = dict(enumerate(stage.model.requests, start=1))
    for chat in chats:
        if chat["$ai_response_id"]:
            yield chat, requests.pop(int(chat["$ai_response_id"].rpartition("-")[2]))
    refused = [chat for chat in chats if not chat["$ai_response_id"] and not was_never_asked(chat)]
    warming = [g for g in generations if g.get("$ai_span_name") == "cache_warm"]
    left = [request for request in requests.values() if request.get("tools")]
    assert len(left) == len(refused) + len(warming)
    yield from zip(refused, left, strict=not warming)


def was_never_asked(chat: dict[str, Any]) -> bool:
    """Whether pi wrote an empty answer without a request, because a tool was aborted."""
    aborted = chat["$ai_is_aborted"] or chat["$ai_error"] == "This operation was aborted"
    return aborted and not chat["$ai_output_choices"][0]["content"]


@each_story
def test_the_input_is_what_the_model_was_sent(told: Told, agent: Agent, story: str) -> None:
    compared = 0
    for chat, request in calls(told(story)):
        _, ours, theirs = differences(agent.version, chat["$ai_input"], request["messages"])
        assert ours == theirs, f"{story}: {chat['$ai_response_id']}"
        assert chat["$ai_model"] == request["model"]
        compared += 1
    assert compared >= 2


@each_difference
def test_a_known_difference_still_exists(told: Told, agent: Agent, difference: Difference) -> None:
    found: set[str] = set()
    for chat, request in calls(told(difference.story)):
        found |= differences(agent.version, chat["$ai_input"], request["messages"])[0]
    assert difference.name in found, f"gone, so take it out of the table: {difference.why}"


@each_story
def test_the_tools_are_those_that_the_model_was_given(told: Told, agent: Agent, story: str) -> None:
    for chat, request in calls(told(story)):
        given = [tool["function"] for tool in request["tools"]]
        if agent.version == "0.73.1":
            assert chat["$ai_tools"] is None  # not in the file
        else:
            ours = [tool["function"] for tool in chat["$ai_tools"]]
            assert ours == [{k: v for k, v in tool.items() if k != "strict"} for tool in given]


@since_summaries_cost
def test_a_summarys_input_is_the_conversation_that_was_summed_up(told: Told, story: str) -> None:
    """Known difference: pi sends a transcript in one text, under another system prompt."""
    stage = told(story)
    asked = [text_of(r["messages"]) for r in stage.model.requests if not r.get("tools")]
    summaries = [g for g in in_order(stage, "generation") if "$ai_span_name" in g]
    assert summaries
    ours = [m for summary in summaries for m in summary["$ai_input"] if m["role"] != "system"]
    parts = {part for message in ours for part in unframed(text_of([message])).split("\n\n")}
    missing = {part for part in parts if not any(part in text for text in asked)}
    assert missing == NOT_IN_THE_TRANSCRIPT.get(story, set())


def unframed(text: str) -> str:
    """An earlier summary without the words that pi puts around it in a conversation."""
    return text.partition("<summary>\n")[2].partition("</summary>")[0].strip() or text


def text_of(messages: list[dict[str, Any]]) -> str:
    parts = [p for m in messages for p in as_parts(m["content"])]
    return "\n\n".join(part["text"] for part in parts if part["type"] == "text")


def as_parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content or ""}] if not isinstance(content, list) else content
