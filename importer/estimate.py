"""About how many bytes the events of a session will have, told from its lines as they are in the file.

A preview reads hundreds of megabytes a second, and redacting and encoding every message for its exact size
would take thirty times as long as reading it. See :mod:`parsers.lengths` for what is estimated.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from importer.facts import project_of
from importer.session_file import SessionFile
from importer.trimming import EVENT_LIMIT
from parsers.lazy import LazyToolResult
from parsers.lengths import answer_length, json_length, message_length, result_length, state_length
from parsers.model_input import ModelInput
from parsers.prompt import SystemPrompt
from parsers.records import Generation, Span, Trace

_PARENT = len(',"$ai_parent_session_id":"pi:01a208c5-ec98-704f-ae12-f52148f48cdd"')
_LONGEST_NAME = 80


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
        names_person: whether the events are a named person's, not the session's.
    """

    bases: Bases = Bases()
    max_length: int = 12_000
    private: bool = False
    names_project: bool = True
    names_person: bool = False

    def of_session(self, file: SessionFile) -> Estimator:
        """The same with what a session's events are called."""
        names = len(file.session_id) * (1 if self.names_person else 2)
        if self.names_project:
            names += 2 * len(project_of(file.cwd))
        if file.parent_session:
            names += _PARENT
        return replace(self, bases=Bases(*(base + names for base in self.bases)))

    def prompt(self, prompt: SystemPrompt) -> tuple[int, int]:
        """What a system prompt adds: its tools to every generation, its text to one in full context."""
        return _tools_length(prompt), _text_length(prompt)

    def generation(self, call: Generation) -> tuple[int, int, int]:
        """A generation, in full, turn and new context."""
        size = self.bases.generation + len(call.model or "")
        if self.private:
            return size, size, size
        size += answer_length(call.output, self.max_length)[1] + json_length(call.user_prompt or "")
        given = call.input
        if given is None:
            return size, size, size
        tools, text = self.prompt(given.prompt)
        if isinstance(given, ModelInput):  # of a parser that cannot count
            spans = (given.full, given.turn, given.new)
            full, turn, new = (
                sum(message_length(m.source, self.max_length) for m in span.messages()) for span in spans
            )
        else:
            full, turn, new = given.full, given.turn, given.new
        size += tools
        return (
            min(EVENT_LIMIT, size + full + text),
            min(EVENT_LIMIT, size + turn),
            min(EVENT_LIMIT, size + new),
        )

    def span(self, span: Span) -> tuple[int, int, int]:
        """A span."""
        size = self.bases.span + len(span.name)
        if not self.private:
            size += state_length(span.input, self.max_length)
            if isinstance(span.output, LazyToolResult):
                _, result = result_length(span.output, 0, self.max_length) or (0, 0)
                size += 2 * result if span.error_is_output else result
        return size, size, size

    def trace(self, trace: Trace) -> tuple[int, int, int]:
        """A trace."""
        size = self.bases.trace
        if not self.private:
            size += min(_LONGEST_NAME, len(trace.name) + len(trace.session_name or ""))
            size += min(self.max_length, json_length(trace.input or ""))
            size += min(self.max_length, json_length(trace.output or ""))
        return size, size, size


@lru_cache(maxsize=8)
def _tools_length(prompt: SystemPrompt) -> int:
    return sum(len(msgspec.json.encode(tool)) for tool in prompt.tools.values())


@lru_cache(maxsize=8)
def _text_length(prompt: SystemPrompt) -> int:
    return json_length(prompt.text)
