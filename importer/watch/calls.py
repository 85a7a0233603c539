"""The model calls that a watcher has read, and their totals: of a trace, a session and the current day.

Importing this imports no pandas: the first totals do, and `importer.watch.watcher` at its start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, time, timedelta
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from importer.build.cost import CostRules
from importer.settings import Settings
from importer.totals import SUMS, TraceTotals, totals, trace_totals
from parsers.records import AnyRecord, Generation

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("trace_id", *SUMS, "total_tokens", "cost_basis")
_NO_SETTINGS = Settings()
_Row = tuple[str | int | float, ...]  # a value for each of _COLUMNS


class CallTotals(NamedTuple):
    """Sums over model calls: their number, all their tokens, US dollars, and how many have no known cost."""

    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0


class Calls:
    """Model calls, grouped by trace.

    The sum of one trace adds up all traces that have new calls, in one pass of pandas: 5,000 calls in 1,000
    traces take 7 ms; one by one they would take a second.

    Example:
        >>> calls = Calls()
        >>> calls.add(generation)
        >>> calls.sum_trace(generation.trace_id).cost_usd
        0.0042

    Args:
        settings: they decide on costs that pi did not know.
    """

    def __init__(self, settings: Settings = _NO_SETTINGS) -> None:
        self._costs = CostRules(settings)
        self._rows: dict[str, list[_Row]] = defaultdict(list)
        self._count = 0
        self._changed: dict[str, None] = {}  # traces with calls that no sum holds
        self._trace_sums: dict[str, TraceTotals] = {}
        self._sums = CallTotals()

    def __len__(self) -> int:
        return self._count

    def add(self, call: Generation) -> None:
        """Add one call."""
        usage, trace_id, cost = call.usage, call.trace_id, self._costs.price_call(call)
        self._rows[trace_id].append((trace_id, *usage[:4], cost.usd, usage.total_tokens, cost.basis))
        self._changed[trace_id] = None
        self._count += 1

    def sum_trace(self, trace_id: str) -> TraceTotals:
        """Add up the calls of one trace: tokens, and US dollars. A trace without calls gives zeros."""
        if trace_id in self._changed:
            sums = _sum_rows(chain.from_iterable(map(self._rows.__getitem__, self._changed)), "trace_id")
            self._trace_sums.update(zip(sums["trace_id"].tolist(), trace_totals(sums), strict=True))
            self._changed.clear()
        return self._trace_sums.get(trace_id, TraceTotals())

    def sum_all(self) -> CallTotals:
        """Add up all calls; the result is kept until another call is added."""
        if self._sums.calls != self._count:
            sums = _sum_rows(chain.from_iterable(self._rows.values()))
            added = (sums[name].item() for name in ("total_tokens", "cost_usd", "unpriced_calls"))
            self._sums = CallTotals(self._count, *added)
        return self._sums


class Today:
    """The model calls that ended today, local time; a call that is read twice counts once.

    Args:
        now: returns the current local time.
        settings: they decide on costs that pi did not know.

    Example:
        >>> today = Today()
        >>> today.begin_day()
        >>> for record in records:
        ...     today.add(record)
        >>> today.totals.cost_usd
        1.25
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        settings: Settings = _NO_SETTINGS,
    ) -> None:
        self._now = now
        self._settings = settings
        self._midnight_ms = 0
        self._tomorrow_ms = 0
        self._seen: set[str] = set()
        self._calls = Calls(settings)

    @property
    def totals(self) -> CallTotals:
        """The totals of today's calls."""
        return self._calls.sum_all()

    def add(self, record: AnyRecord) -> None:
        """Add a record if it is a model call that ended today; ignore any other."""
        if not isinstance(record, Generation) or record.end_ms < self._midnight_ms:
            return
        if record.end_ms >= self._tomorrow_ms:
            self.begin_day()
        if record.id in self._seen or not self._midnight_ms <= record.end_ms < self._tomorrow_ms:
            return
        self._seen.add(record.id)
        self._calls.add(record)

    def begin_day(self) -> None:
        """Start from zero if midnight has passed since the last call of this method."""
        now = self._now()
        if self._midnight_ms <= now.timestamp() * 1000 < self._tomorrow_ms:
            return
        midnights = (datetime.combine(now.date() + timedelta(days), time()) for days in (0, 1))
        self._midnight_ms, self._tomorrow_ms = (round(m.astimezone().timestamp() * 1000) for m in midnights)
        self._seen.clear()
        self._calls = Calls(self._settings)


def _sum_rows(rows: Iterable[_Row], by: str | Sequence[str] = ()) -> pd.DataFrame:
    """Add up at least one row with :func:`importer.totals.totals`."""
    import pandas as pd

    return totals(pd.DataFrame(list(rows), columns=list(_COLUMNS)), by)
