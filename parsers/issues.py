"""What was wrong with a session file."""

from __future__ import annotations

from msgspec import Struct


class Issue(Struct):
    """What was wrong with a file: what, at which line first, and how often."""

    what: str
    line: int
    count: int = 1
