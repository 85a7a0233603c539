"""A usage block as the tokens and dollars that pi adds up."""

from __future__ import annotations

import math
from typing import NamedTuple

from parsers.entries import UsageBlock

MOST_TOKENS = 2**53  # from here on JavaScript, which wrote the number, cannot count by one


class Usage(NamedTuple):
    """Tokens, and US dollars, of one model call.

    ``input_tokens`` leaves cached tokens out; ``reasoning_tokens`` are part of ``output_tokens``
    (pi's ``message-types.md``, "Usage").
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


NO_USAGE = Usage()


def usage_of(block: UsageBlock | None) -> Usage:
    """The tokens and cost of a usage block; zeros where there is none.

    Version 1 files have no total of tokens: it is their sum. ``input_cost_usd`` holds the cost of cached
    tokens, too, so that input and output add up to the total that pi recorded.
    """
    if block is None:
        return NO_USAGE
    usage = Usage(
        _whole(block.input), _whole(block.output), _whole(block.cache_read), _whole(block.cache_write)
    )
    usage = usage._replace(
        total_tokens=sum(usage[:4]) if block.total_tokens is None else _whole(block.total_tokens),
        reasoning_tokens=None if block.reasoning is None else _whole(block.reasoning),
    )
    cost = block.cost
    if cost is None:
        return usage
    output_cost = _finite(cost.output)
    prompt_cost = _finite(cost.input) + _finite(cost.cache_read) + _finite(cost.cache_write)
    total_cost = prompt_cost + output_cost if cost.total is None else _finite(cost.total)
    if not math.isclose(prompt_cost + output_cost, total_cost, rel_tol=1e-9, abs_tol=1e-12):
        output_cost = min(output_cost, total_cost)
        prompt_cost = (
            total_cost - output_cost
        )  # the total is what pi reports; the parts must not contradict it
    return usage._replace(cost_usd=total_cost, input_cost_usd=prompt_cost, output_cost_usd=output_cost)


def _finite(number: float) -> float:
    return number if math.isfinite(number) else 0.0


def _whole(number: float) -> int:
    return int(number) if abs(number) < MOST_TOKENS else 0
