"""One PostHog event, its ``$ai_input`` still in parts: it is joined only when it is sent, and cut to fit."""

from __future__ import annotations

from dataclasses import dataclass

from importer.chat import ChatEncoder
from importer.trimming import EVENT_LIMIT, cut_strings, marker
from parsers.chain import Span as ContextSpan

CONTEXTS = ("full", "turn", "new")
_PROMPT_SHARE = 4  # the system prompt survives trimming where it takes less than this part of the event


@dataclass(slots=True)
class ModelInputJson:
    """``$ai_input`` in parts: the system message and the messages, encoded but not yet joined."""

    chat: ChatEncoder
    prompt: bytes
    span: ContextSpan

    @property
    def size(self) -> int:
        """Bytes of the joined array."""
        messages = self.chat.size(self.span)
        return 2 + messages + (len(self.prompt) if self.prompt else -1 if messages else 0)

    def join(self, limit: int) -> bytes:
        """The array as JSON; if it is over ``limit`` bytes, without its oldest messages.

        The newest message stays, however large it is.
        """
        if self.size <= limit:
            messages = [self.chat.message(message) for message in self.span.messages()]
            return b"[" + b",".join([self.prompt, *messages] if self.prompt else messages) + b"]"
        prompt = self.prompt if len(self.prompt) * _PROMPT_SHARE < limit else b""
        left = limit - len(prompt) - len(marker(10**9)) - 4
        kept: list[bytes] = []
        left_out = 0 if prompt or not self.prompt else 1
        for link in self.span.newest_first():
            encoded = self.chat.message(link.message)
            left -= len(encoded) + 1
            if left < 0 and kept:
                left_out += link.depth - (self.span.start.depth if self.span.start else 0)
                break
            kept.append(encoded)
        parts = [prompt] if prompt else []
        if left_out:
            parts.append(marker(left_out))
        return b"[" + b",".join(parts + kept[::-1]) + b"]"


class Event:
    """One PostHog event, ready to be sent (see :class:`importer.envelope.Envelope`)."""

    __slots__ = ("_head", "_inputs", "_size", "context", "end_ms", "event", "source", "uuid")

    def __init__(
        self,
        event: str,
        uuid: str,
        end_ms: int,
        source: str,
        head: bytes,
        inputs: dict[str, ModelInputJson] | None = None,
        context: str = "full",
    ) -> None:
        self.event = event
        self.uuid = uuid
        self.end_ms = end_ms
        self.source = source
        self.context = context
        self._head = head
        self._inputs = inputs
        self._size: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the JSON that :meth:`encode` gives."""
        if self._size is None:
            self._size = self.size_with(self.context)
        return self._size

    def size_with(self, context: str) -> int:
        """Bytes of the JSON with another input context (``full``, ``turn`` or ``new``)."""
        return self._size_within(context, EVENT_LIMIT)

    def size_within(self, limit: int) -> int:
        """Bytes of the JSON that :meth:`trimmed` gives."""
        return self._size_within(self.context, limit)

    def encode(self) -> bytes:
        """The event's JSON, at most 900 KiB."""
        return self._encode(self.context, EVENT_LIMIT)

    def trimmed(self, limit: int) -> bytes:
        """The event's JSON with content cut so that it has at most ``limit`` bytes."""
        return self._encode(self.context, limit)

    def _size_within(self, context: str, limit: int) -> int:
        size = len(self._head)
        if self._inputs is not None:
            size += len(',"$ai_input":') + self._inputs[context].size
        return size if size <= limit else len(self._encode(context, limit))

    def _encode(self, context: str, limit: int) -> bytes:
        encoded = self._head
        if self._inputs is not None:
            left = max(0, limit - len(self._head) - len(',"$ai_input":'))
            spliced = self._inputs[context].join(left)
            encoded = b"".join((self._head[:-2], b',"$ai_input":', spliced, b"}}"))
        return encoded if len(encoded) <= limit else cut_strings(encoded, limit)
