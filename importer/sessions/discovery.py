"""Finds the files that are sessions, in an agent's own folders or among what the user named."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from importer.errors import UsageError
from importer.quoting import printable
from importer.sessions.paths import SessionPath
from importer.sessions.session_file import (
    SessionFile,
    Skipped,
    describe,
    read_first_entry,
    read_local,
)
from importer.sessions.sources import Source, existing_roots, find_unread, source_of
from importer.sessions.storage import RemotePath
from parsers.agents import Agent


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a search found.

    Attributes:
        sessions: the sessions, in the order of the search.
        skipped: the files that were left out, and why.
    """

    sessions: list[SessionFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def find_sessions(
    paths: Sequence[str | SessionPath] = (),
    origin: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> Discovery:
    """Return the sessions among ``paths``, or in an agent's own session folders if there are none.

    ::

        found = find_sessions(["backup/sessions"])
        print(len(found.sessions), [each.reason for each in found.skipped])

    A file is taken whatever its name. A folder is searched recursively for the files that its agent names
    like sessions (``*.jsonl``), in the order of the names. Links to folders are not followed, links to files
    only if they stay inside the folder; a link that is itself one of ``paths`` is followed. A file that is
    reached twice, by whatever name, counts once.

    Args:
        paths: files, folders, and addresses of a remote storage (``s3://…``).
        origin: what ``--from`` says: an agent's name, or a path.
        environ: the environment, which may say where an agent keeps its sessions.

    Raises:
        UsageError: a path, or the agent's session folder, does not exist, a storage cannot be reached, or as
            :func:`source_of`.
    """
    source = source_of(origin, paths, environ=environ)
    found = Discovery()
    seen: set[tuple[int, int] | str] = set()
    for path in existing_roots(source):
        if isinstance(path, RemotePath):
            _add_remote(path, source, found, seen)
            continue
        for item, agent in _candidates(path, source):
            _add(item, agent, found, seen)
    if left_out := find_unread(source):
        found.skipped.append(Skipped(*left_out, serious=False))
    return found


def _add(item: Path | Skipped, agent: Agent, found: Discovery, seen: set[tuple[int, int] | str]) -> None:
    """Add a file to what was found, unless it is in it."""
    if isinstance(item, Skipped):
        found.skipped.append(item)
        return

    def is_new(status: os.stat_result) -> bool:
        # Some network and Windows file systems number no inodes.
        identity = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(item)
        known = len(seen)
        seen.add(identity)
        return len(seen) > known

    result = read_local(item, agent, is_new)
    if isinstance(result, SessionFile):
        found.sessions.append(result)
    elif result:
        found.skipped.append(result)


def _add_remote(path: RemotePath, source: Source, found: Discovery, seen: set[tuple[int, int] | str]) -> None:
    """Add the files in a storage that an address stands for."""
    from importer.sessions.remote import files_below, read_heads
    from importer.sessions.storage import lookup, open_remote

    root = lookup(path)
    if root is None:
        raise UsageError(f"{printable(path)} does not exist: pass a session file or a folder")
    entries = files_below(path) if root.is_folder else [root]
    agents = {folder: source.agent_in(folder) for folder in {entry.path.parent for entry in entries}}
    if root.is_folder:
        entries = [entry for entry in entries if agents[entry.path.parent].takes(entry.path.name)]
    fresh = [entry for entry in entries if entry.path.url not in seen]
    seen.update(entry.path.url for entry in fresh)
    for entry, head in read_heads(fresh):
        result: SessionFile | Skipped
        try:
            if isinstance(head, OSError):
                raise head
            with open_remote(entry.path, head) as file:
                first = read_first_entry(file.read)
            result = describe(entry.path, entry.size, entry.mtime_ns, first, agents[entry.path.parent])
        except OSError as error:
            result = Skipped.unreadable(entry.path, error)
        if isinstance(result, SessionFile):
            found.sessions.append(result)
        else:
            found.skipped.append(result)


Found = tuple[Path | Skipped, Agent]


def _candidates(path: Path, source: Source) -> Iterator[Found]:
    """Yield the files that one of the user's paths stands for, and the agent that wrote each."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{printable(path)} does not exist: pass a session file or a folder") from None
    except OSError as error:
        yield Skipped.unreadable(path, error), source.agent_in(path.parent)
        return
    if stat.S_ISDIR(mode):
        yield from _walk(path, source)
    else:
        yield path, source.agent_in(path.parent)


def _walk(root: Path, source: Source) -> Iterator[Found]:
    """Yield the files below a folder that are named like sessions; links last, so that a real name wins."""
    folders = [root]
    links: list[Path] = []
    while folders:
        folder = folders.pop()
        agent = source.agent_in(folder)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Skipped.unreadable(folder, error), agent
            continue
        subfolders = []
        for entry in entries:
            path = folder / entry.name
            try:
                if entry.is_symlink():
                    links.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    subfolders.append(path)
                elif agent.takes(entry.name):
                    yield path, agent
            except OSError as error:
                yield Skipped.unreadable(path, error), agent
        folders.extend(reversed(subfolders))
    real_root = os.path.realpath(root)
    for link in links:
        agent = source.agent_in(link.parent)
        yield from ((item, agent) for item in _check_link(link, real_root, agent))


def _check_link(link: Path, real_root: str, agent: Agent) -> Iterator[Path | Skipped]:
    """Yield a link found in a folder if it has a session's name, or why it is left out."""
    if os.path.isdir(link):
        yield Skipped(link, "a symbolic link to a folder, not followed", serious=False)
    elif agent.takes(link.name):
        if os.path.realpath(link).startswith(os.path.join(real_root, "")):
            yield link
        else:
            yield Skipped(link, "a symbolic link that leads out of the folder, not followed", serious=False)
