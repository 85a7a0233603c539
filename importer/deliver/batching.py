"""Which events share a request, and the bytes of that request.

PostHog takes a body of at most 20 MiB and its own libraries aim at 5 MiB (PostHog capture docs, "Batch
events", and posthog-python's MAX_MSG_SIZE and BATCH_SIZE_LIMIT).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from importer.build.envelope import Envelope
from importer.deliver.endpoint import BATCH, Endpoint

MAX_BATCH_EVENTS = 500
MAX_BODY_BYTES = 5 * 1024 * 1024
HISTORICAL_AGE_S = 48 * 3600

_SUFFIX = b"]}"


class BodyFormat:
    """The wrapper around the events of a request: `{"api_key", "sent_at", "batch": [...]}`."""

    __slots__ = ("_key", "_with_sent_at", "overhead")

    def __init__(self, api_key: str, *, with_sent_at: bool = True) -> None:
        """Take the project API key; `with_sent_at` says whether bodies carry the time of sending."""
        self._key = json.dumps(api_key).encode()
        self._with_sent_at = with_sent_at
        # The largest wrapper, so that a full batch fits whichever kind it is.
        self.overhead = len(self._prefix(now_s=0.0, historical=True)) + len(_SUFFIX)

    def _prefix(self, *, now_s: float, historical: bool) -> bytes:
        parts = [b'{"api_key":', self._key]
        if historical:
            parts.append(b',"historical_migration":true')
        if self._with_sent_at:
            sent_at = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
            parts.append(b',"sent_at":"' + sent_at.replace("+00:00", "Z").encode() + b'"')
        parts.append(b',"batch":[')
        return b"".join(parts)

    def wrap(self, events: Sequence[Encoded], *, now_s: float, historical: bool) -> list[bytes]:
        """The body of a request that holds `events`, in pieces, at `now_s` seconds since the epoch."""
        pieces = [self._prefix(now_s=now_s, historical=historical)]
        for event in events:
            if len(pieces) > 1:
                pieces.append(b",")
            pieces += event.pieces
        return [*pieces, _SUFFIX]


class Encoded(NamedTuple):
    """One event's JSON, not yet joined, and how many bytes it has."""

    pieces: list[bytes]
    size: int

    @classmethod
    def of(cls, pieces: list[bytes]) -> Encoded:
        """The event that these pieces are."""
        return cls(pieces, sum(map(len, pieces)))


@dataclass(slots=True)
class Part:
    """Events of a request to come.

    Attributes:
        envelopes: the events, in their order.
        endpoint: where they go.
        historical: whether they waited as old ones.
        limit: bytes to which a single event had to be cut.
        encoded: that event's bytes.
    """

    envelopes: list[Envelope]
    endpoint: Endpoint
    historical: bool
    limit: int | None = None
    encoded: bytes = b""

    def split(self, at: int) -> tuple[Part, Part]:
        """The first events, that many, and the others."""
        first, second = self.envelopes[:at], self.envelopes[at:]
        return Part(first, self.endpoint, self.historical), Part(second, self.endpoint, self.historical)


class Batch:
    """Events that wait to be sent together, in the order they came and within both limits."""

    __slots__ = ("_bytes", "_endpoint", "_envelopes", "_most", "_overhead")

    def __init__(self, overhead: int, endpoint: Endpoint = BATCH, most: int = MAX_BATCH_EVENTS) -> None:
        """Take the bytes that a body has besides its events and the commas between them.

        Args:
            overhead: those bytes.
            endpoint: where the events go.
            most: events in one batch.
        """
        self._overhead = overhead
        self._endpoint = endpoint
        self._most = most
        self._envelopes: list[Envelope] = []
        self._bytes = overhead

    def __len__(self) -> int:
        return len(self._envelopes)

    def fits(self, envelope: Envelope) -> bool:
        """Whether the event still goes into this batch; an empty batch takes any event."""
        if not self._envelopes:
            return True
        if len(self) >= self._most:
            return False
        return self._bytes + 1 + self._endpoint.size_of(envelope) <= MAX_BODY_BYTES

    def append(self, envelope: Envelope) -> None:
        """Put the event at the end."""
        self._bytes += self._endpoint.size_of(envelope) + bool(self._envelopes)
        self._envelopes.append(envelope)

    def take(self) -> list[Envelope]:
        """All events that wait here; the batch is empty afterwards."""
        envelopes, self._envelopes, self._bytes = self._envelopes, [], self._overhead
        return envelopes


def encode_fitting(part: Part, overhead: int) -> list[Encoded]:
    """The JSON of as many leading events of a part as one body holds, counted on the bytes themselves.

    One event may be as large as its endpoint takes, but is then alone. Empty when the first event is larger
    than a body may be.
    """
    if part.encoded:
        return [Encoded.of([part.encoded])]
    room = MAX_BODY_BYTES - overhead
    encoded: list[Encoded] = []
    for envelope in part.envelopes[:MAX_BATCH_EVENTS]:
        event = Encoded.of(part.endpoint.pieces(envelope))
        room -= event.size + bool(encoded)
        if room < 0:
            if not encoded and event.size <= part.endpoint.event_limit:
                encoded.append(event)
            break
        encoded.append(event)
    return encoded


def is_historical(end_ms: int, now_s: float) -> bool:
    """Whether an event of that time may go with `historical_migration` at `now_s` (over 48 hours old)."""
    return end_ms < (now_s - HISTORICAL_AGE_S) * 1000
