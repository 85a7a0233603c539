"""The two clocks of a session file, both as milliseconds since the epoch (UTC)."""

from __future__ import annotations

import math
from datetime import UTC, datetime

Timestamp = str | int | float | None
"""ISO 8601 text (entries) or milliseconds since the epoch (messages)."""

DAY_MS = 24 * 3_600_000
LATEST_MS = 253_402_128_000_000  # two days before the end of 9999: past it, Python knows no local time


def to_ms(timestamp: Timestamp) -> int | None:
    """Read the milliseconds since the epoch from an entry's ISO text or a message's number.

    Example:
        >>> to_ms("2026-09-21T14:13:20.123Z")
        1790000000123

    Returns:
        None for a text that is no date, a number that is no moment from 1970 to the end of 9999, or
        no value.
    """
    if type(timestamp) is int and 0 < timestamp <= LATEST_MS:
        return timestamp
    if isinstance(timestamp, str):
        try:
            moment = datetime.fromisoformat(timestamp)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            ms = round(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            return None
    elif isinstance(timestamp, (int, float)) and 0 < timestamp <= LATEST_MS:
        ms = int(timestamp)
    else:
        return None
    return ms if 0 < ms <= LATEST_MS else None


def to_rfc3339(ms: int) -> str:
    """Write milliseconds since the epoch as a text.

    Example:
        >>> to_rfc3339(1_790_000_000_123)
        '2026-09-21T14:13:20.123Z'
    """
    return f"{datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19]}.{ms % 1000:03d}Z"


def check_duration(ms: float | None) -> float | None:
    """Return a duration that pi measured, in ms; None where it is negative, infinite or not a number."""
    return ms if ms is not None and math.isfinite(ms) and ms >= 0 else None
