"""Which agent's sessions to look for, and where: what ``--from`` and the paths on the command line mean."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from importer.errors import UsageError
from importer.places import session_place
from importer.quoting import printable, quoted
from importer.sessions.paths import SessionPath, full_text, resolve
from parsers.agents import AGENTS, PI, Agent, recognize


@dataclass(frozen=True, slots=True)
class Source:
    """Files and folders to look for sessions in.

    Attributes:
        paths: the files and folders. They need not exist.
        agent: the agent that wrote them. If None, each folder's agent is recognized by its path.
        pattern: where below each path the sessions are. A ``*`` stands for one folder of any name.
        is_default: whether the agent's own settings name the path, not the user.
        by_shape: whether the user said that they are some agent's, whatever their folders are called.
    """

    paths: Sequence[SessionPath]
    agent: Agent | None = None
    pattern: str = ""
    is_default: bool = False
    by_shape: bool = False

    def roots(self) -> list[SessionPath]:
        """Return the files and folders to search now. An agent may get another folder at any time.

        Raises:
            OSError: a folder cannot be listed.
        """
        if "*" not in self.pattern:
            return [path / self.pattern for path in self.paths]
        local = [path for path in self.paths if isinstance(path, Path)]
        return [found for path in local for found in sorted(path.glob(self.pattern)) if found.is_dir()]

    def agent_in(self, folder: SessionPath) -> Agent:
        """Return the agent whose sessions are in a folder."""
        return self.agent or recognize(full_text(folder), by_shape=self.by_shape)


def source_of(
    origin: str | None, paths: Sequence[str | SessionPath] = (), *, environ: Mapping[str, str] = os.environ
) -> Source:
    """Return the source that the user asked for.

    - Without ``--from`` and paths: pi's own folder.
    - With paths only: those; a folder's agent is recognized by its path (:func:`parsers.agents.recognize`).
    - ``--from`` an agent: that agent's own folders; with paths, those, read as that agent's.
    - ``--from`` a file or folder: the same as a path, but a folder arranged like an agent's is taken for one.

    A path may be the address of a remote storage (:mod:`importer.sessions.storage`).

    Raises:
        UsageError: ``--from`` names neither an agent nor something that exists, or the agent's settings do
            not tell where its sessions are.
    """
    agent = AGENTS.get(origin) if origin is not None else None
    resolved = [resolve(path) for path in paths]
    if origin is not None and agent is None:
        path = resolve(origin)
        if not origin or not _exists(path):
            names = ", ".join(AGENTS)
            raise UsageError(f"--from: {quoted(origin)} is no agent ({names}) and no existing file or folder")
        return Source([path, *resolved], by_shape=True)
    if resolved:
        return Source(resolved, agent)
    folder, pattern = session_place(agent or PI, environ)
    return Source([folder], agent or PI, pattern, is_default=True)


def find_unread(source: Source) -> tuple[Path, str] | None:
    """Return the first file with sessions that no parser reads, and why; None if there is none."""
    for agent in [source.agent] if source.agent else AGENTS.values():
        if agent.unread is None:
            continue
        pattern, what = agent.unread
        local = [path for path in source.paths if isinstance(path, Path)]
        found = [file for path in local for file in sorted(path.glob(pattern))]
        if found:
            return found[0], what + (f" (and {len(found) - 1} more)" if found[1:] else "")
    return None


def _exists(path: SessionPath) -> bool:
    return os.path.exists(path) if isinstance(path, Path) else path.exists()


def existing_roots(source: Source) -> list[SessionPath]:
    """Return the files and folders to search.

    Raises:
        UsageError: the agent has no session folder.
    """
    roots = source.roots()
    if source.is_default and source.agent and not any(root.exists() for root in roots):
        folder = printable(source.paths[0] / source.pattern)
        if left_out := find_unread(source):
            raise UsageError(
                f"{source.agent.title} has no session files, only {printable(left_out[0])}: {left_out[1]}"
            )
        raise UsageError(
            f"{source.agent.title}'s session folder {folder} does not exist: "
            "pass a session file or a folder as PATH"
        )
    return roots
