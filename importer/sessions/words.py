"""What a person knows a session by, its name and its first prompt, read again from where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from importer.sessions.session_file import SessionFile
from parsers.agents import PI, SessionParser

_FIELDS = msgspec.json.Decoder(dict[str, Any])
_LONGEST = 10_000  # characters of a name or a prompt that a table looks at

Words = tuple[str | None, str | None]


def words(session: SessionParser) -> Words:
    """The name and the first prompt of a session that was read, as much of them as a table looks at."""
    return _cut(session.name), _cut(session.first_prompt)


def words_of(file: SessionFile, at: Sequence[int]) -> Words:
    """The same of a file, from the lines that they stand in (see :class:`parsers.pi.session.Session`)."""
    if not any(at):
        return None, None
    try:
        with file.path.open("rb") as lines:
            first = list(islice(lines, max(at)))
    except OSError:
        return None, None
    if file.agent is PI:
        try:
            name, prompt = (first[line - 1] if line else b"" for line in at)
            return _cut(_name_in(name)), _cut(_prompt_in(prompt))
        except (ValueError, TypeError, LookupError):  # not as pi writes it
            pass
    session = file.agent.parser("message", 0)
    for line in first:
        session.feed(line)
    return words(session)


def _name_in(line: bytes) -> str | None:
    """The name that a line gives its session; raises ValueError or TypeError where only a parser can tell."""
    if not line:
        return None
    entry = _FIELDS.decode(line)
    name = entry.get("name" if entry["type"] == "session_info" else "title")
    return _text(name or "").strip() or None


def _prompt_in(line: bytes) -> str | None:
    """The text of a user message; raises as :func:`_name_in`."""
    if not line:
        return None
    content = _FIELDS.decode(line)["message"]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(_text(block["text"]) for block in content if block["type"] == "text")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _cut(text: str | None) -> str | None:
    return text and text[:_LONGEST]
