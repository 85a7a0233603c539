"""Makes an event fit PostHog's limit: the oldest messages go first, then long strings are cut."""

from __future__ import annotations

import re
from typing import Any

import msgspec

EVENT_LIMIT = 900 * 1024
"""Bytes of one event's JSON: PostHog refuses a whole request for one AI event over 983,040 bytes."""

LARGEST_PART = 4 * EVENT_LIMIT
"""Bytes of a message or of the tools. What is larger is cut once, not in each event that holds it."""

TOO_LARGE = "[left out by pi2posthog: too large for PostHog]"
"""The content of a message that cannot be cut to fit."""

_LARGE = ("$ai_input", "$ai_output_choices", "$ai_input_state", "$ai_output_state", "$ai_tools")
_CONTENT = (*_LARGE, "$ai_user_prompt", "$ai_error")
_LONGEST_FACT = 1024
_CUT = re.compile(r"\.\.\.\[truncated (\d{1,12}) chars\]\Z")  # of what was cut before
_LONGEST_MARK = 40
_SHORTEST_CUT = 64


def make_marker(left_out: int) -> bytes:
    """Return the message, as JSON, in the place of older messages that were left out."""
    plural = "s" if left_out != 1 else ""
    text = (
        f"[{left_out} older message{plural} left out by pi2posthog: the event would be too large for PostHog]"
    )
    return msgspec.json.encode({"role": "system", "content": text})


def cut_strings(event: bytes, limit: int) -> bytes:
    """Return an event's JSON with the long strings of its content cut, so that it is at most ``limit`` bytes.

    If that does not suffice (a great many short strings), its large properties become null. What PostHog
    tells events apart by stays whole, as do ids and names of an ordinary length.
    """
    value = msgspec.json.decode(event)
    properties = value["properties"]
    content = {name: properties[name] for name in _CONTENT if name in properties}
    longest = limit // 2 if _fits(value, content, limit) else 0
    while longest >= _SHORTEST_CUT:
        properties.update({name: _cut(item, longest) for name, item in content.items()})
        encoded = msgspec.json.encode(value)
        if len(encoded) <= limit:
            return encoded
        longest //= 2
    properties.update({name: None for name in _LARGE if name in properties})
    value["properties"] = _cut(properties, _LONGEST_FACT)
    return msgspec.json.encode(value)


def _fits(event: dict[str, Any], content: dict[str, Any], limit: int) -> bool:
    """Return whether an event fits with all strings of its content as short as they may be cut."""
    cut = {name: _cut(item, _SHORTEST_CUT) for name, item in content.items()}
    return len(msgspec.json.encode(event | {"properties": event["properties"] | cut})) <= limit


def cut_once(encoded: bytes) -> bytes | None:
    """Return JSON that no event has room for, cut as in an event; None if cutting does not suffice.

    What very many events hold is cut once, before they are built.
    """
    value = msgspec.json.decode(encoded)
    longest = EVENT_LIMIT // 2
    while longest >= _SHORTEST_CUT:
        cut = msgspec.json.encode(_cut(value, longest))
        if len(cut) <= EVENT_LIMIT * 3 // 4:
            return cut
        longest //= 2
    return None


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        before = _CUT.search(value, len(value) - _LONGEST_MARK)
        length = before.start() + int(before[1]) if before else len(value)
        return f"{value[:longest]}...[truncated {length - longest} chars]"
    if isinstance(value, dict):
        return {key: _cut(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, longest) for item in value]
    return value
