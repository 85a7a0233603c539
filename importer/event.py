"""One PostHog event, its ``$ai_input`` still in parts: it is joined only when it is sent, and cut to fit."""

from __future__ import annotations

from dataclasses import dataclass

from importer.chat import ChatEncoder
from importer.trimming import EVENT_LIMIT, cut_strings, marker
from parsers.chain import Span as ContextSpan

CONTEXTS = ("full", "turn", "new")
_INPUT = b',"$ai_input":'
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

    def pieces(self, limit: int) -> list[bytes]:
        """The array as JSON, in pieces; if it is over ``limit`` bytes, without its oldest messages.

        The newest message stays, however large it is.
        """
        if self.size <= limit:
            prompt = self.prompt
            parts = self.chat.stretches.newest(self.chat, self.span).pieces
        else:
            prompt = self.prompt if len(self.prompt) * _PROMPT_SHARE < limit else b""
            left = limit - len(prompt) - len(marker(10**9)) - 4
            parts, left_out = self.chat.stretches.newest(self.chat, self.span, left)
            left_out += bool(self.prompt and not prompt)
            if left_out:
                parts.insert(0, marker(left_out))
        if prompt:
            parts.insert(0, prompt)
        pieces = [b"["]
        for part in parts:
            pieces += (part, b",")
        pieces[max(1, len(pieces) - 1) :] = [b"]"]  # in the place of the last comma
        return pieces


class Event:
    """One PostHog event, ready to be sent (see :class:`importer.envelope.Envelope`)."""

    __slots__ = ("_head", "_inputs", "_measured", "context", "end_ms", "event", "source", "uuid")

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
        self._measured = (-1, 0)  # the limit that was asked for last, and the size within it

    @property
    def size(self) -> int:
        """Bytes of the JSON that :meth:`encode` gives."""
        return self.size_within(EVENT_LIMIT)

    def size_with(self, context: str) -> int:
        """Bytes of the JSON with another input context (``full``, ``turn`` or ``new``)."""
        return self._size_within(context, EVENT_LIMIT)

    def size_within(self, limit: int) -> int:
        """Bytes of the JSON that :meth:`trimmed` gives."""
        if self._measured[0] != limit:
            self._measured = (limit, self._size_within(self.context, limit))
        return self._measured[1]

    def encode(self) -> bytes:
        """The event's JSON, at most 900 KiB."""
        return b"".join(self.pieces(EVENT_LIMIT))

    def trimmed(self, limit: int) -> bytes:
        """The event's JSON with content cut so that it has at most ``limit`` bytes."""
        return b"".join(self.pieces(limit))

    def pieces(self, limit: int) -> list[bytes]:
        """What :meth:`trimmed` gives, not yet joined: the events of a session share most of it."""
        return self._pieces(self.context, limit)

    def _size_within(self, context: str, limit: int) -> int:
        size = len(self._head)
        if self._inputs is not None:
            size += len(_INPUT) + self._inputs[context].size
        return size if size <= limit else sum(map(len, self._pieces(context, limit)))

    def _pieces(self, context: str, limit: int) -> list[bytes]:
        pieces = [self._head]
        if self._inputs is not None:
            left = max(0, limit - len(self._head) - len(_INPUT))
            pieces = [self._head[:-2], _INPUT, *self._inputs[context].pieces(left), b"}}"]
        fits = sum(map(len, pieces)) <= limit
        return pieces if fits else [cut_strings(b"".join(pieces), limit)]
