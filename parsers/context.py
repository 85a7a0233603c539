"""What a model saw at each point of a session: messages in a chain that branches share.

The context of a call is the path from the root to it, with compactions and context edits applied
(pi's ``session-format.md``, "Context Building"). A link never changes, so the contexts of a thousand calls
cost a thousand links, and whoever encodes a message needs to do so once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TypeGuard

from parsers import entries as e
from parsers.allowance import LINK
from parsers.messages import COMPACTION_FRAME, MissingResult, Source, Summary, blocks_of, with_content
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
    """A message and all that stand before it.

    ``batch`` counts the tool calls of the answer before, and their results, if nothing else follows them.
    """

    __slots__ = ("_run_start", "batch", "depth", "message", "previous")

    def __init__(self, previous: Link | None, message: ContextMessage) -> None:
        self.previous = previous
        self.message = message
        self.depth: int = previous.depth + 1 if previous else 1
        self.batch: int = _batch(message.source, previous.batch if previous else 0)
        # no link refers to itself: a session's memory goes back without waiting for the garbage collector
        self._run_start = previous.run_start if previous and not message.opens_run else None

    @property
    def run_start(self) -> Link | None:
        """The link of the prompt that opened the run, if it still stands before."""
        return self if self.message.opens_run else self._run_start


def _batch(source: Source, before: int) -> int:
    if isinstance(source, e.ToolResultMessage):
        return before + 1
    return len(_calls(source)) if isinstance(source, e.AssistantMessage) else 0


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
    def full(self) -> Span:
        """Everything the model saw, apart from the system prompt."""
        return Span(None, self.end)

    @property
    def size(self) -> int:
        """About how many bytes a rewritten context takes: what an edit may cost."""
        return self.size_from(self.first_kept)

    def size_from(self, first_kept: int) -> int:
        """The same for a compaction that keeps the entries from that place on."""
        depth = self.branch.depth if self.branch else 0
        kept = depth - self.left_behind if first_kept >= self.first_kept else depth
        return LINK * (kept + len(self.edits))

    @property
    def batch_size(self) -> int:
        """About how many bytes the results take that the next message may make necessary."""
        return LINK * (self.end.batch if self.end else 0)

    @property
    def turn(self) -> Span:
        """From the prompt that opened the run; everything, where a compaction took the prompt away."""
        start = self.end.run_start if self.end else None
        return Span(start.previous if start else None, self.end)

    @property
    def new(self) -> Span:
        """What came since the call before."""
        return Span(self.last_call_end, self.end)

    def emptied(self) -> Context:
        """The context without its messages."""
        return Context(self.prompt)

    def append(self, message: ContextMessage) -> Context:
        """The context with one more message at its end; it may be one that the model never sees."""
        at = self if _goes_between(message.source) else self.answered()
        if not is_sent(message.source):
            return replace(at, branch=Link(at.branch, message))
        end = Link(at.end, message)
        return replace(at, end=end, branch=end if at.end is at.branch else Link(at.branch, message))

    def answered(self) -> Context:
        """The context with a result for each open tool call, as pi makes them up where no result follows."""
        end = _answered(self.end)
        return self if end is self.end else replace(self, end=end)

    def after_call(self) -> Context:
        """The context once a call was made with it: what comes next is new."""
        return replace(self, last_call_end=self.end)

    def patched(self, message: e.SystemMessage) -> Context:
        """The context under a changed system prompt."""
        return replace(self, prompt=self.prompt.patched(message))

    def edited(self, edit: e.ContextEdit) -> Context:
        """The context with the edit's target replaced, or left out."""
        links = Span(None, self.branch).newest_first()
        target = next((link.message for link in links if link.message.entry_id == edit.target_id), None)
        if target is None:
            return self
        edited = None
        if edit.replacement is not None:
            source = with_content(target.source, edit.replacement.content)
            edited = ContextMessage(source, target.order, target.entry_id, opens_run=target.opens_run)
        others = (each for each in self.edits if each[0] != edit.target_id)
        edits = (*others, (edit.target_id, edited))
        return replace(self, edits=edits)._rebuilt(self._kept(self.first_kept))

    def compacted(self, entry: e.Compaction, order: int, first_kept: int) -> Context:
        """The context after a compaction: its summary, then the messages from the first kept entry on."""
        head = [ContextMessage(Summary(entry.summary, COMPACTION_FRAME), order, entry.id)]
        if entry.retained_tail is not None:
            head += [ContextMessage(m, order) for m in entry.retained_tail if is_context(m)]
            first_kept = order
        prompt = NO_PROMPT.patched(entry.system_message) if entry.system_message else self.prompt
        kept = self._kept(first_kept)
        left_behind = (self.branch.depth if self.branch else 0) - len(kept)
        after = replace(self, prompt=prompt, head=tuple(head), first_kept=first_kept, left_behind=left_behind)
        return after._rebuilt(kept)

    def before(self, first_kept: int) -> Span:
        """The messages that a compaction replaces: those before the first kept entry."""
        end = self.end
        for link in self.full.newest_first():
            if link.message.order >= first_kept and not link.message.is_compaction:
                end = link.previous
        return Span(None, end)

    def _kept(self, first_kept: int) -> list[ContextMessage]:
        """The messages of the branch from a place in the file on, oldest first."""
        messages = (link.message for link in Span(None, self.branch).newest_first())
        return list(takewhile(lambda message: message.order >= first_kept, messages))[::-1]

    def _rebuilt(self, kept: Iterable[ContextMessage]) -> Context:
        """The context as pi makes it of the branch: what was kept, edited, then answered."""
        edits = dict(self.edits)
        seen = self.last_call_end.message.order if self.last_call_end else -1
        edited = (edits.get(m.entry_id, m) if m.entry_id else m for m in kept)
        end = last_call_end = None
        for message in (*self.head, *edited):
            if message is None:
                continue
            if not _goes_between(message.source):
                end = _answered(end)
            if is_sent(message.source):
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


def _answered(end: Link | None) -> Link | None:
    """The chain with a made-up result for each tool call of its last batch that has none."""
    if not (end and end.batch):
        return end
    results: set[str] = set()
    link: Link | None = end
    while link and isinstance(link.message.source, e.ToolResultMessage):
        results.add(link.message.source.tool_call_id)
        link = link.previous
    for call_id in _calls(link.message.source) if link else ():
        if link and call_id not in results:
            end = Link(end, ContextMessage(MissingResult(call_id), link.message.order))
    return end


def _goes_between(source: Source) -> bool:
    """Whether a message can stand between a tool call and its result; others end the batch, sent or not."""
    is_hidden = isinstance(source, e.BashExecutionMessage) and source.exclude_from_context
    return is_hidden or isinstance(source, e.ToolResultMessage)


def _calls(source: Source) -> list[str]:
    """The ids of an answer's tool calls, each once; a call without an id is known by its place."""
    if not isinstance(source, e.AssistantMessage):
        return []
    asked = (block for block in blocks_of(source.content) if block.type == "toolCall")
    return list(dict.fromkeys(block.id or f"#{index}" for index, block in enumerate(asked)))
