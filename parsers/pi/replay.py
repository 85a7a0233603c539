"""A branch replayed: a position in the session's tree and an entry give the next position and the records."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from parsers.identity import derive, digest
from parsers.pi import entries as e
from parsers.pi import generations as g
from parsers.pi.chain import FAILED
from parsers.pi.generations import When
from parsers.pi.messages import BRANCH_FRAME, Summary, text_of
from parsers.pi.position import Allowance, Keeper, Position, append_message, is_queued
from parsers.pi.runs import Traces
from parsers.pi.subagents import Delegation, may_start_subagents, subagent_of, usage_of_result
from parsers.pi.toolcalls import ToolCall, Turn, calls_of, nested_spans
from parsers.records import AnyRecord, Generation, Span
from parsers.times import to_ms

Step = tuple[Position, list[AnyRecord]]


class _Acts(dict[type, str]):
    """Names of methods by the type that they act on or that it is derived from; empty where there is none.

    They are names because a session that refers to itself would wait for the garbage collector.
    """

    def __missing__(self, kind: type) -> str:
        self[kind] = next((self[base] for base in kind.__mro__[1:] if base in self), "")
        return self[kind]


_ACTS = _Acts(
    {
        e.MessageEntry: "_message_entry",
        e.ModelChange: "_model_change",
        e.ThinkingLevelChange: "_thinking_level_change",
        e.CustomMessageEntry: "_custom_message_entry",
        e.ContextEdit: "_context_edit",
        e.ContextReset: "_context_reset",
        e.Compaction: "_compaction",
        e.BranchSummary: "_branch_summary",
        e.SessionInfo: "_session_info",
        e.UsageEntry: "_usage",
    }
)
_MESSAGE_ACTS = _Acts(
    {
        e.UserMessage: "_user",
        e.AssistantMessage: "_assistant",
        e.ToolResultMessage: "_tool_result",
        e.BashExecutionMessage: "_user_bash",
        e.CustomMessage: "_custom_message",
        e.HookMessage: "_custom_message",
        e.SystemMessage: "_system",
    }
)


class Replay:
    """Replays the entries of one session file, in file order, each from its parent's position.

    Args:
        traces: where calls are put into traces.
        positions: the positions after earlier entries, by entry id.
        orders: the places of earlier entries in the file, by entry id.
        keeper: decides what is kept of what was said.
    """

    def __init__(
        self,
        traces: Traces,
        positions: Mapping[str, Position],
        orders: Mapping[str, int],
        keeper: Keeper,
    ) -> None:
        self._traces = traces
        self._positions = positions
        self._orders = orders
        self._keeper = keeper
        self.allowance = Allowance()
        self.turns: list[Turn] = []
        self.delegations: dict[str, Delegation] = {}

    def step(self, at: Position, entry: e.Entry, order: int, when: When) -> Step:
        """What an entry does to the position of its parent.

        Args:
            at: the parent's position.
            entry: the entry.
            order: its place in the file.
            when: its time, and whether it was copied.
        """
        act = _ACTS[type(entry)]
        return getattr(self, act)(at, entry, order, when) if act else (at, [])

    def _message_entry(self, at: Position, entry: e.MessageEntry, order: int, when: When) -> Step:
        message = entry.message
        act = _MESSAGE_ACTS[type(message)]
        return getattr(self, act)(at, message, order, entry.id, when) if act else (at, [])

    def _model_change(self, at: Position, entry: e.ModelChange, order: int, when: When) -> Step:
        return replace(at, provider=entry.provider, model=entry.model_id), []

    def _thinking_level_change(
        self, at: Position, entry: e.ThinkingLevelChange, order: int, when: When
    ) -> Step:
        return replace(at, thinking_level=entry.thinking_level), []

    def _custom_message_entry(
        self, at: Position, entry: e.CustomMessageEntry, order: int, when: When
    ) -> Step:
        return self._custom_message(at, entry, order, entry.id, when)

    def _context_edit(self, at: Position, entry: e.ContextEdit, order: int, when: When) -> Step:
        edited = at.context.edited(entry) if self.allowance.takes(at.context.size) else at.context
        return replace(at, context=edited), []

    def _context_reset(self, at: Position, entry: e.ContextReset, order: int, when: When) -> Step:
        return replace(at, context=at.context.emptied(), turn=None), []

    def _session_info(self, at: Position, entry: e.SessionInfo, order: int, when: When) -> Step:
        name = session_name(entry)
        subagent = subagent_of(name)
        name = subagent.name if subagent else name
        self._traces.rename(at.run, name, when.ms, copied=when.copied)
        return replace(at, session_name=name), []

    def _usage(self, at: Position, entry: e.UsageEntry, order: int, when: When) -> Step:
        return self._call(at, g.usage_generation(entry, when)) if entry.usage is not None else (at, [])

    def _user_bash(
        self, at: Position, message: e.BashExecutionMessage, order: int, entry_id: str | None, when: When
    ) -> Step:
        after = append_message(at, self._keeper.message(message, order, entry_id), self.allowance)
        return after, [self._attached(at, g.user_bash_span(message, when))]

    def _custom_message(
        self,
        at: Position,
        message: e.CustomMessage | e.CustomMessageEntry,
        order: int,
        entry_id: str | None,
        when: When,
    ) -> Step:
        return append_message(at, self._keeper.message(message, order, entry_id), self.allowance), []

    def _system(
        self, at: Position, message: e.SystemMessage, order: int, entry_id: str | None, when: When
    ) -> Step:
        may = self.allowance.takes(at.context.prompt.size)
        return (replace(at, context=at.context.patched(message)) if may else at), []

    def _user(
        self, at: Position, message: e.UserMessage, order: int, entry_id: str | None, when: When
    ) -> Step:
        at, records = self._without_results(at, when)
        typed_ms = to_ms(message.timestamp) or when.ms
        queued = is_queued(at, typed_ms, when.ms)
        if queued and at.run:
            run = at.run
            run.go_on()
        else:
            text = text_of(message.content)
            trace_id = derive("trace", typed_ms, when.ms, digest(text))
            run, complete = self._traces.open_run(
                text, trace_id, typed_ms, copied=when.copied, session_name=at.session_name
            )
            records += [*self._abandoned(when), *complete]
        if run.trace:
            run.trace.touch(when.ms)
        kept = self._keeper.message(message, order, entry_id, opens_run=not queued)
        at = append_message(at, kept, self.allowance)
        return replace(at, run=run, active_ms=when.ms), records

    def _assistant(
        self, at: Position, message: e.AssistantMessage, order: int, entry_id: str | None, when: When
    ) -> Step:
        at, records = self._without_results(at, when)
        context = at.context
        is_answered = self.allowance.takes(context.batch_size)
        if is_answered:
            context = context.answered()
        output = self._keeper.answer(message.content)
        call = g.chat_generation(message, when, context.given(), output, at.thinking_level)
        answered_by = f"{message.provider}/{message.model}"
        if at.answered_by != answered_by and at.answered_by is not None:
            call.previous_model = at.answered_by
        run, complete = self._traces.place(at.run, call, self._keeper.text(output), at.session_name)
        call.parent_id = call.trace_id
        if run is not at.asked and run.prompt is not None:
            call.user_prompt = run.prompt
        said = self._keeper.message(message, order, entry_id)
        context = context.linked(said) if is_answered else context.append(said)
        after = replace(
            at,
            context=context.after_call(),
            run=run,
            active_ms=call.end_ms,
            turn=self._turn(call, order, calls_of(message.content)),
            provider=message.provider,
            model=message.model,
            answered_by=answered_by,
            asked=run,
        )
        return after, [*records, *complete, call]

    def _turn(self, call: Generation, order: int, calls: dict[str, ToolCall]) -> Turn | None:
        if not calls:
            return None
        failed = call.stop_reason in FAILED
        turn = Turn(
            call.id, call.trace_id, call.window, call.end_ms, call.copied, order, calls, failed, set(calls)
        )
        self.turns.append(turn)
        for each in calls.values():
            if may_start_subagents(each.name):
                span_id = turn.span_id(each)
                self.delegations[span_id] = Delegation(span_id, call.end_ms, call.copied, each.arguments)
            each.arguments = self._keeper.arguments(each, call.output)
        return turn

    def _tool_result(
        self, at: Position, message: e.ToolResultMessage, order: int, entry_id: str | None, when: When
    ) -> Step:
        own_ms = to_ms(message.timestamp) or when.ms
        turn = at.turn
        call = turn.calls.get(message.tool_call_id) if turn else None
        records: list[AnyRecord] = []
        if turn is None or call is None:
            span = self._attached(at, g.orphan_span(message, own_ms, self._keeper.result(message), when))
            span_id = span.id
            records += [span, *nested_spans(message, span)]
        else:
            if call.id in turn.open:
                span = turn.answer(call, message, self._keeper.result(message), own_ms, when.ms)
                records += [span, *nested_spans(message, span)]
                span_id = span.id
            else:
                span_id = turn.span_id(call)
            if span_id in self.delegations:
                self.delegations[span_id].end(when.ms, message)
        usage = usage_of_result(message)
        if usage is not None:
            at, nested = self._call(at, g.nested_generation(message, usage, span_id, own_ms, when))
            records += nested
        if at.run and at.run.trace:
            at.run.trace.touch(when.ms)
        context = at.context.linked(self._keeper.message(message, order, entry_id))
        return replace(at, context=context, active_ms=when.ms), records

    def _compaction(self, at: Position, entry: e.Compaction, order: int, when: When) -> Step:
        first_kept = self._first_kept(entry, order)
        if not self.allowance.takes(at.context.size_from(first_kept)):  # what is left is the summary
            first_kept, at = order, replace(at, context=at.context.emptied())
        records: list[AnyRecord]
        if entry.usage is None:
            records = [self._attached(at, g.compaction_span(entry, when))]
        else:
            given = at.context.given_to_compaction(first_kept)
            at, records = self._call(at, g.compaction_generation(entry, when, given, at.provider, at.model))
        return replace(at, context=at.context.compacted(entry, order, first_kept), active_ms=when.ms), records

    def _first_kept(self, entry: e.Compaction, order: int) -> int:
        if entry.first_kept_entry_index is not None:
            # index 0 is the header, which pi's migration takes for nothing
            return entry.first_kept_entry_index or order
        return self._orders.get(entry.first_kept_entry_id or "", order)

    def _branch_summary(self, at: Position, entry: e.BranchSummary, order: int, when: When) -> Step:
        records: list[AnyRecord] = []
        if entry.usage is not None:
            left = self._positions.get(entry.from_id or "")
            if left and not self.allowance.takes(left.context.size + at.context.size):
                left = None
            given = at.context.given_to_summary(left.context if left else None)
            call = g.branch_summary_generation(entry, when, given, at.provider, at.model)
            at, records = self._call(at, call)
        if entry.summary:
            message = self._keeper.message(Summary(entry.summary, BRANCH_FRAME), order, entry.id)
            at = append_message(at, message, self.allowance)
        return replace(at, active_ms=when.ms), records

    def _call(self, at: Position, call: Generation) -> Step:
        """Put a call into its trace."""
        run, complete = self._traces.place(at.run, call, self._keeper.text(call.output), at.session_name)
        call.parent_id = call.parent_id or call.trace_id
        return replace(at, run=run, active_ms=call.end_ms), [*complete, call]

    def _attached(self, at: Position, span: Span) -> Span:
        """A span that costs nothing, in the trace that is or was going on; in one of its own before any."""
        trace = at.run.trace if at.run and at.run.trace else None
        span.trace_id = trace.id if trace else derive("trace", span.id)
        span.window = trace.window if trace else 1
        span.parent_id = span.trace_id
        return span

    def _without_results(self, at: Position, when: When) -> Step:
        """Give up the open tool calls of this branch: an answer or a prompt follows them."""
        turn = at.turn
        if turn is None or not turn.open:
            return at, []
        records = self._abandon(turn, when)
        return replace(at, turn=None), records

    def _abandoned(self, when: When) -> list[AnyRecord]:
        """The spans of all calls still open: the agent went on elsewhere, so no result will come."""
        records = [record for turn in self.turns if turn.open for record in self._abandon(turn, when)]
        self.turns.clear()
        return records

    def _abandon(self, turn: Turn, when: When) -> list[AnyRecord]:
        """The spans of a turn's open calls; of a call that a fork copied, the parent's file knows the end."""
        spans = turn.abandon()
        for span in spans:
            if span.id in self.delegations:
                self.delegations[span.id].end(when.ms)
        return list(spans) if when.copied or not turn.copied else []


def session_name(entry: e.SessionInfo) -> str | None:
    """The name that an entry gives the session; None where it takes the name away."""
    return (entry.name or "").strip() or None
