"""About how many bytes of JSON an event takes for what was said in it.

A text takes what ``msgspec.json.encode`` gives, which is what it takes in a file that pi wrote: so compiled
code can take lengths from the file. Secrets and media count as they are, and how often quotes are escaped in
a longer text is taken from its beginning: exact sizes would take redacting and encoding everything, thirty
times as long as reading it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct

from parsers.pi import entries as e
from parsers.pi.messages import Source, format_bash, join_text, list_blocks

MESSAGE = len('{"role":"assistant","content":""},')
PART = len('{"type":"text","text":""},')
CALL = len('{"type":"function","id":"","function":{"name":"","arguments":""}},')
RESULT = len('{"content":[{"type":"text","text":""}],"details":}')
RESULT_ID = len('"tool_call_id":"call_01234567890123456789",')
IMAGE = 100  # an image is replaced by some words
CUT = len("...[truncated 10000 chars]")
SAMPLE = 256  # bytes of a longer text that tell how often quotes are escaped in it
NULL = len("null")
QUOTES = 2
_UNKNOWN = 100  # bytes of what cannot be encoded

_encode = msgspec.json.Encoder().encode
_FAULTS = (TypeError, ValueError, OverflowError, RecursionError)


class ArgumentsSize(Struct, frozen=True, gc=False):
    """Stands for a tool call's arguments; ``state`` is their bytes of JSON as a span's input."""

    state: int


class AnswerSize(Struct, frozen=True, gc=False):
    """Stands for an answer; all are bytes of JSON.

    Attributes:
        sent: as a message of a later call's input.
        said: as a call's output, with what the model thought.
        text: its text alone.
        calls: the arguments of its tool calls.
    """

    sent: int
    said: int
    text: int
    calls: tuple[ArgumentsSize, ...] = ()


class ResultSize(Struct, frozen=True, gc=False):
    """Stands for a tool's result; both are bytes of JSON.

    Attributes:
        sent: as a message of a later call's input.
        state: as a span's output.
    """

    sent: int
    state: int


def text_size(text: str) -> int:
    """Return the bytes of a text as JSON, without the quotes.

    Example:
        >>> text_size('say "x"')
        9
    """
    return len(_encoded(text)) - QUOTES


def escapes_in(encoded: bytes) -> int:
    """Return about how many bytes are added to some JSON where it stands in a JSON string."""
    size = len(encoded)
    found = encoded.count(b'"', 0, SAMPLE) + encoded.count(b"\\", 0, SAMPLE)
    return found if size <= SAMPLE else found * size // SAMPLE


def state_size(value: Any, longest: int) -> int:
    """Return the bytes of a JSON value as a span's input, which is JSON in a string.

    Args:
        value: the value.
        longest: how many characters of a tool's input or output an event has.
    """
    encoded = _encoded(value)
    size, most = len(encoded) + escapes_in(encoded), 2 * longest
    return size if size < most else most


def answer_size(content: e.Content, longest: int) -> AnswerSize:
    """Return the size of an answer; for ``longest`` see :func:`state_size`."""
    if not isinstance(content, list):
        text = text_size(content or "")
        return AnswerSize(MESSAGE + text, MESSAGE + text, text)
    size, thinking, text, texts = MESSAGE, 0, 0, 0
    calls: list[ArgumentsSize] = []
    for block in content:
        kind = block.type
        if kind == "toolCall":
            arguments = state_size(block.arguments, longest)
            calls.append(ArgumentsSize(arguments))
            size += CALL + len(block.id) + len(block.name) + arguments
        elif kind == "text":
            text += text_size(block.text)
            texts += 1
        elif kind == "thinking":
            thinking += PART + text_size(block.thinking)
    size += PART * texts + text
    line_ends = 2 * max(0, texts - 1)  # what joins them, as JSON
    return AnswerSize(size, size + thinking, text + line_ends, tuple(calls))


def result_size(result: e.ToolResultMessage, longest: int) -> ResultSize:
    """Return the size of a tool's result; for ``longest`` see :func:`state_size`."""
    size = escapes = 0
    for block in list_blocks(result.content):
        if block.type != "text":
            size += IMAGE
        elif block.text:
            encoded = _encoded(block.text)
            size += len(encoded) - QUOTES
            escapes += escapes_in(encoded)
    details = 0
    if result.details is not UNSET:
        details = len(_encoded(result.details))
    whole, most = size + RESULT + details, longest + CUT
    cut = whole if whole < most else most
    sent = size if size < most else most
    return ResultSize(MESSAGE + RESULT_ID + sent, cut + 2 * escapes * cut // whole)


def message_size(source: Source, longest: int) -> int:
    """Return the bytes of a message in a model's input; for ``longest`` see :func:`state_size`."""
    if isinstance(source, e.AssistantMessage):
        return answer_size(source.content, longest).sent
    if isinstance(source, e.ToolResultMessage):
        return result_size(source, longest).sent
    if isinstance(source, e.BashExecutionMessage):
        return MESSAGE + PART + text_size(format_bash(source))
    content: e.Content = getattr(source, "content", None)
    images = sum(block.type == "image" for block in content) if isinstance(content, list) else 0
    return MESSAGE + PART + text_size(join_text(content)) + IMAGE * images


def _encoded(value: Any) -> bytes:
    try:
        return _encode(value)
    except _FAULTS:  # such as half of a surrogate pair, or a number that no double holds
        return b" " * _UNKNOWN
