"""About how many bytes of JSON a message takes in an event, told from its bytes in the file.

Secrets and media count as they are in the file, characters as bytes, and how often quotes are escaped in
what is cut is taken from the beginning of it: exact sizes would take redacting and encoding everything.
"""

from __future__ import annotations

from msgspec import Raw

from parsers.counting.lazy import LazyBlock, LazyContent, LazyToolResult, is_text
from parsers.pi import entries as e
from parsers.pi.messages import Source, bash_text, text_of
from parsers.pi.toolcalls import ToolCall

MESSAGE = len('{"role":"assistant","content":""},')
PART = len('{"type":"text","text":""},')
CALL = len('{"type":"function","id":"","function":{"name":"","arguments":""}},')
RESULT = len('{"content":[{"type":"text","text":""}],"details":}')
RESULT_ID = len('"tool_call_id":"call_01234567890123456789",')
IMAGE = 100  # an image is replaced by some words
CUT = len("...[truncated 10000 chars]")
SAMPLE = 256  # bytes of a longer text that tell how often quotes are escaped in it
NO_STATE = 100


def escaping(raw: Raw) -> int:
    """About the bytes that are added to some JSON where it stands in a JSON string."""
    sample = bytes(memoryview(raw)[:SAMPLE])
    return (sample.count(b'"') + sample.count(b"\\")) * len(raw) // len(sample)


def json_length(text: str) -> int:
    """About the bytes of a text as a JSON string, without the quotes."""
    length = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return length + text.count("\n") + text.count('"') + text.count("\\")


def state_length(arguments: object, longest: int) -> int:
    """A tool call's arguments, as JSON in a string; they may be measured already.

    Args:
        arguments: JSON, or their length.
        longest: how many characters of a tool's input or output are kept.
    """
    if isinstance(arguments, Raw) and arguments:
        length = len(arguments) + escaping(arguments)
        return length if length < 2 * longest else 2 * longest
    if isinstance(arguments, int):
        return max(0, min(arguments, 2 * longest))  # a damaged line can have any number there
    return NO_STATE


def message_length(source: Source, longest: int) -> int:
    """A message in a model's input, with the comma behind it."""
    content = getattr(source, "content", None)
    if isinstance(source, e.AssistantMessage):
        return answer_length(content, longest)[0]
    if isinstance(source, e.ToolResultMessage):
        return MESSAGE + RESULT_ID + min(longest, _texts(content))
    if isinstance(source, e.BashExecutionMessage):
        return MESSAGE + PART + json_length(bash_text(source))
    return MESSAGE + PART + json_length(text_of(content)) + IMAGE * _images(content)


def answer_length(content: e.Content | LazyContent, longest: int) -> tuple[int, int]:
    """An answer in a model's input, and as a model's output."""
    if not isinstance(content, list):
        return (size := MESSAGE + json_length(content or "")), size
    size, thinking = MESSAGE, 0
    for block in content:
        kind = block.type
        if kind == "toolCall":
            size += CALL + len(block.id) + len(block.name) + state_length(block.arguments, longest)
        elif kind == "text":
            size += PART + _text(block)
        elif kind == "thinking":
            thinking += PART + _text(block, "thinking")
    return size, size + thinking


def plain_answer(
    content: list[LazyBlock], longest: int
) -> tuple[int, int, list[str], dict[str, ToolCall]] | None:
    """The same with the ids of its tool calls, and these by their ids; None where it needs a closer look."""
    size, thinking = MESSAGE, 0
    ids: list[str] = []
    calls: dict[str, ToolCall] = {}
    for block in content:
        kind, text, thought = block.type, block.raw_text, block.raw_thinking
        if kind == "toolCall":
            call_id, name = block.id, block.name
            if text or thought or not call_id:
                return None
            length = state_length(block.arguments, longest)
            size += CALL + len(call_id) + len(name) + length
            if call_id not in calls:
                calls[call_id] = ToolCall(call_id, name, length, len(ids))
            ids.append(call_id)
        elif kind == "text" and text and not thought and is_text(text):
            size += PART + len(text)
        elif kind == "thinking" and thought and not text and is_text(thought):
            thinking += PART + len(thought)
        else:
            return None
    return size, size + thinking, ids, calls


def result_length(result: LazyToolResult, arguments: object, longest: int) -> tuple[int, int] | None:
    """A tool's result in a model's input, and as the output of its span, with the input.

    None where something else stands in the place of a text.
    """
    content, details = result.content, result.details
    if not isinstance(content, list):
        return MESSAGE, state_length(arguments, longest) + NO_STATE
    size = marks = 0
    for block in content:
        text, thought = block.raw_text, block.raw_thinking
        if (text and not is_text(text)) or (thought and not is_text(thought)):
            return None
        if block.type != "text":
            size += IMAGE
        elif text:
            size += len(text)
            marks += escaping(text)
    inner = size + RESULT + (len(details) if isinstance(details, Raw) else 0)
    most = longest + CUT
    cut = inner if inner < most else most
    length = MESSAGE + RESULT_ID + (size if size < most else most)
    return length, cut + 2 * marks * cut // inner + state_length(arguments, longest)


def _text(block: e.Block | LazyBlock, name: str = "text") -> int:
    if isinstance(block, LazyBlock):
        return len(block.raw_text if name == "text" else block.raw_thinking)
    return json_length(getattr(block, name))


def _texts(content: e.Content | LazyContent) -> int:
    if isinstance(content, list):
        return sum(_text(block) if block.type == "text" else IMAGE for block in content)
    return json_length(content or "")


def _images(content: object) -> int:
    return sum(block.type == "image" for block in content) if isinstance(content, list) else 0
