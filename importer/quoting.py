"""Values and paths as they stand in a one-line message: short, and without control characters."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

_LIMIT = 60
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def printable(text: object) -> str:
    """Return ``str(text)`` with every character that cannot be printed written as an escape sequence."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def quoted(value: object) -> str:
    """Return ``repr(value)`` on one line, cut at 60 characters."""
    # A pasted file can be megabytes: only its head is looked at.
    text = repr(value[: _LIMIT + 1] if isinstance(value, str) else value)
    return printable(text if len(text) <= _LIMIT else f"{text[: _LIMIT - 1]}…")


def encodable(path: object) -> str:
    """Return a path as text that UTF-8 can hold; bytes of its name that are no UTF-8 become U+FFFD."""
    text = str(path)
    return text if text.isascii() else os.fsencode(text).decode("utf-8", "replace")


def shown_host(url: str) -> str:
    """Scheme, host and port of an address, without user, password, path and query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable address)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def without_controls(text: bytes) -> bytes:
    """JSON with DEL and C1 control characters as escapes: a terminal may obey them as they are."""
    if b"\x7f" not in text and b"\xc2" not in text:
        return text  # a sixth of the time
    return _CONTROLS.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), text)
