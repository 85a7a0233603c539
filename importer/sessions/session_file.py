"""Session files: what their first lines, sizes and times say, read without the rest."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from importer.files import NotRegularError, open_checked
from importer.sessions.paths import SessionPath
from importer.sessions.storage import RemotePath
from parsers.agents import PI, Agent
from parsers.times import to_ms

_FIRST_READ = 4096
_SCAN_LIMIT = 1024 * 1024
# A crash can leave NULs; the parser passes over them, too.
_BLANKS = b" \t\r\n\0"
# To open a pipe must not wait for its writer.
_SURROGATE = re.compile("[\ud800-\udfff]")


Read = Callable[[int], bytes | None]
"""Reads at most so many bytes of an open file; none at the end."""


class SessionFile(Struct, frozen=True):
    """A file that pi, or another agent, wrote a session to.

    What is not known of the file itself comes from its header (pi's ``session-format.md``); a field that is
    missing or of the wrong type is None::

        for file in find_sessions().sessions:
            print(file.path, file.size, file.session_id, file.cwd)

    Attributes:
        path: the file, on this machine or in a storage.
        size: bytes, as of the moment of reading.
        mtime_ns: when it was written, in ns since the epoch, as of the moment of reading. Where a storage
            does not tell, it is that moment: a session that may go on is not closed.
        session_id: the session's id.
        cwd: the folder that the agent worked in.
        version: the version of the format; 1 where the header names none.
        timestamp_ms: when the session began, in ms since the epoch.
        parent_session: what the header says of a parent: the path of its file on the machine that wrote it,
            or an id (version 1 calls the field ``branchedFrom``).
        agent: the agent that wrote it.
    """

    path: SessionPath
    size: int
    mtime_ns: int
    session_id: str
    cwd: str | None = None
    version: int | None = 1
    timestamp_ms: int | None = None
    parent_session: str | None = None
    agent: Agent = PI


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was left out, and why.

    Attributes:
        path: the file or folder.
        reason: why, without a full stop.
        serious: whether it should have been read (no permission, I/O error, vanished). Otherwise there was
            nothing in it for us (empty, not a session, a link out of the folder).
    """

    path: SessionPath
    reason: str
    serious: bool

    @classmethod
    def unreadable(cls, path: SessionPath, error: OSError) -> Skipped:
        """Return one for a file that the system does not let us read."""
        return cls(path, f"cannot be read: {error.strerror or error}", serious=True)


def read_session_file(path: SessionPath, agent: Agent = PI) -> SessionFile | Skipped:
    """Return what the head of a regular file says, or why it is not a session. Bad content raises nothing.

    A symbolic link is not followed. A session's first line that can be parsed is
    ``{"type":"session","id":"…"}``. Blank, NUL-only and torn lines before it are passed over within the first
    MiB, as pi's readSessionHeader does (pi 0.87.1, ``dist/core/session-manager.js``). Some forks of pi write
    a ``{"type":"title"}`` line first.
    """
    if isinstance(path, RemotePath):
        return _read_remote(path, agent)
    try:
        if path.is_symlink():
            return Skipped(path, "a symbolic link, not followed", serious=False)
    except OSError as error:
        return Skipped.unreadable(path, error)
    found = read_local(path, agent, lambda status: True)
    assert found is not None  # noqa: S101 - every status is wanted
    return found


def read_local(
    path: Path, agent: Agent, is_wanted: Callable[[os.stat_result], bool]
) -> SessionFile | Skipped | None:
    """Return as :func:`read_session_file` does, for a file on this machine; a symbolic link is followed.

    Args:
        path: the file.
        agent: the agent that wrote it.
        is_wanted: whether to read a regular file of that status; if not, this returns None.
    """
    try:
        descriptor, status = open_checked(path)
        try:
            if not is_wanted(status):
                return None
            first = read_first_entry(partial(os.read, descriptor))
        finally:
            os.close(descriptor)
    except NotRegularError:
        return Skipped(path, "not a regular file", serious=False)
    except OSError as error:
        return Skipped.unreadable(path, error)
    return describe(path, status.st_size, status.st_mtime_ns, first, agent)


def _read_remote(path: RemotePath, agent: Agent) -> SessionFile | Skipped:
    from importer.sessions.storage import lookup_once, open_remote

    try:
        entry = lookup_once(path)
        if entry is None:
            return Skipped(path, "cannot be read: No such file or directory", serious=True)
        if entry.is_folder:
            return Skipped(path, "not a regular file", serious=False)
        with open_remote(entry.path) as file:
            first = read_first_entry(file.read)
    except OSError as error:
        return Skipped.unreadable(path, error)
    return describe(entry.path, entry.size, entry.mtime_ns, first, agent)


def describe(
    path: SessionPath, size: int, mtime_ns: int, first: dict[str, Any], agent: Agent
) -> SessionFile | Skipped:
    """Return what is known of a file whose first entry was read, or why it is not a session.

    Args:
        path: the file.
        size: its bytes.
        mtime_ns: when it was written, in ns since the epoch.
        first: what :func:`read_first_entry` returned.
        agent: the agent that wrote it.
    """
    header = agent.header(first)
    if header is None:
        return Skipped(path, "not a session file" if size else "empty file", serious=False)
    return SessionFile(
        path=path,
        size=size,
        mtime_ns=mtime_ns,
        session_id=_check_text(header["id"]) or "",
        cwd=_check_text(header.get("cwd")),
        version=_check_version(header.get("version", 1)),
        timestamp_ms=to_ms(_check_text(header.get("timestamp"))),
        parent_session=_check_text(header.get("parentSession")) or _check_text(header.get("branchedFrom")),
        agent=agent,
    )


def read_first_entry(read: Read) -> dict[str, Any]:
    """Return the first JSON value after any title line if it is an object, else an empty one."""
    for line in _read_head_lines(read):
        entry = _decode(line.strip(_BLANKS))
        # What JavaScript calls false is passed over by pi like a malformed line.
        if entry in (None, False, 0, ""):
            continue
        if not isinstance(entry, dict):
            return {}
        if entry.get("type") != "title":
            return entry
    return {}


def _decode(line: bytes) -> object:
    """Return the JSON value of a line; None if it holds none."""
    if not line:
        return None
    # pi decodes leniently: an invalid byte becomes U+FFFD and does not spoil the line.
    text = line.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    import json  # hardly ever needed

    try:
        # JSON.parse also takes half a surrogate pair (in a Windows path) and numbers beyond a double.
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_head_lines(read: Read) -> Iterator[bytes]:
    """Yield the lines that end within the first MiB, reading 4 KiB and then twice as much each time."""
    pending = b""
    scanned = 0
    read_size = _FIRST_READ
    while scanned < _SCAN_LIMIT:
        chunk = read(min(read_size, _SCAN_LIMIT - scanned))
        if not chunk:
            yield pending
            return
        scanned += len(chunk)
        read_size *= 2
        start = 0
        pending += chunk
        while (end := pending.find(b"\n", start)) >= 0:
            yield pending[start:end]
            start = end + 1
        pending = pending[start:]
    if not read(1):
        yield pending


def _check_text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def _check_version(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
