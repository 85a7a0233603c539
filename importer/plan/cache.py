"""The cache of what was counted: a session file that has not changed is not read again.

It is an SQLite file in the user's cache folder, which may be deleted at any time. If anything is wrong with
it, the session files are read instead. An entry is good for a file of the same size, time and head, read by
the same program with the same settings. No name and no prompt is kept, only the number of their line.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from importer.files import open_regular
from importer.sessions.session_file import SessionFile, Skipped
from importer.settings import Settings
from parsers.counting.rows import ROW, CountedFile, CountedFiles

_MOST_BYTES = 1_000_000_000
_RACY_NS = 2_000_000_000  # a file written while it was read may have the same size and time as after it
_LOOKUP = 500
_WAITING_BYTES = 2_000_000  # are written at once: small files are counted sooner than written one by one
_TABLES = """
PRAGMA synchronous = OFF;
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS counted (path INTEGER UNIQUE NOT NULL, key BLOB NOT NULL, columns BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS shown (key BLOB NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL);
"""

T = TypeVar("T")


class _StoredFile(Struct, array_like=True):
    """The rows of one file as they are stored."""

    about: CountedFile
    model_names: list[str]
    rows: bytearray


class Cache:
    """The cache, as a context manager. No method raises, whatever is wrong with its file.

    ::

        with Cache(default_cache(), settings) as cache:
            plan = make_plan(found, settings, now_ms=now_ms, cache=cache)

    Args:
        path: its file; None keeps nothing.
        settings: what was counted depends on them.
    """

    def __init__(self, path: Path | None, settings: Settings) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._waiting: list[tuple[int, bytes, bytes]] = []
        self._waiting_bytes = 0
        own = (_fingerprint_program(), settings.trace_grouping, settings.session_window_minutes)
        sizes = (settings.max_attribute_length, settings.privacy_mode, settings.tags, settings.project_name)
        names = (settings.agent_name, settings.distinct_id, settings.input_context, settings.host)
        costs = (settings.subscription_providers, settings.unpriced, settings.prices)
        self._settings = repr((own, sizes, names, costs)).encode()

    def __enter__(self) -> Cache:
        if self._path is not None:
            with suppress(OSError):
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    if self._path.stat().st_size > _MOST_BYTES:
                        self._path.unlink()
                os.close(open_regular(self._path, os.O_RDWR | os.O_CREAT))
                self._database = sqlite3.connect(self._path, isolation_level=None, timeout=0.1)
                self._ask(lambda database: database.executescript(_TABLES), None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write_waiting()
        if self._database is not None:
            self._database.close()
            self._database = None

    def find_known(self, files: Sequence[SessionFile]) -> set[int]:
        """Find the files that have not changed since they were counted; returns their places."""
        found: set[int] = set()
        if not self._ask(lambda db: db.execute("SELECT 1 FROM counted LIMIT 1").fetchone(), None):
            return found
        for start in range(0, len(files), _LOOKUP):
            some = files[start : start + _LOOKUP]
            keys = self._select("key", some)
            found.update(
                place
                for place, file in enumerate(some, start)
                if keys.get(make_path_key(file)) == self._make_key(file)
            )
        return found

    def load_rows(self, files: Sequence[SessionFile]) -> dict[int, CountedFiles]:
        """Load the rows of known files, by :func:`make_path_key`; a damaged entry is left out."""
        found = {}
        for path, packed in self._select("columns", files).items():
            with suppress(msgspec.DecodeError, ValueError):
                found[path] = _unpack(packed)
        return found

    def _select(self, column: str, files: Sequence[SessionFile]) -> dict[int, bytes]:
        marks = ",".join("?" * len(files))
        query = f"SELECT path, {column} FROM counted WHERE path IN ({marks})"  # noqa: S608  a name from here
        paths = [make_path_key(file) for file in files]
        return dict(self._ask(lambda database: database.execute(query, paths).fetchall(), []))

    def save_rows(self, counted: Iterable[tuple[SessionFile, CountedFiles]]) -> None:
        """Save the rows of files that will stay the same unless something is written to them.

        It is written with what comes later, or when the cache is closed.
        """
        recent_ns = time.time_ns() - _RACY_NS
        for file, columns in counted:
            if _can_keep(columns.files[0]) and file.mtime_ns < recent_ns:
                packed = _pack(columns)
                self._waiting.append((make_path_key(file), self._make_key(file), packed))
                self._waiting_bytes += len(packed)
        if self._waiting_bytes >= _WAITING_BYTES:
            self._write_waiting()

    def _write_waiting(self) -> None:
        rows, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if rows:
            self._ask(lambda db: _write(db, "INSERT OR REPLACE INTO counted VALUES (?, ?, ?)", rows), None)

    def make_digest(self, files: Iterable[SessionFile], skipped: Sequence[Skipped]) -> bytes:
        """Return a digest of all files and settings that a report depends on."""
        digest = hashlib.sha1(self._settings, usedforsecurity=False)
        digest.update(repr(skipped).encode(errors="surrogateescape"))
        for file in files:
            digest.update(_describe_file(file))
        return digest.digest()

    def make_report_key(self, digest: bytes, *asked: object, others: Iterable[Path]) -> bytes:
        """Return the key of a report, which changes with all that the report depends on.

        Args:
            digest: that of the files.
            asked: what was asked for.
            others: the other files.
        """
        rest = repr((asked, [_read_stamp(path) for path in others], time.tzname))
        whole = digest + rest.encode(errors="surrogateescape")
        return hashlib.sha1(whole, usedforsecurity=False).digest()

    def load_report(self, key: bytes) -> list[bytes]:
        """Load the parts of the report with that key; none if there is none or one is damaged."""
        query = "SELECT data FROM shown WHERE key = ? ORDER BY part"
        rows: list[tuple[object]] = self._ask(lambda db: db.execute(query, (key,)).fetchall(), [])
        with suppress(ValueError):
            return [_verify_checksum(data) for (data,) in rows]
        return []

    def save_report(self, key: bytes, parts: Iterable[bytes]) -> None:
        """Save the parts of a report; only the latest report is kept."""
        rows = [(key, place, _add_checksum(part)) for place, part in enumerate(parts)]
        self._ask(lambda database: database.execute("DELETE FROM shown"), None)
        self._ask(lambda database: _write(database, "INSERT INTO shown VALUES (?, ?, ?)", rows), None)

    def _make_key(self, file: SessionFile) -> bytes:
        return hashlib.sha1(self._settings + _describe_file(file), usedforsecurity=False).digest()

    def _ask(self, ask: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Ask the database. After an error it is not asked again, and its file is begun anew next time."""
        if self._database is None:
            return otherwise
        try:
            return ask(self._database)
        except (sqlite3.Error, ValueError) as error:  # a damaged file may hold text that is none
            self._database.close()
            self._database = None
            if "locked" not in str(error) and self._path is not None:
                with suppress(OSError):
                    self._path.unlink()
            return otherwise


def _describe_file(file: SessionFile) -> bytes:
    """Describe a file by all that is known of it before it is read."""
    header = (file.session_id, file.cwd, file.version, file.timestamp_ms, file.parent_session)
    told = repr((str(file.path), file.size, file.mtime_ns, file.agent.name, header))
    return told.encode(errors="surrogateescape")


def make_path_key(file: SessionFile) -> int:
    """Return the number that a file's entry is found by; where files share one, their keys differ."""
    path = str(file.path).encode(errors="surrogateescape")
    return int.from_bytes(hashlib.sha1(path, usedforsecurity=False).digest()[:8], signed=True)


def split_files(columns: CountedFiles) -> Iterator[CountedFiles]:
    """Split what was counted into single files."""
    start = 0
    for about in columns.files:
        end = start + about.events * ROW.size
        yield CountedFiles([about], columns.model_names, columns.rows[start:end])
        start = end


def _can_keep(about: CountedFile) -> bool:
    return about.is_final and about.words_at is not None


def _pack(columns: CountedFiles) -> bytes:
    about = replace(columns.files[0], name=None, first_prompt=None)  # what was said stays where it is
    packed = _StoredFile(about, columns.model_names, columns.rows)
    return _add_checksum(msgspec.msgpack.encode(packed))


def _unpack(packed: bytes) -> CountedFiles:
    stored = msgspec.msgpack.decode(_verify_checksum(packed), type=_StoredFile)
    return CountedFiles([stored.about], stored.model_names, stored.rows)


def _add_checksum(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest() + data


def _verify_checksum(stored: object) -> bytes:
    """Return what was stored, without its checksum; raises ValueError if it was changed."""
    data = stored[20:] if isinstance(stored, bytes) else b""
    if not isinstance(stored, bytes) or stored[:20] != hashlib.sha1(data, usedforsecurity=False).digest():
        raise ValueError("damaged")
    return data


def _write(database: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.executemany(statement, rows)
    database.execute("COMMIT")


def _read_stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _fingerprint_program() -> str:
    """Return a text that changes with the program: another version may count differently."""
    import parsers

    roots = [Path(__file__).parents[1], *(Path(place) for place in parsers.__path__)]
    folders = [folder for root in roots for folder, _, _ in os.walk(root) if "__pycache__" not in folder]
    stamps = [
        (entry.name, (status := entry.stat()).st_size, status.st_mtime_ns)
        for folder in sorted(folders)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if stat.S_ISREG(entry.stat().st_mode)
    ]
    return hashlib.sha1(repr(stamps).encode(), usedforsecurity=False).hexdigest()
