"""What session files say of subagents: agents that a tool of another agent started.

Source: the sessions that the extensions pi-subagents (0.34.0 to 0.67.0) and @tintinweb/pi-subagents (0.14.1)
write with pi 0.87.1. pi itself knows no subagents.

Which tool call started a subagent is told from nothing that was written after the subagent began: a live tail
and a later import must agree on it, and a tool's result often comes long after its subagent has ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Struct

from parsers.pi import entries as e
from parsers.usage import MOST_TOKENS, Usage, read_usage

_ROUNDING_USD = 1e-9
_TOOL = re.compile(r"agent|task|delegate", re.IGNORECASE)
_TASK = "Task: "
_FIRST_RUN_MS = 60_000  # a subagent gets its prompt as it begins; what comes later may be a person's
_SHORTEST_TASK = 4  # characters; shorter texts stand in any prompt

_NAMES = (
    re.compile(r"subagent-(.+)-([0-9a-f]{8}(?:(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?)(?:-\d+)?"),
    re.compile(r"([\w.-]+)#([0-9a-f]{8})"),
)


class Subagent(NamedTuple):
    """A subagent's name, and the id of its run, if the tool that started it may know it by that."""

    name: str
    run_id: str


def parse_subagent(session_name: str | None) -> Subagent | None:
    """Read a subagent from its session's name; None where no extension gave that name.

    ``subagent-<agent>-<run id>-<step>`` is pi-subagents' way, ``<agent>#<run id>`` that of
    @tintinweb/pi-subagents. Both write it before the first prompt.
    """
    for name in _NAMES:
        found = name.fullmatch(session_name or "")
        if found:
            return Subagent(found[1], found[2])
    return None


def read_result_usage(result: e.ToolResultMessage) -> Usage | None:
    """Read the usage of a tool's own model work that no session file holds; None where there is none.

    pi-subagents gives its tool the usage of all its subagents, and lists them in ``details.results``. Those
    with a ``sessionFile`` have recorded their calls there, and money that was spent once counts once.
    """
    if result.usage is None:
        return None
    usage = read_usage(result.usage)
    recorded = [r for r in _results(result.details) if str(r.get("sessionFile")).endswith(".jsonl")]
    if not recorded:
        return usage
    if len(recorded) == len(_results(result.details)):
        return None
    left = _less(usage, recorded)
    return left if any(left[:4]) or left.cost_usd > _ROUNDING_USD else None


def _results(details: Any) -> list[dict[str, Any]]:
    results = details.get("results") if isinstance(details, dict) else None
    return [r for r in results if isinstance(r, dict)] if isinstance(results, list) else []


def _less(usage: Usage, recorded: list[dict[str, Any]]) -> Usage:
    """Subtract the usage of results, which pi-subagents sums up as tokens and dollars."""
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
        *(fresh, output, read, written, fresh + output + read + written),
        cost_usd=cost,
        input_cost_usd=cost,
        billed=usage.billed,
    )


class Delegation(Struct, eq=False):
    """A call of a tool that may start subagents.

    Attributes:
        span_id: the span of the call.
        called_ms: when the call was written.
        is_copied: whether it was copied from the session that this one was forked from.
        arguments: the call's arguments.
        ended_ms: when its result was written, or when none could come any more; None while it runs.
        run_ids: what its result calls the subagents that it started.
        is_background: whether its result says that they go on working.
    """

    span_id: str
    called_ms: int
    is_copied: bool
    arguments: Any
    ended_ms: int | None = None
    run_ids: tuple[str, ...] = ()
    is_background: bool = False

    def end(self, ms: int, result: e.ToolResultMessage | None = None) -> None:
        """Note that it ended, and which subagents its result names."""
        if self.ended_ms is None:
            self.ended_ms = ms
            found = result.details if result else None
            details = found if isinstance(found, dict) else {}
            ids = (details.get(name) for name in ("runId", "asyncId", "agentId"))
            self.run_ids = tuple(each for each in ids if isinstance(each, str) and each)
            self.is_background = "asyncId" in details or details.get("status") == "background"

    def names(self, run_id: str) -> bool:
        """Tell whether its result named that run."""
        return bool(run_id) and any(known.startswith(run_id) for known in self.run_ids)


@lru_cache(maxsize=1000)
def may_start_subagents(tool: str) -> bool:
    """Tell whether a tool's name says that it starts subagents (``subagent``, ``Agent``, ``task``)."""
    return _TOOL.search(tool) is not None


def starter_of(
    delegations: Iterable[Delegation],
    began_ms: int,
    prompt: str | None,
    subagent: Subagent | None = None,
    session_ms: int = 0,
) -> str | None:
    """Find the span of the tool call that started a run of a subagent; None where the files do not tell.

    Args:
        delegations: those of the parent's session.
        began_ms: when the subagent got its prompt.
        prompt: that prompt.
        subagent: the subagent, if its session names it.
        session_ms: when the subagent's session began.
    """
    running: list[Delegation] = []
    left: list[Delegation] = []
    is_first = began_ms - session_ms < _FIRST_RUN_MS
    for each in delegations:
        if each.called_ms > began_ms:
            continue
        if each.ended_ms is None or each.ended_ms >= began_ms:
            running.append(each)
        elif is_first and subagent and each.ended_ms <= session_ms and each.names(subagent.run_id):
            return each.span_id
        elif is_first and each.is_background:
            left.append(each)  # of a script that goes on, the result names no run of a subagent
    found = running
    if len(running) != 1:
        found = [each for each in running or left if _asks_for(each.arguments, prompt or "")]
    if not running and not found and subagent:
        found = [each for each in left if any(subagent.name in text for text in _texts_in(each.arguments))]
    return found[0].span_id if len(found) == 1 else None


def _asks_for(arguments: Any, prompt: str) -> bool:
    """Tell whether a call's arguments hold the prompt's first line, or a task that the prompt holds."""
    line = prompt.removeprefix(_TASK).strip().split("\n")[0]
    texts = [text.strip() for text in _texts_in(arguments)]
    return any(
        (len(text) >= _SHORTEST_TASK and text in prompt) or (len(line) >= _SHORTEST_TASK and line in text)
        for text in texts
    )


def _texts_in(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(current)
