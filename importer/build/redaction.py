"""What may leave the machine: values of secret-looking keys, secrets, media and over-long texts are cut out.

Source: the official pi extension's redaction (0.1.1), which dashboards are used to, and the media
placeholder of PostHog's own SDKs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from importer.build.masking import without_secrets
from importer.build.secret_formats import REDACTED
from parsers.pi.messages import MEDIA

DEPTH_LIMIT = "[DepthLimit]"
_MAX_DEPTH = 8
_MAX_SCHEMA_DEPTH = 64
_LONGEST_REMEMBERED = 4096
_LONG_ONES = 4  # longer texts that are remembered: a prompt that very many answers hang off
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
# the first bytes of png, jpeg, gif, webp or wav, pdf, mp3, ogg and zip files, as base64 shows them
_MEDIA_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi0", "SUQz", "T2dnUw", "UEsDB")
_MEDIA = re.compile("(?:" + "|".join(map(re.escape, _MEDIA_STARTS)) + ")" + _BASE64_LINES)
_SHORTEST_MEDIA = 100
_JUMBLE = tuple(re.compile(kind) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
_MEDIA_TYPES = ("image", "audio", "video", "base64")
_MEDIA_KEYS = frozenset(("mimeType", "mime_type", "mediaType", "media_type"))


Clean = Callable[[str], str]


class Redactor:
    """Cuts out of values and texts what must not leave.

    Args:
        max_length: how many characters of a serialized value are kept.
        secrets: whether secrets inside strings are masked, not only values of secret-looking keys.
    """

    def __init__(self, max_length: int, *, secrets: bool = True) -> None:
        self._max_length = max_length
        self._secrets = secrets
        self._long: dict[str, tuple[str, int]] = {}

    def state(self, value: Any) -> str | None:
        """A value as text: JSON without secrets and media, cut to the length; None stays None."""
        if value is None:
            return None
        if isinstance(value, str):
            return self.text(value)
        return self.cut(msgspec.json.encode(redacted(value, self.clean)).decode())

    def text(self, text: str) -> str:
        """A text without media and secrets, cut to the length."""
        return self.cut(*self._masked(text))

    def clean(self, text: str) -> str:
        """A text without media and secrets, as far as it can ever be sent."""
        masked, beyond = self._masked(text)
        return f"{masked}...[truncated {beyond} chars]" if beyond else masked

    def cut(self, text: str, beyond: int = 0) -> str:
        """The first ``max_length`` characters of a text, and how many were left out, here and before."""
        left_out = len(text) - self._max_length
        if left_out <= 0 and not beyond:
            return text
        return f"{text[: self._max_length]}...[truncated {max(left_out, 0) + beyond} chars]"

    def _masked(self, text: str) -> tuple[str, int]:
        """A text's masked beginning, and how many characters it goes on beyond what an event can hold."""
        if len(text) <= _LONGEST_REMEMBERED:
            return (_remembered(text) if self._secrets else without_media(text)), 0
        known = self._long.get(text)
        if known is None:
            known = self._masked_anew(text)
            self._long = dict([*self._long.items(), (text, known)][-_LONG_ONES:])
        return known

    def _masked_anew(self, text: str) -> tuple[str, int]:
        text = without_media(text)
        if not self._secrets:
            return text, 0
        return without_secrets(text[:_LONGEST_SENT]), max(0, len(text) - _LONGEST_SENT)

    def strings(self, value: Any, depth: int = 0) -> Any:
        """A JSON value with its strings cleaned: of a schema, what is under ``token`` describes a token."""
        if isinstance(value, str):
            return self.clean(value)
        if depth > _MAX_SCHEMA_DEPTH:
            return DEPTH_LIMIT
        if isinstance(value, list):
            return [self.strings(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {key: self.strings(item, depth + 1) for key, item in value.items()}
        return value


def redacted(value: Any, clean: Clean | None = None, depth: int = 0) -> Any:
    """A JSON value without the values of secret-looking keys, its strings cleaned, at most 8 levels deep."""
    clean = clean or without_media
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth > _MAX_DEPTH:
        return DEPTH_LIMIT
    if isinstance(value, list):
        return [redacted(item, clean, depth + 1) for item in value]
    is_media = value.get("type") in _MEDIA_TYPES or not _MEDIA_KEYS.isdisjoint(value)
    result = {}
    for key, item in value.items():
        if _is_secret_key(key):
            result[clean(key)] = REDACTED
        elif is_media and key == "data" and isinstance(item, str):
            result[key] = MEDIA
        else:
            result[clean(key)] = redacted(item, clean, depth + 1)
    return result


@lru_cache(maxsize=1024)
def _is_secret_key(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


@lru_cache(maxsize=2048)
def _remembered(text: str) -> str:
    """Most words leave twice within few events, as a call's answer and in the next one's input."""
    return without_secrets(without_media(text))


def without_media(text: str) -> str:
    """A text whose base64 media is replaced by a placeholder."""
    if ";base64," in text:
        text = _DATA_URL.sub(MEDIA, text)
    if len(text) >= _SHORTEST_MEDIA and any(start in text for start in _MEDIA_STARTS):
        text = _MEDIA.sub(_placeholder, text)
    return text


def _placeholder(match: re.Match[str]) -> str:
    """Media's placeholder; what is short, or a path and not a jumble of letters and digits, stays."""
    found = match[0]
    is_media = len(found) >= _SHORTEST_MEDIA and all(kind.search(found) for kind in _JUMBLE)
    return MEDIA if is_media else found
