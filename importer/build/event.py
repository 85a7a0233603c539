"""One PostHog event. Its ``$ai_input`` stays in parts; it is joined, and cut to fit, when it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from importer.build.joining import EncodedLink, Stretches, size_of
from importer.build.trimming import EVENT_LIMIT, cut_strings, make_marker

_INPUT = b',"$ai_input":'
_PROMPT_SHARE = 4  # trimming keeps a system prompt that takes less than this part of an event


class Envelope(Protocol):
    """One PostHog event, ready to send. Its JSON is built only when a batch is.

    An event in a batch is `{"event", "distinct_id", "uuid", "timestamp", "properties"}`
    (PostHog capture docs, "Batch events": https://posthog.com/docs/api/capture). Whatever has these members
    can be sent; :class:`Event` does::

        delivery.add(event)
        event.uuid, event.event, event.size  # "6f1c…", "$ai_generation", 2048
    """

    @property
    def uuid(self) -> str:
        """The event's uuid as canonical text: the same on every try and every import."""

    @property
    def event(self) -> str:
        """The event's name, such as `$ai_generation`."""

    @property
    def end_ms(self) -> int:
        """The event's time, in ms since the epoch."""

    @property
    def source(self) -> str:
        """The file it was read from, for messages."""

    @property
    def size(self) -> int:
        """Bytes of the JSON that `encode` returns."""

    def encode(self) -> bytes:
        """Return the event as JSON, UTF-8."""

    def size_within(self, limit: int) -> int:
        """Return the bytes of what `trimmed` returns with that limit."""

    def trimmed(self, limit: int) -> bytes:
        """Return the same event (uuid, timestamp, name) as JSON, with content cut to fit `limit` bytes.

        Where all of it fits, nothing is cut. The limit may be larger than that of `encode`.
        """

    def pieces(self, limit: int) -> list[bytes]:
        """Return what `trimmed` returns, not yet joined: a request joins the pieces of all its events."""


@dataclass(slots=True)
class ModelInputJson:
    """``$ai_input`` in parts: the system message and the other messages as JSON, not yet joined.

    Attributes:
        stretches: joins the messages of a session.
        prompt: the system message; empty where there is none.
        start, end: the links of the chain before the first message, and of the last.
    """

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
        """Return the array as JSON, in pieces; if it is over ``limit`` bytes, without its oldest messages.

        The newest message stays, however large it is.
        """
        if self.size <= limit:
            prompt = self.prompt
            parts = self.stretches.newest(self.start, self.end).pieces
        else:
            prompt = self.prompt if len(self.prompt) * _PROMPT_SHARE < limit else b""
            left = limit - len(prompt) - len(make_marker(10**9)) - 4
            parts, left_out = self.stretches.newest(self.start, self.end, left)
            left_out += bool(self.prompt and not prompt)
            if left_out:
                parts.insert(0, make_marker(left_out))
        if prompt:
            parts.insert(0, prompt)
        pieces = [b"["]
        for part in parts:
            pieces += (part, b",")
        pieces[max(1, len(pieces) - 1) :] = [b"]"]  # in the place of the last comma
        return pieces


class Event:
    """One PostHog event, as :class:`Envelope` describes it.

    Args:
        event: its name, such as ``$ai_generation``.
        uuid: its uuid as text.
        end_ms: its time, in ms since the epoch.
        source: the file it was read from, for messages.
        head: its JSON without ``$ai_input``.
        input_json: its ``$ai_input``.
    """

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
        self._measured = (-1, 0)  # the last limit, and the size within it

    @property
    def size(self) -> int:
        """Bytes of the JSON that :meth:`encode` returns."""
        return self.size_within(EVENT_LIMIT)

    def size_within(self, limit: int) -> int:
        """Return the bytes of the JSON that :meth:`trimmed` returns."""
        if self._measured[0] != limit:
            self._measured = (limit, self._measure(limit))
        return self._measured[1]

    def encode(self) -> bytes:
        """Return the event's JSON, at most 900 KiB."""
        return b"".join(self.pieces(EVENT_LIMIT))

    def trimmed(self, limit: int) -> bytes:
        """Return the event's JSON with content cut so that it has at most ``limit`` bytes."""
        return b"".join(self.pieces(limit))

    def pieces(self, limit: int) -> list[bytes]:
        """Return what :meth:`trimmed` returns, not yet joined: the events of a session share most of it."""
        pieces = [self.head]
        if self.input is not None:
            left = max(0, limit - len(self.head) - len(_INPUT))
            pieces = [self.head[:-2], _INPUT, *self.input.pieces(left), b"}}"]
        fits = sum(map(len, pieces)) <= limit
        return pieces if fits else [cut_strings(b"".join(pieces), limit)]

    def _measure(self, limit: int) -> int:
        size = len(self.head)
        if self.input is not None:
            size += len(_INPUT) + self.input.size
        return size if size <= limit else sum(map(len, self.pieces(limit)))
