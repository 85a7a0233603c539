"""Cuts out what must not leave the machine: values of secret-looking keys, secrets, media, over-long texts.

Source: the official pi extension's redaction (0.1.1), which dashboards are used to, and the media
placeholder of PostHog's own SDKs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from importer.build.masking import mask_secrets
from importer.build.secret_formats import REDACTED
from parsers.pi.messages import MEDIA

DEPTH_LIMIT = "[DepthLimit]"
_MAX_DEPTH = 8
_MAX_SCHEMA_DEPTH = 64
_LONGEST_REMEMBERED = 4096
_LONG_ONES = 4  # longer texts to remember, such as a prompt with very many answers
_LONGEST_SENT = 1024 * 1024  # characters: more than twice what trimming ever leaves of one text
_SECRET_KEY = re.compile(
    r"api[-_]?key|token|secret|password|authorization|cookie|session|bearer|x-api-key|credential",
    re.IGNORECASE,
)
# Wrapped base64 has lines of one length, 64 or more; the last may be shorter. Longer texts follow in prose.
_LINE_END = r"(?:\\r|\r)?(?:\\n|\n)[ \t]*"
_BASE64_LINES = (
    rf"[A-Za-z0-9+/]*(?:{_LINE_END}[A-Za-z0-9+/]{{40,}})*"
    rf"(?:{_LINE_END}[A-Za-z0-9+/]{{1,39}}(?==|$|[\r\n\"'\\)<]))?={{0,2}}"
)
_DATA_URL = re.compile(
    r"data:(?:[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,(?:[A-Za-z0-9+/_-]|%[0-9A-Fa-f]{2})*" + _BASE64_LINES
)
# The first bytes of png, jpeg, gif, webp or wav, pdf, mp3, ogg and zip files, as base64 shows them
_MEDIA_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi0", "SUQz", "T2dnUw", "UEsDB")
_MEDIA = re.compile("(?:" + "|".join(map(re.escape, _MEDIA_STARTS)) + ")" + _BASE64_LINES)
_SHORTEST_MEDIA = 100
_JUMBLE = tuple(re.compile(kind) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
_MEDIA_TYPES = ("image", "audio", "video", "base64")
_MEDIA_KEYS = frozenset(("mimeType", "mime_type", "mediaType", "media_type"))


Clean = Callable[[str], str]


class Redactor:
    """Cuts out of values and texts what must not leave.

    ::

        Redactor(12_000).text("export API_KEY=sk-…")  # "export API_KEY=[REDACTED]"

    Args:
        max_length: characters to keep of a serialized value.
        secrets: whether to mask secrets inside strings, not only values of secret-looking keys.
    """

    def __init__(self, max_length: int, *, secrets: bool = True) -> None:
        self._max_length = max_length
        self._secrets = secrets
        self._long: dict[str, tuple[str, int]] = {}

    def state(self, value: Any) -> str | None:
        """Return a value as text: JSON without secrets and media, cut to the length. None stays None."""
        if value is None:
            return None
        if isinstance(value, str):
            return self.text(value)
        return self.cut(msgspec.json.encode(redact(value, self.clean)).decode())

    def text(self, text: str) -> str:
        """Return a text without media and secrets, cut to the length."""
        return self.cut(*self._mask(text))

    def clean(self, text: str) -> str:
        """Return a text without media and secrets, as far as it can ever be sent."""
        masked, beyond = self._mask(text)
        return f"{masked}...[truncated {beyond} chars]" if beyond else masked

    def cut(self, text: str, beyond: int = 0) -> str:
        """Return the first ``max_length`` characters of a text, and how many are left out.

        Args:
            text: the text.
            beyond: characters that were left out before.
        """
        left_out = len(text) - self._max_length
        if left_out <= 0 and not beyond:
            return text
        return f"{text[: self._max_length]}...[truncated {max(left_out, 0) + beyond} chars]"

    def _mask(self, text: str) -> tuple[str, int]:
        """Return a text's beginning, masked, and the number of characters beyond what an event can hold."""
        if len(text) <= _LONGEST_REMEMBERED:
            return (_mask_remembered(text) if self._secrets else mask_media(text)), 0
        known = self._long.get(text)
        if known is None:
            known = self._mask_long(text)
            self._long = dict([*self._long.items(), (text, known)][-_LONG_ONES:])
        return known

    def _mask_long(self, text: str) -> tuple[str, int]:
        text = mask_media(text)
        if not self._secrets:
            return text, 0
        return mask_secrets(text[:_LONGEST_SENT]), max(0, len(text) - _LONGEST_SENT)

    def strings(self, value: Any, depth: int = 0) -> Any:
        """Return a JSON value with its strings cleaned. In a schema, the value of ``token`` is no secret."""
        if isinstance(value, str):
            return self.clean(value)
        if depth > _MAX_SCHEMA_DEPTH:
            return DEPTH_LIMIT
        if isinstance(value, list):
            return [self.strings(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {key: self.strings(item, depth + 1) for key, item in value.items()}
        return value


def redact(value: Any, clean: Clean | None = None, depth: int = 0) -> Any:
    """Return a JSON value without values of secret-looking keys, strings cleaned, at most 8 levels deep."""
    clean = clean or mask_media
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth > _MAX_DEPTH:
        return DEPTH_LIMIT
    if isinstance(value, list):
        return [redact(item, clean, depth + 1) for item in value]
    is_media = value.get("type") in _MEDIA_TYPES or not _MEDIA_KEYS.isdisjoint(value)
    result = {}
    for key, item in value.items():
        if _is_secret_key(key):
            result[clean(key)] = REDACTED
        elif is_media and key == "data" and isinstance(item, str):
            result[key] = MEDIA
        else:
            result[clean(key)] = redact(item, clean, depth + 1)
    return result


@lru_cache(maxsize=1024)
def _is_secret_key(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


@lru_cache(maxsize=2048)
def _mask_remembered(text: str) -> str:
    """Mask a text. Most leave twice within few events: as an answer, and in the next call's input."""
    return mask_secrets(mask_media(text))


def mask_media(text: str) -> str:
    """Return a text with a placeholder for base64 media."""
    if ";base64," in text:
        text = _DATA_URL.sub(MEDIA, text)
    if len(text) >= _SHORTEST_MEDIA and any(start in text for start in _MEDIA_STARTS):
        text = _MEDIA.sub(_replace_media, text)
    return text


def _replace_media(match: re.Match[str]) -> str:
    """Return the placeholder for media. What is short, or no jumble of letters and digits, stays."""
    found = match[0]
    is_media = len(found) >= _SHORTEST_MEDIA and all(kind.search(found) for kind in _JUMBLE)
    return MEDIA if is_media else found
