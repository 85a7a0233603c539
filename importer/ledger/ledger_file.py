"""The ledger's file: its schema, how it is opened, and what its errors mean to the user."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from importer.errors import DamagedLedgerError, LedgerError, UsageError
from importer.ledger.damage import check_mark, damage, mark_damaged
from importer.quoting import printable

APPLICATION_ID = 0x70695068  # "piPh" in the file's header: tells our files from others
_UNUSABLE = "The ledger {path} cannot be used: {why}; check the free space and the permissions there."
# One script a version, from an empty file on: a ledger of version n is brought up by those after the nth.
SCRIPTS = (
    """
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
""",
)
SCHEMA_VERSION = len(SCRIPTS)


def connect_read_only(path: Path) -> sqlite3.Connection | None:
    """A connection that creates and writes no file; None when there is nothing to read yet."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    check_mark(path)
    if path.with_name(path.name + "-journal").exists():
        return None  # killed while it was created: later writes have no -journal file, but a -wal file
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
    """Whether the file holds a ledger; `create` makes an empty file one, and brings an older one up to date.

    Raises:
        UsageError: it is damaged, of another program, or of a newer version of this one.
        sqlite3.Error: as SQLite says.
    """
    application_id, version, tables = (
        int(database.execute(query).fetchone()[0])
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    is_empty = (application_id, version, tables) == (0, 0, 0)
    if not is_empty:
        if application_id != APPLICATION_ID:
            raise UsageError(
                f"{printable(path)} is a database of another program; name another file with --state."
            )
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"{printable(path)} was written by a newer pi2posthog (ledger version {version}, this one "
                f"knows {SCHEMA_VERSION}); update pi2posthog, or name another file with --state."
            )
        if version < 1 or not tables:
            raise DamagedLedgerError(path)
    if create and version < SCHEMA_VERSION:
        # In one transaction: a kill leaves the version before.
        database.executescript(
            "BEGIN IMMEDIATE;"
            + "".join(SCRIPTS[version:])
            + f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    return create or not is_empty


@contextlib.contextmanager
def one_line_errors(path: Path, *, mark: bool = False) -> Iterator[None]:
    """Turn SQLite's and the system's errors into one line that names the file and says what to do.

    Args:
        path: the ledger.
        mark: whether damage is remembered beside the ledger (only its writer may).
    """
    try:
        yield
    except sqlite3.Error as error:
        found = damage(error, path)
        if found is None:
            raise LedgerError(_UNUSABLE.format(path=printable(path), why=error)) from error
        if mark and isinstance(found, DamagedLedgerError):
            mark_damaged(path)
        raise found from error
    except IsADirectoryError as error:
        raise UsageError(f"{printable(path)} is a folder; name a file with --state.") from error
    except OSError as error:
        raise LedgerError(_UNUSABLE.format(path=printable(path), why=error.strerror or error)) from error
