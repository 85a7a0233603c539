"""Checks the values of settings, one function for each kind: a raw value in, the checked value out.

A raw value comes from a flag or a JSON file (any type), or from the environment (text). Each function raises
`BadValueError`, whose text says what is allowed; the caller knows which setting it is. Pydantic was
considered: its import takes a tenth of a second of every command, half of what ``--help`` may take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from importer.errors import BadValueError

_MAX_DISTINCT_ID = 200  # PostHog's limit for a distinct_id
# What PostHog takes for a mistake of the sender, in any case of letters: its isDistinctIdIllegal.
_ILLEGAL_IDS = {"anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email"}
_ILLEGAL_IDS |= {"undefined", "true", "false", "null", "none", "nan", "0", "[object object]"}

# ASCII digits, and not more of them than any range needs.
_WHOLE_NUMBER = re.compile(r"[0-9]{1,12}")
_NUMBER = re.compile(r"(?=\.?[0-9])[0-9]{0,12}(\.[0-9]{1,30})?")
_NAMED_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True}
_NAMED_BOOLEANS |= {"false": False, "0": False, "no": False, "off": False}


class Range(NamedTuple):
    """Which numbers a setting or an option takes.

    Attributes:
        least, most: the lowest and the highest number.
        unit: what is counted, where the name of the setting does not say it.
        is_whole: whether only whole numbers will do.
        may_be_all: whether the word ``all`` will do, too.
    """

    least: float
    most: float
    unit: str = ""
    is_whole: bool = True
    may_be_all: bool = False

    def describe(self) -> str:
        """Return what is allowed, such as ``use a whole number from 1 to 32``."""
        kind = f"a {'whole ' if self.is_whole else ''}number{f' of {self.unit}' if self.unit else ''}"
        word = ", or all" if self.may_be_all else ""
        return f"use {kind} from {self.least:.12g} to {self.most:.12g}{word}"


# Every number that a user can set: by the name of the `Settings` field, or of the option.
RANGES = {
    "session_window_minutes": Range(0.001, 52_560_000, "minutes", is_whole=False),  # to a hundred years
    "max_attribute_length": Range(1, 1_000_000_000),
    "content_days": Range(0, 36_500, "days", is_whole=False, may_be_all=True),
    "parallel": Range(1, 32),
    "max_events_per_minute": Range(1, 10_000_000),
    "max_mb_per_minute": Range(1, 1_000_000),
    "max_event_bytes": Range(16 * 1024, 8 * 1024 * 1024),  # PostHog takes no larger event anywhere
    "settle": Range(0, 1_000_000_000, "seconds", is_whole=False),
    "limit": Range(0, 1_000_000_000),
}


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


def number(name: str) -> Callable[[object], float | None]:
    """Return a function that takes a number within the range of a setting or option, before any arithmetic.

    ::

        number("parallel")("8")  # 8
        number("content_days")("all")  # None

    Args:
        name: a key of `RANGES`.
    """
    allowed = RANGES[name]

    def checked(raw: object) -> float | None:
        value: object = raw
        if isinstance(raw, str):
            text = raw.strip()
            if allowed.may_be_all and text.lower() == "all":
                return None
            if (_WHOLE_NUMBER if allowed.is_whole else _NUMBER).fullmatch(text):
                value = int(text) if allowed.is_whole else float(text)
        kinds = int if allowed.is_whole else (int, float)
        # Python compares integers of any size with floats, and NaN is within no range.
        if (
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and allowed.least <= value <= allowed.most
        ):
            return value if allowed.is_whole else float(value)
        raise BadValueError(allowed.describe())

    return checked


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
