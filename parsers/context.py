"""What a model saw at each point of a session: messages in a chain that branches share.

The context of a call is the path from the root to it, with compactions and context edits applied
(pi's ``session-format.md``, "Context Building"). A link never changes, so the contexts of a thousand calls
cost a thousand links, and whoever encodes a message needs to do so once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeGuard

from parsers import entries as e
from parsers.messages import COMPACTION_FRAME, Source, Summary, blocks_of, with_content
from parsers.prompt import NO_PROMPT, SystemPrompt

FAILED = frozenset({"error", "aborted"})
"""The stop reasons of answers that pi keeps from later calls."""


class ContextMessage:
    """One message as the model saw it; contexts share it, so its identity can key a cache.

    Attributes:
        source: what pi recorded.
        order: the place of its entry in the file; it grows along every branch.
        entry_id: the entry's id, which a context edit may name.
        opens_run: whether it is a prompt that opened a run.
    """

    __slots__ = ("entry_id", "opens_run", "order", "source")

    def __init__(
        self, source: Source, order: int, entry_id: str | None = None, *, opens_run: bool = False
    ) -> None:
        self.source = source
        self.order = order
        self.entry_id = entry_id
        self.opens_run = opens_run

    @property
    def is_compaction(self) -> bool:
        """Whether it is the summary of a compaction."""
        return isinstance(self.source, Summary) and self.source.frame is COMPACTION_FRAME


class Link:
    """A message and all that stand before it."""

    __slots__ = ("_run_start", "depth", "message", "previous")

    def __init__(self, previous: Link | None, message: ContextMessage) -> None:
        self.previous = previous
        self.message = message
        self.depth: int = previous.depth + 1 if previous else 1
        # no link refers to itself: a session's memory goes back without waiting for the garbage collector
        self._run_start = previous.run_start if previous and not message.opens_run else None

    @property
    def run_start(self) -> Link | None:
        """The link of the prompt that opened the run, if it still stands before."""
        return self if self.message.opens_run else self._run_start


@dataclass(frozen=True, slots=True)
class Span:
    """The messages after ``start`` up to ``end``, oldest first; all of them if ``start`` is None."""

    start: Link | None
    end: Link | None

    def newest_first(self) -> Iterator[Link]:
        """The links from the last message back to the first."""
        link = self.end
        while link is not None and link is not self.start:
            yield link
            link = link.previous

    def messages(self) -> list[ContextMessage]:
        """The messages, oldest first."""
        return [link.message for link in self.newest_first()][::-1]


NOTHING = Span(None, None)


@dataclass(frozen=True, slots=True)
class Context:
    """What a model would see if it were called at this point of a branch.

    Attributes:
        prompt: the system prompt and tools in force.
        end: the last message.
        last_call_end: the last message at the time of the call before, or None before the first call.
        left_out: messages that an edit took out, and that a later edit may bring back.
    """

    prompt: SystemPrompt = NO_PROMPT
    end: Link | None = None
    last_call_end: Link | None = None
    left_out: tuple[ContextMessage, ...] = ()

    @property
    def full(self) -> Span:
        """Everything the model saw, apart from the system prompt."""
        return Span(None, self.end)

    @property
    def turn(self) -> Span:
        """From the prompt that opened the run; everything, where a compaction took the prompt away."""
        start = self.end.run_start if self.end else None
        return Span(start.previous if start else None, self.end)

    @property
    def new(self) -> Span:
        """What came since the call before."""
        return Span(self.last_call_end, self.end)

    def append(self, message: ContextMessage) -> Context:
        """The context with one more message at its end."""
        if not is_sent(message.source):
            return self
        return replace(self, end=Link(self.end, message))

    def after_call(self) -> Context:
        """The context once a call was made with it: what comes next is new."""
        return replace(self, last_call_end=self.end)

    def patched(self, message: e.SystemMessage) -> Context:
        """The context under a changed system prompt."""
        return replace(self, prompt=self.prompt.patched(message))

    def edited(self, edit: e.ContextEdit) -> Context:
        """The context with the edit's target replaced, or left out."""
        messages = self.full.messages()
        target = next((m for m in (*messages, *self.left_out) if m.entry_id == edit.target_id), None)
        if target is None:
            return self
        left_out = [m for m in self.left_out if m is not target]
        if edit.replacement is None:
            messages = [m for m in messages if m is not target]
            return replace(self._rebuilt(messages), left_out=(*left_out, target))
        source = with_content(target.source, edit.replacement.content)
        edited = ContextMessage(source, target.order, target.entry_id, opens_run=target.opens_run)
        if target in messages:
            messages[messages.index(target)] = edited
        else:
            later = (i for i, m in enumerate(messages) if m.order > edited.order and not m.is_compaction)
            messages.insert(next(later, len(messages)), edited)
        return replace(self._rebuilt(messages), left_out=tuple(left_out))

    def compacted(self, entry: e.Compaction, order: int, first_kept: int) -> Context:
        """The context after a compaction: its summary, then the messages from the first kept entry on."""
        summary = ContextMessage(Summary(entry.summary, COMPACTION_FRAME), order, entry.id)
        if entry.retained_tail is None:
            kept = [m for m in self.full.messages() if m.order >= first_kept and not m.is_compaction]
        else:
            kept = [ContextMessage(m, order) for m in entry.retained_tail if is_context(m) and is_sent(m)]
        prompt = NO_PROMPT.patched(entry.system_message) if entry.system_message else self.prompt
        left_out = tuple(m for m in self.left_out if m.order >= first_kept)
        return replace(self._rebuilt([summary, *kept]), prompt=prompt, left_out=left_out)

    def before(self, first_kept: int) -> Span:
        """The messages that a compaction replaces: those before the first kept entry."""
        end = self.end
        for link in self.full.newest_first():
            if link.message.order >= first_kept and not link.message.is_compaction:
                end = link.previous
        return Span(None, end)

    def _rebuilt(self, messages: Iterable[ContextMessage]) -> Context:
        seen = self.last_call_end.message.order if self.last_call_end else -1
        end = last_call_end = None
        for message in messages:
            end = Link(end, message)
            if message.order <= seen:
                last_call_end = end
        return replace(self, end=end, last_call_end=last_call_end)


EMPTY = Context()


def since_fork(end: Link | None, other: Link | None) -> Span:
    """The messages up to ``end`` that the chain ending in ``other`` does not share."""
    start = end
    while start is not other and start is not None:
        if other is None or start.depth > other.depth:
            start = start.previous
        elif start.depth < other.depth:
            other = other.previous
        else:
            start, other = start.previous, other.previous
    return Span(start, end)


def is_context(message: e.Message) -> TypeGuard[Source]:
    """Whether a message can stand in a model's input; a system message changes the prompt instead."""
    return not isinstance(message, e.SystemMessage)


def is_sent(source: Source) -> bool:
    """Whether pi hands the message to a model: it leaves out failed answers and empty messages."""
    match source:
        case e.AssistantMessage():
            if source.stop_reason in FAILED:
                return False
            return any(b.type == "toolCall" or b.text.strip() for b in blocks_of(source.content))
        case e.BashExecutionMessage():
            return not source.exclude_from_context
        case e.UserMessage() | e.CustomMessage() | e.CustomMessageEntry():
            return any(b.type == "image" or b.text for b in blocks_of(source.content))
        case _:
            return True
