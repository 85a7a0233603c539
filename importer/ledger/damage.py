"""Finds out whether a ledger is damaged, marks it, and moves it out of the way.

A lost ledger costs a resend: ids are stable, so PostHog stores one copy, but its trace screens add up all
copies that arrived in the last 30 days.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from importer.errors import DamagedLedgerError, UsageError
from importer.files import open_regular
from importer.places import LEDGER_NAME
from importer.quoting import printable

_SQLITE_MAGIC = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat2.html, "The Database Header"


def find_damage(error: sqlite3.Error, path: Path) -> UsageError | None:
    """Return what an error says of the file: it is damaged, or no ledger; None for any other error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB and not _was_ledger(path):
        return UsageError(f"{printable(path)} is no ledger; move it away, or name another file with --state.")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT) or "no such table" in str(error):
        return DamagedLedgerError(path)
    return None


def mark_damaged(path: Path) -> None:
    """Mark the file as damaged: the next run may not come across the bad page."""
    with contextlib.suppress(OSError):
        os.close(open_regular(_mark_of(path), os.O_WRONLY | os.O_CREAT))


def check_mark(path: Path) -> None:
    """Raise DamagedLedgerError if the file is marked as damaged."""
    if path.exists() and _mark_of(path).exists():
        raise DamagedLedgerError(path)


def forget_mark(path: Path) -> None:
    """Remove the mark of a ledger that the user moved away: it says nothing about the next one."""
    if not path.exists():
        _mark_of(path).unlink(missing_ok=True)


def move_aside(path: Path) -> Path:
    """Rename a ledger to `<name>.corrupt-<time>` and return that path. The caller holds the lock.

    What was not written back yet (`-wal`) goes with it, so that sqlite3 can read all of it.

    Raises:
        OSError: it cannot be renamed.
    """
    target = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{target.name.partition('Z')[0]}Z-{number}")
    # The ledger last: after a kill in between, a file without its log is found, not a log without its file.
    for suffix in ("-wal", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(_beside(path, suffix), _beside(target, suffix))
    with contextlib.suppress(FileNotFoundError):
        _beside(path, "-shm").unlink()
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, target)
    _mark_of(path).unlink(missing_ok=True)
    return target


def _was_ledger(path: Path) -> bool:
    """Return whether a file that SQLite cannot read may be a ledger: --state may name any file."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE_MAGIC))
    except OSError:
        return False
    return path.name == LEDGER_NAME or start == _SQLITE_MAGIC or not start.strip(b"\0")


def _mark_of(path: Path) -> Path:
    return _beside(path, ".damaged")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
