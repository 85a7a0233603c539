"""Writes pi's messages in OpenAI's chat format, as pi itself hands them to a model, and its system prompt.

Source: pi's docs ``message-types.md`` and ``session-format.md`` ("SessionMessageEntry"), and the requests
that the real agent sends (0.73.1 and 0.87.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from parsers.pi import entries as e

COMPACTION_FRAME = (
    "The conversation history before this point was compacted into the following summary:\n\n<summary>\n",
    "\n</summary>",
)
BRANCH_FRAME = (
    "The following is a summary of a branch that this conversation came back from:\n\n<summary>\n",
    "</summary>",
)
MEDIA = "[base64 image redacted]"
_PART = 100  # bytes that a part of a system prompt takes besides what it says

ChatMessage = dict[str, Any]


class Summary(Struct, frozen=True):
    """A compaction's or a left branch's summary, which the model sees as the user's words."""

    text: str
    frame: tuple[str, str]


class MissingResult(Struct, frozen=True):
    """The answer that pi makes up for a tool call that was never answered."""

    tool_call_id: str


Source = (
    e.UserMessage
    | e.AssistantMessage
    | e.ToolResultMessage
    | e.BashExecutionMessage
    | e.CustomMessage
    | e.CustomMessageEntry
    | Summary
    | MissingResult
)
"""Whatever a model can see of a session, apart from the system prompt."""


def list_blocks(content: e.Content) -> list[e.Block]:
    """List the blocks of a content: a bare text is one text block, null is none."""
    if content is None:
        return []
    return [e.Block(type="text", text=content)] if isinstance(content, str) else content


def join_text(content: e.Content, separator: str = "\n") -> str:
    """Join the text blocks of a content.

    Example:
        >>> join_text([e.Block(type="text", text="one"), e.Block(type="text", text="two")], " ")
        'one two'
    """
    if isinstance(content, str):
        return content
    if content and len(content) == 1 and content[0].type == "text":
        return content[0].text
    return separator.join(block.text for block in list_blocks(content) if block.type == "text")


def find_first_line(text: str) -> str:
    """Find the first line of a text that is not blank; an empty text where there is none."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def chat_message(source: Source) -> ChatMessage:
    """Write one message of a model's input.

    Tool arguments stay an object here (``function.arguments``): whoever sends the message redacts them first.
    """
    match source:
        case e.AssistantMessage():
            return _assistant(source)
        case e.ToolResultMessage():
            return {"role": "tool", "tool_call_id": source.tool_call_id, "content": _tool_content(source)}
        case e.BashExecutionMessage():
            return {"role": "user", "content": [_text(format_bash(source))]}
        case Summary(text, (before, after)):
            return {"role": "user", "content": [_text(before + text + after)]}
        case MissingResult(tool_call_id):
            return {"role": "tool", "tool_call_id": tool_call_id, "content": "No result provided"}
        case e.CustomMessage() | e.CustomMessageEntry():
            return {"role": "user", "content": _user_content(list_blocks(source.content))}
        case _:
            return {"role": "user", "content": _user_content(source.content)}


def output_choices(content: e.Content) -> list[ChatMessage]:
    """Write a model's answer as choices: what it thought stands in choices of its own.

    PostHog shows a choice that holds both as raw JSON. Text and tool calls that follow each other share one,
    and so do neighbouring thoughts; their order stays. An answer without content is one empty choice.

    Example:
        >>> blocks = [e.Block(type="thinking", thinking="hm"), e.Block(type="text", text="yes")]
        >>> [choice["content"] for choice in output_choices(blocks)]
        [[{'type': 'thinking', 'thinking': 'hm'}], [{'type': 'text', 'text': 'yes'}]]
    """
    parts = [part for block in list_blocks(content) if (part := _answer_part(block)) is not None]
    groups = groupby(parts, lambda part: part["type"] == "thinking")
    return [{"role": "assistant", "content": list(group)} for _, group in groups] or [
        {"role": "assistant", "content": []}
    ]


def _answer_part(block: e.Block) -> dict[str, Any] | None:
    if block.type == "text":
        return _text(block.text)
    if block.type == "thinking" and block.thinking:
        return {"type": "thinking", "thinking": block.thinking}
    return tool_call(block) if block.type == "toolCall" else None


def tool_call(block: e.Block) -> dict[str, Any]:
    """Write a tool call; its arguments stay an object."""
    return {
        "type": "function",
        "id": block.id,
        "function": {"name": block.name, "arguments": block.arguments},
    }


def format_bash(message: e.BashExecutionMessage) -> str:
    """Write what the model reads of a command that the user ran."""
    output = f"```\n{message.output}\n```" if message.output else "(no output)"
    text = f"Ran `{message.command}`\n{output}"
    if message.cancelled:
        text += "\n\n(command cancelled)"
    elif message.exit_code:
        text += f"\n\nCommand exited with code {message.exit_code}"
    if message.truncated and message.full_output_path:
        text += f"\n\n[Output truncated. Full output: {message.full_output_path}]"
    return text


def replace_content(source: Source, content: e.Content) -> Source:
    """Replace a message's content, as a context edit asks for."""
    if isinstance(source, (Summary, MissingResult, e.BashExecutionMessage)):
        return source
    if isinstance(source, e.ToolResultMessage):
        return msgspec.structs.replace(source, content=content, details=UNSET)  # no model sees the details
    return msgspec.structs.replace(source, content=content)


def _assistant(message: e.AssistantMessage) -> ChatMessage:
    text = "".join(b.text for b in list_blocks(message.content) if b.type == "text" and b.text.strip())
    chat: ChatMessage = {"role": "assistant", "content": text or None}
    calls = [tool_call(b) for b in list_blocks(message.content) if b.type == "toolCall"]
    if calls:
        chat["tool_calls"] = calls
    return chat


def _user_content(content: e.Content) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    parts = []
    for block in list_blocks(content):
        if block.type == "image":
            parts.append(_image())
        elif block.type == "text" and block.text:
            parts.append(_text(block.text))
    return parts


def _tool_content(message: e.ToolResultMessage) -> str:
    """Write a result as one string: PostHog drops the call's id of a result that is a list."""
    text = join_text(message.content)
    images = sum(block.type == "image" for block in list_blocks(message.content))
    if images:
        return "\n".join((text or "(see attached image)", *[MEDIA] * images))
    return text or "(no tool output)"


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image() -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": MEDIA}}


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

    def patched(self, message: e.SystemMessage) -> SystemPrompt:
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
