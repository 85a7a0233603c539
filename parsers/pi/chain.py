"""The messages of a session in a chain that its branches share: each link is a message and all before it.

A link never changes, so the contexts of a thousand calls cost a thousand links, and whoever encodes a
message needs to do so once.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from parsers.pi import entries as e
from parsers.pi.messages import COMPACTION_FRAME, MissingResult, Source, Summary, list_blocks, replace_content

FAILED = frozenset({"error", "aborted"})
"""The stop reasons of answers that pi keeps from later calls."""


class ContextMessage(Struct, eq=False):
    """One message as the model saw it; contexts share it, so its identity can key a cache.

    Attributes:
        source: what pi recorded.
        order: the place of its entry in the file; it grows along every branch.
        entry_id: the entry's id, which a context edit may name.
        opens_run: whether it is a prompt that opened a run.
        call_ids: the tool calls of an answer, each once.
        is_sent: whether pi hands it to a model.
        is_result: whether it is a tool's result.
        goes_between: whether it can stand between a tool call and its result.
        is_forgotten: whether what was said was dropped from ``source``.
    """

    source: Source
    order: int
    entry_id: str | None = None
    opens_run: bool = False
    call_ids: tuple[str, ...] = ()
    is_sent: bool = True
    is_result: bool = False
    goes_between: bool = False
    is_forgotten: bool = False

    def forget(self) -> None:
        """Drop what was said, once it was encoded: a session's memory holds it once, not twice."""
        if not self.is_forgotten:
            self.source, self.is_forgotten = replace_content(self.source, None), True

    @property
    def is_compaction(self) -> bool:
        """Whether it is the summary of a compaction."""
        return isinstance(self.source, Summary) and self.source.frame is COMPACTION_FRAME


def is_sent(source: Source) -> bool:
    """Tell whether pi hands a message to a model: no failed answer, no empty message, no hidden command."""
    match source:
        case e.ToolResultMessage():
            return True
        case e.AssistantMessage():
            content = source.content
            return source.stop_reason not in FAILED and (
                any(block.type == "toolCall" for block in list_blocks(content)) or says_something(content)
            )
        case e.UserMessage() | e.CustomMessage() | e.CustomMessageEntry():
            return any(block.type == "image" or block.text for block in list_blocks(source.content))
        case e.BashExecutionMessage():
            return not source.exclude_from_context
        case _:
            return True


def make_context_message(
    source: Source, order: int, entry_id: str | None = None, *, opens_run: bool = False
) -> ContextMessage:
    """Make a message of what pi recorded."""
    sent = is_sent(source)
    match source:
        case e.ToolResultMessage():
            return ContextMessage(source, order, entry_id, is_result=True, goes_between=True)
        case e.AssistantMessage():
            return ContextMessage(source, order, entry_id, call_ids=call_ids(source), is_sent=sent)
        case e.UserMessage() | e.CustomMessage() | e.CustomMessageEntry():
            return ContextMessage(source, order, entry_id, opens_run, is_sent=sent)
        case e.BashExecutionMessage():
            return ContextMessage(source, order, entry_id, is_sent=sent, goes_between=not sent)
        case _:
            return ContextMessage(source, order, entry_id)


def says_something(content: e.Content) -> bool:
    """Tell whether an answer holds words."""
    return any(block.text.strip() for block in list_blocks(content))


def call_ids(answer: e.AssistantMessage) -> tuple[str, ...]:
    """List the ids of an answer's tool calls, each once; a call without an id is known by its place."""
    ids = [block.id for block in list_blocks(answer.content) if block.type == "toolCall"]
    if not all(ids):
        ids = [call_id or f"#{index}" for index, call_id in enumerate(ids)]
    return tuple(ids) if len(ids) < 2 else tuple(dict.fromkeys(ids))


class Link(Struct, eq=False):
    """A message and all that stand before it.

    Attributes:
        previous, message, depth: what it links, and how many links it ends.
        batch: counts the tool calls of the answer before, and their results, if nothing else follows them.
        before_run: the link of the last prompt before this one that opened a run.
    """

    previous: Link | None
    message: ContextMessage
    depth: int
    batch: int
    before_run: Link | None  # no link refers to itself: memory goes back without the garbage collector

    @property
    def run_start(self) -> Link | None:
        """The link of the prompt that opened the run, if it still stands before."""
        return self if self.message.opens_run else self.before_run


def linked(previous: Link | None, message: ContextMessage) -> Link:
    """Link a message behind another."""
    if previous is None:
        return Link(None, message, 1, 1 if message.is_result else len(message.call_ids), None)
    return Link(
        previous,
        message,
        previous.depth + 1,
        previous.batch + 1 if message.is_result else len(message.call_ids),
        None if message.opens_run else previous if previous.message.opens_run else previous.before_run,
    )


class MessageRange(Struct, frozen=True):
    """The messages after ``start`` up to ``end``, oldest first; all of them if ``start`` is None."""

    start: Link | None
    end: Link | None

    def newest_first(self) -> Iterator[Link]:
        """Yield the links from the last message back to the first."""
        link = self.end
        while link is not None and link is not self.start:
            yield link
            link = link.previous

    def messages(self) -> list[ContextMessage]:
        """List the messages, oldest first."""
        return [link.message for link in self.newest_first()][::-1]


NOTHING = MessageRange(None, None)


def find_since_fork(end: Link | None, other: Link | None) -> MessageRange:
    """Find the messages up to ``end`` that the chain ending in ``other`` does not share."""
    start = end
    while start is not other and start is not None:
        if other is None or start.depth > other.depth:
            start = start.previous
        elif start.depth < other.depth:
            other = other.previous
        else:
            start, other = start.previous, other.previous
    return MessageRange(start, end)


def answered(end: Link | None) -> Link | None:
    """Add a made-up result for each tool call of the last batch that has none."""
    if end is None or not end.batch:
        return end
    results: set[str] = set()
    link: Link | None = end
    while link and isinstance(link.message.source, e.ToolResultMessage):
        results.add(link.message.source.tool_call_id)
        link = link.previous
    for call_id in link.message.call_ids if link else ():
        if link and call_id not in results:
            end = linked(end, make_context_message(MissingResult(call_id), link.message.order))
    return end
