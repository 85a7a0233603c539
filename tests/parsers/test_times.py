"""The two clocks of a session file: ISO text in entries, milliseconds in messages."""

import time
from typing import Any

import pytest

from parsers.times import to_ms, to_rfc3339


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-23T10:33:17.047Z",
        "2026-11-23T10:33:17.047+00:00",
        "2026-11-23T12:33:17.047+02:00",
        1795429997047,
        1795429997047.0,
        1795429997047.9,
    ],
)
def test_one_moment_has_many_spellings(timestamp: Any) -> None:
    assert to_ms(timestamp) == 1795429997047


def test_a_text_without_a_zone_is_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert to_ms("2026-11-23T10:33:17.047") == 1795429997047
        assert to_rfc3339(1795429997047) == "2026-11-23T10:33:17.047Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "timestamp",
    [
        None,
        "",
        "soon",
        "2026-13-01",
        "0001-01-01T00:00:00+14:00",
        0,
        -5,
        10**15,
        10**400,
        float("nan"),
        float("inf"),
    ],
)
def test_what_is_no_moment_has_no_milliseconds(timestamp: Any) -> None:
    assert to_ms(timestamp) is None


@pytest.mark.parametrize("ms", [1, 999, 1000, 1795429997047, 253_402_128_000_000])
def test_a_moment_is_written_to_the_millisecond_and_read_back(ms: int) -> None:
    assert to_ms(to_rfc3339(ms)) == ms
    assert to_rfc3339(ms).endswith("Z")
