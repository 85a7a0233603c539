"""Makes generations of entries, and spans of what no tool call asked for; their ids are made here, too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from parsers.identity import derive, digest
from parsers.pi import entries as e
from parsers.pi.messages import list_blocks
from parsers.records import Generation, Span
from parsers.times import check_duration, to_ms
from parsers.usage import Usage, read_usage

_SEARCHED = 2000  # characters: a body that an error quotes may be long, and be anything
_STATUS = r"([45]\d\d)\b"
# Source: what pi 0.73.1 and 0.87.1 make of providers' errors (pi-ai, `utils/errors.js` and its clients).
_SHAPES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        rf"\s*(?:Error: )?{_STATUS}(?=[:\s]|$)",  # 429 Rate limit; 403: {…}; 503 status code
        rf"[^{{\"]*?error \((?:HTTP )?{_STATUS}\)",  # OpenAI API error (429): …
        rf".*?\bstatus(?: code)?(?:[:=]\s*|\s+){_STATUS}",  # got status: 503; failed with status 401
        rf".*?\bHTTP(?:/\d(?:\.\d)?)?(?: error)?:? {_STATUS}",  # HTTP 502; HTTP/1.1 502 Bad Gateway
        rf".*?\\*\"(?:code|status|status_?code)\\*\"\s*:\s*{_STATUS}",  # {"error":{"code":429,…
    )
)


class Where(Struct, frozen=True):
    """Where in a session an entry stands.

    Attributes:
        ms: its time.
        copied: whether it was copied here from the session's parent.
        order: its place in the file.
        entry_id: its id, if it has one.
    """

    ms: int
    copied: bool
    order: int
    entry_id: str | None


def make_generation_id(
    message: e.AssistantMessage,
    start_ms: int | None,
    end_ms: int,
    tokens: tuple[int, int, int, int],
    call_ids: Iterable[str],
) -> str:
    """Make the id of an assistant message's generation.

    Args:
        message: the message.
        start_ms: its own time, in ms.
        end_ms: that of its entry, in ms.
        tokens: the first four numbers of its usage.
        call_ids: the ids of its tool calls as they are recorded, in their order.
    """
    return derive(
        "generation",
        message.provider,
        message.model,
        message.response_id,
        start_ms,
        end_ms,
        *tokens,
        message.stop_reason,
        message.error_message,
        *call_ids,
    )


def make_chat_generation(
    message: e.AssistantMessage, where: Where, given: Any, output: Any, thinking_level: str | None
) -> Generation:
    """Make the generation of an answer, from the message's own time to that of its entry."""
    start_ms = to_ms(message.timestamp)
    usage = read_usage(message.usage)
    call_ids = [block.id for block in list_blocks(message.content) if block.type == "toolCall"]
    return Generation(
        id=make_generation_id(message, start_ms, where.ms, usage[:4], call_ids),
        trace_id="",
        parent_id="",
        window=1,
        end_ms=where.ms,
        copied=where.copied,
        name="chat",
        usage=usage,
        start_ms=start_ms,
        provider=message.provider,
        model=message.model,
        response_model=message.response_model,
        response_id=message.response_id,
        measured_ms=check_duration(message.duration_ms),
        thinking_level=message.thinking_level or thinking_level,
        provider_thinking_level=message.provider_thinking_level,
        stop_reason=message.stop_reason,
        raw_stop_reason=message.raw_stop_reason,
        error=message.error_message,
        input=given,
        output=output,
    )


def make_compaction_generation(
    entry: e.Compaction, where: Where, given: Any, provider: str | None, model: str | None
) -> Generation:
    """Make the generation of a compaction; pi summarizes with the session's own model."""
    return _summary("compaction", entry, (entry.tokens_before,), where, given, provider, model)


def make_summary_generation(
    entry: e.BranchSummary,
    where: Where,
    given: Any,
    provider: str | None,
    model: str | None,
) -> Generation:
    """Make the generation of a branch's summary."""
    return _summary("branch_summary", entry, (), where, given, provider, model)


def make_usage_generation(entry: e.UsageEntry, where: Where) -> Generation:
    """Make the generation of a usage entry: model work outside the conversation, such as ``cache_warm``."""
    usage = read_usage(entry.usage)
    return _generation(
        entry.kind,
        derive("usage", entry.kind, entry.provider, entry.model, where.ms, *_tokens(usage)),
        where,
        usage,
        provider=entry.provider,
        model=entry.model,
    )


def make_nested_generation(
    result: e.ToolResultMessage, usage: Usage, span_id: str, own_ms: int, where: Where
) -> Generation:
    """Make the generation of the model work that a tool did itself; pi does not record its model."""
    call_id = derive("nested", span_id, own_ms, *_tokens(usage))
    generation = _generation(result.tool_name or "tool", call_id, where, usage)
    generation.parent_id = span_id
    return generation


def make_bash_span(message: e.BashExecutionMessage, where: Where) -> Span:
    """Make the span of a command that the user ran with ``!``; pi does not record when it began."""
    failed = message.cancelled or bool(message.exit_code)
    return _span(
        "user_bash",
        derive("user_bash", to_ms(message.timestamp), where.ms, message.exit_code, digest(message.command)),
        where,
        {"command": message.command},
        {"output": message.output, "exitCode": message.exit_code, "cancelled": message.cancelled},
        failed,
    )


def make_orphan_span(result: e.ToolResultMessage, own_ms: int, output: Any, where: Where) -> Span:
    """Make the span of a tool result without a call before it."""
    span_id = derive("orphan", result.tool_call_id, result.tool_name, own_ms, where.ms)
    return _span(result.tool_name or "unknown", span_id, where, None, output, result.is_error)


def make_compaction_span(entry: e.Compaction, where: Where) -> Span:
    """Make the span of a compaction whose usage pi did not record."""
    span_id = derive("compaction", where.ms, entry.tokens_before, digest(entry.summary))
    return _span(
        "compaction", span_id, where, {"tokensBefore": entry.tokens_before}, {"summary": entry.summary}
    )


def _summary(
    name: str,
    entry: e.Compaction | e.BranchSummary,
    recorded: tuple[float, ...],
    where: Where,
    given: Any,
    provider: str | None,
    model: str | None,
) -> Generation:
    usage = read_usage(entry.usage)
    call_id = derive(name, where.ms, *_tokens(usage), *recorded, digest(entry.summary))
    fields = {"provider": provider, "model": model, "input": given, "output": entry.summary}
    return _generation(name, call_id, where, usage, **fields)


def _generation(name: str, call_id: str, where: Where, usage: Usage, **fields: Any) -> Generation:
    return Generation(
        id=call_id,
        trace_id="",
        parent_id="",
        window=1,
        end_ms=where.ms,
        copied=where.copied,
        name=name,
        usage=usage,
        **fields,
    )


def _span(
    name: str,
    span_id: str,
    where: Where,
    given: Any,
    output: Any,
    is_error: bool = False,
) -> Span:
    return Span(
        id=span_id,
        trace_id="",
        parent_id="",
        window=1,
        start_ms=None,
        end_ms=where.ms,
        copied=where.copied,
        name=name,
        input=given,
        output=output,
        is_error=is_error,
        error_is_output=is_error,
    )


def _tokens(usage: Usage) -> tuple[int, int, int, int]:
    return usage[:4]


def http_status(error: str | None) -> int | None:
    """Find the HTTP status in an error message.

    Example:
        >>> http_status("429 Rate limit")
        429

    Returns:
        A status from 400 to 599; None where the message shows none.
    """
    if not error:
        return None
    head = error[:_SEARCHED].replace("\n", " ")
    for shape in _SHAPES:
        found = shape.match(head)
        if found:
            return int(found[1])
    return None
