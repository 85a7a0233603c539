"""JSON as other writers than pi leave it, too: what JavaScript would read of it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

# Half of a surrogate pair: JavaScript writes one when a text was cut inside an emoji; it is no UTF-8.
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_LONGEST_INT = 300  # digits; Python refuses to read some thousands of them, and a double ends at 309


class BadLineError(ValueError):
    """The line holds no JSON object that could be an entry."""


def valid_utf8(line: bytes) -> bytes:
    """The same bytes, as UTF-8: pi reads others as U+FFFD, too."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode(errors="replace").encode()
    return line


def _whole_pair(match: re.Match[bytes]) -> bytes:
    escaped, pair = match.group(1), match.group(2)
    return bytes(escaped + (pair or rb"\ufffd"))


def untyped(line: bytes) -> Any:
    """The JSON value of a line or a part of one.

    Raises:
        BadLineError: it is no JSON.
    """
    try:
        return msgspec.json.decode(line)
    except UnicodeDecodeError:
        line = valid_utf8(line)
    except (msgspec.DecodeError, RecursionError):
        pass
    if b"\\u" in line:
        line = _LONE_SURROGATE.sub(_whole_pair, line)
    try:
        # takes NaN and numbers past a double's range, which other writers leave; JavaScript makes them null
        return json.loads(line, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError):
        raise BadLineError("not JSON") from None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _whole(digits: str) -> int | float | None:
    return int(digits) if len(digits) < _LONGEST_INT else _finite(digits)
