"""About how many bytes the events of a session will have, told from its lines as they are in the file.

A preview reads hundreds of megabytes a second, and redacting and encoding every message for its exact size
would take thirty times as long as reading it. What is estimated: secrets and media count as they are in the
file, characters as bytes, and how often quotes are escaped in what is cut is taken from the whole of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from importer.facts import project_of
from importer.session_file import SessionFile
from importer.trimming import EVENT_LIMIT
from parsers import entries as e
from parsers.lazy import LazyBlock, LazyContent, LazyToolResult
from parsers.messages import Source, bash_text, text_of
from parsers.model_input import ModelInput
from parsers.prompt import SystemPrompt
from parsers.records import Generation, Span, Trace

_MESSAGE = len('{"role":"assistant","content":""},')
_PART = len('{"type":"text","text":""},')
_CALL = len('{"type":"function","id":"","function":{"name":"","arguments":""}},')
_RESULT = len('{"content":[{"type":"text","text":""}],"details":}')
_RESULT_ID = len('"tool_call_id":"call_01234567890123456789",')
_SAMPLE = 256  # bytes of a longer text that tell how often quotes are escaped in it
_IMAGE = 100  # an image is replaced by some words
_LIMIT = EVENT_LIMIT
_PARENT = len(',"$ai_parent_session_id":"pi:01a208c5-ec98-704f-ae12-f52148f48cdd"')
_CUT = len("...[truncated 10000 chars]")


def escaped(raw: Raw) -> int:
    """About the bytes of some JSON inside a JSON string."""
    size = len(raw)
    sample = bytes(raw) if size <= _SAMPLE else bytes(memoryview(raw)[:_SAMPLE])
    return size + (sample.count(b'"') + sample.count(b"\\")) * size // len(sample)


def json_length(text: str) -> int:
    """About the bytes of a text as a JSON string, without the quotes."""
    length = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return length + text.count("\n") + text.count('"') + text.count("\\")


class Bases(NamedTuple):
    """Bytes of an event of each kind besides what was said and what its session is called."""

    generation: int = 0
    span: int = 0
    trace: int = 0


class Estimator(Struct):
    """Estimates sizes, all in bytes of JSON; made by :func:`importer.events.estimator`.

    Attributes:
        bases: what every event has.
        max_length: how many characters of a tool's input or output are kept.
        private: whether nothing that was said is sent.
        names_project: whether the events' project is named after the session's folder.
    """

    bases: Bases = Bases()
    max_length: int = 12_000
    private: bool = False
    names_project: bool = True

    def of_session(self, file: SessionFile) -> Estimator:
        """The same with what a session's events are called."""
        names = 2 * len(file.session_id) + (2 * len(project_of(file.cwd)) if self.names_project else 0)
        if file.parent_session:
            names += _PARENT
        return replace(self, bases=Bases(*(base + names for base in self.bases)))

    def generation(self, call: Generation) -> tuple[int, int, int]:
        """A generation, in full, turn and new context."""
        size = self.bases.generation + len(call.model or "")
        if self.private:
            return size, size, size
        said = self.answer(call.output)[1] if call.size is None else call.size  # type: ignore[arg-type]
        size += said + json_length(call.user_prompt or "")
        given = call.input
        if given is None:
            return size, size, size
        size += _tools_size(given.prompt)
        if isinstance(given, ModelInput):  # of a parser that cannot count
            spans = (given.full, given.turn, given.new)
            full, turn, new = (sum(self.message(m.source) for m in span.messages()) for span in spans)
        else:
            full, turn, new = given.full, given.turn, given.new
        full += _text_size(given.prompt)
        return min(_LIMIT, size + full), min(_LIMIT, size + turn), min(_LIMIT, size + new)

    def span(self, span: Span) -> tuple[int, int, int]:
        """A span."""
        size = self.bases.span + len(span.name)
        if not self.private:
            size += self._said(span) if span.size is None else span.size
        return size, size, size

    def _said(self, span: Span) -> int:
        size = self.state(span.input)
        if isinstance(span.output, LazyToolResult):
            result = self.result(span.output, None)[1]
            size += 2 * result if span.error_is_output else result
        return size

    def trace(self, trace: Trace) -> tuple[int, int, int]:
        """A trace."""
        size = self.bases.trace
        if not self.private:
            size += min(80, len(trace.name) + len(trace.session_name or ""))
            size += min(self.max_length, json_length(trace.input or ""))
            size += min(self.max_length, json_length(trace.output or ""))
        return size, size, size

    def message(self, source: Source) -> int:
        """A message in a model's input, with the comma behind it."""
        content = getattr(source, "content", None)
        if isinstance(source, e.AssistantMessage):
            return self.answer(content)[0]
        if isinstance(source, e.ToolResultMessage):
            return _MESSAGE + _RESULT_ID + min(self.max_length, _texts(content))
        if isinstance(source, e.BashExecutionMessage):
            return _MESSAGE + _PART + json_length(bash_text(source))
        return _MESSAGE + _PART + json_length(text_of(content)) + _IMAGE * _images(content)

    def answer(self, content: LazyContent) -> tuple[int, int]:
        """An answer in a model's input, and as a model's output."""
        if not isinstance(content, list):
            return (size := _MESSAGE + json_length(content or "")), size
        size, thinking = _MESSAGE, 0
        for block in content:
            kind = block.type
            if kind == "toolCall":
                size += _CALL + len(block.id) + len(block.name) + self.state(block.arguments)
            elif kind == "text":
                size += _PART + _text(block)
            elif kind == "thinking":
                thinking += _PART + _text(block, "thinking")
        return size, size + thinking

    def state(self, arguments: object) -> int:
        """A tool call's arguments, as JSON in a string; they may be measured already."""
        if isinstance(arguments, int):
            return arguments
        return min(2 * self.max_length, escaped(arguments)) if isinstance(arguments, Raw) else 100

    def result(self, result: LazyToolResult, arguments: Any) -> tuple[int, int]:
        """A tool's result in a model's input, and as the output of its span, with the input."""
        content, details = result.content, result.details
        if not isinstance(content, list):
            return _MESSAGE, self.state(arguments) + 100
        size = marks = 0
        for block in content:
            if block.type != "text":
                size += _IMAGE
            elif block.raw_text:
                size += len(block.raw_text)
                marks += escaped(block.raw_text) - len(block.raw_text)
        inner = size + _RESULT + (len(details) if isinstance(details, Raw) else 0)
        longest = self.max_length + _CUT
        cut = inner if inner < longest else longest
        message = _MESSAGE + _RESULT_ID + (size if size < longest else longest)
        return message, cut + 2 * marks * cut // inner + self.state(arguments)


def _text(block: e.Block | LazyBlock, name: str = "text") -> int:
    if isinstance(block, LazyBlock):
        return len(block.raw_text if name == "text" else block.raw_thinking)
    return json_length(getattr(block, name))


def _texts(content: e.Content | LazyContent) -> int:
    if isinstance(content, list):
        size = 0
        for block in content:
            size += _text(block) if block.type == "text" else _IMAGE
        return size
    return json_length(content or "")


def _images(content: object) -> int:
    return sum(block.type == "image" for block in content) if isinstance(content, list) else 0


@lru_cache(maxsize=8)
def _tools_size(prompt: SystemPrompt) -> int:
    return sum(len(msgspec.json.encode(tool)) for tool in prompt.tools.values())


@lru_cache(maxsize=8)
def _text_size(prompt: SystemPrompt) -> int:
    return json_length(prompt.text)
