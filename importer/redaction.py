"""What may leave the machine: values of secret-looking keys, media and over-long texts are cut out.

Source: the official pi extension's redaction (0.1.1), which dashboards are used to, and the media
placeholder of PostHog's own SDKs.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from parsers.messages import MEDIA

REDACTED = "[REDACTED]"
DEPTH_LIMIT = "[DepthLimit]"
_MAX_DEPTH = 8
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
_MEDIA_KEYS = ("mimeType", "mime_type", "mediaType", "media_type")


class Redactor:
    """Cuts out of values and texts what must not leave.

    Args:
        max_length: how many characters of a serialized value are kept.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length

    def state(self, value: Any) -> str | None:
        """A value as text: JSON without secrets and media, cut to the length; None stays None."""
        if value is None:
            return None
        value = redacted(value)
        return self.cut(value if isinstance(value, str) else msgspec.json.encode(value).decode())

    def text(self, text: str) -> str:
        """A text without media, cut to the length."""
        return self.cut(without_media(text))

    def cut(self, text: str) -> str:
        """The first ``max_length`` characters of a text, and how many were left out."""
        left_out = len(text) - self._max_length
        return text if left_out <= 0 else f"{text[: self._max_length]}...[truncated {left_out} chars]"


def redacted(value: Any, depth: int = 0) -> Any:
    """A JSON value without the values of secret-looking keys, without media, at most 8 levels deep."""
    if isinstance(value, str):
        return without_media(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth > _MAX_DEPTH:
        return DEPTH_LIMIT
    if isinstance(value, list):
        return [redacted(item, depth + 1) for item in value]
    is_media = value.get("type") in _MEDIA_TYPES or any(key in value for key in _MEDIA_KEYS)
    result = {}
    for key, item in value.items():
        if _SECRET_KEY.search(key):
            result[key] = REDACTED
        elif is_media and key == "data" and isinstance(item, str):
            result[key] = MEDIA
        else:
            result[key] = redacted(item, depth + 1)
    return result


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
