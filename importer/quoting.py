"""Values and paths as they stand in a one-line message: short, and without control characters."""

from __future__ import annotations

import os
from pathlib import Path

_LIMIT = 60


def printable(text: object) -> str:
    """Return ``str(text)`` with every character that cannot be printed written as an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def quoted(value: object) -> str:
    """Return ``repr(value)`` on one line, cut at 60 characters."""
    # A pasted file can be megabytes: only its head is looked at.
    text = repr(value[: _LIMIT + 1] if isinstance(value, str) else value)
    return printable(text if len(text) <= _LIMIT else f"{text[: _LIMIT - 1]}…")


def encodable(path: Path) -> str:
    """Return a path as text that UTF-8 can hold; bytes of its name that are no UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")
