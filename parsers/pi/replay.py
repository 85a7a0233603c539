"""Replays entries: a position in the session's tree and an entry give the next position and the records."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from parsers.identity import derive, digest
from parsers.pi import entries as e
from parsers.pi import generations as g
from parsers.pi.chain import FAILED
from parsers.pi.generations import Where
from parsers.pi.messages import BRANCH_FRAME, Source, Summary, join_text
from parsers.pi.position import Allowance, Keeper, Position, is_queued
from parsers.pi.subagents import Delegation, may_start_subagents, parse_subagent, read_result_usage
from parsers.pi.toolcalls import ToolCall, Turn, list_calls, make_nested_spans
from parsers.pi.traces import Traces
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
        e.ThinkingLevelChange: "_thinking_level",
        e.CustomMessageEntry: "_custom",
        e.ContextEdit: "_context_edit",
        e.ContextReset: "_context_reset",
        e.Compaction: "_compaction",
        e.BranchSummary: "_branch_summary",
        e.SessionInfo: "_session_info",
        e.UsageEntry: "_usage",
        e.UserMessage: "_user",
        e.AssistantMessage: "_assistant",
        e.ToolResultMessage: "_tool_result",
        e.BashExecutionMessage: "_user_bash",
        e.CustomMessage: "_custom",
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
        self, traces: Traces, positions: Mapping[str, Position], orders: Mapping[str, int], keeper: Keeper
    ) -> None:
        self._traces = traces
        self._positions = positions
        self._orders = orders
        self._keeper = keeper
        self.allowance = Allowance()
        self.turns: list[Turn] = []
        self.delegations: dict[str, Delegation] = {}

    def step(self, at: Position, entry: e.Entry, where: Where) -> Step:
        """Return the position behind an entry, and the records that it completes.

        Args:
            at: the parent's position.
            entry: the entry.
            where: its time and its place in the file.
        """
        act = _ACTS[type(entry)]
        return getattr(self, act)(at, entry, where) if act else (at, [])

    def _message_entry(self, at: Position, entry: e.MessageEntry, where: Where) -> Step:
        message = entry.message
        act = _ACTS[type(message)]
        return getattr(self, act)(at, message, where) if act else (at, [])

    def _model_change(self, at: Position, entry: e.ModelChange, where: Where) -> Step:
        return replace(at, provider=entry.provider, model=entry.model_id), []

    def _thinking_level(self, at: Position, entry: e.ThinkingLevelChange, where: Where) -> Step:
        return replace(at, thinking_level=entry.thinking_level), []

    def _context_edit(self, at: Position, entry: e.ContextEdit, where: Where) -> Step:
        edited = at.context.edited(entry) if self.allowance.takes(at.context.size) else at.context
        return replace(at, context=edited), []

    def _context_reset(self, at: Position, entry: e.ContextReset, where: Where) -> Step:
        return replace(at, context=at.context.emptied(), turn=None), []

    def _session_info(self, at: Position, entry: e.SessionInfo, where: Where) -> Step:
        subagent = parse_subagent(entry.given_name)
        name = subagent.name if subagent else entry.given_name
        self._traces.rename(at.run, name, where.ms, copied=where.copied)
        return replace(at, session_name=name), []

    def _usage(self, at: Position, entry: e.UsageEntry, where: Where) -> Step:
        if entry.usage is None:
            return at, []
        return self._place_call(at, g.make_usage_generation(entry, where))

    def _user_bash(self, at: Position, message: e.BashExecutionMessage, where: Where) -> Step:
        return self._append(at, message, where), [self._attach_span(at, g.make_bash_span(message, where))]

    def _custom(self, at: Position, message: e.CustomMessage | e.CustomMessageEntry, where: Where) -> Step:
        return self._append(at, message, where), []

    def _system(self, at: Position, message: e.SystemMessage, where: Where) -> Step:
        may = self.allowance.takes(at.context.prompt.size)
        return (replace(at, context=at.context.patched(message)) if may else at), []

    def _user(self, at: Position, message: e.UserMessage, where: Where) -> Step:
        at, records = self._close_turn(at, where)
        typed_ms = to_ms(message.timestamp) or where.ms
        queued = is_queued(at, typed_ms, where.ms)
        if queued and at.run:
            run = at.run
            run.go_on()
        else:
            text = join_text(message.content)
            trace_id = derive("trace", typed_ms, where.ms, digest(text))
            run, complete = self._traces.open_run(
                text, trace_id, typed_ms, copied=where.copied, session_name=at.session_name
            )
            records += [*self._close_all_turns(where), *complete]
        run.touch(where.ms)
        at = self._append(at, message, where, opens_run=not queued)
        return replace(at, run=run, active_ms=where.ms), records

    def _assistant(self, at: Position, message: e.AssistantMessage, where: Where) -> Step:
        at, records = self._close_turn(at, where)
        context = at.context
        is_answered = self.allowance.takes(context.batch_size)
        if is_answered:
            context = context.answered()
        output = self._keeper.answer(message.content)
        call = g.make_chat_generation(message, where, context.given(), output, at.thinking_level)
        tool_calls = list_calls(message.content)
        call.tools_called = tuple(each.name or "unknown" for each in tool_calls.values())
        answered_by = f"{message.provider}/{message.model}"
        if at.answered_by != answered_by and at.answered_by is not None:
            call.previous_model = at.answered_by
        run, complete = self._traces.place(at.run, call, self._keeper.text(output), at.session_name)
        if run is not at.asked and run.prompt is not None:
            call.user_prompt = run.prompt
        said = self._keeper.message(message, where.order, where.entry_id)
        context = context.linked(said) if is_answered else context.append(said)
        after = replace(
            at,
            context=context.after_call(),
            run=run,
            active_ms=call.end_ms,
            turn=self._turn(call, where.order, tool_calls),
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

    def _tool_result(self, at: Position, message: e.ToolResultMessage, where: Where) -> Step:
        own_ms = to_ms(message.timestamp) or where.ms
        turn = at.turn
        call = turn.calls.get(message.tool_call_id) if turn else None
        records: list[AnyRecord] = []
        if turn is None or call is None:
            orphan = g.make_orphan_span(message, own_ms, self._keeper.result(message), where)
            span = self._attach_span(at, orphan)
            span_id = span.id
            records += [span, *make_nested_spans(message, span)]
        else:
            if call.id in turn.open:
                span = turn.answer(call, message, self._keeper.result(message), own_ms, where.ms)
                records += [span, *make_nested_spans(message, span)]
                span_id = span.id
            else:
                span_id = turn.span_id(call)
            if span_id in self.delegations:
                self.delegations[span_id].end(where.ms, message)
        usage = read_result_usage(message)
        if usage is not None:
            nested = g.make_nested_generation(message, usage, span_id, own_ms, where)
            at, placed = self._place_call(at, nested)
            records += placed
        if at.run:
            at.run.touch(where.ms)
        context = at.context.linked(self._keeper.message(message, where.order, where.entry_id))
        return replace(at, context=context, active_ms=where.ms), records

    def _compaction(self, at: Position, entry: e.Compaction, where: Where) -> Step:
        first_kept = self._find_first_kept(entry, where.order)
        if not self.allowance.takes(at.context.size_from(first_kept)):  # what is left is the summary
            first_kept, at = where.order, replace(at, context=at.context.emptied())
        records: list[AnyRecord]
        if entry.usage is None:
            records = [self._attach_span(at, g.make_compaction_span(entry, where))]
        else:
            given = at.context.given_to_compaction(first_kept)
            call = g.make_compaction_generation(entry, where, given, at.provider, at.model)
            at, records = self._place_call(at, call)
        return replace(
            at, context=at.context.compacted(entry, where.order, first_kept), active_ms=where.ms
        ), records

    def _find_first_kept(self, entry: e.Compaction, order: int) -> int:
        if entry.first_kept_entry_index is not None:
            # pi's migration takes index 0, the header, for no index
            return entry.first_kept_entry_index or order
        return self._orders.get(entry.first_kept_entry_id or "", order)

    def _branch_summary(self, at: Position, entry: e.BranchSummary, where: Where) -> Step:
        records: list[AnyRecord] = []
        if entry.usage is not None:
            left = self._positions.get(entry.from_id or "")
            if left and not self.allowance.takes(left.context.size + at.context.size):
                left = None
            given = at.context.given_to_summary(left.context if left else None)
            call = g.make_summary_generation(entry, where, given, at.provider, at.model)
            at, records = self._place_call(at, call)
        if entry.summary:
            at = self._append(at, Summary(entry.summary, BRANCH_FRAME), where)
        return replace(at, active_ms=where.ms), records

    def _append(self, at: Position, message: Source, where: Where, *, opens_run: bool = False) -> Position:
        """Append a message to the context, which may end a batch of tool results."""
        if not self.allowance.takes(at.context.batch_size):
            return at
        kept = self._keeper.message(message, where.order, where.entry_id, opens_run=opens_run)
        return replace(at, context=at.context.append(kept))

    def _place_call(self, at: Position, call: Generation) -> Step:
        """Put a call into its trace."""
        run, complete = self._traces.place(at.run, call, self._keeper.text(call.output), at.session_name)
        return replace(at, run=run, active_ms=call.end_ms), [*complete, call]

    def _attach_span(self, at: Position, span: Span) -> Span:
        """Put a span that costs nothing into the run's trace; before any trace, into one of its own."""
        trace = at.run.trace if at.run and at.run.trace else None
        span.trace_id = trace.id if trace else derive("trace", span.id)
        span.window = trace.window if trace else 1
        part = at.run.part if at.run else None
        span.parent_id = part.run_id if part and part.calls else span.trace_id
        return span

    def _close_turn(self, at: Position, where: Where) -> Step:
        """Give up the open tool calls of this branch, because an answer or a prompt follows them."""
        turn = at.turn
        if turn is None:
            return at, []
        records = self._abandon(turn, where) if turn.open else []
        return replace(at, turn=None), records

    def _close_all_turns(self, where: Where) -> list[AnyRecord]:
        """Give up all open tool calls, because the agent went on elsewhere."""
        records = [record for turn in self.turns if turn.open for record in self._abandon(turn, where)]
        self.turns.clear()
        return records

    def _abandon(self, turn: Turn, where: Where) -> list[AnyRecord]:
        """Return the spans of a turn's open calls; how a copied call ended, the parent's file tells."""
        spans = turn.abandon()
        for span in spans:
            if span.id in self.delegations:
                self.delegations[span.id].end(where.ms)
        return list(spans) if where.copied or not turn.copied else []
