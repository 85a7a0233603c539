"""The registry of delivered events: what went where, so that nothing is sent twice.

A SQLite file: `destinations` (host and a fingerprint of the API key, never the key) and `delivered` (a row
for each destination and event uuid), written only after PostHog took the event; what was tried before is in
`people` and `under_way` (see `importer.ledger.attempts`).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from importer.errors import DamagedLedgerError
from importer.ledger.damage import check_mark, forget_mark
from importer.ledger.ledger_file import (
    SCHEMA_VERSION,
    Destination,
    check_file,
    check_schema,
    connect_read_only,
    normalize_host,
    one_line_errors,
    run_unsynced,
    split_keys,
)
from importer.ledger.locking import find_target, lock, unlock

UNKNOWN_DESTINATION = 0  # of a destination that a read-only ledger has never seen


class Ledger:
    """The delivered events of all destinations. Use it as a context manager, from one thread.

    ::

        with Ledger.open("ledger.sqlite3") as ledger:
            destination = ledger.destination_id("https://eu.i.posthog.com", api_key)
            ledger.record(destination, [event.uuid], now_ms)
            ledger.delivered(destination, [event.uuid, other.uuid])  # {event.uuid}
    """

    def __init__(
        self, path: Path, database: sqlite3.Connection | None, locked: int | None, *, writer: bool = False
    ) -> None:
        """Use `Ledger.open`. No database stands for a ledger that does not exist yet."""
        self.path = path
        self._database = database
        self._locked = locked
        self._writer = writer

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> Ledger:
        """Open the ledger in that file.

        To write, the file (0600) and its folder (0700) are created if they are missing, and the ledger is
        locked against other writing processes. Reading creates and changes no file. A missing file reads as
        an empty ledger.

        Raises:
            DamagedLedgerError: the file is damaged.
            UsageError: the file is no ledger or was written by a newer version of this program, or another
                process is writing to it.
            LedgerError: the file or its folder cannot be read, created or written.
        """
        path = find_target(path)
        locked: int | None = None
        database: sqlite3.Connection | None = None
        try:
            with one_line_errors(path):
                if read_only:
                    return cls(path, connect_read_only(path), None)
                check_file(path)  # before a lock file is beside it
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                locked = lock(path)
                forget_mark(path)
                check_mark(path)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                database = sqlite3.connect(path, isolation_level=None)
                check_schema(database, path, create=True)
                # FULL: a row that was committed is on the disk even if the power goes.
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
            return cls(path, database, locked, writer=True)
        except BaseException:
            if database is not None:
                database.close()
            unlock(locked)
            raise

    @classmethod
    def open_beside(cls, path: str | Path) -> Ledger:
        """Open the ledger that this process has open for writing, to read it in another thread.

        Raises:
            UsageError, LedgerError: as `open`.
        """
        path = find_target(path)
        with one_line_errors(path):
            database = sqlite3.connect(path, isolation_level=None)
            database.execute("PRAGMA query_only = ON")
        return cls(path, database, None, writer=True)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let other processes write. Closing twice does no harm."""
        database, self._database = self._database, None
        locked, self._locked = self._locked, None
        try:
            if database is not None:
                with one_line_errors(self.path):
                    database.close()
        finally:
            unlock(locked)

    def destination_id(self, host: str, api_key: str) -> int:
        """Return the number of a destination, which stays the same for ever in this ledger.

        Args:
            host: PostHog's address. Its letter case and a slash at its end do not matter.
            api_key: kept only as the first 16 hex digits of its SHA-256.

        Returns:
            The number; UNKNOWN_DESTINATION if the ledger is read-only and has never seen it.

        Raises:
            UsageError: the ledger is damaged.
            LedgerError: it cannot be read or written.
        """
        if self._database is None:
            return UNKNOWN_DESTINATION
        values = (normalize_host(host), hashlib.sha256(api_key.encode()).hexdigest()[:16])
        with self._errors():
            if self._locked is not None:
                self._database.execute(
                    "INSERT OR IGNORE INTO destinations (host, key_fingerprint) VALUES (?, ?)", values
                )
            row = self._database.execute(
                "SELECT id FROM destinations WHERE host = ? AND key_fingerprint = ?", values
            ).fetchone()
        return int(row[0]) if row else UNKNOWN_DESTINATION

    def destinations(self, host: str | None = None) -> list[int]:
        """Return the numbers of all destinations, or of those at one host. Raises as `destination_id`."""
        if self._database is None:
            return []
        wanted = None if host is None else normalize_host(host)
        with self._errors():
            rows = self._database.execute(
                "SELECT id FROM destinations WHERE ?1 IS NULL OR host = ?1 ORDER BY id", (wanted,)
            ).fetchall()
        return [int(row[0]) for row in rows]

    def record(self, destination: int, uuids: Iterable[str], delivered_at_ms: int) -> None:
        """Remember events as delivered. When this returns, all are on the disk; if it raises, none.

        Args:
            destination: from `destination_id`.
            uuids: the events' uuids. One that is remembered already keeps its first time.
            delivered_at_ms: when PostHog took them, in ms since the epoch.

        Raises:
            ValueError: a uuid is not one, or the ledger is closed or read-only.
            UsageError: the ledger is damaged.
            LedgerError: it cannot be written (disk full, for instance).
        """
        if self._database is None or self._locked is None:
            raise ValueError("this ledger is not open for writing")
        rows = [(destination, uuid.UUID(text).bytes, delivered_at_ms) for text in uuids]
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("INSERT OR IGNORE INTO delivered VALUES (?, ?, ?)", rows)
                self._database.execute(
                    "UPDATE destinations SET last_delivered_ms = ? WHERE id = ?",
                    (delivered_at_ms, destination),
                )
                self._database.execute("COMMIT")
            except BaseException:
                # After a full disk SQLite may have rolled back by itself.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def note_error(self, destination: int, error: str, now_ms: int) -> None:
        """Remember why events could not be delivered, for `status`. Raises as `record`."""
        if self._database is None or self._locked is None:
            raise ValueError("this ledger is not open for writing")
        with self._errors():
            self._database.execute(
                "UPDATE destinations SET last_error = ?, last_error_ms = ? WHERE id = ?",
                (error, now_ms, destination),
            )

    def describe(self) -> list[Destination]:
        """Return what is known of each destination. Raises as `delivered`."""
        if self._database is None:
            return []
        with self._errors():
            rows = self._database.execute(
                "SELECT id, host, key_fingerprint, "
                "(SELECT count(*) FROM delivered WHERE destination = destinations.id), "
                "last_delivered_ms, last_error, last_error_ms FROM destinations ORDER BY id"
            ).fetchall()
        return [Destination(*row) for row in rows]

    def delivered(
        self, destination: int | None, uuids: Iterable[str], *, host: str | None = None
    ) -> set[str]:
        """Return which of the events were delivered.

        Args:
            destination: from `destination_id`; None for all destinations, or all at `host`.
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
        destinations = self.destinations(host) if destination is None else [destination]
        return {asked[key] for key in self.known(destinations, list(asked))}

    def known(self, destinations: Iterable[int], ids: Sequence[bytes]) -> set[bytes]:
        """Return which of the events (16 bytes each) any of the destinations has. Raises as `delivered`."""
        found: set[bytes] = set()
        if self._database is None:
            return found
        for number in destinations:
            with self._errors():
                for chunk in split_keys(ids):
                    marks = ",".join("?" * len(chunk))
                    rows = self._database.execute(
                        f"SELECT uuid FROM delivered WHERE destination = ? AND uuid IN ({marks})",  # noqa: S608
                        (number, *chunk),
                    )
                    found.update(row[0] for row in rows)
        return found

    def count(self, destination: int | None = None) -> int:
        """Return the number of events of a destination, or of all together. Raises as `delivered`."""
        if self._database is None:
            return 0
        with self._errors():
            row = self._database.execute(
                "SELECT count(*) FROM delivered WHERE ?1 IS NULL OR destination = ?1", (destination,)
            ).fetchone()
        return int(row[0])

    def run(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Run a statement, return its rows: safe from a kill, not from a power cut. Raises as `delivered`."""
        if self._database is None:
            return []
        with self._errors():
            return run_unsynced(self._database, statement, values)

    def version(self) -> int:
        """Return the version of the file's schema; SCHEMA_VERSION if there is no file yet."""
        if self._database is None:
            return SCHEMA_VERSION
        with self._errors():
            return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    def check(self) -> None:
        """Read the whole file and check its structure (PRAGMA quick_check).

        Raises:
            DamagedLedgerError: something is wrong with it.
            LedgerError: it cannot be read.
        """
        if self._database is None:
            return
        with self._errors():
            if self._database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise DamagedLedgerError(self.path)

    def _errors(self) -> AbstractContextManager[None]:
        return one_line_errors(self.path, mark=self._writer)
