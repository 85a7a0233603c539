"""The system prompt and the tools that a model was given, as pi's system messages patch them.

Source: pi's docs ``session-format.md`` ("SessionMessageEntry") and ``message-types.md`` ("SystemMessage").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from parsers.pi.entries import SystemMessage
from parsers.pi.messages import join_text

_PART = 100  # bytes that a part takes besides what it says


@dataclass(frozen=True, eq=False)
class SystemPrompt:
    """The prompt in force at one point of a branch; never changed, only followed by another.

    ``size`` is about how many bytes it takes, its tools included.
    """

    texts: tuple[str, ...] = ()
    sections: dict[str, str] = field(default_factory=dict)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    size: int = 0

    @property
    def text(self) -> str:
        """The whole prompt as one text: the contents, then the sections in their order."""
        return "\n\n".join(part for part in (*self.texts, *self.sections.values()) if part)

    def patched(self, message: SystemMessage) -> SystemPrompt:
        """Return the prompt after one more system message."""
        before = SystemPrompt() if message.replace else self
        text = join_text(message.content)
        sections, tools = dict(before.sections), dict(before.tools)
        size = before.size + len(text)
        for name, value in (message.sections or {}).items():
            size += _size(value) - _size(sections.pop(name, None) if value is None else sections.get(name))
            if value is not None:
                sections[name] = value
        for tool in message.tools_removed or []:
            size -= _size(tools.pop(str(tool.get("name")), None))
        for tool in message.tools_added or []:
            name = str(tool.get("name"))
            size += _size(tool) - _size(tools.get(name))
            tools[name] = tool
        return SystemPrompt(before.texts + ((text,) if text else ()), sections, tools, size)


def _size(part: str | dict[str, Any] | None) -> int:
    """Tell about how many bytes a section or a tool takes."""
    if part is None:
        return 0
    return _PART + (len(part) if isinstance(part, str) else len(msgspec.json.encode(part)))


NO_PROMPT = SystemPrompt()
