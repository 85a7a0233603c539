"""What a model saw at each point of a session.

The context of a call is the path from the root to it, with compactions and context edits applied
(pi's ``session-format.md``, "Context Building").
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Any, TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from parsers.pi import entries as e
from parsers.pi.chain import (
    NOTHING,
    ContextMessage,
    Link,
    MessageRange,
    answered,
    find_since_fork,
    linked,
    make_context_message,
)
from parsers.pi.messages import (
    COMPACTION_FRAME,
    NO_PROMPT,
    Source,
    Summary,
    SystemPrompt,
    join_text,
    replace_content,
)
from parsers.pi.position import LINK
from parsers.pi.toolcalls import ToolCall, make_result_state


class ModelInput(Struct, frozen=True):
    """The messages that a call was given: all, those since the run began, and those since the call before."""

    prompt: SystemPrompt
    full: MessageRange
    turn: MessageRange
    new: MessageRange


class Context(Struct, frozen=True):
    """What a model would see if it were called at this point of a branch.

    Attributes:
        prompt: the system prompt and tools in force.
        end: the last message.
        last_call_end: the last message at the time of the call before, or None before the first call.
        branch: the last message of the branch, where all stand that were ever written on it.
        head: what the last compaction put in the place of what came before.
        first_kept: the place in the file from which on messages follow the head.
        left_behind: how many messages of the branch stand before that.
        edits: by entry id, what stands in the place of a message; None leaves it out.
    """

    prompt: SystemPrompt = NO_PROMPT
    end: Link | None = None
    last_call_end: Link | None = None
    branch: Link | None = None
    head: tuple[ContextMessage, ...] = ()
    first_kept: int = -1
    left_behind: int = 0
    edits: tuple[tuple[str, ContextMessage | None], ...] = ()

    @property
    def full(self) -> MessageRange:
        """Everything the model saw, apart from the system prompt."""
        return MessageRange(None, self.end)

    @property
    def size(self) -> int:
        """About how many bytes a rewritten context takes: what an edit may cost."""
        return self.size_from(self.first_kept)

    def size_from(self, first_kept: int) -> int:
        """Return about how many bytes a compaction takes that keeps the entries from that place on."""
        depth = self.branch.depth if self.branch else 0
        kept = depth - self.left_behind if first_kept >= self.first_kept else depth
        return LINK * (kept + len(self.edits))

    @property
    def batch_size(self) -> int:
        """About how many bytes the results take that the next message may make necessary."""
        return LINK * (self.end.batch if self.end else 0)

    @property
    def turn(self) -> MessageRange:
        """From the prompt that opened the run; everything, where a compaction took the prompt away."""
        start = self.end.run_start if self.end else None
        return MessageRange(start.previous if start else None, self.end)

    @property
    def new(self) -> MessageRange:
        """What came since the call before."""
        return MessageRange(self.last_call_end, self.end)

    def emptied(self) -> Context:
        """Return the context without its messages."""
        return Context(self.prompt)

    def append(self, message: ContextMessage) -> Context:
        """Return the context with one more message at its end; it may be one that the model never sees."""
        return (self if message.goes_between else self.answered()).linked(message)

    def linked(self, message: ContextMessage) -> Context:
        """Return the same where no tool call is open, or where the message can stand before its result."""
        branch = linked(self.branch, message)
        if not message.is_sent:
            return replace(self, branch=branch)
        return replace(
            self, end=branch if self.end is self.branch else linked(self.end, message), branch=branch
        )

    def answered(self) -> Context:
        """Return the context with a result for each open tool call, as pi makes them up."""
        end = answered(self.end)
        return self if end is self.end else replace(self, end=end)

    def given(self) -> ModelInput:
        """Return the input of a call that is made here."""
        return ModelInput(self.prompt, self.full, self.turn, self.new)

    def given_to_compaction(self, first_kept: int) -> ModelInput:
        """Return the input of a compaction: the messages before the first kept entry, which it replaces."""
        replaced = self.before(first_kept)
        return ModelInput(self.prompt, replaced, replaced, replaced)

    def given_to_summary(self, left: Context | None) -> ModelInput:
        """Return the input of the summary of a branch that was left: its messages from where it began."""
        seen = find_since_fork(left.end, self.end) if left else NOTHING
        return ModelInput(self.prompt, seen, seen, seen)

    def after_call(self) -> Context:
        """Return the context once a call was made with it: what comes next is new."""
        return replace(self, last_call_end=self.end)

    def patched(self, message: e.SystemMessage) -> Context:
        """Return the context under a changed system prompt."""
        return replace(self, prompt=self.prompt.patched(message))

    def edited(self, edit: e.ContextEdit) -> Context:
        """Return the context with the edit's target replaced, or left out."""
        links = MessageRange(None, self.branch).newest_first()
        target = next((link.message for link in links if link.message.entry_id == edit.target_id), None)
        if target is None:
            return self
        edited = None
        if edit.replacement is not None:
            source = replace_content(target.source, edit.replacement.content)
            edited = make_context_message(source, target.order, target.entry_id, opens_run=target.opens_run)
        others = (each for each in self.edits if each[0] != edit.target_id)
        edits = (*others, (edit.target_id, edited))
        return replace(self, edits=edits)._rebuilt(self._kept(self.first_kept))

    def compacted(self, entry: e.Compaction, order: int, first_kept: int) -> Context:
        """Return the context after a compaction: its summary, then what follows from the first kept entry."""
        head = [make_context_message(Summary(entry.summary, COMPACTION_FRAME), order, entry.id)]
        if entry.retained_tail is not None:
            head += [make_context_message(m, order) for m in entry.retained_tail if is_context(m)]
            first_kept = order
        prompt = NO_PROMPT.patched(entry.system_message) if entry.system_message else self.prompt
        kept = self._kept(first_kept)
        left_behind = (self.branch.depth if self.branch else 0) - len(kept)
        after = replace(self, prompt=prompt, head=tuple(head), first_kept=first_kept, left_behind=left_behind)
        return after._rebuilt(kept)

    def before(self, first_kept: int) -> MessageRange:
        """Return the messages that a compaction replaces: those before the first kept entry."""
        end = self.end
        for link in self.full.newest_first():
            if link.message.order >= first_kept and not link.message.is_compaction:
                end = link.previous
        return MessageRange(None, end)

    def _kept(self, first_kept: int) -> list[ContextMessage]:
        """Return the messages of the branch from a place in the file on, oldest first."""
        messages = (link.message for link in MessageRange(None, self.branch).newest_first())
        return list(takewhile(lambda message: message.order >= first_kept, messages))[::-1]

    def _rebuilt(self, kept: Iterable[ContextMessage]) -> Context:
        """Rebuild the context as pi does: from what was kept, with edits, then made-up results."""
        edits = dict(self.edits)
        seen = self.last_call_end.message.order if self.last_call_end else -1
        edited = (edits.get(m.entry_id, m) if m.entry_id else m for m in kept)
        end = last_call_end = None
        for message in (*self.head, *edited):
            if message is None:
                continue
            if not message.goes_between:
                end = answered(end)
            if message.is_sent:
                end = linked(end, message)
            if message.order <= seen:
                last_call_end = end
        return replace(self, end=end, last_call_end=last_call_end)


EMPTY = Context()


class MessageKeeper:
    """Keeps all that was said, for events; see :class:`parsers.pi.position.Keeper`."""

    def context(self) -> Context:
        """Return an empty context."""
        return EMPTY

    def message(
        self, source: Source, order: int, entry_id: str | None = None, *, opens_run: bool = False
    ) -> ContextMessage:
        """Return a message with the place of its entry in the file."""
        return make_context_message(source, order, entry_id, opens_run=opens_run)

    def answer(self, content: e.Content) -> e.Content:
        """Return an answer's content."""
        return content

    def text(self, answer: e.Content) -> str | None:
        """Return the text of an answer's content, None where it has none."""
        return None if answer is None else join_text(answer)

    def arguments(self, call: ToolCall, answer: e.Content) -> Any:
        """Return a tool call's arguments."""
        return call.arguments

    def result(self, result: e.ToolResultMessage) -> Any:
        """Return a tool's result as JSON values."""
        return make_result_state(result)


def is_context(message: e.Message) -> TypeGuard[Source]:
    """Tell whether a message can stand in a model's input; a system message changes the prompt instead."""
    return not isinstance(message, e.SystemMessage)
