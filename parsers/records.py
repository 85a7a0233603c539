"""What happened in a session, in the field's words: generations, spans, runs and traces.

Times are milliseconds since the epoch (UTC), costs US dollars. Ids are UUIDs as text, derived from what pi
recorded (see :mod:`parsers.identity`). Where a session is only counted, sizes stand in the place of inputs
and outputs (see :mod:`parsers.counting.sizes`).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from parsers.usage import Usage


class Issue(Struct):
    """What was wrong with a session file: what, at which line first (from 1), and how often."""

    what: str
    line: int
    count: int = 1


class Record(Struct, kw_only=True):
    """What all records share.

    Attributes:
        id: the span id, and the uuid of its event.
        trace_id: the trace it belongs to.
        window: which of the session's windows it belongs to, from 1.
        start_ms: when it began, or None where pi did not record it.
        end_ms: when it ended.
        copied: whether the entry was copied here from the session that this one was forked from.
        measured_ms: how long it took, where pi measured that.
        agent: the name of the subagent whose session this is; None for the agent that the user talks to.
    """

    id: str
    trace_id: str
    window: int
    start_ms: int | None = None
    end_ms: int
    copied: bool
    measured_ms: float | None = None
    agent: str | None = None

    @property
    def latency_s(self) -> float | None:
        """Seconds from start to end, never negative; None where neither start nor duration is known."""
        if self.measured_ms is not None:
            return max(0.0, self.measured_ms) / 1000
        return None if self.start_ms is None else max(0, self.end_ms - self.start_ms) / 1000


class Generation(Record, kw_only=True):
    """A model call, or model work that pi recorded the usage of.

    Attributes:
        name: ``chat``, ``compaction``, ``branch_summary``, the kind of a usage entry, or the tool's name.
        parent_id: the run, or the span of the tool that made the call.
        provider, model: which model was asked; None where pi did not record it (a tool's own calls).
        previous_model: provider and model of the answer before on this branch, where they were others.
        raw_stop_reason: the provider's own word for it.
        input: what the call was given, a :class:`parsers.pi.context.ModelInput`; None where pi did not
            record it.
        output: the content of the answer, or the text of the summary.
        user_prompt: the prompt, in the first call of a run that a prompt opened.
        tools_called: the names of the tools that the answer asked for, one for each call, in their order.
    """

    name: str
    parent_id: str
    usage: Usage
    provider: str | None = None
    model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    thinking_level: str | None = None
    provider_thinking_level: str | None = None
    previous_model: str | None = None
    stop_reason: str | None = None
    raw_stop_reason: str | None = None
    error: str | None = None
    input: Any = None
    output: Any = None
    user_prompt: str | None = None
    tools_called: tuple[str, ...] = ()


class Span(Record, kw_only=True):
    """A tool call, a command that the user ran, or a compaction whose usage pi did not record.

    Attributes:
        name: the tool's name, ``user_bash`` or ``compaction``.
        parent_id: the generation that asked for the tool, the span of the tool that called it, the run, or
            the trace.
        input: arguments, as JSON values.
        output: the result as JSON values, or None if there was none.
        error: the text of the error, if ``is_error``.
        error_is_output: whether ``error`` was made from the tool's output.
    """

    name: str
    parent_id: str
    input: Any
    output: Any
    is_error: bool = False
    error: str | None = None
    error_is_output: bool = False


class Trace(Record, kw_only=True):
    """A run that has ended, or a session window.

    Its totals are not here: they are the sums over the generations with its ``trace_id``.

    Attributes:
        name: the first line of its prompt, or what the model work was, if no prompt opened it.
        session_name: the session's name at that time, on that branch.
        from_prompt: whether the name was taken from a prompt.
        input: the text of the prompt.
        output: the text of the last answer, or None.
        error: the message of the last call's error, if ``is_error``.
    """

    name: str
    session_name: str | None
    from_prompt: bool
    input: str | None
    output: Any
    is_error: bool
    error: str | None


class Run(Record, kw_only=True):
    """A run that has ended, as far as it lies within a trace: its calls hang below it.

    Attributes:
        name: the first line of its prompt, or what the model work was, if no prompt opened it.
        from_prompt: whether the name was taken from a prompt.
        input: the text of the prompt, where the trace is not the run's own.
        output: the text of the last answer, likewise.
        error: the message of the last call's error, if ``is_error``.
        share_ms: its part of the time of its trace, in ms: the shares of a trace's runs add up to that.
        trace_start_ms: when the trace began.
        trace_input: the text of the prompt that opened the trace.
    """

    name: str
    from_prompt: bool
    input: str | None
    output: Any
    is_error: bool
    error: str | None
    share_ms: int
    trace_start_ms: int | None
    trace_input: str | None


AnyRecord = Generation | Span | Run | Trace
