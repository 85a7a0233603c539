"""pi's session file format as typed structs: one per entry type and message role, versions 1 to 3.

Source: pi's docs ``session-format.md`` and ``message-types.md`` (0.58 to 1.5.2). Fields are pi's, in snake
case. Unknown fields are ignored, and every field has a default: old versions, forks of pi and files edited
by hand leave any of them out.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from parsers.times import Timestamp
from parsers.usage import UsageBlock


class Block(Struct, rename="camel"):
    """A content block: ``text``, ``thinking``, ``image``, ``toolCall``, or one that a later pi adds.

    The base64 ``data`` of an image is not read: media never leaves the machine.
    """

    type: str = ""
    text: str = ""
    thinking: str = ""
    redacted: bool = False
    id: str = ""
    name: str = ""
    arguments: Any = None


Content = str | list[Block] | None


class SystemMessage(Struct, tag_field="role", tag="system", rename="camel"):
    """The prompt and tools (pi 0.85+). Later ones patch ``sections`` by name; null removes a section.

    ``agent`` is the subagent that was told so, where another agent than pi says it.
    """

    content: Content = None
    sections: dict[str, str | None] | None = None
    tools_added: list[dict[str, Any]] | None = None
    tools_removed: list[dict[str, Any]] | None = None
    replace: bool = False
    agent: str | None = None
    timestamp: Timestamp = None


class UserMessage(Struct, tag_field="role", tag="user"):
    """What the user typed; ``timestamp`` is when it was typed, in ms."""

    content: Content = None
    timestamp: Timestamp = None


class AssistantMessage(Struct, tag_field="role", tag="assistant", rename="camel"):
    """One model call; ``timestamp`` is when it started, in ms; only the newest pi has ``duration_ms``."""

    content: Content = None
    provider: str | None = None
    model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    thinking_level: str | None = None
    provider_thinking_level: str | None = None
    usage: UsageBlock | None = None
    stop_reason: str | None = None
    raw_stop_reason: str | None = None
    error_message: str | None = None
    duration_ms: float | None = None
    timestamp: Timestamp = None


class NestedCall(Struct, rename="camel"):
    """A call that a tool made to another tool; its result is not recorded, large ``arguments`` neither."""

    id: str = ""
    name: str = ""
    arguments: Any = None
    status: str = ""
    duration_ms: float | None = None
    error: str | None = None


class NestedCalls(Struct):
    """The calls that a tool made to other tools (pi 0.99+)."""

    calls: list[NestedCall] | None = None


class ToolResultMessage(Struct, tag_field="role", tag="toolResult", rename="camel"):
    """What a tool answered, after ``duration_ms``; ``usage`` is the model work that it did itself."""

    tool_call_id: str = ""
    tool_name: str = ""
    content: Content = None
    details: Any = UNSET
    usage: UsageBlock | None = None
    nested_calls: NestedCalls | None = None
    is_error: bool = False
    duration_ms: float | None = None
    timestamp: Timestamp = None


class BashExecutionMessage(Struct, tag_field="role", tag="bashExecution", rename="camel"):
    """The user's own ``!command``; outside the context when ``exclude_from_context`` (``!!command``)."""

    command: str = ""
    output: str = ""
    exit_code: int | None = None
    cancelled: bool = False
    truncated: bool = False
    full_output_path: str | None = None
    exclude_from_context: bool = False
    timestamp: Timestamp = None


class CustomMessage(Struct, tag_field="role", tag="custom", rename="camel"):
    """A message that an extension put in; the model sees it as the user's."""

    custom_type: str = ""
    content: Content = None
    timestamp: Timestamp = None


class HookMessage(CustomMessage, tag_field="role", tag="hookMessage", rename="camel"):
    """The name of :class:`CustomMessage` in version 2 files."""


class UnknownMessage(Struct):
    """A message whose role this version does not know; ``fields`` is all that was recorded of it."""

    role: str = ""
    timestamp: Timestamp = None
    fields: dict[str, Any] = field(default_factory=dict)


Message = (
    SystemMessage
    | UserMessage
    | AssistantMessage
    | ToolResultMessage
    | BashExecutionMessage
    | CustomMessage
    | HookMessage
)


class Entry(Struct, tag_field="type", rename="camel"):
    """What all entries share. Version 1 has neither ``id`` nor ``parent_id``."""

    id: str | None = None
    parent_id: str | UnsetType | None = UNSET
    timestamp: Timestamp = None


class SessionHeader(Struct, tag_field="type", tag="session", rename="camel"):
    """The first line of a session file; oh-my-pi puts the session's ``title`` there."""

    id: str = ""
    version: int = 1
    timestamp: Timestamp = None
    cwd: str = ""
    parent_session: str | None = None
    branched_from: str | None = None
    provider: str | None = None
    model_id: str | None = None
    thinking_level: str | None = None
    title: str | None = None


class TitleLine(Struct, tag_field="type", tag="title"):
    """A line that some forks of pi write before the header, and over it when the session's title changes."""

    title: str | None = None


class MessageEntry(Entry, tag="message"):
    """A message of the conversation."""

    message: Message | UnknownMessage | None = None


class ModelChange(Entry, tag="model_change"):
    """The user chose another model; oh-my-pi writes ``model``, as ``provider/id``."""

    provider: str | None = None
    model_id: str | None = None
    model: str | None = None


class ThinkingLevelChange(Entry, tag="thinking_level_change"):
    """The user chose another thinking level."""

    thinking_level: str | None = None


class UsageEntry(Entry, tag="usage"):
    """Model work outside the conversation, such as ``cache_warm``."""

    kind: str = "usage"
    provider: str | None = None
    model: str | None = None
    usage: UsageBlock | None = None


class Compaction(Entry, tag="compaction"):
    """A summary that replaces what came before ``first_kept_entry_id`` (v1: an index into the lines).

    Where ``retained_tail`` is given, it is all that stays of what came before.
    """

    summary: str = ""
    first_kept_entry_id: str | None = None
    first_kept_entry_index: int | None = None
    retained_tail: list[Message] | None = None
    tokens_before: float = 0
    usage: UsageBlock | None = None
    system_message: SystemMessage | None = None


class BranchSummary(Entry, tag="branch_summary"):
    """A summary of the branch that ended in ``from_id``, which the user left with ``/tree``."""

    summary: str = ""
    from_id: str | None = None
    usage: UsageBlock | None = None


class Replacement(Struct):
    """The content that a context edit puts in the place of its target's."""

    content: Content = None


class ContextEdit(Entry, tag="context_edit"):
    """From here on the model sees ``replacement`` instead of the target, or nothing if it is null."""

    target_id: str = ""
    replacement: Replacement | None = None


class CustomMessageEntry(Entry, tag="custom_message"):
    """A message that an extension put in; the model sees it as the user's."""

    custom_type: str = ""
    content: Content = None


class Custom(Entry, tag="custom"):
    """An extension's own state; no part of the context."""


class Label(Entry, tag="label"):
    """A bookmark; no part of the context."""


class SessionInfo(Entry, tag="session_info"):
    """The session's name; the latest wins, an empty one clears it."""

    name: str | None = None

    @property
    def given_name(self) -> str | None:
        """The name without blanks around it; None where it takes the name away."""
        return (self.name or "").strip() or None


class ContextReset(Entry):
    """From here on the model sees nothing of what came before; only other agents write that (``/clear``)."""


class UnknownEntry(Struct, rename="camel"):
    """An entry of a type that this version does not know; ``fields`` is all that was recorded of it."""

    type: str = ""
    id: str | None = None
    parent_id: str | UnsetType | None = UNSET
    timestamp: Timestamp = None
    fields: dict[str, Any] = field(default_factory=dict)


Line = (
    SessionHeader
    | TitleLine
    | MessageEntry
    | ModelChange
    | ThinkingLevelChange
    | UsageEntry
    | Compaction
    | BranchSummary
    | ContextEdit
    | CustomMessageEntry
    | Custom
    | Label
    | SessionInfo
)
