"""A session read for its numbers: what :class:`parsers.pi.session.Session` tells, without what was said.

Reading gigabytes for a table must cost little more than decoding them, so the lines that sessions consist of
take a straight way here: their figures are told without a record, and messages are measured instead of kept.
All else goes the way of any session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING

from msgspec.structs import replace

from parsers.counting.figures import Figures
from parsers.counting.lazy import LazyAssistantMessage, LazyMessageEntry, LazyToolResult, is_plain
from parsers.counting.lengths import message_length, plain_answer, result_length
from parsers.counting.replay import CountedTurn, CountingReplay
from parsers.counting.sizes import MessageSize, Sizes
from parsers.identity import as_uuid, derive, digest
from parsers.pi import entries as e
from parsers.pi.chain import FAILED, says_something
from parsers.pi.decoding import Decoded, KnownMessageEntry, decode_lazily, decode_line
from parsers.pi.generations import generation_fingerprint
from parsers.pi.messages import blocks_of
from parsers.pi.position import Position, is_queued
from parsers.pi.runs import Grouping
from parsers.pi.session import Session
from parsers.times import to_ms, to_rfc3339
from parsers.usage import usage_of

if TYPE_CHECKING:
    from parsers.counting.compiled._straight import Straight
else:
    try:
        from parsers.counting.compiled._straight import Straight
    except ImportError:  # there was no C compiler when this was installed
        Straight = None

_STRAIGHT = (LazyAssistantMessage, LazyToolResult, e.UserMessage)


class CountingSession(Session):
    """One session file, read for its numbers.

    Args:
        grouping, window_ms, in_pi_terms: as :class:`parsers.pi.session.Session`.
        longest: how many characters of a tool's input or output an event has.
    """

    def __init__(
        self,
        grouping: Grouping,
        window_ms: int,
        longest: int = 0,
        in_pi_terms: Callable[[Decoded], Decoded] | None = None,
    ) -> None:
        super().__init__(grouping, window_ms, in_pi_terms)
        before: list[int] = []
        self._longest = longest
        self._before = before
        self._empty = Sizes(before)
        self._unseen: list[str] = []  # entries that compiled code counted, and ``_seen`` lacks
        self._plain: Straight | None = None
        self._start = self._last = Position(context=self._empty)
        self._replay = CountingReplay(self._traces, self._positions, self._orders, longest, before)

    def count(self, blocks: Iterable[bytes | memoryview], figures: Figures, *, compiled: bool = True) -> None:
        """Read a file, and tell the figures of its events.

        Which tool calls may have started subagents is not noted: only :meth:`feed` keeps what they say.

        Args:
            blocks: the file's bytes in order, in blocks of whole lines; the last line may lack its newline,
                and is torn then. A block is not looked at any more when the next one is asked for.
            figures: takes the figures.
            compiled: whether the compiled part may count what it can, where it was built.
        """
        plain = self._compiled() if compiled else None
        for block in blocks:
            if plain is None:
                for line in BytesIO(block):
                    self._count_line(line, figures)
                continue
            at, end = 0, len(block)
            while (at := plain.count(self, block, at, figures)) < end:
                line = _line_at(block, at)
                self._count_line(line, figures)
                at += len(line)

    def _compiled(self) -> Straight | None:
        """What counts plain lines for this session; it is kept, for it knows where the session stands."""
        if self._plain is None and Straight is not None and self._in_pi_terms is None:
            self._plain = Straight(self._longest)
        return self._plain

    def _count_line(self, line: bytes, figures: Figures) -> None:
        entry = decode_lazily(line)
        if type(entry) is LazyMessageEntry:
            if (
                type(entry.message) in _STRAIGHT
                and self._in_pi_terms is None
                and self._straight(entry, figures)
            ):
                return
            if not is_plain(entry.message):
                entry = None
        if entry is None:
            records = self.feed(line, torn=not line.endswith(b"\n"))
        else:
            self._lines += 1
            records = self._take(Decoded(entry, ()), line)
        if records:
            figures.records(records)

    def _is_repeated(self, entry: e.Entry | e.UnknownEntry, line: bytes) -> bool:
        if self._unseen and entry.id in self._positions:  # else it can be none of these
            self._see()
        return super()._is_repeated(entry, line)

    def _see(self) -> None:
        """Note what compiled code counted as seen: it takes no other form of a time than pi's own."""
        for entry_id in self._unseen:
            ms = self._positions[entry_id].active_ms or 0
            self._seen.add((entry_id, KnownMessageEntry, to_rfc3339(ms)))
        self._unseen.clear()

    def _decode(self, line: bytes) -> Decoded:
        return decode_line(line, lazy=True)

    def _straight(self, entry: LazyMessageEntry, figures: Figures) -> bool:
        """Count a prompt, answer or result on a branch that goes on; False, and nothing done, for others."""
        entry_id, message, timestamp, positions = entry.id, entry.message, entry.timestamp, self._positions
        at = positions.get(entry.parent_id)  # type: ignore[arg-type]
        if at is None or entry_id is None or entry_id in positions:
            return False
        ms = to_ms(timestamp)
        if ms is None:
            return False
        order = self._order + 1
        copied = self._is_fork and ms < self._header_ms
        if type(message) is LazyAssistantMessage:
            after = self._answer(at, message, order, ms, copied, figures)
        elif type(message) is LazyToolResult:
            after = self._result(at, message, ms, figures)
        else:
            after = self._prompt(at, entry, ms, copied, figures)
        if after is None:
            return False
        self._seen.add((entry_id, KnownMessageEntry, timestamp))
        self._time_ms = ms
        self._order = self._orders[entry_id] = order
        if type(message) is e.UserMessage:
            self._before.extend([at.context.branch] * (order + 1 - len(self._before)))
        else:
            self._lines += 1
            self._before.append(at.context.branch)
            self._has_records = self._has_records or not copied
        self.has_copies = self.has_copies or copied
        self._last = positions[entry_id] = after
        return True

    def _prompt(
        self, at: Position, entry: LazyMessageEntry, ms: int, copied: bool, figures: Figures
    ) -> Position | None:
        """The position after a prompt to an idle agent; None where calls are open or it was queued."""
        message: e.UserMessage = entry.message  # type: ignore[assignment]
        turns = self._replay.turns
        typed_ms = to_ms(message.timestamp) or ms
        if at.turn is not None and at.turn.open:
            return None
        for turn in turns:
            if turn.open:
                return None
        if is_queued(at, typed_ms, ms):
            return None
        turns.clear()
        self._lines += 1
        self._describe(entry, copied=copied)
        text: str = self.last_prompt  # type: ignore[assignment]
        trace_id = derive("trace", typed_ms, ms, digest(text))
        run, complete = self._traces.open_run(
            text, trace_id, typed_ms, copied=copied, session_name=at.session_name
        )
        if run.trace:
            run.trace.touch(ms)
        if complete:
            figures.records(self._owned(complete))
        size, sizes, content = message_length(message, self._longest), at.context, message.content
        is_sent = bool(text) or any(block.type == "image" or block.text for block in blocks_of(content))
        context = sizes.append(MessageSize(size, is_sent, opens_run=True))
        return replace(at, context=context, run=run, active_ms=ms, turn=None)

    def _answer(
        self,
        at: Position,
        message: LazyAssistantMessage,
        order: int,
        ms: int,
        copied: bool,
        figures: Figures,
    ) -> Position | None:
        """The position after an answer; None where calls are still open or no trace is going on."""
        content, usage, stop, run = message.content, message.usage, message.stop_reason, at.run
        if run is None or usage is None or not isinstance(content, list) or (at.turn and at.turn.open):
            return None
        measured = plain_answer(content, self._longest)
        start_ms = to_ms(message.timestamp)
        trace = measured and self._traces.place_answer(run, message, start_ms, ms, copied=copied)
        if not measured or not trace:
            return None
        size, length, call_ids, calls = measured
        tokens = usage.input, usage.output, usage.cache_read, usage.cache_write
        cost = usage.cost
        cost_usd = usage_of(usage).cost_usd if cost is None or cost.total is None else cost.total
        own = generation_fingerprint(message, start_ms, ms, tokens, call_ids)
        generation_id = as_uuid(own) if calls else ""
        prompt = run.prompt if run is not at.asked else None
        sizes: Sizes = at.context
        model = figures.call(
            own,
            generation_id,
            trace.id,
            message.model,
            start_ms,
            ms,
            tokens,
            cost_usd,
            prompt,
            length,
            sizes,
        )
        turn = None
        failed = stop in FAILED
        if calls:
            turn = CountedTurn(
                generation_id, trace.id, trace.window, ms, copied, order, calls, failed, set(calls)
            )
            turn.model = model
            self._replay.turns.append(turn)
        is_sent = not failed and (calls or says_something(content))  # type: ignore[arg-type]
        full = sizes.full + size if is_sent else sizes.full
        return replace(
            at,
            context=replace(sizes, full=full, branch=sizes.branch + size, before_call=full),
            run=run,
            active_ms=ms,
            turn=turn,
            provider=message.provider,
            model=message.model,
            asked=run,
        )

    def _result(self, at: Position, message: LazyToolResult, ms: int, figures: Figures) -> Position | None:
        """The position after a result; None where it holds more than that, or nobody waits for it."""
        turn = at.turn
        call = turn.calls.get(message.tool_call_id) if isinstance(turn, CountedTurn) else None
        if (
            not isinstance(turn, CountedTurn)
            or call is None
            or call.id not in turn.open
            or message.usage is not None
            or message.nested_calls is not None
        ):
            return None
        lengths = result_length(message, call.arguments, self._longest)
        if lengths is None:
            return None
        size, length = lengths
        turn.open.discard(call.id)
        own_ms = to_ms(message.timestamp) or ms
        figures.span(
            turn.span_fingerprint(call),
            turn.trace_id,
            turn.model,
            call.name or "unknown",
            turn.start_of_result(own_ms, ms),
            own_ms,
            2 * length if message.is_error else length,
        )
        run, sizes = at.run, at.context
        if run and run.trace:
            run.trace.touch(ms)
        context = replace(sizes, full=sizes.full + size, branch=sizes.branch + size)
        return replace(at, context=context, active_ms=ms)


def _line_at(block: bytes | memoryview, at: int) -> bytes:
    """The line that begins there, with its newline if it has one."""
    size = 4096
    while True:
        line = bytes(block[at : at + size])
        end = line.find(b"\n") + 1
        if end or at + size >= len(block):
            return line[:end] if end else line
        size *= 4
