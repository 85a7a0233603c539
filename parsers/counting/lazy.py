"""Messages whose long texts stay the bytes that they are in the file, until somebody asks for them.

Counting what a session cost needs next to none of what was said in it. These are structs of
:mod:`parsers.pi.entries` that JSON is checked for, but not taken apart.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field
from msgspec.json import Decoder

from parsers.pi import entries as e
from parsers.pi.untyped import untyped
from parsers.usage import MOST_TOKENS

_QUOTE = ord('"')
_NOTHING = Raw()

Tokens = Annotated[int, Meta(gt=-MOST_TOKENS, lt=MOST_TOKENS)]
"""A number of tokens as pi writes it; a line with another is read like one that is not as documented."""


class LazyBlock(Struct, rename="camel"):
    """As :class:`parsers.pi.entries.Block`, its texts decoded when they are read; ``arguments`` stay JSON."""

    type: str = ""
    raw_text: Raw = field(name="text", default=_NOTHING)
    raw_thinking: Raw = field(name="thinking", default=_NOTHING)
    redacted: bool = False
    id: str = ""
    name: str = ""
    arguments: Raw = _NOTHING

    @property
    def text(self) -> str:
        """The text."""
        return untyped(bytes(self.raw_text)) if self.raw_text else ""

    @property
    def thinking(self) -> str:
        """The thinking."""
        return untyped(bytes(self.raw_thinking)) if self.raw_thinking else ""


class LazyUsage(e.UsageBlock, rename="camel"):
    """As :class:`parsers.pi.entries.UsageBlock`, in whole tokens."""

    input: Tokens = 0
    output: Tokens = 0
    cache_read: Tokens = 0
    cache_write: Tokens = 0


LazyContent = str | list[LazyBlock] | None


class JsonContent(Struct, gc=False):
    """The content of an answer while it is still the JSON of a list of blocks."""

    json: bytes

    def text(self) -> str:
        """Its text blocks, joined as :func:`parsers.pi.messages.text_of` joins them."""
        return "\n".join(block.text for block in _decode_texts(self.json) if block.type == "text")


class _TextBlock(Struct, gc=False):
    type: str = ""
    text: str = ""


_decode_texts = Decoder(list[_TextBlock]).decode


class LazyAssistantMessage(e.AssistantMessage, tag_field="role", tag="assistant", rename="camel"):
    """As :class:`parsers.pi.entries.AssistantMessage`."""

    content: LazyContent = None  # type: ignore[assignment]
    usage: LazyUsage | None = None


class LazyToolResult(e.ToolResultMessage, tag_field="role", tag="toolResult", rename="camel"):
    """As :class:`parsers.pi.entries.ToolResultMessage`; ``details`` stay JSON."""

    content: LazyContent = None  # type: ignore[assignment]
    details: Raw | UnsetType = UNSET


LAZY = (LazyAssistantMessage, LazyToolResult)
LazyMessage = (
    e.SystemMessage
    | e.UserMessage
    | LazyAssistantMessage
    | LazyToolResult
    | e.BashExecutionMessage
    | e.CustomMessage
    | e.HookMessage
)


class LazyMessageEntry(e.MessageEntry, tag="message"):
    """As :class:`parsers.pi.entries.MessageEntry`, with a message of a known role."""

    message: LazyMessage | None = None


def is_plain(message: object) -> bool:
    """Whether the texts in a message are texts: a typed decoder would not have let other values through."""
    if isinstance(message, LAZY) and isinstance(message.content, list):
        for block in message.content:
            if block.raw_text and not is_text(block.raw_text):
                return False
            if block.raw_thinking and not is_text(block.raw_thinking):
                return False
    return True


def is_text(raw: Raw) -> bool:
    """Whether some JSON is a text."""
    return memoryview(raw)[0] == _QUOTE


def value_of(value: Any) -> Any:
    """JSON values, of what may still be JSON."""
    return untyped(bytes(value)) if isinstance(value, Raw) else value
