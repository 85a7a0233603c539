"""Which files are sessions: pi's own folder, or the files and folders that the user named."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from importer.errors import UsageError
from importer.forks import parents_first
from importer.locations import agent_dir, default_session_dir
from importer.quoting import printable
from importer.session_file import SessionFile, Skipped, read_session_file

__all__ = [
    "Discovery",
    "SessionFile",
    "Skipped",
    "agent_dir",
    "default_session_dir",
    "find_sessions",
    "parents_first",
    "read_session_file",
]

_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a search found: the sessions in the order of the search, and what was left out and why."""

    sessions: list[SessionFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def find_sessions(paths: Sequence[Path] = (), *, environ: Mapping[str, str] = os.environ) -> Discovery:
    """Return the sessions among ``paths``, or in pi's own session folder if there are none.

    A file is taken whatever its name; a folder is searched recursively for ``*.jsonl``, in the order of the
    names. Links to folders are not followed, links to files only if they stay inside the folder; a link that
    is itself one of ``paths`` is followed. A file that is reached twice, by whatever name, counts once.

    Raises:
        UsageError: a path, or pi's session folder, does not exist.
    """
    if not paths:
        paths = [_existing_default(environ)]
    found = Discovery()
    seen: set[tuple[int, int] | str] = set()
    for path in paths:
        for item in _candidates(path):
            _add(item, found, seen)
    return found


def _existing_default(environ: Mapping[str, str]) -> Path:
    folder = default_session_dir(environ)
    if not folder.exists():
        raise UsageError(
            f"pi's session folder {printable(folder)} does not exist: pass a session file or a folder as PATH"
        )
    return folder


def _add(item: Path | Skipped, found: Discovery, seen: set[tuple[int, int] | str]) -> None:
    """Add a file to what was found, unless it is there already."""
    if isinstance(item, Skipped):
        found.skipped.append(item)
        return
    try:
        status = item.stat()
    except OSError as error:
        found.skipped.append(Skipped.unreadable(item, error))
        return
    if not stat.S_ISREG(status.st_mode):
        found.skipped.append(Skipped(item, "not a regular file", serious=False))
        return
    # Some network and Windows file systems number no inodes.
    identity = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(item)
    if identity in seen:
        return
    seen.add(identity)
    result = read_session_file(item)
    if isinstance(result, SessionFile):
        found.sessions.append(result)
    else:
        found.skipped.append(result)


def _candidates(path: Path) -> Iterator[Path | Skipped]:
    """Yield the files that one of the user's paths stands for."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{printable(path)} does not exist: pass a session file or a folder") from None
    except OSError as error:
        yield Skipped.unreadable(path, error)
        return
    if stat.S_ISDIR(mode):
        yield from _walk(path)
    else:
        yield path


def _walk(root: Path) -> Iterator[Path | Skipped]:
    """Yield the files below a folder that are named like sessions; links last, so that a real name wins."""
    folders = [root]
    links: list[Path] = []
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Skipped.unreadable(folder, error)
            continue
        subfolders = []
        for entry in entries:
            path = folder / entry.name
            try:
                if entry.is_symlink():
                    links.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    subfolders.append(path)
                elif entry.name.endswith(_SUFFIX):
                    yield path
            except OSError as error:
                yield Skipped.unreadable(path, error)
        folders.extend(reversed(subfolders))
    real_root = os.path.realpath(root)
    for link in links:
        yield from _link(link, real_root)


def _link(link: Path, real_root: str) -> Iterator[Path | Skipped]:
    """Yield a link found inside a folder if it is a session's name and stays inside."""
    if os.path.isdir(link):
        yield Skipped(link, "a symbolic link to a folder, not followed", serious=False)
    elif link.name.endswith(_SUFFIX):
        if os.path.realpath(link).startswith(os.path.join(real_root, "")):
            yield link
        else:
            yield Skipped(link, "a symbolic link that leads out of the folder, not followed", serious=False)
