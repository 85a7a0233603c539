"""The totals of the current day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta

from parsers.records import AnyRecord, Generation


class Today:
    """Calls, tokens and US dollars of the calls that ended today, each counted once.

    Args:
        now: gives the local time.

    Attributes:
        calls, tokens, cost_usd: the totals.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        self._now = now
        self._midnight_ms = 0
        self._tomorrow_ms = 0
        self._seen: set[str] = set()
        self.calls = 0
        self.tokens = 0
        self.cost_usd = 0.0

    def note(self, record: AnyRecord) -> None:
        """Count a call in, if it is one of today's."""
        if not isinstance(record, Generation) or record.end_ms < self._midnight_ms:
            return
        if record.end_ms >= self._tomorrow_ms:
            self.turn()
        if record.id in self._seen or not self._midnight_ms <= record.end_ms < self._tomorrow_ms:
            return
        self._seen.add(record.id)
        self.calls += 1
        self.tokens += record.usage.total_tokens
        self.cost_usd += record.usage.cost_usd

    def turn(self) -> None:
        """Begin a new day, if it has come."""
        now = self._now()
        if self._midnight_ms <= now.timestamp() * 1000 < self._tomorrow_ms:
            return
        midnights = (datetime.combine(now.date() + timedelta(days), time()) for days in (0, 1))
        self._midnight_ms, self._tomorrow_ms = (round(m.astimezone().timestamp() * 1000) for m in midnights)
        self._seen.clear()
        self.calls, self.tokens, self.cost_usd = 0, 0, 0.0
