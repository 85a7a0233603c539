"""What delivery needs of one PostHog event."""

from __future__ import annotations

from typing import Protocol


class Envelope(Protocol):
    """One PostHog event, ready to send; its JSON is built only when a batch is.

    An event in a batch is `{"event", "distinct_id", "uuid", "timestamp", "properties"}`
    (PostHog capture docs, "Batch events": https://posthog.com/docs/api/capture).
    """

    @property
    def uuid(self) -> str:
        """The event's uuid as canonical text; the same on every try and every import."""

    @property
    def event(self) -> str:
        """The event's name, such as `$ai_generation`."""

    @property
    def end_ms(self) -> int:
        """The event's time: milliseconds since the epoch, UTC."""

    @property
    def source(self) -> str:
        """The file it was read from, for messages."""

    @property
    def size(self) -> int:
        """Bytes of the JSON that `encode` gives."""

    def encode(self) -> bytes:
        """The event as JSON, UTF-8."""

    def size_within(self, limit: int) -> int:
        """Bytes of the JSON that `trimmed` gives with that limit."""

    def trimmed(self, limit: int) -> bytes:
        """The same event (uuid, timestamp, name) as JSON, with content cut to fit `limit` bytes.

        Where all of it fits, nothing is cut: the limit may be larger than that of `encode`.
        """

    def pieces(self, limit: int) -> list[bytes]:
        """What `trimmed` gives, not yet joined: a request joins the pieces of all its events at once."""
