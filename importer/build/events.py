"""Builds PostHog events of records: properties, privacy, and JSON that is joined only when it is sent.

Property names are those of the official pi extension (0.1.1) and PostHog's LLM analytics docs. A cost that is
known is passed through (``$ai_cost_passthrough``), so that PostHog shows it (see :mod:`importer.build.cost`).
"""

from __future__ import annotations

from typing import Any

from importer import __version__
from importer.build.chat import ChatEncoder
from importer.build.cost import CostRules, make_cost_properties
from importer.build.event import Event, ModelInputJson
from importer.build.facts import STOP_REASONS, SessionFacts, name_agent
from importer.build.properties import (
    NO_ERROR,
    encode_event,
    keep_present,
    make_call_error,
    make_token_properties,
    make_tool_error,
    shared_properties,
)
from importer.build.redaction import Redactor
from importer.sessions.exports import LIBRARY
from importer.settings import Settings
from importer.totals import TraceTotals
from parsers.pi.chain import MessageRange
from parsers.pi.context import ModelInput
from parsers.pi.generations import http_status
from parsers.records import AnyRecord, Generation, Run, Span, Trace

COMPACTION = "compaction"
_NAME_LENGTH = 80


class EventBuilder:
    """Builds the events of one session file.

    ::

        builder = EventBuilder(settings, find_facts(file, settings))
        event = builder.build(record)

    Args:
        settings: what to send, and under which names.
        facts: the session.
        content_since_ms: events that ended before then, in ms since the epoch, go without content; None: none
            does (see `Settings.content_since_ms`). It may be changed between two events.
    """

    def __init__(self, settings: Settings, facts: SessionFacts, content_since_ms: int | None = None) -> None:
        self.content_since_ms = content_since_ms
        self._settings = settings
        self._private = settings.privacy_mode
        self._facts = facts
        self._redactor = Redactor(settings.max_attribute_length, secrets=settings.redact_secrets)
        self._chat = ChatEncoder(self._redactor)
        self._costs = CostRules(settings)

    def build(
        self, record: AnyRecord, totals: TraceTotals | None = None, starter: str | None = None
    ) -> Event:
        """Return the event of a record.

        Args:
            record: what happened.
            totals: the totals of a trace's generations.
            starter: the span of the tool call that started a subagent's run, for the run and its trace.
        """
        match record:
            case Generation():
                return self._generation(record)
            case Span():
                return self._event("$ai_span", record, self._span(record))
            case Run():
                return self._event("$ai_span", record, self._run(record, starter))
            case Trace():
                return self._event("$ai_trace", record, self._trace(record, totals or TraceTotals(), starter))

    def _has_content(self, record: AnyRecord) -> bool:
        return self.content_since_ms is None or record.end_ms >= self.content_since_ms

    def _generation(self, call: Generation) -> Event:
        usage = call.usage
        has_content = self._has_content(call)
        failed = call.stop_reason == "error"
        stop_reason = STOP_REASONS.get(call.stop_reason or "", call.stop_reason)
        properties: dict[str, Any] = {
            "$ai_span_id": call.id,
            "$ai_parent_id": call.parent_id,
            **keep_present(
                **{
                    "$ai_span_name": None if call.name == "chat" else call.name,
                    "$ai_span_type": COMPACTION if call.name == COMPACTION else None,
                }
            ),
            "$ai_model": call.model,
            "$ai_provider": call.provider,
            "$ai_response_model": call.response_model,
            "$ai_response_id": call.response_id,
            "$ai_model_parameters": keep_present(
                thinking_level=call.thinking_level, provider_thinking_level=call.provider_thinking_level
            )
            or None,
            **(self._answer(call) if has_content else {}),
            "$ai_tools_called": ",".join(call.tools_called),
            "$ai_tool_call_count": len(call.tools_called),
            **make_token_properties(usage),
            "$ai_latency": call.latency_s,
            **make_cost_properties(self._costs.price_call(call), self._settings.unpriced),
            "$ai_stop_reason": stop_reason,
            "$ai_is_aborted": call.stop_reason == "aborted",
            **(
                make_call_error(call.error, self._words(call.error or "unknown error"))
                if failed
                else NO_ERROR
            ),
        }
        raw_stop_reason = self._words(call.raw_stop_reason)
        properties |= keep_present(
            **{
                "$ai_previous_model": call.previous_model,
                "$ai_raw_stop_reason": None if call.raw_stop_reason == stop_reason else raw_stop_reason,
                "$ai_http_status": http_status(call.error) if failed else None,
            }
        )
        if call.user_prompt is not None:
            properties["$ai_user_prompt"] = self._words(call.user_prompt)
        given = call.input if isinstance(call.input, ModelInput) else None
        if given and self._private:
            for message in given.new.messages():
                message.forget()
        input_json = None
        if has_content and given and not self._private:
            input_json = self._input(given)
        elif has_content:
            properties["$ai_input"] = None
        return self._event("$ai_generation", call, properties, input_json)

    def _input(self, given: ModelInput) -> ModelInputJson:
        context = self._settings.input_context
        prompt = self._chat.prompt(given.prompt) if context == "full" else b""
        span: MessageRange = getattr(given, context)
        return ModelInputJson(
            self._chat.stretches, prompt, self._chat.link(span.start), self._chat.link(span.end)
        )

    def _answer(self, call: Generation) -> dict[str, Any]:
        output = None if self._private or call.output is None else self._chat.output(call.output)
        tools = self._chat.tools(call.input.prompt, names_only=self._private) if call.input else None
        return {"$ai_output_choices": output, "$ai_tools": tools}

    def _span(self, span: Span) -> dict[str, Any]:
        has_content = self._has_content(span)
        says = not self._private
        output = self._redactor.state(span.output) if says and (has_content or span.error_is_output) else None
        error = output if span.error_is_output else span.error
        states: dict[str, Any] = {}
        if has_content:
            given = self._redactor.state(span.input) if says else None
            states = {"$ai_input_state": given, "$ai_output_state": output}
        return {
            "$ai_span_id": span.id,
            "$ai_parent_id": span.parent_id,
            "$ai_span_name": span.name,
            "$ai_span_type": COMPACTION if span.name == COMPACTION else "tool",
            **states,
            "$ai_latency": span.latency_s,
            **(make_tool_error(span.name, error) if span.is_error else NO_ERROR),
        }

    def _run(self, run: Run, starter: str | None) -> dict[str, Any]:
        """Return the properties of a run's span, which stands between its trace and its calls.

        PostHog shows as a trace's latency the sum over what hangs directly below it, and over its own event
        if that hangs below nothing. So a run has a latency only in a subagent's trace, which hangs below a
        tool call.
        """
        name = "run" if self._private else self._redactor.clean(run.name)
        properties = {
            "$ai_span_id": run.id,
            "$ai_parent_id": run.trace_id,
            "$ai_span_name": _shorten(name),
            "$ai_span_type": "agent",
            **self._end_error(run),
        }
        if starter is not None:
            properties["$ai_latency"] = run.share_ms / 1000
        has_states = run.input is not None or run.output is not None
        return properties | (self._states(run) if has_states else {})

    def _trace(self, trace: Trace, totals: TraceTotals, starter: str | None) -> dict[str, Any]:
        return keep_present(**{"$ai_parent_id": starter}) | {
            "$ai_span_name": self._trace_name(trace),
            **self._states(trace),
            "$ai_latency": trace.latency_s,
            "$ai_total_input_tokens": totals.input_tokens,
            "$ai_total_output_tokens": totals.output_tokens,
            "$ai_total_cache_read_input_tokens": totals.cache_read_tokens,
            "$ai_total_cache_creation_input_tokens": totals.cache_write_tokens,
            "$ai_total_cost_usd": totals.cost_usd,
            **self._end_error(trace),
        }

    def _end_error(self, ended: Run | Trace) -> dict[str, Any]:
        """Return the properties of the error that a run or a trace ended with."""
        return make_call_error(ended.error, self._words(ended.error)) if ended.is_error else NO_ERROR

    def _states(self, trace: Run | Trace) -> dict[str, Any]:
        if not self._has_content(trace):
            return {}
        return {
            "$ai_input_state": self._words(trace.input),
            "$ai_output_state": self._words(trace.output),
        }

    def _trace_name(self, trace: Trace) -> str | None:
        """Return the session's name and the prompt's first line, cut to fit; no words in privacy mode."""
        if self._private:
            return None if trace.from_prompt else trace.name
        own = trace.session_name or ""
        parts = (own, trace.name) if own != trace.name else (own,)
        name = self._redactor.clean(": ".join(part for part in parts if part))
        return _shorten(name)

    def _words(self, text: str | None) -> str | None:
        """Return text of a user, a model or a provider: nothing in privacy mode."""
        return None if text is None or self._private else self._redactor.text(text)

    def _event(
        self,
        event: str,
        record: AnyRecord,
        own: dict[str, Any],
        input_json: ModelInputJson | None = None,
    ) -> Event:
        # The event of a copy is the parent's, whoever sends it.
        owner = self._facts.parent_id if record.copied else None
        session = f"{self._facts.framework}:{owner or self._facts.session_id}"
        if record.window > 1:
            session += f":{record.window}"
        properties = {
            "$ai_trace_id": record.trace_id,
            "$ai_session_id": session,
            "$ai_project_name": self._facts.project,
            "$ai_agent_name": name_agent(self._settings, self._facts, record.agent),
            "$ai_framework": self._facts.framework,
            "$ai_lib": LIBRARY,
            "$ai_lib_version": __version__,
            **shared_properties(self._settings),
            **own,
        }
        if self._facts.parent_id and not record.copied:
            properties["$ai_parent_session_id"] = f"{self._facts.framework}:{self._facts.parent_id}"
        distinct_id = self._settings.distinct_id or session
        if self._settings.distinct_id is None:
            properties["$process_person_profile"] = False
        head = encode_event(event, record.id, distinct_id, record.end_ms, properties)
        return Event(event, record.id, record.end_ms, self._facts.source, head, input_json)


def _shorten(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
