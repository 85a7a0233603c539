"""A session file: what its first lines and its size and times say, read without the rest of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from importer.sessions.storage import RemotePath, SessionPath
from parsers.agents import PI, Agent
from parsers.times import to_ms

_FIRST_READ = 4096
_SCAN_LIMIT = 1024 * 1024
# A crash can leave NULs; the parser passes over them, too.
_BLANKS = b" \t\r\n\0"
# Opening waits for nobody at the other end of a pipe.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_SURROGATE = re.compile("[\ud800-\udfff]")


Read = Callable[[int], bytes | None]
"""Reads at most so many bytes of a file that is open; none at the end."""


class SessionFile(Struct, frozen=True):
    """A file that pi, or another ``agent``, wrote a session to.

    ``size`` is in bytes and ``mtime_ns`` in nanoseconds since the epoch, both as of the moment of reading.
    Where a storage does not tell ``mtime_ns``, it is that moment: a session that may go on is not closed.
    The rest comes from the header (pi's ``session-format.md``); a field that is missing or of the wrong
    type is None. ``version`` is 1 where the header names none. ``timestamp_ms`` is in milliseconds since the
    epoch. ``parent_session`` is what the header says: the path of the parent's file on the machine that
    wrote it, or an id (version 1 calls the field ``branchedFrom``).
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

    ``serious`` says that something which should have been read was not (no permission, I/O error, vanished);
    otherwise there was nothing in it for us (empty, not a session, a link out of the folder).
    """

    path: SessionPath
    reason: str
    serious: bool

    @classmethod
    def unreadable(cls, path: SessionPath, error: OSError) -> Skipped:
        """Return a serious one that says what the system said."""
        return cls(path, f"cannot be read: {error.strerror or error}", serious=True)


def read_session_file(path: SessionPath, agent: Agent = PI) -> SessionFile | Skipped:
    """Return what the head of a regular file says, or why it is not a session. Never raises for bad content.

    A symbolic link is not followed.

    A session's first parseable line is ``{"type":"session","id":"…"}``; blank, NUL-only and torn lines before
    it are passed over, as pi's readSessionHeader does (pi 0.87.1, ``dist/core/session-manager.js``), within
    the first MiB. Some forks of pi write a ``{"type":"title"}`` line first.
    """
    if isinstance(path, RemotePath):
        return _read_remote(path, agent)
    try:
        if path.is_symlink():
            return Skipped(path, "a symbolic link, not followed", serious=False)
    except OSError as error:
        return Skipped.unreadable(path, error)
    found = read_local(path, agent, lambda status: True)
    assert found is not None  # noqa: S101  whatever its status
    return found


def read_local(
    path: Path, agent: Agent, is_wanted: Callable[[os.stat_result], bool]
) -> SessionFile | Skipped | None:
    """As :func:`read_session_file`, for a file here whose link, if it is one, somebody has looked at.

    Args:
        path: the file.
        agent: whose it is.
        is_wanted: whether a regular file of that status is to be read at all; if not, there is no answer.
    """
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Skipped(path, "not a regular file", serious=False)
            if not is_wanted(status):
                return None
            first = first_entry(partial(os.read, descriptor))
        finally:
            os.close(descriptor)
    except OSError as error:
        return Skipped.unreadable(path, error)
    return described(path, status.st_size, status.st_mtime_ns, first, agent)


def _read_remote(path: RemotePath, agent: Agent) -> SessionFile | Skipped:
    from importer.sessions.remote import found_once, open_remote

    try:
        entry = found_once(path)
        if entry is None:
            return Skipped(path, "cannot be read: No such file or directory", serious=True)
        if entry.is_folder:
            return Skipped(path, "not a regular file", serious=False)
        with open_remote(entry.path) as file:
            first = first_entry(file.read)
    except OSError as error:
        return Skipped.unreadable(path, error)
    return described(entry.path, entry.size, entry.mtime_ns, first, agent)


def described(
    path: SessionPath, size: int, mtime_ns: int, first: dict[str, Any], agent: Agent
) -> SessionFile | Skipped:
    """What is known of a file whose first entry was read, or why it is not a session.

    Args:
        path: the file.
        size: its bytes.
        mtime_ns: when it was written, in ns since the epoch.
        first: what :func:`first_entry` gave.
        agent: whose it is.
    """
    header = agent.header(first)
    if header is None:
        return Skipped(path, "not a session file" if size else "empty file", serious=False)
    return SessionFile(
        path=path,
        size=size,
        mtime_ns=mtime_ns,
        session_id=_text(header["id"]) or "",
        cwd=_text(header.get("cwd")),
        version=_version(header.get("version", 1)),
        timestamp_ms=to_ms(_text(header.get("timestamp"))),
        parent_session=_text(header.get("parentSession")) or _text(header.get("branchedFrom")),
        agent=agent,
    )


def first_entry(read: Read) -> dict[str, Any]:
    """Return the first JSON value after any title line if it is an object, else an empty one."""
    for line in _head_lines(read):
        entry = _decoded(line.strip(_BLANKS))
        # What JavaScript calls false is passed over by pi like a malformed line.
        if entry in (None, False, 0, ""):
            continue
        if not isinstance(entry, dict):
            return {}
        if entry.get("type") != "title":
            return entry
    return {}


def _decoded(line: bytes) -> object:
    """Return the JSON value of a line, None if it holds none."""
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


def _head_lines(read: Read) -> Iterator[bytes]:
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


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def _version(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
