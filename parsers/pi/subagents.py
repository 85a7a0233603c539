"""What session files say of subagents: agents that a tool of another agent started.

Source: the sessions that the extensions pi-subagents (0.34.0 to 0.67.0) and @tintinweb/pi-subagents (0.14.1)
write with pi 0.87.1. pi itself knows no subagents.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from parsers.counting.lazy import value_of
from parsers.pi import entries as e
from parsers.usage import MOST_TOKENS, Usage, usage_of

_ROUNDING_USD = 1e-9

_NAMES = (
    re.compile(r"subagent-(.+)-([0-9a-f]{8}(?:(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?)(?:-\d+)?"),
    re.compile(r"([\w.-]+)#([0-9a-f]{8})"),
)


class Subagent(NamedTuple):
    """A subagent's name, and the id of its run, if the tool that started it may know it by that."""

    name: str
    run_id: str


def subagent_of(session_name: str | None) -> Subagent | None:
    """Who the extensions named a session after; None for a session that a person named, or nobody.

    ``subagent-<agent>-<run id>-<step>`` is pi-subagents' way, ``<agent>#<run id>`` that of
    @tintinweb/pi-subagents. Both write it before the first prompt.
    """
    for name in _NAMES:
        found = name.fullmatch(session_name or "")
        if found:
            return Subagent(found[1], found[2])
    return None


def usage_of_result(result: e.ToolResultMessage) -> Usage | None:
    """The model work of a tool that no session file holds; None where there is none.

    pi-subagents gives its tool the usage of all its subagents, and lists them in ``details.results``. Those
    with a ``sessionFile`` have recorded their calls there, and money that was spent once counts once.
    """
    if result.usage is None:
        return None
    usage = usage_of(result.usage)
    recorded = [r for r in _results(result.details) if str(r.get("sessionFile")).endswith(".jsonl")]
    if not recorded:
        return usage
    if len(recorded) == len(_results(result.details)):
        return None
    left = _less(usage, recorded)
    return left if any(left[:4]) or left.cost_usd > _ROUNDING_USD else None


def _results(details: Any) -> list[dict[str, Any]]:
    details = value_of(details)
    results = details.get("results") if isinstance(details, dict) else None
    return [r for r in results if isinstance(r, dict)] if isinstance(results, list) else []


def _less(usage: Usage, recorded: list[dict[str, Any]]) -> Usage:
    """The usage without that of the results, which pi-subagents sums up as tokens and dollars."""
    spent = [r["usage"] for r in recorded if isinstance(r.get("usage"), dict)]

    def total(name: str) -> float:
        numbers = (block.get(name) for block in spent)
        return sum(n for n in numbers if isinstance(n, int | float) and abs(n) < MOST_TOKENS)

    names = ("input", "output", "cacheRead", "cacheWrite")
    fresh, output, read, written = (
        max(0, round(count - total(name))) for count, name in zip(usage[:4], names, strict=True)
    )
    cost = max(0.0, usage.cost_usd - total("cost"))
    return Usage(
        fresh, output, read, written, fresh + output + read + written, cost_usd=cost, input_cost_usd=cost
    )
