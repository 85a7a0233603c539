"""A session read for its numbers: the records of :class:`parsers.session.Session`, without what was said.

Reading gigabytes for a table must cost little more than decoding them, so the lines that sessions consist of
take a straight way here, and messages are measured instead of kept. All else goes the way of any session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from parsers import entries as e
from parsers.chain import FAILED, context_message, says_something
from parsers.decoding import AnyLine, Decoded, KnownMessageEntry, decode_line, decode_lines
from parsers.delegation import may_start_subagents
from parsers.generations import When, generation_id
from parsers.lazy import LAZY, LazyAssistantMessage, LazyContent, LazyMessageEntry, LazyToolResult
from parsers.messages import Source
from parsers.model_input import InputSizes
from parsers.position import Position
from parsers.records import AnyRecord, Generation, Span
from parsers.replay import Replay, Step
from parsers.runs import Grouping, Traces
from parsers.session import Session
from parsers.sizes import MessageSize, Sizes
from parsers.times import to_ms
from parsers.toolcalls import calls_of
from parsers.usage import usage_of


class Measure(Protocol):
    """Tells about how many bytes of JSON something takes."""

    def message(self, source: Source) -> int:
        """A message in a model's input."""

    def answer(self, content: LazyContent) -> tuple[int, int]:
        """An answer in a model's input, and as a model's output."""

    def state(self, arguments: Any) -> int:
        """A tool call's arguments."""

    def result(self, result: LazyToolResult, arguments: Any) -> tuple[int, int]:
        """A tool's result in a model's input, and as the output of its span, with the input."""


class NoSizes:
    """Measures nothing, where nobody wants to know sizes."""

    def message(self, source: Source) -> int:
        """Nothing."""
        return 0

    def answer(self, content: LazyContent) -> tuple[int, int]:
        """Nothing."""
        return 0, 0

    def state(self, arguments: Any) -> int:
        """Nothing."""
        return 0

    def result(self, result: LazyToolResult, arguments: Any) -> tuple[int, int]:
        """Nothing."""
        return 0, 0


class CountingSession(Session):
    """One session file, read for its numbers.

    Args:
        grouping, window_ms, in_pi_terms: as :class:`parsers.session.Session`.
        measure: measures messages.
    """

    def __init__(
        self,
        grouping: Grouping,
        window_ms: int,
        measure: Measure,
        in_pi_terms: Callable[[Decoded], Decoded] | None = None,
    ) -> None:
        super().__init__(grouping, window_ms, in_pi_terms)
        before: list[int] = []
        self._before = before
        self._empty = Sizes(before)
        self._start = self._last = Position(context=self._empty)
        self._counting = CountingReplay(self._traces, self._positions, self._orders, measure, before)
        self._replay = self._counting

    def feed_lines(self, lines: bytes) -> list[AnyRecord]:
        """As :meth:`parsers.session.Session.feed_lines`."""
        records: list[AnyRecord] = []
        entries = decode_lines(lines)
        if entries is None:
            return super().feed_lines(lines)
        split = [] if all(map(_has_id, entries)) else lines.split(b"\n")
        for index, entry in enumerate(entries):
            self._lines += 1
            if type(entry) is LazyMessageEntry and not self._in_pi_terms:
                found = self._count(entry)
                if found is not None:
                    records += found
                    continue
            records += self._take(Decoded(entry, ()), split[index] if split else b"")
        return records

    def _decode(self, line: bytes) -> Decoded:
        return decode_line(line, lazy=True)

    def _count(self, entry: LazyMessageEntry) -> list[AnyRecord] | None:
        """The records of an answer or a result on a branch that goes on; None for any other line."""
        entry_id, message, timestamp = entry.id, entry.message, entry.timestamp
        at = self._positions.get(entry.parent_id)  # type: ignore[arg-type]
        ms = to_ms(timestamp)
        if (
            at is None
            or entry_id is None
            or ms is None
            or not isinstance(message, LAZY)
            or (self._is_fork and ms < self._header_ms)
        ):
            return None
        seen, key = self._seen, (entry_id, KnownMessageEntry, timestamp)
        if key in seen:
            return []
        seen.add(key)
        self._time_ms = ms
        order = self._order = self._order + 1
        before = self._before
        if len(before) == order:
            before.append(at.context.branch)
        self._orders[entry_id] = order
        if isinstance(message, LazyAssistantMessage):
            at, records = self._counting.count_answer(at, message, order, ms)
        else:
            at, records = self._counting.count_result(at, message, order, entry_id, ms)
        self._last = self._positions[entry_id] = at
        return self._owned(records)


def _has_id(entry: AnyLine) -> bool:
    return getattr(entry, "id", "") is not None


class CountingReplay(Replay):
    """Replays a session for its numbers.

    Args:
        traces, positions, orders: as :class:`parsers.replay.Replay`.
        measure: measures messages.
        before: where the contexts' sizes are noted; it is that of the session's :class:`parsers.sizes.Sizes`.
    """

    def __init__(
        self,
        traces: Traces,
        positions: Mapping[str, Position],
        orders: Mapping[str, int],
        measure: Measure,
        before: list[int],
    ) -> None:
        super().__init__(traces, positions, orders)
        self._measure = measure
        self._before = before

    def step(self, at: Position, entry: e.Entry, order: int, when: When) -> Step:
        """As :meth:`parsers.replay.Replay.step`."""
        before = self._before
        before.extend([at.context.branch] * (order + 1 - len(before)))
        return super().step(at, entry, order, when)

    def count_answer(
        self, at: Position, message: e.AssistantMessage, order: int, ms: int, copied: bool = False
    ) -> Step:
        """The same for an answer; of its generation, only the numbers are there."""
        records: list[AnyRecord] = []
        if at.turn is not None:
            at, records = self._without_results(at, When(ms, copied))
        usage, sizes, content, stop = (
            usage_of(message.usage),
            at.context,
            message.content,
            message.stop_reason,
        )
        start_ms = to_ms(message.timestamp)
        size, output_size = self._measure.answer(content)  # type: ignore[arg-type]
        call = Generation(
            id=generation_id(message, start_ms, ms, usage),
            trace_id="",
            parent_id="",
            window=1,
            start_ms=start_ms,
            end_ms=ms,
            copied=copied,
            name="chat",
            usage=usage,
            model=message.model,
            stop_reason=stop,
            error=message.error_message,
            input=InputSizes(
                sizes.prompt, sizes.full, sizes.full - sizes.before_run, sizes.full - sizes.before_call
            ),
            output=content,
            size=output_size,
        )
        run, complete = self._traces.place(at.run, call, at.session_name)
        if run is not at.asked and run.prompt is not None:
            call.user_prompt = run.prompt
        calls = calls_of(content, call.id)
        for each in calls.values():  # arguments keep some hundred kB of the file around them
            if not may_start_subagents(each.name):
                each.arguments = self._measure.state(each.arguments)
        is_sent = stop not in FAILED and (calls or says_something(content))
        full = sizes.full + size if is_sent else sizes.full
        after = replace(
            at,
            context=replace(sizes, full=full, branch=sizes.branch + size, before_call=full),
            run=run,
            active_ms=ms,
            turn=self._turn(call, order, calls) if calls else None,
            provider=message.provider,
            model=message.model,
            asked=run,
        )
        return after, [*records, *complete, call] if records or complete else [call]

    def count_result(
        self, at: Position, message: LazyToolResult, order: int, entry_id: str | None, ms: int
    ) -> Step:
        """The same for a tool's result."""
        turn = at.turn
        call = turn.calls.get(message.tool_call_id) if turn else None
        if (
            turn is None
            or call is None
            or call.id not in turn.open
            or message.usage
            or message.nested_calls
            or call.span_id in self.delegations
        ):
            return self._tool_result(at, message, order, entry_id, When(ms, False))
        turn.open.discard(call.id)
        size, span_size = self._measure.result(message, call.arguments)
        span = Span(
            id=call.span_id,
            trace_id=turn.trace_id,
            window=turn.window,
            end_ms=to_ms(message.timestamp) or ms,
            copied=turn.copied,
            name=call.name or "unknown",
            parent_id=turn.generation_id,
            input=None,
            output=None,
            is_error=message.is_error,
            size=2 * span_size if message.is_error else span_size,
        )
        run = at.run
        if run and run.trace:
            run.trace.touch(ms)
        sizes = at.context
        context = replace(sizes, full=sizes.full + size, branch=sizes.branch + size)
        return replace(at, context=context, active_ms=ms), [span]

    def _assistant(
        self, at: Position, message: e.AssistantMessage, order: int, entry_id: str | None, when: When
    ) -> Step:
        return self.count_answer(at, message, order, when.ms, when.copied)

    def _seen(  # type: ignore[override]
        self, source: Source, order: int, entry_id: str | None, *, opens_run: bool = False
    ) -> MessageSize:
        is_sent = context_message(source, order).is_sent
        return MessageSize(self._measure.message(source), is_sent, opens_run)
