"""Pairs tool calls with their results: each call becomes one span, answered or not."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, field

from parsers.identity import derive
from parsers.pi import entries as e
from parsers.pi.messages import MEDIA, list_blocks
from parsers.records import Span
from parsers.times import check_duration

NO_RESULT = "no result: the run was aborted or crashed"
NOT_FINISHED = "not finished when the tool that called it ended"


class ToolCall(Struct, eq=False):
    """One tool call of an assistant message, waiting for its result.

    Attributes:
        id, name, arguments: what pi recorded.
        index: its place among the message's calls.
    """

    id: str
    name: str
    arguments: Any
    index: int


class Turn(Struct, eq=False):
    """An assistant message that asked for tools.

    Attributes:
        generation_id, trace_id, window, end_ms, copied: those of its generation.
        order: the place of its entry in the file.
        calls: all its calls, by tool call id.
        failed: whether the answer failed, so that later calls see neither it nor its calls.
        open: the ids of the calls that no span was made of yet.
    """

    generation_id: str
    trace_id: str
    window: int
    end_ms: int
    copied: bool
    order: int
    calls: dict[str, ToolCall]
    failed: bool
    open: set[str] = field(default_factory=set)
    _batch_start_ms: int = 0
    _written_ms: int | None = None

    def span_id(self, call: ToolCall) -> str:
        """Return the id of the span of one of its calls; it follows from the generation's."""
        return derive("span", self.generation_id, call.id, call.index)

    def answer(
        self, call: ToolCall, result: e.ToolResultMessage, output: Any, own_ms: int, written_ms: int
    ) -> Span:
        """Make the span of a call and its result.

        Args:
            call: one of this turn's calls.
            result: pi's tool result.
            output: what the span keeps of it.
            own_ms: the result's own time.
            written_ms: the time at which its line was written.
        """
        self.open.discard(call.id)
        start_ms = self.start_of_result(own_ms, written_ms)
        span = self._span(call, start_ms, own_ms, output, result.is_error)
        span.measured_ms = check_duration(result.duration_ms)
        call.arguments = None  # the span has them
        return span

    def start_of_result(self, own_ms: int, written_ms: int) -> int:
        """Note a result, and return when its tool started, in ms.

        pi writes the results of a parallel batch in one go; else a tool starts when the one before is done.

        Args:
            own_ms: the result's own time.
            written_ms: the time at which its line was written.
        """
        if self._written_ms is None:
            self._batch_start_ms = self.end_ms
        elif own_ms - self._written_ms > 1:
            self._batch_start_ms = self._written_ms
        self._written_ms = written_ms
        return self._batch_start_ms

    def abandon(self) -> list[Span]:
        """Make spans of all open calls, because they will never be answered, and close them."""
        spans = self.unanswered()
        for call_id in self.open:
            self.calls[call_id].arguments = None
        self.open.clear()
        return spans

    def unanswered(self) -> list[Span]:
        """Make the spans that the open calls would have if no result came any more."""
        if not self.open:
            return []  # without a look at all the calls: very many branches may hang off one answer
        calls = [call for call in self.calls.values() if call.id in self.open]
        return [self._span(call, None, self.end_ms, None, is_error=True) for call in calls]

    def _span(self, call: ToolCall, start: int | None, end: int, output: Any, is_error: bool) -> Span:
        return Span(
            id=self.span_id(call),
            trace_id=self.trace_id,
            window=self.window,
            start_ms=start,
            end_ms=end,
            copied=self.copied,
            name=call.name or "unknown",
            parent_id=self.generation_id,
            input=call.arguments,
            output=output,
            is_error=is_error,
            error=NO_RESULT if is_error and output is None else None,
            error_is_output=is_error and output is not None,
        )


def list_calls(content: e.Content) -> dict[str, ToolCall]:
    """List the tool calls of an answer by their id."""
    calls: dict[str, ToolCall] = {}
    index = 0
    for block in list_blocks(content):
        if block.type == "toolCall":
            call_id = block.id or f"#{index}"
            if call_id not in calls:
                calls[call_id] = ToolCall(call_id, block.name, block.arguments, index)
            index += 1
    return calls


def make_nested_spans(result: e.ToolResultMessage, tool: Span) -> list[Span]:
    """Make spans of the calls that a tool made to other tools, below its own or that of the call they are in.

    pi records how long they took, not when they began. An id is that of the call it was made in, a slash
    and a number (pi's ``message-types.md``, "ToolResultMessage").
    """
    if result.nested_calls is None:
        return []
    spans: dict[str, Span] = {}
    for index, call in enumerate(result.nested_calls.calls or []):
        failed = call.status != "ok"
        spans[call.id or f"#{index}"] = Span(
            id=derive("nested_call", tool.id, call.id, index),
            trace_id=tool.trace_id,
            window=tool.window,
            start_ms=None,
            end_ms=tool.end_ms,
            copied=tool.copied,
            measured_ms=check_duration(call.duration_ms),
            name=call.name or "unknown",
            parent_id=spans.get(call.id.rpartition("/")[0], tool).id,
            input=call.arguments,
            output=call.error if failed else None,
            is_error=failed,
            error=NOT_FINISHED if failed and not call.error else None,
            error_is_output=failed and bool(call.error),
        )
    return list(spans.values())


def make_result_state(result: e.ToolResultMessage) -> Any:
    """Make JSON values of a result: its content blocks and its details, without media."""
    content: list[dict[str, Any]] = []
    for block in list_blocks(result.content):
        if block.type == "text":
            content.append({"type": "text", "text": block.text})
        else:
            content.append({"type": block.type, "data": MEDIA})
    state: dict[str, Any] = {"content": content}
    if result.details is not UNSET:
        state["details"] = result.details
    return state
