"""Which tool call started a subagent: told from nothing that was written after the subagent began.

A live tail and a later import must agree on it, and a tool's result often comes long after its subagent has
ended. Source: as :mod:`parsers.pi.subagents`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from msgspec import Struct

from parsers.counting.lazy import value_of
from parsers.pi import entries as e
from parsers.pi.subagents import Subagent

_TOOL = re.compile(r"agent|task|delegate", re.IGNORECASE)
_TASK = "Task: "
_FIRST_RUN_MS = 60_000  # a subagent gets its prompt as it begins; what comes later may be a person's
_SHORTEST_TASK = 4  # characters; shorter texts stand in any prompt


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
            found = value_of(result.details) if result else None
            details = found if isinstance(found, dict) else {}
            ids = (details.get(name) for name in ("runId", "asyncId", "agentId"))
            self.run_ids = tuple(each for each in ids if isinstance(each, str) and each)
            self.is_background = "asyncId" in details or details.get("status") == "background"

    def names(self, run_id: str) -> bool:
        """Whether its result named that run."""
        return bool(run_id) and any(known.startswith(run_id) for known in self.run_ids)


@lru_cache(maxsize=1000)
def may_start_subagents(tool: str) -> bool:
    """Whether a tool's name says that it starts subagents (``subagent``, ``Agent``, ``task``)."""
    return _TOOL.search(tool) is not None


def starter_of(
    delegations: Iterable[Delegation],
    began_ms: int,
    prompt: str | None,
    subagent: Subagent | None = None,
    session_ms: int = 0,
) -> str | None:
    """The span of the tool call that started a run of a subagent; None where the files do not tell.

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
        found = [each for each in left if any(subagent.name in text for text in _texts(each.arguments))]
    return found[0].span_id if len(found) == 1 else None


def _asks_for(arguments: Any, prompt: str) -> bool:
    """Whether a call's arguments hold the prompt's first line, or a task that the prompt holds."""
    line = prompt.removeprefix(_TASK).strip().split("\n")[0]
    texts = [text.strip() for text in _texts(arguments)]
    return any(
        (len(text) >= _SHORTEST_TASK and text in prompt) or (len(line) >= _SHORTEST_TASK and line in text)
        for text in texts
    )


def _texts(value: Any) -> Iterator[str]:
    pending = [value_of(value)]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(current)
