"""One PostHog event, its ``$ai_input`` still in parts: it is joined only when it is sent, and cut to fit."""

from __future__ import annotations

from dataclasses import dataclass

from importer.build.joining import EncodedLink, Stretches, size_of
from importer.build.trimming import EVENT_LIMIT, cut_strings, marker

_INPUT = b',"$ai_input":'
_PROMPT_SHARE = 4  # the system prompt survives trimming where it takes less than this part of the event


@dataclass(slots=True)
class ModelInputJson:
    """``$ai_input`` in parts: the system message and the messages, encoded but not yet joined."""

    stretches: Stretches
    prompt: bytes
    start: EncodedLink | None
    end: EncodedLink | None

    @property
    def size(self) -> int:
        """Bytes of the joined array."""
        messages = size_of(self.end) - size_of(self.start)
        return 2 + messages + (len(self.prompt) if self.prompt else -1 if messages else 0)

    def pieces(self, limit: int) -> list[bytes]:
        """The array as JSON, in pieces; if it is over ``limit`` bytes, without its oldest messages.

        The newest message stays, however large it is.
        """
        if self.size <= limit:
            prompt = self.prompt
            parts = self.stretches.newest(self.start, self.end).pieces
        else:
            prompt = self.prompt if len(self.prompt) * _PROMPT_SHARE < limit else b""
            left = limit - len(prompt) - len(marker(10**9)) - 4
            parts, left_out = self.stretches.newest(self.start, self.end, left)
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
    """One PostHog event, ready to be sent (see :class:`importer.build.envelope.Envelope`)."""

    __slots__ = ("_measured", "end_ms", "event", "head", "input", "source", "uuid")

    def __init__(
        self,
        event: str,
        uuid: str,
        end_ms: int,
        source: str,
        head: bytes,
        input_json: ModelInputJson | None = None,
    ) -> None:
        self.event = event
        self.uuid = uuid
        self.end_ms = end_ms
        self.source = source
        self.head = head
        self.input = input_json
        self._measured = (-1, 0)  # the limit that was asked for last, and the size within it

    @property
    def size(self) -> int:
        """Bytes of the JSON that :meth:`encode` gives."""
        return self.size_within(EVENT_LIMIT)

    def size_within(self, limit: int) -> int:
        """Bytes of the JSON that :meth:`trimmed` gives."""
        if self._measured[0] != limit:
            self._measured = (limit, self._size_within(limit))
        return self._measured[1]

    def encode(self) -> bytes:
        """The event's JSON, at most 900 KiB."""
        return b"".join(self.pieces(EVENT_LIMIT))

    def trimmed(self, limit: int) -> bytes:
        """The event's JSON with content cut so that it has at most ``limit`` bytes."""
        return b"".join(self.pieces(limit))

    def pieces(self, limit: int) -> list[bytes]:
        """What :meth:`trimmed` gives, not yet joined: the events of a session share most of it."""
        pieces = [self.head]
        if self.input is not None:
            left = max(0, limit - len(self.head) - len(_INPUT))
            pieces = [self.head[:-2], _INPUT, *self.input.pieces(left), b"}}"]
        fits = sum(map(len, pieces)) <= limit
        return pieces if fits else [cut_strings(b"".join(pieces), limit)]

    def _size_within(self, limit: int) -> int:
        size = len(self.head)
        if self.input is not None:
            size += len(_INPUT) + self.input.size
        return size if size <= limit else sum(map(len, self.pieces(limit)))
