"""Making an event fit PostHog's limit: the oldest messages go first, then long strings are cut."""

from __future__ import annotations

from typing import Any

import msgspec

EVENT_LIMIT = 900 * 1024
"""Bytes of one event's JSON: PostHog refuses a whole request for one AI event over 983,040 bytes."""

_LARGE = ("$ai_input", "$ai_output_choices", "$ai_input_state", "$ai_output_state", "$ai_tools")


def marker(left_out: int) -> bytes:
    """The message, as JSON, that stands where older messages were left out."""
    plural = "s" if left_out != 1 else ""
    text = (
        f"[{left_out} older message{plural} left out by pi-posthog: the event would be too large for PostHog]"
    )
    return msgspec.json.encode({"role": "system", "content": text})


def cut_strings(event: bytes, limit: int) -> bytes:
    """An event's JSON with its long strings cut, so that it is at most ``limit`` bytes.

    Where that does not suffice (a great many short strings), its large properties become null.
    """
    value = msgspec.json.decode(event)
    longest = limit // 2
    while longest >= 64:
        encoded = msgspec.json.encode(_cut(value, longest))
        if len(encoded) <= limit:
            return encoded
        longest //= 2
    for name in _LARGE:
        if name in value["properties"]:
            value["properties"][name] = None
    return msgspec.json.encode(_cut(value, 64 * 16))


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]}...[truncated {len(value) - longest} chars]"
    if isinstance(value, dict):
        return {key: _cut(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, longest) for item in value]
    return value
