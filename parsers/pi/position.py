"""Where a branch stands, and what a session keeps of what was said on it.

A session keeps messages to build events of them (:class:`parsers.pi.context.Context`), or nothing but their
sizes to preview them (:class:`parsers.counting.sizes.SizeContext`). Both stand behind the protocols here.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

from msgspec import Struct

from parsers.pi import entries as e
from parsers.pi.messages import Source, SystemPrompt
from parsers.pi.runs import OpenRun
from parsers.pi.toolcalls import ToolCall, Turn

LINK = 64
"""Bytes that one message takes in a context of its own."""

_AT_ONCE = 128_000_000
ALLOWANCE_PER_LINE = 1000


class BranchContext(Protocol):
    """What a model would see if it were called at one point of a branch; it never changes."""

    @property
    def prompt(self) -> SystemPrompt:
        """The system prompt and tools in force."""

    @property
    def size(self) -> int:
        """About how many bytes an edit takes."""

    @property
    def batch_size(self) -> int:
        """About how many bytes the results take that the next message may make necessary."""

    def size_from(self, first_kept: int) -> int:
        """Return about how many bytes a compaction takes that keeps the entries from that place on."""

    def emptied(self) -> Self:
        """Return the context without its messages."""

    def append(self, message: Any) -> Self:
        """Return the context with one more message, which may be one that no model sees."""

    def linked(self, message: Any) -> Self:
        """Return the same where no tool call is open, or where the message can stand before its result."""

    def answered(self) -> Self:
        """Return the context with a made-up result for each open tool call."""

    def after_call(self) -> Self:
        """Return the context once a call was made with it: what comes next is new."""

    def patched(self, message: e.SystemMessage) -> Self:
        """Return the context under a changed system prompt."""

    def edited(self, edit: e.ContextEdit) -> Self:
        """Return the context with the edit's target replaced or left out."""

    def compacted(self, entry: e.Compaction, order: int, first_kept: int) -> Self:
        """Return the context after a compaction that keeps the entries from that place on."""

    def given(self) -> Any:
        """Return the input of a call that is made here."""

    def given_to_compaction(self, first_kept: int) -> Any:
        """Return the input of a compaction: what it replaces."""

    def given_to_summary(self, left: Self | None) -> Any:
        """Return the input of the summary of a branch that was left."""


class Keeper(Protocol):
    """Decides what a session keeps of what was said."""

    def context(self) -> BranchContext:
        """Return an empty context."""

    def message(
        self, source: Source, order: int, entry_id: str | None = None, *, opens_run: bool = False
    ) -> Any:
        """Return what a context takes of a message; ``order`` is the place of its entry in the file."""

    def answer(self, content: e.Content) -> Any:
        """Return what a generation's ``output`` keeps of an answer or a summary."""

    def text(self, answer: Any) -> Any:
        """Return what a trace's ``output`` keeps of it."""

    def arguments(self, call: ToolCall, answer: Any) -> Any:
        """Return what a span's ``input`` keeps of the arguments of one of an answer's calls."""

    def result(self, result: e.ToolResultMessage) -> Any:
        """Return what a span's ``output`` keeps of a tool's result."""


class Position(Struct, frozen=True):
    """All that an entry leaves behind for the entries that hang off it.

    Attributes:
        context: what a model would see here.
        run: the run that the entry belongs to.
        active_ms: when the last prompt, answer, result or summary before here was written.
        turn: the last answer that asked for tools.
        provider, model, thinking_level: those of the last answer, or what the user chose since.
        answered_by: provider and model of the last answer.
        asked: the run that the last answer was given in.
        session_name: the name that the user gave the session.
    """

    context: Any  # a BranchContext: msgspec knows no protocols
    run: OpenRun | None = None
    active_ms: int | None = None
    turn: Turn | None = None
    provider: str | None = None
    model: str | None = None
    thinking_level: str | None = None
    answered_by: str | None = None
    asked: OpenRun | None = None
    session_name: str | None = None


class Allowance:
    """Bytes that a session's contexts may take beyond its messages; every line of the file adds some.

    Without it, a hostile file could make work grow with the square of its size. A session that people work in
    uses a few percent. What is refused is left out of ``$ai_input`` only: calls, tokens and cost do not
    depend on it.

    Attributes:
        left: the bytes that are left.
        refused: whether something was refused since this was last set to False.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self.left = at_once
        self.refused = False

    def add_line(self) -> None:
        """Add what a line brings."""
        self.left += ALLOWANCE_PER_LINE

    def takes(self, size: int) -> bool:
        """Spend ``size`` bytes; False, and nothing is spent, where they are not left."""
        if size > self.left:
            self.refused = True
            return False
        self.left -= size
        return True


def is_queued(at: Position, typed_ms: int, written_ms: int) -> bool:
    """Tell whether a user message was typed while the run was going on (a steer or a follow-up).

    pi writes such a message later than what it hangs off, though it was typed before. A clock that ran
    backwards shows in the entries' own times: then the message counts as a new prompt.
    """
    if at.run is None or not at.run.is_conversation or at.active_ms is None:
        return False
    return typed_ms < at.active_ms <= written_ms
