"""What all events of a session share: who worked in it, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath, PureWindowsPath

from importer.sessions.lineage import find_parent_id
from importer.sessions.paths import SessionPath
from importer.sessions.session_file import SessionFile
from importer.settings import Settings
from parsers.agents import PI, Agent

STOP_REASONS = {"toolUse": "tool_calls", "aborted": "stop"}
"""The official extension's words for pi's stop reasons; it takes the others as they are."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What all events of a session share.

    Attributes:
        session_id: the header's.
        project: the project's name.
        source: the file, for messages.
        parent_id: the id of the session that this one was forked from, or started by as a subagent's.
        framework: the agent program that wrote the session.
        agent: the name of who worked in the session, if it has one of its own.
    """

    session_id: str
    project: str
    source: str
    parent_id: str | None = None
    framework: str = "pi"
    agent: str | None = None


def find_facts(file: SessionFile, settings: Settings) -> SessionFacts:
    """Return what all events of a session share. The project is named after the session's folder."""
    return make_facts(settings, file.session_id, file.cwd, file.parent_session, file.path, agent=file.agent)


def make_facts(
    settings: Settings,
    session_id: str,
    cwd: str | None,
    parent_session: str | None,
    path: SessionPath,
    *,
    agent: Agent = PI,
) -> SessionFacts:
    """Return the same from the fields of a header."""
    project = project_name(cwd, settings)
    parent = find_parent_id(path, parent_session, agent)
    name = agent.agent_name(path.absolute()) if agent.agent_name else None
    return SessionFacts(session_id, project, str(path), parent, framework=agent.name, agent=name)


def name_agent(settings: Settings, facts: SessionFacts, subagent: str | None) -> str:
    """Return the name of a session's agent, with a subagent's own name behind it: ``shop/reviewer``."""
    name = settings.agent_name or facts.agent or facts.project
    return f"{name}/{subagent}" if subagent else name


def project_name(cwd: str | None, settings: Settings) -> str:
    """Return the name of the project of a session's folder, or the one that the user set for all."""
    return settings.project_name or project_of(cwd)


@lru_cache(1024)
def project_of(cwd: str | None) -> str:
    """Return the last part of a folder's path, of whatever system; ``unknown`` if there is none."""
    if not cwd:
        return "unknown"
    path = PureWindowsPath(cwd) if "\\" in cwd else PurePosixPath(cwd)
    return path.name or cwd
