"""Finds where a subagent's session comes from: the session that started it, and the tool call in it.

A path that a session file names is never opened. A parent is looked for beside the file, and in the folders
that pi-subagents puts subagents in (``<parent's file name>/…``), under names that are sessions'.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from importer.sessions.paths import SessionPath
from importer.sessions.reading import open_session
from importer.sessions.session_file import SessionFile, read_session_file
from parsers.agents import Agent, SessionParser
from parsers.pi.subagents import Delegation, starter_of
from parsers.records import AnyRecord, Run, Trace
from parsers.times import to_ms

_MOST = 1000  # tool calls to look at for one run
_LEVELS = 3  # <time>_<id>/<run>/run-0/session.jsonl
_FOLDER = re.compile(r"\d{4}-\d\d-\d\dT.*Z_.+|session")
_SEPARATORS = re.compile(r"[/\\]")


def enclosing_session(path: SessionPath) -> SessionPath | None:
    """Return the session file that a subagent's file lies below, whether or not it exists; None if none."""
    if not _is_below_session(str(path)[: -len(path.name)]):
        return None
    for folder in path.parents[:_LEVELS]:
        if _FOLDER.fullmatch(folder.name):
            return folder.with_name(folder.name + ".jsonl")
    return None


@lru_cache(1024)
def _is_below_session(folder: str) -> bool:
    """Return whether a folder, or one above it, may be that of a session's subagents."""
    return any(map(_FOLDER.fullmatch, _SEPARATORS.split(folder)))


def find_parent_id(path: SessionPath, named: str | None, agent: Agent) -> str | None:
    """Return the id of the session that a session comes from; None if it comes from none.

    Args:
        path: the session's file.
        named: what its header says of a parent.
        agent: the agent that wrote it.
    """
    if named:
        return agent.parent_id(named)
    parent = enclosing_session(path)
    if parent is None:
        return None
    known = agent.parent_id(str(parent))
    if known is None:
        found = read_session_file(parent, agent)
        known = found.session_id if isinstance(found, SessionFile) else None
    return known


class _Known(NamedTuple):
    """The tool calls of a file, as of its size and time."""

    size: int
    mtime_ns: int
    delegations: Sequence[Delegation]


class Delegations:
    """The tool calls of parents' sessions that may have started subagents. A file is read when it changed."""

    def __init__(self) -> None:
        self._known: dict[SessionPath, _Known] = {}
        self._copied: tuple[SessionParser, int, Sequence[Delegation]] | None = None

    def note(self, file: SessionFile, session: SessionParser) -> None:
        """Keep the tool calls of a session that was just read."""
        if session.delegations:
            self._known[file.path] = _Known(file.size, file.mtime_ns, _sort_by_time(session.delegations))

    def find_starter(
        self, path: SessionPath, named: str | None, agent: Agent, session: SessionParser, record: AnyRecord
    ) -> str | None:
        """Return the span id of the tool call that started a subagent's trace; None for any other record.

        Args:
            path: the subagent's file.
            named: what its header says of a parent.
            agent: the agent that wrote it.
            session: the file as it was read.
            record: the trace, one of its runs, or another record.
        """
        match record:
            case Trace(start_ms=start_ms, input=prompt):
                pass
            case Run(trace_start_ms=start_ms, trace_input=prompt):
                pass
            case _:
                return None
        if record.copied or start_ms is None:
            return None
        enclosing = enclosing_session(path)
        if not (session.subagent or enclosing or (named and not session.has_copies)):
            return None
        delegations = _take_latest(self._find_copied(session), start_ms)
        for parent in _find_candidates(path, named, enclosing):
            delegations += _take_latest(self._load(parent, agent), start_ms)
        unique = {each.span_id: each for each in delegations}
        began_ms = to_ms(session.header.timestamp) if session.header else None
        return starter_of(unique.values(), start_ms, prompt, session.subagent, began_ms or 0)

    def _find_copied(self, session: SessionParser) -> Sequence[Delegation]:
        """Return the tool calls that a session copied from its parent."""
        count = len(session.delegations)
        if self._copied is None or self._copied[:2] != (session, count):
            copied = _sort_by_time(each for each in session.delegations if each.is_copied)
            self._copied = session, count, copied
        return self._copied[2]

    def _load(self, parent: SessionPath, agent: Agent) -> Sequence[Delegation]:
        """Return the tool calls of a file. It is read again if it is not as it was."""
        found = read_session_file(parent, agent)
        if not isinstance(found, SessionFile):
            return ()
        known = self._known.get(parent)
        if known is None or (known.size, known.mtime_ns) != (found.size, found.mtime_ns):
            known = self._known[parent] = _Known(
                found.size, found.mtime_ns, _sort_by_time(_read_delegations(found))
            )
        return known.delegations


def _sort_by_time(delegations: Iterable[Delegation]) -> list[Delegation]:
    return sorted(delegations, key=lambda each: each.called_ms)


def _take_latest(delegations: Sequence[Delegation], ms: int) -> list[Delegation]:
    """Return the latest that were called by then: any of them may be the one, but not any of thousands."""
    end = bisect_right(delegations, ms, key=lambda each: each.called_ms)
    return list(delegations[max(0, end - _MOST) : end])


def _read_delegations(file: SessionFile) -> Collection[Delegation]:
    counter = file.agent.counter
    session = counter("message", 0, 0) if counter else file.agent.parser("message", 0)
    try:
        with open_session(file.path) as lines:
            for line in lines:
                session.feed(line, torn=not line.endswith(b"\n"))
    except OSError:
        return ()
    return session.delegations


def _find_candidates(
    path: SessionPath, named: str | None, enclosing: SessionPath | None
) -> list[SessionPath]:
    """Return the files that may be the parent's."""
    found = [enclosing] if enclosing else []
    name = _SEPARATORS.split(named)[-1] if named else ""
    if name.endswith(".jsonl") and "\0" not in name and path.parent / name not in (path, enclosing):
        found.append(path.parent / name)
    return found
