"""The HTTP status inside of an error message, where the provider's client put it there.

Source: the messages that pi 0.73.1 and 0.87.1 make of their providers' errors (pi-ai, ``utils/errors.js`` and
the clients of OpenAI, Anthropic, Google, Mistral and AWS).
"""

from __future__ import annotations

import re

_SEARCHED = 2000  # characters: a body that an error quotes may be long, and be anything
_STATUS = r"([45]\d\d)\b"
_SHAPES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        rf"\s*(?:Error: )?{_STATUS}(?=[:\s]|$)",  # 429 Rate limit; 403: {…}; 503 status code
        rf"[^{{\"]*?error \((?:HTTP )?{_STATUS}\)",  # OpenAI API error (429): …
        rf".*?\bstatus(?: code)?(?:[:=]\s*|\s+){_STATUS}",  # got status: 503; failed with status 401
        rf".*?\bHTTP(?:/\d(?:\.\d)?)?(?: error)?:? {_STATUS}",  # HTTP 502; HTTP/1.1 502 Bad Gateway
        rf".*?\\*\"(?:code|status|status_?code)\\*\"\s*:\s*{_STATUS}",  # {"error":{"code":429,…
    )
)


def http_status(error: str | None) -> int | None:
    """The status that an error message shows, from 400 to 599; None where it shows none."""
    if not error:
        return None
    head = error[:_SEARCHED].replace("\n", " ")
    for shape in _SHAPES:
        found = shape.match(head)
        if found:
            return int(found[1])
    return None
