"""Remembers which events were delivered, and to where, so that nothing is sent twice.

A SQLite file: `destinations` (host and a fingerprint of the API key, never the key) and `delivered` (one
row per destination and event uuid). A row is written only after PostHog took the event.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from importer.errors import PiPosthogError, UsageError
from importer.locking import lock, unlock

APPLICATION_ID = 0x70695068  # "piPh" in the file's header: tells our files from others
SCHEMA_VERSION = 1
UNKNOWN_DESTINATION = 0  # what a read-only ledger answers for a destination it has never seen

_LOOKUP_CHUNK = 900  # SQLite before 3.32 takes at most 999 parameters in a statement
_UNUSABLE = "The ledger {path} cannot be used: {why}; check the free space and the permissions there."
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL,
    key_fingerprint TEXT NOT NULL,
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


class Ledger:
    """The delivered events of all destinations; use it as a context manager, from one thread."""

    def __init__(self, path: Path, database: sqlite3.Connection | None, locked: int | None) -> None:
        """Use `Ledger.open`; None for the database stands for a ledger that does not exist yet."""
        self.path = path
        self._database = database
        self._locked = locked

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> Ledger:
        """Open the ledger in that file.

        To write, the file (0600) and its folder (0700) are created when they are missing, and the ledger is
        locked against other writing processes. Reading creates and changes no file; a missing file reads as
        an empty ledger.

        Raises:
            UsageError: the file is no ledger, is damaged or was written by a newer version of this program,
                or another process is writing to it.
            LedgerError: the file or its folder cannot be read, created or written.
        """
        path = Path(path)
        locked: int | None = None
        database: sqlite3.Connection | None = None
        try:
            with _one_line_errors(path):
                if read_only:
                    return cls(path, _connect_read_only(path), None)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                locked = lock(path)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                database = sqlite3.connect(path, isolation_level=None)
                _check_schema(database, path, create=True)
                # FULL: a row that was committed is on the disk even if the power goes.
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
            return cls(path, database, locked)
        except BaseException:
            if database is not None:
                database.close()
            unlock(locked)
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let other processes write; closing twice does no harm."""
        database, self._database = self._database, None
        locked, self._locked = self._locked, None
        try:
            if database is not None:
                with _one_line_errors(self.path):
                    database.close()
        finally:
            unlock(locked)

    def destination_id(self, host: str, api_key: str) -> int:
        """The number of a destination, which stays the same for ever in this ledger.

        Args:
            host: PostHog's address; its letter case and a slash at its end do not matter.
            api_key: kept only as the first 16 hex digits of its SHA-256.

        Returns:
            The number; UNKNOWN_DESTINATION when the ledger is read-only and has never seen it.

        Raises:
            UsageError: the ledger is damaged.
            LedgerError: it cannot be read or written.
        """
        if self._database is None:
            return UNKNOWN_DESTINATION
        values = (_normal_host(host), hashlib.sha256(api_key.encode()).hexdigest()[:16])
        with _one_line_errors(self.path):
            if self._locked is not None:
                self._database.execute(
                    "INSERT OR IGNORE INTO destinations (host, key_fingerprint) VALUES (?, ?)", values
                )
            row = self._database.execute(
                "SELECT id FROM destinations WHERE host = ? AND key_fingerprint = ?", values
            ).fetchone()
        return int(row[0]) if row else UNKNOWN_DESTINATION

    def destinations(self, host: str | None = None) -> list[int]:
        """The numbers of all destinations, or of those at one host. Raises as `destination_id`."""
        if self._database is None:
            return []
        wanted = None if host is None else _normal_host(host)
        with _one_line_errors(self.path):
            rows = self._database.execute(
                "SELECT id FROM destinations WHERE ?1 IS NULL OR host = ?1 ORDER BY id", (wanted,)
            ).fetchall()
        return [int(row[0]) for row in rows]

    def record(self, destination: int, uuids: Iterable[str], delivered_at_ms: int) -> None:
        """Remember events as delivered; they are on the disk when this returns, all or none of them.

        Args:
            destination: from `destination_id`.
            uuids: the events' uuids; one that is remembered already keeps its first time.
            delivered_at_ms: when PostHog took them, milliseconds since the epoch.

        Raises:
            ValueError: a uuid is not one, or the ledger is closed or read-only.
            UsageError: the ledger is damaged.
            LedgerError: it cannot be written (disk full, for instance).
        """
        if self._database is None or self._locked is None:
            raise ValueError("this ledger is not open for writing")
        rows = [(destination, uuid.UUID(text).bytes, delivered_at_ms) for text in uuids]
        with _one_line_errors(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("INSERT OR IGNORE INTO delivered VALUES (?, ?, ?)", rows)
                self._database.execute("COMMIT")
            except BaseException:
                # After a full disk SQLite may have rolled back by itself.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def delivered(
        self, destination: int | None, uuids: Iterable[str], *, host: str | None = None
    ) -> set[str]:
        """Which of the events were delivered.

        Args:
            destination: from `destination_id`; None asks about every destination, or every one at `host`.
            uuids: any number of uuids.
            host: narrows `destination=None` to the destinations at that address.

        Returns:
            The delivered ones, spelled as they were given.

        Raises:
            ValueError: a uuid is not one.
            UsageError: the ledger is damaged.
            LedgerError: it cannot be read.
        """
        found: set[str] = set()
        if self._database is None:
            return found
        asked = {uuid.UUID(text).bytes: text for text in uuids}
        keys = list(asked)
        for number in self.destinations(host) if destination is None else [destination]:
            with _one_line_errors(self.path):
                for chunk in _chunks(keys):
                    marks = ",".join("?" * len(chunk))
                    rows = self._database.execute(
                        f"SELECT uuid FROM delivered WHERE destination = ? AND uuid IN ({marks})",  # noqa: S608
                        (number, *chunk),
                    )
                    found.update(asked[row[0]] for row in rows)
        return found

    def count(self, destination: int | None = None) -> int:
        """How many events a destination has, or all destinations together. Raises as `delivered`."""
        if self._database is None:
            return 0
        with _one_line_errors(self.path):
            row = self._database.execute(
                "SELECT count(*) FROM delivered WHERE ?1 IS NULL OR destination = ?1", (destination,)
            ).fetchone()
        return int(row[0])


def _connect_read_only(path: Path) -> sqlite3.Connection | None:
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
        if _check_schema(database, path, create=False):
            return database
    except BaseException:
        database.close()
        raise
    database.close()
    return None


def _check_schema(database: sqlite3.Connection, path: Path, *, create: bool) -> bool:
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
def _one_line_errors(path: Path) -> Iterator[None]:
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


def _normal_host(host: str) -> str:
    """The address with scheme and host in small letters, without user, password and slash at the end."""
    parts = urlsplit(host)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}{parts.path.rstrip('/')}"


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _LOOKUP_CHUNK):
        yield keys[start : start + _LOOKUP_CHUNK]
