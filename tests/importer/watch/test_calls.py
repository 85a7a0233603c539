from __future__ import annotations

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from importer.settings import Settings
from importer.watch.calls import Today
from importer.watch.tail import Tail
from parsers.records import Generation
from tests.session_writer import SessionWriter

BERLIN = ZoneInfo("Europe/Berlin")


class Clock:
    def __init__(self, *now: int) -> None:
        self.now = datetime(*now, tzinfo=BERLIN)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def _berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def call(tmp_path):
    """Gives a call of 120 tokens that ended at a time."""
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    (record,) = Tail(story.path, Settings()).read()
    assert isinstance(record, Generation)

    def at(when: datetime, name: str = "") -> Generation:
        return replace(record, id=name or str(when), end_ms=round(when.timestamp() * 1000))

    return at


def test_calls_of_today_are_counted_once(call):
    clock = Clock(2026, 11, 23, 12)
    today = Today(clock)
    for _ in range(2):
        today.note(call(clock.now))
    today.note(call(clock.now - timedelta(hours=2)))
    assert today.totals[:2] == (2, 240)
    assert today.totals.cost_usd == pytest.approx(2 * (100 * 3e-6 + 20 * 15e-6))


def test_other_days_do_not_count(call):
    clock = Clock(2026, 11, 23, 12)
    today = Today(clock)
    for days in (-1, 1):
        today.note(call(clock.now + timedelta(days=days)))
    assert today.totals.calls == 0


def test_a_new_day_begins_at_midnight_without_a_call(call):
    clock = Clock(2026, 11, 23, 23, 59)
    today = Today(clock)
    today.note(call(clock.now))
    today.turn()
    assert today.totals.calls == 1
    clock.now += timedelta(minutes=2)
    today.turn()
    assert today.totals == (0, 0, 0.0)
    today.note(call(clock.now))
    assert today.totals.calls == 1


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)])
def test_a_day_on_which_the_clocks_change_is_counted_whole(call, day):
    clock = Clock(day.year, day.month, day.day, 23, 30)
    today = Today(clock)
    for hour in (0, 1, 4, 23):
        today.note(call(day.replace(hour=hour, minute=15)))
    assert today.totals.calls == 4
    today.note(call(day.replace(hour=0) - timedelta(minutes=1)))
    today.note(call(day.replace(hour=0) + timedelta(days=1)))
    assert today.totals.calls == 4
