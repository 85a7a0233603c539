"""Totals of traces as dataframes, from one frame with a row per generation.

pandas is imported where it is used, because it takes a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from parsers.records import Generation

if TYPE_CHECKING:
    import pandas as pd

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
SUMS = (*TOKENS, "cost_usd")


class TraceTotals(NamedTuple):
    """Sums over the generations of a trace: tokens, and US dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0


class GenerationRow(NamedTuple):
    """One generation in the frame.

    ``file`` is the file's place in the import, times are ms since the epoch, ``cost_usd`` is in dollars. A
    call whose start pi did not record starts when it ends.
    """

    file: int
    id: str
    trace_id: str
    model: str
    start_ms: int
    end_ms: int
    prompted: bool
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float


def model_of(call: Generation) -> str:
    """The model of a call; where pi recorded none, what the call was, in brackets."""
    return call.model or f"({call.name})"


def generation_row(file: int, call: Generation) -> GenerationRow:
    """The row of a generation."""
    start_ms = call.end_ms if call.start_ms is None else call.start_ms
    prompted = call.user_prompt is not None
    tokens = call.usage[:4]
    return GenerationRow(
        file,
        call.id,
        call.trace_id,
        model_of(call),
        start_ms,
        call.end_ms,
        prompted,
        *tokens,
        call.usage.cost_usd,
    )


def generation_frame(rows: Iterable[GenerationRow]) -> pd.DataFrame:
    """The frame of generations."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(GenerationRow._fields))


def trace_totals(frame: pd.DataFrame) -> dict[tuple[int, Any], TraceTotals]:
    """The totals of every trace in a frame of generations, by file and trace id."""
    sums = frame.groupby(["file", "trace_id"], sort=False)[list(SUMS)].sum()
    rows = sums.itertuples(index=False, name=None)
    return {
        key: TraceTotals(int(given), int(answered), int(read), int(written), float(cost))
        for key, (given, answered, read, written, cost) in zip(sums.index, rows, strict=True)
    }
