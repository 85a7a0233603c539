"""``--since`` and ``--until`` take dates, times and ages, and refuse all else with one line."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from importer.errors import UsageError
from importer.selection import check_period, parse_since, parse_until

NOW = datetime(2026, 11, 10, 12, 30, tzinfo=UTC)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    """Run in a zone with summer time (written out, so that no time zone data are needed)."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", "2026-11-01T00:00+01:00"),
        ("2026-07-01", "2026-07-01T00:00+02:00"),
        ("2026-11-01T10:00", "2026-11-01T10:00+01:00"),
        ("2026-07-01 10:00:30", "2026-07-01T10:00:30+02:00"),
        ("2026-11-01T10:00Z", "2026-11-01T10:00+00:00"),
        ("2026-11-01T10:00:00.5-03:30", "2026-11-01T10:00:00.500-03:30"),
        ("today", "2026-11-10T00:00+01:00"),
        ("Yesterday", "2026-11-09T00:00+01:00"),
        (" 30m ", "2026-11-10T12:00+00:00"),
        ("24h", "2026-11-09T12:30+00:00"),
        ("7d", "2026-11-03T12:30+00:00"),
        ("2w", "2026-10-27T12:30+00:00"),
    ],
)
def test_since_takes_dates_times_words_and_ages(text, expected):
    assert parse_since(text, NOW) == ms(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", "2026-11-02T00:00+01:00"),
        ("today", "2026-11-11T00:00+01:00"),
        ("yesterday", "2026-11-10T00:00+01:00"),
        ("2026-11-01T10:00", "2026-11-01T10:00+01:00"),
        ("7d", "2026-11-03T12:30+00:00"),
    ],
)
def test_until_takes_a_day_whole(text, expected):
    assert parse_until(text, NOW) == ms(expected)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-01", 24)])
def test_a_day_is_as_long_as_the_clock_makes_it(day, hours):
    assert parse_until(day, NOW) - parse_since(day, NOW) == timedelta(hours=hours) / timedelta(milliseconds=1)


def test_today_is_the_local_day_of_now():
    late = datetime(2026, 11, 10, 23, 30, tzinfo=UTC)

    assert parse_since("today", late) == ms("2026-11-11T00:00+01:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "7",
        "7y",
        "7 d",
        "-7d",
        "1.5h",
        "\u0667d",
        "99999999999d",
        "999999999w",
        "2026-13-01",
        "2026-02-30",
        "0000-01-01",
        "20261101",
        "2026-11-01T25:00",
        "2026-11-01T10",
        "2026-W10-1",
        "2026-11-01\n2026",
        "x" * 100_000,
    ],
)
def test_anything_else_is_named_with_its_flag_and_what_is_allowed(text):
    for parse, flag in ((parse_since, "--since"), (parse_until, "--until")):
        with pytest.raises(UsageError) as caught:
            parse(text, NOW)
        line = str(caught.value)
        assert line.startswith(f"{flag} is {repr(text)[:12]}")
        assert "2026-11-01" in line
        assert "7d" in line
        assert line.isprintable()
        assert len(line) < 300


def test_the_last_day_there_is_does_not_crash():
    with pytest.raises(UsageError):
        parse_until("9999-12-31", NOW)


def test_a_present_without_a_time_zone_is_the_callers_mistake():
    with pytest.raises(ValueError, match="time zone"):
        parse_since("7d", NOW.replace(tzinfo=None))


def test_a_period_with_room_is_accepted():
    check_period(None, None)
    check_period(1, None)
    check_period(None, 1)
    check_period(1, 2)


def test_since_and_until_on_the_same_day_have_room():
    check_period(parse_since("2026-11-01", NOW), parse_until("2026-11-01", NOW))


def test_since_after_until_is_refused_and_both_are_shown():
    with pytest.raises(UsageError) as caught:
        check_period(parse_since("2026-11-02", NOW), parse_until("2026-11-01", NOW))

    assert "--since (2026-11-02 00:00 +0100)" in str(caught.value)
    assert "--until" in str(caught.value)
    assert "\n" not in str(caught.value)
