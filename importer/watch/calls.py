"""The model calls that a watcher has read, and their totals: of a trace, a session, the current day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, time, timedelta
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from importer.totals import SUMS, TraceTotals, totals, trace_totals
from parsers.records import AnyRecord, Generation

if TYPE_CHECKING:
    import pandas as pd

_Row = tuple[int | float, ...]
_COLUMNS = (*SUMS, "total_tokens")


class CallTotals(NamedTuple):
    """Sums over calls: how many they are, all their tokens, and US dollars."""

    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


class Calls:
    """Model calls, by trace.

    Example:
        >>> calls = Calls()
        >>> calls.add(generation)
        >>> calls.sum_trace(generation.trace_id).cost_usd
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[_Row]] = defaultdict(list)
        self._count = 0
        self._sums = CallTotals()

    def __len__(self) -> int:
        return self._count

    def add(self, call: Generation) -> None:
        """Take in one more call."""
        usage = call.usage
        self._rows[call.trace_id].append((*usage[:4], usage.cost_usd, usage.total_tokens))
        self._count += 1

    def sum_trace(self, trace_id: str) -> TraceTotals:
        """Add up the calls of a trace: tokens, and US dollars."""
        (sums,) = trace_totals(_add_up(self._rows.get(trace_id, ())))
        return sums

    def sum_all(self) -> CallTotals:
        """Add up all calls."""
        if self._sums.calls != self._count:
            sums = _add_up(chain.from_iterable(self._rows.values())).iloc[0]
            self._sums = CallTotals(self._count, int(sums["total_tokens"]), float(sums["cost_usd"]))
        return self._sums


def _add_up(rows: Iterable[_Row]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=list(_COLUMNS))
    return totals(frame if len(frame) else frame.astype("int64"))


class Today:
    """The calls that ended today, each counted once.

    Args:
        now: gives the local time.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        self._now = now
        self._midnight_ms = 0
        self._tomorrow_ms = 0
        self._seen: set[str] = set()
        self._calls = Calls()

    @property
    def totals(self) -> CallTotals:
        """Their totals."""
        return self._calls.sum_all()

    def note(self, record: AnyRecord) -> None:
        """Count a call in, if it is one of today's."""
        if not isinstance(record, Generation) or record.end_ms < self._midnight_ms:
            return
        if record.end_ms >= self._tomorrow_ms:
            self.turn()
        if record.id in self._seen or not self._midnight_ms <= record.end_ms < self._tomorrow_ms:
            return
        self._seen.add(record.id)
        self._calls.add(record)

    def turn(self) -> None:
        """Begin a new day, if it has come."""
        now = self._now()
        if self._midnight_ms <= now.timestamp() * 1000 < self._tomorrow_ms:
            return
        midnights = (datetime.combine(now.date() + timedelta(days), time()) for days in (0, 1))
        self._midnight_ms, self._tomorrow_ms = (round(m.astimezone().timestamp() * 1000) for m in midnights)
        self._seen.clear()
        self._calls = Calls()
