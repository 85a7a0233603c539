from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from importer.settings import Settings
from importer.watch.calls import Calls, Today
from importer.watch.tail import Tail
from parsers.records import Generation
from tests.command import ROOT
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
    """Make a call of 120 tokens that ended at a given time."""
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    (record,) = Tail(story.path, Settings()).read()
    assert isinstance(record, Generation)

    def at(when: datetime, name: str = "") -> Generation:
        return replace(record, id=name or str(when), end_ms=round(when.timestamp() * 1000))

    return at


def test_a_trace_adds_up_its_own_calls_and_a_trace_without_calls_is_zero(call):
    calls = Calls()
    for trace_id in ("a", "a", "b"):
        calls.add(replace(call(datetime.now(BERLIN)), trace_id=trace_id))
    assert calls.sum_trace("a")[:4] == (200, 40, 0, 0)
    assert calls.sum_trace("a").cost_usd == pytest.approx(2 * (100 * 3e-6 + 20 * 15e-6))
    assert calls.sum_trace("none") == (0, 0, 0, 0, 0.0)
    assert calls.sum_all()[:2] == (len(calls), 360) == (3, 360)


def test_a_call_that_comes_after_the_sum_of_its_trace_is_in_the_next_sum(call):
    calls = Calls()
    for trace_id, input_tokens in (("a", 100), ("b", 100), ("a", 200)):
        for each in (trace_id, "open"):
            calls.add(replace(call(datetime.now(BERLIN)), trace_id=each))
        assert calls.sum_trace(trace_id).input_tokens == input_tokens
    assert calls.sum_trace("open").input_tokens == 300


def test_tokens_beyond_64_bits_add_up_exactly(call):
    calls = Calls()
    usage = call(datetime.now(BERLIN)).usage._replace(input_tokens=2**62 + 1, total_tokens=2**62 + 1)
    for _ in range(4):
        calls.add(replace(call(datetime.now(BERLIN)), trace_id="a", usage=usage))
    assert calls.sum_trace("a").input_tokens == calls.sum_all().tokens == 2**64 + 4


def test_pandas_is_there_when_the_watcher_starts_and_not_before(tmp_path):
    script = (
        "import pathlib, sys, importer.commands.watch\n"
        "assert 'pandas' not in sys.modules\n"
        "from tests.rig import Rig\n"
        f"Rig(pathlib.Path({str(tmp_path)!r}))\n"
        "assert 'pandas' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_call_that_is_read_twice_counts_once_today(call):
    clock = Clock(2026, 11, 23, 12)
    today = Today(clock)
    for _ in range(2):
        today.add(call(clock.now))
    today.add(call(clock.now - timedelta(hours=2)))
    assert today.totals[:2] == (2, 240)
    assert today.totals.cost_usd == pytest.approx(2 * (100 * 3e-6 + 20 * 15e-6))


def test_calls_of_other_days_do_not_count(call):
    clock = Clock(2026, 11, 23, 12)
    today = Today(clock)
    for days in (-1, 1):
        today.add(call(clock.now + timedelta(days=days)))
    assert today.totals.calls == 0


def test_at_midnight_the_totals_start_from_zero_even_without_a_call(call):
    clock = Clock(2026, 11, 23, 23, 59)
    today = Today(clock)
    today.add(call(clock.now))
    today.begin_day()
    assert today.totals.calls == 1
    clock.now += timedelta(minutes=2)
    today.begin_day()
    assert today.totals == (0, 0, 0.0, 0)
    today.add(call(clock.now))
    assert today.totals.calls == 1


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)])
def test_a_day_on_which_the_clocks_change_counts_from_midnight_to_midnight(call, day):
    clock = Clock(day.year, day.month, day.day, 23, 30)
    today = Today(clock)
    for hour in (0, 1, 4, 23):
        today.add(call(day.replace(hour=hour, minute=15)))
    assert today.totals.calls == 4
    today.add(call(day.replace(hour=0) - timedelta(minutes=1)))
    today.add(call(day.replace(hour=0) + timedelta(days=1)))
    assert today.totals.calls == 4
