"""A usage block as the tokens and dollars that pi adds up."""

from __future__ import annotations

from math import inf, isclose
from typing import NamedTuple

from msgspec import Struct, field

MOST_TOKENS = 2**53  # from here on JavaScript, which wrote the number, cannot count by one

_MOST = float(MOST_TOKENS)


class Cost(Struct, rename="camel", gc=False):
    """US dollars of one model call, by kind of token; the provider may have said what the total was."""

    input: float = 0.0
    output: float = 0.0
    cache_read: float = 0.0
    cache_write: float = 0.0
    total: float | None = None
    total_from_provider: bool | None = None


class UsageBlock(Struct, rename="camel"):
    """Tokens of one model call.

    ``input`` leaves cached tokens out; ``reasoning`` is inside ``output``, ``cache_write_1h`` inside
    ``cache_write``.
    """

    input: float = 0.0
    output: float = 0.0
    cache_read: float = 0.0
    cache_write: float = 0.0
    cache_write_1h: float | None = field(default=None, name="cacheWrite1h")
    reasoning: float | None = None
    reasoning_tokens: float | None = None
    total_tokens: float | None = None
    cost: Cost | None = None


class Usage(NamedTuple):
    """Tokens, and US dollars, of one model call.

    ``input_tokens`` leaves cached tokens out; ``reasoning_tokens`` are part of ``output_tokens``
    (pi's ``message-types.md``, "Usage"). ``cache_write_1h_tokens``, which the provider keeps for an hour, are
    part of ``cache_write_tokens``; None where pi recorded none. ``billed`` tells whether the cost is what the
    provider said that it charged.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    total_tokens: int = 0
    reasoning_tokens: int | None = None
    cost_usd: float = 0.0
    input_cost_usd: float = 0.0
    output_cost_usd: float = 0.0
    cache_write_1h_tokens: int | None = None
    billed: bool = False


NO_USAGE = Usage()


def read_usage(block: UsageBlock | None) -> Usage:
    """Read the tokens and the cost from a usage block; zeros where there is none.

    Example:
        >>> read_usage(UsageBlock(input=3, output=4)).total_tokens
        7

    Version 1 files have no total of tokens: it is their sum. ``input_cost_usd`` holds the cost of cached
    tokens, too, so that input and output add up to the total that pi recorded.
    """
    if block is None:
        return NO_USAGE
    given, answered, read, written = block.input, block.output, block.cache_read, block.cache_write
    tokens = (
        int(given) if -_MOST < given < _MOST else 0,
        int(answered) if -_MOST < answered < _MOST else 0,
        int(read) if -_MOST < read < _MOST else 0,
        int(written) if -_MOST < written < _MOST else 0,
    )
    total_tokens = sum(tokens) if block.total_tokens is None else _whole(block.total_tokens)
    reasoning_tokens = None if block.reasoning is None else _whole(block.reasoning)
    written_1h = None if block.cache_write_1h is None else min(_whole(block.cache_write_1h), tokens[3])
    cost = block.cost
    if cost is None:
        return Usage(*tokens, total_tokens, reasoning_tokens, cache_write_1h_tokens=written_1h)
    output_cost = _finite(cost.output)
    prompt_cost = _finite(cost.input) + _finite(cost.cache_read) + _finite(cost.cache_write)
    total_cost = prompt_cost + output_cost if cost.total is None else _finite(cost.total)
    if not isclose(prompt_cost + output_cost, total_cost, rel_tol=1e-9, abs_tol=1e-12):
        # the total is what pi reports; the parts must not contradict it
        output_cost = min(output_cost, total_cost)
        prompt_cost = total_cost - output_cost
    costs = total_cost, prompt_cost, output_cost
    billed = cost.total_from_provider is True
    return Usage(*tokens, total_tokens, reasoning_tokens, *costs, written_1h, billed)


def _finite(number: float) -> float:
    return number if -inf < number < inf else 0.0


def _whole(number: float) -> int:
    return int(number) if -_MOST < number < _MOST else 0
