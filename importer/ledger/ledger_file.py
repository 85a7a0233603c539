"""The ledger's file: its schema, how to open it to read, what its errors mean, and the form of its keys."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from importer.errors import DamagedLedgerError, LedgerError, UsageError
from importer.ledger.damage import check_mark, find_damage, mark_damaged
from importer.quoting import printable

APPLICATION_ID = 0x70695068  # "piPh" in the file's header: tells our files from others
_UNUSABLE = "The ledger {path} cannot be used: {why}; check the free space and the permissions there."
# One script a version. A ledger of version n gets those after the nth.
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
    """
CREATE TABLE people (
    destination INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    identified_ms INTEGER NOT NULL,
    PRIMARY KEY (destination, uuid)
) WITHOUT ROWID;
CREATE TABLE under_way (
    id INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL,
    uuids BLOB NOT NULL,
    since_ms INTEGER NOT NULL
);
""",
)
SCHEMA_VERSION = len(SCRIPTS)
_CHUNK = 900  # SQLite before 3.32 takes at most 999 parameters in a statement


class Destination(NamedTuple):
    """What the ledger knows of one destination.

    Attributes:
        id: its number in this ledger.
        host: PostHog's address.
        key_fingerprint: the first 16 hex digits of the API key's SHA-256.
        delivered: number of delivered events.
        last_delivered_ms, last_error_ms: when that happened, in ms since the epoch; None if it never did.
        last_error: why events could not be delivered.
    """

    id: int
    host: str
    key_fingerprint: str
    delivered: int
    last_delivered_ms: int | None
    last_error: str | None
    last_error_ms: int | None


def connect_read_only(path: Path) -> sqlite3.Connection | None:
    """Return a connection that creates and writes no file; None if there is nothing to read yet."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    check_file(path)
    check_mark(path)
    if path.with_name(path.name + "-journal").exists():
        return None  # the writer was killed while it created the file; later it writes a -wal file
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    # SQLite would create the -shm file that a WAL database needs, even with mode=ro. While both files exist
    # (a writer is at work, or was killed), `readonly_shm` reads them as they are. Otherwise the last writer
    # has put all into the main file, which `immutable` reads alone. Where someone copied the -wal file
    # without its -shm, the events in it read as not delivered.
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


def check_file(path: Path) -> None:
    """Check that a path, which need not exist, can be a ledger: no folder, and no file with a second name.

    SQLite keeps the last events beside one name (`<name>-wal`): under another name (a hard link) the ledger
    lacks them, and has another lock (https://www.sqlite.org/howtocorrupt.html, "Multiple links to the same
    file").

    Raises:
        IsADirectoryError: it is a folder.
        UsageError: it is a file with further hard links.
    """
    if path.is_dir():
        raise IsADirectoryError
    if path.is_file() and path.stat().st_nlink > 1:
        raise UsageError(
            f"{printable(path)} has a second name (a hard link), under which everything could be sent twice; "
            "remove one of the names, or make it a symbolic link."
        )


def check_schema(database: sqlite3.Connection, path: Path, *, create: bool) -> bool:
    """Return whether the file holds a ledger. `create` makes an empty file one, and updates an older one.

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
        # In one transaction: a kill leaves the old version.
        database.executescript(
            "BEGIN IMMEDIATE;"
            + "".join(SCRIPTS[version:])
            + f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    return create or not is_empty


@contextlib.contextmanager
def one_line_errors(path: Path, *, mark: bool = False) -> Iterator[None]:
    """Turn errors of SQLite and the system into one line that names the file and says what to do.

    Args:
        path: the ledger.
        mark: whether to mark a damaged ledger, which only its writer may.
    """
    try:
        yield
    except sqlite3.Error as error:
        found = find_damage(error, path)
        if found is None:
            raise LedgerError(_UNUSABLE.format(path=printable(path), why=error)) from error
        if mark and isinstance(found, DamagedLedgerError):
            mark_damaged(path)
        raise found from error
    except IsADirectoryError as error:
        raise UsageError(f"{printable(path)} is a folder; name a file with --state.") from error
    except OSError as error:
        raise LedgerError(_UNUSABLE.format(path=printable(path), why=error.strerror or error)) from error


def run_unsynced(database: sqlite3.Connection, statement: str, values: Sequence[object]) -> list[Any]:
    """Run one statement without waiting for the disk, and return its rows."""
    database.execute("PRAGMA synchronous = NORMAL")
    try:
        return database.execute(statement, values).fetchall()
    finally:
        database.execute("PRAGMA synchronous = FULL")


def normalize_host(host: str) -> str:
    """Return the address with scheme and host in small letters, without user, password and last slash."""
    parts = urlsplit(host)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}{parts.path.rstrip('/')}"


def split_keys(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield keys in chunks that fit into one statement."""
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]
