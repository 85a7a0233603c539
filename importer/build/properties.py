"""Properties that follow from one value: tokens, errors, what is present.

Names are those of PostHog's docs and of its columns; it takes what is given and derives the rest. Without the
text of an error it would call every error "Unknown error", so its kind is named here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from importer import __version__
from importer.sessions.exports import LIBRARY
from importer.settings import Settings
from parsers.pi.generations import http_status
from parsers.times import to_rfc3339
from parsers.usage import Usage

NO_ERROR: dict[str, Any] = {"$ai_is_error": False, "$ai_error": None}


def keep_present(**properties: Any) -> dict[str, Any]:
    """Return only the properties that have a value.

    Example:
        >>> keep_present(a=1, b=None)
        {'a': 1}
    """
    return {name: value for name, value in properties.items() if value is not None}


def make_token_properties(usage: Usage) -> dict[str, Any]:
    """Return the tokens of a model call: ``cache_…`` as the official extension names them, too.

    How long a provider keeps what was written to its cache is there only where pi recorded it.
    """
    hour = usage.cache_write_1h_tokens
    by_time = {}
    if hour is not None:
        by_time = {
            "$ai_cache_creation_5m_input_tokens": usage.cache_write_tokens - hour,
            "$ai_cache_creation_1h_input_tokens": hour,
        }
    return {
        "$ai_input_tokens": usage.input_tokens,
        "$ai_output_tokens": usage.output_tokens,
        "$ai_total_tokens": usage.total_tokens,
        "$ai_reasoning_tokens": usage.reasoning_tokens,
        "$ai_cache_read_input_tokens": usage.cache_read_tokens,
        "$ai_cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        **by_time,
        "$ai_cache_reporting_exclusive": True,
    }


def make_call_error(error: str | None, text: str | None) -> dict[str, Any]:
    """Return the properties of a failed model call, or of a trace that ended with one.

    Args:
        error: what pi recorded, from which the HTTP status is read.
        text: what of it may be sent.

    Example:
        >>> make_call_error("429 Rate limit", None)["$ai_error_normalized"]
        'HTTP 429'
    """
    status = http_status(error)
    if status:
        return _make_error(text, f"HTTP {status}", f"http_{status}")
    return _make_error(text, "model error", "model_error")


def make_tool_error(name: str, text: str | None) -> dict[str, Any]:
    """Return the properties of a failed tool call: its tool, and what of its error may be sent."""
    return _make_error(text, f"tool error: {name}", "tool_error")


def _make_error(text: str | None, normalized: str, kind: str) -> dict[str, Any]:
    own = {"$ai_is_error": True, "$ai_error": text, "$ai_error_type": kind}
    return own if text is not None else {**own, "$ai_error_normalized": normalized}


def shared_properties(settings: Settings) -> dict[str, Any]:
    """Return what the events of all kinds have."""
    return {
        **settings.tags,
        "$lib": LIBRARY,
        "$lib_version": __version__,
        "$geoip_disable": True,
        "$ignore_sent_at": True,
    }


def encode_event(event: str, uuid: str, distinct_id: str, end_ms: int, properties: dict[str, Any]) -> bytes:
    """Return an event as the JSON that PostHog takes."""
    return msgspec.json.encode(
        {
            "event": event,
            "distinct_id": distinct_id,
            "uuid": uuid,
            "timestamp": to_rfc3339(end_ms),
            "properties": properties,
        }
    )
