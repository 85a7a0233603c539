"""What a session keeps whose events go without content: no message, only the errors of tools.

PostHog throws the content of old events away. Their sessions are read again to build events of them, and this
keeps a long one from taking its memory, and from being encoded for nothing.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from parsers.pi import entries as e
from parsers.pi.messages import NO_PROMPT, Source
from parsers.pi.toolcalls import ToolCall, make_result_state


class NoContext(Struct, frozen=True):
    """Stands for a :class:`parsers.pi.context.Context` and stays empty, whatever comes."""

    prompt = NO_PROMPT
    size = 0
    batch_size = 0

    def size_from(self, first_kept: int) -> int:
        """Return what a compaction costs: nothing."""
        return 0

    def append(self, message: None) -> NoContext:
        """Return the context as it is: there are no messages."""
        return self

    linked = append

    def emptied(self) -> NoContext:
        """Return the context as it is: it is empty."""
        return self

    answered = after_call = emptied

    def patched(self, message: e.SystemMessage) -> NoContext:
        """Return the context as it is: nobody asks for the system prompt."""
        return self

    def edited(self, edit: e.ContextEdit) -> NoContext:
        """Return the context as it is: there is no message to edit."""
        return self

    def compacted(self, entry: e.Compaction, order: int, first_kept: int) -> NoContext:
        """Return the context as it is: there is nothing to replace."""
        return self

    def given(self) -> None:
        """Return no input."""

    def given_to_compaction(self, first_kept: int) -> None:
        """Return no input."""

    def given_to_summary(self, left: NoContext | None) -> None:
        """Return no input."""


_NOTHING = NoContext()


class NumbersKeeper:
    """Keeps nothing of what was said but the errors of tools; see :class:`parsers.pi.position.Keeper`.

    ::

        session = Session(keeper=NumbersKeeper())  # the same records, with empty inputs and outputs
    """

    def context(self) -> NoContext:
        """Return an empty context."""
        return _NOTHING

    def message(
        self, source: Source, order: int, entry_id: str | None = None, *, opens_run: bool = False
    ) -> None:
        """Keep nothing of a message."""

    def answer(self, content: e.Content) -> None:
        """Keep nothing of an answer."""

    def text(self, answer: e.Content) -> None:
        """Keep nothing of an answer's text."""

    def arguments(self, call: ToolCall, answer: None) -> None:
        """Keep nothing of a tool's arguments."""

    def result(self, result: e.ToolResultMessage) -> Any:
        """Return a failed tool's result as JSON values: it is the text of the error, which is always sent."""
        return make_result_state(result) if result.is_error else None
