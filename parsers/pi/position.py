"""Where a branch stands: all that an entry leaves behind for the entries that hang off it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from parsers.pi.allowance import Allowance
from parsers.pi.chain import ContextMessage
from parsers.pi.context import EMPTY
from parsers.pi.runs import Run
from parsers.pi.toolcalls import Turn


class Position(Struct, frozen=True):
    """All that an entry leaves behind for the entries that hang off it.

    Attributes:
        context: what a model would see here.
        run: the run that the entry belongs to.
        active_ms: when the last prompt, answer, result or summary before here was written.
        turn: the last answer that asked for tools.
        answered_by: provider and model of the last answer.
        asked: the run that the last answer was given in.
        session_name: the name that the user gave the session.
    """

    context: Any = EMPTY  # a Context; Sizes where a session is only counted
    run: Run | None = None
    active_ms: int | None = None
    turn: Turn | None = None
    provider: str | None = None
    model: str | None = None
    thinking_level: str | None = None
    answered_by: str | None = None
    asked: Run | None = None
    session_name: str | None = None


def is_queued(at: Position, typed_ms: int, written_ms: int) -> bool:
    """Whether a user message was typed while the run was going on (a steer or a follow-up).

    pi writes such a message later than what it hangs off, though it was typed before. A clock that ran
    backwards shows in the entries' own times: then the message counts as a new prompt.
    """
    if at.run is None or not at.run.is_conversation or at.active_ms is None:
        return False
    return typed_ms < at.active_ms <= written_ms


def append(at: Position, message: ContextMessage, allowance: Allowance) -> Position:
    """The position with one more message in its context, which may end a batch of tool results."""
    if not allowance.takes(at.context.batch_size):
        return at
    return replace(at, context=at.context.append(message))
