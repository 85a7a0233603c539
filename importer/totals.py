"""Totals of tokens and dollars: one function over one frame with a row an event.

This is the only place where tokens and dollars are added. It imports pandas when it is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
SUMS = (*TOKENS, "cost_usd")
CONTEXTS = ("full", "turn", "new")
COUNTS = {"generations": "generation", "spans": "span", "runs": "run", "traces": "trace"}

_ADDED = ("prompts", *TOKENS, "total_tokens", "cost_usd", *CONTEXTS, "delivered")
_UNPRICED = "unpriced_calls"
_DIGITS = 12  # of a dollar that are kept: the order of adding never shows
_MOST = 2**63 - 1


class TraceTotals(NamedTuple):
    """Sums over the generations of a trace: tokens, and US dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0


def totals(frame: pd.DataFrame, by: str | Sequence[str] = ()) -> pd.DataFrame:
    """Add up a frame in groups.

    Args:
        frame: a row an event, as `importer.read_events` or `importer.read_generations` give it. Every column
            that it lacks is left out of the result.
        by: the names of one or more columns, such as ``"trace_id"``, ``"session"``, ``"project"``,
            ``"model"`` or ``"day"`` (local dates, made of ``ended_at`` where the frame has none). Without
            any, the result has one row.

    Returns:
        A row a group, sorted by its keys, which are its first columns. Then ``events`` (rows of the frame),
        ``generations``, ``spans``, ``runs`` and ``traces`` (where there is a ``kind``), ``prompts``, the
        token columns (int64; Python ints where a sum is beyond 64 bits), ``cost_usd`` (US dollars, rounded
        to 1e-12 after adding), the bytes by input context, ``delivered`` (how many events are), and
        ``unpriced_calls`` (how many have a cost that is not known, and not in the sum; where there is a
        ``cost_basis``).

    Raises:
        KeyError: the frame has no such column.

    Example:
        >>> calls = importer.read_generations(importer.find_sessions())
        >>> importer.totals(calls, by=["project", "model"]).sort_values("cost_usd").tail(3)
    """
    import pandas as pd

    keys = [by] if isinstance(by, str) else list(by)
    if "day" in keys and "day" not in frame and "ended_at" in frame:
        frame = frame.assign(day=local_days(frame["ended_at"]))
    values: dict[str, Any] = {key: frame[key] for key in keys}
    if "kind" in frame:
        values |= {name: frame["kind"] == kind for name, kind in COUNTS.items()}
    values |= {name: _summable(frame[name]) for name in _ADDED if name in frame}
    if "cost_basis" in frame:
        values[_UNPRICED] = frame["cost_basis"] == "unpriced"
    added = [name for name in values if name not in keys]
    rows = pd.DataFrame(values, index=frame.index, copy=False)
    if keys:
        groups = rows.groupby(keys, sort=True, observed=True, dropna=False)
        # Column by column: all of them at once would be copied.
        sums = pd.DataFrame({"events": groups.size(), **{name: groups[name].sum() for name in added}})
        sums = sums.reset_index()
        for key in keys:
            if isinstance(sums[key].dtype, pd.CategoricalDtype):
                sums[key] = sums[key].astype(sums[key].cat.categories.dtype)
    else:
        sums = pd.DataFrame({"events": [len(rows)], **{name: [rows[name].sum()] for name in added}})
    for name in added:
        if name == "cost_usd":
            sums[name] = [round(float(cost), _DIGITS) for cost in sums[name].tolist()]
        elif sums[name].dtype == bool:  # no rows at all
            sums[name] = sums[name].astype("int64")
    return sums


def trace_totals(sums: pd.DataFrame) -> Iterable[TraceTotals]:
    """Turn the rows of :func:`totals` into tuples of Python numbers."""
    columns = (sums[name].tolist() for name in SUMS)
    return map(TraceTotals, *columns)


def local_days(moments: pd.Series[Any]) -> pd.Series[Any]:
    """Return the local dates of moments (datetimes in UTC), as ``2026-11-23``."""
    import pandas as pd

    from importer.selection import local_day

    # Every time zone's midnight is at a quarter of an hour.
    quarters = moments.dt.floor("15min")
    days = {each: local_day(round(each.timestamp() * 1000)) for each in quarters.drop_duplicates()}
    named: pd.Series[Any] = quarters.map(days).astype(pd.CategoricalDtype(sorted(set(days.values()))))
    return named


def _summable(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the numbers as Python ints if their sum may not fit: damaged files hold numbers of any size."""
    if column.dtype.kind not in "iu" or column.empty:
        return column
    largest = max(int(column.max()), -int(column.min()))
    return column if largest * len(column) <= _MOST else column.astype("object")
