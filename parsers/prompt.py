"""The system prompt and the tools that a model was given, as pi's system messages patch them.

Source: pi's docs ``session-format.md`` ("SessionMessageEntry") and ``message-types.md`` ("SystemMessage").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from parsers.entries import SystemMessage
from parsers.messages import text_of


@dataclass(frozen=True, eq=False)
class SystemPrompt:
    """The prompt in force at one point of a branch; never changed, only followed by another."""

    texts: tuple[str, ...] = ()
    sections: dict[str, str] = field(default_factory=dict)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole prompt as one text: the contents, then the sections in their order."""
        return "\n\n".join(part for part in (*self.texts, *self.sections.values()) if part)

    def patched(self, message: SystemMessage) -> SystemPrompt:
        """The prompt after one more system message."""
        before = SystemPrompt() if message.replace else self
        text = text_of(message.content)
        sections, tools = dict(before.sections), dict(before.tools)
        for name, value in (message.sections or {}).items():
            if value is None:
                sections.pop(name, None)
            else:
                sections[name] = value
        for tool in message.tools_removed or []:
            tools.pop(str(tool.get("name")), None)
        for tool in message.tools_added or []:
            tools[str(tool.get("name"))] = tool
        return SystemPrompt(before.texts + ((text,) if text else ()), sections, tools)


NO_PROMPT = SystemPrompt()
