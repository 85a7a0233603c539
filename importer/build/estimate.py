"""About how many bytes the events of a session will have, told from its lines as they are in the file.

A preview reads hundreds of megabytes a second, and redacting and encoding every message for its exact size
would take thirty times as long as reading it. See :mod:`parsers.counting.lengths` for what is estimated.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from importer.build.facts import project_of
from importer.build.trimming import EVENT_LIMIT
from importer.sessions.session_file import SessionFile
from parsers.counting.lazy import LazyToolResult
from parsers.counting.lengths import answer_length, json_length, message_length, result_length, state_length
from parsers.pi.chain import Span as ContextSpan
from parsers.pi.model_input import ModelInput
from parsers.pi.prompt import SystemPrompt
from parsers.records import Generation, Span, Trace

_PARENT = len(',"$ai_parent_session_id":"pi:01a208c5-ec98-704f-ae12-f52148f48cdd"')
_LONGEST_NAME = 80


class Bases(NamedTuple):
    """Bytes of an event of each kind besides what was said and what its session is called."""

    generation: int = 0
    span: int = 0
    trace: int = 0


class Estimator(Struct):
    """Estimates sizes, all in bytes of JSON; made by :func:`importer.build.events.make_estimator`.

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
        generation, span, trace = self.bases
        return replace(self, bases=Bases(generation + names, span + names, trace + names))

    def call(
        self,
        model: str | None,
        user_prompt: str | None,
        said: int,
        system: SystemPrompt | None,
        given: tuple[int, int, int],
    ) -> tuple[int, int, int]:
        """A model call, in full, turn and new context.

        Args:
            model: the model's name.
            user_prompt: the prompt, if the event has it.
            said: the length of the answer.
            system: the system prompt and tools that the call was given; None where pi recorded no input.
            given: the lengths of the messages that it was given.
        """
        size = self.bases.generation + len(model or "")
        if self.private:
            return size, size, size
        size += said
        if user_prompt:
            size += json_length(user_prompt)
        text = 0
        if system is not None:
            size += _tools_length(system)
            text = _text_length(system)
        full, turn, new = size + given[0] + text, size + given[1], size + given[2]
        if full > EVENT_LIMIT:
            return EVENT_LIMIT, min(EVENT_LIMIT, turn), min(EVENT_LIMIT, new)
        return full, turn, new

    def generation(self, call: Generation) -> tuple[int, int, int]:
        """A generation, in full, turn and new context."""
        said = answer_length(call.output, self.max_length)[1]
        given = call.input
        lengths = (0, 0, 0)
        if isinstance(given, ModelInput):  # of a parser that cannot count
            lengths = (self._span(given.full), self._span(given.turn), self._span(given.new))
        elif given is not None:
            lengths = (given.full, given.turn, given.new)
        system = None if given is None else given.prompt
        return self.call(call.model, call.user_prompt, said, system, lengths)

    def _span(self, span: ContextSpan) -> int:
        return sum(message_length(message.source, self.max_length) for message in span.messages())

    def tool_call(self, name: str, said: int) -> tuple[int, int, int]:
        """A tool call with that name, and that length of its input and output."""
        size = self.bases.span + len(name)
        if not self.private:
            size += said
        return size, size, size

    def span(self, span: Span) -> tuple[int, int, int]:
        """A span."""
        said = state_length(span.input, self.max_length)
        if isinstance(span.output, LazyToolResult):
            _, result = result_length(span.output, 0, self.max_length) or (0, 0)
            said += 2 * result if span.error_is_output else result
        return self.tool_call(span.name, said)

    def trace(self, trace: Trace) -> tuple[int, int, int]:
        """A trace."""
        size = self.bases.trace
        if not self.private:
            size += min(_LONGEST_NAME, len(trace.name) + len(trace.session_name or ""))
            size += min(self.max_length, json_length(trace.input or ""))
            size += min(self.max_length, json_length(trace.output or ""))
        return size, size, size


def prompt_length(prompt: SystemPrompt) -> tuple[int, int]:
    """The tools of a system prompt, and its text."""
    return _tools_length(prompt), _text_length(prompt)


@lru_cache(maxsize=8)
def _tools_length(prompt: SystemPrompt) -> int:
    return sum(len(msgspec.json.encode(tool)) for tool in prompt.tools.values())


@lru_cache(maxsize=8)
def _text_length(prompt: SystemPrompt) -> int:
    return json_length(prompt.text)
