"""What a person knows a session by, its name and its first prompt, read again from where they stand.

A preview that is remembered keeps no words of a session, only the lines that these two are in.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from importer.sessions.reading import open_session
from importer.sessions.session_file import SessionFile
from parsers.agents import PI, SessionParser

_FIELDS = msgspec.json.Decoder(dict[str, Any])
_LONGEST = 10_000  # characters that a table looks at

Titles = tuple[str | None, str | None]
"""The name and the first prompt of a session, at most 10,000 characters each."""


def titles_of(session: SessionParser) -> Titles:
    """Return the name and the first prompt of a session that was read."""
    return _cut(session.name), _cut(session.first_prompt)


def read_titles(file: SessionFile, at: Sequence[int]) -> Titles:
    """Return the name and the first prompt of a session from their lines.

    Args:
        file: the session. A file that cannot be read any more has no titles.
        at: the numbers of the two lines, from 1 on; 0 for none (see :class:`parsers.pi.session.Session`).
    """
    if not any(at):
        return None, None
    try:
        with open_session(file.path) as lines:
            first = list(islice(lines, max(at)))
    except OSError:
        return None, None
    if file.agent is PI:
        try:
            name, prompt = (first[line - 1] if line else b"" for line in at)
            return _cut(_parse_name(name)), _cut(_parse_prompt(prompt))
        except (ValueError, TypeError, LookupError):  # not as pi writes it
            pass
    session = file.agent.parser("message", 0)
    for line in first:
        session.feed(line)
    return titles_of(session)


def _parse_name(line: bytes) -> str | None:
    """Return the name that a line gives its session; raise if only a parser can tell."""
    if not line:
        return None
    entry = _FIELDS.decode(line)
    name = entry.get("name" if entry["type"] == "session_info" else "title")
    return _check_text(name or "").strip() or None


def _parse_prompt(line: bytes) -> str | None:
    """Return the text of a user message; raise as `_parse_name`."""
    if not line:
        return None
    content = _FIELDS.decode(line)["message"]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(_check_text(block["text"]) for block in content if block["type"] == "text")


def _check_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _cut(text: str | None) -> str | None:
    return text and text[:_LONGEST]
