"""Records to PostHog events: properties, privacy, and JSON that is joined only when it is sent.

Property names are those of the official pi extension (0.1.1) and PostHog's LLM analytics docs. Cost is
passed through (``$ai_cost_passthrough``), so that PostHog shows what pi recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from importer import __version__
from importer.chat import ChatEncoder
from importer.redaction import Redactor, without_media
from importer.settings import Settings
from importer.totals import TraceTotals
from importer.trimming import EVENT_LIMIT, cut_strings, marker
from parsers.context import Span as ContextSpan
from parsers.identity import derive
from parsers.records import AnyRecord, Generation, Span, Trace
from parsers.times import to_rfc3339

LIBRARY = "pi-posthog"
CONTEXTS = ("full", "turn", "new")
IDENTIFY_MS = 1_735_689_600_000  # the start of 2025, before any session of pi
_NAME_LENGTH = 80
_STOP_REASONS = {"toolUse": "tool_calls", "aborted": "stop"}  # the extension's values
_PROMPT_SHARE = 4  # the system prompt survives trimming where it takes less than this part of the event


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What all events of a session share.

    Attributes:
        session_id: the header's.
        project: the project's name.
        source: the file, for messages.
        parent_id: the id of the session that this one was forked from, where the header tells it.
    """

    session_id: str
    project: str
    source: str
    parent_id: str | None = None


@dataclass(slots=True)
class ModelInputJson:
    """``$ai_input`` in parts: the system message and the messages, encoded but not yet joined."""

    chat: ChatEncoder
    prompt: bytes
    span: ContextSpan

    @property
    def size(self) -> int:
        """Bytes of the joined array."""
        messages = self.chat.size(self.span)
        return 2 + messages + (len(self.prompt) if self.prompt else -1 if messages else 0)

    def join(self, limit: int) -> bytes:
        """The array as JSON; if it is over ``limit`` bytes, without its oldest messages.

        The newest message stays, however large it is.
        """
        if self.size <= limit:
            messages = [self.chat.message(message) for message in self.span.messages()]
            return b"[" + b",".join([self.prompt, *messages] if self.prompt else messages) + b"]"
        prompt = self.prompt if len(self.prompt) * _PROMPT_SHARE < limit else b""
        left = limit - len(prompt) - len(marker(10**9)) - 4
        kept: list[bytes] = []
        left_out = 0 if prompt or not self.prompt else 1
        for link in self.span.newest_first():
            encoded = self.chat.message(link.message)
            left -= len(encoded) + 1
            if left < 0 and kept:
                left_out += link.depth - (self.span.start.depth if self.span.start else 0)
                break
            kept.append(encoded)
        parts = [prompt] if prompt else []
        if left_out:
            parts.append(marker(left_out))
        return b"[" + b",".join(parts + kept[::-1]) + b"]"


class Event:
    """One PostHog event, ready to be sent (see :class:`importer.envelope.Envelope`)."""

    __slots__ = ("_head", "_inputs", "_size", "context", "end_ms", "event", "source", "uuid")

    def __init__(
        self,
        event: str,
        uuid: str,
        end_ms: int,
        source: str,
        head: bytes,
        inputs: dict[str, ModelInputJson] | None = None,
        context: str = "full",
    ) -> None:
        self.event = event
        self.uuid = uuid
        self.end_ms = end_ms
        self.source = source
        self.context = context
        self._head = head
        self._inputs = inputs
        self._size: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the JSON that :meth:`encode` gives."""
        if self._size is None:
            self._size = self.size_with(self.context)
        return self._size

    def size_with(self, context: str) -> int:
        """Bytes of the JSON with another input context (``full``, ``turn`` or ``new``)."""
        size = len(self._head)
        if self._inputs is not None:
            size += len(',"$ai_input":') + self._inputs[context].size
        return size if size <= EVENT_LIMIT else len(self._encode(context, EVENT_LIMIT))

    def encode(self) -> bytes:
        """The event's JSON, at most 900 KiB."""
        return self._encode(self.context, EVENT_LIMIT)

    def trimmed(self, limit: int) -> bytes:
        """The event's JSON with content cut so that it has at most ``limit`` bytes."""
        return self._encode(self.context, limit)

    def _encode(self, context: str, limit: int) -> bytes:
        encoded = self._head
        if self._inputs is not None:
            left = max(0, limit - len(self._head) - len(',"$ai_input":'))
            spliced = self._inputs[context].join(left)
            encoded = b"".join((self._head[:-2], b',"$ai_input":', spliced, b"}}"))
        return encoded if len(encoded) <= limit else cut_strings(encoded, limit)


class EventBuilder:
    """Builds the events of one session file.

    Args:
        settings: what to send, and under which names.
        facts: the session.
    """

    def __init__(self, settings: Settings, facts: SessionFacts) -> None:
        self._settings = settings
        self._private = settings.privacy_mode
        self._facts = facts
        self._redactor = Redactor(settings.max_attribute_length)
        self._chat = ChatEncoder(self._redactor)

    def build(self, record: AnyRecord, totals: TraceTotals | None = None) -> Event:
        """The event of a record; a trace needs the totals over its generations."""
        match record:
            case Generation():
                return self._generation(record)
            case Span():
                return self._event("$ai_span", record, self._span(record))
            case Trace():
                return self._event("$ai_trace", record, self._trace(record, totals or TraceTotals()))

    def _generation(self, call: Generation) -> Event:
        usage = call.usage
        failed = call.stop_reason == "error"
        properties: dict[str, Any] = {
            "$ai_span_id": call.id,
            "$ai_parent_id": call.parent_id,
            "$ai_span_name": call.name,
            "$ai_model": call.model,
            "$ai_provider": call.provider,
            "$ai_response_model": call.response_model,
            "$ai_response_id": call.response_id,
            "$ai_model_parameters": {"thinking_level": call.thinking_level} if call.thinking_level else None,
            "$ai_output_choices": self._output(call),
            "$ai_tools": self._chat.tools(call.input.prompt, names_only=self._private)
            if call.input
            else None,
            "$ai_input_tokens": usage.input_tokens,
            "$ai_output_tokens": usage.output_tokens,
            "$ai_total_tokens": usage.total_tokens,
            "$ai_reasoning_tokens": usage.reasoning_tokens,
            "$ai_cache_read_input_tokens": usage.cache_read_tokens,
            "$ai_cache_creation_input_tokens": usage.cache_write_tokens,
            "cache_read_input_tokens": usage.cache_read_tokens,
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "$ai_cache_reporting_exclusive": True,
            "$ai_latency": call.latency_s,
            "$ai_total_cost_usd": usage.cost_usd,
            "$ai_input_cost_usd": usage.input_cost_usd,
            "$ai_output_cost_usd": usage.output_cost_usd,
            "$ai_cost_passthrough": True,
            "$ai_stop_reason": _STOP_REASONS.get(call.stop_reason or "", call.stop_reason),
            "$ai_is_aborted": call.stop_reason == "aborted",
            "$ai_is_error": failed,
            "$ai_error": self._words(call.error or "unknown error") if failed else None,
        }
        if call.user_prompt is not None:
            properties["$ai_user_prompt"] = self._words(call.user_prompt)
        inputs = None
        if call.input is None or self._private:
            properties["$ai_input"] = None
        else:
            prompt = self._chat.prompt(call.input.prompt)
            spans = (call.input.full, call.input.turn, call.input.new)
            prompts = (prompt, b"", b"")
            inputs = {
                name: ModelInputJson(self._chat, text, span)
                for name, text, span in zip(CONTEXTS, prompts, spans, strict=True)
            }
        return self._event("$ai_generation", call, properties, inputs)

    def _output(self, call: Generation) -> list[dict[str, Any]] | None:
        if self._private or call.output is None:
            return None
        return self._chat.output(call.output)

    def _span(self, span: Span) -> dict[str, Any]:
        output = None if self._private else self._redactor.state(span.output)
        error = output if span.error_is_output else span.error
        return {
            "$ai_span_id": span.id,
            "$ai_parent_id": span.parent_id,
            "$ai_span_name": span.name,
            "$ai_input_state": None if self._private else self._redactor.state(span.input),
            "$ai_output_state": output,
            "$ai_latency": span.latency_s,
            "$ai_is_error": span.is_error,
            "$ai_error": error,
        }

    def _trace(self, trace: Trace, totals: TraceTotals) -> dict[str, Any]:
        name = without_media(trace.name)[:_NAME_LENGTH]
        return {
            "$ai_span_name": None if self._private and trace.from_prompt else name,
            "$ai_input_state": self._words(trace.input),
            "$ai_output_state": self._words(trace.output),
            "$ai_latency": trace.latency_s,
            "$ai_total_input_tokens": totals.input_tokens,
            "$ai_total_output_tokens": totals.output_tokens,
            "$ai_total_cache_read_input_tokens": totals.cache_read_tokens,
            "$ai_total_cache_creation_input_tokens": totals.cache_write_tokens,
            "$ai_total_cost_usd": totals.cost_usd,
            "$ai_is_error": trace.is_error,
            "$ai_error": self._words(trace.error),
        }

    def _words(self, text: str | None) -> str | None:
        """Text of a user, a model or a provider: nothing in privacy mode."""
        return None if text is None or self._private else self._redactor.text(text)

    def _event(
        self,
        event: str,
        record: AnyRecord,
        own: dict[str, Any],
        inputs: dict[str, ModelInputJson] | None = None,
    ) -> Event:
        owner = (
            self._facts.parent_id if record.copied else None
        )  # the event is the parent's, whoever sends it
        session = f"pi:{owner or self._facts.session_id}"
        if record.window > 1:
            session += f":{record.window}"
        properties = {
            "$ai_trace_id": record.trace_id,
            "$ai_session_id": session,
            "$ai_project_name": self._facts.project,
            "$ai_agent_name": self._settings.agent_name or self._facts.project,
            "$ai_framework": "pi",
            "$ai_lib": LIBRARY,
            "$ai_lib_version": __version__,
            **_shared(self._settings),
            **own,
        }
        distinct_id = self._settings.distinct_id or session
        if self._settings.distinct_id is None:
            properties["$process_person_profile"] = False
        head = _envelope(event, record.id, distinct_id, record.end_ms, properties)
        return Event(
            event, record.id, record.end_ms, self._facts.source, head, inputs, self._settings.input_context
        )


def identify_event(settings: Settings) -> Event | None:
    """The ``$identify`` that gives a person the e-mail address; None where the distinct id is none.

    Its time is the same for ever, like its uuid: it says nothing about when the person worked.
    """
    email = settings.distinct_id
    if email is None or not _is_email(email):
        return None
    uuid = derive("identify", email)
    properties = {"$set": {"email": email}, **_shared(settings)}
    head = _envelope("$identify", uuid, email, IDENTIFY_MS, properties)
    return Event("$identify", uuid, IDENTIFY_MS, "", head)


def _is_email(text: str) -> bool:
    name, at, domain = text.rpartition("@")
    return bool(name and at and "." in domain.strip(".")) and not any(c.isspace() for c in text)


def _shared(settings: Settings) -> dict[str, Any]:
    return {
        **settings.tags,
        "$lib": LIBRARY,
        "$lib_version": __version__,
        "$geoip_disable": True,
        "$ignore_sent_at": True,
    }


def _envelope(event: str, uuid: str, distinct_id: str, end_ms: int, properties: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        {
            "event": event,
            "distinct_id": distinct_id,
            "uuid": uuid,
            "timestamp": to_rfc3339(end_ms),
            "properties": properties,
        }
    )
