"""Rewrites what oh-my-pi writes in its own way in pi's terms. Source: as :mod:`parsers.agents.omp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parsers.pi import entries as e
from parsers.pi.decoding import Decoded, decode_object
from parsers.usage import UsageBlock

Fields = dict[str, Any]


def rewrite(decoded: Decoded) -> Decoded:
    """Rewrite an entry that only oh-my-pi writes as pi's entry that means the same, where there is one."""
    line = decoded.line
    if isinstance(line, e.MessageEntry) and isinstance(line.message, e.AssistantMessage):
        _rename_reasoning(line.message.usage)
    elif isinstance(line, e.ModelChange) and line.model is not None:
        provider, slash, model = line.model.partition("/")
        line.provider, line.model_id = (provider, model) if slash else (None, line.model)
    elif isinstance(line, e.UnknownEntry) and line.type == "reset_boundary":
        return Decoded(e.ContextReset(line.id, line.parent_id, line.timestamp), decoded.dropped)
    elif isinstance(line, e.UnknownEntry) and line.type in _ENTRIES:
        decoded = decode_object(line.fields | _ENTRIES[line.type](line.fields))
        if isinstance(decoded.line, e.UsageEntry):
            _rename_reasoning(decoded.line.usage)
    elif isinstance(line, e.MessageEntry) and isinstance(line.message, e.UnknownMessage):
        fields = line.message.fields
        if line.message.role in _ROLES:
            message = fields | _ROLES[line.message.role](fields)
            read = decode_object({"type": "message", "message": message})
            line.message = read.line.message if isinstance(read.line, e.MessageEntry) else None
            return Decoded(line, decoded.dropped + read.dropped)
    return decoded


def _rename_reasoning(usage: UsageBlock | None) -> None:
    if usage is not None and usage.reasoning is None:
        usage.reasoning = usage.reasoning_tokens


def _model_usage(fields: Fields) -> Fields:
    """Rewrite a model call outside the conversation; no other line holds its cost."""
    return {"type": "usage", "kind": fields.get("purpose") or "usage"}


def _title_change(fields: Fields) -> Fields:
    return {"type": "session_info", "name": fields.get("title")}


def _session_init(fields: Fields) -> Fields:
    """Rewrite what a subagent was told; only the names of its tools are recorded."""
    names = fields.get("tools")
    tools = [{"name": name} for name in names if isinstance(name, str)] if isinstance(names, list) else []
    told = {"role": "system", "content": fields.get("systemPrompt"), "toolsAdded": tools}
    return {"type": "message", "message": told | {"agent": fields.get("agent")}}


def _developer(fields: Fields) -> Fields:
    return {"role": "custom"}


def _python_execution(fields: Fields) -> Fields:
    """Rewrite code that the user ran with ``$`` as a command with ``!``."""
    return {"role": "bashExecution", "command": fields.get("code")}


def _file_mention(fields: Fields) -> Fields:
    """Rewrite the files that a prompt named with ``@``, which the model reads along with it."""
    files = fields.get("files")
    read = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    blocks = [
        {"type": "text", "text": f'<file path="{file.get("path")}">\n{file.get("content") or ""}\n</file>'}
        for file in read
    ]
    return {"role": "custom", "content": blocks}


_ENTRIES: dict[str, Callable[[Fields], Fields]] = {
    "model_usage": _model_usage,
    "title_change": _title_change,
    "session_init": _session_init,
}
_ROLES: dict[str, Callable[[Fields], Fields]] = {
    "developer": _developer,
    "pythonExecution": _python_execution,
    "fileMention": _file_mention,
}
