"""Parses a file's bytes as the importer does, and makes records comparable across two readings."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from parsers.pi.chain import MessageRange
from parsers.pi.messages import ChatMessage, chat_message
from parsers.pi.session import Session
from parsers.records import AnyRecord, Generation, Run, Span, Trace

FOR_EVER_MS = 10**14


@dataclass
class Reading:
    """A session and the records that its lines completed."""

    session: Session
    records: list[AnyRecord]

    @cached_property
    def generations(self) -> list[Generation]:
        return [record for record in self.records if isinstance(record, Generation)]

    @cached_property
    def spans(self) -> list[Span]:
        return [record for record in self.records if isinstance(record, Span)]

    @cached_property
    def runs(self) -> list[Run]:
        return [record for record in self.records if isinstance(record, Run)]

    @cached_property
    def traces(self) -> list[Trace]:
        return [record for record in self.records if isinstance(record, Trace)]

    @cached_property
    def finished(self) -> "Reading":
        """The same with what is known once nothing more will come."""
        return Reading(self.session, self.records + self.session.finish(FOR_EVER_MS))

    @property
    def issues(self) -> dict[str, tuple[int, int]]:
        """The line at which each issue was met first, and how often."""
        return {what: (issue.line, issue.count) for what, issue in self.session.issues.items()}


def read(data: bytes, **options: Any) -> Reading:
    """Feed a file's lines to a session; a last line without its newline is torn."""
    session = Session(**options)
    records: list[AnyRecord] = []
    *lines, last = data.split(b"\n")
    for line in lines:
        records += session.feed(line)
    if last:
        records += session.feed(last, torn=True)
    return Reading(session, records)


def seen(span: MessageRange) -> list[ChatMessage]:
    """The messages of a context."""
    return [chat_message(message.source) for message in span.messages()]


def said(span: MessageRange) -> list[str]:
    """The messages of a context, each as ``role: text``; calls by their ids."""
    return [_line(message) for message in seen(span)]


def _line(message: ChatMessage) -> str:
    content = message["content"]
    if isinstance(content, list):
        content = " ".join(part.get("text", part["type"]) for part in content)
    calls = [f"[{call['id']}]" for call in message.get("tool_calls", [])]
    return " ".join([f"{message['role']}:", *([content] if content else []), *calls])


def plain(record: AnyRecord) -> bytes:
    """Everything that a record says, input included, as bytes that compare."""
    values: dict[str, Any] = {"is": type(record).__name__}
    values |= {name: getattr(record, name) for name in record.__struct_fields__}
    given = values.get("input")
    if isinstance(record, Generation) and given is not None:
        sizes = {size: seen(getattr(given, size)) for size in ("full", "turn", "new")}
        values["input"] = {"prompt": given.prompt.text, "tools": given.prompt.tools, **sizes}
    if isinstance(record, Generation):
        values["usage"] = record.usage._asdict()
    return msgspec.json.encode(values, order="deterministic")


def plain_set(records: list[AnyRecord]) -> set[bytes]:
    return {plain(record) for record in records}
