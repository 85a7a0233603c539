"""Session trees that pi's own SessionManager built from a seed, against what pi's own code says of them.

`tests/agent/forest.mjs` grows them, and notes before each answer what pi would send: its
`buildSessionContext` through its `convertToLlm` and its provider's `convertMessages`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

from parsers.pi.messages import MEDIA
from tests.agent.forest import Grown, grow, is_span, moment
from tests.agent.install import Agent
from tests.e2e.differences import (
    IMAGE,
    TOOL_IMAGES,
    Messages,
    decoded,
    media_redacted,
    own_thinking_left_out,
)
from tests.e2e.received import Event, of_kind, total

TREES, ENTRIES = 40, 60
TOLERANCE_USD = 1e-9  # two sums of the same numbers in another order
MADE_UP = "No result provided"
SPENT = ("$ai_model", "$ai_input_tokens", "$ai_output_tokens", "$ai_total_cost_usd", "$ai_output_choices")
THINKING = "hm"  # all that a model of the forest thinks


@dataclass(frozen=True)
class Call:
    """One call, as we tell it and as pi would send it, without the differences by design."""

    version: str
    file: Grown
    entry_id: str
    ours: Messages
    theirs: Messages

    @cached_property
    def path(self) -> list[Event]:
        return self.file.path_to(self.entry_id)

    def of_type(self, *kinds: str) -> list[Event]:
        return [entry for entry in self.path if entry["type"] in kinds]

    def __str__(self) -> str:
        return f"{self.file.path}, entry {self.entry_id}"


@pytest.fixture(scope="session")
def forest(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> list[Grown]:
    """The files of all trees of a version, grown by one process."""
    return grow(agent, tmp_path_factory.mktemp("forest"), TREES, ENTRIES)


def tool_calls_of(entry: Event) -> list[Event]:
    return [block for block in entry["message"]["content"] if block["type"] == "toolCall"]


def nothing_to_say(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    """0.73.1 sends empty text blocks, both send a text that is an empty string; we leave them out."""
    for message in theirs:
        if message["role"] == "user" and isinstance(message["content"], list):
            message["content"] = [part for part in message["content"] if part.get("text") != ""]
    return ours, [message for message in theirs if message["role"] != "user" or message["content"]]


def thinking_of_others(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    """pi sends another model's thinking as text, even where the answer holds only that; we leave it out."""
    for message in theirs:
        if message["role"] == "assistant":
            message["content"] = (message["content"] or "").removeprefix(THINKING) or None
    return ours, [m for m in theirs if m["role"] != "assistant" or m["content"] or m.get("tool_calls")]


def tool_images_counted(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    """pi sends a tool's images behind the batch of results, which even a message without words may part."""
    shown: list[Any] = []
    for message in ours:
        if message["role"] == "tool":
            text, *images = message["content"].split(f"\n{MEDIA}")
            shown += [IMAGE] * len(images)
            message["content"] = text
    sent = [
        m["content"]
        for m in theirs
        if m["role"] == "user" and isinstance(m["content"], list) and TOOL_IMAGES in m["content"]
    ]
    left = [m for m in theirs if m["role"] != "user" or m["content"] not in sent]
    images = [image for content in sent for image in content[1:]]
    return [*ours, {"role": "images", "content": shown}], [*left, {"role": "images", "content": images}]


def tool_said_nothing(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    """0.73.1 tells the model to see an image that is not there."""
    for mine, sent in zip(ours, theirs, strict=False):
        if mine["role"] == sent["role"] == "tool" and mine["content"] == "(no tool output)":
            sent["content"] = sent["content"].replace("(see attached image)", "(no tool output)")
    return ours, theirs


BY_DESIGN = (
    nothing_to_say,
    media_redacted,
    own_thinking_left_out,
    thinking_of_others,
    tool_images_counted,
    tool_said_nothing,
)


def calls(version: str, forest: list[Grown]) -> Iterator[Call]:
    for file in forest:
        for entry_id, sent in file.calls.items():
            chat = file.answers[entry_id]["properties"]
            ours, theirs = decoded(chat["$ai_input"]), decoded(sent["messages"])
            for undo in BY_DESIGN:
                ours, theirs = undo(ours, theirs)
            yield Call(version, file, entry_id, ours, theirs)


def test_the_input_is_what_pi_would_send(agent: Agent, forest: list[Grown]) -> None:
    compared = 0
    for call in calls(agent.version, forest):
        assert call.ours == call.theirs, str(call)
        compared += 1
    assert compared > TREES * 15


def test_the_tools_are_those_in_force(agent: Agent, forest: list[Grown]) -> None:
    given = 0
    for file in forest:
        for entry_id, sent in file.calls.items():
            tools = file.answers[entry_id]["properties"]["$ai_tools"]
            assert [tool["function"] for tool in tools or []] == sent["tools"], f"{file.path} {entry_id}"
            given += bool(tools)
    assert given > TREES if agent.version == "0.87.1" else given == 0


def test_tokens_and_cost_add_up_to_pis_own_totals(forest: list[Grown]) -> None:
    for file in forest:
        calls, tokens = of_kind(file.events, "generation"), file.totals["tokens"]
        assert total(calls, "$ai_input_tokens") == tokens["input"], file.path
        assert total(calls, "$ai_output_tokens") == tokens["output"], file.path
        assert total(calls, "$ai_cache_read_input_tokens") == tokens["cacheRead"], file.path
        assert total(calls, "$ai_cache_creation_input_tokens") == tokens["cacheWrite"], file.path
        assert total(calls, "$ai_total_tokens") == tokens["total"], file.path
        cost = total(calls, "$ai_total_cost_usd")
        assert cost == pytest.approx(file.totals["cost"], abs=TOLERANCE_USD), file.path


def test_every_answer_is_one_generation_and_every_call_of_it_one_span(forest: list[Grown]) -> None:
    for file in forest:
        uuids = [event["uuid"] for event in file.events]
        assert len(uuids) == len(set(uuids)), file.path
        chats = [p for p in of_kind(file.events, "generation") if "$ai_span_name" not in p]
        assert len(chats) == len(file.answers), file.path
        # how a copied call ended, the parent's file may know alone
        spans = {e["uuid"]: e["properties"] for e in file.sent_before() + file.events if is_span(e)}
        below = Counter(span["$ai_parent_id"] for span in spans.values())
        for entry_id, answer in file.answers.items():
            asked = tool_calls_of(file.entries[entry_id])
            assert below[answer["uuid"]] == len(asked), f"{file.path} {entry_id}"


def test_a_forks_copies_are_the_events_of_its_parent(forest: list[Grown]) -> None:
    forks = [file for file in forest if file.parent]
    compared = 0
    for fork in forks:
        sent = {event["uuid"]: event for event in fork.sent_before()}
        for copy in fork.events:
            if moment(copy) >= moment(fork.header):
                continue
            compared += 1
            assert copy["uuid"] in sent, f"{fork.path}: {copy}"
            if copy["event"] == "$ai_generation":
                ours, theirs = copy["properties"], sent[copy["uuid"]]["properties"]
                assert [ours[name] for name in SPENT] == [theirs[name] for name in SPENT]
    assert len(forks) >= TREES
    assert compared > TREES * 15
