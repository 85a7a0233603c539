"""Every version reads what the first release wrote, and brings it up to date."""

from __future__ import annotations

import sqlite3
import uuid

import pytest

from importer.commands.ledgers import set_aside
from importer.errors import DamagedLedgerError, UsageError
from importer.ledger import ledger_file
from importer.ledger.ledger import Ledger

HOST, KEY = "https://us.i.posthog.com", "phc_test"
SENT = [str(uuid.UUID(int=n)) for n in range(1, 4)]

# As pi2posthog 0.1.0 wrote it; never change this text.
VERSION_1 = """
PRAGMA journal_mode = WAL;
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, key_fingerprint TEXT NOT NULL,
    last_delivered_ms INTEGER, last_error TEXT, last_error_ms INTEGER, UNIQUE (host, key_fingerprint)
);
CREATE TABLE delivered (
    destination INTEGER NOT NULL, uuid BLOB NOT NULL, delivered_at_ms INTEGER NOT NULL,
    PRIMARY KEY (destination, uuid)
) WITHOUT ROWID;
PRAGMA application_id = 1885950056;
PRAGMA user_version = 1;
INSERT INTO destinations VALUES
    (1, 'https://us.i.posthog.com', 'bdd0cf99e7f20e65', 1795446000000, 'it answered 503', 1795446001000);
"""


@pytest.fixture
def version_1(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    database = sqlite3.connect(path)
    database.executescript(VERSION_1)
    database.executemany(
        "INSERT INTO delivered VALUES (1, ?, 1795446000000)", [(uuid.UUID(text).bytes,) for text in SENT]
    )
    database.commit()
    database.close()
    return path


@pytest.fixture
def next_version(monkeypatch):
    """Give this program a schema of another version."""
    scripts = (*ledger_file.SCRIPTS, "ALTER TABLE destinations ADD COLUMN note TEXT DEFAULT 'new';")
    monkeypatch.setattr(ledger_file, "SCRIPTS", scripts)
    monkeypatch.setattr(ledger_file, "SCHEMA_VERSION", len(scripts))
    return scripts


def version_of(path):
    database = sqlite3.connect(path)
    try:
        return database.execute("PRAGMA user_version").fetchone()[0]
    finally:
        database.close()


def is_version_1(path):
    with Ledger.open(path, read_only=True) as ledger:
        (known,) = ledger.describe()
        return (known.host, known.delivered, known.last_error) == (HOST, 3, "it answered 503")


def test_what_the_first_release_wrote_is_known(version_1):
    assert is_version_1(version_1)
    with Ledger.open(version_1) as ledger:
        destination = ledger.destination_id(HOST, KEY)
        assert destination == 1
        assert ledger.delivered(destination, SENT) == set(SENT)


def test_an_older_ledger_is_brought_up_to_date_where_it_is(version_1, next_version):
    with Ledger.open(version_1) as ledger:
        assert ledger.delivered(ledger.destination_id(HOST, KEY), SENT) == set(SENT)
        assert ledger._database.execute("SELECT note FROM destinations").fetchone() == ("new",)
    assert version_of(version_1) == len(next_version)
    assert [file.name for file in version_1.parent.glob("*.corrupt*")] == []


def test_a_new_ledger_is_of_the_newest_version(tmp_path, next_version):
    with Ledger.open(tmp_path / "l") as ledger:
        ledger._database.execute("SELECT note FROM destinations")
    assert version_of(tmp_path / "l") == len(next_version)


def test_an_older_ledger_can_be_read_without_being_changed(version_1, next_version):
    before = version_1.read_bytes()
    assert is_version_1(version_1)
    assert version_1.read_bytes() == before


def test_an_update_that_fails_half_way_leaves_the_version_before(version_1, next_version, monkeypatch):
    broken = (*next_version[:-1], next_version[-1] + "INSERT INTO nowhere VALUES (1);")
    with monkeypatch.context() as patch:
        patch.setattr(ledger_file, "SCRIPTS", broken)
        with pytest.raises(UsageError):
            Ledger.open(version_1)
    assert version_of(version_1) == 1
    assert is_version_1(version_1)
    with Ledger.open(version_1) as ledger:
        assert ledger.count() == 3


def test_a_ledger_whose_creation_was_cut_off_reads_as_empty(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"SQLite format 3\0" + bytes(4080))
    path.with_name("ledger.sqlite3-journal").write_bytes(bytes(512))
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.count() == 0


def test_a_ledger_without_its_tables_is_damaged(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    Ledger.open(path).close()
    database = sqlite3.connect(path)
    database.execute("DROP TABLE delivered")
    database.close()
    with Ledger.open(path) as ledger, pytest.raises(DamagedLedgerError):
        ledger.count()


def test_a_ledger_is_set_aside_under_a_name_that_is_free(tmp_path):
    names = set()
    for _ in range(3):
        Ledger.open(tmp_path / "l").close()
        names.add(set_aside(tmp_path / "l").name)
    assert len(names) == 3


def test_a_ledger_in_use_is_not_set_aside(tmp_path):
    with Ledger.open(tmp_path / "l"), pytest.raises(UsageError, match="in use"):
        set_aside(tmp_path / "l")
    assert (tmp_path / "l").exists()


def test_a_full_check_finds_what_no_lookup_touched(tmp_path):
    path = tmp_path / "l"
    with Ledger.open(path) as ledger:
        ledger.record(ledger.destination_id(HOST, KEY), [str(uuid.uuid4()) for _ in range(5000)], 1)
        ledger.check()
    content = path.read_bytes()
    path.write_bytes(content[:-4096] + b"\xff" * 4096)
    with Ledger.open(path, read_only=True) as ledger, pytest.raises(DamagedLedgerError):
        ledger.check()
