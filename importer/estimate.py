"""About how many bytes the events of a session will have, told from its lines as they are in the file.

A preview reads hundreds of megabytes a second, and redacting and encoding every message for its exact size
would take thirty times as long as reading it. What is estimated: secrets and media count as they are in the
file, characters as bytes, and how often quotes are escaped in what is cut is taken from the whole of it.
"""

from __future__ import annotations

from msgspec import Raw

from parsers import entries as e
from parsers.lazy import LazyBlock, LazyContent, LazyToolResult
from parsers.messages import Source, bash_text, text_of

_MESSAGE = len('{"role":"assistant","content":""},')
_PART = len('{"type":"text","text":""},')
_CALL = len('{"type":"function","id":"","function":{"name":"","arguments":""}},')
_IMAGE = 100  # an image is replaced by some words
_CUT = len("...[truncated 10000 chars]")


def escaped(raw: bytes) -> int:
    """Bytes of some JSON inside a JSON string."""
    return len(raw) + raw.count(b'"') + raw.count(b"\\")


def json_length(text: str) -> int:
    """About the bytes of a text as a JSON string, without the quotes."""
    length = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return length + text.count("\n") + text.count('"') + text.count("\\")


class Estimator:
    """Estimates sizes, all in bytes of JSON.

    Args:
        max_length: how many characters of a tool's input or output are kept.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._longest = max_length + _CUT

    def message(self, source: Source) -> int:
        """A message in a model's input, with the comma behind it."""
        content = getattr(source, "content", None)
        if isinstance(source, e.AssistantMessage):
            return _MESSAGE + self.parts(content, with_thinking=False)
        if isinstance(source, e.ToolResultMessage):
            return _MESSAGE + len(source.tool_call_id) + 20 + min(self._longest, _texts(content))
        if isinstance(source, e.BashExecutionMessage):
            return _MESSAGE + _PART + json_length(bash_text(source))
        return _MESSAGE + _PART + json_length(text_of(content)) + _IMAGE * _images(content)

    def parts(self, content: e.Content, *, with_thinking: bool = True) -> int:
        """What an answer says and the calls it makes."""
        if not isinstance(content, list):
            return json_length(content or "")
        size = 0
        for block in content:
            kind = block.type
            if kind == "toolCall":
                size += _CALL + len(block.id) + len(block.name) + self.state(block.arguments)
            elif kind == "text":
                size += _PART + _text(block)
            elif kind == "thinking" and with_thinking:
                size += _PART + _text(block, "thinking")
        return size

    def state(self, arguments: object) -> int:
        """A tool call's arguments, as JSON in a string."""
        return min(self._longest * 2, escaped(bytes(arguments))) if isinstance(arguments, Raw) else 100

    def result(self, result: object) -> int:
        """A tool's result, as JSON in a string."""
        if not isinstance(result, LazyToolResult):
            return 200
        inner = 40 + _texts(result.content) + _PART
        details = result.details
        if isinstance(details, Raw):
            inner += len(details)
        cut = min(inner, self._max_length)
        if isinstance(result.content, list):
            marks = sum(_marks(bytes(block.raw_text)) for block in result.content if block.raw_text)
            return cut + 20 + marks * cut // inner
        return cut + 20


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


def _marks(raw: bytes) -> int:
    return raw.count(b'"') + 2 * raw.count(b"\\")
