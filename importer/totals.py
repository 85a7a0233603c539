"""Totals of traces: sums over their generations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from parsers.records import Generation

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
SUMS = (*TOKENS, "cost_usd")
_BLOCK = 128
_LANES = 8


class TraceTotals(NamedTuple):
    """Sums over the generations of a trace: tokens, and US dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0


class Sums:
    """Adds up the generations of one trace, in their order."""

    __slots__ = ("_costs_usd", "_tokens")

    def __init__(self) -> None:
        self._tokens = (0, 0, 0, 0)
        self._costs_usd: list[float] = []

    def add(self, tokens: Sequence[int], cost_usd: float) -> None:
        """Add a generation: its tokens in the order of :data:`TOKENS`, and its cost in US dollars."""
        given, answered, read, written = self._tokens
        self._tokens = given + tokens[0], answered + tokens[1], read + tokens[2], written + tokens[3]
        self._costs_usd.append(cost_usd)

    @property
    def totals(self) -> TraceTotals:
        """The sums so far."""
        return TraceTotals(*self._tokens, added(self._costs_usd))


def added(costs_usd: Sequence[float]) -> float:
    """The sum of some costs, in US dollars, as numpy's ``add.reduceat`` has it.

    Of an event that was sent not even the last digit may change, with whichever version of whichever library
    (pandas adds otherwise where groups are interleaved, and so does Python's own ``sum`` from 3.12).
    """
    return costs_usd[0] + _pairwise(costs_usd[1:]) if costs_usd else 0.0


def _pairwise(values: Sequence[float]) -> float:
    """Numpy's pairwise sum: eight sums side by side for up to 128 values, halves of more."""
    count = len(values)
    if count > _BLOCK:
        half = count // 2 // _LANES * _LANES
        return _pairwise(values[:half]) + _pairwise(values[half:])
    total, end = 0.0, 0
    if count >= _LANES:
        end = count // _LANES * _LANES
        a, b, c, d, e, f, g, h = (_in_order(values[lane:end:_LANES]) for lane in range(_LANES))
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    return _in_order((total, *values[end:]))


def _in_order(values: Sequence[float]) -> float:
    total = values[0]
    for value in values[1:]:
        total += value
    return total


def model_of(call: Generation) -> str:
    """The model of a call; where pi recorded none, what the call was, in brackets."""
    return call.model or f"({call.name})"
