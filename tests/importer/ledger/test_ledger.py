"""The ledger remembers what was recorded, through kills, damage and other processes."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import uuid

import pytest

from importer.errors import LedgerError, UsageError
from importer.ledger.ledger import UNKNOWN_DESTINATION, Ledger
from importer.ledger.ledger_file import SCHEMA_VERSION

HOST = "https://us.i.posthog.com"


def ids(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def child(code: str, path) -> subprocess.Popen[str]:
    """Start a process that has the ledger open for writing and runs `code` with `ledger` and `d`."""
    start = (
        "import sys, uuid\nfrom importer.ledger.ledger import Ledger\n"
        f"ledger = Ledger.open(sys.argv[1])\nd = ledger.destination_id({HOST!r}, 'k')\n"
        "print('ready', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", start + code, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def snapshot(folder):
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}


def test_delivered_events_are_found_after_reopening(tmp_path):
    sent, other = ids(3), ids(2)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        ledger.record(ledger.destination_id(HOST, "k"), sent, 1_700_000_000_000)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        destination = ledger.destination_id(HOST, "k")
        assert ledger.delivered(destination, [*sent, *other]) == set(sent)
        assert ledger.count(destination) == 3


def test_events_are_remembered_per_destination_host_or_at_all(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        us, us_other, eu = (
            ledger.destination_id(host, key)
            for host, key in ((HOST, "a"), (HOST, "b"), ("https://eu.i.posthog.com", "a"))
        )
        one, two, three = ids(3)
        for destination, event in ((us, one), (us_other, two), (eu, three)):
            ledger.record(destination, [event], 1)
        everything = [one, two, three]
        assert ledger.delivered(us, everything) == {one}
        assert ledger.delivered(None, everything, host=HOST + "/") == {one, two}
        assert ledger.delivered(None, everything) == set(everything)
        assert (ledger.count(us), ledger.count()) == (1, 3)


def test_spelling_of_the_host_does_not_make_another_destination(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        spellings = (HOST, HOST + "/", "HTTPS://US.I.PostHog.com", "https://user:pw@us.i.posthog.com")
        assert len({ledger.destination_id(host, "k") for host in spellings}) == 1
        assert ledger.destination_id(HOST + "/proxy", "k") != ledger.destination_id(HOST, "k")


def test_the_key_is_in_the_file_only_as_a_fingerprint(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        ledger.destination_id("https://name:hunter2@example.com", "phc_secret")
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert hashlib.sha256(b"phc_secret").hexdigest()[:16].encode() in content
    assert b"phc_secret" not in content
    assert b"hunter2" not in content


def test_recording_twice_keeps_one_row_and_the_first_time(tmp_path):
    event = ids(1)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        destination = ledger.destination_id(HOST, "k")
        ledger.record(destination, event, 1)
        ledger.record(destination, event, 2)
    with sqlite3.connect(tmp_path / "l.sqlite") as database:
        rows = database.execute("SELECT uuid, delivered_at_ms FROM delivered").fetchall()
    database.close()
    assert rows == [(uuid.UUID(event[0]).bytes, 1)]


def test_a_bad_uuid_records_nothing_of_the_call(tmp_path):
    good = ids(1)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        destination = ledger.destination_id(HOST, "k")
        with pytest.raises(ValueError):
            ledger.record(destination, [*good, "nonsense"], 1)
        assert ledger.count() == 0


def test_asks_about_100_000_events_within_seconds(tmp_path):
    sent, other = ids(100_000), ids(10_000)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        destination = ledger.destination_id(HOST, "k")
        ledger.record(destination, sent, 1)
        began = time.monotonic()
        assert ledger.delivered(destination, [*other, *sent]) == set(sent)
        assert time.monotonic() - began < 5


def test_rows_are_synced_to_disk_before_record_returns(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        pragmas = [
            ledger._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert pragmas == ["wal", 2]


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_only_the_owner_can_read_what_is_created(tmp_path):
    umask = os.umask(0)
    try:
        with Ledger.open(tmp_path / "state" / "l.sqlite") as ledger:
            ledger.record(ledger.destination_id(HOST, "k"), ids(1), 1)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}
    finally:
        os.umask(umask)
    assert set(modes) >= {"l.sqlite", "l.sqlite-wal", "l.sqlite.lock"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_second_writer_is_told_which_process_holds_the_ledger(tmp_path):
    path = tmp_path / "l.sqlite"
    process = child("import time; time.sleep(60)", path)
    try:
        with pytest.raises(UsageError, match=rf"in use by process {process.pid}\b") as refused:
            Ledger.open(path)
        assert "\n" not in str(refused.value)
        with Ledger.open(path, read_only=True) as reader:
            assert reader.destination_id(HOST, "k") != UNKNOWN_DESTINATION
    finally:
        end(process)
    with Ledger.open(path) as ledger:
        assert ledger.count() == 0


def test_a_second_writer_in_the_same_process_is_refused(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger.open(path), pytest.raises(UsageError, match=str(os.getpid())):
        Ledger.open(path)
    Ledger.open(path).close()


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_while_recording_keeps_every_committed_row(tmp_path):
    path = tmp_path / "l.sqlite"
    code = (
        "n = 0\n"
        "while True:\n"
        "    ledger.record(d, [str(uuid.UUID(int=n * 50 + i)) for i in range(50)], n)\n"
        "    n += 1\n"
        "    print(n, flush=True)\n"
    )
    process = child(code, path)
    assert process.stdout is not None
    committed = 0
    while committed < 40:
        committed = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    committed = int(rest.split()[-1]) if rest.split() else committed
    before = snapshot(tmp_path)
    with Ledger.open(path, read_only=True) as reader:
        seen = reader.count()
    assert snapshot(tmp_path) == before
    with Ledger.open(path) as ledger:
        destination = ledger.destination_id(HOST, "k")
        wanted = [str(uuid.UUID(int=n)) for n in range(committed * 50)]
        assert ledger.delivered(destination, wanted) == set(wanted)
        # At most the transaction whose number was not printed any more, and that one whole.
        assert ledger.count(destination) in (committed * 50, committed * 50 + 50)
        assert seen == ledger.count()


def test_reading_a_missing_ledger_is_empty_and_creates_nothing(tmp_path):
    with Ledger.open(tmp_path / "state" / "l.sqlite", read_only=True) as ledger:
        assert ledger.delivered(None, ids(2)) == set()
        assert ledger.count() == 0
        assert ledger.destination_id(HOST, "k") == UNKNOWN_DESTINATION
        assert ledger.delivered(UNKNOWN_DESTINATION, ids(1)) == set()
    assert list(tmp_path.iterdir()) == []


def test_reading_changes_no_file(tmp_path):
    event = ids(1)
    with Ledger.open(tmp_path / "a ?#%b.sqlite") as ledger:
        ledger.record(ledger.destination_id(HOST, "k"), event, 1)
    before = snapshot(tmp_path)
    with Ledger.open(tmp_path / "a ?#%b.sqlite", read_only=True) as reader:
        assert reader.delivered(None, event) == set(event)
        assert reader.destination_id("https://new.example", "k") == UNKNOWN_DESTINATION
        with pytest.raises(ValueError, match="writing"):
            reader.record(1, event, 1)
    assert snapshot(tmp_path) == before


def test_a_reader_sees_what_a_live_writer_committed(tmp_path):
    event = ids(1)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        ledger.record(ledger.destination_id(HOST, "k"), event, 1)
        with Ledger.open(tmp_path / "l.sqlite", read_only=True) as reader:
            assert reader.delivered(None, event) == set(event)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_log_without_its_shm_file_is_left_alone_by_a_reader(tmp_path):
    code = "import os; ledger.record(d, [str(uuid.UUID(int=1))], 1); os.kill(os.getpid(), 9)"
    child(code, tmp_path / "l").communicate()
    (tmp_path / "l-shm").unlink()
    assert (tmp_path / "l-wal").stat().st_size > 0
    before = snapshot(tmp_path)
    with Ledger.open(tmp_path / "l", read_only=True) as reader:
        assert reader.count() == 0
    assert snapshot(tmp_path) == before
    with Ledger.open(tmp_path / "l") as ledger:
        assert ledger.count() == 1


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_no_database_is_named_in_one_line_and_left_alone(tmp_path, read_only):
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"this is not a database\n" * 100)
    with pytest.raises(UsageError) as refused:
        Ledger.open(path, read_only=read_only)
    message = str(refused.value)
    assert str(path) in message
    assert "move it away" in message
    assert "\n" not in message
    assert path.read_bytes() == b"this is not a database\n" * 100


def test_a_ledger_damaged_in_the_middle_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "l.sqlite"
    sent = ids(5000)
    with Ledger.open(path) as ledger:
        ledger.record(ledger.destination_id(HOST, "k"), sent, 1)
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xff" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    with Ledger.open(path) as ledger, pytest.raises(UsageError, match="damaged"):
        ledger.delivered(None, sent)


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE t (x)")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another program"):
        Ledger.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_ledger_is_refused_in_one_line(tmp_path, read_only):
    path = tmp_path / "l.sqlite"
    Ledger.open(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    with pytest.raises(UsageError, match="newer pi2posthog") as refused:
        Ledger.open(path, read_only=read_only)
    assert "\n" not in str(refused.value)


def test_an_empty_file_becomes_a_ledger(tmp_path):
    path = tmp_path / "l.sqlite"
    path.touch()
    with Ledger.open(path, read_only=True) as reader:
        assert reader.count() == 0
    with Ledger.open(path) as ledger:
        assert ledger.destination_id(HOST, "k") == 1


def test_a_folder_is_no_ledger(tmp_path):
    with pytest.raises(UsageError, match="folder"):
        Ledger.open(tmp_path)


def test_a_place_that_cannot_be_written_gives_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LedgerError, match="cannot be used") as refused:
        Ledger.open(tmp_path / "file" / "l.sqlite")
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_gives_one_line(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(LedgerError, match="permissions"):
            Ledger.open(tmp_path / "l.sqlite")
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_gives_one_line_and_keeps_what_was_recorded(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        destination = ledger.destination_id(HOST, "k")
        ledger.record(destination, ids(10), 1)
        # SQLite's own limit gives the same error as a full disk.
        ledger._database.execute("PRAGMA max_page_count = 6")
        with pytest.raises(LedgerError, match="full"):
            ledger.record(destination, ids(5000), 1)
        assert ledger.count() == 10
