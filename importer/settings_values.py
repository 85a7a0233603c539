"""Checks the values of settings, one function for each kind: a raw value in, the checked value out.

A raw value comes from a flag or a JSON file (any type), or from the environment (text). Each function raises
`BadValueError`, whose text says what is allowed; the caller knows which setting it is. Pydantic was
considered: its import takes a tenth of a second of every command, half of what ``--help`` may take.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from importer.errors import BadValueError

_MAX_LENGTH = 1_000_000_000
_MAX_DAYS = 36_500
_MAX_DISTINCT_ID = 200  # PostHog's limit for a distinct_id
# What PostHog takes for a mistake of the sender, in any case of letters: its isDistinctIdIllegal.
_ILLEGAL_IDS = {"anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email"}
_ILLEGAL_IDS |= {"undefined", "true", "false", "null", "none", "nan", "0", "[object object]"}

_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}")
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+")
_NAMED_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True}
_NAMED_BOOLEANS |= {"false": False, "0": False, "no": False, "off": False}


def api_key(raw: object) -> str:
    """Return a project API key: ASCII, no blanks, not a personal key (PostHog takes no events for those)."""
    if not isinstance(raw, str) or not raw or not all("!" <= c <= "~" for c in raw):
        raise BadValueError("use the project API key (phc_…): ASCII characters, no blanks")
    if raw.startswith("phx_"):
        raise BadValueError("that is a personal API key (phx_…), use the project API key (phc_…)")
    return raw


def host(raw: object) -> str:
    """Return a base URL without the slash at its end; a path is allowed, for a server behind a proxy."""
    allowed = "use an http or https URL such as https://us.i.posthog.com, without user, query or fragment"
    # urlsplit drops control characters and blanks.
    if not isinstance(raw, str) or not raw.isascii() or any(c <= " " or c in '\x7f\\<>"' for c in raw):
        raise BadValueError(allowed)
    try:
        url = urlsplit(raw)
        valid = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        raise BadValueError(allowed) from None
    if not valid or "@" in url.netloc or "?" in raw or "#" in raw:
        raise BadValueError(allowed)
    return raw.rstrip("/")


def boolean(raw: object) -> bool:
    """Return a truth value, given as itself or by one of its usual names, in any case."""
    if isinstance(raw, bool):
        return raw
    named = _NAMED_BOOLEANS.get(raw.strip().lower()) if isinstance(raw, str) else None
    if named is None:
        raise BadValueError("use true or false (also 1/0, yes/no, on/off)")
    return named


def choice(*allowed: str) -> Callable[[object], str]:
    """Return a function that takes one of the words, in any case."""

    def chosen(raw: object) -> str:
        word = raw.strip().lower() if isinstance(raw, str) else None
        if word not in allowed:
            raise BadValueError(f"use {', '.join(allowed[:-1])} or {allowed[-1]}")
        return word

    return chosen


def minutes(raw: object) -> float:
    """Return a finite number of minutes above 0."""
    value = math.nan
    if isinstance(raw, str):
        value = float(raw) if _NUMBER.fullmatch(raw.strip()) else math.nan
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        # A JSON integer may be beyond what a float holds.
        value = float(raw) if abs(raw) < sys.float_info.max else math.nan
    if not (math.isfinite(value) and value > 0):
        raise BadValueError("use a number of minutes above 0")
    return value


def days(raw: object) -> float | None:
    """Return a number of days; None for ``all``."""
    if isinstance(raw, str) and raw.strip().lower() == "all":
        return None
    value = math.nan
    if isinstance(raw, str):
        value = float(raw) if _NUMBER.fullmatch(raw.strip()) else math.nan
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        value = float(raw) if abs(raw) < sys.float_info.max else math.nan
    if not 0 <= value <= _MAX_DAYS:
        raise BadValueError(f"use a number of days from 0 to {_MAX_DAYS}, or all")
    return value


def count(most: int, least: int = 1) -> Callable[[object], int]:
    """Return a function that takes a whole number from ``least`` to ``most``."""

    def counted(raw: object) -> int:
        value = least - 1
        if isinstance(raw, str) and _WHOLE_NUMBER.fullmatch(raw.strip()):
            value = int(raw)
        elif isinstance(raw, int) and not isinstance(raw, bool):
            value = raw
        if not least <= value <= most:
            raise BadValueError(f"use a whole number from {least} to {most}")
        return value

    return counted


length = count(_MAX_LENGTH)  # of characters


def name(raw: object) -> str:
    """Return a text that can be shown: not blank, no control characters."""
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
        raise BadValueError("use a text without control characters")
    return raw.strip()


def names(raw: object) -> tuple[str, ...]:
    """Return names given as ``one,two`` or as a list of texts, sorted, each once."""
    texts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise BadValueError("use name1,name2 (in the file also a list of texts)")
    return tuple(sorted({name(text) for text in texts}))


def distinct_id(raw: object) -> str:
    """Return a PostHog ``distinct_id``: a text that can be shown, at most 200 characters, not a placeholder.

    PostHog drops the person of ids such as ``anonymous``, ``null`` or ``0``, also within quotes.
    """
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable() or len(raw) > _MAX_DISTINCT_ID:
        raise BadValueError(f"use a text of 1 to {_MAX_DISTINCT_ID} characters without control characters")
    bare = raw.strip().strip("'\"").strip().lower()
    if not bare or bare in _ILLEGAL_IDS:
        raise BadValueError(
            "PostHog takes it for a placeholder, use a person's id, such as an e-mail address"
        )
    return raw.strip()


def tags(raw: object) -> dict[str, str]:
    """Return tags given as ``key1:val1,key2:val2``, as a list of ``key:val``, or as an object of texts."""
    found: dict[str, str] = {}
    for key, value in _tag_pairs(raw):
        if not key or key.startswith("$") or not key.isprintable() or not value.isprintable():
            raise BadValueError(
                "use key1:val1,key2:val2; keys do not start with $, nothing holds control characters"
            )
        if key in found:
            raise BadValueError(f"use every key once ({key})")
        found[key] = value
    return found


def _tag_pairs(raw: object) -> Iterable[tuple[str, str]]:
    if isinstance(raw, Mapping):
        items: Mapping[Any, Any] = raw
        if all(isinstance(part, str) for item in items.items() for part in item):
            return [(key.strip(), value.strip()) for key, value in items.items()]
    else:
        texts = raw.split(",") if isinstance(raw, str) else raw
        if isinstance(texts, Sequence) and all(isinstance(text, str) and ":" in text for text in texts):
            pairs = (text.partition(":") for text in texts)
            return [(key.strip(), value.strip()) for key, _, value in pairs]
    raise BadValueError("use key1:val1,key2:val2 (in the file also an object of texts)")
