"""Records as rows; the sizes of events are estimated from what was said in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from parsers.counting.lengths import (
    MESSAGE,
    AnswerSize,
    ArgumentsSize,
    ResultSize,
    answer_size,
    message_size,
    state_size,
    text_size,
)
from parsers.counting.rows import (
    BASIS_CODES,
    GENERATION,
    NO_TIME,
    ROW,
    RUN,
    SPAN,
    TRACE,
    CallPricing,
    CountedFiles,
)
from parsers.counting.sizes import InputSizes
from parsers.identity import uuid_bytes
from parsers.pi.context import ModelInput
from parsers.pi.messages import SystemPrompt
from parsers.records import AnyRecord, Generation, Run, Span, Trace

_LONGEST_NAME = 80
_ERROR = len('"$ai_error_type":"model_error","$ai_http_status":429,')
_TOOL = len('{"type":"function","function":},')
_NAME = len('"$ai_span_name":"",')
_row = ROW.pack


class EventBases(Struct, frozen=True):
    """What the sizes of a session's events are made of besides what was said; all are bytes.

    Attributes:
        generation, span, trace, run: an event of each kind without what was said.
        longest: how many characters of a tool's input or output an event has.
        limit: the largest event.
        private: whether nothing that was said is sent.
        generation_content, span_content, trace_content, run_content: what the first four hold of the names of
            properties that an event without content lacks.
    """

    generation: int = 0
    span: int = 0
    trace: int = 0
    run: int = 0
    longest: int = 12_000
    limit: int = 1_000_000
    private: bool = False
    generation_content: int = 0
    span_content: int = 0
    trace_content: int = 0
    run_content: int = 0


class RowWriter:
    """Writes the records of one session as rows.

    Example:
        >>> counted = CountedFiles()
        >>> RowWriter(counted, {"": 0}, EventBases(), CostRules(Settings())).write([])

    Args:
        counted: takes the rows.
        models: the places of the models in them; new ones are added.
        bases: what the sizes of this session's events are made of.
        pricing: tells what calls cost.
    """

    def __init__(
        self, counted: CountedFiles, models: dict[str, int], bases: EventBases, pricing: CallPricing
    ) -> None:
        self.rows, self.models, self.bases, self.pricing = counted.rows, models, bases, pricing
        self.model_of: dict[str, int] = {}
        """The model's place of each generation that asked for tools."""
        self._trace_id, self._trace = "", b""

    def write(self, records: Sequence[AnyRecord]) -> None:
        """Write a row for each record."""
        for record in records:
            start_ms = NO_TIME if record.start_ms is None else record.start_ms
            if record.trace_id != self._trace_id:
                self._trace_id, self._trace = record.trace_id, uuid_bytes(record.trace_id)
            ids = uuid_bytes(record.id), self._trace
            if isinstance(record, Span):
                model, (size, bare) = self.model_of.get(record.parent_id, 0), self._span(record)
                what = 0, 0, 0, 0, 0.0, model, size, size, size, bare, SPAN, 0, 0
            elif isinstance(record, Generation):
                cost, prompts = self.pricing.price_call(record), record.user_prompt is not None
                model, sizes = self._model(record), self._generation(record)
                basis = BASIS_CODES[cost.basis]
                what = *record.usage[:4], cost.usd, model, *sizes, GENERATION, prompts, basis
            else:
                kind = RUN if isinstance(record, Run) else TRACE
                size, bare = self._run(record) if isinstance(record, Run) else self._trace_size(record)
                what = 0, 0, 0, 0, 0.0, 0, size, size, size, bare, kind, 0, 0
            self.rows += _row(*ids, start_ms, record.end_ms, *what)

    def _model(self, call: Generation) -> int:
        name = call.model or f"({call.name})"
        number = self.models.get(name)
        if number is None:
            number = self.models[name] = len(self.models)
        self.model_of[call.id] = number
        return number

    def _generation(self, call: Generation) -> tuple[int, int, int, int]:
        """Return the sizes of a generation with each input context (full, turn, new), and without content."""
        size = self.bases.generation + len(call.model or "") + len(",".join(call.tools_called))
        if call.name != "chat":
            size += _NAME + len(call.name)
        if call.stop_reason == "error":
            size += _ERROR + (0 if self.bases.private else text_size(call.error or ""))
        if call.user_prompt and not self.bases.private:
            size += text_size(call.user_prompt)
        bare = size - self.bases.generation_content
        if self.bases.private:
            return size, size, size, bare
        output = call.output
        if output is not None:
            sizes = output if isinstance(output, AnswerSize) else answer_size(output, self.bases.longest)
            size += sizes.said
        given = call.input
        if given is None:
            return size, size, size, bare
        if isinstance(given, ModelInput):  # of a parser that cannot count
            given = self._measured(given)
        tools, text = prompt_sizes(given.prompt)
        size += tools
        limit = self.bases.limit
        full = size + text + given.full
        if full > limit:
            return limit, min(limit, size + given.turn), min(limit, size + given.new), bare
        return full, size + given.turn, size + given.new, bare

    def _measured(self, given: ModelInput) -> InputSizes:
        sizes = [
            sum(message_size(message.source, self.bases.longest) for message in messages.messages())
            for messages in (given.full, given.turn, given.new)
        ]
        return InputSizes(given.prompt, *sizes)

    def _span(self, span: Span) -> tuple[int, int]:
        """Return the size of a span, and that without content."""
        size = self.bases.span + len(span.name)
        bare = size - self.bases.span_content
        if self.bases.private:
            return size, bare
        given, output, longest = span.input, span.output, self.bases.longest
        size += given.state if isinstance(given, ArgumentsSize) else state_size(given, longest)
        said = 0
        if isinstance(output, ResultSize):
            said = output.state
        elif output is not None:
            said = state_size(output, longest)
        error = said if span.error_is_output else 0  # it is sent as the error, too
        return size + said + error, bare + error

    def _run(self, run: Run) -> tuple[int, int]:
        """Return the size of a run, and that without content."""
        size = self.bases.run
        if self.bases.private:
            return size, size - self.bases.run_content
        size += min(_LONGEST_NAME, len(run.name))
        return size + self._states(run), size - self.bases.run_content

    def _states(self, record: Run | Trace) -> int:
        """Return the bytes of a prompt and of the last answer to it."""
        longest, output = self.bases.longest, record.output
        answer = output if isinstance(output, int) else text_size(output or "")
        return min(longest, text_size(record.input or "")) + min(longest, answer)

    def _trace_size(self, trace: Trace) -> tuple[int, int]:
        """Return the size of a trace, and that without content."""
        size = self.bases.trace
        if self.bases.private:
            return size, size - self.bases.trace_content
        size += min(_LONGEST_NAME, len(trace.name) + len(trace.session_name or ""))
        return size + self._states(trace), size - self.bases.trace_content


@lru_cache(maxsize=8)
def prompt_sizes(prompt: SystemPrompt) -> tuple[int, int]:
    """Return the bytes of the tools of a system prompt, and those of its text."""
    tools = 0
    for tool in prompt.tools.values():
        sent = {name: tool[name] for name in ("name", "description", "parameters") if name in tool}
        tools += _TOOL + len(msgspec.json.encode(sent))
    text = prompt.text
    return tools, MESSAGE + text_size(text) if text else 0
