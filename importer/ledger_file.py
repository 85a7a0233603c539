"""The ledger's file: its schema, how it is opened, and what its errors mean to the user."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from importer.errors import PiPosthogError, UsageError

APPLICATION_ID = 0x70695068  # "piPh" in the file's header: tells our files from others
SCHEMA_VERSION = 1
_UNUSABLE = "The ledger {path} cannot be used: {why}; check the free space and the permissions there."
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL,
    key_fingerprint TEXT NOT NULL,
    last_delivered_ms INTEGER,
    last_error TEXT,
    last_error_ms INTEGER,
    UNIQUE (host, key_fingerprint)
);
CREATE TABLE delivered (
    destination INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    delivered_at_ms INTEGER NOT NULL,
    PRIMARY KEY (destination, uuid)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


class LedgerError(PiPosthogError):
    """The ledger cannot be read or written now (disk full, permissions, input/output error)."""


def connect_read_only(path: Path) -> sqlite3.Connection | None:
    """A connection that creates and writes no file; None when there is nothing to read yet."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    # SQLite would create the -shm file that a WAL database needs, even with mode=ro. While both files
    # exist (a writer is at work, or was killed) `readonly_shm` reads them as they are. Otherwise the last
    # writer has put everything into the main file, which `immutable` reads alone (and without a -wal file
    # that someone copied without its -shm: events in it read as not delivered).
    option = "readonly_shm=1" if log.exists() and index.exists() else "immutable=1"
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&{option}", uri=True, isolation_level=None)
    try:
        if check_schema(database, path, create=False):
            return database
    except BaseException:
        database.close()
        raise
    database.close()
    return None


def check_no_folder(path: Path) -> None:
    """Raise IsADirectoryError if the path is a folder."""
    if path.is_dir():
        raise IsADirectoryError


def check_schema(database: sqlite3.Connection, path: Path, *, create: bool) -> bool:
    """Whether the file holds a ledger (`create` makes an empty file one); raises UsageError for others."""
    application_id, version, tables = (
        int(database.execute(query).fetchone()[0])
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if (application_id, version, tables) == (0, 0, 0):
        if create:
            database.executescript(_SCHEMA)
        return create
    if application_id != APPLICATION_ID:
        raise UsageError(f"{path} is a database of another program; name another file with --state.")
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{path} was written by a newer pi-posthog (ledger version {version}, this one knows "
            f"{SCHEMA_VERSION}); update pi-posthog, or name another file with --state."
        )
    return True


@contextlib.contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into one line that names the file and says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise UsageError(
                f"{path} is damaged or no ledger; move it away and run the same command again (PostHog keeps "
                "one copy of an event that is sent twice), or name another file with --state."
            ) from error
        raise LedgerError(_UNUSABLE.format(path=path, why=error)) from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder; name a file with --state.") from error
    except OSError as error:
        raise LedgerError(_UNUSABLE.format(path=path, why=error.strerror or error)) from error
