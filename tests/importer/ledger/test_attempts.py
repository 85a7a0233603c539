"""What the ledger knows of what was tried: when a person was first named, and requests without an answer."""

from __future__ import annotations

import uuid

import pytest

from importer.errors import LedgerError
from importer.ledger.attempts import FRESH_MS, KEPT_MS, UnderWay, date_identify, find_unanswered, has_history
from importer.ledger.ledger import Ledger
from tests.importer.ledger.test_ledger_schema import SENT, version_1

__all__ = ["version_1"]  # a fixture

HOST, KEY = "https://us.i.posthog.com", "phc_test"
NOW_MS = 1_795_446_000_000
PERSON, *EVENTS = (str(uuid.UUID(int=n)) for n in range(100, 110))


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite3") as ledger:
        yield ledger


@pytest.fixture
def destination(ledger):
    return ledger.destination_id(HOST, KEY)


def test_an_identify_event_is_dated_now_at_first_and_the_same_on_every_resend(ledger, destination):
    assert date_identify(ledger, destination, PERSON, NOW_MS) == NOW_MS
    assert date_identify(ledger, destination, PERSON, NOW_MS + FRESH_MS) == NOW_MS
    assert date_identify(ledger, destination, EVENTS[0], NOW_MS + 5) == NOW_MS + 5, "another person"
    assert date_identify(ledger, destination + 1, PERSON, NOW_MS + 7) == NOW_MS + 7, "another project"


def test_its_date_outlives_the_process(tmp_path):
    for moment in (NOW_MS, NOW_MS + 60_000):
        with Ledger.open(tmp_path / "l") as ledger:
            destination = ledger.destination_id(HOST, KEY)
            assert date_identify(ledger, destination, PERSON, moment) == NOW_MS


def test_an_attempt_that_nobody_took_within_a_day_is_dated_anew(ledger, destination):
    date_identify(ledger, destination, PERSON, NOW_MS)
    later_ms = NOW_MS + FRESH_MS + 1
    assert date_identify(ledger, destination, PERSON, later_ms) == later_ms
    ledger.record(destination, [PERSON], later_ms)
    assert date_identify(ledger, destination, PERSON, later_ms + 90 * FRESH_MS) == later_ms


def test_a_date_in_the_future_is_not_kept(ledger, destination):
    """The clock was wrong when it was written."""
    date_identify(ledger, destination, PERSON, NOW_MS + 10**9)
    assert date_identify(ledger, destination, PERSON, NOW_MS) == NOW_MS


def test_what_is_under_way_when_the_process_ends_is_known_to_the_next_one(tmp_path):
    with Ledger.open(tmp_path / "l") as ledger:
        destination = ledger.destination_id(HOST, KEY)
        under_way = UnderWay(ledger, destination)
        settle = under_way.begin(EVENTS[:2])
        under_way.begin(EVENTS[2:5])
        settle()
    with Ledger.open(tmp_path / "l", read_only=True) as ledger:
        assert find_unanswered(ledger, destination) == set(EVENTS[2:5])
        assert find_unanswered(ledger, destination + 1) == set()


def test_events_that_are_delivered_later_are_in_doubt_no_more(ledger, destination):
    under_way = UnderWay(ledger, destination)
    under_way.begin(EVENTS[:3])
    under_way.begin(EVENTS[3:4])
    ledger.record(destination, EVENTS[:2], NOW_MS)
    under_way.forget_delivered()
    assert find_unanswered(ledger, destination) == {EVENTS[2], EVENTS[3]}
    ledger.record(destination, EVENTS[2:4], NOW_MS)
    under_way.forget_delivered()
    assert ledger.run("SELECT * FROM under_way") == []


def test_after_30_days_nothing_is_in_doubt(ledger, destination, monkeypatch):
    under_way = UnderWay(ledger, destination)
    monkeypatch.setattr("importer.ledger.attempts.time.time", lambda: NOW_MS / 1000)
    under_way.begin(EVENTS[:1])
    monkeypatch.setattr("importer.ledger.attempts.time.time", lambda: (NOW_MS + KEPT_MS - 1) / 1000)
    under_way.begin(EVENTS[1:2])
    under_way.forget_delivered()
    assert find_unanswered(ledger, destination) == set(EVENTS[:2])
    monkeypatch.setattr("importer.ledger.attempts.time.time", lambda: (NOW_MS + KEPT_MS + 1000) / 1000)
    assert find_unanswered(ledger, destination) == {EVENTS[1]}
    under_way.forget_delivered()
    assert len(ledger.run("SELECT * FROM under_way")) == 1


def test_a_ledger_has_a_history_once_anything_was_sent(ledger, destination):
    assert not has_history(ledger, destination)
    settle = UnderWay(ledger, destination).begin(EVENTS[:1])
    assert has_history(ledger, destination)
    settle()
    assert not has_history(ledger, destination)
    ledger.record(destination, EVENTS[:1], NOW_MS)
    assert has_history(ledger, destination)
    assert not has_history(ledger, destination + 1)


def test_a_note_that_cannot_be_written_ends_nothing(ledger, destination, monkeypatch):
    def fail(*_):
        raise LedgerError("the disk is full")

    monkeypatch.setattr(ledger, "run", fail)
    under_way = UnderWay(ledger, destination)
    under_way.begin(EVENTS[:1])()
    under_way.forget_delivered()


def test_an_older_ledger_that_is_only_read_knows_of_no_attempts(version_1):
    with Ledger.open(version_1, read_only=True) as ledger:
        assert find_unanswered(ledger, 1) == set()
    with Ledger.open(version_1) as ledger:
        assert has_history(ledger, 1)
        assert find_unanswered(ledger, 1) == set()
        assert ledger.delivered(1, SENT) == set(SENT)
