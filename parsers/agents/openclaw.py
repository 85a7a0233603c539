"""OpenClaw: pi's format, written by pi's own session manager or a copy of it, one folder for each agent.

Source: the npm package ``openclaw`` (2026.1.30 to 2026.9.6): ``src/config/paths.ts``,
``src/infra/home-dir.ts`` and ``src/config/sessions/artifacts.ts`` as named in its ``dist``, and its page
``session-management-compaction``. From 2026.8.1 on it keeps sessions in SQLite; its doctor moves the files
that it has imported to a folder beside the sessions' (``doctor-session-sqlite`` in its ``dist``).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from parsers.agents.agent import Agent, Place, make_counter, make_numbers_parser, make_parser

if TYPE_CHECKING:
    from parsers.pi.decoding import Decoded

_SESSIONS = "agents/*/session*"  # ``sessions``, and ``session-sqlite-import-archive`` beside it
_COPIES = re.compile(r"\.(?:trajectory|acp-stream|checkpoint\.[0-9a-fA-F-]{36})\.jsonl$")
_ARCHIVED = re.compile(r"\.jsonl\.(?:reset|deleted)\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d{3})?Z$")
_OWN_WORDS = frozenset({"delivery-mirror", "gateway-injected"})
_FOLDERS = ("sessions", "session-sqlite-import-archive")
_IMPORTED = re.compile(r"\.imported-\d+(?:\.\d+)?$")


def takes(name: str) -> bool:
    """Tell whether a file is a session: a live one, or one that a reset or a deletion has put away.

    OpenClaw, too, counts what stands in those as spent. A checkpoint is a copy of a session from before a
    compaction, a trajectory a log of one.
    """
    name = _IMPORTED.sub("", name)
    if name.endswith(".jsonl"):
        return _COPIES.search(name) is None
    return _ARCHIVED.search(name) is not None


def agent_name(path: PurePath) -> str | None:
    """Return the agent's id, which is the name of its folder: ``agents/<agent id>/session…/<file>``."""
    parts = path.parts
    for at in range(len(parts) - 4, -1, -1):
        if parts[at] == "agents" and parts[at + 2] in _FOLDERS:
            return parts[at + 1]
    return None


def parent_id(parent: str) -> str | None:
    """Read a session's parent's id from its file's name, ``<id>.jsonl`` or ``<time>_<id>.jsonl``."""
    name = re.split(r"[/\\]", parent)[-1]
    stem, found, _ = name.partition(".jsonl")
    return (stem.rpartition("_")[2] or None) if found else None


def in_pi_terms(decoded: Decoded) -> Decoded:
    """Mark the texts that OpenClaw itself puts into a session as an assistant: they are no model calls.

    It writes them with its own name for a provider, without usage, and keeps them from the model
    (isTranscriptOnlyOpenClawAssistantMessage in its ``dist``).
    """
    from parsers.pi import entries as e  # only where there is a file to read

    line = decoded.line
    if isinstance(line, e.MessageEntry) and isinstance(line.message, e.AssistantMessage):
        message = line.message
        if message.provider == "openclaw" and message.model in _OWN_WORDS:
            line.message = e.UnknownMessage("assistant", message.timestamp)
    return decoded


OPENCLAW = Agent(
    name="openclaw",
    title="OpenClaw",
    places=(
        Place("$OPENCLAW_STATE_DIR", _SESSIONS),
        Place("$CLAWDBOT_STATE_DIR", _SESSIONS),
        Place("$OPENCLAW_HOME/.openclaw-$OPENCLAW_PROFILE", _SESSIONS),
        Place("$OPENCLAW_HOME/.openclaw", _SESSIONS),
        Place("~/.openclaw-$OPENCLAW_PROFILE", _SESSIONS),
        Place("~/.openclaw", _SESSIONS, optional=True),
        Place("~/.clawdbot", _SESSIONS, optional=True),
        Place("~/.moldbot", _SESSIONS, optional=True),
        Place("~/.moltbot", _SESSIONS, optional=True),
        Place("~/.openclaw", _SESSIONS),
    ),
    marks=re.compile(r"/(?:\.openclaw(?:-[^/]+)?|\.clawdbot|\.moldbot|\.moltbot)/"),
    shape=re.compile(r"/agents/[^/]+/(?:sessions|session-sqlite-import-archive)/"),
    parser=partial(make_parser, terms=in_pi_terms),
    counter=partial(make_counter, terms=in_pi_terms),
    numbers=partial(make_numbers_parser, terms=in_pi_terms),
    takes=takes,
    agent_name=agent_name,
    parent_id=parent_id,
    unread=(
        "agents/*/agent/openclaw-agent.sqlite",
        "a database of OpenClaw 2026.8.1 or newer, cannot be read",
    ),
)
