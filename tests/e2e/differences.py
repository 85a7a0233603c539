"""Where a model's input as we tell it differs from what the model was sent: each undone by one function.

Every function takes our messages and those of the request (tool arguments decoded in both) and returns
them with that one difference taken out. What is left must be equal.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from importer.build.redaction import redact
from parsers.pi.messages import MEDIA

Messages = list[dict[str, Any]]
Undo = Callable[[Messages, Messages], tuple[Messages, Messages]]

TOOL_IMAGES = {"type": "text", "text": "Attached image(s) from tool result:"}
IMAGE = {"type": "image_url", "image_url": {"url": MEDIA}}
OMITTED = "(image omitted: model does not support images)"
TOOL_OMITTED = "(tool image omitted: model does not support images)"


@dataclass(frozen=True)
class Difference:
    """One way in which inputs differ, why, and a story that shows it."""

    name: str
    why: str
    story: str
    undo: Undo
    versions: tuple[str, ...] = ("0.73.1", "0.87.1")


def decoded(messages: Messages) -> Messages:
    """Messages of a request or an `$ai_input`, with tool arguments as values; a copy."""
    messages = json.loads(json.dumps(messages))
    for message in messages:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def system_prompt_not_recorded(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    if theirs[0]["role"] == "system" and ours[0]["role"] != "system":
        return ours, theirs[1:]
    return ours, theirs


def media_redacted(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    for message in theirs:
        if isinstance(message["content"], list):
            message["content"] = [IMAGE if p["type"] == "image_url" else p for p in message["content"]]
    return ours, theirs


def secrets_redacted(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    for message in theirs:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = redact(call["function"]["arguments"])
    return ours, theirs


def own_thinking_left_out(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    return ours, [{k: v for k, v in m.items() if k != "reasoning_content"} for m in theirs]


def other_models_thinking_left_out(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    for mine, sent in zip(ours, theirs, strict=False):
        if mine["role"] == sent["role"] == "assistant" and (sent["content"] or "").startswith("hm"):
            sent["content"] = sent["content"].removeprefix("hm")
    return ours, theirs


def tool_images_in_the_result(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    if not any(TOOL_IMAGES in m["content"] for m in theirs if isinstance(m["content"], list)):
        return ours, theirs
    moved: Messages = []
    waiting: list[dict[str, Any]] = []
    for message, following in pairwise([*ours, {"role": "nothing"}]):
        if message["role"] == "tool" and message["content"].endswith(f"\n{MEDIA}"):
            text, *images = message["content"].split(f"\n{MEDIA}")
            waiting += [IMAGE] * len(images)
            moved.append({**message, "content": text})
        else:
            moved.append(message)
        if waiting and following["role"] != "tool":
            moved.append({"role": "user", "content": [TOOL_IMAGES, *waiting]})
            waiting = []
    return moved, theirs


def images_for_the_blind(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    for message in theirs:
        if isinstance(message["content"], list):
            message["content"] = [
                IMAGE if p == {"type": "text", "text": OMITTED} else p for p in message["content"]
            ]
        elif message["role"] == "tool" and message["content"].endswith(f"\n{TOOL_OMITTED}"):
            text = message["content"].removesuffix(f"\n{TOOL_OMITTED}")
            message["content"] = f"{text}\n{MEDIA}"
    return ours, theirs


def silent_tool_shows_an_image(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    for message in theirs:
        if message["role"] == "tool" and message["content"] == "(see attached image)":
            message["content"] = "(no tool output)"
    return ours, theirs


def changed_by_a_hook(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    left = [m for m in theirs if m["content"] != [{"type": "text", "text": "whispered"}]]
    if left[0]["role"] == "system":
        left[0]["content"] = left[0]["content"].removesuffix("\n\nOnly this once.")
    return ours, left


def system_update_at_the_top(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    updates = [m for m in theirs[1:] if m["role"] == "system"]
    if not updates:
        return ours, theirs
    assert all(m["content"].startswith("Updated system prompt section") for m in updates)
    return ours[1:], [m for m in theirs[1:] if m not in updates]


OLD, NEW = ("0.73.1",), ("0.87.1",)

KNOWN_DIFFERENCES = (
    Difference(
        "system prompt missing",
        "pi recorded no system prompt before 0.85",
        "tools",
        system_prompt_not_recorded,
        OLD,
    ),
    Difference("media redacted", "by design: base64 media never leaves the machine", "image", media_redacted),
    Difference(
        "secrets redacted", "by design: values under keys that look secret", "tools", secrets_redacted
    ),
    Difference(
        "own thinking left out",
        "by design: providers each want it in another shape",
        "tools",
        own_thinking_left_out,
    ),
    Difference(
        "another model's thinking left out",
        "by design, as above: pi sends it as text, glued to the answer",
        "switch",
        other_models_thinking_left_out,
    ),
    Difference(
        "a tool's images stand in its result",
        "by design: OpenAI's API wants them in a user message behind, others do not",
        "image",
        tool_images_in_the_result,
    ),
    Difference(
        "images for a model that cannot see",
        "pi does not record what a model can take",
        "blind",
        images_for_the_blind,
    ),
    Difference(
        "a tool without output",
        "0.73.1 tells the model to see an image that is not there; later versions say what we say",
        "notes",
        silent_tool_shows_an_image,
        OLD,
    ),
    Difference(
        "changed by an extension's hook",
        "`context` and `before_agent_start` change one request; pi records nothing of it",
        "hooks",
        changed_by_a_hook,
    ),
    Difference(
        "system prompt updated in the middle",
        "by design: the prompt in force stands at the top, as most providers are sent it",
        "update",
        system_update_at_the_top,
        NEW,
    ),
)


def differences(version: str, ours: Messages, theirs: Messages) -> tuple[set[str], Messages, Messages]:
    """The names of the known differences between two inputs, and both without them."""
    ours, theirs = decoded(ours), decoded(theirs)
    found = set()
    for difference in KNOWN_DIFFERENCES:
        if version not in difference.versions or ours == theirs:
            continue
        before = _copied(ours, theirs)
        ours, theirs = difference.undo(ours, theirs)
        if (ours, theirs) != before:
            found.add(difference.name)
    return found, ours, theirs


def _copied(ours: Messages, theirs: Messages) -> tuple[Messages, Messages]:
    return json.loads(json.dumps(ours)), json.loads(json.dumps(theirs))
