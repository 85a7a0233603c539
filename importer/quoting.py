"""Quotes values, paths and addresses for one-line messages: short, and without control characters or secrets.

`shlex.quote` and `repr` were considered. The first leaves control characters as they are, which a terminal
obeys; the second puts all of a pasted file into the message (10 MB take it 20 ms, and `quoted` 0.5 us).
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

_LIMIT = 60
# Printable to Python, but ignorable to whoever draws them (Unicode's Default_Ignorable_Code_Point).
_NO_INK = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


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
    try:
        text = repr(value[: _LIMIT + 1] if isinstance(value, str) else value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        text = "an endless number"
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


def printable_json(text: bytes) -> bytes:
    """Return JSON with an escape for every character that a terminal may obey or not show.

    Those are the characters that `printable` escapes, too (controls, direction, zero width), and marks and
    fillers that have no ink. JSON has them in strings only, so that whoever decodes it gets the same values.

    Args:
        text: JSON in UTF-8, whole or a part that ends between two characters. Its newlines stay.
    """
    if text.isascii() and b"\x7f" not in text:
        return text  # JSON itself escapes the controls of ASCII, except for DEL
    decoded = text.decode()
    hidden = {c for c in set(decoded) if c != "\n" and (not c.isprintable() or _NO_INK.match(c))}
    return decoded.translate({ord(c): _escape(c) for c in hidden}).encode() if hidden else text


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")  # two of them for a character beyond U+FFFF
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
