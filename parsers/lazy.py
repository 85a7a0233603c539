"""Messages whose long texts stay the bytes that they are in the file, until somebody asks for them.

Counting what a session cost needs next to none of what was said in it. These are structs of
:mod:`parsers.entries` that JSON is checked for, but not taken apart.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType, field

from parsers import entries as e
from parsers.untyped import untyped

_QUOTE = ord('"')
_NOTHING = Raw()


class LazyBlock(Struct, rename="camel"):
    """As :class:`parsers.entries.Block`, its texts decoded when they are read; ``arguments`` stay JSON."""

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


LazyContent = str | list[LazyBlock] | None


class LazyAssistantMessage(e.AssistantMessage, tag_field="role", tag="assistant", rename="camel"):
    """As :class:`parsers.entries.AssistantMessage`."""

    content: LazyContent = None  # type: ignore[assignment]


class LazyToolResult(e.ToolResultMessage, tag_field="role", tag="toolResult", rename="camel"):
    """As :class:`parsers.entries.ToolResultMessage`; ``details`` stay JSON."""

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
    """As :class:`parsers.entries.MessageEntry`, with a message of a known role."""

    message: LazyMessage | None = None


def is_plain(content: LazyContent) -> bool:
    """Whether the texts in a content are texts: a typed decoder would not have let other values through."""
    if isinstance(content, list):
        for block in content:
            if block.raw_text and memoryview(block.raw_text)[0] != _QUOTE:
                return False
            if block.raw_thinking and memoryview(block.raw_thinking)[0] != _QUOTE:
                return False
    return True


def value_of(value: Any) -> Any:
    """JSON values, of what may still be JSON."""
    return untyped(bytes(value)) if isinstance(value, Raw) else value
