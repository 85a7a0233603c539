"""Quotes values, paths and addresses for one-line messages: short, and without control characters or secrets.

`shlex.quote` and `repr` were considered. The first leaves control characters as they are, which a terminal
obeys; the second puts all of a pasted file into the message (10 MB take it 20 ms, and `quoted` 0.5 us).
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

_LIMIT = 60
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def printable(text: object) -> str:
    """Return ``str(text)`` with an escape sequence for every character that cannot be printed."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def quoted(value: object) -> str:
    """Return ``repr(value)`` on one line, cut at 60 characters.

    ::

        f"--since is {quoted(text)}: use a date"
    """
    # Only the head: a pasted file can be megabytes.
    text = repr(value[: _LIMIT + 1] if isinstance(value, str) else value)
    return printable(text if len(text) <= _LIMIT else f"{text[: _LIMIT - 1]}…")


def encodable(path: object) -> str:
    """Return a path as text that UTF-8 can hold. Bytes of its name that are no UTF-8 become U+FFFD."""
    text = str(path)
    return text if text.isascii() else os.fsencode(text).decode("utf-8", "replace")


def shown_host(url: str) -> str:
    """Return scheme, host and port of an address, without user, password, path and query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable address)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def without_controls(text: bytes) -> bytes:
    """Return JSON with escapes for DEL and C1 control characters, which a terminal may obey."""
    if b"\x7f" not in text and b"\xc2" not in text:
        return text  # takes a sixth of the time
    return _CONTROLS.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), text)
